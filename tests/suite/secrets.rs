//! Secrets planted in every place a call has, then looked for in every byte of the home: files, database, journal.

use http::{Request, Response};
use http_body_util::BodyExt;
use sealgate_schema::payload::Capture;
use sealgate_tests::{
    check::window,
    client::{Body, Client, Speak, authorization, caller_identity, whole},
    gateway::TestGateway,
    upstream::{self, Offer, Upstream, handler, text},
};
use std::path::Path;

/// Each planted secret is unlike any other text.
fn secret(place: &str) -> String {
    format!("PLANTED{place}PLANTED")
}

fn request(host: &str, path: &str, content_type: &str, service: &str) -> http::request::Builder {
    Request::post(path)
        .header("host", host)
        .header("content-type", content_type)
        .header("authorization", authorization(service).replace(&"f".repeat(64), &secret("signature")))
        .header("x-amz-security-token", secret("token"))
        .header("cookie", secret("cookie"))
}

fn respond(content_type: &'static str, body: String) -> Response<upstream::Body> {
    let mut response = text(body);
    response.headers_mut().insert("content-type", content_type.parse().unwrap());
    response.headers_mut().insert("set-cookie", secret("setcookie").parse().unwrap());
    response
        .headers_mut()
        .insert("location", format!("https://x.s3.amazonaws.com/k?X-Amz-Signature={}", secret("location")).parse().unwrap());
    response
}

/// What the services answer to the calls below.
fn answers() -> upstream::Handler {
    handler(|request| async move {
        let host = request
            .headers()
            .get("host")
            .and_then(|host| host.to_str().ok())
            .or(request.uri().host())
            .unwrap_or_default()
            .to_owned();
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default().to_owned();
        let _ = request.into_body().collect().await;
        let keys = |name: &str| {
            format!(
                "<{name}><Credentials><AccessKeyId>ASIACHILD</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken></Credentials></{name}>",
                secret("xmlsecret"),
                secret("xmltoken")
            )
        };
        match (host.split('.').next().unwrap_or_default(), target.as_str()) {
            ("sts", _) => respond("text/xml", keys("AssumeRoleResponse")),
            ("iam", _) => respond(
                "text/xml",
                format!(
                    "<CreateAccessKeyResponse><AccessKey><SecretAccessKey>{}</SecretAccessKey></AccessKey></CreateAccessKeyResponse>",
                    secret("iamsecret")
                ),
            ),
            ("portal", _) => respond(
                "application/json",
                format!(
                    "{{\"roleCredentials\":{{\"accessKeyId\":\"ASIA\",\"secretAccessKey\":\"{}\",\"sessionToken\":\"{}\"}}}}",
                    secret("ssosecret"),
                    secret("ssotoken")
                ),
            ),
            ("secretsmanager", _) => respond(
                "application/x-amz-json-1.1",
                format!("{{\"Name\":\"db\",\"SecretString\":\"{{\\\"password\\\":\\\"{}\\\"}}\"}}", secret("secretstring")),
            ),
            _ => respond("text/plain", "ok".into()),
        }
    })
}

