//! Who signed a call: a credential that was issued here, one first seen in an answer, somebody else's, or nobody.
//!
//! What the signature itself is worth is checked in two steps, because the body may have to be read in between: [`Signer::of`]
//! finds the credential, [`Signer::prove`] checks the signature with it. Nothing is attributed by a credential before that.

use crate::{
    app::Gateway,
    broker::{Brokered, Learnt},
    config::Config,
    egress::{body::Need, credentials::SourceError},
    sigv4::{self, BrokeredKey, Claim, Proof, SessionToken, SignatureError},
};
use aws_credential_types::Credentials;
use http::request::Parts;
use sealgate_policies::{permit::Credential, session::Session};
use sealgate_schema::Text;
use sha2::{Digest, Sha256};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What a call is signed with.
#[derive(Debug)]
pub enum Signer {
    /// Nothing: whose call it is, its connection says.
    Nobody,
    /// A credential that the gateway issued.
    Issued {
        /// What the request says of its signature.
        claim: Box<Claim>,
        /// The credential.
        credential: Arc<Brokered>,
    },
    /// A credential first seen in an answer that passed through here.
    Learnt(Arc<Learnt>),
    /// Any other.
    Foreign(Text),
    /// A signature that can't be read. Where its key is let through, that is the provider's business.
    Unreadable(SignatureError),
}

impl Signer {
    /// Finds whose credential a request is signed with.
    pub fn of(gateway: &Gateway, parts: &Parts) -> Self {
        let claim = match sigv4::read(parts) {
            Ok(Some(claim)) => claim,
            Ok(None) => return Self::Nobody,
            Err(error) => return Self::Unreadable(error),
        };
        if let Some(credential) = gateway.broker.find(claim.access_key_id()) {
            return Self::Issued { claim: Box::new(claim), credential };
        }
        match gateway.broker.lineage(claim.access_key_id(), claim.session_token().map(SessionToken::expose)) {
            Some(learnt) => Self::Learnt(learnt),
            None => Self::Foreign(claim.access_key_id().to_owned().into()),
        }
    }

    /// How much of the body has to be there before the signature can be checked.
    pub fn needs(&self) -> Need {
        match self {
            Self::Issued { claim, .. } if claim.needs_body() => Need::Whole,
            _ => Need::Beginning,
        }
    }

    /// The session that the credential was issued in.
    pub fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Issued { credential, .. } => Some(&credential.session),
            Self::Learnt(learnt) => Some(&learnt.session),
            Self::Nobody | Self::Foreign(_) | Self::Unreadable(_) => None,
        }
    }

    /// The issued credential.
    pub fn credential(&self) -> Option<&Arc<Brokered>> {
        match self {
            Self::Issued { credential, .. } => Some(credential),
            _ => None,
        }
    }

    /// Credential ids from the one that signed to the root.
    pub fn chain(&self) -> Vec<Text> {
        match self {
            Self::Nobody | Self::Unreadable(_) => Vec::new(),
            Self::Issued { credential, .. } => credential.chain(),
            Self::Learnt(learnt) => learnt.chain(),
            Self::Foreign(id) => vec![id.clone()],
        }
    }

    /// How a call that passes is tied to the principal (DESIGN §5), where the credential says more or less than the connection.
    pub fn attribution(&self) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::Issued { .. } => Some("signature"),
            Self::Learnt(_) => Some("lineage"),
            Self::Foreign(_) | Self::Unreadable(_) => Some("none"),
        }
    }

    /// Checks the signature with the credential's secret; `body` is the whole body where it is at hand.
    pub fn prove(&self, parts: &Parts, body: Option<&[u8]>, now: i64) -> Result<Option<Proof>, SignatureError> {
        let Self::Issued { claim, credential } = self else { return Ok(None) };
        let body = body.map(|body| Sha256::digest(body).into());
        sigv4::verify(claim, parts, body, &key(credential), system_time(now)).map(Some)
    }

    /// The real credential that stands behind an issued one: a contained child's own, else that of the session's account.
    pub async fn real(&self, gateway: &Gateway) -> Result<Option<Credentials>, SourceError> {
        match self {
            Self::Issued { credential, .. } => match credential.real() {
                Some(real) => Ok(Some(real.clone())),
                None => gateway.sources.of(&credential.session).await.map(Some),
            },
            Self::Nobody | Self::Learnt(_) | Self::Foreign(_) | Self::Unreadable(_) => Ok(None),
        }
    }

    /// What the decision is asked about. `named` is the key id that the request names, for a signature that can't be read.
    pub fn facts<'a>(&'a self, named: Option<&'a str>, config: &Config, now: i64) -> Result<Credential<'a>, SignatureError> {
        Ok(match self {
            Self::Nobody => Credential::None,
            Self::Issued { credential, .. } => match credential.ended(now) {
                Some(ended) => Credential::Ended { id: &credential.id, how: ended.as_str() },
                None => Credential::Issued,
            },
            Self::Learnt(learnt) => match learnt.ended(now) {
                Some(ended) => Credential::Ended { id: &learnt.id, how: ended.as_str() },
                None => Credential::Learnt,
            },
            Self::Foreign(id) => Credential::Foreign { id, passes: config.passes(id) },
            Self::Unreadable(error) => match named.filter(|id| config.passes(id)) {
                Some(id) => Credential::Foreign { id, passes: true },
                None => return Err(error.clone()),
            },
        })
    }
}

/// What the client was given to sign with.
pub fn key(credential: &Brokered) -> BrokeredKey<'_> {
    BrokeredKey { access_key_id: &credential.id, secret: credential.secret(), token: Some(credential.token()) }
}

/// The gateway's clock as signatures count time.
pub fn system_time(now: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(now).unwrap_or(0))
}
