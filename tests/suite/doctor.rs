//! `sealgate doctor` with real tools, against a local AWS: what came through, what went around, and what the report advises.
//!
//! Nothing outside the machine is reached: the cloud itself is the address that a route names, and who connects there by
//! himself has gone around the gateway.

use crate::cli::{Gateway, command};
use sealgate_tests::{moto::Moto, programs::python};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// The ways to look.
const WAYS: [&str; 2] = ["trace", "sample"];

struct Bench {
    folder: tempfile::TempDir,
    moto: Moto,
    gateway: Gateway,
}

impl Bench {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let moto = Moto::start(folder.path(), None);
        let gateway = Gateway::start(&folder.path().join("home"), &moto.route());
        Self { folder, moto, gateway }
    }

    fn doctor(&self, arguments: &[&str], program: &[&str]) -> Command {
        let mut command = command(&self.gateway.home, &["doctor"]);
        command.args(arguments).arg("--").args(program);
        set_up(&mut command);
        command
    }

    /// Runs a command under the doctor: its report, which is checked to go with the exit code.
    fn report(&self, arguments: &[&str], program: &[&str]) -> Value {
        let output = self.doctor(&[&["--json"], arguments].concat(), program).output().unwrap();
        report(&output)
    }
}

fn set_up(command: &mut Command) {
    command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret");
    command.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_MAX_ATTEMPTS", "1");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null").stdin(Stdio::null());
}

fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let code = i32::from(report["through"] != true);
    assert_eq!(output.status.code(), Some(code), "{report:#} {said}");
    report
}

/// The line of the one program that used the network.
fn only(report: &Value) -> &Value {
    let programs = report["programs"].as_array().unwrap();
    assert_eq!(programs.len(), 1, "{report:#}");
    &programs[0]
}

fn advice(line: &Value) -> String {
    line["advice"].as_array().unwrap().iter().map(|advice| advice.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

fn program(name: &str) -> String {
    python(name).display().to_string()
}

/// Connects to the cloud's own address, without the proxy, and speaks TLS there.
fn direct(moto: &Moto) -> String {
    format!(
        "import socket, ssl; context = ssl._create_unverified_context(); \
         stream = context.wrap_socket(socket.create_connection(('127.0.0.1', {})), server_hostname='sts.us-east-1.amazonaws.com'); \
         stream.sendall(b'GET / HTTP/1.1\\r\\nHost: sts.us-east-1.amazonaws.com\\r\\n\\r\\n'); stream.recv(1)",
        moto.address().port()
    )
}

#[test]
fn the_aws_cli_and_boto3_come_through() {
    let bench = Bench::start();
    let report = bench.report(&["--observe", "trace"], &[&program("aws"), "sts", "get-caller-identity"]);
    let line = only(&report);
    assert_eq!((&line["verdict"], &line["arrived"]["calls"]), (&"through".into(), &1.into()), "{report:#}");
    assert!(line["program"].as_str().unwrap().starts_with("aws (python"), "{report:#}");
    // A look into /proc may miss a short connection, and says so; what arrived is known all the same.
    let report = bench.report(&["--observe", "sample"], &[&program("aws"), "sts", "get-caller-identity"]);
    let placed: u64 = report["programs"].as_array().unwrap().iter().map(|line| line["arrived"]["calls"].as_u64().unwrap()).sum();
    assert_eq!(placed + report["unplaced"]["calls"].as_u64().unwrap(), 1, "{report:#}");
    assert!(report["doubts"][0].as_str().unwrap().contains("may be missing"), "{report:#}");
    let boto3 = "import boto3; s3 = boto3.client('s3'); s3.create_bucket(Bucket='doctor'); s3.put_object(Bucket='doctor', Key='k', Body=b'x')";
    let report = bench.report(&[], &[&program("python3"), "-c", boto3]);
    assert_eq!(only(&report)["arrived"]["calls"], 2, "{report:#}");
    let text = bench.doctor(&[], &[&program("aws"), "sts", "get-caller-identity"]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("123456789012") && text.contains("1 call through sealgate, 0 around it  OK"), "{text}");
}

#[test]
fn who_connects_to_the_cloud_itself_has_gone_around() {
    let bench = Bench::start();
    let direct = direct(&bench.moto);
    let report = bench.report(&[], &[&program("python3"), "-c", &direct]);
    let line = only(&report);
    assert_eq!((&line["verdict"], &line["arrived"]["calls"]), (&"bypassed".into(), &0.into()), "{report:#}");
    assert_eq!(line["around"][bench.moto.address().to_string()], 1, "{report:#}");
    assert!(advice(line).contains("trust_env"), "{report:#}");
    // One tool of two: each has its own line, and one that goes around is enough.
    let both =
        format!("{} sts get-caller-identity && env -u HTTPS_PROXY -u https_proxy {} -c \"$0\"", program("aws"), program("python3"));
    let report = bench.report(&[], &["sh", "-c", &both, &direct]);
    let lines = report["programs"].as_array().unwrap();
    let verdicts: Vec<_> = lines.iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["through", "bypassed"], "{report:#}");
    assert!(advice(&lines[1]).contains("without the session's HTTPS_PROXY"), "{report:#}");
}

#[test]
fn a_node_program_that_ignores_the_proxy_is_told_of_the_endpoint() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("node is not on this machine: nothing was tested");
        return;
    }
    let bench = Bench::start();
    let script = bench.folder.path().join("app.js");
    let port = bench.moto.address().port();
    let text = format!(
        "const options = {{ host: '127.0.0.1', port: {port}, servername: 'sts.amazonaws.com', rejectUnauthorized: false }};\n\
         require('https').get(options, (answer) => answer.resume());\n"
    );
    std::fs::write(&script, text).unwrap();
    let report = bench.report(&[], &["node", script.to_str().unwrap()]);
    let line = only(&report);
    assert_eq!((&line["program"], &line["verdict"]), (&"app.js (node)".into(), &"bypassed".into()), "{report:#}");
    assert!(advice(line).contains("AWS_ENDPOINT_URL=http://127.0.0.1:"), "{report:#}");
}

