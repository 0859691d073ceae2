//! Sessions that are opened at once: on an operator's own word, where no approval is required, and by break-glass.

use super::{
    Grant, Held, SessionError, Sessions,
    actor::Actor,
    asked::Errand,
    details::set_signed,
    requests::subjects,
    store::{Notice, StoredSession},
    token,
};
use crate::clock::rfc3339;
use sealgate_policies::{
    request::Terms,
    session::{Opening, Session},
};
use sealgate_schema::{Text, record::Kind, statement::Signed};
use serde_json::json;
use std::sync::Arc;

/// What says that a session may be, beside its terms.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) basis: Text,
    pub(super) opened_by: Text,
    pub(super) break_glass: bool,
    pub(super) request: Option<Text>,
    pub(super) rule: Option<Text>,
}

/// What says who the principal is that opens a session.
#[derive(Debug, Clone)]
pub struct By {
    /// `word of uid 0`, `ssh SHA256:…`, …
    pub basis: Text,
    /// What they signed, where that is an SSH key.
    pub signed: Option<Box<Signed>>,
}

impl By {
    /// Something that is not a signature.
    pub fn word(basis: Text) -> Self {
        Self { basis, signed: None }
    }
}

impl Sessions {
    /// Opens a session on an operator's own word, for a principal who is who the operator says.
    pub async fn open_session(&self, grant: Grant, actor: &str) -> Result<Arc<Session>, SessionError> {
        self.open_identified(grant, By::word(format!("word of {actor}").into()), actor).await
    }

    /// Opens a session on an operator's own word; `by` says who the principal is.
    pub async fn open_identified(&self, grant: Grant, by: By, actor: &str) -> Result<Arc<Session>, SessionError> {
        let terms = grant.terms()?;
        let By { basis, signed } = by;
        if self.access.approval.required {
            return Err(SessionError::Forbidden(format!(
                "sessions need approval here; ask for one: sealgate session request --window {} --principal {} --for 1h --reason \"...\"",
                terms.window, terms.principal
            )));
        }
        let _giving = self.giving.lock().await;
        self.refuse_barred(&terms.principal, terms.acting_for.as_deref())?;
        let now = self.clock.now();
        self.access.within_limits(&terms, &subjects(&self.open_now(now)))?;
        self.check_account(&terms)?;
        self.check_asked(Errand::Open, &terms, &basis, signed.as_deref())?;
        let ground = Ground { basis, opened_by: actor.to_owned().into(), break_glass: false, request: None, rule: None };
        let session = self.session_of(&terms, ground, now)?;
        let mut detail = json!({
            "reason": session.reason.as_str(), "expires": rfc3339(session.expires()), "by": actor, "opened_by": actor,
            "basis": session.basis.as_str(), "account": session.account.as_deref(), "role": session.role.as_deref(),
        });
        set_signed(&mut detail, signed.as_deref());
        self.open_recorded(StoredSession { session, recorded: true, opener: Vec::new(), reviewer: None, notice: None }, detail)
            .await
    }

    /// Opens a session before anybody approved. Those who are to be told are told after it is open, however that goes.
    pub async fn break_glass(self: &Arc<Self>, grant: Grant, by: By, actor: &Actor) -> Result<Arc<Session>, SessionError> {
        let terms = grant.terms()?;
        let By { basis, signed } = by;
        let giving = self.giving.lock().await;
        self.refuse_barred(&terms.principal, terms.acting_for.as_deref())?;
        self.access.break_glass(&terms)?;
        self.check_account(&terms)?;
        self.check_asked(Errand::BreakGlass, &terms, &basis, signed.as_deref())?;
        let ground = Ground { basis, opened_by: actor.word().clone(), break_glass: true, request: None, rule: None };
        let session = self.session_of(&terms, ground, self.clock.now())?;
        // What nobody could sign a review of is not opened.
        self.review_statement(&session, "sealgate", Some("looked at it"))?;
        let by = actor.word().as_str();
        let mut detail = json!({
            "reason": session.reason.as_str(), "expires": rfc3339(session.expires()), "by": by, "opened_by": by,
            "break_glass": true, "basis": session.basis.as_str(), "account": session.account.as_deref(),
            "role": session.role.as_deref(),
        });
        set_signed(&mut detail, signed.as_deref());
        let signer = signed.map(|signed| Text::from(signed.statement().signer.clone()));
        let opener = actor.user().cloned().into_iter().chain(signer).collect();
        let stored = StoredSession { session, recorded: true, opener, reviewer: None, notice: Some(Notice::Owed) };
        let session = self.open_recorded(stored, detail).await?;
        drop(giving);
        self.notify_of(session.clone());
        Ok(session)
    }

    /// A misnamed account is told when it is named, not when the first call needs its credential.
    pub(super) fn check_account(&self, terms: &Terms) -> Result<(), SessionError> {
        Ok(self.sources.check(terms.account.as_deref(), terms.role.as_deref())?)
    }

    /// A session of these terms from `now` on, never past its window's end.
    pub(super) fn session_of(&self, terms: &Terms, ground: Ground, now: i64) -> Result<Session, SessionError> {
        let closes = self.open_window_closes(&terms.window, now)?;
        let Ground { basis, opened_by, break_glass, request, rule } = ground;
        Ok(Session::open(Opening {
            id: token::new_id('S').into(),
            window: terms.window.clone(),
            principal: terms.principal.clone(),
            principal_kind: terms.principal_kind,
            acting_for: terms.acting_for.clone(),
            basis,
            account: terms.account.clone(),
            role: terms.role.clone(),
            break_glass,
            opened_by,
            request,
            rule,
            reason: terms.reason.clone(),
            opened: now,
            expires: now.saturating_add(terms.duration).min(closes),
        }))
    }

    /// The sessions that are open, for limits.
    pub(super) fn open_now(&self, now: i64) -> Vec<Arc<Session>> {
        self.table().open_sessions(now).cloned().collect()
    }

    /// Writes a session down, and lets it take effect. A crash between the two leaves a session on record that nobody was told of
    /// and that can't call.
    async fn open_recorded(&self, stored: StoredSession, detail: serde_json::Value) -> Result<Arc<Session>, SessionError> {
        self.record(&stored.session, Kind::SessionOpen, detail).await?;
        self.store.add_session(&stored).await?;
        let StoredSession { session, opener, reviewer, notice, .. } = stored;
        let held = Held { session: Arc::new(session), opener, reviewer, notice };
        Ok(self.take_effect(held))
    }

    pub(super) fn take_effect(&self, held: Held) -> Arc<Session> {
        let session = held.session.clone();
        self.table_mut().sessions.insert(session.id.clone(), held);
        self.times.notify_one();
        session
    }
}
