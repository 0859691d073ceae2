//! Requests over the admin API: made, approved, turned down, taken back.

use super::{
    Answer, Body, Failure, Gate, Peer,
    api::{AskStatement, OpenSession, Outcome, RequestView, SignedStatement, StatementView},
    asking::identified,
    body, in_full,
    sessions::view as session_view,
};
use crate::{
    clock::rfc3339,
    sessions::{
        opening::By,
        requests::{Asker, Requested},
        signers::Sent,
        store::StoredRequest,
    },
};
use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
};
use http::StatusCode;
use sealgate_policies::access::Way;
use sealgate_schema::{
    Text,
    statement::{Act, Statement},
};

pub(super) async fn list(State(gateway): Gate) -> Json<Vec<RequestView>> {
    let now = gateway.clock.now();
    Json(gateway.sessions.requests().iter().map(|stored| view(stored, now)).collect())
}

pub(super) async fn show(State(gateway): Gate, Path(id): Path<String>) -> Answer<RequestView> {
    Ok(Json(view(&gateway.sessions.stored(&id)?, gateway.clock.now())))
}

pub(super) async fn make(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Body<OpenSession>,
) -> Answer<Outcome> {
    let request = body(request)?;
    let requester = request.requester.clone();
    let (grant, By { basis, signed }) = identified(&gateway, &peer, request).await?;
    let mut asker = Asker { basis, ..Asker::by_word(requester.as_deref(), peer.actor()) };
    if let Some(signed) = signed {
        let signer = &signed.statement().signer;
        if let Some(named) = requester.filter(|named| named != signer) {
            return Err(Failure(StatusCode::BAD_REQUEST, format!("{signer} signs, and not {named}: leave out --as")));
        }
        asker = asker.who_signed(*signed);
    }
    in_full(&gateway, move |gateway| async move {
        let requested = gateway.sessions.request(grant, asker).await?;
        Ok(outcome(&requested, gateway.clock.now()))
    })
    .await
}

pub(super) async fn statement(State(gateway): Gate, Path(id): Path<String>, request: Body<AskStatement>) -> Answer<StatementView> {
    let request = body(request)?;
    let act = match request.act.as_str() {
        "approve" => Act::Approve,
        "deny" => Act::Deny,
        other => return Err(Failure(StatusCode::BAD_REQUEST, format!("{other:?} is not approve or deny"))),
    };
    let stored = gateway.sessions.stored(&id)?;
    statement_view(&gateway.sessions.statement(act, &stored.request, &request.signer, request.remark.as_deref())?)
}

pub(super) async fn approve(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<SignedStatement>,
) -> Answer<Outcome> {
    let sent = sent(body(request)?);
    in_full(&gateway, move |gateway| async move {
        let requested = gateway.sessions.approve(&id, &sent, peer.actor()).await?;
        Ok(outcome(&requested, gateway.clock.now()))
    })
    .await
}

pub(super) async fn deny(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<SignedStatement>,
) -> Answer<()> {
    let sent = sent(body(request)?);
    in_full(&gateway, move |gateway| async move { gateway.sessions.deny(&id, &sent, peer.actor()).await }).await
}

pub(super) async fn withdraw(State(gateway): Gate, ConnectInfo(peer): ConnectInfo<Peer>, Path(id): Path<String>) -> Answer<()> {
    in_full(&gateway, move |gateway| async move { gateway.sessions.withdraw(&id, peer.actor()).await }).await
}

pub(super) fn sent(request: SignedStatement) -> Sent {
    let SignedStatement { statement, signature } = request;
    Sent { statement, signature }
}

pub(super) fn statement_view(statement: &Statement) -> Answer<StatementView> {
    let line = statement.to_line().map_err(|error| Failure(StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(Json(StatementView { statement: line }))
}

pub(super) fn outcome(requested: &Requested, now: i64) -> Outcome {
    let session = requested.session.as_ref().map(|session| session_view(session, now));
    Outcome { request: view(&requested.request, now), session }
}

fn view(stored: &StoredRequest, now: i64) -> RequestView {
    let (request, terms) = (&stored.request, &stored.request.terms);
    let owned = |text: &Option<Text>| text.as_deref().map(str::to_owned);
    let (needs, needs_from, rule) = match &request.way {
        Way::Rule(name) => (0, Vec::new(), Some(name.to_string())),
        Way::Approvals(needs) => (needs.approvals.get(), needs.from.iter().map(Text::to_string).collect(), None),
    };
    RequestView {
        id: request.id.to_string(),
        state: request.state(now).as_str().to_owned(),
        window: terms.window.to_string(),
        principal: terms.principal.to_string(),
        kind: terms.principal_kind.as_str().to_owned(),
        acting_for: owned(&terms.acting_for),
        basis: request.basis.to_string(),
        account: owned(&terms.account),
        role: owned(&terms.role),
        duration: format!("{:#}", jiff::SignedDuration::from_micros(terms.duration)),
        reason: terms.reason.to_string(),
        extends: owned(&request.extends),
        requester: request.requester.name.to_string(),
        requested_by: request.requester.by.to_string(),
        requested: rfc3339(request.requested),
        expires: rfc3339(request.expires),
        needs,
        needs_from,
        approvals: request.approvals().iter().map(|approval| approval.signer.name.to_string()).collect(),
        rule,
        session: owned(&stored.session),
    }
}
