//! Client certificates to an `https://` proxy, presented by curl.

use super::gateway;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use sealgate::{
    config::{ClientCertificates, ListenTls},
    sessions::Grant,
};
use sealgate_policies::session::{PrincipalKind, Session, Status};
use sealgate_schema::{Record, record::Kind};
use sealgate_tests::{
    check::check,
    client::credential,
    gateway::{TestGateway, grant},
    upstream::Upstream,
};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

const HOST: &str = "sts.us-east-1.amazonaws.com";
const DEPLOY: &str = "spiffe://prod.example/ns/ci/sa/deploy";
const DIRECTORY: &str = r#"
[[workload]]
name = "deploy"
spiffe = "spiffe://prod.example/ns/ci/sa/deploy"
[[workload]]
name = "pods"
spiffe = "spiffe://prod.example/ns/pods/sa/*"
"#;

/// A CA, and where its certificate is.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Ca {
    fn new(folder: &Path, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let file = folder.join(format!("{name}.pem"));
        fs::write(&file, parameters.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(parameters, key), file }
    }

    /// A certificate with its key, in one file.
    fn issue(&self, uris: &[&str], change: impl Fn(&mut CertificateParams)) -> PathBuf {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let file = self.file.with_extension(format!("{}.pem", uris.concat().replace(['/', ':'], "_")));
        fs::write(&file, certificate.pem() + &key.serialize_pem()).unwrap();
        file
    }
}

async fn with_tls(clients: ClientCertificates) -> (TestGateway, Upstream, Ca) {
    let (mut gateway, upstream) = gateway(DIRECTORY).await;
    let ca = Ca::new(gateway.folder.path(), "clients");
    gateway.config.listen_tls = Some(ListenTls {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        certificate: None,
        key: None,
        names: Vec::new(),
        client_ca: Some(ca.file.clone()),
        trust_domain: Some("prod.example".into()),
        client_certificates: clients,
    });
    gateway.start().await;
    (gateway, upstream, ca)
}

async fn open(gateway: &TestGateway, principal: &str, kind: PrincipalKind) -> Arc<Session> {
    let sessions = &gateway.running().gateway.sessions;
    if !sessions.windows().iter().any(|known| known.id == *"CHG-1") {
        sessions.open_window("CHG-1", "a test", "4h".parse().unwrap(), "test").await.unwrap();
    }
    let grant = Grant { principal: principal.into(), kind, ..grant("CHG-1") };
    sessions.open_session(grant, "test").await.unwrap()
}

/// What curl said: the proxy's answer to CONNECT, the upstream's, the HTTP version, and its own words, which a failed test shows.
#[derive(Debug)]
struct Said {
    connect: String,
    status: String,
    version: String,
    #[expect(dead_code, reason = "shown by Debug")]
    words: String,
}

