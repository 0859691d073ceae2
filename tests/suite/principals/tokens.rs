//! OIDC tokens, made by another library, of an issuer on loopback that serves discovery and key sets as told.

use super::{gateway, identify};
use crate::cli::{Gateway, command};
use http::{Response, StatusCode, header};
use sealgate::{
    limits::{JWKS_BYTES_MAX, JWKS_FETCH_EVERY, JWKS_KEPT},
    principals::{
        Asked, Identity,
        proof::{Proof, Token},
    },
};
use sealgate_policies::{principal::claims::LEEWAY_SECONDS, session::PrincipalKind};
use sealgate_tests::{
    gateway::TestGateway,
    programs::{python, root},
    upstream::{Body, Offer, Upstream, handler, text},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    task::Poll,
    time::{SystemTime, UNIX_EPOCH},
};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// What the issuer answers.
#[derive(Default)]
struct Answers {
    /// The discovery document, where it is not the usual one.
    discovery: Option<Value>,
    /// The key set.
    keys: Value,
    how: How,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum How {
    #[default]
    Well,
    Hanging,
    Huge,
    Redirecting,
}

struct Issuer {
    url: String,
    upstream: Upstream,
    answers: Arc<Mutex<Answers>>,
}

impl Issuer {
    async fn start(folder: &Path) -> Self {
        let folder = folder.join("issuer");
        fs::create_dir(&folder).unwrap();
        let (answers, own): (Arc<Mutex<Answers>>, Arc<Mutex<String>>) = Default::default();
        let (told, url) = (answers.clone(), own.clone());
        let answer = handler(move |request| {
            let (path, url) = (request.uri().path().to_owned(), url.lock().unwrap().clone());
            let (how, body) = {
                let told = told.lock().unwrap();
                let usual = || json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
                let body = if path == DISCOVERY { told.discovery.clone().unwrap_or_else(usual) } else { told.keys.clone() };
                (told.how, body)
            };
            async move { answered(how, &body, &url).await }
        });
        let upstream = Upstream::start(&folder, Offer::Http1, answer).await;
        let url = format!("https://localhost:{}", upstream.address.port());
        own.lock().unwrap().clone_from(&url);
        Self { url, upstream, answers }
    }

    fn tell(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.answers.lock().unwrap());
    }

    fn asked(&self) -> usize {
        self.upstream.seen().iter().filter(|seen| seen.line.ends_with(DISCOVERY)).count()
    }

    /// The entry that tells the gateway which CA to trust for it.
    fn entry(&self) -> String {
        format!("[[issuer]]\nurl = {:?}\nca = {:?}\n", self.url, self.upstream.ca)
    }
}

async fn answered(how: How, body: &Value, url: &str) -> Response<Body> {
    match how {
        How::Well => text(body.to_string()),
        How::Hanging => std::future::pending().await,
        How::Huge => text(vec![b' '; JWKS_BYTES_MAX + 1]),
        How::Redirecting => {
            let mut response = text("");
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(header::LOCATION, format!("{url}/keys").parse().unwrap());
            response
        }
    }
}

