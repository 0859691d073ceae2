//! Tokens of OIDC issuers: the signature, then the claims. Nothing of a token gets into an error but what its claims are called.

use super::keys::{KeyError, KeySets, Source};
use crate::limits::TOKEN_BYTES_MAX;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, decode};
use sealgate_policies::principal::claims::{Claims, ClaimsError};
use serde::{Deserialize, de::IgnoredAny};
use zeroize::Zeroizing;

/// The algorithms that are taken: public keys alone, so that who checks can't sign.
const ALGORITHMS: [(&str, Algorithm); 3] = [("RS256", Algorithm::RS256), ("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA)];

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token.
    #[error("the token is not a signed JWT in compact form")]
    Malformed,
    /// Too long.
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Signed in another way, or not at all.
    #[error("the token is not signed with RS256, ES256 or EdDSA, or has critical extensions")]
    Algorithm,
    /// Nobody's whom the directory knows.
    #[error("the token's issuer is in no oidc rule of the directory of principals")]
    Issuer,
    /// Signed with another key.
    #[error("the token's signature is wrong")]
    Signature,
    /// Used before.
    #[error("the token was used before: it proves its bearer once, get a new one")]
    Again,
    /// No more can be remembered.
    #[error("too many tokens are in use: try again when some have expired")]
    TooMany,
}

/// A token whose signature is not checked yet.
pub(super) struct Unverified<'a> {
    token: &'a str,
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Claims,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    /// Extensions that a reader has to know (RFC 7515 §4.1.11): none are known here.
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

/// What is wrong with a token, with its time, or with getting the key for it.
pub(super) enum Fault {
    Token(TokenError),
    Claims(ClaimsError),
    Keys(KeyError),
}

impl<'a> Unverified<'a> {
    /// Takes a compact JWS apart (RFC 7515 §7.1).
    pub(super) fn read(token: &'a str) -> Result<Self, Fault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Fault::Token(TokenError::TooLong));
        }
        let mut parts = token.split('.');
        let (Some(head), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Fault::Token(TokenError::Malformed));
        };
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map(Zeroizing::new).map_err(|_| Fault::Token(TokenError::Malformed));
        let head: Head = serde_json::from_slice(&bytes(head)?).map_err(|_| Fault::Token(TokenError::Malformed))?;
        let algorithm = ALGORITHMS.iter().find(|(name, _)| *name == head.alg).filter(|_| head.crit.is_none());
        let (_, algorithm) = *algorithm.ok_or(Fault::Token(TokenError::Algorithm))?;
        let claims = Claims::parse(&bytes(claims)?).map_err(Fault::Claims)?;
        Ok(Self { token, algorithm, key_id: head.kid, claims })
    }

    /// Whose it says it is: enough to look for the key, and for nothing else.
    pub(super) fn issuer(&self) -> &str {
        self.claims.issuer()
    }

    /// What tells this token from others, and when it expires. Not the whole token: who has it can make another signature of an
    /// ECDSA signature that is as good (the other root), and so another text of the same token.
    pub(super) fn spending(&self) -> (&'a str, i64) {
        (self.token.rsplit_once('.').map_or(self.token, |(signed, _)| signed), self.claims.expires())
    }

    /// Checks signature and times, and gives out the claims. The rules of the directory come after.
    pub(super) async fn verify(self, source: &Source, keys: &KeySets, now: i64) -> Result<Claims, Fault> {
        let key = keys.key(source, self.key_id.as_deref(), self.algorithm, now).await.map_err(Fault::Keys)?;
        // The signature alone: the crate's own checks read the system's clock, and know no rules.
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        decode::<IgnoredAny>(self.token, &key, &validation).map_err(|_| Fault::Token(TokenError::Signature))?;
        self.claims.check_times(now).map_err(Fault::Claims)?;
        Ok(self.claims)
    }
}

/// Whether a token can be taken apart. Public for the fuzz targets.
#[doc(hidden)]
pub fn is_read(token: &str) -> bool {
    Unverified::read(token).is_ok()
}
