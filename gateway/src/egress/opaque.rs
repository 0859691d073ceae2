//! Dials the far end of a tunnel that is not opened. Takes a receipt, like everything that leaves.

use super::upstream;
use crate::{
    exchange::Target,
    ledger::{OpenCall, Receipt},
};
use std::{io, time::Duration};
use tokio::net::TcpStream;

/// Spends the receipt and opens the connection. The call comes back with it: it still needs an outcome.
pub async fn dial(receipt: Receipt, target: &Target, wait: Duration) -> (OpenCall, io::Result<TcpStream>) {
    let (_permit, call) = receipt.spend();
    let port = target.authority.port_u16().unwrap_or(443);
    let host = target.authority.host();
    (call, upstream::dial_public(&format!("{host}:{port}"), wait).await)
}
