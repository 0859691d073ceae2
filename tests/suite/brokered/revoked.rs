//! Revocation: new calls are refused, calls under way and streams are cut, each on record. How soon is the bench's to say.

use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings},
    sign::v4,
};
use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::BodyExt;
use sealgate::broker::{Brokered, Delivery};
use sealgate_policies::session::Session;
use sealgate_schema::record::Kind;
use sealgate_tests::{
    check::window,
    client::{Body, Client, Speak, whole},
    gateway::TestGateway,
    upstream::{Offer, Upstream, handler, text},
};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

pub(super) const HOST: &str = "sts.us-east-1.amazonaws.com";

/// A call of STS that is signed with a credential.
pub(super) fn signed(credential: &Brokered) -> Request<Body> {
    let form = "Action=GetCallerIdentity&Version=2011-06-15";
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    let mut request = Request::post("/").header("host", HOST).header("content-type", kind).body(whole(form)).unwrap();
    let token = Some(credential.token().to_owned());
    let identity = aws_credential_types::Credentials::new(credential.id.as_str(), credential.secret(), token, None, "test").into();
    let parameters = v4::SigningParams::builder().identity(&identity).region("us-east-1").name("sts");
    let parameters = parameters.time(SystemTime::now()).settings(SigningSettings::default()).build().unwrap().into();
    let fields = [("host", HOST), ("content-type", kind)];
    let body = SignableBody::Bytes(form.as_bytes());
    let signable = SignableRequest::new("POST", format!("https://{HOST}/"), fields.into_iter(), body).unwrap();
    let (instructions, _) = aws_sigv4::http_request::sign(signable, &parameters).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

/// A body that has one piece and no end.
struct Endless(Option<Bytes>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
    }
}

/// An upstream whose answers begin, and never end.
async fn endless(folder: &std::path::Path) -> Upstream {
    let answer = handler(|_| async {
        let mut response = text("");
        *response.body_mut() = Endless(Some(Bytes::from(vec![b'x'; 200_000]))).boxed();
        response
    });
    Upstream::start(folder, Offer::Http1, answer).await
}

pub(super) async fn credential(gateway: &TestGateway, session: &Arc<Session>) -> Arc<Brokered> {
    gateway.running().gateway.broker.issue(session, Delivery::Keys, "test").await.unwrap()
}

/// What is revoked.
#[derive(Debug, Clone, Copy)]
enum What {
    Session,
    Credential,
    Principal,
    Window,
    Expiry,
}

async fn revoke(gateway: &TestGateway, session: &Arc<Session>, credential: &Brokered, what: What) {
    let running = &gateway.running().gateway;
    let actor = sealgate::sessions::actor::Actor::known_as("test");
    match what {
        What::Session => {
            running.sessions.end_session(&session.id, sealgate_policies::session::Status::Revoked, "test", "a test").await.unwrap();
        }
        What::Credential => running.broker.revoke(&credential.id, "test", "a test").await.unwrap(),
        What::Principal => drop(running.sessions.revoke_principal(&session.principal, &actor, "a test").await.unwrap()),
        What::Window => drop(running.sessions.revoke_window(&session.window, &actor, "a test").await.unwrap()),
        What::Expiry => gateway.clock.step(7_200_000_000),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_revoked_cuts_the_streams_that_rest_on_it_and_refuses_the_next_call() {
    for what in [What::Session, What::Credential, What::Principal, What::Window, What::Expiry] {
        let folder = tempfile::tempdir().unwrap();
        let upstream = endless(folder.path()).await;
        let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
        let credential = credential(&gateway, &session).await;
        let mut client = Client::open(&gateway, &session, HOST, Speak::Http2).await;
        let answer = client.send(signed(&credential)).await.unwrap();
        assert_eq!(answer.status(), 200, "{what:?}");
        let mut body = answer.into_body();
        let mut bytes = 0;
        while bytes < 200_000 {
            bytes += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
        revoke(&gateway, &session, &credential, what).await;
        // The stream ends broken, not whole: nothing else ends this answer.
        assert!(body.collect().await.is_err(), "{what:?}");
        let mut again = Client::open(&gateway, &session, HOST, Speak::Http2).await;
        let (status, said) = again.call(signed(&credential)).await;
        assert_eq!(status, 403, "{what:?}: {said:?}");
        gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
        gateway.stop().await;
        let evidence = window(&gateway.home(), "CHG-1");
        assert_eq!(evidence.of(&Kind::Outcome)[0].fields.error_code.as_deref(), Some("SealgateCut"), "{what:?}");
        assert_eq!(evidence.of(&Kind::Refusal).len(), 1, "{what:?}");
        assert_eq!(upstream.seen().len(), 1, "{what:?}");
    }
}