async fn curl(gateway: &TestGateway, certificate: Option<&Path>, user: Option<&str>, more: &[&str]) -> Said {
    let address = gateway.running().gateway.listen_tls.unwrap();
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let mut command = Command::new("curl");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.args(["--silent", "--show-error", "--verbose", "--max-time", "20", "--noproxy", "", "--output", "/dev/null"]);
    command.args(["--write-out", "%{http_connect} %{http_code} %{http_version}"]);
    command.args(["--data", "Action=GetCallerIdentity&Version=2011-06-15", "--proxy", &format!("https://{user}{address}")]);
    command.arg("--proxy-cacert").arg(gateway.home().join("keys/ca.pem")).arg("--cacert").arg(gateway.home().join("keys/ca.pem"));
    if let Some(file) = certificate {
        command.arg("--proxy-cert").arg(file).arg("--proxy-key").arg(file);
    }
    command.args(more).arg(format!("https://{HOST}/"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let written = String::from_utf8(output.stdout).unwrap();
    let mut written = written.split(' ').map(str::to_owned);
    let mut next = || written.next().unwrap_or_default();
    Said { connect: next(), status: next(), version: next(), words: String::from_utf8_lossy(&output.stderr).into_owned() }
}

/// Rule and message of every refusal.
fn refusals(gateway: &TestGateway) -> Vec<(String, String)> {
    let say = |record: &Record| (record.fields.rules[0].to_string(), record.fields.detail.as_deref().unwrap().to_owned());
    check(&gateway.home()).values().flat_map(|evidence| evidence.of(&Kind::Refusal).into_iter().map(say)).collect()
}

#[tokio::test]
async fn a_workload_calls_in_its_own_open_session_by_its_certificate() {
    let (mut gateway, upstream, ca) = with_tls(ClientCertificates::Accept).await;
    let certificate = ca.issue(&[DEPLOY], |_| {});
    let alices = open(&gateway, "alice", PrincipalKind::Human).await;
    let none = curl(&gateway, Some(&certificate), None, &[]).await;
    assert_eq!(none.connect, "407", "{none:?}");
    // The same name on somebody's word, as something else: not this principal's.
    open(&gateway, "deploy", PrincipalKind::Human).await;
    assert_eq!(curl(&gateway, Some(&certificate), None, &[]).await.connect, "407");

    let first = open(&gateway, "deploy", PrincipalKind::Workload).await;
    for protocol in ["--http1.1", "--http2"] {
        let said = curl(&gateway, Some(&certificate), None, &[protocol]).await;
        assert_eq!((said.status.as_str(), &*said.version), ("200", if protocol == "--http2" { "2" } else { "1.1" }), "{said:?}");
    }
    let second = open(&gateway, "deploy", PrincipalKind::Workload).await;
    assert_eq!(curl(&gateway, Some(&certificate), None, &[]).await.connect, "407");
    assert_eq!(curl(&gateway, Some(&certificate), Some(&second.id), &[]).await.status, "200");
    let with_token = credential(&gateway, &second);
    assert_eq!(curl(&gateway, Some(&certificate), Some(&with_token), &[]).await.status, "200");
    for not_theirs in [&*alices.id, &credential(&gateway, &alices), &format!("{}:wrong", second.id), "S-nobody"] {
        assert_eq!(curl(&gateway, Some(&certificate), Some(not_theirs), &[]).await.connect, "407", "{not_theirs}");
    }
    gateway.running().gateway.sessions.end_session(&second.id, Status::Revoked, "test", "enough").await.unwrap();
    assert_eq!(curl(&gateway, Some(&certificate), None, &[]).await.status, "200", "the other is the only one again");
    assert_eq!(curl(&gateway, Some(&certificate), Some(&second.id), &[]).await.status, "403", "told in the tool's own shape");
    gateway.stop().await;

    assert_eq!(upstream.seen().len(), 5);
    let evidence = check(&gateway.home());
    let intents = evidence["CHG-1"].of(&Kind::Intent).into_iter().map(|record| &record.fields);
    let ties: Vec<_> =
        intents.map(|fields| (fields.session.clone().unwrap(), fields.attribution.clone().unwrap().to_string())).collect();
    let tie = |session: &Session, how: &str| (session.id.clone(), how.to_owned());
    let (one, two) = (tie(&first, "certificate"), tie(&second, "certificate"));
    assert_eq!(ties, [one.clone(), one.clone(), two, tie(&second, "token"), one]);
    let refusals = refusals(&gateway);
    for says in ["has no open session", "has 2 open sessions", "is not deploy's", "no session has this proxy credential"] {
        assert!(
            refusals.iter().any(|(rule, message)| rule == "proxy-credential" && message.contains(says)),
            "{says}: {refusals:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_names_no_workload_is_refused_on_record() {
    let (mut gateway, upstream, ca) = with_tls(ClientCertificates::Accept).await;
    let session = open(&gateway, "deploy", PrincipalKind::Workload).await;
    let token = credential(&gateway, &session);
    for uris in [
        &["spiffe://test.example/ns/ci/sa/deploy"][..],
        &[DEPLOY, "spiffe://prod.example/ns/ci/sa/other"],
        &["spiffe://prod.example/ns/ci/sa/other"],
        &["https://prod.example/ns/ci/sa/deploy"],
        &["spiffe://prod.example/ns/pods/sa/a/b"],
    ] {
        let certificate = ca.issue(uris, |_| {});
        // A token does not mend a certificate: who presents both has to be right in both.
        for user in [None, Some(token.as_str())] {
            let said = curl(&gateway, Some(&certificate), user, &[]).await;
            assert_eq!(said.connect, "407", "{uris:?}: {said:?}");
        }
    }
    let nameless = ca.issue(&[], |parameters| parameters.subject_alt_names = vec![SanType::DnsName("deploy".try_into().unwrap())]);
    assert_eq!(curl(&gateway, Some(&nameless), None, &[]).await.connect, "407");
    gateway.stop().await;
    assert!(upstream.seen().is_empty());
    let refusals = refusals(&gateway);
    assert_eq!(refusals.len(), 11);
    for says in ["another trust domain", "more than one URI", "no principal in the directory", "not a SPIFFE ID", "no SPIFFE ID"] {
        assert!(
            refusals.iter().any(|(rule, message)| rule == "proxy-credential" && message.contains(says)),
            "{says}: {refusals:?}"
        );
    }
}

#[tokio::test]
async fn a_client_that_the_handshake_turns_away_is_on_record() {
    let (mut gateway, upstream, ca) = with_tls(ClientCertificates::Require).await;
    open(&gateway, "deploy", PrincipalKind::Workload).await;
    let stranger = Ca::new(gateway.folder.path(), "stranger").issue(&[DEPLOY], |_| {});
    let expired = ca.issue(&[DEPLOY], |parameters| parameters.not_after = (SystemTime::now() - Duration::from_secs(60)).into());
    for certificate in [None, Some(&stranger), Some(&expired)] {
        let said = curl(&gateway, certificate.map(PathBuf::as_path), None, &[]).await;
        assert_eq!((&*said.connect, &*said.status), ("000", "000"), "{said:?}");
    }
    let good = ca.issue(&[DEPLOY], |_| {});
    assert_eq!(curl(&gateway, Some(&good), None, &[]).await.status, "200");
    // By the gateway's clock, not by the machine's.
    gateway.clock.step(3_600_000_000);
    open(&gateway, "pods", PrincipalKind::Workload).await;
    let short = |parameters: &mut CertificateParams| parameters.not_after = (SystemTime::now() + Duration::from_secs(1_800)).into();
    let short = ca.issue(&["spiffe://prod.example/ns/pods/sa/a"], short);
    assert_eq!(curl(&gateway, Some(&short), None, &[]).await.connect, "000");
    gateway.stop().await;
    assert_eq!(upstream.seen().len(), 1);
    let refusals = refusals(&gateway);
    assert_eq!(refusals.iter().map(|(rule, _)| rule.as_str()).collect::<Vec<_>>(), ["proxy-tls-handshake"; 4], "{refusals:?}");
    for says in ["peer sent no certificates", "UnknownIssuer", "expired"] {
        assert!(refusals.iter().any(|(_, message)| message.contains(says)), "{says}: {refusals:?}");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_comes_with_its_token_over_tls() {
    let (mut gateway, upstream, _ca) = with_tls(ClientCertificates::Accept).await;
    let session = open(&gateway, "alice", PrincipalKind::Human).await;
    let token = credential(&gateway, &session);
    assert_eq!(curl(&gateway, None, Some(&token), &[]).await.status, "200");
    assert_eq!(curl(&gateway, None, None, &[]).await.connect, "407");
    assert_eq!(curl(&gateway, None, Some(&session.id), &[]).await.connect, "407", "a name is no proof");
    gateway.stop().await;
    assert_eq!(upstream.seen().len(), 1);
    let evidence = check(&gateway.home());
    assert_eq!(evidence["CHG-1"].of(&Kind::Intent)[0].fields.attribution.as_deref(), Some("token"));
}

#[tokio::test]
async fn certificates_of_the_operator_are_read_again_when_they_change() {
    let (mut gateway, _upstream, ca) = with_tls(ClientCertificates::Accept).await;
    gateway.stop().await;
    let proxy = |parameters: &mut CertificateParams| parameters.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let (one, other) = (Ca::new(gateway.folder.path(), "one"), Ca::new(gateway.folder.path(), "other"));
    let file = gateway.folder.path().join("proxy.pem");
    fs::copy(one.issue(&[], proxy), &file).unwrap();
    let tls = gateway.config.listen_tls.as_mut().unwrap();
    (tls.certificate, tls.key) = (Some(file.clone()), Some(file.clone()));
    gateway.start().await;
    let session = open(&gateway, "deploy", PrincipalKind::Workload).await;
    let certificate = ca.issue(&[DEPLOY], |_| {});
    let trusting = |ca: &Ca| ["--proxy-cacert".to_owned(), ca.file.display().to_string()];
    let said = async |trust: &Ca| {
        let more = trusting(trust);
        curl(&gateway, Some(&certificate), Some(&session.id), &[&more[0], &more[1]]).await.status
    };
    assert_eq!((said(&one).await, said(&other).await), ("200".into(), "000".into()));
    fs::copy(other.issue(&[], proxy), &file).unwrap();
    assert_eq!((said(&one).await, said(&other).await), ("000".into(), "200".into()));
    fs::write(&file, "no certificate").unwrap();
    assert_eq!(said(&other).await, "200", "what was there before is in force");
    assert!(gateway.running().gateway.trouble().join("\n").contains("proxy.pem"));

    // Another client CA: what the old one signed does not count any more, not even for a client that comes back.
    fs::copy(other.issue(&[], proxy), &file).unwrap();
    let next = Ca::new(gateway.folder.path(), "next");
    fs::copy(&next.file, &ca.file).unwrap();
    assert_eq!(said(&other).await, "000");
    gateway.stop().await;
}
