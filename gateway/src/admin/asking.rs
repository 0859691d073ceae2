//! Who asks for a session over the admin API, and what they sign to ask.

use super::{
    Answer, Body, Failure, Gate, Peer,
    api::{AskToAsk, OpenSession, StatementView},
    body, duration,
    requests::statement_view,
};
use crate::{
    app::Gateway,
    principals::{Asked, Identity, Signatory},
    sessions::{Grant, asked::Errand, opening::By},
};
use axum::extract::State;
use http::StatusCode;
use sealgate_schema::public_key::PublicKey;

/// What is asked for, and what says who the principal is.
pub(super) async fn identified(gateway: &Gateway, peer: &Peer, request: OpenSession) -> Result<(Grant, By), Failure> {
    let asked = asked(&request)?;
    let identity = gateway.principals.identify(asked, &request.proof, peer.word(), gateway.clock.now()).await?;
    grant(request, identity)
}

fn asked(request: &OpenSession) -> Result<Asked<'_>, Failure> {
    let kind = request.kind.as_deref().map(str::parse).transpose().map_err(|error| Failure(StatusCode::BAD_REQUEST, error))?;
    Ok(Asked { principal: request.principal.as_deref(), kind, acting_for: request.acting_for.as_deref() })
}

/// What somebody signs who asks with an SSH key. It is taken once, and not for long.
pub(super) async fn statement_to_ask(State(gateway): Gate, request: Body<AskToAsk>) -> Answer<StatementView> {
    let AskToAsk { act, key, asked: request } = body(request)?;
    let refused = |why: String| Failure(StatusCode::BAD_REQUEST, why);
    let errand = Errand::parse(&act).ok_or_else(|| refused(format!("{act:?} is not request, open or break-glass")))?;
    let key = PublicKey::parse(&key).map_err(|error| refused(format!("the SSH key: {error}")))?;
    let now = gateway.clock.now();
    let Signatory { signer, identity } = gateway.principals.by_key(&key, asked(&request)?, now)?;
    let (grant, by) = grant(request, identity)?;
    let (statement, until) = gateway.sessions.statement_to_ask(errand, grant, &signer, by.basis)?;
    gateway.principals.hand_out(statement.request.as_deref().unwrap_or_default(), until, now)?;
    statement_view(&statement)
}

fn grant(request: OpenSession, identity: Identity) -> Result<(Grant, By), Failure> {
    let Identity { principal, kind, acting_for, basis, signed } = identity;
    let grant = Grant {
        window: request.window,
        principal: principal.to_string(),
        kind,
        acting_for: acting_for.map(|human| human.to_string()),
        account: request.account,
        role: request.role,
        duration: duration(&request.duration)?,
        reason: request.reason,
    };
    Ok((grant, By { basis, signed: signed.map(Box::new) }))
}
