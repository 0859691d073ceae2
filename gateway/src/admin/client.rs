//! The command line's end of the admin socket.

use super::api::ErrorBody;
use crate::{home::socket, limits::ADMIN_WAIT};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{io, path::Path, time::Duration};
use tokio::net::UnixStream;

/// Why an administrative act was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody listens.
    #[error("no gateway is running in {0}: start one with `sealgate run`, or name its folder with --home")]
    NotRunning(String),
    /// The gateway said no.
    #[error("{0}")]
    Refused(String),
    /// The conversation broke.
    #[error("the gateway did not answer: {0}")]
    Broken(String),
}

/// Asks the gateway of a home.
pub async fn ask<T: DeserializeOwned>(
    home: &Path,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<T, AdminError> {
    ask_for(home, method, path, body, ADMIN_WAIT).await
}

/// Asks, and waits so long for the answer.
pub async fn ask_for<T: DeserializeOwned>(
    home: &Path,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
    wait: Duration,
) -> Result<T, AdminError> {
    let stream = UnixStream::connect(socket(home)).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AdminError::NotRunning(home.display().to_string()),
        _ => AdminError::Broken(error.to_string()),
    })?;
    tokio::time::timeout(wait, exchange(stream, method, path, body))
        .await
        .map_err(|_| AdminError::Broken(format!("not within {} s", wait.as_secs())))?
}

async fn exchange<T: DeserializeOwned>(
    stream: UnixStream,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<T, AdminError> {
    let broken = |error: &dyn std::fmt::Display| AdminError::Broken(error.to_string());
    let body = match body {
        Some(body) => serde_json::to_vec(body).map_err(|error| broken(&error))?,
        None => Vec::new(),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "sealgate")
        .header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| broken(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
    };
    // The connection has to be driven for the answer to come. Where it ends first, the answer's own error says why.
    let driven = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = answer => answer,
        () = driven => return Err(AdminError::Broken("the connection ended".to_owned())),
    };
    let (status, bytes) = answer.map_err(|error| broken(&error))?;
    if !status.is_success() {
        let text = serde_json::from_slice::<ErrorBody>(&bytes).map_or_else(|_| format!("status {status}"), |body| body.error);
        return Err(AdminError::Refused(text));
    }
    serde_json::from_slice(&bytes).map_err(|error| broken(&error))
}
