//! Wires the gateway, starts it, and stops it in order.

use crate::{
    admin,
    anchor::Anchoring,
    broker::{self, Broker, Brokered},
    clock::Clock,
    config::Config,
    egress::{
        body::HeldBodies,
        credentials::{SourceError, Sources},
        upstream::{SetUpError, Upstreams},
    },
    home::{Home, HomeError, socket},
    ingress::{
        authority::{Authority, AuthorityError},
        listener,
        secure::Secure,
    },
    keyring::Keyring,
    ledger::{
        self, Draft, Ledger, LedgerError, SettleError, Setup, Signer,
        disk::Disk,
        recover::RecoverError,
        redact::{RedactError, Redactor},
        retain::Retention,
        windows_log::{LogError, WindowsLog},
        witness::WitnessError,
    },
    limits::{CAPTURE_BYTES_MAX, CONNECTIONS_MAX, HOUSEKEEPING_EVERY, STOP_DRAIN_WAIT, TICK_EVERY},
    principals::{Known, Principals, spent::Spent},
    sessions::{
        self, Ledgers, SessionError, Sessions, grants::request_of, notify::Notifier, right::Right, signers::Approvers,
        store::Store, token::TokenKey,
    },
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sealgate_policies::session::Session;
use sealgate_schema::{
    Text,
    log::{CHECKPOINT_NAME, LOG_FOLDER},
    record::{Fields, Kind},
};
use serde_json::json;
use std::{collections::BTreeSet, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The database, in the home.
const DATABASE: &str = "sealgate.db";
/// What the system takes as the path of a socket (`sun_path`, less its end).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The running parts that a call needs.
#[derive(Debug)]
pub struct Gateway {
    /// Name of this instance.
    pub name: Text,
    /// The settings.
    pub config: Config,
    /// The clock of records and time boxes.
    pub clock: Arc<dyn Clock>,
    /// The ledger.
    pub ledger: Ledger,
    /// The windows log.
    pub log: WindowsLog,
    /// What takes away from sealed windows.
    pub redactor: Arc<Redactor>,
    /// What goes by time.
    pub retention: Retention,
    /// Witnesses and timestamps.
    pub anchoring: Anchoring,
    /// Windows and sessions.
    pub sessions: Arc<Sessions>,
    /// Who the principals are.
    pub principals: Principals,
    /// Credentials that were issued here.
    pub broker: Broker,
    /// Where the real ones come from.
    pub sources: Sources,
    /// Memory for bodies that have to be whole.
    pub held_bodies: HeldBodies,
    /// The ways out.
    pub upstreams: Upstreams,
    /// The certificates.
    pub authority: Arc<Authority>,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where they connect with TLS.
    pub listen_tls: Option<SocketAddr>,
    /// The TLS of that.
    pub secure: Option<Arc<Secure>>,
    /// The roots for tools.
    pub ca_bundle: PathBuf,
    /// Cancelled when the gateway stops.
    pub stopping: CancellationToken,
    /// The keys' files.
    pub keyring: Keyring,
    /// Every task that serves a client.
    pub tasks: TaskTracker,
}

impl Gateway {
    /// The window for records that belong to no session.
    pub fn standing_window(&self) -> Result<Text, LedgerError> {
        self.sessions.standing_window().map(|window| (*window).clone()).ok_or(LedgerError::Stopping)
    }

    /// What is wrong with the operator's files that changed, and with what they lead to, credentials among them. Blocks for a look at
    /// them.
    pub fn trouble(&self) -> Vec<String> {
        let tls = self.secure.as_ref().and_then(|secure| secure.trouble());
        let tls = tls.map(|why| format!("the files of listen_tls changed, and are not taken: {why}"));
        let sources = self.sources.views().into_iter().filter_map(|account| account.trouble).map(|why| why.to_string());
        self.principals.trouble().into_iter().chain(tls).chain(sources).collect()
    }

    /// How many bytes of each body are kept of a session's calls: of one that nobody approved, as many as can be.
    pub fn capture_bytes(&self, session: Option<&Session>) -> usize {
        match session {
            Some(session) if session.break_glass => CAPTURE_BYTES_MAX,
            _ => self.config.capture_bytes,
        }
    }

    /// What a call under way rests on.
    pub fn right(&self, session: Option<Arc<Session>>, credential: Option<Arc<Brokered>>) -> Right {
        Right { session, credential, clock: self.clock.clone(), endings: self.sessions.endings() }
    }

    /// Takes away what was kept long enough. Returns the first error, with the window. Blocks.
    pub fn retain(&self) -> Result<(), (String, RedactError)> {
        self.retention.run(&self.redactor, self.clock.now())
    }
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// What the last run left.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// What recovery found could not be written down.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The witnesses.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Windows and sessions.
    #[error(transparent)]
    Sessions(#[from] SessionError),
    /// The database.
    #[error("the database: {0}")]
    Store(#[from] sqlx::Error),
    /// The ways out.
    #[error(transparent)]
    Upstreams(#[from] SetUpError),
    /// Who is told of break-glass.
    #[error("the TLS of notify.url: {0}")]
    Notifier(rustls::Error),
    /// The principals.
    #[error("the directory of principals: {0}")]
    Principals(String),
    /// The accounts.
    #[error(transparent)]
    Sources(#[from] SourceError),
    /// The certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The listener with TLS.
    #[error("listen_tls: {0}")]
    Secure(String),
    /// The address.
    #[error("can't listen on {0}: {1}; set `listen` in sealgate.toml or use --listen")]
    Listen(SocketAddr, #[source] io::Error),
    /// A socket's path has a bound of its own.
    #[error("the path of the home is {0} bytes too long for its admin socket: choose a shorter --home")]
    LongHome(usize),
    /// Anything else of the system.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
}

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    /// The parts.
    pub gateway: Arc<Gateway>,
    home: Home,
}

/// Starts a gateway in `home`. When this returns, it serves.
///
/// The journal is settled first: nothing is accepted before every open ledger is known to stand where the disk says.
pub async fn start(home: Home, config: Config, clock: Arc<dyn Clock>, disk: Arc<dyn Disk>) -> Result<Running, StartError> {
    raise_open_files();
    let (listener, listen) = bind(config.listen).await?;
    let listener_tls = match &config.listen_tls {
        Some(tls) => Some(bind(tls.address).await?),
        None => None,
    };
    let keys = home.keyring().keys()?;
    let upstreams = Upstreams::new(&config.route, config.waits())?;
    let authority = Arc::new(Authority::new(&keys.ca_certificate, &keys.ca_key)?);
    let secure = config.listen_tls.as_ref().map(|tls| Secure::new(tls, &authority, &clock).map(Arc::new));
    let secure = secure.transpose().map_err(StartError::Secure)?;
    let known = config.principals.as_deref().map(Known::watch).transpose().map_err(StartError::Principals)?;
    let own: Vec<_> = std::iter::once(listen).chain(listener_tls.as_ref().map(|(_, address)| *address)).collect();
    let name = Text::from(keys.gateway);
    let identity: Arc<dyn Signer> = Arc::new(keys.signer);

    refuse_lost_log(&home, &name)?;
    let anchoring = Anchoring::new(&name, &home.paths(), &config, disk.clone())?;
    // Before anything is signed on a disk that may have been rolled back.
    anchoring.check(identity.verifier(), None).await?;
    let setup = Setup {
        gateway: name.clone(),
        paths: home.paths(),
        cutting: config.cutting(),
        encrypt_payloads: config.ledger.encrypt_payloads,
        disk,
        clock: clock.clone(),
        identity,
    };
    let opened = ledger::open(setup)?;
    let (ledger, log, redactor) = (opened.ledger.clone(), opened.log.clone(), opened.redactor.clone());
    let (first, signer) = (log.checkpoint().borrow().clone(), log.identity().borrow().clone());
    anchoring.check(&signer, Some(&first)).await?;
    let store = Store::open(&config.place(home.root().join(DATABASE)), &name).await?;
    let trust_domain = config.listen_tls.as_ref().and_then(|tls| tls.trust_domain.as_deref());
    let principals = Principals::new(known, trust_domain, Spent::open(store.pool().clone()).await?);
    let is_sealed = |window: &str| matches!(log.window(window), Ok(Some(window)) if window.seal.is_some());
    let sources = Sources::new(config.accounts(), &upstreams, &own, clock.clone(), ledger.clone());
    sources.check_profiles().await?;
    let access = sessions::Start {
        store,
        ledger: ledger.clone(),
        clock: clock.clone(),
        tokens: TokenKey::new(&keys.session),
        access: config.access(),
        approvers: Approvers::new(config.approvers.as_deref()),
        notifier: Notifier::new(config.notified()).map_err(StartError::Notifier)?,
        sources: sources.clone(),
        gateway: name.clone(),
    };
    let led_from = |window: &str| {
        let mut requests = BTreeSet::new();
        let read = opened.records(window, |record| requests.extend(request_of(record)));
        read.map(|()| requests).map_err(|error| error.to_string())
    };
    let ledgers = Ledgers { open: &opened.found.standings, is_sealed: &is_sealed, led_from: &led_from };
    let sessions = Sessions::load(access, &ledgers).await?;
    opened.settle().await?;
    sessions.resume_closing().await?;
    sessions.housekeep().await?;

    let (stopping, tasks, ca_bundle) = (CancellationToken::new(), TaskTracker::new(), home.ca_bundle());
    let (keyring, sessions) = (home.keyring(), Arc::new(sessions));
    let start = broker::Start { key: &keys.broker, ledger: ledger.clone(), clock: clock.clone(), sessions: sessions.clone() };
    let broker = Broker::load(start).await?;
    anchoring.start(&log, &ledger, &sessions)?;
    let retention = Retention::new(config.keep());
    let gateway = Gateway {
        name,
        config,
        clock,
        ledger,
        log,
        redactor,
        retention,
        anchoring,
        sessions,
        principals,
        broker,
        sources,
        held_bodies: HeldBodies::default(),
        upstreams,
        authority,
        listen,
        listen_tls: listener_tls.as_ref().map(|(_, address)| *address),
        secure,
        ca_bundle,
        stopping,
        keyring,
        tasks,
    };
    let gateway = Arc::new(gateway);
    event(&gateway, Kind::GatewayStart, json!({ "version": env!("CARGO_PKG_VERSION"), "listen": listen.to_string() })).await?;
    serve_admin(&gateway, &home)?;
    let places = listener::places();
    gateway.tasks.spawn(listener::listen(gateway.clone(), listener, None, places.clone()));
    if let (Some((listener, _)), Some(secure)) = (listener_tls, &gateway.secure) {
        gateway.tasks.spawn(listener::listen(gateway.clone(), listener, Some(secure.clone()), places));
    }
    gateway.tasks.spawn(beat(gateway.clone()));
    gateway.tasks.spawn(housekeep(gateway.clone()));
    gateway.tasks.spawn(watch_times(gateway.clone()));
    gateway.sessions.notify_owed();
    Ok(Running { gateway, home })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// A database without a log: evidence and journal were taken away. A new log would be a second history under the same key.
fn refuse_lost_log(home: &Home, name: &str) -> Result<(), StartError> {
    let checkpoint = home.paths().evidence.join(name).join(LOG_FOLDER).join(CHECKPOINT_NAME);
    match home.root().join(DATABASE).exists() && !checkpoint.exists() {
        true => Err(RecoverError::Log(LogError::Lost(checkpoint)).into()),
        false => Ok(()),
    }
}

/// A connection is two file descriptors, and the usual soft limit is 1,024. What is missing is said; the listener then waits.
pub(crate) fn raise_open_files() {
    let wanted = 2 * CONNECTIONS_MAX as u64 + 1_024;
    let limits = getrlimit(Resource::Nofile);
    let to = limits.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if limits.current.is_none_or(|current| current >= to) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(to), maximum: limits.maximum }) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

fn serve_admin(gateway: &Arc<Gateway>, home: &Home) -> Result<(), StartError> {
    let path = socket(home.root());
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_BYTES_MAX {
        return Err(StartError::LongHome(length - SOCKET_PATH_BYTES_MAX));
    }
    // The home is locked, so a socket that is there is one that a crash left.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StartError::System("admin socket", error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(|error| StartError::System("admin socket", error))?;
    gateway.tasks.spawn(admin::serve(gateway.clone(), listener));
    Ok(())
}

/// Parts and heads are due by the clock, whatever else is being done.
async fn beat(gateway: Arc<Gateway>) {
    let mut every = tokio::time::interval(TICK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // The loser is a tick at which nothing has been begun.
        tokio::select! {
            _ = every.tick() => gateway.ledger.tick(),
            () = gateway.stopping.cancelled() => return,
        }
    }
}

async fn housekeep(gateway: Arc<Gateway>) {
    let mut every = tokio::time::interval(HOUSEKEEPING_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last_error = String::new();
    loop {
        // The loser is a tick at which nothing has been begun.
        tokio::select! {
            _ = every.tick() => {}
            () = gateway.stopping.cancelled() => return,
        }
        let done = gateway.sessions.housekeep().await;
        let error = done.and(gateway.broker.housekeep().await).err().map(|error| error.to_string()).unwrap_or_default();
        // The same trouble is said once, not twice a second.
        if error != last_error && !error.is_empty() {
            tracing::error!(error, "housekeeping failed");
        }
        last_error = error;
        if gateway.retention.is_due(gateway.clock.now()) {
            let gateway = gateway.clone();
            gateway.tasks.clone().spawn_blocking(move || retain(&gateway));
        }
    }
}

/// Time boxes end at their very instant.
async fn watch_times(gateway: Arc<Gateway>) {
    // The loser is a wait, or a look that the next start takes again.
    tokio::select! {
        () = gateway.sessions.watch_times() => {}
        () = gateway.stopping.cancelled() => {}
    }
}

fn retain(gateway: &Gateway) {
    if let Err((window, error)) = gateway.retain() {
        tracing::error!(window, %error, "what was kept long enough could not be taken away; it is tried again");
    }
}

async fn event(gateway: &Gateway, kind: Kind, detail: serde_json::Value) -> Result<(), LedgerError> {
    let fields = Fields { detail: Some(detail.to_string().into()), ..Fields::new(kind) };
    gateway.ledger.record(gateway.standing_window()?, Draft::new(fields)).await.map(drop)
}

impl Running {
    /// Stops: no new calls, a bounded wait for those in flight, parts cut, everything closed.
    pub async fn stop(self) -> Result<(), LedgerError> {
        const LOOK_EVERY: Duration = Duration::from_millis(10);
        let gateway = self.gateway;
        gateway.stopping.cancel();
        gateway.tasks.close();
        let drained = async {
            while gateway.ledger.calls_in_flight() > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        // What is still open after the wait is listed as unknown by the next start.
        let in_time = tokio::time::timeout(STOP_DRAIN_WAIT, drained).await.is_ok();
        // Before the ledger stops, into which they write that a role was assumed.
        gateway.sources.stop().await;
        let redactor = gateway.redactor.clone();
        // What it was taking away when it panicked, the next start settles.
        let _ = tokio::task::spawn_blocking(move || redactor.stop()).await;
        let event = event(&gateway, Kind::GatewayStop, json!({ "drained": in_time })).await;
        let stopped = gateway.ledger.stop().await;
        gateway.anchoring.stop().await;
        gateway.sessions.close().await;
        if let Err(error) = std::fs::remove_file(socket(self.home.root())) {
            tracing::debug!(%error, "the admin socket was gone already");
        }
        event.and(stopped)
    }
}
