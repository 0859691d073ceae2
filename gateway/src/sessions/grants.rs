//! What approved requests lead to: a session, or more time of one. The steps are such that a crash after any of them is gone on from
//! ([`super::requests`] has them).

use super::{
    Held, SessionError, Sessions, Table,
    details::{granted_detail, opened_detail, set},
    ending::begin_end,
    opening::Ground,
    requests::{Asker, Requested},
    store::{StoredRequest, StoredSession},
};
use crate::{clock::rfc3339, ledger::LedgerError};
use sealgate_policies::{
    access::Way,
    request::{Granted, State},
    session::{Session, Status},
};
use sealgate_schema::{Record, Text, record::Kind};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

/// What an approved request leads to, while it has not.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    step: Step,
    /// Whether its record is on disk: all that is missing is the store and memory.
    recorded: bool,
}

#[derive(Debug, Clone)]
enum Step {
    /// A session, not in effect yet.
    Open(Arc<Session>),
    /// More time for one.
    Extend(Arc<Session>),
}

impl Sessions {
    /// What a grant leads to.
    pub(super) fn effect_of(&self, granted: &Granted, opened_by: &str, now: i64) -> Result<Effect, SessionError> {
        let request = granted.request();
        if let Some(id) = &request.extends {
            return Ok(Effect { step: Step::Extend(self.session(id)?), recorded: false });
        }
        let rule = match &request.way {
            Way::Rule(name) => Some(name.clone()),
            Way::Approvals(_) => None,
        };
        let ground = Ground {
            basis: request.basis.clone(),
            opened_by: opened_by.to_owned().into(),
            break_glass: false,
            request: Some(request.id.clone()),
            rule,
        };
        let session = Arc::new(self.session_of(&request.terms, ground, now)?);
        Ok(Effect { step: Step::Open(session), recorded: false })
    }

    /// Remembers a request as the store has it now, and does what it leads to.
    pub(super) async fn go_on(&self, stored: StoredRequest, effect: Option<Effect>) -> Result<Requested, SessionError> {
        let id = stored.request.id.clone();
        {
            let mut table = self.table_mut();
            table.requests.insert(id.clone(), stored);
            if let Some(effect) = effect {
                table.effects.insert(id.clone(), effect);
            }
        }
        let session = self.finish_effect(&id).await?;
        Ok(Requested { request: self.stored(&id)?, session })
    }

    /// Does what approved requests lead to and could not lead to before: after a crash, or where something could not be written.
    pub(super) async fn finish_effects(&self) -> Result<(), SessionError> {
        if self.table().effects.is_empty() {
            return Ok(());
        }
        let _giving = self.giving.lock().await;
        let due: Vec<_> = self.table().effects.keys().cloned().collect();
        let mut done = Ok(());
        for id in due {
            done = done.and(self.finish_effect(&id).await.map(drop));
        }
        done
    }

    async fn finish_effect(&self, id: &Text) -> Result<Option<Arc<Session>>, SessionError> {
        let (effect, stored) = {
            let table = self.table();
            let Some(effect) = table.effects.get(id).cloned() else { return Ok(None) };
            (effect, table.requests.get(id).cloned())
        };
        let granted = stored.as_ref().and_then(|stored| stored.request.granted_before());
        let (Some(mut stored), Some(granted)) = (stored, granted) else {
            return Err(SessionError::Conflict(format!(
                "request {id} leads to a session without what it needs: look at the store"
            )));
        };
        let session = match self.lead(&granted, &effect).await {
            Ok(()) => Some(effect.target().clone()),
            Err(error) if error.is_final() => {
                self.drop_effect(&granted, &effect, &error).await?;
                None
            }
            Err(error) => return Err(error),
        };
        stored.settled = true;
        self.store.update_request(&stored).await?;
        let mut table = self.table_mut();
        table.requests.insert(id.clone(), stored);
        table.effects.remove(id);
        Ok(session)
    }

    async fn lead(&self, granted: &Granted, effect: &Effect) -> Result<(), SessionError> {
        let terms = &granted.request().terms;
        let barred = self.refuse_barred(&terms.principal, terms.acting_for.as_deref());
        match &effect.step {
            Step::Extend(session) => {
                barred?;
                self.lead_to_more(granted, session, effect.recorded).await
            }
            Step::Open(session) => {
                if !effect.recorded {
                    barred?;
                    self.record(session, Kind::SessionOpen, opened_detail(granted, session)).await?;
                    self.set_effect_recorded(&granted.request().id);
                } else if let Err(barred) = barred {
                    // It is open by the ledger, so it is there that it has to end.
                    let mut table = self.table_mut();
                    let detail = json!({ "by": "sealgate: after a restart", "why": barred.to_string() });
                    begin_end(session, self.clock.now(), Status::Revoked, detail, &mut table.ends);
                }
                self.store.set_recorded(&session.id).await?;
                self.take_effect(Held { session: session.clone(), opener: Vec::new(), reviewer: None, notice: None });
                // Before the request is settled, or a crash would forget that it ended.
                self.finish_ends().await
            }
        }
    }

