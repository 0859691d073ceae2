//! AWS signatures, checked and made anew: Signature Version 4 and 4a, in a header or in a presigned URL, over a whole body
//! or chunk by chunk.
//!
//! The journey: [`read`] says what a request claims of its signature; [`verify`] holds the claim against the key that the
//! client was given, and gives a [`Proof`]; [`resign`] takes the proof and signs the same request with the real credential;
//! a [`CheckedBody`] checks what the signature says of the body while it streams, and holds its end back until it fits.
//!
//! Pure: bytes and `now` come in. Whose key an access key id is, when it ends and what it may do is not known here. Two
//! places for a signature are not looked at: the form fields of a browser's upload to S3, and the body of Version 2 calls.
//!
//! The canonical request is built here and not by `aws-sigv4`'s `http_request::sign`, in both directions, so that what is
//! signed again is the very request that was signed: that signer takes no header value that is not ASCII, reads a query as
//! lossy UTF-8, leaves `x-amz-checksum-mode` out of a presigned URL although the client signed it, and takes S3 paths in one
//! spelling only, and panics on a target without a path. Keys and signatures come from the crate, and a property test holds all of it against `http_request::sign`.

mod body;
mod canonical;
mod chain;
mod chunked;
mod claim;
mod error;
mod events;
mod key;
mod payload;
mod read;
mod resign;
mod stamp;
#[cfg(test)]
mod tests;
mod verify;

pub use body::{BodyError, CheckedBody};
pub use claim::{Algorithm, Claim, Place};
pub use error::{BodyFault, SignatureError};
pub use key::{BrokeredKey, SessionToken};
pub use payload::{Coverage, PayloadMode};
pub use read::read;
pub use resign::{ResignError, Resigned, resign};
pub use verify::{Proof, verify};
