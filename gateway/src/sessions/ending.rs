//! How sessions end, and principals that get no more of them. An end takes effect in memory, for every connection at once; then it
//! is written into the store, so that no restart undoes it, then into the ledger.

use super::{SessionError, Sessions, Table, actor::Actor, check_text, store::Barred, terms::check_principal};
use crate::{
    clock::{date_of, rfc3339},
    ledger::LedgerError,
    limits::EXPIRY_LOOK_MAX,
};
use sealgate_policies::session::{Session, Status};
use sealgate_schema::{Text, record::Kind};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::watch;

use super::store::WindowState;

/// How and why a session ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    how: Status,
    detail: serde_json::Value,
}

impl Sessions {
    /// Changes whenever a session ended or a principal was barred, expiry too. Who holds a stream open looks again at its session
    /// when it does.
    pub fn endings(&self) -> watch::Receiver<u64> {
        self.endings.subscribe()
    }

    pub(crate) fn tell_endings(&self, any: bool) {
        if any {
            self.endings.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Ends a session: `Closed` by its owner, `Revoked` by somebody else. Takes effect before it is written down; where
    /// that fails, the error says so, and it is tried again by housekeeping and by another call.
    pub async fn end_session(&self, id: &str, how: Status, actor: &str, why: &str) -> Result<(), SessionError> {
        let session = self.session(id)?;
        let begun = {
            let mut table = self.table_mut();
            let open = session.status(self.clock.now()) == Status::Open;
            let ends = &mut table.ends;
            let begun = open && begin_end(&session, self.clock.now(), how, json!({ "by": actor, "why": why }), ends);
            self.tell_endings(begun);
            begun || ends.contains_key(id)
        };
        if !begun {
            let status = session.status(self.clock.now());
            return Err(SessionError::Conflict(format!("session {id} is {status} already")));
        }
        self.finish_ends().await
    }

    /// Ends every session of a principal, and every one in which somebody acts for them, and gives them none until
    /// [`Sessions::allow_principal`]. Returns how many ended.
    pub async fn revoke_principal(&self, principal: &str, actor: &Actor, why: &str) -> Result<usize, SessionError> {
        check_principal("principal", principal)?;
        check_text("reason", why)?;
        let (by, reason) = (actor.word().clone(), Text::from(why.to_owned()));
        let barred = Barred { principal: principal.to_owned().into(), since: self.clock.now(), by, reason };
        self.table_mut().barred.entry(barred.principal.clone()).or_insert_with(|| barred.clone());
        let ended = self.begin_ends(&concerns(principal), actor, why);
        self.tell_endings(true);
        self.store.bar(&barred).await?;
        self.finish_ends().await?;
        let detail =
            json!({ "act": "principal_revoke", "principal": principal, "ended": ended, "by": actor.word().as_str(), "why": why });
        self.administer(None, detail).await?;
        Ok(ended)
    }

    /// Lets a principal have sessions again. Those that ended stay so.
    pub async fn allow_principal(&self, principal: &str, actor: &Actor, why: &str) -> Result<(), SessionError> {
        check_text("reason", why)?;
        let _giving = self.giving.lock().await;
        if !self.table().barred.contains_key(principal) {
            return Err(SessionError::Conflict(format!("{principal} is not revoked; see: sealgate session revoked")));
        }
        let detail = json!({ "act": "principal_allow", "principal": principal, "by": actor.word().as_str(), "why": why });
        self.administer(None, detail).await?;
        self.store.unbar(principal).await?;
        self.table_mut().barred.remove(principal);
        Ok(())
    }

    /// Ends every session of a window, which stays open. Returns how many ended.
    pub async fn revoke_window(&self, window: &str, actor: &Actor, why: &str) -> Result<usize, SessionError> {
        check_text("reason", why)?;
        if !self.table().windows.contains_key(window) {
            return Err(SessionError::NotFound(format!("there is no window {window}; see: sealgate window list")));
        }
        let ended = self.begin_ends(&|session| *session.window == *window, actor, why);
        self.tell_endings(ended > 0);
        self.finish_ends().await?;
        Ok(ended)
    }

    /// The principals that get no session.
    pub fn barred(&self) -> Vec<Barred> {
        self.table().barred.values().cloned().collect()
    }

    /// Refuses principals that are revoked, and those who act for one.
    pub(super) fn refuse_barred(&self, principal: &str, acting_for: Option<&str>) -> Result<(), SessionError> {
        let table = self.table();
        let barred = std::iter::once(principal).chain(acting_for).find_map(|name| table.barred.get(name));
        barred.map_or(Ok(()), |barred| {
            let (name, why) = (&barred.principal, &barred.reason);
            let since = rfc3339(barred.since);
            Err(SessionError::Forbidden(format!(
                "{name} is revoked since {since} ({why}); to allow sessions again: sealgate session allow --principal {name}"
            )))
        })
    }

    fn begin_ends(&self, which: &dyn Fn(&Session) -> bool, actor: &Actor, why: &str) -> usize {
        let now = self.clock.now();
        let mut table = self.table_mut();
        let Table { sessions, ends, .. } = &mut *table;
        let open =
            sessions.values().map(|held| &held.session).filter(|session| which(session) && session.status(now) == Status::Open);
        let detail = json!({ "by": actor.word().as_str(), "why": why });
        open.filter(|session| begin_end(session, now, Status::Revoked, detail.clone(), ends)).count()
    }

    /// Writes down the ends that took effect: into the store, so that no restart undoes them, then into the ledger.
    pub(super) async fn finish_ends(&self) -> Result<(), SessionError> {
        let ends = self.table().ends.clone();
        for (id, end) in ends {
            let session = self.session(&id)?;
            self.sources.forget(&id);
            self.store.end_session(&id, end.how).await?;
            let kind = match end.how {
                Status::Revoked => Kind::SessionRevoke,
                Status::Expired => Kind::SessionExpire,
                Status::Closed | Status::Open => Kind::SessionClose,
            };
            match self.record(&session, kind, end.detail).await {
                // Sealed in the meantime: its window_close is the end of all its sessions.
                Ok(_) | Err(SessionError::Ledger(LedgerError::WindowClosed(_))) => drop(self.table_mut().ends.remove(&id)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What time has brought: sessions and requests expired, windows over, a new day; and what could not be written before.
    /// Called at the start and then every moment. One trouble does not keep the others from being done; the first is returned.
    pub async fn housekeep(&self) -> Result<(), SessionError> {
        let now = self.clock.now();
        let mut done = self.standing_of(&date_of(now)).await;
        done = done.and(self.finish_effects().await);
        self.expire(now);
        self.lapse(now);
        done = done.and(self.finish_ends().await);
        done = done.and(self.finish_lapses().await);
        let over: Vec<_> = {
            let table = self.table();
            let over = |window: &&super::store::Window| window.state == WindowState::Open && window.closes <= now;
            table.windows.values().filter(over).map(|window| window.id.clone()).collect()
        };
        for id in over {
            done = done.and(self.close_window(&id, "sealgate: its time was over").await);
        }
        done
    }

    /// Ends the sessions whose time is over, each at its very instant. Runs until it is dropped, which loses nothing: a call
    /// asks its session's time itself, and housekeeping looks too.
    pub async fn watch_times(&self) {
        loop {
            let times = self.times.notified();
            let now = self.clock.now();
            self.expire(now);
            let next = self.table().open_sessions(now).map(|session| session.expires()).min();
            let wait = next.map_or(EXPIRY_LOOK_MAX, |next| Duration::from_micros(u64::try_from(next - now).unwrap_or(0)));
            // Both losers are only a reason to look again.
            tokio::select! {
                () = times => {}
                () = tokio::time::sleep(wait.min(EXPIRY_LOOK_MAX)) => {}
            }
        }
    }

    fn expire(&self, now: i64) {
        let mut any = false;
        let mut table = self.table_mut();
        let Table { sessions, ends, .. } = &mut *table;
        for held in sessions.values().filter(|held| held.session.expires() <= now) {
            any |= begin_end(&held.session, now, Status::Expired, json!({}), ends);
        }
        drop(table);
        self.tell_endings(any);
    }
}

/// The sessions of a principal, and those in which somebody acts for them.
fn concerns(principal: &str) -> impl Fn(&Session) -> bool {
    move |session| *session.principal == *principal || session.acting_for.as_deref() == Some(principal)
}

/// Ends a session in memory, as expired where its time was over already, and notes what is to be written down.
pub(super) fn begin_end(
    session: &Session,
    now: i64,
    how: Status,
    mut detail: serde_json::Value,
    ends: &mut BTreeMap<Text, End>,
) -> bool {
    let how = if session.expires() <= now { Status::Expired } else { how };
    if how == Status::Expired {
        detail = json!({ "expired": rfc3339(session.expires()) });
    }
    let ended = session.end(how);
    if ended {
        ends.insert(session.id.clone(), End { how, detail });
    }
    ended
}
