//! The witness's HTTP end: one path, a bounded number of connections, a bounded wait for everything that a client sends.

use super::state::{Refusal, Witness};
use crate::{
    clock::Clock,
    limits::{WITNESS_CLIENT_WAIT, WITNESS_CONNECTIONS_MAX, WITNESS_HEAD_BYTES_MAX},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use sealgate_schema::witness::request::REQUEST_BYTES_MAX;
use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Media type of the body of a 409 (tlog-witness).
pub const SIZE_TYPE: &str = "text/x.tlog.size";
/// How long to wait after the system had no file descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stopping`; requests under way are answered first.
pub async fn serve(witness: Arc<Witness>, clock: Arc<dyn Clock>, listener: TcpListener, stopping: CancellationToken) {
    let (places, tasks) = (Arc::new(Semaphore::new(WITNESS_CONNECTIONS_MAX)), TaskTracker::new());
    // Taken before accepting: past the bound, connections wait in the system's queue.
    while let Ok(place) = places.clone().acquire_owned().await {
        // The loser is a connection that was not accepted yet.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (witness, clock, stopping) = (witness.clone(), clock.clone(), stopping.clone());
                tasks.spawn(async move {
                    if let Err(error) = connection(witness, clock, stream, stopping).await {
                        tracing::debug!(%error, "a connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

async fn connection(
    witness: Arc<Witness>,
    clock: Arc<dyn Clock>,
    stream: TcpStream,
    stopping: CancellationToken,
) -> Result<(), hyper::Error> {
    let service = service_fn(|request| {
        let (witness, clock) = (witness.clone(), clock.clone());
        async move { Ok::<_, Infallible>(answer(witness, clock, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(WITNESS_CLIENT_WAIT)
        .max_buf_size(WITNESS_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    tokio::select! {
        served = served.as_mut() => return served,
        () = stopping.cancelled() => served.as_mut().graceful_shutdown(),
    }
    served.await
}

async fn answer(witness: Arc<Witness>, clock: Arc<dyn Clock>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/add-checkpoint" {
        return text(StatusCode::NOT_FOUND, "this is a witness; it answers POST /add-checkpoint");
    }
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "use POST");
    }
    let body = tokio::time::timeout(WITNESS_CLIENT_WAIT, Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, &format!("the body can't be read: {error}")),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let now_seconds = u64::try_from(clock.now() / 1_000_000).unwrap_or(0);
    match tokio::task::spawn_blocking(move || witness.add(&body, now_seconds)).await {
        Ok(Ok(line)) => text(StatusCode::OK, &line),
        Ok(Err(refusal)) => refuse(&refusal),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The one place where a refusal gets its status.
fn refuse(refusal: &Refusal) -> Response<Full<Bytes>> {
    let status = match refusal {
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::Untrusted(_) => StatusCode::FORBIDDEN,
        Refusal::UnknownLog(_) => StatusCode::NOT_FOUND,
        Refusal::Conflict(_) => StatusCode::CONFLICT,
        Refusal::NotConsistent(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Unwritable(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = text(status, &format!("{refusal}\n"));
    if matches!(refusal, Refusal::Conflict(_)) {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SIZE_TYPE));
    }
    response
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
