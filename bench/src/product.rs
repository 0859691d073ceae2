//! The real `sealgate` binary on a new home: started with a route to the bench's upstream, a window and a session opened by
//! its own command line; at the end the window is sealed and verified.

use crate::{Result, child::Child};
use aws_credential_types::Credentials;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

pub(crate) const WINDOW: &str = "BENCH";

/// A gateway's home and the program to talk to it with.
#[derive(Debug)]
pub(crate) struct Product {
    program: PathBuf,
    home: PathBuf,
}

/// What a client needs.
pub(crate) struct Started {
    pub(crate) product: Product,
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) credential: String,
    pub(crate) key: Credentials,
    pub(crate) ca: PathBuf,
}

/// Builds the binary as this program was built, so that what is measured is the source that is there.
pub(crate) fn build() -> Result<()> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile, "--package", "sealgate", "--bin", "sealgate"])
        .status()?;
    if status.success() { Ok(()) } else { Err("the sealgate binary could not be built; --no-build takes it as it is".into()) }
}

/// Starts a gateway in `folder/home`.
pub(crate) fn start(folder: &Path, upstream: SocketAddr, upstream_ca: &Path) -> Result<Started> {
    let program = std::env::current_exe()?.with_file_name("sealgate");
    std::fs::create_dir_all(folder)?;
    let (home, config) = (folder.join("home"), folder.join("sealgate.toml"));
    let route = format!("[[route]]\nhost = \"amazonaws.com\"\nto = \"{upstream}\"\nca = \"{}\"\n", upstream_ca.display());
    std::fs::write(&config, format!("foreign = \"pass\"\nforeign_keys = [\"AKIAIOSFODNN7EXAMPLE\"]\n{route}"))?;
    let listens = |line: &str| Some(line.split_once("listens on ")?.1.split(',').next()?.to_owned());
    let mut command = Command::new(&program);
    command.arg("--home").arg(&home).args(["run", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
    command.env("AWS_ACCESS_KEY_ID", "AKIAREALREALREALREAL").env("AWS_SECRET_ACCESS_KEY", "a secret that nobody checks");
    let (child, address) = Child::start(&mut command, listens).map_err(|error| format!("{}: {error}", program.display()))?;
    let ca = home.join("keys/ca.pem");
    let product = Product { program, home };
    product.ask(&["window", "open", WINDOW, "--title", "bench", "--for", "4h"])?;
    let session = product.ask(&[
        "session",
        "open",
        "--window",
        WINDOW,
        "--principal",
        "bench",
        "--for",
        "4h",
        "--reason",
        "bench",
        "--quiet",
    ])?;
    let (credential, key) = product.environment(session.trim())?;
    Ok(Started { product, child, address: address.parse()?, credential, key, ca })
}

/// The session's own AWS credential.
fn key(environment: &str) -> Option<Credentials> {
    let value = |name: &str| {
        let line = environment.lines().find_map(|line| line.strip_prefix(&format!("export {name}='")))?;
        Some(line.trim_end_matches('\'').to_owned())
    };
    let (id, secret) = (value("AWS_ACCESS_KEY_ID")?, value("AWS_SECRET_ACCESS_KEY")?);
    Some(Credentials::new(id, secret, value("AWS_SESSION_TOKEN"), None, "bench"))
}

/// `http://SESSION:TOKEN@HOST:PORT` → `Basic …`
fn credential(environment: &str) -> Option<String> {
    let proxy = environment.lines().find_map(|line| line.strip_prefix("export HTTPS_PROXY='http://"))?;
    Some(format!("Basic {}", STANDARD.encode(proxy.split_once('@')?.0)))
}

impl Product {
    /// Folder of its keys and its socket.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// What a session's tools get: the proxy credential and the AWS one.
    pub(crate) fn environment(&self, session: &str) -> Result<(String, Credentials)> {
        let environment = self.ask(&["session", "env", session])?;
        let credential = credential(&environment).ok_or("`session env` printed no HTTPS_PROXY")?;
        Ok((credential, key(&environment).ok_or("`session env` printed no AWS_ACCESS_KEY_ID")?))
    }

    /// Closes the window and verifies its evidence: every call that was measured is in there. What the verifier printed, and
    /// how long closing and verifying took.
    pub(crate) fn seal_and_verify(&self) -> Result<(String, Duration, Duration)> {
        let start = Instant::now();
        self.ask(&["window", "close", WINDOW])?;
        let closed = start.elapsed();
        let path = |name: &str| self.home.join(name).display().to_string();
        let report = self.ask(&["verify", &path("evidence"), "--key", &path("keys/gateway.vkey")])?;
        Ok((report, closed, start.elapsed() - closed))
    }

    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program).arg("--home").arg(&self.home).args(arguments).output()?;
        if !output.status.success() {
            return Err(format!("sealgate {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
