//! What a request says of its signature: a claim, until it is verified.

use super::{
    error::SignatureError,
    key::SessionToken,
    payload::{Coverage, PayloadMode},
    stamp::Stamp,
};
use http::HeaderName;
use std::time::Duration;

/// The version of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC over one region.
    V4,
    /// ECDSA over a set of regions.
    V4a,
}

impl Algorithm {
    pub(super) fn read(name: &str) -> Result<Self, SignatureError> {
        match name {
            "AWS4-HMAC-SHA256" => Ok(Self::V4),
            "AWS4-ECDSA-P256-SHA256" => Ok(Self::V4a),
            _ => Err(SignatureError::Algorithm),
        }
    }

    /// As it stands in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "AWS4-HMAC-SHA256",
            Self::V4a => "AWS4-ECDSA-P256-SHA256",
        }
    }

    /// Hex digits that a signature takes in a chunked body.
    pub(super) fn signature_digits(self) -> usize {
        match self {
            Self::V4 => 64,
            Self::V4a => 144,
        }
    }
}

/// Where a request carries its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In `Authorization`.
    Header,
    /// In the query string: a presigned URL.
    Query,
}

/// A signature with all that it says. Debug shows no secret.
#[derive(Debug, Clone)]
pub struct Claim {
    pub(super) algorithm: Algorithm,
    pub(super) place: Place,
    pub(super) access_key_id: String,
    pub(super) date: Stamp,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) signed: Vec<HeaderName>,
    pub(super) signature: String,
    pub(super) token: Option<SessionToken>,
    pub(super) payload: PayloadMode,
    /// What the last line of the canonical request is, unless it is the hash of a body that the request does not say.
    pub(super) payload_line: Option<String>,
    pub(super) expires: Option<Duration>,
    pub(super) decoded_length: Option<u64>,
}

impl Claim {
    /// The access key id that the request names.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The session token that came with it.
    pub fn session_token(&self) -> Option<&SessionToken> {
        self.token.as_ref()
    }

    /// The region of its scope; of Version 4a the region set as sent.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The service of its scope.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Its version.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// What it says of the body.
    pub fn payload(&self) -> &PayloadMode {
        &self.payload
    }

    /// Whether the signature covers a hash of the body that the request does not say: [`verify`](super::verify) then needs
    /// the hash of the whole body.
    pub fn needs_body(&self) -> bool {
        self.payload == PayloadMode::Undeclared
    }

    /// What the signature covers, if it fits.
    pub fn coverage(&self) -> Coverage {
        match (self.place, self.payload) {
            (Place::Query, _) => Coverage::Presigned,
            (_, PayloadMode::Declared(_) | PayloadMode::Undeclared) => Coverage::FullBody,
            (_, PayloadMode::Chunked { signed: true, .. } | PayloadMode::Events) => Coverage::ChunkSigned,
            (_, PayloadMode::Chunked { signed: false, .. }) => Coverage::UnsignedTrailer,
            (_, PayloadMode::Unsigned) => Coverage::UnsignedPayload,
        }
    }

    /// `20150830/us-east-1/sts/aws4_request`; of Version 4a without the region.
    pub(super) fn scope(&self) -> String {
        scope(self.algorithm, &self.date, &self.region, &self.service)
    }
}

/// The scope of a signature.
pub(super) fn scope(algorithm: Algorithm, date: &Stamp, region: &str, service: &str) -> String {
    match algorithm {
        Algorithm::V4 => format!("{}/{region}/{service}/{TERMINATOR}", date.day()),
        Algorithm::V4a => format!("{}/{service}/{TERMINATOR}", date.day()),
    }
}

pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
pub(super) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
pub(super) const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
pub(super) const TERMINATOR: &str = "aws4_request";
