//! The command line as its users meet it: the real binary, its words, its exit codes.

use sealgate_tests::programs::{python, sealgate};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// A real credential for servers that don't check it.
pub(crate) const REAL: (&str, &str) = ("AKIAIOSFODNN7REALKEY", "a real secret");

/// A home, and a gateway process in it. The process is told to end when this goes.
pub(crate) struct Gateway {
    pub(crate) home: PathBuf,
    child: Option<Child>,
}

impl Gateway {
    /// Starts a gateway on a free port with this configuration, and waits for its greeting.
    pub(crate) fn start(home: &Path, configuration: &str) -> Self {
        Self::start_with(home, configuration, REAL)
    }

    /// The same, with the real credential that the gateway finds in its environment.
    pub(crate) fn start_with(home: &Path, configuration: &str, (key, secret): (&str, &str)) -> Self {
        let mut run = command(home, &["run"]);
        run.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret).env("AWS_EC2_METADATA_DISABLED", "true");
        Self::start_as(home, configuration, run)
    }

    /// The same, with everything that it can say in a file.
    pub(crate) fn start_logging(home: &Path, configuration: &str, log: &Path) -> Self {
        let mut run = command(home, &["run"]);
        run.env("SEALGATE_LOG", "trace").stderr(fs::File::create(log).unwrap());
        Self::start_as(home, configuration, run)
    }

    pub(crate) fn start_as(home: &Path, configuration: &str, run: Command) -> Self {
        private_folder(home);
        fs::write(home.join("sealgate.toml"), format!("listen = \"127.0.0.1:0\"\n{configuration}")).unwrap();
        let mut gateway = Self { home: home.to_owned(), child: None };
        gateway.run(run);
        gateway
    }

    /// Starts one in the home again, where the last one has ended.
    pub(crate) fn start_again(&mut self) {
        self.run(command(&self.home, &["run"]));
    }

    pub(crate) fn run(&mut self, mut run: Command) {
        let mut child = run.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("listens on"), "{line}");
        self.child = Some(child);
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Runs a command that has to succeed; returns what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = command(&self.home, arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Opens a window and a session in it; returns the session's id.
    pub(crate) fn session(&self, window: &str) -> String {
        self.ok(&["window", "open", window, "--title", "a test", "--for", "4h"]);
        self.ok(&["session", "open", "--window", window, "--principal", "alice", "--for", "1h", "--reason", "a test", "--quiet"])
            .trim()
            .to_owned()
    }

    /// Ends the process with a signal and waits for it.
    pub(crate) fn signal(&mut self, signal: &str) {
        let mut child = self.child.take().unwrap();
        assert!(Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap().success());
        child.wait().unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn private_folder(home: &Path) {
    fs::create_dir_all(home).unwrap();
    fs::set_permissions(home, fs::Permissions::from_mode(0o700)).unwrap();
}

pub(crate) fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(sealgate());
    command.arg("--home").arg(home).args(arguments).env("USER", "alice").env("AWS_EC2_METADATA_DISABLED", "true");
    command.env_remove("SEALGATE_HOME");
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A command that fails: its exit code, and what its one line says.
fn check(home: &Path, arguments: &[&str], code: i32, says: &[&str]) {
    let output = command(home, arguments).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    says.iter().for_each(|part| assert!(text.contains(part), "{arguments:?}: {text}"));
    if code != 3 {
        assert_eq!(text.trim().lines().count(), 1, "one line: {text}");
    }
}

#[test]
fn bad_input_gets_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    check(&home, &["status"], 1, &["no gateway is running", "sealgate run"]);
    check(&home, &["window", "open", "CHG-1"], 3, &["--title"]);
    private_folder(&home);
    fs::write(home.join("sealgate.toml"), "listn = 1").unwrap();
    check(&home, &["run"], 1, &["sealgate.toml", "listn"]);
    fs::remove_file(home.join("sealgate.toml")).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    check(&home, &["run"], 1, &["chmod 700"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    private_folder(&home);
    check(&home, &["run", "--listen", &address], 1, &["can't listen on", "--listen"]);
}

#[test]
fn windows_and_sessions_go_through_their_states() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(&folder.path().join("home"), "");
    let home = gateway.home.clone();
    let session = gateway.session("CHG-1");
    check(&home, &["run"], 1, &["running", "already"]);
    check(&home, &["window", "open", "CHG-1", "--title", "x", "--for", "1h"], 1, &["CHG-1", "choose another name"]);
    check(&home, &["window", "open", "a b", "--title", "x", "--for", "1h"], 1, &["is not a name"]);
    check(&home, &["window", "open", "CHG-2", "--title", "x", "--for", "soon"], 1, &["is not a duration", "4h"]);
    check(&home, &["window", "open", "CHG-2", "--title", "x", "--for", "9000h"], 1, &["at most"]);
    check(&home, &["window", "close", "CHG-9"], 1, &["no window CHG-9"]);
    let open = ["session", "open", "--window", "CHG-9", "--principal", "bob", "--for", "1h", "--reason", "x"];
    check(&home, &open, 1, &["no window CHG-9", "sealgate window open"]);
    check(&home, &["session", "exec", "S-none", "--", "true"], 125, &["no session S-none"]);
    let listed = gateway.ok(&["session", "list"]);
    assert!(listed.contains(&session) && listed.contains("alice") && listed.contains("open"), "{listed}");
    let environment = gateway.ok(&["session", "env", &session]);
    for name in ["HTTPS_PROXY", "AWS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"] {
        assert!(environment.contains(&format!("export {name}='")), "{environment}");
    }
    let output =
        command(&home, &["session", "exec", &session, "--", "sh", "-c", "echo $SEALGATE_SESSION; exit 7"]).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap().trim()), (Some(7), session.as_str()));
    gateway.ok(&["session", "revoke", &session, "--reason", "no more"]);
    check(&home, &["session", "close", &session], 1, &["revoked already"]);
    check(&home, &["session", "env", &session], 1, &["is revoked", "sealgate session open"]);
    gateway.ok(&["window", "close", "CHG-1"]);
    check(&home, &["window", "close", "CHG-1"], 1, &["sealed already"]);
    assert!(gateway.ok(&["status"]).contains("ledger ok"));
    gateway.signal("TERM");
    let key = home.join("keys/gateway.vkey");
    let verified = gateway.ok(&["verify", home.join("evidence").to_str().unwrap(), "--key", key.to_str().unwrap()]);
    assert!(
        verified.contains("CHG-1") && verified.contains("L2 record hashes, chain, tree PASS") && verified.contains("NOT CHECKED"),
        "{verified}"
    );
}

