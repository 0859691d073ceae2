//! The same request under another key: what the client signed is signed again with the real credential, and nothing else.

use super::{
    canonical::{self, Canonical, parameters, write_parameter},
    chain::Chain,
    claim::{Algorithm, Claim, Place, SECURITY_TOKEN, scope},
    key::SigningKey,
    stamp::Stamp,
    verify::Proof,
};
use aws_credential_types::Credentials;
use http::{HeaderName, HeaderValue, Uri, header, request::Parts, uri::PathAndQuery};
use sealgate_schema::Hash;
use std::time::{Duration, SystemTime};

/// Why a request could not be signed. None of them is the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResignError {
    /// The time is none that a signature can say.
    #[error("the gateway's clock is out of range; set it")]
    Clock,
    /// The credential has characters that no request takes.
    #[error("the real credential can't be put into a request; look at its source")]
    Credential,
    /// The request with the real credential is no request.
    #[error("the request can't take the real credential's signature: the URL becomes too long")]
    Request,
}

/// A request was signed again: what is needed to sign the rest of its body. Debug shows no secret.
#[derive(Debug, Clone)]
pub struct Resigned {
    pub(super) chain: Chain,
}

impl Resigned {
    /// The new signature, in hex.
    pub fn signature(&self) -> &str {
        &self.chain.last
    }
}

/// Signs a request again, as its proof says that it was signed. Of `parts`, headers that the client did not sign may have
/// changed, and signed ones: they are signed as they stand. What the client signed and is not there any more is left out.
/// Where `parts` has no `host`, the target's authority is signed.
pub fn resign(proof: &Proof, parts: &mut Parts, real: &Credentials, now: SystemTime) -> Result<Resigned, ResignError> {
    let date = Stamp::new(now).ok_or(ResignError::Clock)?;
    let claim = &proof.claim;
    let key = (real.access_key_id(), real.secret_access_key());
    let key = SigningKey::derive(claim.algorithm, key, &date, (&claim.region, &claim.service)).ok_or(ResignError::Credential)?;
    let scope = scope(claim.algorithm, &date, &claim.region, &claim.service);
    let new = New { proof, claim, real, date, scope, key };
    match claim.place {
        Place::Header => new.header(parts),
        Place::Query => new.query(parts, now),
    }
}

/// A signature in the making.
struct New<'a> {
    proof: &'a Proof,
    claim: &'a Claim,
    real: &'a Credentials,
    date: Stamp,
    scope: String,
    key: SigningKey,
}

