//! Windows and sessions: opened, ended, looked up. Every act here is a record.
//!
//! Order of an act: what takes a right away takes effect in memory first, then in the store, then in the ledger; what
//! gives a right is written first and takes effect last. [`token`] has the proxy credential, [`store`] the database.

pub mod env;
mod reconcile;
pub mod right;
pub mod store;
pub mod token;

use crate::{
    clock::{Clock, date_of, rfc3339},
    ledger::{Draft, Ledger, LedgerError, journal::Standing},
    limits::{REASON_BYTES_MAX, STANDING_WINDOWS_MAX, TIME_BOX_MAX},
};
use arc_swap::ArcSwapOption;
use sealgate_policies::session::{Opening, PrincipalKind, Session, Status};
use sealgate_schema::{
    Text,
    id::check_name,
    record::{Fields, Kind},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use store::{Store, Window, WindowState};
use token::TokenKey;

/// Why an act was not done. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The caller's word is off.
    #[error("{0}")]
    Invalid(String),
    /// No such window or session.
    #[error("{0}")]
    NotFound(String),
    /// It can't be done as things stand.
    #[error("{0}")]
    Conflict(String),
    /// The ledger can't be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database can't be used.
    #[error("the database can't be used: {0}")]
    Store(#[from] sqlx::Error),
}

/// A session that is asked for.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The window.
    pub window: String,
    /// Who acts.
    pub principal: String,
    /// What the principal is.
    pub kind: PrincipalKind,
    /// For whom.
    pub acting_for: Option<String>,
    /// Name of the account to sign with.
    pub account: Option<String>,
    /// Role to assume there.
    pub role: Option<String>,
    /// How long.
    pub duration: jiff::SignedDuration,
    /// Why.
    pub reason: String,
}

/// All windows and sessions of this gateway.
#[derive(Debug)]
pub struct Sessions {
    store: Store,
    table: RwLock<Table>,
    standing: ArcSwapOption<Text>,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    tokens: TokenKey,
}

#[derive(Debug, Default)]
struct Table {
    windows: BTreeMap<Text, Window>,
    sessions: HashMap<Text, Arc<Session>>,
    /// Ends that took effect and are not in the store and the ledger yet.
    ends: BTreeMap<Text, End>,
}

/// How and why a session ended.
#[derive(Debug, Clone)]
struct End {
    how: Status,
    detail: serde_json::Value,
}

impl Sessions {
    /// Loads the store and reconciles it with the ledgers that are open.
    pub async fn load(
        store: Store,
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        tokens: TokenKey,
        open_ledgers: &[Standing],
        is_sealed: &dyn Fn(&str) -> bool,
    ) -> Result<Self, SessionError> {
        let windows = reconcile::windows(&store, open_ledgers, is_sealed, clock.now()).await?;
        let sessions = store.sessions().await?.into_iter().map(|session| (session.id.clone(), Arc::new(session))).collect();
        let table = RwLock::new(Table { windows, sessions, ends: BTreeMap::new() });
        Ok(Self { store, table, standing: ArcSwapOption::empty(), ledger, clock, tokens })
    }

    /// The session of a proxy credential, whatever its state; `None` where the credential is not one.
    pub fn authenticate(&self, session: &str, token: &str) -> Option<Arc<Session>> {
        // The check comes first: a wrong token learns nothing about which sessions exist.
        if !self.tokens.check(session, token) {
            return None;
        }
        self.table().sessions.get(session).cloned()
    }

    /// The token of a session.
    pub fn token(&self, session: &str) -> zeroize::Zeroizing<String> {
        self.tokens.token(session)
    }

    /// A session by id.
    pub fn session(&self, id: &str) -> Result<Arc<Session>, SessionError> {
        let found = self.table().sessions.get(id).cloned();
        found.ok_or_else(|| SessionError::NotFound(format!("there is no session {id}; see: sealgate session list")))
    }

