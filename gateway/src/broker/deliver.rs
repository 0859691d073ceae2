//! How tools get a credential and renew it: over the listener, as SDKs ask a container's credential endpoint, and as the JSON that
//! `credential_process` prints. Whoever asks has the session's token already.

use super::{Brokered, Delivery};
use crate::{app::Gateway, clock::rfc3339, identify::basic, observe::AnswerBody, reply, sessions::SessionError};
use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};

/// Path of the endpoint, for `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
pub const CREDENTIALS_PATH: &str = "/_sealgate/credentials";

/// Answers an SDK that asks for a credential. Only on this machine: beyond it the secret would go over the wire as it is.
pub async fn container_credentials<B>(gateway: &Arc<Gateway>, request: &Request<B>, peer: SocketAddr) -> Response<AnswerBody> {
    let (status, body) = match given(gateway, request, peer).await {
        Ok(credential) => (StatusCode::OK, container_form(&credential)),
        Err((status, message)) => (status, json!({ "code": code(status), "message": message })),
    };
    reply::plain(status, "application/json", body.to_string().into())
}

async fn given<B>(gateway: &Arc<Gateway>, request: &Request<B>, peer: SocketAddr) -> Result<Arc<Brokered>, (StatusCode, String)> {
    let refused = |status, message: &str| (status, message.to_owned());
    if !peer.ip().to_canonical().is_loopback() {
        return Err(refused(StatusCode::FORBIDDEN, "credentials are given to this machine's own tools only"));
    }
    if *request.method() != http::Method::GET {
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "ask with GET"));
    }
    let named = request.headers().get(header::AUTHORIZATION).and_then(|value| basic(value.as_bytes()));
    let session = named.and_then(|(session, token)| gateway.sessions.authenticate(&session, &token));
    let session = session.ok_or_else(|| {
        refused(
            StatusCode::UNAUTHORIZED,
            "no session has this token: set AWS_CONTAINER_AUTHORIZATION_TOKEN as `sealgate session env` prints it",
        )
    })?;
    // In a task of its own: an SDK that goes away in the middle does not leave it half done.
    let (own, by) = (gateway.clone(), format!("credential endpoint, asked by {peer}"));
    let issued = gateway.tasks.spawn(async move { own.broker.issue(&session, Delivery::Renewed, &by).await }).await;
    let issued = issued.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    issued.map_err(|error| match error {
        SessionError::Conflict(why) => (StatusCode::FORBIDDEN, why),
        error => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    })
}

fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "InvalidToken",
        StatusCode::FORBIDDEN => "AccessDenied",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        _ => "ServiceUnavailable",
    }
}

/// As SDKs read it from a container's endpoint.
fn container_form(credential: &Brokered) -> Value {
    json!({
        "AccessKeyId": credential.id.as_str(),
        "SecretAccessKey": credential.secret(),
        "Token": credential.token(),
        "Expiration": seconds(credential.expires()),
    })
}

/// As they read it from a `credential_process`.
pub fn process_form(credential: &Brokered) -> Value {
    json!({
        "Version": 1,
        "AccessKeyId": credential.id.as_str(),
        "SecretAccessKey": credential.secret(),
        "SessionToken": credential.token(),
        "Expiration": seconds(credential.expires()),
    })
}

/// Full seconds: not every SDK reads fractions. Down, so that none thinks it has longer.
fn seconds(micros: i64) -> String {
    rfc3339(micros.div_euclid(1_000_000).saturating_mul(1_000_000))
}
