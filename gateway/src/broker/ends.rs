//! How credentials end before their sessions, and what becomes of those that are over.

use super::{Broker, credential::Ended};
use crate::{ledger::LedgerError, limits::CREDENTIAL_KEPT, sessions::SessionError};
use sealgate_policies::session::{Session, Status};
use sealgate_schema::{Text, record::Kind};
use serde_json::json;
use std::sync::Arc;

impl Broker {
    /// Revokes one, and with it all that were got with it. It takes effect before it is written down; where that fails, the error
    /// says so, and housekeeping tries again.
    pub async fn revoke(&self, id: &str, by: &str, why: &str) -> Result<(), SessionError> {
        crate::sessions::check_text("reason", why)?;
        let (issued, learnt) = {
            let table = self.table();
            (table.issued.get(id).cloned(), table.learnt.get(id).cloned())
        };
        let new = match (&issued, &learnt) {
            (Some(credential), _) => credential.revoke(),
            (None, Some(learnt)) => learnt.revoke(),
            (None, None) => {
                return Err(SessionError::NotFound(format!("there is no credential {id}; see: sealgate credentials list")));
            }
        };
        if new {
            self.ends().insert(id.to_owned().into(), json!({ "by": by, "why": why }));
            self.sessions.tell_endings(true);
        } else if !self.ends().contains_key(id) {
            return Err(SessionError::Conflict(format!("credential {id} is revoked already")));
        }
        self.finish_ends().await
    }

    /// Writes down what was revoked and is not written yet, and forgets what is over.
    pub async fn housekeep(&self) -> Result<(), SessionError> {
        let done = self.finish_ends().await;
        done.and(self.forget(self.clock.now()).await)
    }

    async fn finish_ends(&self) -> Result<(), SessionError> {
        let ends = self.ends().clone();
        for (id, detail) in ends {
            let Some((session, chain)) = self.known(&id) else { continue };
            self.rows.revoke(&id).await?;
            match self.write_down(Kind::CredentialRevoke, &session, &chain, detail).await {
                // Sealed in the meantime: its window_close is the end of all its sessions.
                Ok(()) | Err(SessionError::Ledger(LedgerError::WindowClosed(_))) => drop(self.ends().remove(&id)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn known(&self, id: &str) -> Option<(Arc<Session>, Vec<Text>)> {
        let table = self.table();
        let issued = table.issued.get(id).map(|credential| (credential.session.clone(), credential.chain()));
        issued.or_else(|| table.learnt.get(id).map(|learnt| (learnt.session.clone(), learnt.chain())))
    }

    /// Secrets leave the store as soon as nothing can be signed with them. The ids are known a while longer, so that a late call is
    /// told why it is refused.
    async fn forget(&self, now: i64) -> Result<(), SessionError> {
        let kept = i64::try_from(CREDENTIAL_KEPT.as_micros()).unwrap_or(i64::MAX);
        // When each was over, of those that are.
        let over = |session: &Session, ended: Option<Ended>, expires: i64| {
            let ended = session.status(now) != Status::Open || ended == Some(Ended::Expired);
            ended.then(|| expires.min(session.expires()))
        };
        let mut gone = Vec::new();
        {
            let table = self.table();
            let issued = table.issued.values().map(|held| (&held.id, over(&held.session, held.ended(now), held.expires())));
            let learnt = table.learnt.values().map(|held| (&held.id, over(&held.session, held.ended(now), held.expires())));
            gone.extend(issued.chain(learnt).filter_map(|(id, over)| Some((id.clone(), over?, table.unstored.contains(id)))));
        }
        for (id, over, unstored) in gone {
            if !unstored {
                self.rows.forget(&id).await?;
                self.table_mut().unstored.insert(id.clone());
            }
            if over.saturating_add(kept) <= now && !self.ends().contains_key(&id) {
                self.table_mut().remove(&id);
            }
        }
        Ok(())
    }
}
