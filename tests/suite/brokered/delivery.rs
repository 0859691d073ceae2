//! How tools get a session's credential: keys, `credential_process`, the container's endpoint.

use super::{aws, credentials, fails, inside, ok};
use crate::cli::{Gateway, command};
use sealgate_tests::{
    moto::Moto,
    programs::{python, sealgate},
};
use std::{fs, process::Command};

fn bench(folder: &std::path::Path) -> (Moto, Gateway, String) {
    let moto = Moto::start(folder, None);
    let gateway = Gateway::start(&folder.join("home"), &moto.route());
    let session = gateway.session("CHG-1");
    (moto, gateway, session)
}

#[test]
fn a_session_has_one_credential_a_way_and_what_else_the_tool_would_use_is_unset() {
    let folder = tempfile::tempdir().unwrap();
    let (_moto, gateway, session) = bench(folder.path());
    let printed = gateway.ok(&["session", "env", &session]);
    assert!(printed.starts_with("unset AWS_PROFILE "), "{printed}");
    assert_eq!(printed, gateway.ok(&["session", "env", &session]), "it is the same one again");
    // JavaScript's SDK puts a profile before keys: it has to be gone.
    let mut command = inside(&gateway, &session, &[], &["env".as_ref()]);
    command.env("AWS_PROFILE", "prod").env("AWS_ROLE_ARN", "arn:aws:iam::1:role/x");
    let environment = ok(command);
    assert!(!environment.contains("AWS_PROFILE") && !environment.contains("AWS_ROLE_ARN"), "{environment}");
    assert!(environment.contains("AWS_SESSION_TOKEN="));
    // Where the tool's own are to stay, nothing of AWS's is touched.
    let mut command = inside(&gateway, &session, &["--credentials", "none"], &["env".as_ref()]);
    command.env("AWS_PROFILE", "prod");
    let environment = ok(command);
    assert!(environment.contains("AWS_PROFILE=prod") && !environment.contains("AWS_SESSION_TOKEN"), "{environment}");
    let kinds: Vec<_> = credentials(&gateway).iter().map(|view| view["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["keys"]);
}

#[test]
fn a_credential_process_and_the_container_s_endpoint_give_one_that_expires() {
    let folder = tempfile::tempdir().unwrap();
    let (_moto, gateway, session) = bench(folder.path());
    let config = folder.path().join("aws.config");
    let process = format!("{} --home {} credentials --session {session}", sealgate().display(), gateway.home.display());
    fs::write(&config, format!("[profile sealed]\nregion = us-east-1\ncredential_process = {process}\n")).unwrap();
    let mut by_process =
        aws(&gateway, &session, &["--credentials", "none"], &["sts", "get-caller-identity", "--profile", "sealed"]);
    by_process.env("AWS_CONFIG_FILE", &config);
    assert!(ok(by_process).contains("123456789012"));
    assert!(ok(aws(&gateway, &session, &["--credentials", "renewed"], &["sts", "get-caller-identity"])).contains("123456789012"));
    let listed = credentials(&gateway);
    assert_eq!(listed.iter().map(|view| view["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["renewed"], "{listed:?}");
    let printed: serde_json::Value = serde_json::from_str(&gateway.ok(&["credentials", "--session", &session])).unwrap();
    assert_eq!((printed["Version"].as_i64(), printed["AccessKeyId"].as_str()), (Some(1), listed[0]["id"].as_str()));
    assert!(printed["Expiration"].as_str().unwrap().ends_with('Z'));

    gateway.ok(&["session", "revoke", &session, "--reason", "a test"]);
    let refused = command(&gateway.home, &["credentials", "--session", &session]).output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("is revoked"), "{refused:?}");
}

#[test]
fn the_endpoint_wants_the_session_s_token_and_says_in_json_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (_moto, gateway, session) = bench(folder.path());
    let printed = gateway.ok(&["session", "env", &session, "--credentials", "renewed"]);
    let value = |name: &str| {
        let line = printed.lines().find(|line| line.starts_with(&format!("export {name}="))).unwrap();
        line.split_once('=').unwrap().1.trim_matches('\'').to_owned()
    };
    let (url, token) = (value("AWS_CONTAINER_CREDENTIALS_FULL_URI"), value("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    let ask = |method: &str, token: &str| -> (u16, serde_json::Value) {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", "\n%{http_code}", "-X", method, "-H", &format!("Authorization: {token}"), &url]);
        let said = String::from_utf8(curl.output().unwrap().stdout).unwrap();
        let (body, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap())
    };
    assert_eq!(ask("GET", &token).0, 200);
    assert_eq!(ask("POST", &token).0, 405);
    for wrong in ["", "Basic eA==", "Bearer x"] {
        let (status, body) = ask("GET", wrong);
        assert_eq!((status, body["code"].as_str()), (401, Some("InvalidToken")), "{wrong}");
    }
    gateway.ok(&["session", "close", &session]);
    let (status, body) = ask("GET", &token);
    assert_eq!(status, 403);
    assert!(body["message"].as_str().unwrap().contains("is closed"), "{body}");
}

#[test]
fn secrets_are_not_in_the_database_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (_moto, mut gateway, session) = bench(folder.path());
    let printed = gateway.ok(&["session", "env", &session]);
    let secrets: Vec<_> = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
        .iter()
        .map(|name| printed.lines().find_map(|line| line.strip_prefix(&format!("export {name}='"))).unwrap().trim_matches('\''))
        .collect();
    gateway.signal("TERM");
    for secret in secrets {
        let grep = Command::new("grep").args(["-rlF", "--", secret]).arg(&gateway.home).output().unwrap();
        assert!(grep.stdout.is_empty(), "{}", String::from_utf8_lossy(&grep.stdout));
    }
    // Without the key that encrypts them they are lost, and no more than that.
    fs::remove_file(gateway.home.join("keys/broker.key")).unwrap();
    let mut run = command(&gateway.home, &["run"]);
    run.env("AWS_ACCESS_KEY_ID", "AKIAX").env("AWS_SECRET_ACCESS_KEY", "x").stderr(std::process::Stdio::null());
    gateway.run(run);
    let keys: Vec<_> = printed.lines().filter(|line| line.starts_with("export AWS_") && !line.contains("CA_BUNDLE")).collect();
    let keys = keys.join("\n");
    let said = fails(inside(
        &gateway,
        &session,
        &["--credentials", "none"],
        &["sh".as_ref(), "-c".as_ref(), format!("{keys}\n{} sts get-caller-identity", python("aws").display()).as_ref()],
    ));
    assert!(said.contains("was not issued by sealgate"), "{said}");
    ok(aws(&gateway, &session, &[], &["sts", "get-caller-identity"]));
}
