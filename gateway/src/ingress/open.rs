//! A tunnel that the gateway opens: it speaks TLS as the host, then HTTP/1.1 or HTTP/2, one exchange a request.

use crate::{
    exchange::{self, Tunnel},
    ledger::Draft,
    limits::{CLIENT_HEAD_WAIT, CLIENT_IDLE_WAIT, CLIENT_PING_EVERY, HEAD_BYTES_MAX, HEADERS_MAX, STREAMS_MAX},
    refusal,
};
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
    upgrade::{OnUpgrade, Parts},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use sealgate_schema::record::{Fields, Kind};
use std::{io, pin::pin, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Serves the tunnel to its end.
pub async fn run(tunnel: Arc<Tunnel>, upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    // The connection itself, without hyper's wrapper: the client's socket, or its TLS to an `https://` proxy.
    let served = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => serve_upgraded(&tunnel, parts).await,
        Err(upgraded) => match upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>() {
            Ok(parts) => Box::pin(serve_upgraded(&tunnel, parts)).await,
            Err(upgraded) => serve(&tunnel, TokioIo::new(upgraded)).await,
        },
    };
    if let Err(error) = served {
        tracing::debug!(host = %tunnel.target.host, %error, "a tunnel ended");
    }
}

async fn serve_upgraded<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    tunnel: &Arc<Tunnel>,
    parts: Parts<TokioIo<S>>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Unless the client already sent bytes that the wrapper holds.
    if parts.read_buf.is_empty() {
        return serve(tunnel, parts.io.into_inner()).await;
    }
    let (read, write) = tokio::io::split(parts.io.into_inner());
    serve(tunnel, tokio::io::join(io::Cursor::new(parts.read_buf).chain(read), write)).await
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    tunnel: &Arc<Tunnel>,
    stream: S,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let config = tunnel.gateway.authority.config(&tunnel.target.host)?;
    let handshake = tokio::time::timeout(CLIENT_HEAD_WAIT, TlsAcceptor::from(config).accept(stream)).await;
    let stream = match handshake.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")))
    {
        Ok(stream) => stream,
        Err(error) => {
            record_failed_handshake(tunnel, &error).await;
            return Err(error.into());
        }
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") { http2(tunnel, stream).await } else { http1(tunnel, stream).await }
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    tunnel: &Arc<Tunnel>,
    stream: TlsStream<S>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = service_fn(|request| exchange::serve(tunnel.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CLIENT_IDLE_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // At a stop the request under way is answered, and the connection ends after it.
    tokio::select! {
        served = connection.as_mut() => {
            if let Some(error) = served.as_ref().err().filter(|error| error.is_parse()) {
                record(tunnel, "malformed", "SealgateMalformed", format!("not an HTTP request that can be read: {error}")).await;
            }
            return Ok(served?);
        }
        () = tunnel.gateway.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    tunnel: &Arc<Tunnel>,
    stream: TlsStream<S>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = service_fn(|request| exchange::serve(tunnel.clone(), request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .keep_alive_interval(CLIENT_PING_EVERY)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        served = connection.as_mut() => return Ok(served?),
        () = tunnel.gateway.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// A failed handshake is a refusal: most often the tool does not trust the CA, or asks by SNI for another host.
async fn record_failed_handshake(tunnel: &Tunnel, error: &io::Error) {
    // A client that only looked whether the port is open has refused nothing.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return;
    }
    let host = &tunnel.target.host;
    let message = format!(
        "TLS handshake failed: {error}; does the tool trust the CA (`sealgate session env` sets it), and is its SNI {host}?"
    );
    record(tunnel, "tls-handshake", "SealgateTlsHandshake", message).await;
}

/// Records what was refused before there was a request to name.
async fn record(tunnel: &Tunnel, rule: &'static str, code: &'static str, message: String) {
    let mut fields = Fields::new(Kind::Refusal);
    tunnel.caller.describe(&mut fields);
    fields.provider = Some("aws".into());
    fields.host = Some(tunnel.target.column.clone());
    fields.decision = Some("refuse".into());
    fields.rules = vec![rule.into()];
    fields.error_code = Some(code.into());
    fields.detail = Some(serde_json::json!({ "message": message }).to_string().into());
    if let Err(error) = refusal::record(&tunnel.gateway, Some(&tunnel.caller), || Draft::new(fields.clone())).await {
        tracing::error!(%error, "a refusal could not be recorded");
    }
}
