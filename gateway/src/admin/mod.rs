//! Administration over a Unix socket in the home: JSON over HTTP. The command line is its client.
//!
//! Who may use it is who may open the socket: the home is private. The peer's user id goes into each record.

pub mod api;
mod arrivals;
pub mod client;
mod identity;
mod redact;

use crate::{
    app::Gateway,
    clock::rfc3339,
    ledger::{
        Draft, LedgerError,
        witness::{Anchor, WitnessView},
    },
    limits::{ADMIN_BODY_BYTES_MAX, QUERY_CHARS_MAX},
    sessions::{Grant, SessionError, env, store::Window},
};
use api::{
    AnchorView, CloseSession, ErrorBody, Health, KeyView, OpenSession, OpenWindow, PayloadRead, RotateKey, SessionView, WindowView,
};
use axum::{
    Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit, Path, State, connect_info::Connected, rejection::JsonRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::IncomingStream,
};
use http::StatusCode;
use sealgate_policies::session::{Session, Status};
use sealgate_schema::record::{Fields, Kind};
use serde_json::json;
use std::sync::Arc;
use tokio::net::UnixListener;

/// Serves until the gateway stops.
pub async fn serve(gateway: Arc<Gateway>, listener: UnixListener) {
    let stopping = gateway.stopping.clone();
    let router = Router::new()
        .route("/v1/health", get(health))
        .route("/v1/windows", get(list_windows).post(open_window))
        .route("/v1/windows/{id}/close", post(close_window))
        .route("/v1/sessions", get(list_sessions).post(open_session))
        .route("/v1/sessions/{id}/close", post(close_session))
        .route("/v1/sessions/{id}/revoke", post(revoke_session))
        .route("/v1/sessions/{id}/env", get(environment))
        .route("/v1/sessions/{id}/arrivals", post(arrivals::arrivals))
        .route("/v1/keys", get(list_keys))
        .route("/v1/keys/rotate", post(rotate_key))
        .route("/v1/parts", post(cut))
        .route("/v1/payload-reads", post(payload_read))
        .route("/v1/windows/{id}/erase", post(redact::erase))
        .route("/v1/windows/{id}/shred", post(redact::shred))
        .route("/v1/windows/{id}/hold", post(redact::hold))
        .route("/v1/holds", get(redact::holds))
        .layer(DefaultBodyLimit::max(ADMIN_BODY_BYTES_MAX))
        .with_state(gateway);
    let service = router.into_make_service_with_connect_info::<Peer>();
    let served = axum::serve(listener, service).with_graceful_shutdown(async move { stopping.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin socket ended");
    }
}

/// Who is at the other end of the socket.
#[derive(Debug, Clone)]
struct Peer(String);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().map_or_else(|_| "uid unknown".to_owned(), |credentials| format!("uid {}", credentials.uid())))
    }
}

/// An error as the client sees it.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(ErrorBody { error: self.1 })).into_response()
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let status = match &error {
            SessionError::Invalid(_) => StatusCode::BAD_REQUEST,
            SessionError::NotFound(_) => StatusCode::NOT_FOUND,
            SessionError::Conflict(_) | SessionError::Ledger(LedgerError::WindowExists(_) | LedgerError::WindowClosed(_)) => {
                StatusCode::CONFLICT
            }
            SessionError::Ledger(_) | SessionError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        SessionError::from(error).into()
    }
}

type Gate = State<Arc<Gateway>>;
type Answer<T> = Result<Json<T>, Failure>;
type Body<T> = Result<Json<T>, JsonRejection>;

fn body<T>(body: Body<T>) -> Result<T, Failure> {
    body.map(|Json(body)| body).map_err(|rejection| Failure(rejection.status(), rejection.body_text()))
}

async fn health(State(gateway): Gate) -> Json<Health> {
    let failure = gateway.ledger.health().failure().map(|why| why.to_string());
    Json(Health {
        state: if failure.is_some() { "failed" } else { "ok" }.to_owned(),
        failure,
        gateway: gateway.name.to_string(),
        listen: gateway.listen.to_string(),
        calls_in_flight: gateway.ledger.calls_in_flight(),
        anchor: gateway.anchoring.anchor().map(anchor_view),
        timestamps_failing: gateway.anchoring.timestamps_failing(),
    })
}

fn anchor_view(anchor: Anchor) -> AnchorView {
    let say = |view: &WitnessView| Some(format!("{} ({}): {}", view.name, view.state.as_str(), view.error.as_ref()?));
    let trouble = anchor.error.iter().cloned().chain(anchor.witnesses.iter().filter_map(say)).collect();
    AnchorView { entries: anchor.size, cosigned: anchor.cosigned_size, lag_seconds: anchor.lag_seconds(), trouble }
}

async fn list_windows(State(gateway): Gate) -> Json<Vec<WindowView>> {
    Json(gateway.sessions.windows().iter().map(window_view).collect())
}

async fn open_window(State(gateway): Gate, ConnectInfo(peer): ConnectInfo<Peer>, request: Body<OpenWindow>) -> Answer<WindowView> {
    let request = body(request)?;
    let duration = duration(&request.duration)?;
    let window = gateway.sessions.open_window(&request.id, &request.title, duration, &peer.0).await?;
    Ok(Json(window_view(&window)))
}

