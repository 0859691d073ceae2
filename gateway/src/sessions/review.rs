//! What break-glass owes: a different person looks at what was done, and signs that they did.
//!
//! A review can come after the window is sealed. Its record is then in the ledger of the day, and says which window and session it
//! is about.

use super::{SessionError, Sessions, actor::Actor, details::set, signers::Sent};
use crate::ledger::{Draft, LedgerError};
use sealgate_schema::{
    Text,
    record::{Fields, Kind},
};
use serde_json::json;

impl Sessions {
    /// Takes somebody's signed review of a session that was opened by break-glass.
    pub async fn review(&self, id: &str, sent: &Sent, actor: &Actor) -> Result<(), SessionError> {
        let _giving = self.giving.lock().await;
        let held = self.held(id)?;
        let session = &held.session;
        let verdict = self.verdict_on(session, sent, self.clock.now())?;
        if *session.basis == *format!("ssh {}", verdict.signer.key) {
            let why = format!("session {id} was opened with this key: a different person has to review it");
            return Err(SessionError::Forbidden(why));
        }
        let opener: Vec<_> = held.opener.iter().map(Text::as_str).collect();
        session.may_review(&verdict.signer, &opener)?;
        let mut detail = verdict.detail(actor);
        set(&mut detail, "session", json!(id));
        set(&mut detail, "change_window", json!(session.window.as_str()));
        let mut fields = Fields { detail: Some(detail.to_string().into()), ..Fields::new(Kind::SessionReview) };
        super::describe(session, &mut fields);
        match self.ledger.record(session.window.clone(), Draft::new(fields.clone())).await {
            Err(LedgerError::WindowClosed(_)) => {
                let standing = self.standing_window().ok_or(LedgerError::Stopping)?;
                self.ledger.record((*standing).clone(), Draft::new(fields)).await?;
            }
            other => drop(other?),
        }
        let reviewer = verdict.signer.name;
        self.store.set_reviewer(id, &reviewer).await?;
        session.review();
        if let Some(held) = self.table_mut().sessions.get_mut(id) {
            held.reviewer = Some(reviewer);
        }
        Ok(())
    }

    /// The sessions that owe a review, oldest first.
    pub fn unreviewed(&self) -> Vec<Text> {
        self.sessions().iter().filter(|session| session.is_unreviewed()).map(|session| session.id.clone()).collect()
    }
}
