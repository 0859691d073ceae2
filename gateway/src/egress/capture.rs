//! What is kept of a body as it streams by: its length, its SHA-256, its first bytes.

use bytes::{Bytes, BytesMut};
use sealgate_policies::redact;
use sealgate_schema::{
    Hash,
    payload::{Capture as Kept, Payload},
};
use sha2::{Digest, Sha256};

/// A body as far as it has been seen. Memory is bounded by `limit`.
#[derive(Debug)]
pub struct Capture {
    sha: Sha256,
    bytes: u64,
    kept: Prefix,
    limit: usize,
}

#[derive(Debug)]
enum Prefix {
    Empty,
    /// One frame, shared with the stream: nothing is copied for a body of one frame.
    One(Bytes),
    Many(BytesMut),
}

/// What describes a body to the masking rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels<'a> {
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
}

impl<'a> Labels<'a> {
    /// From the header fields of the message.
    pub fn of(headers: &'a http::HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        Self { content_type: text(http::header::CONTENT_TYPE), content_encoding: text(http::header::CONTENT_ENCODING) }
    }
}

impl Capture {
    /// Keeps up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { sha: Sha256::new(), bytes: 0, kept: Prefix::Empty, limit }
    }

    /// Takes the next bytes of the body.
    pub fn take(&mut self, data: &Bytes) {
        self.sha.update(data);
        self.bytes += data.len() as u64;
        let room = self.limit.saturating_sub(self.kept.len());
        let part = data.slice(..data.len().min(room));
        if !part.is_empty() {
            self.kept.push(part);
        }
    }

    /// Length so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Masks what was kept, and fills in the body's columns. Returns the masked bytes for naming.
    pub fn fill(self, labels: Labels<'_>, payload: &mut Payload) -> Option<Bytes> {
        if self.bytes == 0 {
            return None;
        }
        let kept = self.kept.into_bytes();
        let complete = kept.len() as u64 == self.bytes;
        payload.body_bytes = Some(self.bytes);
        let (capture, body, sha256) = if self.limit == 0 {
            (Kept::Omitted, None, Some(Hash(self.sha.finalize().into())))
        } else {
            match redact::body(&kept, complete, labels.content_type, labels.content_encoding) {
                redact::Body::Clean if complete => (Kept::Full, Some(kept), Some(Hash(self.sha.finalize().into()))),
                redact::Body::Clean => (Kept::Truncated, Some(kept), Some(Hash(self.sha.finalize().into()))),
                // The hash of the body as transferred would let anyone test guesses of the masked secret.
                redact::Body::Masked(masked) => {
                    let hash = Hash::of(&[&masked]);
                    (Kept::Redacted, Some(masked.into()), Some(hash))
                }
                redact::Body::Omit => (Kept::Omitted, None, None),
            }
        };
        // What the header fields say of the body's digest tells as much as its hash would.
        if let (Kept::Redacted, Some(headers)) | (Kept::Omitted, Some(headers)) = (capture, &mut payload.headers) {
            redact::mask_digests(headers);
        }
        payload.body_capture = Some(capture);
        payload.body_sha256 = sha256;
        payload.body.clone_from(&body);
        body
    }
}

impl Prefix {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, part: Bytes) {
        *self = match std::mem::replace(self, Self::Empty) {
            Self::Empty => Self::One(part),
            Self::One(first) => {
                let mut many = BytesMut::with_capacity(2 * (first.len() + part.len()));
                many.extend_from_slice(&first);
                many.extend_from_slice(&part);
                Self::Many(many)
            }
            Self::Many(mut many) => {
                many.extend_from_slice(&part);
                Self::Many(many)
            }
        };
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(frames: &[&'static str], limit: usize, kept: Kept, body: Option<&str>) {
        let mut capture = Capture::new(limit);
        frames.iter().for_each(|frame| capture.take(&Bytes::from_static(frame.as_bytes())));
        let mut payload = Payload::new([0; 16]);
        capture.fill(Labels::default(), &mut payload);
        assert_eq!(payload.body.as_deref(), body.map(str::as_bytes));
        assert_eq!(payload.body_capture, Some(kept));
        let whole = frames.concat();
        assert_eq!(payload.body_sha256, Some(Hash::of(&[whole.as_bytes()])));
        assert_eq!(payload.body_bytes, Some(whole.len() as u64));
    }

    #[test]
    fn length_and_hash_are_of_the_whole_body_whatever_is_kept() {
        check(&["hello"], 16, Kept::Full, Some("hello"));
        check(&["hel", "lo ", "you"], 16, Kept::Full, Some("hello you"));
        check(&["hel", "lo ", "you"], 4, Kept::Truncated, Some("hell"));
        check(&["hello"], 0, Kept::Omitted, None);
    }
}