async fn close_window(State(gateway): Gate, ConnectInfo(peer): ConnectInfo<Peer>, Path(id): Path<String>) -> Answer<()> {
    if id.starts_with("day-") {
        return Err(Failure(StatusCode::CONFLICT, format!("window {id} is the gateway's own, and is sealed when its day is over")));
    }
    // A task of its own: a client that goes away in the middle does not leave the window half closed.
    let closing = gateway.clone();
    let closed = gateway.tasks.spawn(async move { closing.sessions.close_window(&id, &peer.0).await });
    Ok(Json(closed.await.map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??))
}

async fn list_sessions(State(gateway): Gate) -> Json<Vec<SessionView>> {
    Json(gateway.sessions.sessions().iter().map(|session| session_view(session, gateway.clock.now())).collect())
}

async fn open_session(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Body<OpenSession>,
) -> Answer<SessionView> {
    let request = body(request)?;
    let grant = Grant {
        window: request.window,
        principal: request.principal,
        kind: request.kind.parse().map_err(|error| Failure(StatusCode::BAD_REQUEST, error))?,
        acting_for: request.acting_for,
        account: request.account,
        role: request.role,
        duration: duration(&request.duration)?,
        reason: request.reason,
    };
    let session = gateway.sessions.open_session(grant, &peer.0).await?;
    Ok(Json(session_view(&session, gateway.clock.now())))
}

async fn close_session(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<CloseSession>,
) -> Answer<()> {
    let reason = body(request)?.reason;
    Ok(Json(gateway.sessions.end_session(&id, Status::Closed, &peer.0, &reason).await?))
}

async fn revoke_session(
    State(gateway): Gate,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    request: Body<CloseSession>,
) -> Answer<()> {
    let reason = body(request)?.reason;
    Ok(Json(gateway.sessions.end_session(&id, Status::Revoked, &peer.0, &reason).await?))
}

async fn environment(State(gateway): Gate, Path(id): Path<String>) -> Answer<Vec<(String, String)>> {
    let session = gateway.sessions.session(&id)?;
    let status = session.status(gateway.clock.now());
    if status != Status::Open {
        return Err(Failure(
            StatusCode::CONFLICT,
            format!(
                "session {id} is {status}; open a new one: sealgate session open --window {} --principal {} --for 1h --reason \"...\"",
                session.window, session.principal
            ),
        ));
    }
    Ok(Json(env::environment(&gateway, &id)))
}

async fn list_keys(State(gateway): Gate) -> Answer<Vec<KeyView>> {
    blocking(move || identity::list(&gateway)).await
}

async fn rotate_key(State(gateway): Gate, request: Body<RotateKey>) -> Answer<Vec<KeyView>> {
    let request = body(request)?;
    blocking(move || {
        identity::rotate(&gateway, request)?;
        identity::list(&gateway)
    })
    .await
}

/// Runs what waits for the disk beside the tasks that serve clients.
async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Answer<T> {
    let done = tokio::task::spawn_blocking(act).await;
    Ok(Json(done.map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??))
}

/// Written before the reader gets anything: who reads what.
async fn payload_read(State(gateway): Gate, ConnectInfo(peer): ConnectInfo<Peer>, request: Body<PayloadRead>) -> Answer<()> {
    let request = body(request)?;
    let sql = request.sql.as_deref().map(|sql| sql.chars().take(QUERY_CHARS_MAX).collect::<String>());
    let detail = json!({ "by": peer.0, "sql": sql, "change_window": request.window }).to_string();
    let fields = Fields { detail: Some(detail.into()), ..Fields::new(Kind::PayloadRead) };
    gateway.ledger.record(gateway.standing_window()?, Draft::new(fields)).await?;
    Ok(Json(()))
}

async fn cut(State(gateway): Gate) -> Answer<()> {
    Ok(Json(gateway.ledger.cut().await?))
}

fn duration(text: &str) -> Result<jiff::SignedDuration, Failure> {
    text.parse().map_err(|_| Failure(StatusCode::BAD_REQUEST, format!("{text:?} is not a duration: write 4h, 90m or 1h30m")))
}

fn window_view(window: &Window) -> WindowView {
    WindowView {
        id: window.id.to_string(),
        title: window.title.to_string(),
        state: window.state,
        opened: rfc3339(window.opened),
        closes: rfc3339(window.closes),
        standing: window.standing,
    }
}

fn session_view(session: &Session, now: i64) -> SessionView {
    SessionView {
        id: session.id.to_string(),
        window: session.window.to_string(),
        principal: session.principal.to_string(),
        kind: session.principal_kind.as_str().to_owned(),
        acting_for: session.acting_for.as_deref().map(str::to_owned),
        basis: session.basis.to_string(),
        account: session.account.as_deref().map(str::to_owned),
        role: session.role.as_deref().map(str::to_owned),
        break_glass: session.break_glass,
        reason: session.reason.to_string(),
        opened: rfc3339(session.opened),
        expires: rfc3339(session.expires()),
        status: session.status(now).as_str().to_owned(),
    }
}
