//! What a signature says of the body, and what it covers.

use sealgate_schema::Hash;

/// What a request says of its body: `x-amz-content-sha256`, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadMode {
    /// SHA-256 of the body. Checked while the body streams, before its last bytes go on.
    Declared([u8; 32]),
    /// The signature covers a hash of the body that the request does not say.
    Undeclared,
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// `aws-chunked`: `STREAMING-AWS4-…-PAYLOAD` and its kin.
    Chunked {
        /// Whether each chunk has a signature.
        signed: bool,
        /// Whether header fields follow the last chunk.
        trailer: bool,
    },
    /// `STREAMING-AWS4-HMAC-SHA256-EVENTS`: each message of an event stream has a signature.
    Events,
}

impl PayloadMode {
    /// Reads `x-amz-content-sha256`.
    pub(super) fn read(value: &str) -> Option<Self> {
        match value {
            "UNSIGNED-PAYLOAD" => Some(Self::Unsigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" => {
                Some(Self::Chunked { signed: true, trailer: false })
            }
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                Some(Self::Chunked { signed: true, trailer: true })
            }
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Some(Self::Chunked { signed: false, trailer: true }),
            "STREAMING-AWS4-HMAC-SHA256-EVENTS" => Some(Self::Events),
            hash => Hash::from_hex(hash).map(|hash| Self::Declared(hash.0)),
        }
    }
}

/// What of a request its signature covers, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// The whole body.
    FullBody,
    /// Each chunk of the body (or message of an event stream), and the trailer.
    ChunkSigned,
    /// Not the body, nor the checksum that follows it.
    UnsignedTrailer,
    /// Not the body.
    UnsignedPayload,
    /// A presigned URL: whoever has it may send it again until it expires, mostly with any body.
    Presigned,
}

impl Coverage {
    /// As it is recorded.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullBody => "full-body",
            Self::ChunkSigned => "chunk-signed",
            Self::UnsignedTrailer => "unsigned-trailer",
            Self::UnsignedPayload => "unsigned-payload",
            Self::Presigned => "presigned",
        }
    }
}
