//! What the bench's own servers share: listening on loopback, saying where, and ending when the bench does.

use crate::Result;
use std::{
    future::Future,
    io::{Read, stdin},
};
use tokio::net::{TcpListener, TcpStream};

/// How the line begins that says where a server listens.
pub(crate) const READY: &str = "ready ";

/// Serves each connection with `serve`, until standard input ends: the bench holds its other end.
pub(crate) async fn listen<F>(serve: impl Fn(TcpStream) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{READY}{}", listener.local_addr()?);
    std::thread::spawn(|| {
        // An end or an error: either way nobody is there any more.
        let _ = stdin().read(&mut [0]);
        std::process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let served = serve(stream);
        // A client that ends its connection hard is no trouble of the server's; the client counts its own errors.
        tokio::spawn(async move { drop(served.await) });
    }
}
