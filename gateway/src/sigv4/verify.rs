//! Whether a claim holds, and the proof of it.

use super::{
    canonical::{self, Canonical, PathForm, is_s3, path_forms},
    chain::Chain,
    claim::{Claim, Place, SECURITY_TOKEN},
    error::SignatureError,
    key::{BrokeredKey, SigningKey, same},
    payload::{Coverage, PayloadMode},
};
use http::{HeaderName, request::Parts};
use sealgate_schema::Hash;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// A signature that fits. Made by [`verify`] alone; [`resign`](super::resign) takes nothing else.
///
/// ```compile_fail,E0451
/// fn forge(claim: sealgate::sigv4::Claim) -> sealgate::sigv4::Proof {
///     sealgate::sigv4::Proof { claim, ..todo!() }
/// }
/// ```
#[derive(Debug, Clone)]
#[must_use = "what was proven belongs into the record"]
pub struct Proof {
    pub(super) claim: Claim,
    pub(super) spelling: Spelling,
    /// Last line of the canonical request.
    pub(super) payload_line: String,
    /// The client's chain, for what follows in the body.
    pub(super) chain: Chain,
    /// Whether the whole body was held against its hash already.
    pub(super) body_checked: bool,
    canonical_request: Hash,
}

/// Which of the forms that AWS takes the client signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spelling {
    pub(super) path: PathForm,
    /// Whether the session token is among the signed parameters or headers.
    pub(super) token_signed: bool,
}

/// Holds a claim against the request and the key that the client was given. `body` is the SHA-256 of the whole body, where
/// it is at hand; it has to be where [`Claim::needs_body`] says so.
pub fn verify(
    claim: &Claim,
    parts: &Parts,
    body: Option<[u8; 32]>,
    key: &BrokeredKey<'_>,
    now: SystemTime,
) -> Result<Proof, SignatureError> {
    verify_with(claim, parts, body, key, now, path_forms(&claim.service))
}

/// [`verify`] with forms of the path that are not the service's.
pub(super) fn verify_with(
    claim: &Claim,
    parts: &Parts,
    body: Option<[u8; 32]>,
    key: &BrokeredKey<'_>,
    now: SystemTime,
    forms: &[PathForm],
) -> Result<Proof, SignatureError> {
    in_time(claim, now)?;
    all_signed(claim, parts)?;
    if !same(claim.access_key_id.as_bytes(), key.access_key_id.as_bytes()) {
        return Err(SignatureError::WrongKey);
    }
    has_token(claim, key)?;
    let payload_line = payload_line(claim, body)?;
    let scope = (claim.region.as_str(), claim.service.as_str());
    let signing = SigningKey::derive(claim.algorithm, (key.access_key_id, key.secret), &claim.date, scope);
    let signing = signing.ok_or(SignatureError::Mismatch)?;
    let (spelling, canonical_request) = fitting(claim, parts, &payload_line, &signing, forms)?;
    let chain = Chain {
        algorithm: claim.algorithm,
        key: signing,
        date: claim.date.text().to_owned(),
        scope: claim.scope(),
        last: claim.signature.clone(),
    };
    Ok(Proof { claim: claim.clone(), spelling, payload_line, chain, body_checked: body.is_some(), canonical_request })
}

/// Within 15 minutes of its date; a presigned URL until it expires.
fn in_time(claim: &Claim, now: SystemTime) -> Result<(), SignatureError> {
    let skewed = |by: Duration| if by > SKEW_MAX { Err(SignatureError::Skewed(by.as_secs())) } else { Ok(()) };
    match (claim.date.age(now), claim.expires) {
        (Err(before), _) => skewed(before),
        (Ok(age), None) => skewed(age),
        (Ok(age), Some(expires)) if age >= expires => Err(SignatureError::Expired((age - expires).as_secs())),
        (Ok(_), Some(_)) => Ok(()),
    }
}

/// AWS's bound for the difference of clocks.
const SKEW_MAX: Duration = Duration::from_secs(900);

/// AWS's rule says that every `x-amz-` header is signed; S3 refuses one that is not, and of the others it is not known
/// which does. An unsigned `x-amz-target` would change what a call does, so here it is refused for all of them, but for
/// what some services want left out, is bound otherwise, or tells only of the client.
fn all_signed(claim: &Claim, parts: &Parts) -> Result<(), SignatureError> {
    let allowed = |name: &HeaderName| match name.as_str() {
        // Held against the one that was issued.
        "x-amz-security-token" => true,
        // The last line of the canonical request.
        "x-amz-content-sha256" | "x-amz-user-agent" => !is_s3(&claim.service),
        name => !name.starts_with("x-amz-"),
    };
    match parts.headers.keys().find(|name| !allowed(name) && !claim.signed.contains(name)) {
        Some(name) => Err(SignatureError::HeaderUnsigned(name.clone())),
        None => Ok(()),
    }
}