#[test]
fn a_tool_that_does_not_trust_the_ca_is_told_the_variable() {
    let bench = Bench::start();
    let roots = bench.moto.ca.display().to_string();
    let report = bench.report(&[], &["env", &format!("AWS_CA_BUNDLE={roots}"), &program("aws"), "sts", "get-caller-identity"]);
    let line = only(&report);
    assert_eq!(line["verdict"], "untrusted", "{report:#}");
    assert!(line["arrived"]["handshakes"].as_u64().unwrap() > 0 && advice(line).contains("AWS_CA_BUNDLE="), "{report:#}");
    assert_ne!(report["exit_code"], 0, "the tool itself failed");
}

#[test]
fn a_tool_without_the_proxy_credential_or_over_plain_http_is_told_so() {
    let bench = Bench::start();
    let script = "curl -sS -x \"http://${HTTPS_PROXY#*@}\" https://sts.us-east-1.amazonaws.com/; \
                  curl -sS -x \"$HTTPS_PROXY\" http://sts.us-east-1.amazonaws.com/";
    let report = bench.report(&[], &["sh", "-c", script]);
    let line = only(&report);
    assert_eq!((&line["verdict"], &line["arrived"]["refusals"]), (&"refused".into(), &2.into()), "{report:#}");
    assert!(advice(line).contains("user and password in HTTPS_PROXY") && advice(line).contains("plain http"), "{report:#}");
}

#[test]
fn the_given_session_is_used_and_stays_open_and_an_own_one_is_sealed() {
    let bench = Bench::start();
    let session = bench.gateway.session("CHG-1");
    let aws = [&*program("aws"), "sts", "get-caller-identity"];
    for calls in [1, 1] {
        let report = bench.report(&["--session", &session], &aws);
        assert_eq!(only(&report)["arrived"]["calls"], calls, "earlier calls of the session are not counted: {report:#}");
    }
    bench.report(&["--window", "CHG-2"], &aws);
    let windows = bench.gateway.ok(&["window", "list"]);
    let state = |window: &str| windows.lines().find(|line| line.starts_with(window)).unwrap().to_owned();
    assert!(state("CHG-1").contains("open") && state("CHG-2").contains("sealed"), "{windows}");
    assert!(bench.gateway.ok(&["session", "list"]).contains(&session));
}

#[test]
fn it_needs_no_server_and_says_when_the_command_could_not_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let run = |home: &Path, arguments: &[&str]| command(home, arguments).output().unwrap();
    for way in WAYS {
        let output = run(&home, &["doctor", "--observe", way, "--", "/nonexistent/tool"]);
        assert_eq!(output.status.code(), Some(125), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/tool could not be run"));
        // Who uses no network has not shown that its traffic comes through.
        let output = run(&home, &["doctor", "--observe", way, "--json", "--", "sh", "-c", "exit 7"]);
        let report = report(&output);
        assert_eq!((&report["exit_code"], &report["programs"]), (&7.into(), &Value::Array(Vec::new())), "{report:#}");
    }
    let output = run(&home, &["doctor", "--session", "S-none", "--", "true"]);
    assert_eq!(output.status.code(), Some(125), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What goes on in the background is let go, and is none the worse for having been traced.
#[test]
fn what_a_command_leaves_behind_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (home, done) = (folder.path().join("home"), folder.path().join("done"));
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let script = format!("(read line < {}; echo \"$line\" > {}) & exit 0", fifo.display(), done.display());
    let mut doctor = command(&home, &["doctor", "--observe", "trace", "--json", "--", "sh", "-c", &script]);
    // What is left behind holds the output's pipe, so that only a file can be waited for.
    let said = std::fs::File::create(folder.path().join("report")).unwrap();
    assert_eq!(doctor.stdout(said).stderr(Stdio::null()).status().unwrap().code(), Some(1));
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("report")).unwrap()).unwrap();
    assert!(report["doubts"][0].as_str().unwrap().contains("left processes behind"), "{report:#}");
    // The reader is waiting: a write is taken at once, and read before the next opening of the file can be.
    std::fs::write(&fifo, "still here\n").unwrap();
    let written = || std::fs::read_to_string(&done).unwrap_or_default();
    let waited = std::time::Instant::now();
    while written().is_empty() && waited.elapsed().as_secs() < 30 {
        std::thread::yield_now();
    }
    assert_eq!(written(), "still here\n");
}
