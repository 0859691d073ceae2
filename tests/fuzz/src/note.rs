//! Signed notes, their keys, and what stands in them. No input can guess a signature, so each is also signed here and
//! then opened: the parsers behind the signature are reached, and a forged note still has to fail.

use sealgate_schema::{
    note::{self, Checkpoint, SigningKey, VerifierKey},
    seal::Manifest,
};
use std::sync::LazyLock;

/// Signs what the seeds hold.
pub(crate) static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_seed("sealgate/gw-fuzz", &[7; 32]).expect("a name and a seed"));

/// Has the name of [`KEY`] and another secret.
static IMPOSTOR: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_seed("sealgate/gw-fuzz", &[8; 32]).expect("a name and a seed"));

/// Signs below [`KEY`].
static SECOND: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_seed("sealgate/second", &[9; 32]).expect("a name and a seed"));

/// A note opens only under the key that signed it, and gives the text that was signed.
pub(crate) fn signed_note(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    assert!(note::open(text, IMPOSTOR.verifier()).is_err(), "a key opens what another signed");
    if let Ok(opened) = note::open(&KEY.sign(text), KEY.verifier()) {
        assert_eq!(opened, text, "a text was opened that was not signed");
        assert!(note::open(&IMPOSTOR.sign(text), KEY.verifier()).is_err(), "an impostor's note opens");
    }
    let Ok(opened) = note::open(text, KEY.verifier()) else { return false };
    assert!(text.starts_with(opened) && opened.ends_with('\n'));
    for place in [0, opened.len() / 2, opened.len() - 1] {
        let mut forged = data.to_vec();
        forged[place] ^= 1;
        let opens = std::str::from_utf8(&forged).is_ok_and(|forged| note::open(forged, KEY.verifier()).is_ok());
        assert!(!opens, "byte {place} of the text is not signed");
    }
    true
}

/// A note opens exactly where its lines are those of the two keys, in their order, and nothing else.
pub(crate) fn exactly_signed_note(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let keys = [KEY.verifier(), SECOND.verifier()];
    let both = |text: &str| KEY.sign(text) + &SECOND.line(text);
    if text.ends_with('\n')
        && let Ok(opened) = note::open_exactly(&both(text), &keys)
    {
        assert_eq!(opened, text, "a text was opened that was not signed");
        for wrong in [KEY.sign(text), both(text) + &IMPOSTOR.line(text), SECOND.sign(text) + &KEY.line(text)] {
            assert!(note::open_exactly(&wrong, &keys).is_err(), "other lines than those of the keys");
        }
    }
    let Ok(opened) = note::open_exactly(text, &keys) else { return false };
    assert_eq!(both(opened), text, "other bytes than those that were signed");
    true
}

/// A key has one spelling.
pub(crate) fn verifier_key(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(key) = VerifierKey::parse(text) else { return false };
    assert_eq!(key.to_string(), text.trim());
    assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
    true
}

/// A checkpoint has one spelling.
pub(crate) fn checkpoint(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(checkpoint) = Checkpoint::parse(text) else { return false };
    assert_eq!(checkpoint.text(), text);
    true
}

/// The signed text of a manifest has one spelling.
pub(crate) fn manifest(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok((manifest, root)) = Manifest::open(&KEY.sign(text), KEY.verifier()) else { return false };
    assert_eq!(manifest.text(root).expect("it was read from this form"), text);
    assert!(manifest.ledger().is_ok());
    true
}

pub(crate) fn exactly_signed_seeds() -> Vec<Vec<u8>> {
    ["one line\n", "a blank\n\nline\n"].map(|text| (KEY.sign(text) + &SECOND.line(text)).into_bytes()).into()
}
