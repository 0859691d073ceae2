//! Windows and sessions: asked for, approved, opened, ended, reviewed, looked up. Every act here is a record.
//!
//! - [`windows`]: the intervals · [`opening`]: sessions on an operator's own word, and break-glass
//! - [`asked`]: what is signed to ask · [`requests`]: requests and approvals · [`grants`]: what they lead to · [`signers`]: whose signature it is
//! - [`ending`]: ends, principals that get nothing, time · [`review`]: what break-glass owes
//! - [`notify`]: who is told of break-glass · [`actor`]: who is at the admin socket
//! - [`token`]: the proxy credential · [`mod@env`]: a tool's environment · [`store`]: the database
//!
//! Order of an act: what takes a right away takes effect in memory first, then in the store, then in the ledger; what
//! gives a right is written first, into the ledger and then the store, and takes effect last. What a request leads to is noted
//! in the store before either, so that a crash in between leaves it to the next start ([`requests`]).

pub mod actor;
pub mod asked;
mod details;
pub mod ending;
pub mod env;
pub mod grants;
pub mod notify;
pub mod opening;
mod reconcile;
pub mod requests;
pub mod review;
pub mod right;
pub mod signers;
pub mod store;
mod terms;
pub mod token;
pub mod windows;

use crate::{
    clock::Clock,
    egress::credentials::{SourceError, Sources},
    ledger::{Draft, Ledger, LedgerError, Placed, journal::Standing},
};
use arc_swap::ArcSwapOption;
use ending::End;
use grants::Effect;
use notify::Notifier;
use sealgate_policies::{
    access::{Access, Beyond},
    request::RequestError,
    session::{PrincipalKind, Session, StateError, Status},
};
use sealgate_schema::{
    Text,
    record::{Fields, Kind},
};
use signers::Approvers;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use store::{Barred, Notice, Store, StoredRequest, StoredSession, Window};
pub use terms::Grant;
pub(crate) use terms::check_text;
use token::TokenKey;
use tokio::sync::{Mutex, Notify, watch};

/// Why an act was not done. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The caller's word is off.
    #[error("{0}")]
    Invalid(String),
    /// No such window, session or request.
    #[error("{0}")]
    NotFound(String),
    /// It can't be done as things stand.
    #[error("{0}")]
    Conflict(String),
    /// Not by this person, or not for this one.
    #[error("{0}")]
    Forbidden(String),
    /// The ledger can't be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database can't be used.
    #[error("the database can't be used: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<Beyond> for SessionError {
    fn from(error: Beyond) -> Self {
        match error {
            Beyond::Many { .. } => Self::Conflict(error.to_string()),
            _ => Self::Forbidden(error.to_string()),
        }
    }
}

impl From<SourceError> for SessionError {
    fn from(error: SourceError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<RequestError> for SessionError {
    fn from(error: RequestError) -> Self {
        let text = error.to_string();
        match error {
            RequestError::Over { .. } | RequestError::Late(_) | RequestError::Again { .. } | RequestError::Waits { .. } => {
                Self::Conflict(text)
            }
            RequestError::Involved { .. } | RequestError::NotAsked { .. } | RequestError::NotYours { .. } => Self::Forbidden(text),
        }
    }
}

impl From<StateError> for SessionError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Involved { .. } => Self::Forbidden(error.to_string()),
            _ => Self::Conflict(error.to_string()),
        }
    }
}

/// The ledgers as a start found them.
pub struct Ledgers<'a> {
    /// Those that are open.
    pub open: &'a [Standing],
    /// Whether a window is sealed.
    pub is_sealed: &'a dyn Fn(&str) -> bool,
    /// The requests that a window's records lead from ([`grants::request_of`]).
    pub led_from: &'a dyn Fn(&str) -> Result<BTreeSet<String>, String>,
}

/// What windows and sessions stand on.
#[derive(Debug)]
pub struct Start {
    /// The database.
    pub store: Store,
    /// The ledger.
    pub ledger: Ledger,
    /// The clock of records and time boxes.
    pub clock: Arc<dyn Clock>,
    /// Makes and checks proxy credentials.
    pub tokens: TokenKey,
    /// Who may have which session.
    pub access: Access,
    /// Whose signatures count.
    pub approvers: Approvers,
    /// Who is told of break-glass.
    pub notifier: Notifier,
    /// The accounts that sessions may name.
    pub sources: Sources,
    /// This gateway, as statements name it.
    pub gateway: Text,
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
    access: Access,
    approvers: Approvers,
    notifier: Notifier,
    sources: Sources,
    gateway: Text,
    /// Held by each act that gives a right, from its checks to its effect: the next one's limits count what it gave. Acts that
    /// take away never wait for it.
    giving: Mutex<()>,
    endings: watch::Sender<u64>,
    /// Told when a session has another time to expire at.
    times: Notify,
}

#[derive(Debug, Default)]
struct Table {
    windows: BTreeMap<Text, Window>,
    sessions: HashMap<Text, Held>,
    requests: BTreeMap<Text, StoredRequest>,
    barred: BTreeMap<Text, Barred>,
    /// Ends that took effect and are not in the store and the ledger yet.
    ends: BTreeMap<Text, End>,
    /// Requests that nobody can approve any more, which is not in the store and the ledger yet.
    lapses: BTreeSet<Text>,
    /// What approved requests lead to and is not in effect yet, by request.
    effects: BTreeMap<Text, Effect>,
}

