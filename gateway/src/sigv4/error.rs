//! Why a signature, or a body under one, is not taken. The client is at fault in every one of them.

use http::HeaderName;

/// Why a request's signature is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Signature Version 2, or older.
    #[error(
        "the request is signed with an outdated signature version; sign with Version 4 (`signature_version = s3v4` or a newer tool)"
    )]
    Outdated,
    /// It says that it is signed, and can't be read.
    #[error("the request's signature can't be read: {0}")]
    Malformed(&'static str),
    /// An algorithm of no version that is known here.
    #[error("the request is signed with an unknown algorithm; AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256 are known")]
    Algorithm,
    /// `x-amz-content-sha256` is neither a hash nor a known mode.
    #[error("x-amz-content-sha256 is neither a SHA-256 in lower-case hex nor a known payload mode")]
    Payload,
    /// `host` is not among the signed headers.
    #[error("`host` is not among the signed headers")]
    HostUnsigned,
    /// An `x-amz-` header that the signature does not cover.
    #[error("header {0} is there and is not signed; sign it or leave it away")]
    HeaderUnsigned(HeaderName),
    /// A signed header that is not there.
    #[error("header {0} is signed and did not arrive")]
    HeaderMissing(HeaderName),
    /// The time of the signature is too far from the gateway's.
    #[error("the request was signed {0} s from the gateway's time, and 900 s are allowed; set the client's clock")]
    Skewed(u64),
    /// A presigned URL past its time.
    #[error("the presigned URL expired {0} s ago; make a new one")]
    Expired(u64),
    /// The key is not the one that the request names.
    #[error("the request is signed with another access key")]
    WrongKey,
    /// The session token that goes with the key is not there.
    #[error("the session token that belongs to the access key is missing; set AWS_SESSION_TOKEN")]
    TokenMissing,
    /// There is a session token, and not the one that goes with the key.
    #[error("the session token is not the one that belongs to the access key; set AWS_SESSION_TOKEN anew")]
    TokenWrong,
    /// The signature covers the body, and its hash was not given to [`verify`](super::verify).
    #[error(
        "the signature covers the whole body without saying its hash, and the body was not read whole; send x-amz-content-sha256"
    )]
    BodyUnread,
    /// The body is not the one that was signed.
    #[error("the body is not the one that was signed: its SHA-256 is not x-amz-content-sha256")]
    BodyMismatch,
    /// The signature does not fit.
    #[error("the signature does not fit the request; check the secret access key")]
    Mismatch,
}

impl SignatureError {
    /// The error code that AWS answers with, so that the client's own handling knows it.
    pub fn aws_code(&self) -> &'static str {
        match self {
            Self::Outdated | Self::Algorithm => "InvalidRequest",
            Self::Malformed(_) | Self::HostUnsigned => "IncompleteSignature",
            Self::Payload => "InvalidArgument",
            Self::HeaderUnsigned(_) | Self::HeaderMissing(_) => "AccessDenied",
            Self::Skewed(_) => "RequestTimeTooSkewed",
            Self::Expired(_) => "RequestExpired",
            Self::WrongKey => "InvalidClientTokenId",
            Self::TokenMissing | Self::TokenWrong => "InvalidToken",
            Self::BodyUnread => "MissingSecurityHeader",
            Self::BodyMismatch => "XAmzContentSHA256Mismatch",
            Self::Mismatch => "SignatureDoesNotMatch",
        }
    }
}

/// What does not fit in a body that streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The whole body is not the one that was signed.
    #[error("the body is not the one that was signed: its SHA-256 is not x-amz-content-sha256")]
    Hash,
    /// Not the framing of `aws-chunked`; chunks are counted from 0.
    #[error("chunk {chunk} of the body is no aws-chunked: {what}")]
    Framing {
        /// Which chunk, counted from 0.
        chunk: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A chunk that is not what was signed.
    #[error("the signature of chunk {chunk} of the body does not fit")]
    Chunk {
        /// Which chunk, counted from 0.
        chunk: u64,
    },
    /// The trailer is not what was signed.
    #[error("the signature of the body's trailer does not fit")]
    Trailer,
    /// A chunk is larger than is held in memory.
    #[error("chunk {chunk} of the body is longer than {max} bytes; set a smaller chunk size in the client")]
    ChunkTooLong {
        /// Which chunk, counted from 0.
        chunk: u64,
        /// The bound.
        max: usize,
    },
    /// The chunks do not add up to `x-amz-decoded-content-length`.
    #[error("the chunks of the body do not add up to x-amz-decoded-content-length")]
    Length,
    /// A message of an event stream does not fit.
    #[error("message {message} of the event stream: {what}")]
    Event {
        /// Which message, counted from 0.
        message: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}
