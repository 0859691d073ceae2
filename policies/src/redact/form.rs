//! Masking forms and query strings: by name, by a sibling that names the parameter (CloudFormation's `ParameterKey` and
//! `ParameterValue`), and values that hold a document of their own. What is not masked stays byte for byte.

use super::{
    edits::{Dress, Edits},
    json::{NAME_KEYS, VALUE_KEYS},
    names,
};
use percent_encoding::percent_decode;
use std::{borrow::Cow, ops::Range};

/// Where the secrets of a form, or of the beginning of one, are.
pub(super) fn find(form: &[u8]) -> Edits {
    let mut edits = Edits::default();
    let mut named: Vec<Cow<'_, [u8]>> = Vec::new();
    for (name, value, place) in pairs(form) {
        let name = decoded(name);
        let (before, last) = split(&name);
        if names::is_secret(last) || SIGNATURES.iter().any(|word| word.eq_ignore_ascii_case(last)) {
            if !matches!(value, b"true" | b"false") {
                edits.mask(place, Dress::Plain);
            }
            continue;
        }
        if is(NAME_KEYS, last) && names::has_stem(value) && names::names_secret(&decoded(value)) {
            named.push(before.to_vec().into());
        }
        if names::has_stem(value) && names::gives_secret(&decoded(value)) {
            edits.mask(place, Dress::Plain);
        }
    }
    // The value may stand before the name, so the named ones are looked for once all are known.
    for (name, _, place) in pairs(form).filter(|_| !named.is_empty()) {
        let name = decoded(name);
        let (before, last) = split(&name);
        if is(VALUE_KEYS, last) && named.iter().any(|prefix| &**prefix == before) {
            edits.mask(place, Dress::Plain);
        }
    }
    edits
}

/// Whether bytes of no declared type look like a form.
pub(super) fn looks_like(body: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'%' | b'+');
    let name = body.iter().take_while(|b| plain(b)).count();
    name > 0 && body.get(name) == Some(&b'=')
}

/// Names and values as they stand, and the places of the values.
fn pairs(form: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], Range<usize>)> {
    let mut at = 0;
    form.split(|b| *b == b'&').map(move |pair| {
        let start = at;
        at += pair.len() + 1;
        let name = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let value = (name + 1).min(pair.len());
        let (name, text) = (pair.get(..name).unwrap_or_default(), pair.get(value..).unwrap_or_default());
        (name, text, start + value..start + pair.len())
    })
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

/// A flat name in its last word and what stands before it: `Parameters.member.1.` and `ParameterKey`.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    let at = name.iter().rposition(|b| *b == b'.').map_or(0, |dot| dot + 1);
    name.split_at_checked(at).unwrap_or((b"", name))
}

fn is(words: &[&[u8]], name: &[u8]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(name))
}

/// Signatures in query strings: of AWS's version 2 (the fourth's end with a word of the tables), Google and Azure.
const SIGNATURES: &[&[u8]] = &[b"Signature", b"X-Amz-Signature", b"X-Goog-Signature", b"sig"];
