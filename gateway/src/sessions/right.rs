//! The right to go on: what a call that is under way, an answer that streams or a tunnel watches, so that a revocation cuts it.

use crate::{broker::Brokered, clock::Clock};
use sealgate_policies::session::{Session, Status};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long a right is believed without being looked at: the bound on how late its end is seen where no word of it came, for
/// example because the clock was set.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a call under way rests on.
#[derive(Debug, Clone)]
pub struct Right {
    /// The session; a call without one is cut by nobody.
    pub session: Option<Arc<Session>>,
    /// The credential that signed it.
    pub credential: Option<Arc<Brokered>>,
    /// The clock of the time box.
    pub clock: Arc<dyn Clock>,
    /// Changes with every end of a session or credential.
    pub endings: watch::Receiver<u64>,
}

impl Right {
    /// Resolves when the call may not go on, and says why; never where there is no session.
    pub async fn over(mut self) -> String {
        let Some(session) = self.session.clone() else { return std::future::pending().await };
        loop {
            // Before the state is looked at: an end in between is then a change that is not missed.
            self.endings.mark_unchanged();
            let now = self.clock.now();
            if let Some(why) = self.ended(&session, now) {
                return why;
            }
            let left = u64::try_from(session.expires().saturating_sub(now)).unwrap_or(0);
            let wait = Duration::from_micros(left).min(LOOK_EVERY);
            // The loser is a timer, or a wait for a change; neither has done anything. A sender that is gone is a gateway that stops.
            tokio::select! {
                _ = self.endings.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn ended(&self, session: &Session, now: i64) -> Option<String> {
        match session.status(now) {
            Status::Open => {}
            Status::Expired => return Some(format!("session {} expired", session.id)),
            ended => return Some(format!("session {} was {ended}", session.id)),
        }
        let credential = self.credential.as_ref()?;
        credential.ended(now).filter(|ended| ended.cuts()).map(|ended| format!("credential {} {}", credential.id, ended.as_str()))
    }
}