    async fn lead_to_more(&self, granted: &Granted, session: &Session, recorded: bool) -> Result<(), SessionError> {
        let added = granted.request().terms.duration;
        let to = match recorded {
            // As it was written: neither has changed since.
            true => session.expires().saturating_add(added).min(self.open_window_closes(&session.window, self.clock.now())?),
            false => self.record_extension(session, added, granted_detail(granted)).await?,
        };
        self.set_effect_recorded(&granted.request().id);
        self.extend_to(session, to).await
    }

    /// Should the store fail now, it is not written down again.
    fn set_effect_recorded(&self, request: &Text) {
        if let Some(effect) = self.table_mut().effects.get_mut(request) {
            effect.recorded = true;
        }
    }

    /// What can't be done any more: its window was sealed, its session ended, its principal was revoked meanwhile.
    async fn drop_effect(&self, granted: &Granted, effect: &Effect, why: &SessionError) -> Result<(), SessionError> {
        let (request, session) = (granted.request(), effect.target());
        if matches!(effect.step, Step::Open(_)) {
            self.store.end_session(&session.id, Status::Revoked).await?;
        }
        let detail = json!({
            "act": "grant_dropped", "request": request.id.as_str(), "session": session.id.as_str(), "change_window": request.terms.window.as_str(),
            "why": why.to_string(),
        });
        self.administer(None, detail).await.map(drop)
    }

    pub(super) async fn extend_by_word(
        &self,
        session: &Session,
        added: i64,
        reason: &str,
        asker: &Asker,
    ) -> Result<(), SessionError> {
        let by = asker.requester.by.as_str();
        let detail = json!({ "by": by, "opened_by": by, "reason": reason });
        let to = self.record_extension(session, added, detail).await?;
        self.extend_to(session, to).await
    }

    /// Writes more time down: until the window's end at most. Returns the new end.
    async fn record_extension(&self, session: &Session, added: i64, mut detail: Value) -> Result<i64, SessionError> {
        let closes = self.may_extend(session, added, self.clock.now())?;
        let (from, to) = (session.expires(), session.expires().saturating_add(added).min(closes));
        set(&mut detail, "from", json!(rfc3339(from)));
        set(&mut detail, "expires", json!(rfc3339(to)));
        self.record(session, Kind::SessionExtend, detail).await?;
        Ok(to)
    }

    /// Lets more time that is on record take effect.
    async fn extend_to(&self, session: &Session, to: i64) -> Result<(), SessionError> {
        self.store.set_expires(&session.id, to).await?;
        session.extend(to, self.clock.now())?;
        self.times.notify_one();
        Ok(())
    }
}

impl Effect {
    /// What a request that was approved before a stop has still to lead to.
    pub(super) fn left_by(stored: &StoredRequest, unrecorded: &HashMap<Text, Arc<Session>>, table: &Table) -> Option<Self> {
        if stored.settled || stored.request.written_state() != State::Approved {
            return None;
        }
        if let Some(id) = &stored.request.extends {
            return table.sessions.get(id).map(|held| Self { step: Step::Extend(held.session.clone()), recorded: false });
        }
        // One that the store knows to be on record took effect, and only the note of it is missing.
        let id = stored.session.as_ref()?;
        let there = table.sessions.get(id).map(|held| Self { step: Step::Open(held.session.clone()), recorded: true });
        there.or_else(|| unrecorded.get(id).map(|session| Self { step: Step::Open(session.clone()), recorded: false }))
    }

    /// The window in whose ledger its record would be.
    pub(super) fn window(&self) -> &Text {
        &self.target().window
    }

    /// Takes what the ledger says: that its record is there, or not.
    pub(super) fn found(&mut self, recorded: bool) {
        self.recorded |= recorded;
    }

    fn target(&self) -> &Arc<Session> {
        match &self.step {
            Step::Open(session) | Step::Extend(session) => session,
        }
    }

    pub(super) fn session(&self) -> Text {
        self.target().id.clone()
    }

    /// The session as the store takes it, where one is opened.
    pub(super) fn opens(&self, opener: Vec<Text>) -> Option<StoredSession> {
        match &self.step {
            Step::Open(session) => {
                let session = Session::open((***session).clone());
                Some(StoredSession { session, recorded: false, opener, reviewer: None, notice: None })
            }
            Step::Extend(_) => None,
        }
    }
}

/// The request that a record leads from, where it opens a session or gives one more time.
pub fn request_of(record: &Record) -> Option<String> {
    if !matches!(record.fields.kind, Kind::SessionOpen | Kind::SessionExtend) {
        return None;
    }
    let detail: Value = serde_json::from_str(record.fields.detail.as_deref()?).ok()?;
    detail.get("request")?.as_str().map(str::to_owned)
}

impl SessionError {
    /// Whether trying again can't help.
    fn is_final(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::Forbidden(_) | Self::NotFound(_) | Self::Ledger(LedgerError::WindowClosed(_)))
    }
}