/// Makes tokens, and says what the public keys are by name.
fn make(folder: &Path, wanted: &Value) -> (Vec<String>, Value) {
    let script = root().join("tests/suite/scripts/tokens.py");
    let mut command = Command::new(python("python3"));
    command.arg("-W").arg("ignore").arg(script).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(wanted.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tokens = made["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap().to_owned());
    (tokens.collect(), made["keys"].clone())
}

fn key_set(keys: &Value) -> Value {
    json!({ "keys": keys.as_object().unwrap().values().collect::<Vec<_>>() })
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A job's claims, as GitHub's have them.
fn job(issuer: &Issuer) -> Value {
    json!({
        "iss": issuer.url, "aud": "sealgate", "sub": "repo:acme/infra:environment:prod", "jti": "1",
        "iat": now(), "nbf": now() - 5, "exp": now() + 300, "repository": "acme/infra", "run_id": "42",
    })
}

fn changed(mut claims: Value, change: Value) -> Value {
    let change = change.as_object().unwrap().clone();
    claims.as_object_mut().unwrap().extend(change);
    let all = claims.as_object_mut().unwrap();
    all.retain(|_, value| !value.is_null());
    claims
}

const WORKLOADS: &str = r#"
[[workload]]
name = "deploy"
[workload.oidc]
issuer = "ISSUER"
audience = "sealgate"
subject = "repo:acme/infra:environment:*"
claims = { repository = "acme/infra" }

[[agent]]
name = "helper"
acts_for = ["alice"]
oidc = { issuer = "ISSUER", audience = "sealgate", subject = "system:serviceaccount:agents:*" }
"#;

async fn with_issuer() -> (TestGateway, Issuer, PathBuf) {
    let (mut gateway, _upstream) = gateway("").await;
    let folder = gateway.folder.path().to_owned();
    let issuer = Issuer::start(&folder).await;
    let directory = WORKLOADS.replace("ISSUER", &issuer.url) + &issuer.entry();
    fs::write(gateway.config.principals.as_ref().unwrap(), directory).unwrap();
    gateway.start().await;
    (gateway, issuer, folder)
}

async fn present(gateway: &TestGateway, token: &str, asked: Asked<'_>) -> Result<Identity, String> {
    let proof = Proof { ssh: None, oidc: Some(Token::new(token.to_owned().into())) };
    assert!(token.is_empty() || !format!("{proof:?}").contains(token), "it is masked");
    let identity = identify(gateway, asked, proof).await.map_err(|error| error.to_string());
    let parts = token.split('.').filter(|part| part.len() > 8);
    parts.for_each(|part| assert!(!format!("{identity:?}").contains(part), "nothing of a token is told: {identity:?}"));
    identity
}

#[tokio::test]
async fn a_token_says_who_its_job_is_once() {
    let (mut gateway, issuer, folder) = with_issuer().await;
    let claims = job(&issuer);
    let pod = changed(claims.clone(), json!({ "sub": "system:serviceaccount:agents:a", "aud": ["sealgate", "k8s"], "nbf": null }));
    let wanted = json!([
        { "key": "rsa-1", "alg": "RS256", "claims": claims },
        { "key": "ec-1", "alg": "ES256", "claims": claims },
        { "key": "ed-1", "alg": "EdDSA", "claims": claims },
        { "key": "ec-1", "alg": "ES256", "claims": pod, "header": { "kid": null } },
        { "key": "ec-1", "alg": "ES256", "claims": pod },
        { "twin": 1 },
    ]);
    let (tokens, keys) = make(&folder, &wanted);
    issuer.tell(|answers| answers.keys = key_set(&keys));
    for token in &tokens[..3] {
        let identity = present(&gateway, token, Asked { principal: Some("deploy"), ..Asked::default() }).await.unwrap();
        assert_eq!((&*identity.principal, identity.kind), ("deploy", PrincipalKind::Workload));
        assert_eq!(identity.basis.as_str(), format!("oidc {} repo:acme/infra:environment:prod", issuer.url));
        assert!(present(&gateway, token, Asked::default()).await.unwrap_err().contains("used before"));
    }
    // The same claims with another signature that is right are the same token.
    assert!(tokens[5] != tokens[1] && present(&gateway, &tokens[5], Asked::default()).await.unwrap_err().contains("used before"));
    let for_alice = Asked { acting_for: Some("alice"), ..Asked::default() };
    let agent = present(&gateway, &tokens[3], for_alice).await.unwrap();
    assert_eq!((agent.kind, agent.acting_for.as_deref()), (PrincipalKind::Agent, Some("alice")));
    // Refused for whom it is to act for: the token is good still.
    assert!(present(&gateway, &tokens[4], Asked::default()).await.unwrap_err().contains("for whom"));
    assert!(
        present(&gateway, &tokens[4], Asked { acting_for: Some("bob"), ..Asked::default() })
            .await
            .unwrap_err()
            .contains("may not act")
    );
    assert!(present(&gateway, &tokens[4], for_alice).await.is_ok());
    assert_eq!(issuer.asked(), 1, "the keys are kept");
    gateway.stop().await;
    gateway.start().await;
    assert!(
        present(&gateway, &tokens[0], Asked::default()).await.unwrap_err().contains("used before"),
        "a restart changes nothing"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn of_a_token_that_is_shown_at_once_from_many_sides_one_use_counts() {
    let (mut gateway, issuer, folder) = with_issuer().await;
    let (tokens, keys) = make(&folder, &json!([{ "key": "ec-1", "alg": "ES256", "claims": job(&issuer) }]));
    issuer.tell(|answers| answers.keys = key_set(&keys));
    let uses = (0..8).map(|_| present(&gateway, &tokens[0], Asked::default()));
    let taken = all(uses).await.into_iter().filter(Result::is_ok).count();
    assert_eq!((taken, issuer.asked()), (1, 1), "and the keys are fetched once");
    gateway.stop().await;
}

#[test]
fn the_command_line_reads_a_token_from_a_file_standard_input_or_the_environment_and_it_is_written_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let claims = json!({ "iss": "https://issuer.test", "aud": "sealgate", "sub": "repo:acme/infra:environment:x", "exp": now() + 60, "repository": "acme/infra" });
    let (tokens, keys) = make(folder.path(), &json!([{ "key": "ed-1", "alg": "EdDSA", "claims": claims }]));
    fs::write(folder.path().join("keys.json"), key_set(&keys).to_string()).unwrap();
    fs::write(folder.path().join("token"), format!("{}\n", tokens[0])).unwrap();
    let directory = WORKLOADS.replace("ISSUER", "https://issuer.test")
        + "[[issuer]]\nurl = \"https://issuer.test\"\njwks_file = \"keys.json\"\n";
    fs::write(folder.path().join("principals.toml"), directory).unwrap();
    let log = folder.path().join("log");
    let gateway = Gateway::start_logging(&home, "principals = \"../principals.toml\"\n", &log);

    let who = "deploy (workload), by oidc https://issuer.test repo:acme/infra:environment:x\n";
    let token = folder.path().join("token").display().to_string();
    for _ in 0..2 {
        assert_eq!(gateway.ok(&["principal", "who", "--oidc-token", &token]), who, "asking does not use it up");
    }
    let mut from_input = command(&home, &["principal", "who", "--oidc-token", "-"]);
    let output = from_input.stdin(fs::File::open(&token).unwrap()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), who);
    let output = command(&home, &["principal", "who"]).env("SEALGATE_OIDC_TOKEN", &tokens[0]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), who);
    let refused = command(&home, &["principal", "who", "--principal", "alice", "--oidc-token", &token]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("deploy's, and not alice's"));
    assert!(gateway.ok(&["principal", "who", "--principal", "carol"]).starts_with("carol (human), by word of uid "));
    let list = gateway.ok(&["principal", "list"]);
    assert!(
        list.contains("deploy") && list.contains("sub=repo:acme/infra:environment:*") && list.contains("repository=acme/infra"),
        "{list}"
    );

    drop(gateway);
    assert!(fs::read_to_string(&log).unwrap().contains("DEBUG"), "it has said all that it can say");
    let written = files_below(&home).into_iter().chain([log]);
    for file in written {
        let bytes = fs::read(&file).unwrap();
        for part in tokens[0].split('.') {
            let found = bytes.windows(part.len()).any(|window| window == part.as_bytes());
            assert!(!found, "a part of the token is in {}", file.display());
        }
    }
}

/// Polls all of them until all are done.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in running.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if running.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files_below(&path) } else { vec![path] };
    entries.filter(|path| path.is_dir() || path.is_file()).flat_map(below).collect()
}

#[tokio::test]
async fn a_token_that_is_not_as_it_should_be_is_refused_and_says_why() {
    let (mut gateway, issuer, folder) = with_issuer().await;
    let claims = job(&issuer);
    let with = |change: Value| changed(claims.clone(), change);
    let rsa = |claims: Value| json!({ "key": "rsa-1", "alg": "RS256", "claims": claims });
    let head = |alg: &str, header: Value| json!({ "key": "rsa-1", "alg": alg, "claims": claims, "header": header });
    let unsigned = "not signed with RS256";
    let cases = [
        (head("none", json!({})), unsigned),
        (head("none", json!({ "alg": "RS256" })), "signature is wrong"),
        (head("none", json!({ "alg": "RS256", "crit": ["x"], "x": 1 })), unsigned),
        (head("HS256", json!({})), unsigned),
        (head("HS256", json!({ "alg": "RS256" })), "signature is wrong"),
        (head("RS512", json!({})), unsigned),
        (head("PS256", json!({})), unsigned),
        (head("RS256", json!({ "kid": "ec-1" })), "no key for the token"),
        (head("RS256", json!({ "kid": "nobody" })), "no key for the token"),
        (json!({ "key": "rsa-2", "alg": "RS256", "claims": claims, "header": { "kid": "rsa-1" } }), "signature is wrong"),
        (rsa(with(json!({ "iss": format!("{}/", issuer.url) }))), "issuer is in no oidc rule"),
        (rsa(with(json!({ "iss": "https://elsewhere.test" }))), "issuer is in no oidc rule"),
        (rsa(with(json!({ "aud": "other" }))), "no principal"),
        (rsa(with(json!({ "aud": [] }))), "no principal"),
        (rsa(with(json!({ "aud": null }))), "aud is missing"),
        (rsa(with(json!({ "exp": null }))), "exp is missing"),
        (rsa(with(json!({ "exp": now() - LEEWAY_SECONDS - 1 }))), "has expired"),
        (rsa(with(json!({ "exp": now() + 400 * 86_400 }))), "more than 24 hours"),
        (rsa(with(json!({ "nbf": now() + LEEWAY_SECONDS + 60 }))), "not valid yet"),
        (rsa(with(json!({ "iat": now() + LEEWAY_SECONDS + 60 }))), "not valid yet"),
        (rsa(with(json!({ "sub": "repo:acme/web:environment:prod" }))), "no principal"),
        (rsa(with(json!({ "sub": "repo:acme/infra:environment:prod:x" }))), "no principal"),
        (rsa(with(json!({ "repository": "acme/fork" }))), "no principal"),
        (rsa(with(json!({ "repository": null }))), "no principal"),
        (rsa(with(json!({ "repository": ["acme/infra"] }))), "no principal"),
    ];
    let wanted: Vec<_> = cases.iter().map(|(wanted, _)| wanted.clone()).collect();
    let (tokens, mut keys) = make(&folder, &json!(wanted));
    let (extra, more) = make(&folder, &json!([{ "key": "ec-1", "alg": "ES256", "claims": {} }, rsa(claims.clone())]));
    keys.as_object_mut().unwrap().remove("rsa-2");
    keys["ec-1"] = more["ec-1"].clone();
    issuer.tell(|answers| answers.keys = key_set(&keys));
    for (token, (wanted, says)) in tokens.iter().zip(&cases) {
        let error = present(&gateway, token, Asked::default()).await.map(drop).unwrap_err();
        assert!(error.contains(says), "{wanted}: {error}");
    }
    let good = &extra[1];
    for (bad, says) in [
        ("", "not a signed JWT"),
        ("a.b", "not a signed JWT"),
        ("a.b.c.d", "not a signed JWT"),
        (&format!("{good}A"), "signature"),
        (&format!("{good}="), "signature"),
        (&good.replace('.', ".."), "not a signed JWT"),
        (&"x".repeat(20_000), "longer than"),
    ] {
        let error = present(&gateway, bad, Asked::default()).await.map(drop).unwrap_err();
        assert!(error.contains(says), "{bad}: {error}");
    }
    let other = Asked { principal: Some("alice"), ..Asked::default() };
    assert!(present(&gateway, good, other).await.unwrap_err().contains("deploy's, and not alice's"));
    gateway.stop().await;
}

#[tokio::test]
async fn rotated_keys_are_fetched_and_an_issuer_is_not_asked_for_every_unknown_key() {
    let (mut gateway, issuer, folder) = with_issuer().await;
    let signed = |key: &str| {
        let (mut tokens, keys) = make(&folder, &json!([{ "key": key, "alg": "ES256", "claims": job(&issuer) }]));
        (tokens.remove(0), key_set(&keys))
    };
    let (first, old) = signed("ec-1");
    issuer.tell(|answers| answers.keys = old);
    assert!(present(&gateway, &first, Asked::default()).await.is_ok());
    let (second, new) = signed("ec-2");
    issuer.tell(|answers| answers.keys = new);
    for _ in 0..3 {
        assert!(present(&gateway, &second, Asked::default()).await.unwrap_err().contains("no key"), "not so soon again");
    }
    assert_eq!(issuer.asked(), 1);
    gateway.clock.step(JWKS_FETCH_EVERY.as_micros() as i64 + 1);
    assert!(present(&gateway, &second, Asked::default()).await.is_ok());
    assert_eq!(issuer.asked(), 2);
    let (third, _) = signed("ec-1");
    assert!(present(&gateway, &third, Asked::default()).await.unwrap_err().contains("no key"), "what was taken back is gone");
    gateway.stop().await;
}

#[tokio::test]
async fn an_issuer_that_answers_badly_costs_its_own_tokens_alone() {
    let (mut gateway, issuer, folder) = with_issuer().await;
    let (tokens, keys) = make(&folder, &json!([{ "key": "ec-1", "alg": "ES256", "claims": job(&issuer) }]));
    let (good, keys) = (&tokens[0], key_set(&keys));
    let wait = JWKS_FETCH_EVERY.as_micros() as i64 + 1;
    let with = |discovery: Option<Value>, keys: &Value, how: How| Answers { discovery, keys: keys.clone(), how };
    let elsewhere = |url: &str| Some(json!({ "issuer": issuer.url, "jwks_uri": url }));
    let symmetric = json!({ "keys": [{ "kty": "oct", "kid": "ec-1", "k": "c2VjcmV0", "alg": "HS256" }] });
    let many = json!({ "keys": vec![keys["keys"][0].clone(); 65] });
    for (answers, says) in [
        (with(None, &keys, How::Hanging), "no answer within"),
        (with(None, &keys, How::Huge), "can't be read"),
        (with(None, &keys, How::Redirecting), "answers 302"),
        (with(None, &json!("x"), How::Well), "no key set"),
        (with(None, &json!({ "keys": [] }), How::Well), "no key in it"),
        (with(None, &symmetric, How::Well), "no key in it"),
        (with(None, &many, How::Well), "more than 64"),
        (with(Some(json!([])), &keys, How::Well), "discovery document"),
        (
            with(Some(json!({ "issuer": "https://x", "jwks_uri": format!("{}/keys", issuer.url) })), &keys, How::Well),
            "another issuer's",
        ),
        (with(elsewhere("https://elsewhere.test/keys"), &keys, How::Well), "another host"),
        (with(elsewhere(&issuer.url.replace("https", "http")), &keys, How::Well), "another host"),
        (with(elsewhere(&format!("{}0/keys", issuer.url)), &keys, How::Well), "another host"),
        (with(elsewhere(&issuer.url.replace("://", "://x@")), &keys, How::Well), "another host"),
        (with(elsewhere("not a url"), &keys, How::Well), "another host"),
    ] {
        *issuer.answers.lock().unwrap() = answers;
        let error = present(&gateway, good, Asked::default()).await.map(drop).unwrap_err();
        assert!(error.contains(says) && error.contains(&issuer.url), "{says}: {error}");
        assert!(gateway.running().gateway.trouble().join("\n").contains(says));
        gateway.clock.step(wait);
    }
    issuer.tell(|answers| *answers = with(None, &keys, How::Well));
    assert!(present(&gateway, good, Asked::default()).await.is_ok());
    assert_eq!(gateway.running().gateway.trouble(), Vec::<String>::new());
    gateway.stop().await;
}

#[tokio::test]
async fn kept_keys_outlive_an_issuer_that_is_down_for_an_hour_and_no_longer() {
    let (mut gateway, issuer, folder) = with_issuer().await;
    let late = changed(job(&issuer), json!({ "exp": now() + 3 * 3_600 }));
    let wanted: Vec<_> = (0..3)
        .map(|run| json!({ "key": "ec-1", "alg": "ES256", "claims": changed(late.clone(), json!({ "run_id": run })) }))
        .collect();
    let (tokens, keys) = make(&folder, &json!(wanted));
    issuer.tell(|answers| answers.keys = key_set(&keys));
    assert!(present(&gateway, &tokens[0], Asked::default()).await.is_ok());
    issuer.tell(|answers| answers.how = How::Redirecting);
    gateway.clock.step(JWKS_KEPT.as_micros() as i64 - 60_000_000);
    assert!(present(&gateway, &tokens[1], Asked::default()).await.is_ok());
    assert_eq!(issuer.asked(), 2);
    gateway.clock.step(60_000_001);
    assert!(present(&gateway, &tokens[2], Asked::default()).await.unwrap_err().contains("can't be had"));
    gateway.stop().await;
}

#[tokio::test]
async fn pinned_keys_need_no_issuer_and_are_read_again() {
    let (mut gateway, _upstream) = gateway("").await;
    let folder = gateway.folder.path().to_owned();
    let issuer = "https://issuer.test";
    let claims = json!({ "iss": issuer, "aud": "sealgate", "sub": "repo:acme/infra:environment:a b", "exp": now() + 60, "repository": "acme/infra" });
    let wanted = json!([{ "key": "ed-1", "alg": "EdDSA", "claims": claims }, { "key": "ed-2", "alg": "EdDSA", "claims": claims }]);
    let (tokens, keys) = make(&folder, &wanted);
    let pin = |name: &str| fs::write(folder.join("pinned.json"), json!({ "keys": [keys[name]] }).to_string()).unwrap();
    pin("ed-1");
    let directory = WORKLOADS.replace("ISSUER", issuer) + &format!("[[issuer]]\nurl = {issuer:?}\njwks_file = \"pinned.json\"\n");
    fs::write(gateway.config.principals.as_ref().unwrap(), directory).unwrap();
    gateway.start().await;
    let identity = present(&gateway, &tokens[0], Asked::default()).await.unwrap();
    assert_eq!(identity.basis.as_str(), "oidc https://issuer.test repo:acme/infra:environment:a b");
    assert!(present(&gateway, &tokens[1], Asked::default()).await.unwrap_err().contains("pinned key set"));
    pin("ed-2");
    assert!(present(&gateway, &tokens[1], Asked::default()).await.is_ok());
    gateway.stop().await;
}
