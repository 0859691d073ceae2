//! Real clients through the real binary: the AWS CLI and boto3 against moto, and a process that is killed under load.

use crate::cli::{Gateway, command};
use sealgate_schema::record::Kind;
use sealgate_tests::{
    check::{check, window},
    moto::Moto,
    programs::{python, root, sealgate, verify_py, verify_rust},
    upstream::{Offer, Upstream, sts},
};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

/// A command in a session, with AWS settings that are nobody's.
fn in_session(gateway: &Gateway, session: &str, program: &Path, arguments: &[&str]) -> Command {
    in_session_with(gateway, session, "keys", program, arguments)
}

fn in_session_with(gateway: &Gateway, session: &str, credentials: &str, program: &Path, arguments: &[&str]) -> Command {
    let mut command = command(&gateway.home, &["session", "exec", session, "--credentials", credentials, "--"]);
    command.arg(program).args(arguments);
    command
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_DEFAULT_REGION", "us-east-1");
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn ok(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn script(name: &str) -> String {
    root().join("tests/suite/scripts").join(name).display().to_string()
}

/// Closes the window, stops the gateway, and has both verifiers look at everything.
fn close_and_verify(gateway: &mut Gateway, window: &str) {
    gateway.ok(&["window", "close", window]);
    gateway.signal("TERM");
    let (evidence, key) = (gateway.home.join("evidence"), gateway.home.join("keys/gateway.vkey"));
    for output in [verify_rust(&evidence, &key), verify_py(&evidence, &key)] {
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_aws_cli_works_over_several_services_and_every_call_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let mut gateway = Gateway::start(&folder.path().join("home"), &moto.route());
    let session = gateway.session("CHG-1");
    let aws = |arguments: &[&str]| in_session(&gateway, &session, &python("aws"), arguments);
    let (big, back) = (folder.path().join("big"), folder.path().join("back"));
    let data: Vec<u8> = (0..12_000_000_u32).map(|index| (index % 253) as u8).collect();
    std::fs::write(&big, &data).unwrap();

    assert!(ok(aws(&["sts", "get-caller-identity"])).contains("123456789012"));
    ok(aws(&["ec2", "run-instances", "--image-id", "ami-12c6146b", "--instance-type", "t3.micro"]));
    ok(aws(&["iam", "create-user", "--user-name", "bob"]));
    let made = ok(aws(&["iam", "create-access-key", "--user-name", "bob"]));
    ok(aws(&["s3", "mb", "s3://bucket-of-a-test"]));
    ok(aws(&["s3", "cp", big.to_str().unwrap(), "s3://bucket-of-a-test/big"]));
    ok(aws(&["s3", "cp", "s3://bucket-of-a-test/big", back.to_str().unwrap()]));
    assert!(std::fs::read(&back).unwrap() == data, "what comes back is what went up");
    ok(aws(&["dynamodb", "list-tables"]));
    let failed = aws(&["iam", "get-user", "--user-name", "nobody"]).output().unwrap();
    assert!(String::from_utf8_lossy(&failed.stderr).contains("NoSuchEntity"));
    gateway.ok(&["session", "revoke", &session, "--reason", "enough"]);

    close_and_verify(&mut gateway, "CHG-1");
    let evidence = window(&gateway.home, "CHG-1");
    let named = |service: &str, operation: &str| {
        evidence
            .of(&Kind::Intent)
            .into_iter()
            .filter(|record| {
                record.fields.service.as_deref() == Some(service) && record.fields.operation.as_deref() == Some(operation)
            })
            .count()
    };
    for (service, operation) in [
        ("sts", "GetCallerIdentity"),
        ("ec2", "RunInstances"),
        ("iam", "CreateUser"),
        ("iam", "CreateAccessKey"),
        ("iam", "GetUser"),
        ("dynamodb", "ListTables"),
    ] {
        assert_eq!(named(service, operation), 1, "{service}:{operation}");
    }
    let missing = evidence.of(&Kind::Outcome).into_iter().find(|record| record.fields.status == Some(404)).unwrap();
    assert_eq!(missing.fields.error_code.as_deref(), Some("NoSuchEntity"));
    let uploaded: u64 = evidence.of(&Kind::RequestBody).iter().filter_map(|record| record.fields.request_bytes).sum();
    assert!(uploaded >= data.len() as u64, "the parts of the upload: {uploaded}");
    let secret = made.split("\"SecretAccessKey\": \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(secret.len() >= 30 && !format!("{:?}", evidence.payloads).contains(secret));
}

#[test]
fn a_session_that_is_over_is_told_to_the_aws_cli_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let gateway = Gateway::start(&folder.path().join("home"), &moto.route());
    let session = gateway.session("CHG-1");
    let environment = ok(in_session(&gateway, &session, Path::new("env"), &[]));
    let variables: Vec<_> = environment.lines().filter_map(|line| line.split_once('=')).collect();
    gateway.ok(&["session", "revoke", &session, "--reason", "enough"]);
    for (arguments, says) in [
        (["sts", "get-caller-identity"], "AccessDenied"),
        (["s3", "ls"], "AccessDenied"),
        (["dynamodb", "list-tables"], "AccessDenied"),
    ] {
        let output = Command::new(python("aws")).args(arguments).envs(variables.iter().copied()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success()
                && text.contains(says)
                && text.contains("was revoked")
                && text.contains("sealgate session open"),
            "{arguments:?}: {text}"
        );
    }
}

#[test]
fn foreign_signatures_that_may_pass_do_so_untouched_to_a_server_that_checks_them() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), Some(3));
    let foreign = format!("foreign = \"pass\"\nforeign_keys = [\"AKIA*\"]\n{}", moto.route());
    let mut gateway = Gateway::start(&folder.path().join("home"), &foreign);
    let session = gateway.session("CHG-1");
    let said = ok(in_session_with(&gateway, &session, "none", &python("python3"), &[&script("signed.py")]));
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["arn arn:aws:iam::123456789012:user/alice", "refused SignatureDoesNotMatch", "items 200"]
    );
    close_and_verify(&mut gateway, "CHG-1");
    let evidence = window(&gateway.home, "CHG-1");
    let puts =
        evidence.of(&Kind::Intent).into_iter().filter(|record| record.fields.operation.as_deref() == Some("PutItem")).count();
    assert_eq!(puts, 200);
    let refused =
        evidence.of(&Kind::Outcome).into_iter().find(|record| record.fields.error_code.as_deref() == Some("SignatureDoesNotMatch"));
    assert_eq!(refused.unwrap().fields.status, Some(403));
}

