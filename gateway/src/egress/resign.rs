//! The last step before the wire: a receipt and a request become the only thing that the upstream client takes.
//!
//! In this version the client's own signature passes through unchanged, so the request must reach the provider as the
//! client signed it: only hop-by-hop header fields go.

use super::body::RequestBody;
use crate::ledger::{OpenCall, Receipt};
use http::{HeaderName, HeaderValue, Request, Uri, header, request::Parts};

/// A request that may leave: its intent is on disk. Made by [`resign`] alone, spent by the upstream client.
///
/// ```compile_fail,E0451
/// fn forge(request: http::Request<sealgate::egress::body::RequestBody>) -> sealgate::egress::resign::Signed {
///     sealgate::egress::resign::Signed { request }
/// }
/// ```
#[derive(Debug)]
#[must_use = "a signed request that is not sent leaves a call without an answer"]
pub struct Signed {
    request: Request<RequestBody>,
}

impl Signed {
    pub(super) fn spend(self) -> Request<RequestBody> {
        self.request
    }
}

/// Spends the receipt. `uri` is where the client meant the request to go; `parts` has no hop-by-hop fields any more. The
/// call comes apart from the request here: whoever holds it owes the outcome, whatever becomes of the request.
pub fn resign(receipt: Receipt, mut parts: Parts, uri: Uri, body: RequestBody) -> (Signed, OpenCall) {
    let (_permit, call) = receipt.spend();
    // The upstream client says the host in the way of the protocol that it ends up speaking. A spelling of the client's
    // own (with the port) may be what it signed, and stays.
    if parts.headers.get(header::HOST).map(HeaderValue::as_bytes) == uri.authority().map(|authority| authority.as_str().as_bytes())
    {
        parts.headers.remove(header::HOST);
    }
    parts.uri = uri;
    parts.version = http::Version::HTTP_11;
    parts.extensions = http::Extensions::new();
    (Signed { request: Request::from_parts(parts, body) }, call)
}

/// Header fields that speak of one connection only (RFC 9110 §7.6.1). `TE: trailers` stays: it speaks of the answer.
pub fn strip_hop_by_hop(headers: &mut http::HeaderMap) {
    const HOP_BY_HOP: [HeaderName; 6] = [
        header::CONNECTION,
        header::PROXY_AUTHORIZATION,
        header::PROXY_AUTHENTICATE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("proxy-connection");
    if headers.get(header::TE).is_some_and(|value| value != "trailers") {
        headers.remove(header::TE);
    }
}
