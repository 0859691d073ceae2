//! Administration over a Unix socket in the home: JSON over HTTP. The command line is its client.
//!
//! Who may use it is who may open the socket: the home is private. The peer's user id goes into each record.

mod accounts;
pub mod api;
mod arrivals;
mod asking;
pub mod client;
mod credentials;
mod identity;
mod principals;
mod redact;
mod requests;
mod sessions;
mod windows;

use crate::{
    app::Gateway,
    ledger::{
        Draft, LedgerError,
        witness::{Anchor, WitnessView},
    },
    limits::{ADMIN_BODY_BYTES_MAX, QUERY_CHARS_MAX},
    sessions::{SessionError, actor::Actor},
};
use api::{AnchorView, ErrorBody, Health, KeyView, PayloadRead, RotateKey};
use axum::{
    Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit, State, connect_info::Connected, rejection::JsonRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::IncomingStream,
};
use http::StatusCode;
use sealgate_schema::{
    Text,
    record::{Fields, Kind},
};
use serde_json::json;
use std::sync::Arc;
use tokio::net::UnixListener;

/// Serves until the gateway stops.
pub async fn serve(gateway: Arc<Gateway>, listener: UnixListener) {
    let stopping = gateway.stopping.clone();
    let router = Router::new()
        .route("/v1/health", get(health))
        .route("/v1/windows", get(windows::list).post(windows::open))
        .route("/v1/windows/{id}/close", post(windows::close))
        .route("/v1/sessions", get(sessions::list).post(sessions::open))
        .route("/v1/sessions/break-glass", post(sessions::break_glass))
        .route("/v1/sessions/{id}/extend", post(sessions::extend))
        .route("/v1/sessions/{id}/close", post(sessions::close))
        .route("/v1/sessions/{id}/revoke", post(sessions::revoke))
        .route("/v1/sessions/{id}/statement", post(sessions::statement))
        .route("/v1/sessions/{id}/review", post(sessions::review))
        .route("/v1/sessions/{id}/env", post(credentials::environment))
        .route("/v1/sessions/{id}/credentials", post(credentials::issue))
        .route("/v1/credentials", get(credentials::list))
        .route("/v1/credentials/{id}/revoke", post(credentials::revoke))
        .route("/v1/sessions/{id}/arrivals", post(arrivals::arrivals))
        .route("/v1/requests", get(requests::list).post(requests::make))
        .route("/v1/statements", post(asking::statement_to_ask))
        .route("/v1/requests/{id}", get(requests::show))
        .route("/v1/requests/{id}/statement", post(requests::statement))
        .route("/v1/requests/{id}/approve", post(requests::approve))
        .route("/v1/requests/{id}/deny", post(requests::deny))
        .route("/v1/requests/{id}/withdraw", post(requests::withdraw))
        .route("/v1/revocations", get(sessions::revoked).post(sessions::revoke_many))
        .route("/v1/revocations/allow", post(sessions::allow))
        .route("/v1/accounts", get(accounts::list))
        .route("/v1/accounts/{name}/check", post(accounts::check))
        .route("/v1/principals", get(principals::list))
        .route("/v1/principals/who", post(principals::who))
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
struct Peer(Actor);

impl Peer {
    fn actor(&self) -> &Actor {
        &self.0
    }

    fn word(&self) -> &str {
        self.0.word()
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let peer = stream.io().peer_cred();
        Self(peer.map_or_else(|_| Actor::known_as("uid unknown"), |credentials| Actor::of_uid(credentials.uid())))
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
            SessionError::Forbidden(_) => StatusCode::FORBIDDEN,
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
        listen_tls: gateway.listen_tls.map(|address| address.to_string()),
        calls_in_flight: gateway.ledger.calls_in_flight(),
        anchor: gateway.anchoring.anchor().map(anchor_view),
        timestamps_failing: gateway.anchoring.timestamps_failing(),
        unreviewed: gateway.sessions.unreviewed().iter().map(Text::to_string).collect(),
        unnotified: gateway.sessions.unnotified().iter().map(Text::to_string).collect(),
        requests_pending: gateway.sessions.requests_pending(),
        trouble: gateway.trouble(),
    })
}

fn anchor_view(anchor: Anchor) -> AnchorView {
    let say = |view: &WitnessView| Some(format!("{} ({}): {}", view.name, view.state.as_str(), view.error.as_ref()?));
    let trouble = anchor.error.iter().cloned().chain(anchor.witnesses.iter().filter_map(say)).collect();
    AnchorView { entries: anchor.size, cosigned: anchor.cosigned_size, lag_seconds: anchor.lag_seconds(), trouble }
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

/// Runs an act in a task of its own: a client that goes away in the middle does not leave it half done.
async fn in_full<T, F>(gateway: &Arc<Gateway>, act: impl FnOnce(Arc<Gateway>) -> F) -> Answer<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, SessionError>> + Send + 'static,
{
    let done = gateway.tasks.spawn(act(gateway.clone())).await;
    let done = done.map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(Json(done?))
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
    let detail = json!({ "by": peer.word(), "sql": sql, "change_window": request.window }).to_string();
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
