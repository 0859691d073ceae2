//! Masking JSON: by key, by a sibling that names the key (`{"Name": "DB_PASSWORD", "Value": …}`), and strings that hold
//! a document of their own. One walk over the tokens; the grammar between them is not checked.

use super::{
    edits::{Dress, Edits},
    names,
};
use std::{borrow::Cow, ops::Range};

/// Where the secrets of a JSON text are, of several in a row, or of the beginning of one. `None`: it can't be told.
pub(super) fn find(body: &[u8], complete: bool) -> Option<Edits> {
    let mut walk = Walk { body, at: 0, open: Vec::new(), edits: Edits::default() };
    while let Some(byte) = walk.peek() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' => walk.at += 1,
            b'{' | b'[' => walk.open()?,
            b'}' | b']' => walk.close()?,
            b'"' => walk.string(complete)?,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'+' | b'.' => walk.literal()?,
            _ => return None,
        }
    }
    if complete && !walk.open.is_empty() {
        return None;
    }
    while !walk.open.is_empty() {
        walk.close()?;
    }
    Some(walk.edits)
}

struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    open: Vec<Open>,
    edits: Edits,
}

/// An object or array that the walk is in.
struct Open {
    start: usize,
    object: bool,
    /// What the key before the next value says of it.
    role: Role,
    /// One of its values is the name of a secret.
    named: bool,
    /// Where its `Value`s stand: masked if it is `named`, whichever comes first.
    values: Vec<(Range<usize>, Dress)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Name,
    Value,
    Other,
}

impl<'a> Walk<'a> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn open(&mut self) -> Option<()> {
        let object = self.peek() == Some(b'{');
        self.open.push(Open { start: self.at, object, role: Role::Other, named: false, values: Vec::new() });
        self.at += 1;
        (self.open.len() <= DEPTH_MAX).then_some(())
    }

    /// Closes the innermost, at its bracket or at the end of a truncated body.
    fn close(&mut self) -> Option<()> {
        let closed = self.open.pop()?;
        self.at = (self.at + 1).min(self.body.len());
        if closed.named {
            closed.values.into_iter().for_each(|(place, dress)| self.edits.mask(place, dress));
        }
        self.value(closed.start..self.at, Dress::Quoted);
        Some(())
    }

    fn literal(&mut self) -> Option<()> {
        let place = self.skip_literal();
        // A name without quotes: this is no JSON, and its value can't be told.
        if names::names_secret(self.body.get(place.clone())?) {
            return None;
        }
        self.value(place, Dress::Quoted);
        Some(())
    }

    /// A value is over: keeps its place if a sibling may name it.
    fn value(&mut self, place: Range<usize>, dress: Dress) {
        if let Some(parent) = self.open.last_mut() {
            if parent.role == Role::Value {
                parent.values.push((place, dress));
            }
            parent.role = Role::Other;
        }
    }

    fn string(&mut self, complete: bool) -> Option<()> {
        let place = self.skip_string();
        let ended = self.at > place.end;
        if complete && !ended {
            return None;
        }
        if self.open.last().is_some_and(|open| open.object) && self.next_is_colon() {
            return self.key(place, complete);
        }
        let text = unescaped(self.body.get(place.clone())?, ended)?;
        if names::gives_secret(&text) {
            self.edits.mask(place.clone(), Dress::Plain);
        }
        if let Some(parent) = self.open.last_mut() {
            let role = parent.role;
            parent.named |= (role == Role::Name || &*text == b"SecureString") && names::names_secret(&text);
        }
        self.value(place, Dress::Plain);
        Some(())
    }

    fn key(&mut self, place: Range<usize>, complete: bool) -> Option<()> {
        let name = unescaped(self.body.get(place)?, true)?;
        let role = role(&name);
        if let Some(open) = self.open.last_mut() {
            open.role = role;
        }
        if names::is_secret(&name) { self.secret(complete) } else { Some(()) }
    }

    /// The value of a secret key, of whatever type.
    fn secret(&mut self, complete: bool) -> Option<()> {
        self.skip_blank();
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                let place = self.skip_string();
                if complete && self.at == place.end {
                    return None;
                }
                // An ARN names the secret that its owner may read.
                if !self.body.get(place.clone())?.starts_with(b"arn:aws") {
                    self.edits.mask(place, Dress::Plain);
                }
            }
            Some(b'{' | b'[') => {
                let closed = self.skip_nested()?;
                if complete && !closed {
                    return None;
                }
                self.edits.mask(start..self.at, Dress::Quoted);
            }
            Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'+' | b'.') => {
                let place = self.skip_literal();
                match self.body.get(place.clone())? {
                    b"true" | b"false" | b"null" => {}
                    // Words without quotes: where the last one ends can't be told.
                    [first, ..] if first.is_ascii_alphabetic() => return None,
                    _ => self.edits.mask(place, Dress::Quoted),
                }
            }
            None if !complete => {}
            _ => return None,
        }
        Some(())
    }

    /// Past an object or array, to its end or the body's; whether it was closed.
    fn skip_nested(&mut self) -> Option<bool> {
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => drop(self.skip_string()),
                b'{' | b'[' => (depth, self.at) = (depth + 1, self.at + 1),
                b'}' | b']' => {
                    (depth, self.at) = (depth.checked_sub(1)?, self.at + 1);
                    if depth == 0 {
                        return Some(true);
                    }
                }
                _ => self.at += 1,
            }
        }
        Some(false)
    }

    /// Past a string; the place between its quotes. Without a last quote, `at` is the end of that place.
    fn skip_string(&mut self) -> Range<usize> {
        let start = self.at + 1;
        self.at = start;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return start..self.at - 1;
                }
                b'\\' => self.at = (self.at + 2).min(self.body.len()),
                _ => self.at += 1,
            }
        }
        self.at = self.body.len();
        start.min(self.at)..self.at
    }

    fn skip_literal(&mut self) -> Range<usize> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.')) {
            self.at += 1;
        }
        start..self.at
    }

    fn next_is_colon(&mut self) -> bool {
        let mut ahead = self.body.get(self.at..).unwrap_or_default().iter().skip_while(|b| b.is_ascii_whitespace());
        ahead.next() == Some(&b':')
    }

    fn skip_blank(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace() || b == b':') {
            self.at += 1;
        }
    }
}

