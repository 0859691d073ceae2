//! The real binary as a process that is killed or traced, and clients of it that tell a broken answer from a whole one.
//!
//! Unlike [`crate::client`], nothing here panics when the gateway goes away: that is what these tests are about.

use crate::{client::Body, programs::sealgate};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use sealgate::admin::{
    api::{AskEnvironment, Environment, GivenCredentials, OpenSession, OpenWindow, SessionView, WindowView},
    client::{AdminError, ask},
};
use std::{
    ffi::OsString,
    fs,
    io::{self, BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// A gateway process, alone or below a program that runs it.
pub struct Process {
    home: PathBuf,
    child: Child,
    gateway: u32,
}

impl Process {
    /// Makes a home with this configuration.
    pub fn set_up(home: &Path, configuration: &str) {
        fs::create_dir_all(home).unwrap();
        fs::set_permissions(home, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(
            home.join("sealgate.toml"),
            format!("listen = \"127.0.0.1:0\"\nforeign = \"pass\"\nforeign_keys = [\"*\"]\n{configuration}"),
        )
        .unwrap();
    }

    /// Starts the gateway of a home, as an argument of `wrapper` where that is not empty. `None`: it ended before it listened.
    pub fn start(home: &Path, wrapper: &[OsString]) -> Option<Self> {
        let gateway = [sealgate().into_os_string(), "--home".into(), home.into(), "run".into()];
        let line: Vec<_> = wrapper.iter().cloned().chain(gateway).collect();
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .env("USER", "alice")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line:?}: {error}"));
        let mut greeting = String::new();
        // A gateway that is killed before it greets ends the line.
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut greeting).unwrap();
        let mut process = Self { home: home.to_owned(), gateway: child.id(), child };
        if !greeting.contains("listens on") {
            process.child.wait().unwrap();
            return None;
        }
        if !wrapper.is_empty() {
            process.gateway = only_child(process.child.id()).unwrap_or(process.gateway);
        }
        Some(process)
    }

    /// Ends the gateway with a signal, and waits.
    pub fn end(mut self, signal: &str) {
        let told = Command::new("kill").arg(format!("-{signal}")).arg(self.gateway.to_string()).stderr(Stdio::null()).status();
        // One that a fault ended already can't be told.
        told.unwrap();
        self.child.wait().unwrap();
    }

    /// Opens a window.
    pub async fn open_window(&self, id: &str) -> Result<(), AdminError> {
        let open = OpenWindow { id: id.into(), title: "a test".into(), duration: "4h".into() };
        ask::<WindowView>(&self.home, Method::POST, "/v1/windows", Some(&open)).await.map(drop)
    }

    /// Opens a session, and says how to reach the gateway in it.
    pub async fn open_session(&self, window: &str) -> Result<Way, AdminError> {
        let open = OpenSession {
            window: window.into(),
            principal: Some("alice".into()),
            duration: "1h".into(),
            reason: "a test".into(),
            ..OpenSession::default()
        };
        let session: SessionView = ask(&self.home, Method::POST, "/v1/sessions", Some(&open)).await?;
        let path = format!("/v1/sessions/{}/env", session.id);
        let asked = AskEnvironment { credentials: GivenCredentials::None, endpoint: false };
        let environment: Environment = ask(&self.home, Method::POST, &path, Some(&asked)).await?;
        let proxy = &environment.set.iter().find(|(name, _)| name == "HTTPS_PROXY").unwrap().1;
        let (credential, listen) = proxy.trim_start_matches("http://").split_once('@').unwrap();
        Ok(Way { listen: listen.into(), credential: credential.into(), tls: tls(&self.home.join("keys/ca.pem")) })
    }

    /// Cuts a part.
    pub async fn cut(&self) -> Result<(), AdminError> {
        ask(&self.home, Method::POST, "/v1/parts", None::<&()>).await
    }

    /// Closes and seals a window.
    pub async fn close_window(&self, id: &str) -> Result<(), AdminError> {
        ask(&self.home, Method::POST, &format!("/v1/windows/{id}/close"), None::<&()>).await
    }
}

/// The process below one that runs it.
fn only_child(id: u32) -> Option<u32> {
    fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?.split_whitespace().next()?.parse().ok()
}

fn tls(ca: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// How a session's tools reach the gateway.
#[derive(Clone)]
pub struct Way {
    listen: String,
    credential: String,
    tls: TlsConnector,
}

impl Way {
    /// A connection to a host.
    pub async fn connect(&self, host: &str) -> io::Result<Connection> {
        let mut stream = TcpStream::connect(&self.listen).await?;
        let credential = STANDARD.encode(&self.credential);
        let head = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nProxy-Authorization: Basic {credential}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await?);
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()));
        }
        let stream = self.tls.connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // It ends with the connection; why that broke is told by the call on it.
        tokio::spawn(connection);
        Ok(Connection { sender })
    }
}

/// A connection to a host through the gateway.
pub struct Connection {
    sender: SendRequest<Body>,
}

impl Connection {
    /// The status of an answer that came whole; an error where it broke.
    pub async fn call(&mut self, request: Request<Body>) -> hyper::Result<u16> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        response.into_body().collect().await?;
        Ok(status)
    }
}
