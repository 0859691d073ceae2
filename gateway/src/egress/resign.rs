//! The last step before the wire: a receipt and a request become the only thing that the upstream client takes.
//!
//! A call that was signed with a credential issued here is signed again with the real one: the same headers, the same way, with
//! the chunks of its body signed as they stream ([`crate::sigv4`]). Any other passes as it came, but for hop-by-hop header
//! fields: its signature is not ours to change.

use super::body::{RequestBody, Upload};
use crate::{
    identify::Caller,
    ledger::{OpenCall, Placed, Receipt},
    sigv4::{self, BodyFault, CheckedBody, Proof, ResignError},
};
use aws_credential_types::Credentials;
use http::{HeaderName, HeaderValue, Request, Uri, header, request::Parts};
use std::time::SystemTime;

/// A request that may leave: its intent is on disk. Made by [`resign`] alone, spent by the upstream client.
///
/// ```compile_fail,E0451
/// fn forge(request: http::Request<sealgate::egress::body::Upload>) -> sealgate::egress::resign::Signed {
///     sealgate::egress::resign::Signed { request }
/// }
/// ```
#[derive(Debug)]
#[must_use = "a signed request that is not sent leaves a call without an answer"]
pub struct Signed {
    request: Request<Upload>,
}

impl Signed {
    pub(super) fn spend(self) -> Request<Upload> {
        self.request
    }
}

/// A call as it is about to leave.
#[derive(Debug)]
pub struct Outgoing {
    /// Its head as the client sent it, without hop-by-hop fields.
    pub parts: Parts,
    /// Where it goes.
    pub uri: Uri,
    /// Its body.
    pub body: RequestBody,
    /// What `User-Agent` gets where the call is signed again, so that the provider's own log names the record.
    pub mark: Option<String>,
}

/// What a call that was signed with an issued credential is signed with again.
#[derive(Debug)]
pub struct Signing {
    /// What was checked of the client's signature.
    pub proof: Proof,
    /// The real credential.
    pub real: Credentials,
    /// The time to sign.
    pub now: SystemTime,
}

/// Why a call that has its intent can't leave after all.
#[derive(Debug, thiserror::Error)]
pub enum UnsignedError {
    /// It can't be signed.
    #[error(transparent)]
    Resign(#[from] ResignError),
    /// Its body does not fit its signature.
    #[error(transparent)]
    Body(#[from] BodyFault),
}

/// Spends the receipt. The call comes apart from the request here: whoever holds it owes the outcome, whatever becomes of the
/// request.
pub fn resign(receipt: Receipt, outgoing: Outgoing, signing: Option<Signing>) -> (Result<Signed, UnsignedError>, OpenCall) {
    let (_permit, call) = receipt.spend();
    let Outgoing { mut parts, uri, body, mark } = outgoing;
    // The upstream client says the host in the way of the protocol that it ends up speaking. A spelling of the client's
    // own (with the port) may be what it signed, and stays.
    let authority = uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    if signing.is_some() || parts.headers.get(header::HOST).is_some_and(|host| host.as_bytes() == authority.as_bytes()) {
        parts.headers.remove(header::HOST);
    }
    parts.uri = uri;
    parts.version = http::Version::HTTP_11;
    parts.extensions = http::Extensions::new();
    let body = match signing {
        Some(signing) => sign(&mut parts, body, mark, &signing),
        None => Ok(Upload::plain(body)),
    };
    (body.map(|body| Signed { request: Request::from_parts(parts, body) }), call)
}

fn sign(parts: &mut Parts, body: RequestBody, mark: Option<String>, signing: &Signing) -> Result<Upload, UnsignedError> {
    if let Some(mark) = mark {
        add_mark(parts, &mark);
    }
    let resigned = sigv4::resign(&signing.proof, parts, &signing.real, signing.now)?;
    Ok(Upload::checked(CheckedBody::new(body, &signing.proof, resigned)?))
}

/// `sealgate/WINDOW.SEQ`: the place of the call's intent, for the provider's own log.
pub fn mark(caller: &Caller, placed: Placed) -> Option<String> {
    Some(format!("sealgate/{}.{}", caller.session.as_ref()?.window, placed.seq))
}

fn add_mark(parts: &mut Parts, mark: &str) {
    let before = parts.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let value = [before, if before.is_empty() { b"" } else { b" " }, mark.as_bytes()].concat();
    // A name of a window is made of plain characters; what stood there before was a header value.
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        parts.headers.insert(header::USER_AGENT, value);
    }
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