/// The string without its escapes. `None` where it has one that is none; the last of a cut string is let off.
fn unescaped(inner: &[u8], ended: bool) -> Option<Cow<'_, [u8]>> {
    if !inner.contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            text.push(*byte);
            continue;
        }
        let Some((escape, after)) = after.split_first() else { return (!ended).then_some(Cow::Owned(text)) };
        rest = after;
        match escape {
            b'u' => {
                let digits = after.get(..4).and_then(|four| std::str::from_utf8(four).ok());
                let Some(code) = digits.and_then(|four| u32::from_str_radix(four, 16).ok()) else {
                    return (!ended && after.len() < 4).then_some(Cow::Owned(text));
                };
                // Half of a surrogate pair is no letter of any name.
                let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after.get(4..)?;
            }
            b'n' | b'r' | b't' | b'b' | b'f' => text.push(b' '),
            b'"' | b'\\' | b'/' => text.push(*escape),
            _ => return None,
        }
    }
    Some(Cow::Owned(text))
}

fn role(name: &[u8]) -> Role {
    let is = |words: &[&[u8]]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    if is(NAME_KEYS) {
        Role::Name
    } else if is(VALUE_KEYS) {
        Role::Value
    } else {
        Role::Other
    }
}

/// Deeper than any API nests. Bounds the memory that a hostile body takes.
const DEPTH_MAX: usize = 128;

/// Keys whose value may name a secret (ECS environment, SSM and CloudFormation parameters, Beanstalk options) …
pub(super) const NAME_KEYS: &[&[u8]] = &[b"name", b"key", b"parameterkey", b"parametername", b"optionname"];
/// … and keys of the secret beside it.
pub(super) const VALUE_KEYS: &[&[u8]] = &[b"value", b"parametervalue", b"stringvalue", b"resolvedvalue"];
