//! The way in: connections, CONNECT, TLS.
//!
//! - [`listener`]: accepts connections, bounded, and ends them at a stop
//! - [`secure`]: the TLS of an `https://` proxy, with client certificates
//! - [`connect`]: what a CONNECT leads to
//! - [`open`]: a tunnel that the gateway opens: TLS, HTTP/1.1 or HTTP/2, one exchange a request
//! - [`opaque`]: a tunnel that it does not open
//! - [`authority`]: the certificates

pub mod authority;
pub mod connect;
pub mod listener;
pub mod opaque;
pub mod open;
pub mod secure;