/// A session, and what is known of it beside.
#[derive(Debug, Clone)]
struct Held {
    session: Arc<Session>,
    opener: Vec<Text>,
    reviewer: Option<Text>,
    notice: Option<Notice>,
}

/// A session as a listing shows it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The session.
    pub session: Arc<Session>,
    /// Who reviewed it.
    pub reviewer: Option<Text>,
    /// Whether those who are to be told of it were.
    pub notice: Option<Notice>,
}

impl Sessions {
    /// Loads the store and reconciles it with the ledgers as they were found.
    pub async fn load(start: Start, ledgers: &Ledgers<'_>) -> Result<Self, SessionError> {
        let Start { store, ledger, clock, tokens, access, approvers, notifier, sources, gateway } = start;
        let windows = reconcile::windows(&store, ledgers, clock.now()).await?;
        let barred = store.barred().await?.into_iter().map(|barred| (barred.principal.clone(), barred)).collect();
        let mut table = Table { windows, barred, ..Table::default() };
        let mut unrecorded = HashMap::new();
        for StoredSession { session, recorded, opener, reviewer, notice } in store.sessions().await? {
            let (id, session) = (session.id.clone(), Arc::new(session));
            match recorded {
                true => drop(table.sessions.insert(id, Held { session, opener, reviewer, notice })),
                false => drop(unrecorded.insert(id, session)),
            }
        }
        for request in store.requests().await? {
            if let Some(effect) = Effect::left_by(&request, &unrecorded, &table) {
                table.effects.insert(request.request.id.clone(), effect);
            }
            table.requests.insert(request.request.id.clone(), request);
        }
        reconcile::effects(&mut table.effects, ledgers)?;
        Ok(Self {
            store,
            table: RwLock::new(table),
            standing: ArcSwapOption::empty(),
            ledger,
            clock,
            tokens,
            access,
            approvers,
            notifier,
            sources,
            gateway,
            giving: Mutex::new(()),
            endings: watch::channel(0).0,
            times: Notify::new(),
        })
    }

    /// The database, for tables that others keep in it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The session of a proxy credential, whatever its state; `None` where the credential is not one.
    pub fn authenticate(&self, session: &str, token: &str) -> Option<Arc<Session>> {
        // The check comes first: a wrong token learns nothing about which sessions exist.
        if !self.tokens.check(session, token) {
            return None;
        }
        self.table().sessions.get(session).map(|held| held.session.clone())
    }

    /// The token of a session.
    pub fn token(&self, session: &str) -> zeroize::Zeroizing<String> {
        self.tokens.token(session)
    }

    /// A session by id.
    pub fn session(&self, id: &str) -> Result<Arc<Session>, SessionError> {
        self.held(id).map(|held| held.session)
    }

    fn held(&self, id: &str) -> Result<Held, SessionError> {
        let found = self.table().sessions.get(id).cloned();
        found.ok_or_else(|| SessionError::NotFound(format!("there is no session {id}; see: sealgate session list")))
    }

    /// A principal's sessions that may call now.
    pub fn open_of(&self, principal: &str, kind: PrincipalKind) -> Vec<Arc<Session>> {
        let now = self.clock.now();
        let theirs = |session: &&Arc<Session>| *session.principal == *principal && session.principal_kind == kind;
        self.table().open_sessions(now).filter(theirs).cloned().collect()
    }

    /// All sessions, oldest first.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.listed().into_iter().map(|listed| listed.session).collect()
    }

    /// All sessions, oldest first, with what is known beside.
    pub fn listed(&self) -> Vec<Listed> {
        let listed = |held: &Held| {
            let Held { session, reviewer, notice, .. } = held.clone();
            Listed { session, reviewer, notice }
        };
        let mut sessions: Vec<_> = self.table().sessions.values().map(listed).collect();
        sessions.sort_by(|a, b| (a.session.opened, &a.session.id).cmp(&(b.session.opened, &b.session.id)));
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

    async fn record(&self, session: &Session, kind: Kind, detail: serde_json::Value) -> Result<Placed, SessionError> {
        let mut fields = Fields::new(kind);
        describe(session, &mut fields);
        fields.detail = Some(detail.to_string().into());
        Ok(self.ledger.record(session.window.clone(), Draft::new(fields)).await?)
    }

    /// Writes down an act that is no session's own, into a window's ledger or, without one, into that of the day.
    async fn administer(&self, window: Option<&Text>, detail: serde_json::Value) -> Result<Placed, SessionError> {
        let standing = || self.standing_window().map(|window| (*window).clone()).ok_or(LedgerError::Stopping);
        let window = window.map_or_else(standing, |window| Ok(window.clone()))?;
        let fields = Fields { detail: Some(detail.to_string().into()), ..Fields::new(Kind::Administration) };
        Ok(self.ledger.record(window, Draft::new(fields)).await?)
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.notifier.stop().await;
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

impl Table {
    /// The sessions that are open at `now`.
    fn open_sessions(&self, now: i64) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.values().map(|held| &held.session).filter(move |session| session.status(now) == Status::Open)
    }
}

/// Fills in who acts.
pub fn describe(session: &Session, fields: &mut Fields) {
    fields.session = Some(session.id.clone());
    fields.principal = Some(session.principal.clone());
    fields.principal_kind = Some(session.principal_kind.as_str().into());
    fields.acting_for = session.acting_for.clone();
}
