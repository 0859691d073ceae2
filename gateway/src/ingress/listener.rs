//! Accepts client connections: a bounded number, each a task of the gateway's tracker, all told when it stops.

use super::{connect, secure::Secure};
use crate::{
    app::Gateway,
    limits::{CLIENT_HEAD_WAIT, CONNECTIONS_MAX, HEAD_BYTES_MAX},
    principals::Presented,
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// How long to wait after the system had no file descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection's place among [`CONNECTIONS_MAX`]: the tunnel that it becomes holds on to it.
pub type Place = Arc<OwnedSemaphorePermit>;

/// Places for all connections of a gateway, whichever listener they come to.
pub fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CONNECTIONS_MAX))
}

/// Accepts until the gateway stops; with `secure`, connections begin with TLS.
pub async fn listen(gateway: Arc<Gateway>, listener: TcpListener, secure: Option<Arc<Secure>>, places: Arc<Semaphore>) {
    loop {
        // Taken before accepting: past the bound, connections wait in the system's queue.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        // The loser of this select is a connection that was not accepted yet; the system refuses it when the listener goes.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = gateway.stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (tunnel_gateway, secure) = (gateway.clone(), secure.clone());
                gateway.tasks.spawn(async move {
                    let place = Arc::new(place);
                    let served = match secure {
                        None => plain(tunnel_gateway, stream, peer, place).await,
                        Some(secure) => secure.serve(tunnel_gateway, stream, peer, place).await,
                    };
                    if let Err(error) = served {
                        tracing::debug!(%peer, %error, "a client connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Why a connection ended.
pub(super) type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn plain(gateway: Arc<Gateway>, stream: TcpStream, peer: SocketAddr, place: Place) -> Ended {
    set_nodelay(&stream)?;
    serve(gateway, stream, peer, place, None).await
}

/// Serves the proxy side of one connection. An upgraded connection goes on in a task of its own.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    gateway: Arc<Gateway>,
    stream: S,
    peer: SocketAddr,
    place: Place,
    certificate: Option<Presented>,
) -> Ended {
    let service = service_fn(|request| connect::first(gateway.clone(), peer, place.clone(), certificate.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CLIENT_HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // The loser is a connection without a request under way.
    tokio::select! {
        served = connection => Ok(served?),
        () = gateway.stopping.cancelled() => Ok(()),
    }
}

/// Without this every small answer waits for the client's delayed acknowledgement.
pub(super) fn set_nodelay(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)
}
