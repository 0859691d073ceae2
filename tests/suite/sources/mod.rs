//! Where real credentials come from: each source of the configuration, roles that are assumed for sessions, and what becomes of a
//! source that fails. [`kinds`] is the real binary with every source there is; [`roles`] the gateway in process, with an STS that
//! says what it was asked.

mod kinds;
mod roles;

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use sealgate_tests::upstream::{Handler, text};
use std::{convert::Infallible, net::SocketAddr};
use tokio::net::TcpListener;

/// An answer in JSON.
fn json(value: &serde_json::Value) -> Response<sealgate_tests::upstream::Body> {
    let mut response = text(value.to_string());
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

/// A server without TLS on loopback, as metadata services are. It ends with its runtime.
async fn plain(handler: Handler) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                // A client that goes away ends its connection with an error, which is its affair.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}