fn has_token(claim: &Claim, key: &BrokeredKey<'_>) -> Result<(), SignatureError> {
    match (&claim.token, key.token) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(SignatureError::TokenMissing),
        (Some(token), Some(issued)) if token.is(issued) => Ok(()),
        (Some(_), _) => Err(SignatureError::TokenWrong),
    }
}

fn payload_line(claim: &Claim, body: Option<[u8; 32]>) -> Result<String, SignatureError> {
    match (&claim.payload_line, claim.payload, body) {
        (_, PayloadMode::Declared(hash), Some(body)) if hash != body => Err(SignatureError::BodyMismatch),
        (Some(line), ..) => Ok(line.clone()),
        (None, _, Some(body)) => Ok(Hash(body).to_string()),
        (None, _, None) => Err(SignatureError::BodyUnread),
    }
}

/// Looks for the form of the request that the signature fits.
fn fitting(
    claim: &Claim,
    parts: &Parts,
    payload: &str,
    key: &SigningKey,
    forms: &[PathForm],
) -> Result<(Spelling, Hash), SignatureError> {
    let (mut last_path, sent) = (None, parts.uri.path());
    for form in forms {
        let path = canonical::path(sent, *form);
        if last_path.as_ref() == Some(&path) {
            continue;
        }
        for token_signed in token_forms(claim) {
            let query = signed_query(claim, parts, *token_signed);
            let canonical = Canonical { path: &path, query: &query, signed: &claim.signed, payload };
            let hash = canonical.hash(parts).map_err(SignatureError::HeaderMissing)?;
            if key.fits(string_to_sign(claim, &hash).as_bytes(), &claim.signature) {
                return Ok((Spelling { path: *form, token_signed: *token_signed }, hash));
            }
        }
        last_path = Some(path);
    }
    Err(SignatureError::Mismatch)
}

/// In a header the list of signed headers says whether the token is signed. In a query nothing does: most services want it
/// signed, some want it added afterwards.
fn token_forms(claim: &Claim) -> &'static [bool] {
    match claim.place {
        Place::Header if claim.signed.contains(&SECURITY_TOKEN) => &[true],
        Place::Header => &[false],
        Place::Query if claim.token.is_some() => &[true, false],
        Place::Query => &[true],
    }
}

fn signed_query(claim: &Claim, parts: &Parts, token_signed: bool) -> String {
    let query = parts.uri.query().unwrap_or_default();
    match (claim.place, token_signed) {
        (Place::Header, _) => canonical::query(query, &[]),
        (Place::Query, true) => canonical::query(query, &["X-Amz-Signature"]),
        (Place::Query, false) => canonical::query(query, &["X-Amz-Signature", "X-Amz-Security-Token"]),
    }
}

fn string_to_sign(claim: &Claim, canonical_request: &Hash) -> String {
    format!("{}\n{}\n{}\n{canonical_request}", claim.algorithm.as_str(), claim.date.text(), claim.scope())
}

impl Proof {
    /// What was claimed, and holds.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// What the signature covers.
    pub fn coverage(&self) -> Coverage {
        self.claim.coverage()
    }

    /// For the record: one JSON object in RFC 8785 form, without secret or token.
    pub fn to_json(&self) -> String {
        let claim = &self.claim;
        let columns = Columns {
            algorithm: claim.algorithm.as_str(),
            canonical_request_sha256: self.canonical_request.to_string(),
            coverage: self.coverage().as_str(),
            date: claim.date.text(),
            expires: claim.expires.map(|expires| expires.as_secs()),
            key_id: &claim.access_key_id,
            region_set: (claim.algorithm == super::Algorithm::V4a).then_some(&claim.region),
            scope: &self.chain.scope,
            signature: &claim.signature,
            signed_headers: claim.signed.iter().map(HeaderName::as_str).collect(),
        };
        // Sorted names, whole numbers and plain ASCII: serde_json writes it as RFC 8785 does.
        serde_json::to_string(&columns).unwrap_or_default()
    }
}

/// In the order of RFC 8785.
#[derive(Serialize)]
struct Columns<'a> {
    algorithm: &'a str,
    canonical_request_sha256: String,
    coverage: &'a str,
    date: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region_set: Option<&'a String>,
    scope: &'a str,
    signature: &'a str,
    signed_headers: Vec<&'a str>,
}
