//! The gateway in process: a home in a temporary folder, a route to the test's upstream, a clock that can be stepped.

use crate::{faults::FaultyDisk, upstream::Upstream};
use sealgate::{
    app::{self, Running},
    clock::SteppingClock,
    config::{
        Config, Route,
        accounts::{AccountConfig, SourceKind},
    },
    home::Home,
    sessions::Grant,
};
use sealgate_policies::{
    permit::Foreign,
    session::{PrincipalKind, Session},
};
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tempfile::TempDir;

/// A gateway, and all it stands on. The folder goes when this goes.
pub struct TestGateway {
    /// The home's folder is `folder/home`.
    pub folder: TempDir,
    /// The clock, for stepping.
    pub clock: Arc<SteppingClock>,
    /// The disk, for failing.
    pub disk: Arc<FaultyDisk>,
    /// The settings it starts with.
    pub config: Config,
    running: Option<Running>,
}

impl TestGateway {
    /// A gateway that is not started yet, with every AWS host routed to `upstream`.
    pub fn new(folder: TempDir, upstream: &Upstream) -> Self {
        let route = |host: &str| Route { host: host.into(), to: upstream.address.to_string(), ca: Some(upstream.ca.clone()) };
        let credentials = folder.path().join("aws.credentials");
        let profile =
            "[real]\naws_access_key_id = AKIAREALKEY\naws_secret_access_key = real secret\naws_session_token = real-token\n";
        std::fs::write(&credentials, profile).unwrap();
        let real = AccountConfig {
            source: SourceKind::Profile,
            profile: Some("real".into()),
            credentials_file: Some(credentials),
            config_file: Some("/dev/null".into()),
            ..AccountConfig::implicit()
        };
        let config = Config {
            account: vec![real],
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            route: vec![route("amazonaws.com"), route("internal.test")],
            // Most tests are about what happens to a call, whoever signed it; what is signed with issued credentials is `brokered`.
            foreign: Foreign::Pass,
            foreign_keys: vec!["*".into()],
            ..Config::default()
        };
        Self { folder, clock: Arc::default(), disk: Arc::default(), config, running: None }
    }

    /// A started gateway with an open window `CHG-1` and a session of alice's in it.
    pub async fn with_session(folder: TempDir, upstream: &Upstream) -> (Self, Arc<Session>) {
        let mut gateway = Self::new(folder, upstream);
        gateway.start().await;
        let session = gateway.open_session("CHG-1").await;
        (gateway, session)
    }

    /// Starts, or starts again on the same home.
    pub async fn start(&mut self) {
        self.try_start().await.expect("the gateway starts");
    }

    /// Starts, and says how that went.
    pub async fn try_start(&mut self) -> Result<(), app::StartError> {
        let home = Home::open(&self.home())?;
        self.running = Some(app::start(home, self.config.clone(), self.clock.clone(), self.disk.clone()).await?);
        Ok(())
    }

    /// Opens a window where it is not open, and a session of alice's in it.
    pub async fn open_session(&self, window: &str) -> Arc<Session> {
        let sessions = &self.running().gateway.sessions;
        if !sessions.windows().iter().any(|known| known.id == *window) {
            sessions.open_window(window, "a test", "4h".parse().unwrap(), "test").await.unwrap();
        }
        sessions.open_session(grant(window), "test").await.unwrap()
    }

    /// The running gateway.
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("the gateway runs")
    }

    /// Folder of the home.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Stops in order.
    pub async fn stop(&mut self) {
        self.running.take().expect("the gateway runs").stop().await.expect("it stops in order");
    }

    /// Stops where an error is expected.
    pub async fn stop_anyhow(&mut self) {
        // What failed is what the test is about.
        let _ = self.running.take().expect("the gateway runs").stop().await;
    }
}

/// A session for alice, for an hour.
pub fn grant(window: &str) -> Grant {
    Grant {
        window: window.into(),
        principal: "alice".into(),
        kind: PrincipalKind::Human,
        acting_for: None,
        account: None,
        role: None,
        duration: "1h".parse().unwrap(),
        reason: "a test".into(),
    }
}
