//! The last step before the wire: a receipt and a request become the only thing that the upstream client takes.
//!
//! A call that was signed with a credential issued here is signed again with the real one: the same headers, the same way, with
//! the chunks of its body signed as they stream ([`crate::sigv4`]). Any other passes as it came, but for hop-by-hop header
//! fields: its signature is not ours to change.

use super::body::{RequestBody, Upload};
use crate::{
    identify::Caller,
    ledger::{OpenCall, Placed, Receipt},
    sigv4::{self, BrokeredKey, Claim, Proof, ResignError},
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
    /// What `User-Agent` gets, so that the provider's own log names the record.
    pub mark: Option<String>,
}

/// What a call that was signed with an issued credential is signed with again.
#[derive(Debug)]
pub struct Signing<'a> {
    /// What the client said of its signature.
    pub claim: &'a Claim,
    /// What the client signed with: its chunks are checked with it.
    pub key: BrokeredKey<'a>,
    /// What was checked.
    pub proof: Proof,
    /// The real credential.
    pub real: Credentials,
    /// The time to sign.
    pub now: SystemTime,
}

/// Spends the receipt. The call comes apart from the request here: whoever holds it owes the outcome, whatever becomes of the
/// request.
pub fn resign(receipt: Receipt, outgoing: Outgoing, signing: Option<Signing<'_>>) -> (Result<Signed, ResignError>, OpenCall) {
    let (_permit, call) = receipt.spend();
    let Outgoing { mut parts, uri, body, mark } = outgoing;
    let signed = match signing {
        Some(signing) => {
            if let Some(mark) = mark {
                add_mark(&mut parts, &mark);
            }
            sign(&mut parts, &uri, body, signing)
        }
        None => Ok(Upload::Plain(body)),
    };
    // The upstream client says the host in the way of the protocol that it ends up speaking. A spelling of the client's
    // own (with the port) may be what it signed, and stays.
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    if parts.headers.get(header::HOST).map(HeaderValue::as_bytes) == authority {
        parts.headers.remove(header::HOST);
    }
    let query = parts.uri.query().map(str::to_owned);
    parts.uri = with_query(uri, query);
    parts.version = http::Version::HTTP_11;
    parts.extensions = http::Extensions::new();
    (signed.map(|body| Signed { request: Request::from_parts(parts, body) }), call)
}