impl New<'_> {
    fn header(self, parts: &mut Parts) -> Result<Resigned, ResignError> {
        for name in [header::AUTHORIZATION, SECURITY_TOKEN] {
            parts.headers.remove(name);
        }
        parts.headers.insert(DATE, value(self.date.text())?);
        let mut signed = self.signed(parts);
        add(&mut signed, DATE);
        if let Some(token) = self.real.session_token() {
            parts.headers.insert(SECURITY_TOKEN, sensitive(token)?);
            // A client without a token had no say in whether it is signed; signed is what most services want.
            if self.proof.spelling.token_signed || self.claim.token.is_none() {
                add(&mut signed, SECURITY_TOKEN);
            }
        }
        let query = canonical::query(parts.uri.query().unwrap_or_default(), &[]);
        let signature = self.sign(parts, &query, &signed)?;
        let (algorithm, scope) = (self.claim.algorithm.as_str(), &self.scope);
        let (key, signed) = (self.real.access_key_id(), canonical::joined(&signed));
        let authorization = format!("{algorithm} Credential={key}/{scope}, SignedHeaders={signed}, Signature={signature}");
        parts.headers.insert(header::AUTHORIZATION, sensitive(&authorization)?);
        Ok(self.resigned(signature))
    }

    fn query(self, parts: &mut Parts, now: SystemTime) -> Result<Resigned, ResignError> {
        parts.headers.remove(SECURITY_TOKEN);
        let signed: Vec<HeaderName> = self.signed(parts).into_iter().filter(|name| *name != SECURITY_TOKEN).collect();
        let mut query = self.unsigned_query(parts, &signed, now);
        let token = |query: &mut String| {
            if let Some(token) = self.real.session_token() {
                write_parameter(query, "X-Amz-Security-Token", token);
            }
        };
        if self.proof.spelling.token_signed {
            token(&mut query);
        }
        let signature = self.sign(parts, &canonical::query(&query, &[]), &signed)?;
        if !self.proof.spelling.token_signed {
            token(&mut query);
        }
        write_parameter(&mut query, "X-Amz-Signature", &signature);
        parts.uri = with_query(&parts.uri, &query).ok_or(ResignError::Request)?;
        Ok(self.resigned(signature))
    }

    /// The client's own parameters as it sent them, then those of the new signature but for the token and the signature.
    fn unsigned_query(&self, parts: &Parts, signed: &[HeaderName], now: SystemTime) -> String {
        let sent = parts.uri.query().unwrap_or_default();
        let kept = parameters(sent).filter(|parameter| !REPLACED.iter().any(|name| parameter.is(name)));
        let mut query = kept.map(|parameter| parameter.sent).collect::<Vec<_>>().join("&");
        let credential = format!("{}/{}", self.real.access_key_id(), self.scope);
        let seconds = self.left(now).as_secs().max(1).to_string();
        let signed = canonical::joined(signed);
        for (name, value) in [
            ("X-Amz-Algorithm", self.claim.algorithm.as_str()),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", self.date.text()),
            ("X-Amz-Expires", &seconds),
            ("X-Amz-SignedHeaders", &signed),
        ] {
            write_parameter(&mut query, name, value);
        }
        if self.claim.algorithm == Algorithm::V4a {
            write_parameter(&mut query, "X-Amz-Region-Set", &self.claim.region);
        }
        query
    }

    /// What is left of the time for which the client's URL is good.
    fn left(&self, now: SystemTime) -> Duration {
        let expires = self.claim.expires.unwrap_or_default();
        match self.claim.date.age(now) {
            Ok(age) => expires.saturating_sub(age),
            Err(_) => expires,
        }
    }

    /// What the client signed and is still there. The token is added where there is one.
    fn signed(&self, parts: &Parts) -> Vec<HeaderName> {
        let there = |name: &&HeaderName| *name == header::HOST || parts.headers.contains_key(*name);
        self.claim.signed.iter().filter(there).cloned().collect()
    }

    fn sign(&self, parts: &Parts, query: &str, signed: &[HeaderName]) -> Result<String, ResignError> {
        let path = canonical::path(parts.uri.path(), self.proof.spelling.path);
        let canonical = Canonical { path: &path, query, signed, payload: &self.proof.payload_line };
        let hash: Hash = canonical.hash(parts).map_err(|_| ResignError::Request)?;
        let (algorithm, date) = (self.claim.algorithm.as_str(), self.date.text());
        Ok(self.key.sign(format!("{algorithm}\n{date}\n{}\n{hash}", self.scope).as_bytes()))
    }

    fn resigned(self, signature: String) -> Resigned {
        let chain = Chain {
            algorithm: self.claim.algorithm,
            key: self.key,
            date: self.date.text().to_owned(),
            scope: self.scope,
            last: signature,
        };
        Resigned { chain }
    }
}

fn add(signed: &mut Vec<HeaderName>, name: HeaderName) {
    if let Err(place) = signed.binary_search_by(|known| known.as_str().cmp(name.as_str())) {
        signed.insert(place, name);
    }
}

fn value(text: &str) -> Result<HeaderValue, ResignError> {
    HeaderValue::from_str(text).map_err(|_| ResignError::Credential)
}

fn sensitive(text: &str) -> Result<HeaderValue, ResignError> {
    let mut value = value(text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn with_query(uri: &Uri, query: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{}?{query}", uri.path())).ok()?);
    Uri::from_parts(parts).ok()
}

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
/// What a presigned URL says of its signature.
const REPLACED: [&str; 8] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Security-Token",
    "X-Amz-Region-Set",
    "X-Amz-Signature",
];
