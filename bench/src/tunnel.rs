//! The plain tunnel: CONNECT, then bytes both ways. Every target leads to the bench's upstream.

use crate::{Result, listen::listen};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// More than the head of any CONNECT that the load sends.
const HEAD_BYTES_MAX: usize = 4096;

pub(crate) async fn run(upstream: SocketAddr) -> Result<()> {
    listen(move |client| serve(client, upstream)).await
}

async fn serve(mut client: TcpStream, upstream: SocketAddr) -> Result<()> {
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 || head.len() > HEAD_BYTES_MAX {
            return Err("no CONNECT came".into());
        }
    }
    let mut upstream = TcpStream::connect(upstream).await?;
    upstream.set_nodelay(true)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}
