//! Every kind of source, through the real binary: the AWS CLI against moto where AWS itself has a stand-in, a small server where the
//! machine's own services (IMDS, ECS) and the portal of SSO have none.

use super::{json, plain};
use crate::cli::{Gateway, command};
use http::{Method, StatusCode};
use sealgate::clock::{Clock, SystemClock, rfc3339};
use sealgate_schema::record::Kind;
use sealgate_tests::{
    check,
    moto::Moto,
    programs::{python, sealgate},
    upstream::{Handler, Offer, Upstream, handler, sts, text},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// Where the token of `https://sealgate.awsapps.com/start` is kept: its SHA-1.
const SSO_TOKEN: &str = "55e8afb994cee762a7255aeac96b160f2746a64f.json";

/// `sealgate run` with none of this machine's AWS settings, and with proxies that lead nowhere: a source that took one would fail.
fn run(home: &Path, variables: &[(&str, &str)]) -> Command {
    let mut run = Command::new(sealgate());
    run.env_clear().env("HOME", home.parent().unwrap()).env("PATH", std::env::var_os("PATH").unwrap());
    for proxy in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy"] {
        run.env(proxy, "http://127.0.0.1:9");
    }
    // Never this machine's own metadata service, whatever the test gets wrong.
    run.env("AWS_EC2_METADATA_DISABLED", "true");
    run.arg("--home").arg(home).arg("run").envs(variables.iter().copied());
    run
}

fn start(folder: &TempDir, configuration: &str, variables: &[(&str, &str)]) -> Gateway {
    let home = folder.path().join("home");
    Gateway::start_as(&home, configuration, run(&home, variables))
}

/// Public id of an account's own credential, as the gateway gets it.
fn key(gateway: &Gateway, account: &str) -> String {
    let said: Value = serde_json::from_str(&gateway.ok(&["account", "check", account, "--json"])).unwrap();
    said["access_key_id"].as_str().unwrap().to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn open(gateway: &Gateway, more: &[&str]) -> String {
    let grant = ["session", "open", "--window", "CHG-1", "--principal", "alice", "--for", "1h", "--reason", "a test", "--quiet"];
    gateway.ok(&[&grant[..], more].concat()).trim().to_owned()
}

/// The AWS CLI in a session: what it was given there, and nothing of this machine's.
fn aws(gateway: &Gateway, session: &str, arguments: &[&str]) -> Output {
    let mut command = command(&gateway.home, &["session", "exec", session, "--"]);
    command.arg(python("aws")).args(arguments).env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_MAX_ATTEMPTS", "1");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command.output().unwrap()
}

fn in_an_hour() -> String {
    rfc3339(SystemClock.now() + 3_600_000_000)
}

/// What IMDS and ECS answer with.
fn role_credential(id: &str) -> Value {
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-11-23T10:00:00Z", "AccessKeyId": id,
        "SecretAccessKey": "a secret of the machine", "Token": "a token", "Expiration": in_an_hour(),
    })
}