fn calls() -> Vec<(&'static str, Request<Body>)> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let form =
        |host: &'static str, service: &str, body: String| (host, request(host, "/", FORM, service).body(whole(body)).unwrap());
    let get = |host: &'static str, path: String| (host, request(host, &path, "text/plain", "s3").body(whole("")).unwrap());
    let sso = "portal.sso.us-east-1.amazonaws.com";
    let manager = "secretsmanager.us-east-1.amazonaws.com";
    vec![
        form(
            "sts.us-east-1.amazonaws.com",
            "sts",
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/r".into(),
        ),
        form(
            "sts.us-east-1.amazonaws.com",
            "sts",
            format!("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken={}", secret("webidentity")),
        ),
        form("iam.amazonaws.com", "iam", "Action=CreateAccessKey&Version=2010-05-08&UserName=bob".into()),
        form(
            "iam.amazonaws.com",
            "iam",
            format!("Action=CreateLoginProfile&Version=2010-05-08&UserName=bob&Password={}", secret("password")),
        ),
        get(
            "bucket.s3.amazonaws.com",
            format!("/key?X-Amz-Signature={}&X-Amz-Security-Token={}", secret("presigned"), secret("presignedtoken")),
        ),
        (
            sso,
            request(sso, "/federation/credentials?role_name=r", "text/plain", "sso")
                .header("x-amz-sso_bearer_token", secret("bearer"))
                .body(whole(""))
                .unwrap(),
        ),
        (
            manager,
            request(manager, "/", "application/x-amz-json-1.1", "secretsmanager")
                .header("x-amz-target", "secretsmanager.CreateSecret")
                .body(whole(format!("{{\"Name\":\"db\",\"SecretString\":\"{}\"}}", secret("created"))))
                .unwrap(),
        ),
    ]
}

fn scan(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scan(&path, found);
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let hits = bytes.windows(7).enumerate().filter(|(_, window)| *window == b"PLANTED").take(3);
            found.extend(
                hits.map(|(at, _)| {
                    format!("{}: {}", path.display(), String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 40)]))
                }),
            );
        }
    }
}

#[tokio::test]
async fn no_planted_secret_reaches_any_file_of_the_home() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, answers()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut found = Vec::new();
    for speak in [Speak::Http1, Speak::Http2] {
        for (host, request) in calls() {
            let mut client = Client::open(&gateway, &session, host, speak).await;
            assert_eq!(client.call(request).await.0, 200);
            // While it is in the journal, uncompressed.
            scan(&gateway.home(), &mut found);
        }
    }
    assert_eq!(found, Vec::<String>::new());
    gateway.stop().await;
    // In the parts, after decompression.
    let evidence = window(&gateway.home(), "CHG-1");
    let everything = format!("{:?} {:?}", evidence.records, evidence.payloads);
    assert!(!everything.contains("PLANTED"), "{}", &everything[everything.find("PLANTED").unwrap().saturating_sub(300)..][..400]);
    let bodies: Vec<String> = evidence
        .payloads
        .values()
        .filter_map(|payload| payload.body.as_ref())
        .map(|body| String::from_utf8_lossy(body).into_owned())
        .collect();
    assert!(!bodies.iter().any(|body| body.contains("PLANTED")));
    // The client got them all the same, and the upstream too.
    assert!(upstream.seen().iter().any(|seen| seen.line.contains(&secret("presigned"))));
    assert!(upstream.seen().iter().all(|seen| seen.headers["x-amz-security-token"].to_str().unwrap() == secret("token")));
    assert!(evidence.payloads.values().any(|payload| payload.body_capture == Some(Capture::Redacted)));
}

#[tokio::test]
async fn what_is_not_secret_stays_readable_beside_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, answers()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, "iam.amazonaws.com", Speak::Http1).await;
    let (_, body) = client.call(calls().swap_remove(3).1).await;
    assert!(String::from_utf8_lossy(&body).contains("PLANTED"), "the client gets what the service sent");
    let mut client = Client::open(&gateway, &session, "sts.amazonaws.com", Speak::Http1).await;
    client.call(caller_identity("sts.amazonaws.com")).await;
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    let request = &evidence.payloads[&2];
    let parameters = request.parameters.as_deref().unwrap();
    assert!(parameters.contains("\"UserName\":\"bob\"") && parameters.contains("\"Password\":\"REDACTED\""), "{parameters}");
    let headers = request.headers.as_ref().unwrap();
    let authorization = headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.to_string()).unwrap();
    assert!(
        authorization.contains("Credential=AKIAIOSFODNN7EXAMPLE/20261123/us-east-1/iam/aws4_request")
            && authorization.contains("SignedHeaders=host;x-amz-date"),
        "{authorization}"
    );
}