    /// A principal's sessions that may call now.
    pub fn open_of(&self, principal: &str, kind: PrincipalKind) -> Vec<Arc<Session>> {
        let now = self.clock.now();
        let theirs = |session: &&Arc<Session>| *session.principal == *principal && session.principal_kind == kind;
        let table = self.table();
        table.sessions.values().filter(theirs).filter(|session| session.status(now) == Status::Open).cloned().collect()
    }

    /// All sessions, oldest first.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let mut sessions: Vec<_> = self.table().sessions.values().cloned().collect();
        sessions.sort_by(|a, b| (a.opened, &a.id).cmp(&(b.opened, &b.id)));
        sessions
    }

    /// All windows, oldest first.
    pub fn windows(&self) -> Vec<Window> {
        let mut windows: Vec<_> = self.table().windows.values().cloned().collect();
        windows.sort_by(|a, b| (a.opened, &a.id).cmp(&(b.opened, &b.id)));
        windows
    }

    /// The standing window of the day, for calls without a session. `None` only before the first housekeeping.
    pub fn standing_window(&self) -> Option<Arc<Text>> {
        self.standing.load_full()
    }

    /// Opens a change window.
    pub async fn open_window(
        &self,
        id: &str,
        title: &str,
        duration: jiff::SignedDuration,
        actor: &str,
    ) -> Result<Window, SessionError> {
        check_name("window", id).map_err(|error| SessionError::Invalid(error.to_string()))?;
        check_text("title", title)?;
        if id.starts_with("day-") {
            return Err(SessionError::Invalid("names that start with day- are the gateway's own; choose another".to_owned()));
        }
        let opened = self.clock.now();
        let closes = opened.saturating_add(time_box(duration)?);
        let window = Window {
            id: id.to_owned().into(),
            title: title.to_owned().into(),
            opened,
            closes,
            standing: false,
            state: WindowState::Open,
        };
        self.add_window(window, actor).await
    }

    async fn add_window(&self, window: Window, actor: &str) -> Result<Window, SessionError> {
        let detail = json!({ "title": window.title.as_str(), "closes": rfc3339(window.closes), "by": actor });
        self.ledger.open_window(window.id.clone(), detail.to_string().into()).await?;
        // From here on the window exists, whatever becomes of the store: the next start learns of it from the ledger.
        self.table_mut().windows.insert(window.id.clone(), window.clone());
        self.store.add_window(&window).await?;
        Ok(window)
    }

    /// Closes a window: ends its sessions, waits for its calls, seals it.
    pub async fn close_window(&self, id: &str, actor: &str) -> Result<(), SessionError> {
        self.begin_close(id, actor)?;
        self.seal_window(id, actor).await
    }

    /// Seals a window that takes no calls any more. Can be tried again.
    async fn seal_window(&self, id: &str, actor: &str) -> Result<(), SessionError> {
        self.store.set_window_state(id, WindowState::Closing).await?;
        self.finish_ends().await?;
        self.ledger.close_window(id.to_owned().into(), json!({ "by": actor })).await?;
        self.set_state(id, WindowState::Sealed);
        self.store.set_window_state(id, WindowState::Sealed).await?;
        Ok(())
    }

    /// Marks the window and ends its sessions, so that no new call of it is permitted from here on.
    fn begin_close(&self, id: &str, actor: &str) -> Result<(), SessionError> {
        let mut table = self.table_mut();
        let Table { windows, sessions, ends } = &mut *table;
        let missing = || SessionError::NotFound(format!("there is no window {id}; see: sealgate window list"));
        let window = windows.get_mut(id).ok_or_else(missing)?;
        if window.state != WindowState::Open {
            return Err(SessionError::Conflict(format!("window {id} is {} already", window.state.as_str())));
        }
        window.state = WindowState::Closing;
        let now = self.clock.now();
        for session in sessions.values().filter(|session| session.window == *id) {
            begin_end(session, now, Status::Closed, json!({ "by": actor, "why": "the window was closed" }), ends);
        }
        Ok(())
    }

    fn set_state(&self, id: &str, state: WindowState) {
        if let Some(window) = self.table_mut().windows.get_mut(id) {
            window.state = state;
        }
    }

    /// Opens a session.
    pub async fn open_session(&self, grant: Grant, actor: &str) -> Result<Arc<Session>, SessionError> {
        check_text("reason", &grant.reason)?;
        for (what, name) in [("principal", Some(&grant.principal)), ("acting-for", grant.acting_for.as_ref())] {
            name.map_or(Ok(()), |name| check_principal(what, name))?;
        }
        if grant.kind == PrincipalKind::Human && grant.acting_for.is_some() {
            return Err(SessionError::Invalid(
                "a human acts for nobody: leave out --acting-for, or use --kind agent or workload".to_owned(),
            ));
        }
        let now = self.clock.now();
        let window_closes = self.open_window_closes(&grant.window, now)?;
        let expires = now.saturating_add(time_box(grant.duration)?).min(window_closes);
        let session = Arc::new(Session::open(Opening {
            id: token::new_session_id().into(),
            window: grant.window.into(),
            principal: grant.principal.into(),
            principal_kind: grant.kind,
            acting_for: grant.acting_for.map(Text::from),
            basis: format!("word of {actor}").into(),
            account: grant.account.map(Text::from),
            role: grant.role.map(Text::from),
            break_glass: false,
            reason: grant.reason.into(),
            opened: now,
            expires,
        }));
        let detail = json!({ "reason": session.reason.as_str(), "expires": rfc3339(expires), "by": actor });
        self.record(&session, Kind::SessionOpen, detail).await?;
        self.store.add_session(&session).await?;
        self.table_mut().sessions.insert(session.id.clone(), session.clone());
        Ok(session)
    }

    fn open_window_closes(&self, id: &str, now: i64) -> Result<i64, SessionError> {
        let table = self.table();
        match table.windows.get(id) {
            None => Err(SessionError::NotFound(format!(
                "there is no window {id}; open it: sealgate window open {id} --title \"...\" --for 4h"
            ))),
            Some(window) if window.state != WindowState::Open || window.closes <= now => Err(SessionError::Conflict(format!(
                "window {id} is over; open another: sealgate window open NAME --title \"...\" --for 4h"
            ))),
            Some(window) => Ok(window.closes),
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
            begun || ends.contains_key(id)
        };
        if !begun {
            let status = session.status(self.clock.now());
            return Err(SessionError::Conflict(format!("session {id} is {status} already")));
        }
        self.finish_ends().await
    }

    /// Writes down the ends that took effect: into the store, so that no restart undoes them, then into the ledger.
    async fn finish_ends(&self) -> Result<(), SessionError> {
        let ends = self.table().ends.clone();
        for (id, end) in ends {
            let session = self.session(&id)?;
            self.store.end_session(&id, end.how).await?;
            let kind = match end.how {
                Status::Revoked => Kind::SessionRevoke,
                Status::Expired => Kind::SessionExpire,
                Status::Closed | Status::Open => Kind::SessionClose,
            };
            match self.record(&session, kind, end.detail).await {
                // Sealed in the meantime: its window_close is the end of all its sessions.
                Ok(()) | Err(SessionError::Ledger(LedgerError::WindowClosed(_))) => drop(self.table_mut().ends.remove(&id)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn record(&self, session: &Session, kind: Kind, detail: serde_json::Value) -> Result<(), SessionError> {
        let mut fields = Fields::new(kind);
        describe(session, &mut fields);
        fields.detail = Some(detail.to_string().into());
        self.ledger.record(session.window.clone(), Draft::new(fields)).await?;
        Ok(())
    }

    /// What time has brought: sessions expired, windows over, a new day. Called at the start and then every moment. One
    /// trouble does not keep the others from being done; the first is returned.
    pub async fn housekeep(&self) -> Result<(), SessionError> {
        let now = self.clock.now();
        let mut done = self.standing_of(&date_of(now)).await;
        {
            let mut table = self.table_mut();
            let Table { sessions, ends, .. } = &mut *table;
            for session in sessions.values().filter(|session| session.expires() <= now) {
                begin_end(session, now, Status::Expired, json!({}), ends);
            }
        }
        done = done.and(self.finish_ends().await);
        let over: Vec<_> = {
            let table = self.table();
            let over = |window: &&Window| window.state == WindowState::Open && window.closes <= now;
            table.windows.values().filter(over).map(|window| window.id.clone()).collect()
        };
        for id in over {
            done = done.and(self.close_window(&id, "sealgate: its time was over").await);
        }
        done
    }

    /// Finishes what a stop interrupted: windows that were closing.
    pub async fn resume_closing(&self) -> Result<(), SessionError> {
        for window in self.windows().into_iter().filter(|window| window.state == WindowState::Closing) {
            self.seal_window(&window.id, "sealgate: after a restart").await?;
        }
        Ok(())
    }

    /// Opens the day's window where none is open. The one of the day before closes by its own time.
    async fn standing_of(&self, date: &str) -> Result<(), SessionError> {
        let first = format!("day-{date}");
        let current = self.standing.load_full();
        let open = |id: &str| self.table().windows.get(id).map(|window| window.state == WindowState::Open);
        if current.is_some_and(|id| (**id == *first || id.starts_with(&format!("{first}."))) && open(&id) == Some(true)) {
            return Ok(());
        }
        // A day's window that is sealed already (the clock went back over midnight) gets a successor; so does one that the
        // windows log knows and the ledger does not (a crash came before its first record).
        let names = std::iter::once(first.clone()).chain((2..=STANDING_WINDOWS_MAX).map(|number| format!("{first}.{number}")));
        for id in names.filter(|id| open(id) != Some(false)).map(Text::from) {
            if open(&id).is_none() {
                match self.add_window(standing_window(id.clone(), self.clock.now()), "sealgate").await {
                    Ok(_) => {}
                    Err(SessionError::Ledger(LedgerError::WindowExists(_))) => continue,
                    Err(error) => return Err(error),
                }
            }
            self.standing.store(Some(Arc::new(id)));
            return Ok(());
        }
        Err(SessionError::Conflict(format!("{first} has {STANDING_WINDOWS_MAX} windows already: look at the clock")))
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.store.close().await;
    }

    // A panic while a lock is held can't leave the maps half-changed: each change is one insert or one assignment.
    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gateway's own window of a day, from now to midnight UTC.
fn standing_window(id: Text, opened: i64) -> Window {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    let closes = opened.saturating_sub(opened.rem_euclid(DAY)).saturating_add(DAY);
    Window { id, title: "calls without a session".into(), opened, closes, standing: true, state: WindowState::Open }
}

/// Ends a session in memory, as expired where its time was over already, and notes what is to be written down.
fn begin_end(session: &Session, now: i64, how: Status, mut detail: serde_json::Value, ends: &mut BTreeMap<Text, End>) -> bool {
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

/// Fills in who acts.
pub fn describe(session: &Session, fields: &mut Fields) {
    fields.session = Some(session.id.clone());
    fields.principal = Some(session.principal.clone());
    fields.principal_kind = Some(session.principal_kind.as_str().into());
    fields.acting_for = session.acting_for.clone();
}

/// A duration in microseconds, within what a time box may be.
fn time_box(duration: jiff::SignedDuration) -> Result<i64, SessionError> {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    if micros <= 0 || micros > TIME_BOX_MAX.as_micros() as i64 {
        let days = TIME_BOX_MAX.as_secs() / 86_400;
        return Err(SessionError::Invalid(format!(
            "a time box is longer than nothing and at most {days} days, for example 1h or 90m"
        )));
    }
    Ok(micros)
}

/// Refuses what is no line of text that a record can carry.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), SessionError> {
    if text.trim().is_empty() || text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(SessionError::Invalid(format!("the {what} is a line of 1 to {REASON_BYTES_MAX} bytes; this one is not")));
    }
    Ok(())
}

fn check_principal(what: &str, name: &str) -> Result<(), SessionError> {
    let plain = |c: char| !c.is_control() && !c.is_whitespace();
    if name.is_empty() || name.len() > 256 || !name.chars().all(plain) {
        return Err(SessionError::Invalid(format!("{what} {name:?} is not a name: 1 to 256 bytes without blanks")));
    }
    Ok(())
}
