//! Masking XML: by element, by attribute, by a sibling that names the element, and texts that hold a document of their
//! own. One walk over the tags; entities are not resolved, and a document with a DTD is not told.

use super::{
    edits::{Dress, Edits},
    json::{NAME_KEYS, VALUE_KEYS},
    names,
};
use std::ops::Range;

/// Where the secrets of an XML text, or of the beginning of one, are. `None`: it can't be told.
pub(super) fn find(body: &[u8], complete: bool) -> Option<Edits> {
    let mut walk = Walk { body, at: 0, complete, open: vec![Open::default()], edits: Edits::default() };
    while walk.at < body.len() {
        walk.step()?;
    }
    walk.open.into_iter().for_each(|open| open.settle(&mut walk.edits));
    Some(walk.edits)
}

struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    complete: bool,
    open: Vec<Open<'a>>,
    edits: Edits,
}

/// An element that the walk is in.
#[derive(Default)]
struct Open<'a> {
    name: &'a [u8],
    /// One of its children is the name of a secret.
    named: bool,
    /// Texts of its `Value` children.
    values: Vec<Range<usize>>,
}

impl Open<'_> {
    fn settle(self, edits: &mut Edits) {
        if self.named {
            self.values.into_iter().for_each(|place| edits.mask(place, Dress::Plain));
        }
    }
}

impl<'a> Walk<'a> {
    fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    fn step(&mut self) -> Option<()> {
        let rest = self.rest();
        match rest {
            [b'<', b'?', ..] => self.aside(b"?>"),
            [b'<', b'!', b'-', b'-', ..] => self.aside(b"-->"),
            _ if rest.starts_with(CDATA) => {
                let start = self.at + CDATA.len();
                self.past(b"]]>")?;
                let end = if self.body.get(..self.at)?.ends_with(b"]]>") { self.at - 3 } else { self.at };
                self.text(start..end.max(start))
            }
            [b'<', b'!', ..] => None,
            [b'<', b'/', ..] => {
                self.aside(b">")?;
                if self.open.len() > 1 {
                    self.open.pop()?.settle(&mut self.edits);
                }
                Some(())
            }
            [b'<', ..] => self.tag(),
            _ => {
                let length = rest.iter().position(|b| *b == b'<').unwrap_or(rest.len());
                self.at += length;
                self.text(self.at - length..self.at)
            }
        }
    }

    fn tag(&mut self) -> Option<()> {
        let start = self.at + 1;
        let name = self.rest().get(1..)?;
        let name =
            name.get(..name.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/')).unwrap_or(name.len()))?;
        self.at = start + name.len();
        innocent(name)?;
        let Some(empty) = self.attributes()? else { return Some(()) };
        let local = name.rsplit(|b| *b == b':').next()?;
        if empty {
            return Some(());
        }
        if names::is_secret(local) {
            return self.secret(name);
        }
        self.open.push(Open { name: local, ..Open::default() });
        (self.open.len() <= DEPTH_MAX).then_some(())
    }

    /// Past the attributes and the `>`: whether the tag is empty. `Some(None)` where the truncated body ends first.
    fn attributes(&mut self) -> Option<Option<bool>> {
        let mut name_start = self.at;
        loop {
            match self.body.get(self.at) {
                Some(b'>') => {
                    innocent(self.body.get(name_start..self.at)?)?;
                    self.at += 1;
                    return Some(Some(self.body.get(self.at - 2) == Some(&b'/')));
                }
                Some(quote @ (b'"' | b'\'')) => {
                    let start = self.at + 1;
                    let inner = self.body.get(start..)?;
                    let length = inner.iter().position(|b| b == quote);
                    let end = start + length.unwrap_or(inner.len());
                    let name = self.body.get(name_start..self.at)?.trim_ascii_end().strip_suffix(b"=")?.trim_ascii();
                    innocent(name)?;
                    let value = self.body.get(start..end)?;
                    if names::is_secret(name.rsplit(|b| *b == b':').next()?) || names::gives_secret(value) {
                        self.edits.mask(start..end, Dress::Plain);
                    }
                    self.at = (end + 1).min(self.body.len());
                    name_start = self.at;
                }
                Some(b'<') => return None,
                Some(_) => self.at += 1,
                None if self.complete => return None,
                None => return innocent(self.body.get(name_start..)?).map(|()| None),
            }
        }
    }

    /// The content of a secret element, up to the tag that closes it.
    fn secret(&mut self, name: &[u8]) -> Option<()> {
        let start = self.at;
        let mut depth = 1usize;
        while let Some(found) = self.rest().iter().position(|b| *b == b'<') {
            let end = self.at + found;
            self.at = end + 1;
            let closes = self.rest().starts_with(b"/");
            let tag = self.rest().strip_prefix(b"/").unwrap_or(self.rest());
            if tag.strip_prefix(name).and_then(|after| after.first()).is_some_and(|b| b.is_ascii_whitespace() || *b == b'>') {
                depth = if closes { depth - 1 } else { depth + 1 };
            }
            if depth == 0 {
                self.mask(start..end)?;
                return self.past(b">");
            }
        }
        self.at = self.body.len();
        if self.complete {
            return None;
        }
        self.mask(start..self.at)
    }

    fn mask(&mut self, place: Range<usize>) -> Option<()> {
        if !matches!(self.body.get(place.clone())?.trim_ascii(), b"" | b"true" | b"false") {
            self.edits.mask(place, Dress::Plain);
        }
        Some(())
    }

    fn text(&mut self, place: Range<usize>) -> Option<()> {
        let text = self.body.get(place.clone())?;
        if names::gives_secret(text) {
            self.edits.mask(place.clone(), Dress::Plain);
        }
        let is = |words: &[&[u8]], name: &[u8]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
        if let [.., parent, element] = self.open.as_mut_slice() {
            parent.named |= is(NAME_KEYS, element.name) && names::names_secret(text.trim_ascii());
            if is(VALUE_KEYS, element.name) {
                parent.values.push(place);
            }
        }
        Some(())
    }

    /// Past what is no text and no element, up to the next `sign`.
    fn aside(&mut self, sign: &[u8]) -> Option<()> {
        let start = self.at;
        self.past(sign)?;
        innocent(self.body.get(start..self.at)?)
    }

    /// Past the next `sign`, or to the end of a truncated body.
    fn past(&mut self, sign: &[u8]) -> Option<()> {
        match self.rest().windows(sign.len()).position(|window| window == sign) {
            Some(found) => self.at += found + sign.len(),
            None if self.complete => return None,
            None => self.at = self.body.len(),
        }
        Some(())
    }
}

/// `None` where a secret is given at a place that is not masked: behind an attribute without quotes, in a comment.
fn innocent(text: &[u8]) -> Option<()> {
    (!names::gives_secret(text)).then_some(())
}

const CDATA: &[u8] = b"<![CDATA[";

/// Deeper than any API nests. Bounds the memory that a hostile body takes.
const DEPTH_MAX: usize = 128;
