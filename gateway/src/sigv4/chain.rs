//! A chain of signatures: the request's own, then one for each chunk or message, each over the one before.

use super::{claim::Algorithm, key::SigningKey};
use sealgate_schema::Hash;

/// SHA-256 of nothing.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A key with the end of its chain.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) algorithm: Algorithm,
    pub(super) key: SigningKey,
    /// As in the request's string to sign.
    pub(super) date: String,
    pub(super) scope: String,
    /// The last signature, without padding.
    pub(super) last: String,
}

impl Chain {
    /// What is signed of a chunk.
    pub(super) fn of_chunk(&self, data: &Hash) -> String {
        self.string_to_sign("PAYLOAD", &format!("{NOTHING}\n{data}"))
    }

    /// What is signed of a trailer.
    pub(super) fn of_trailer(&self, trailer: &Hash) -> String {
        self.string_to_sign("TRAILER", &trailer.to_string())
    }

    fn string_to_sign(&self, what: &str, hashes: &str) -> String {
        let (algorithm, Self { date, scope, last, .. }) = (self.algorithm.as_str(), self);
        format!("{algorithm}-{what}\n{date}\n{scope}\n{last}\n{hashes}")
    }

    /// What is signed of a message of an event stream, which has a time of its own.
    pub(super) fn of_event(&self, date: &str, header: &Hash, payload: &Hash) -> String {
        let (algorithm, Self { scope, last, .. }) = (self.algorithm.as_str(), self);
        format!("{algorithm}-PAYLOAD\n{date}\n{scope}\n{last}\n{header}\n{payload}")
    }

    /// Whether `signature`, as it stands in a body, is the next one; if so the chain goes on.
    pub(super) fn accept(&mut self, string_to_sign: &str, signature: &str) -> bool {
        let signature = signature.trim_matches(PADDING);
        let fits = self.key.fits(string_to_sign.as_bytes(), signature);
        if fits {
            self.last = signature.to_owned();
        }
        fits
    }

    /// The next signature, as it stands in a body.
    pub(super) fn sign(&mut self, string_to_sign: &str) -> String {
        self.last = self.key.sign(string_to_sign.as_bytes());
        let mut padded = self.last.clone();
        while padded.len() < self.algorithm.signature_digits() {
            padded.push(PADDING);
        }
        padded
    }
}

/// The client's chain, which is checked, and the real credential's, which is written.
#[derive(Debug)]
pub(super) struct Chains {
    pub(super) client: Chain,
    pub(super) real: Chain,
}

impl Chains {
    /// Digits of each signature, padding included.
    pub(super) fn digits(&self) -> usize {
        self.client.algorithm.signature_digits()
    }

    /// Writes the next signature over the client's; `false` if that one does not fit. Both have the same length.
    pub(super) fn replace(&mut self, string_to_sign: impl Fn(&Chain) -> String, signature: &mut [u8]) -> bool {
        let ours = string_to_sign(&self.client);
        let fits = std::str::from_utf8(signature).is_ok_and(|theirs| self.client.accept(&ours, theirs));
        if fits {
            let new = self.real.sign(&string_to_sign(&self.real));
            signature.iter_mut().zip(new.bytes()).for_each(|(place, byte)| *place = byte);
        }
        fits
    }
}

/// Fills the signatures of Version 4a, which vary in length, so that the length of a body is known before it is signed.
const PADDING: char = '*';
