//! Windows over the admin API.

use super::{
    Answer, Body, Failure, Gate, Peer,
    api::{OpenWindow, WindowView},
    body, duration, in_full,
};
use crate::{app::Gateway, clock::rfc3339, sessions::store::Window};
use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
};
use http::StatusCode;

pub(super) async fn list(State(gateway): Gate) -> Json<Vec<WindowView>> {
    Json(gateway.sessions.windows().iter().map(|window| view(&gateway, window)).collect())
}

pub(super) async fn open(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Body<OpenWindow>,
) -> Answer<WindowView> {
    let request = body(request)?;
    let duration = duration(&request.duration)?;
    let window = gateway.sessions.open_window(&request.id, &request.title, duration, peer.word()).await?;
    Ok(Json(view(&gateway, &window)))
}

pub(super) async fn close(State(gateway): Gate, ConnectInfo(peer): ConnectInfo<Peer>, Path(id): Path<String>) -> Answer<()> {
    if id.starts_with("day-") {
        return Err(Failure(StatusCode::CONFLICT, format!("window {id} is the gateway's own, and is sealed when its day is over")));
    }
    in_full(&gateway, move |gateway| async move { gateway.sessions.close_window(&id, peer.word()).await }).await
}

fn view(gateway: &Gateway, window: &Window) -> WindowView {
    let theirs = gateway.sessions.sessions().into_iter().filter(|session| session.window == window.id && session.is_unreviewed());
    WindowView {
        id: window.id.to_string(),
        title: window.title.to_string(),
        state: window.state,
        opened: rfc3339(window.opened),
        closes: rfc3339(window.closes),
        standing: window.standing,
        unreviewed: theirs.map(|session| session.id.to_string()).collect(),
    }
}
