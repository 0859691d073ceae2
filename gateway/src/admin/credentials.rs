//! Credentials over the admin API: given to tools, listed, revoked.

use super::{
    Answer, Body, Failure, Gate, Peer,
    api::{AskEnvironment, CredentialView, Environment, RevokeCredential},
    body, in_full,
};
use crate::{
    broker::{Brokered, Delivery, Ended, Learnt, deliver::process_form},
    clock::rfc3339,
    sessions::env,
};
use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
};
use http::StatusCode;
use sealgate_policies::session::{Session, Status};
use sealgate_schema::Text;

/// The environment that brings a tool into a session.
pub(super) async fn environment(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<AskEnvironment>,
) -> Answer<Environment> {
    let (asked, session) = (body(request)?, gateway.sessions.session(&id)?);
    let status = session.status(gateway.clock.now());
    if status != Status::Open {
        let how = if gateway.config.approval.required { "request" } else { "open" };
        return Err(Failure(
            StatusCode::CONFLICT,
            format!(
                "session {id} is {status}; get a new one: sealgate session {how} --window {} --principal {} --for 1h --reason \"...\"",
                session.window, session.principal
            ),
        ));
    }
    in_full(&gateway, move |gateway| async move { env::environment(&gateway, &session, &asked, peer.word()).await }).await
}

/// A credential that its tool renews, as a `credential_process` prints it.
pub(super) async fn issue(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
) -> Answer<serde_json::Value> {
    let session = gateway.sessions.session(&id)?;
    in_full(&gateway, move |gateway| async move {
        let credential = gateway.broker.issue(&session, Delivery::Renewed, peer.word()).await?;
        Ok(process_form(&credential))
    })
    .await
}

pub(super) async fn list(State(gateway): Gate) -> Json<Vec<CredentialView>> {
    let now = gateway.clock.now();
    let (issued, learnt) = (gateway.broker.credentials(), gateway.broker.learnt());
    let issued = issued.iter().map(|credential| issued_view(credential, now));
    Json(issued.chain(learnt.iter().map(|learnt| learnt_view(learnt, now))).collect())
}

pub(super) async fn revoke(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<RevokeCredential>,
) -> Answer<()> {
    let RevokeCredential { reason } = body(request)?;
    in_full(&gateway, move |gateway| async move { gateway.broker.revoke(&id, peer.word(), &reason).await }).await
}

fn issued_view(credential: &Brokered, now: i64) -> CredentialView {
    let kind = match credential.delivery() {
        Some(Delivery::Keys) => "keys",
        Some(Delivery::Renewed) => "renewed",
        None => "contained",
    };
    let about = About { chain: credential.chain(), kind, ended: credential.ended(now), expires: credential.expires() };
    let real = credential.real().map(|real| real.access_key_id().to_owned());
    CredentialView { real, ..view(&credential.session, credential.issued, about, now) }
}

fn learnt_view(learnt: &Learnt, now: i64) -> CredentialView {
    let about = About { chain: learnt.chain(), kind: "learnt", ended: learnt.ended(now), expires: learnt.expires() };
    view(&learnt.session, learnt.issued, about, now)
}

struct About {
    chain: Vec<Text>,
    kind: &'static str,
    ended: Option<Ended>,
    expires: i64,
}

fn view(session: &Session, issued: i64, about: About, now: i64) -> CredentialView {
    let mut chain = about.chain.iter().map(Text::to_string);
    let status = match (session.status(now), about.ended) {
        (Status::Open, None) => "live",
        (Status::Open, Some(Ended::Revoked)) => "revoked",
        (Status::Open, Some(Ended::Expired)) => "expired",
        (ended, _) => ended.as_str(),
    };
    CredentialView {
        id: chain.next().unwrap_or_default(),
        session: session.id.to_string(),
        principal: session.principal.to_string(),
        parents: chain.collect(),
        kind: about.kind.to_owned(),
        real: None,
        issued: rfc3339(issued),
        expires: rfc3339(about.expires),
        status: status.to_owned(),
    }
}
