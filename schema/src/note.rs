//! C2SP signed notes and their Ed25519 keys (c2sp.org/signed-note), and the checkpoint form of a note's text
//! (c2sp.org/tlog-checkpoint): origin, size, root, extension lines.
//!
//! Written here because the published crates lag the specification. Only signature type 1 (Ed25519) is known;
//! signatures by other keys are passed over, as the specification asks.

use crate::Hash;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The largest note that is parsed: a manifest of some 50,000 files.
pub const NOTE_BYTES_MAX: usize = 16 << 20;
/// The most signature lines of a note that are looked at.
pub const SIGNATURES_MAX: usize = 64;

const ED25519_TYPE: u8 = 1;

/// Why a note or a key was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not the form of a verifier key.
    #[error("not a verifier key: expected NAME+HASH+KEY, as in keys/gateway.vkey")]
    BadKey,
    /// Not the form of a signed note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// The note is signed, but by none of the keys asked for.
    #[error("no signature by {0}")]
    NotSignedBy(String),
    /// A signature that names the key is not the key's.
    #[error("the signature by {0} does not fit the text")]
    BadSignature(String),
}

/// A public key with a name: `NAME+HASH+KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    pub(crate) id: [u8; 4],
    pub(crate) public: [u8; 32],
}

impl VerifierKey {
    /// Names a public key.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
            return Err(NoteError::BadKey);
        }
        let id = Hash::of(&[name.as_bytes(), b"\n", &[ED25519_TYPE], &public]).0;
        Ok(Self { name: name.to_owned(), id: [id[0], id[1], id[2], id[3]], public })
    }

    /// Reads the text form; the hash in it must be right.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        // Base64 may hold '+' itself, so only the first two split.
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::BadKey);
        };
        let key = STANDARD.decode(key).map_err(|_| NoteError::BadKey)?;
        let Some((&ED25519_TYPE, public)) = key.split_first() else { return Err(NoteError::BadKey) };
        let key = Self::new(name, public.try_into().map_err(|_| NoteError::BadKey)?)?;
        if key.id_hex() == id { Ok(key) } else { Err(NoteError::BadKey) }
    }

    /// The name, which each signature line repeats.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id_hex(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key: Vec<u8> = std::iter::once(ED25519_TYPE).chain(self.public).collect();
        write!(f, "{}+{}+{}", self.name, self.id_hex(), STANDARD.encode(key))
    }
}

/// A private key with the name of its public one.
pub struct SigningKey {
    key: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, masked)", self.verifier.name)
    }
}

impl SigningKey {
    /// Makes the key of a 32-byte seed.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::BadKey)?;
        let public = key.public_key().as_ref().try_into().map_err(|_| NoteError::BadKey)?;
        Ok(Self { key, verifier: VerifierKey::new(name, public)? })
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs `text`, which must end with a newline, and returns the whole note.
    pub fn sign(&self, text: &str) -> String {
        format!("{text}\n{}", self.line(text))
    }

    /// The signature line over `text`, to go below a note's others.
    pub fn line(&self, text: &str) -> String {
        let signature: Vec<u8> = [&self.verifier.id, self.key.sign(text.as_bytes()).as_ref()].concat();
        format!("\u{2014} {} {}\n", self.verifier.name, STANDARD.encode(signature))
    }
}

/// Splits a note and checks that `key` signed its text; returns the text. Lines by other keys are passed over.
pub fn open<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, NoteError> {
    let (text, signatures) = split(note)?;
    let mut named = false;
    for line in signatures.lines().take(SIGNATURES_MAX) {
        named |= is_signed_by(text, line, key)?;
    }
    if named { Ok(text) } else { Err(NoteError::NotSignedBy(key.to_string())) }
}

/// Splits a note whose signature lines are exactly those of `keys`, in this order; returns the text.
pub fn open_exactly<'a>(note: &'a str, keys: &[&VerifierKey]) -> Result<&'a str, NoteError> {
    let (text, signatures) = split(note)?;
    let mut lines = signatures.lines();
    for key in keys {
        match lines.next().map(|line| is_signed_by(text, line, key)).transpose()? {
            Some(true) => {}
            _ => return Err(NoteError::NotSignedBy(key.to_string())),
        }
    }
    if lines.next().is_none() { Ok(text) } else { Err(NoteError::Malformed("a signature line too many")) }
}

/// The text of a note, whoever signed it. To learn which key should have.
pub fn text(note: &str) -> Result<&str, NoteError> {
    split(note).map(|(text, _)| text)
}