#[test]
fn sessions_of_several_accounts_call_as_their_own_roles() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let file = folder.path().join("credentials");
    fs::write(&file, "[ops]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = a source secret\n").unwrap();
    let source =
        format!("source = \"profile\"\nprofile = \"ops\"\nregion = \"us-east-1\"\ncredentials_file = \"{}\"\n", file.display());
    let configuration = format!(
        "{}[[account]]\nname = \"default\"\n{source}\
         [[account]]\nname = \"prod\"\naccount = \"111122223333\"\nroles = [\"deploy\", \"read-*\"]\n{source}\
         [[account]]\nname = \"dev\"\naccount = \"444455556666\"\n{source}",
        moto.route()
    );
    let mut gateway = start(&folder, &configuration, &[]);
    gateway.ok(&["window", "open", "CHG-1", "--title", "a test", "--for", "4h"]);
    for (more, arn) in [
        (&["--account", "prod", "--role", "deploy"][..], "arn:aws:sts::111122223333:assumed-role/deploy/alice"),
        (&["--account", "prod", "--role", "read-all"], "arn:aws:sts::111122223333:assumed-role/read-all/alice"),
        (&["--account", "dev", "--role", "admin"], "arn:aws:sts::444455556666:assumed-role/admin/alice"),
        (&["--account", "dev"], "arn:aws:sts::123456789012:user/moto"),
        (&[], "arn:aws:sts::123456789012:user/moto"),
    ] {
        let session = open(&gateway, more);
        let output = aws(&gateway, &session, &["sts", "get-caller-identity"]);
        assert!(output.status.success() && said(&output).contains(arn), "{more:?}: {}", said(&output));
    }
    let listed = gateway.ok(&["account", "list"]);
    assert!(listed.contains("deploy, read-*") && listed.contains("AKIAIOSFODNN7EXAMPLE"), "{listed}");
    gateway.signal("TERM");
    let evidence = check::window(&gateway.home, "CHG-1");
    assert_eq!((evidence.of(&Kind::Administration).len(), evidence.of(&Kind::Outcome).len()), (6, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_is_one_line_to_the_client_and_nothing_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (config, keys) = (folder.path().join("config"), folder.path().join("keys.json"));
    let program = format!("cat {} || {{ echo hunter2 >&2; exit 3; }}", keys.display());
    let script = folder.path().join("keys.sh");
    fs::write(&script, program).unwrap();
    fs::write(&config, format!("[profile ops]\ncredential_process = sh {}\n", script.display())).unwrap();
    let configuration = format!(
        "[[route]]\nhost = \"amazonaws.com\"\nto = \"{}\"\nca = \"{}\"\n[[account]]\nname = \"default\"\nsource = \"profile\"\nprofile = \"ops\"\nconfig_file = \"{}\"\n",
        upstream.address,
        upstream.ca.display(),
        config.display()
    );
    let mut gateway = start(&folder, &configuration, &[]);
    gateway.ok(&["window", "open", "CHG-1", "--title", "a test", "--for", "4h"]);
    let session = open(&gateway, &[]);
    let output = aws(&gateway, &session, &["sts", "get-caller-identity"]);
    let refused = said(&output);
    assert!(!output.status.success() && refused.contains("ServiceUnavailable"), "{refused}");
    assert!(
        refused.contains("account default: its source (profile ops) gave no credential") && !refused.contains("hunter2"),
        "{refused}"
    );
    assert_eq!(upstream.seen().len(), 0);
    let checked = command(&gateway.home, &["account", "check"]).output().unwrap();
    assert!(!checked.status.success() && said(&checked).contains("profile ops") && !said(&checked).contains("hunter2"));
    let status = said(&command(&gateway.home, &["status"]).output().unwrap());
    assert!(status.contains("account default: its source (profile ops) gave no credential"), "{status}");
    gateway.signal("TERM");
    let evidence = check::window(&gateway.home, "CHG-1");
    let refusals = evidence.of(&Kind::Refusal);
    assert_eq!(
        (refusals[0].fields.status, refusals[0].fields.error_code.as_deref()),
        (Some(503), Some("SealgateCredentialSource"))
    );
    assert_eq!((evidence.of(&Kind::Intent).len(), format!("{:?}", evidence.records).contains("hunter2")), (0, false));

    let made = json!({ "Version": 1, "AccessKeyId": "ASIAOFAPROGRAM", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": in_an_hour() });
    fs::write(&keys, made.to_string()).unwrap();
    let gateway = start(&folder, &configuration, &[]);
    assert_eq!(key(&gateway, "default"), "ASIAOFAPROGRAM");
    let output = aws(&gateway, &session, &["sts", "get-caller-identity"]);
    assert!(output.status.success(), "{}", said(&output));
    let sent = upstream.seen().pop().unwrap().headers["authorization"].to_str().unwrap().to_owned();
    assert!(sent.contains("Credential=ASIAOFAPROGRAM/"), "{sent}");
}

#[test]
fn a_profile_that_is_not_there_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (home, config) = (folder.path().join("home"), folder.path().join("config"));
    fs::write(&config, "[profile ops]\nregion = us-east-1\n").unwrap();
    Gateway::start_as(&home, "", run(&home, &[])).signal("TERM");
    for (source, profile, says) in [
        ("profile", "oops", "[[account]] a: there is no profile oops"),
        ("sso", "ops", "[[account]] a: profile ops is none of SSO"),
    ] {
        let account = format!(
            "[[account]]\nname = \"a\"\nsource = \"{source}\"\nprofile = \"{profile}\"\nconfig_file = \"{}\"\n",
            config.display()
        );
        fs::write(home.join("sealgate.toml"), format!("listen = \"127.0.0.1:0\"\n{account}")).unwrap();
        let output = run(&home, &[]).output().unwrap();
        assert!(!output.status.success() && said(&output).contains(says), "{}", said(&output));
    }
}

#[test]
fn without_an_account_the_environment_of_the_gateway_is_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("AWS_ACCESS_KEY_ID", "AKIAOFTHEENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "s")];
    assert_eq!(key(&start(&folder, "", &variables), "default"), "AKIAOFTHEENVIRONMENT");
    let named = "[[account]]\nname = \"default\"\nsource = \"environment\"\n";
    assert_eq!(key(&start(&folder, named, &variables), "default"), "AKIAOFTHEENVIRONMENT");
    let gateway = start(&folder, named, &[]);
    let output = command(&gateway.home, &["account", "check"]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("source (environment) gave no credential"), "{}", said(&output));
    let output = command(&gateway.home, &["account", "check", "prod"]).output().unwrap();
    assert!(said(&output).contains("there is no account prod; sealgate.toml has: default"), "{}", said(&output));
}

/// IMDSv2: a token first, then the role's name, then its credential.
fn imds() -> Handler {
    handler(|request| async move {
        let token = request.headers().get("x-aws-ec2-metadata-token").is_some_and(|token| token == "token-of-imds");
        let mut response = match (request.method(), request.uri().path(), token) {
            (&Method::PUT, "/latest/api/token", _) => text("token-of-imds"),
            (_, "/latest/meta-data/iam/security-credentials/", true) => text("role-of-the-machine"),
            (_, "/latest/meta-data/iam/security-credentials/role-of-the-machine", true) => {
                json(&role_credential("ASIAOFTHEMACHINE"))
            }
            (_, _, false) => return status(StatusCode::UNAUTHORIZED),
            _ => return status(StatusCode::NOT_FOUND),
        };
        response.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", "21600".parse().unwrap());
        response
    })
}

fn status(status: StatusCode) -> http::Response<sealgate_tests::upstream::Body> {
    let mut response = text("");
    *response.status_mut() = status;
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_has_its_credential_from_its_metadata_service() {
    let folder = tempfile::tempdir().unwrap();
    let address = plain(imds()).await;
    let route = format!("[[route]]\nhost = \"169.254.169.254\"\nto = \"{address}\"\n");
    let account = "[[account]]\nname = \"default\"\nsource = \"imds\"\n";
    let enabled = [("AWS_EC2_METADATA_DISABLED", "false")];
    assert_eq!(key(&start(&folder, &format!("{route}{account}"), &enabled), "default"), "ASIAOFTHEMACHINE");
    assert_eq!(key(&start(&folder, &route, &enabled), "default"), "ASIAOFTHEMACHINE", "the last of the default chain");
    let gateway = start(&folder, &route, &[]);
    let output = command(&gateway.home, &["account", "check"]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("ECS and IMDS were tried"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_has_its_credential_from_its_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let ecs = handler(|request| async move {
        match request.headers().get("authorization").is_some_and(|token| token == "token-of-ecs") {
            true => json(&role_credential("ASIAOFTHETASK")),
            false => status(StatusCode::UNAUTHORIZED),
        }
    });
    let uri = format!("http://{}/role", plain(ecs).await);
    let account = "[[account]]\nname = \"default\"\nsource = \"ecs\"\n";
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token-of-ecs")];
    assert_eq!(key(&start(&folder, account, &variables), "default"), "ASIAOFTHETASK");

    let broken = [variables[0], ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2\n")];
    let home = folder.path().join("home");
    let log = folder.path().join("log");
    let mut run = run(&home, &broken);
    run.env("SEALGATE_LOG", "trace").stderr(fs::File::create(&log).unwrap());
    let gateway = Gateway::start_as(&home, account, run);
    let output = command(&gateway.home, &["account", "check"]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("line break"), "{}", said(&output));
    assert!(!said(&output).contains("hunter2") && !fs::read_to_string(&log).unwrap().contains("hunter2"));
}

#[test]
fn a_workload_has_its_credential_for_its_web_identity() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let token = folder.path().join("token");
    fs::write(&token, "a.web.token").unwrap();
    let configuration =
        format!("{}[[account]]\nname = \"default\"\nsource = \"web_identity\"\nregion = \"us-east-1\"\n", moto.route());
    let role = "arn:aws:iam::111122223333:role/workload";
    let variables = [("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()), ("AWS_ROLE_ARN", role)];
    let gateway = start(&folder, &configuration, &variables);
    assert!(key(&gateway, "default").starts_with("ASIA"));
    gateway.ok(&["window", "open", "CHG-1", "--title", "a test", "--for", "4h"]);
    let output = aws(&gateway, &open(&gateway, &[]), &["sts", "get-caller-identity"]);
    assert!(said(&output).contains("111122223333:assumed-role/workload"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_sso_is_a_source_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let portal = handler(|request| async move {
        let token = request.headers().get("x-amz-sso_bearer_token").is_some_and(|token| token == "token-of-sso");
        let asked = request.uri().to_string();
        match token && asked.contains("account_id=111122223333") && asked.contains("role_name=dev") {
            true => json(&json!({ "roleCredentials": {
                "accessKeyId": "ASIAOFSSO", "secretAccessKey": "s", "sessionToken": "t",
                "expiration": SystemClock.now() / 1_000 + 3_600_000,
            } })),
            false => status(StatusCode::UNAUTHORIZED),
        }
    });
    let upstream = Upstream::start(folder.path(), Offer::Http1, portal).await;
    let (config, cache) = (folder.path().join(".aws/config"), folder.path().join(".aws/sso/cache"));
    fs::create_dir_all(&cache).unwrap();
    let start_url = "https://sealgate.awsapps.com/start";
    let profile = "[profile dev]\nsso_region = us-east-1\nsso_account_id = 111122223333\nsso_role_name = dev\n";
    fs::write(&config, format!("{profile}sso_start_url = {start_url}\n")).unwrap();
    let configuration = format!(
        "[[route]]\nhost = \"amazonaws.com\"\nto = \"{}\"\nca = \"{}\"\n[[account]]\nname = \"default\"\nsource = \"sso\"\nprofile = \"dev\"\n",
        upstream.address,
        upstream.ca.display()
    );
    let gateway = start(&folder, &configuration, &[]);
    let check = || command(&gateway.home, &["account", "check"]).output().unwrap();
    let output = check();
    assert!(!output.status.success() && said(&output).contains("sso dev"), "{}", said(&output));
    drop(gateway);

    let token = json!({ "startUrl": start_url, "region": "us-east-1", "accessToken": "token-of-sso", "expiresAt": in_an_hour() });
    fs::write(cache.join(SSO_TOKEN), token.to_string()).unwrap();
    assert_eq!(key(&start(&folder, &configuration, &[]), "default"), "ASIAOFSSO");
}

#[test]
fn a_gateway_that_is_its_own_endpoint_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "a.web.token").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let configuration = "[[account]]\nname = \"default\"\nsource = \"web_identity\"\nregion = \"us-east-1\"\n";
    let home = folder.path().join("home");
    let endpoint = format!("http://{address}");
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/workload"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
    ];
    let mut run = run(&home, &variables);
    run.args(["--listen", &address.to_string()]);
    let gateway = Gateway::start_as(&home, configuration, run);
    let output = command(&gateway.home, &["account", "check"]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("unset AWS_ENDPOINT_URL"), "{}", said(&output));
}