/// The most memory the process has ever held, in KiB.
fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn bodies_of_64_mib_leave_memory_flat() {
    const GROWTH_KIB_MAX: u64 = 32 << 10;
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let mut gateway = Gateway::start(&folder.path().join("home"), &moto.route());
    let session = gateway.session("CHG-1");
    let move_bodies = |mebibytes: &str, times: &str| {
        ok(in_session(&gateway, &session, &python("python3"), &[&script("bodies.py"), mebibytes, times]))
    };
    move_bodies("4", "2");
    let before = peak_memory(gateway.id());
    move_bodies("64", "2");
    let after = peak_memory(gateway.id());
    assert!(after - before < GROWTH_KIB_MAX, "{before} KiB grew to {after} KiB");
    close_and_verify(&mut gateway, "CHG-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_under_load_loses_nothing_it_acknowledged() {
    const ROUNDS: usize = 3;
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let route = format!("[[route]]\nhost = \"amazonaws.com\"\nto = \"{}\"\nca = \"{}\"\n", upstream.address, upstream.ca.display());
    let home = folder.path().join("home");
    let mut answered = 0;
    for round in 0..ROUNDS {
        let mut gateway = Gateway::start(&home, &format!("{route}[ledger]\npart_records = 40\n"));
        let session = if round == 0 {
            gateway.session("CHG-1")
        } else {
            gateway
                .ok(&[
                    "session",
                    "open",
                    "--window",
                    "CHG-1",
                    "--principal",
                    "ci",
                    "--kind",
                    "workload",
                    "--for",
                    "1h",
                    "--reason",
                    "load",
                    "-q",
                ])
                .trim()
                .to_owned()
        };
        let mut load =
            in_session(&gateway, &session, &python("python3"), &[&script("load.py"), "8"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(load.stdout.take().unwrap()).lines();
        // Killed in the middle of it, at another place each round.
        let before_kill = 60 + 37 * round;
        answered += lines.by_ref().take(before_kill).filter(Result::is_ok).count();
        gateway.signal("KILL");
        answered += lines.filter(Result::is_ok).count();
        load.wait().unwrap();
    }
    let mut gateway = Gateway::start(&home, &route);
    close_and_verify(&mut gateway, "CHG-1");
    let evidence = window(&home, "CHG-1");
    let count = |kind| evidence.of(&kind).len();
    let (intents, outcomes, unknown) = (count(Kind::Intent), count(Kind::Outcome), count(Kind::OutcomeUnknown));
    assert!(outcomes >= answered, "{answered} whole answers, {outcomes} outcomes");
    assert!(intents >= upstream.seen().len(), "{} requests arrived, {intents} intents", upstream.seen().len());
    assert_eq!(intents, outcomes + unknown);
    assert!(count(Kind::Recovery) <= ROUNDS);
    check(&home);
}

#[test]
fn one_recorded_command_needs_nothing_but_itself() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let home = folder.path().join("home");
    // A configuration only because the AWS of this test is not the real one.
    let configuration = folder.path().join("routes.toml");
    std::fs::write(&configuration, moto.route()).unwrap();
    let output = Command::new(sealgate())
        .arg("--home")
        .arg(&home)
        .args(["record", "--window", "CHG-1", "--reason", "look around", "--config"])
        .arg(&configuration)
        .arg("--")
        .arg(python("aws"))
        .args(["sts", "get-caller-identity"])
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("123456789012"));
    assert_eq!(
        window(&home, "CHG-1").kinds(),
        ["window_open", "session_open", "credential_issue", "intent", "outcome", "session_close", "window_close"]
    );
}
