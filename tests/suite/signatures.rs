//! A request reaches the upstream exactly as its client signed it: signed here by `aws-sigv4`, signed again by it from what
//! arrived, and the two signatures are one.

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use sealgate_tests::{
    client::{Client, Speak, whole},
    gateway::TestGateway,
    upstream::{Offer, Upstream, handler, text},
};
use std::time::{Duration, SystemTime};

const HOST: &str = "sqs.us-east-1.amazonaws.com";
const SIGNED: [&str; 3] = ["content-type", "host", "x-amz-target"];

/// The `Authorization` value for these parts of a request, at a fixed time.
fn authorization(method: &str, uri: &str, headers: &[(String, String)], body: &[u8]) -> String {
    let identity = Credentials::for_tests().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("sqs")
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000))
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new(method, uri, fields, SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(request, &parameters.into()).unwrap().into_parts();
    let (fields, _) = instructions.into_parts();
    fields.into_iter().find(|field| field.name() == "authorization").unwrap().value().to_owned()
}

fn signed(headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |name: &str| headers.get(name).map_or(HOST.to_owned(), |value| value.to_str().unwrap().to_owned());
    SIGNED.iter().map(|name| ((*name).to_owned(), value(name))).collect()
}

#[tokio::test]
async fn a_signature_fits_what_arrives_over_every_mix_of_versions() {
    const BODY: &[u8] = br#"{"QueueNamePrefix":"a b/\u00fc"}"#;
    for (speak, offer) in
        [(Speak::Http1, Offer::Http1), (Speak::Http1, Offer::Http2), (Speak::Http2, Offer::Http1), (Speak::Http2, Offer::Http2)]
    {
        let folder = tempfile::tempdir().unwrap();
        let judge = handler(|request| async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let uri = format!("https://{HOST}{}", parts.uri.path_and_query().unwrap());
            let expected = authorization(parts.method.as_str(), &uri, &signed(&parts.headers), &body);
            text(if parts.headers["authorization"] == expected { "fits" } else { "does not fit" })
        });
        let upstream = Upstream::start(folder.path(), offer, judge).await;
        let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
        let path = "/a%20path/?b=2&a=%2F&empty=";
        let mut request = Request::post(path)
            .header("host", HOST)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", "AmazonSQS.ListQueues")
            .body(whole(BODY))
            .unwrap();
        let value = authorization("POST", &format!("https://{HOST}{path}"), &signed(request.headers()), BODY);
        request.headers_mut().insert("authorization", value.parse().unwrap());
        let mut client = Client::open(&gateway, &session, HOST, speak).await;
        assert_eq!(client.call(request).await.1, Bytes::from_static(b"fits"), "{speak:?} {offer:?}");
        gateway.stop().await;
    }
}