/// Whether a signature line is by `key`; an error where it says so and does not verify.
fn is_signed_by(text: &str, line: &str, key: &VerifierKey) -> Result<bool, NoteError> {
    let rest = line.strip_prefix("\u{2014} ").ok_or(NoteError::Malformed("a signature line starts with an em dash"))?;
    let (name, signature) = rest.split_once(' ').ok_or(NoteError::Malformed("a signature line has a name and a signature"))?;
    let signature = STANDARD.decode(signature).map_err(|_| NoteError::Malformed("a signature is base64"))?;
    let (id, signature) = signature.split_at_checked(4).ok_or(NoteError::Malformed("a signature has a key id"))?;
    if name != key.name || id != key.id {
        return Ok(false);
    }
    let verified = UnparsedPublicKey::new(&ED25519, key.public).verify(text.as_bytes(), signature);
    verified.map(|()| true).map_err(|_| NoteError::BadSignature(key.name.clone()))
}

/// The text with its final newline, and the signature lines.
pub(crate) fn split(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::Malformed("larger than NOTE_BYTES_MAX"));
    }
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteError::Malformed("a control character"));
    }
    let end = note.rfind("\n\n").ok_or(NoteError::Malformed("no blank line before the signatures"))?;
    let (text, rest) = note.split_at(end + 1);
    let signatures = rest.strip_prefix('\n').filter(|lines| lines.ends_with('\n'));
    Ok((text, signatures.ok_or(NoteError::Malformed("no newline at the end"))?))
}

/// The text of a note about a tree: `origin`, `size`, `root`, then extension lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose tree.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// Lines after the third.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// The text to sign.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0));
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Reads a note's text. One value has one spelling: what is read writes back the same.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed("a checkpoint is origin, size and root, a line each");
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(malformed);
        };
        let root = STANDARD.decode(root).ok().and_then(|root| Hash::try_from(root.as_slice()).ok());
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| malformed.clone())?,
            root: root.ok_or(malformed.clone())?,
            extensions: lines.map(str::to_owned).collect(),
        };
        if checkpoint.text() == text { Ok(checkpoint) } else { Err(malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> SigningKey {
        SigningKey::from_seed("sealgate/gw-test", &[7; 32]).unwrap()
    }

    #[test]
    fn a_key_reads_back_and_a_wrong_hash_is_refused() {
        let text = key().verifier().to_string();
        assert_eq!(VerifierKey::parse(&text), Ok(key().verifier().clone()));
        assert_eq!(VerifierKey::parse(&text.replacen("gw-test", "gw-tesu", 1)), Err(NoteError::BadKey));
        assert_eq!(VerifierKey::parse("nonsense"), Err(NoteError::BadKey));
    }

    /// The example key and note of the Go package that the specification grew from (golang.org/x/mod/sumdb/note).
    #[test]
    fn a_note_signed_by_another_implementation_opens() {
        let key = VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let note = format!(
            "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        );
        assert_eq!(open(&note, &key), Ok(text));
    }

    #[test]
    fn a_changed_text_or_another_key_does_not_open() {
        let note = key().sign("origin\n1\nroot\n");
        assert_eq!(open(&note, key().verifier()), Ok("origin\n1\nroot\n"));
        let changed = note.replacen("origin", "Origin", 1);
        assert!(matches!(open(&changed, key().verifier()), Err(NoteError::BadSignature(_))));
        let other = SigningKey::from_seed("sealgate/gw-test", &[8; 32]).unwrap();
        assert!(matches!(open(&note, other.verifier()), Err(NoteError::NotSignedBy(_))));
    }

    #[test]
    fn a_checkpoint_has_one_spelling() {
        let checkpoint = Checkpoint { origin: "o".into(), size: 3, root: Hash::of(&[b"r"]), extensions: vec!["x y".into()] };
        assert_eq!(Checkpoint::parse(&checkpoint.text()), Ok(checkpoint.clone()));
        for (from, to) in [("\n3\n", "\n03\n"), ("\n3\n", "\n+3\n"), ("=\n", "\n"), ("x y\n", "x y")] {
            assert!(Checkpoint::parse(&checkpoint.text().replacen(from, to, 1)).is_err(), "{from:?} {to:?}");
        }
    }

    #[test]
    fn a_note_with_a_line_more_or_less_than_its_keys_does_not_open_exactly() {
        let (first, second) = (key(), SigningKey::from_seed("second", &[8; 32]).unwrap());
        let text = "origin\n1\nroot\n";
        let both = first.sign(text) + &second.line(text);
        let (a, b) = (first.verifier(), second.verifier());
        assert_eq!(open_exactly(&both, &[a, b]), Ok(text));
        assert_eq!(open(&both, b), Ok(text));
        for keys in [&[a][..], &[b], &[b, a], &[a, b, b], &[]] {
            assert!(open_exactly(&both, keys).is_err(), "{keys:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_notes_never_panic(note: String, lines in "(\u{2014} [a-z]{0,3} ?[A-Za-z+/=]{0,9}\n?){0,3}") {
            let _ = open(&note, key().verifier());
            let _ = open(&format!("{note}\n\n{lines}"), key().verifier());
            let _ = Checkpoint::parse(&note);
            let _ = VerifierKey::parse(&note);
        }
    }
}
