//! Sessions over the admin API: opened on an operator's word or by break-glass, extended, ended, reviewed.

use super::{
    Answer, Body, Gate, Peer,
    api::{
        Allow, AskStatement, CloseSession, ExtendSession, OpenSession, Outcome, RevocationView, Revoke, Revoked, SessionView,
        SignedStatement, StatementView,
    },
    asking::identified,
    body, duration, in_full,
    requests::{outcome, sent, statement_view},
};
use crate::{
    app::Gateway,
    clock::rfc3339,
    sessions::{Listed, SessionError, requests::Asker, store::Notice},
};
use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
};
use sealgate_policies::session::{Session, Status};
use sealgate_schema::Text;
use std::sync::Arc;

pub(super) async fn list(State(gateway): Gate) -> Json<Vec<SessionView>> {
    let now = gateway.clock.now();
    Json(gateway.sessions.listed().iter().map(|listed| listed_view(listed, now)).collect())
}

pub(super) async fn open(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Body<OpenSession>,
) -> Answer<SessionView> {
    let (grant, by) = identified(&gateway, &peer, body(request)?).await?;
    in_full(&gateway, move |gateway| async move {
        let session = gateway.sessions.open_identified(grant, by, peer.word()).await?;
        Ok(view(&session, gateway.clock.now()))
    })
    .await
}

pub(super) async fn break_glass(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Body<OpenSession>,
) -> Answer<SessionView> {
    let (grant, by) = identified(&gateway, &peer, body(request)?).await?;
    in_full(&gateway, move |gateway| async move {
        let session = gateway.sessions.break_glass(grant, by, peer.actor()).await?;
        Ok(view(&session, gateway.clock.now()))
    })
    .await
}

pub(super) async fn extend(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<ExtendSession>,
) -> Answer<Outcome> {
    let request = body(request)?;
    let more = duration(&request.duration)?;
    let asker = Asker::by_word(request.requester.as_deref(), peer.actor());
    in_full(&gateway, move |gateway| async move {
        let requested = gateway.sessions.request_extension(&id, more, &request.reason, asker).await?;
        Ok(outcome(&requested, gateway.clock.now()))
    })
    .await
}

pub(super) async fn close(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<CloseSession>,
) -> Answer<()> {
    end(gateway, peer, id, Status::Closed, body(request)?).await
}

pub(super) async fn revoke(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<CloseSession>,
) -> Answer<()> {
    end(gateway, peer, id, Status::Revoked, body(request)?).await
}

async fn end(gateway: Arc<Gateway>, peer: Peer, id: String, how: Status, request: CloseSession) -> Answer<()> {
    in_full(&gateway, move |gateway| async move { gateway.sessions.end_session(&id, how, peer.word(), &request.reason).await })
        .await
}

pub(super) async fn revoke_many(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Body<Revoke>,
) -> Answer<Revoked> {
    let Revoke { principal, window, reason } = body(request)?;
    in_full(&gateway, move |gateway| async move {
        let sessions = match (&principal, &window) {
            (Some(principal), None) => gateway.sessions.revoke_principal(principal, peer.actor(), &reason).await?,
            (None, Some(window)) => gateway.sessions.revoke_window(window, peer.actor(), &reason).await?,
            _ => return Err(SessionError::Invalid("name a principal or a window, one of both".to_owned())),
        };
        Ok(Revoked { sessions })
    })
    .await
}

pub(super) async fn allow(State(gateway): Gate, ConnectInfo(peer): ConnectInfo<Peer>, request: Body<Allow>) -> Answer<()> {
    let Allow { principal, reason } = body(request)?;
    in_full(&gateway, move |gateway| async move { gateway.sessions.allow_principal(&principal, peer.actor(), &reason).await }).await
}

pub(super) async fn revoked(State(gateway): Gate) -> Json<Vec<RevocationView>> {
    let view = |barred: crate::sessions::store::Barred| RevocationView {
        principal: barred.principal.to_string(),
        since: rfc3339(barred.since),
        by: barred.by.to_string(),
        reason: barred.reason.to_string(),
    };
    Json(gateway.sessions.barred().into_iter().map(view).collect())
}

pub(super) async fn statement(State(gateway): Gate, Path(id): Path<String>, request: Body<AskStatement>) -> Answer<StatementView> {
    let request = body(request)?;
    let session = gateway.sessions.session(&id)?;
    statement_view(&gateway.sessions.review_statement(&session, &request.signer, request.remark.as_deref())?)
}

pub(super) async fn review(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<SignedStatement>,
) -> Answer<()> {
    let sent = sent(body(request)?);
    in_full(&gateway, move |gateway| async move { gateway.sessions.review(&id, &sent, peer.actor()).await }).await
}

fn listed_view(listed: &Listed, now: i64) -> SessionView {
    SessionView {
        reviewer: listed.reviewer.as_deref().map(str::to_owned),
        notice: listed.notice.map(Notice::as_str).map(str::to_owned),
        ..view(&listed.session, now)
    }
}

pub(super) fn view(session: &Session, now: i64) -> SessionView {
    let owned = |text: &Option<Text>| text.as_deref().map(str::to_owned);
    SessionView {
        id: session.id.to_string(),
        window: session.window.to_string(),
        principal: session.principal.to_string(),
        kind: session.principal_kind.as_str().to_owned(),
        acting_for: owned(&session.acting_for),
        basis: session.basis.to_string(),
        account: owned(&session.account),
        role: owned(&session.role),
        break_glass: session.break_glass,
        unreviewed: session.is_unreviewed(),
        reviewer: None,
        opened_by: session.opened_by.to_string(),
        request: owned(&session.request),
        rule: owned(&session.rule),
        notice: None,
        reason: session.reason.to_string(),
        opened: rfc3339(session.opened),
        expires: rfc3339(session.expires()),
        status: session.status(now).as_str().to_owned(),
    }
}
