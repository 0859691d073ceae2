//! A `sealgate witness` process, and a windows log that a test grows, rolls back and forks.

use crate::programs::sealgate;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use sealgate_schema::{
    Hash,
    merkle::{consistency, leaf_hash, range_root},
    note::{Checkpoint, SigningKey},
    tiles::{Kind, tiles, write_hashes},
    witness::request::AddCheckpoint,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Arc,
};
use tokio::net::TcpStream;

/// A log's name.
pub const ORIGIN: &str = "sealgate/gw-test";

/// A running witness. The process is ended when this goes.
pub struct WitnessProcess {
    /// Where it listens.
    pub address: SocketAddr,
    /// Text form of its key.
    pub key: String,
    child: Child,
}

/// The command of a witness in `folder` that trusts the keys of `logs`.
pub fn witness_command(folder: &Path, name: &str, logs: &[&TestLog]) -> Command {
    let keys: Vec<_> = logs.iter().map(|log| log.key.verifier().to_string()).collect();
    witness_for(folder, name, &keys)
}

fn witness_for(folder: &Path, name: &str, keys: &[String]) -> Command {
    let mut command = Command::new(sealgate());
    command.args(["witness", "--listen", "127.0.0.1:0", "--name", name, "--dir"]).arg(folder);
    for key in keys {
        command.arg("--log").arg(key);
    }
    command
}

impl WitnessProcess {
    /// Starts one, or starts it again, and waits for its greeting.
    pub fn start(folder: &Path, name: &str, logs: &[&TestLog]) -> Self {
        Self::run(witness_command(folder, name, logs))
    }

    /// Starts one that trusts these keys of logs.
    pub fn start_for(folder: &Path, name: &str, keys: &[String]) -> Self {
        Self::run(witness_for(folder, name, keys))
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let greeting = lines.next().expect("a greeting");
        let address = greeting.rsplit(' ').next().unwrap().parse().expect(&greeting);
        let policy = lines.nth(1).expect("a line for policies");
        let key = policy.split(' ').nth(2).expect(&policy).to_owned();
        Self { address, key, child }
    }

    /// Ends it with a signal and waits for it.
    pub fn signal(mut self, signal: &str) -> ExitStatus {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap()
    }

    /// Its line of a policy, asked at `address`.
    pub fn policy_line(&self, name: &str, address: SocketAddr) -> String {
        format!("witness {name} {} http://{address}/\n", self.key)
    }
}

impl Drop for WitnessProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a witness that must not start; returns what it said.
pub fn refused(folder: &Path, name: &str, logs: &[&TestLog]) -> Output {
    witness_command(folder, name, logs).output().unwrap()
}

/// A log of numbered entries, in files as the gateway writes them.
pub struct TestLog {
    /// Its `_log` folder.
    pub folder: PathBuf,
    /// The key that signs its checkpoints.
    pub key: SigningKey,
    leaves: Vec<Hash>,
}

impl TestLog {
    /// An empty log in a folder that is made.
    pub fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        Self { folder, key: SigningKey::from_seed(ORIGIN, &[7; 32]).unwrap(), leaves: Vec::new() }
    }

    /// Number of its entries.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Adds entries of a history and writes the tiles; returns the signed checkpoint.
    pub fn grow(&mut self, entries: usize, history: &str) -> Arc<str> {
        let from = self.size();
        self.leaves.extend((0..entries as u64).map(|n| leaf_hash(format!("{history} {}", from + n).as_bytes())));
        self.write(from);
        self.note(self.size())
    }

    fn write(&self, from: u64) {
        for tile in tiles(from, self.size()) {
            let Kind::Hashes(level) = tile.kind else { continue };
            let path = self.folder.join(tile.path());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, write_hashes(&mut self.leaves.as_slice(), &tile, level).unwrap()).unwrap();
        }
    }

    /// The same log as it was with fewer entries, in another folder: a disk that was rolled back.
    pub fn rolled_back(&self, size: u64, folder: PathBuf) -> Self {
        let mut log = Self::new(folder);
        log.leaves = self.leaves[..size as usize].to_vec();
        log.write(0);
        log
    }

    /// The text of its checkpoint of so many entries.
    pub fn text(&self, size: u64) -> String {
        let root = range_root(&mut self.leaves.as_slice(), 0, size).unwrap();
        Checkpoint { origin: ORIGIN.into(), size, root, extensions: Vec::new() }.text()
    }

    /// That checkpoint, signed.
    pub fn note(&self, size: u64) -> Arc<str> {
        self.key.sign(&self.text(size)).into()
    }

    /// The request that shows its checkpoint of `size` to a witness that has seen `old`.
    pub fn request(&self, old: u64, size: u64) -> AddCheckpoint {
        let proof = consistency(&mut self.leaves.as_slice(), old.min(size), size).unwrap();
        AddCheckpoint { old, proof, note: self.note(size).to_string() }
    }
}

/// Sends a request and reads the whole answer.
pub async fn send(to: SocketAddr, method: Method, path: &str, body: impl Into<Bytes>) -> (StatusCode, HeaderMap, String) {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "witness").body(Full::new(body.into())).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    (head.status, head.headers, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

/// Sends an `add-checkpoint` to a witness that may be killed; the status, where an answer came.
pub async fn try_add(to: SocketAddr, request: AddCheckpoint) -> Option<StatusCode> {
    let stream = TcpStream::connect(to).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::post("/add-checkpoint").header("host", "witness").body(Full::new(Bytes::from(request.to_string())));
    Some(sender.send_request(request.unwrap()).await.ok()?.status())
}

/// Sends an `add-checkpoint`.
pub async fn add(to: SocketAddr, request: &AddCheckpoint) -> (StatusCode, HeaderMap, String) {
    send(to, Method::POST, "/add-checkpoint", request.to_string()).await
}