#[test]
fn record_needs_no_server_and_seals() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let output = command(&home, &["record", "--window", "CHG-1", "--reason", "look", "--", "sh", "-c", "exit 3"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("sealed"), "{}", said(&output));
    check(&home, &["record", "--window", "CHG-1", "--reason", "again", "--", "true"], 125, &["sealed already"]);
    let output = command(&home, &["record", "--window", "CHG-2", "--reason", "x", "--", "/nonexistent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(said(&output).contains("/nonexistent could not be run"), "{}", said(&output));
}

#[test]
fn queries_run_over_the_signed_files_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("home"), "");
    gateway.session("CHG-1");
    let duckdb = python("duckdb");
    let query = |sql: &str| {
        command(&gateway.home, &["query", sql, "--format", "csv", "--duckdb", duckdb.to_str().unwrap()]).output().unwrap()
    };
    // The window is open and its records are in the journal: the query sees them all the same.
    let counted = query("select kind, count(*) as n from records where change_window = 'CHG-1' group by all order by all");
    assert_eq!(String::from_utf8(counted.stdout).unwrap().replace('\r', ""), "kind,n\nsession_open,1\nwindow_open,1\n");
    for view in ["records", "payloads", "calls", "timeline"] {
        let output = query(&format!("select count(*) from {view}"));
        assert!(output.status.success(), "{view}: {}", said(&output));
    }
    let ledger = sealgate_tests::check::ledgers(&gateway.home).remove("CHG-1").unwrap();
    let stranger = ledger.join("records-000000000002.parquet");
    fs::copy(ledger.join("records-000000000000.parquet"), &stranger).unwrap();
    let output = query("select 1");
    assert!(!output.status.success() && said(&output).contains("not among the ledger's files"), "{}", said(&output));
    fs::remove_file(stranger).unwrap();
    let read = query("select kind, detail->>'sql' as sql from records where kind = 'payload_read' order by seq");
    assert!(said(&read).contains("select count(*) from payloads"), "a read of payloads is a record: {}", said(&read));
    fs::write(ledger.join("records-000000000000.parquet"), "x").unwrap();
    let output = query("select 1");
    assert!(!output.status.success() && said(&output).contains("does not hold, and is not queried"), "{}", said(&output));
    check(
        &gateway.home,
        &["query", "select 1", "--duckdb", "/nonexistent/duckdb", "--evidence", "/nonexistent"],
        3,
        &["/nonexistent"],
    );
}
