//! JSON in RFC 8785 form, written while it is read: no tree is built, and what stands in order is copied as it is.
//!
//! Read by hand because this is on the way of every call: a `serde_json` visitor that writes the same takes half as long
//! again, its `Value` twice, and without a feature of its own it reads doubles inexactly. Strings with escapes and numbers
//! that are not short integers still go through it, and a property test holds the two against each other.

use super::Resources;
use std::{borrow::Cow, cmp::Ordering, ops::Range};

/// The object, or `None` where the bytes are no JSON object, or one that has a name twice.
pub(super) fn object(json: &[u8], resources: &mut Resources) -> Option<String> {
    let mut reader = Reader { json: std::str::from_utf8(json).ok()?, at: 0, depth: 0, writer: Writer::new(json.len(), resources) };
    (reader.next()? == b'{').then(|| reader.object())??;
    reader.next().is_none().then_some(reader.writer.out)
}

/// The object of text members.
pub(super) fn texts<'a>(members: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>, resources: &mut Resources) -> Option<String> {
    let mut writer = Writer::new(256, resources);
    let open = writer.open();
    for (name, value) in members {
        let name = Token::from(name);
        let start = writer.name(&name);
        writer.text(&value.into());
        writer.member(name.text, start);
    }
    writer.close(open)?;
    Some(writer.out)
}

/// Reads JSON (RFC 8259) and hands on what it reads. Each step is `None` where the text is no JSON.
struct Reader<'j, 'r> {
    json: &'j str,
    at: usize,
    depth: usize,
    writer: Writer<'j, 'r>,
}

impl<'j> Reader<'j, '_> {
    /// The next byte that is no blank, without taking it.
    fn next(&mut self) -> Option<u8> {
        let rest = self.json.as_bytes().get(self.at..)?;
        let blank = rest.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r'))?;
        self.at += blank;
        rest.get(blank).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self) -> Option<()> {
        match self.next()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string().map(|text| self.writer.text(&text)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => ["true", "false", "null"].into_iter().find(|word| self.rest().starts_with(word)).map(|word| {
                self.at += word.len();
                self.writer.out.push_str(word);
            }),
        }
    }

    fn object(&mut self) -> Option<()> {
        self.enter()?;
        let open = self.writer.open();
        while self.next()? != b'}' {
            let name = self.string()?;
            let start = self.writer.name(&name);
            self.take(b':')?;
            self.value()?;
            self.writer.member(name.text, start);
            self.separator(b'}')?;
        }
        self.leave();
        self.writer.close(open)
    }

    fn array(&mut self) -> Option<()> {
        self.enter()?;
        self.writer.out.push('[');
        let start = self.writer.out.len();
        while self.next()? != b']' {
            self.value()?;
            self.writer.out.push(',');
            self.separator(b']')?;
        }
        self.leave();
        if self.writer.out.len() > start {
            self.writer.out.pop();
        }
        self.writer.out.push(']');
        Some(())
    }

    /// Past the bracket that opens.
    fn enter(&mut self) -> Option<()> {
        (self.at, self.depth) = (self.at + 1, self.depth + 1);
        (self.depth <= DEPTH_MAX).then_some(())
    }

    /// Past the bracket that closes.
    fn leave(&mut self) {
        (self.at, self.depth) = (self.at + 1, self.depth - 1);
    }

    /// Past a comma with something behind it, or up to `end`.
    fn separator(&mut self, end: u8) -> Option<()> {
        match self.next()? {
            b',' => {
                self.at += 1;
                (self.next()? != end).then_some(())
            }
            byte => (byte == end).then_some(()),
        }
    }

    fn string(&mut self) -> Option<Token<'j>> {
        self.take(b'"')?;
        let (start, mut escaped) = (self.at, false);
        loop {
            let rest = self.json.as_bytes().get(self.at..)?;
            self.at += rest.iter().position(|b| *b < b' ' || matches!(b, b'"' | b'\\'))?;
            match self.json.as_bytes().get(self.at)? {
                b'"' => break,
                b'\\' => (escaped, self.at) = (true, self.at + 2),
                _ => return None,
            }
        }
        self.at += 1;
        let quoted = self.json.get(start - 1..self.at)?;
        match escaped {
            true => serde_json::from_str(quoted).ok().map(|text| Token { text: Cow::Owned(text), quoted: None }),
            false => self.json.get(start..self.at - 1).map(|text| Token { text: Cow::Borrowed(text), quoted: Some(quoted) }),
        }
    }

    fn number(&mut self) -> Option<()> {
        let part = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.rest().bytes().position(|b| !part(b)).unwrap_or(self.rest().len());
        let text = self.rest().get(..length)?;
        self.at += length;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.len() <= EXACT_DIGITS
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.is_empty()
        {
            self.writer.out.push_str(text);
            return Some(());
        }
        serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
        // RFC 8785 has doubles only: of an integer beyond 2^53 the last digits go. The body keeps them.
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
        write_number(value, &mut self.writer.out);
        Some(())
    }

    fn rest(&self) -> &'j str {
        self.json.get(self.at..).unwrap_or_default()
    }
}

/// A string: what it says and, if that holds nothing to escape, how it stands between its quotes.
struct Token<'j> {
    text: Cow<'j, str>,
    quoted: Option<&'j str>,
}

impl<'j> From<Cow<'j, str>> for Token<'j> {
    fn from(text: Cow<'j, str>) -> Self {
        Self { text, quoted: None }
    }
}

/// Deeper than any API nests; bounds the stack that a hostile body takes. `serde_json`'s bound.
const DEPTH_MAX: usize = 128;

/// Integers of so many digits are doubles exactly, and written the same.
const EXACT_DIGITS: usize = 15;

struct Writer<'j, 'r> {
    out: String,
    resources: &'r mut Resources,
    /// Names of the members of the objects that are open, the innermost last, and where they are in `out`.
    members: Vec<(Cow<'j, str>, Range<usize>)>,
    /// Whether all names so far are ASCII: their bytes then sort as their UTF-16 does.
    ascii: bool,
    scratch: String,
}

/// An object that is being written: where it begins in `out`, and its members in `members`.
struct Open {
    start: usize,
    first: usize,
}

impl<'j, 'r> Writer<'j, 'r> {
    fn new(size: usize, resources: &'r mut Resources) -> Self {
        Self { out: String::with_capacity(size), resources, members: Vec::with_capacity(16), ascii: true, scratch: String::new() }
    }

    fn open(&mut self) -> Open {
        self.out.push('{');
        Open { start: self.out.len(), first: self.members.len() }
    }

    /// Writes the name; where it begins.
    fn name(&mut self, name: &Token<'_>) -> usize {
        let start = self.out.len();
        self.ascii &= name.text.is_ascii();
        self.write(name);
        self.out.push(':');
        start
    }

    /// The member that began at `start` is written.
    fn member(&mut self, name: Cow<'j, str>, start: usize) {
        self.members.push((name, start..self.out.len()));
        self.out.push(',');
    }

    /// Sorts what was written since `open`; `None` where a name comes twice.
    fn close(&mut self, open: Open) -> Option<()> {
        let members = self.members.get_mut(open.first..)?;
        let order = if self.ascii { |a: &str, b: &str| a.cmp(b) } else { in_utf16 };
        let ascending = |two: &[(Cow<'j, str>, _)]| matches!(two, [(a, _), (b, _)] if order(a, b) == Ordering::Less);
        if !members.windows(2).all(ascending) {
            members.sort_unstable_by(|(a, _), (b, _)| order(a, b));
            if !members.windows(2).all(ascending) {
                return None;
            }
            self.scratch.clear();
            for (_, place) in members.iter() {
                self.scratch.push_str(self.out.get(place.clone())?);
                self.scratch.push(',');
            }
            self.out.truncate(open.start);
            self.out.push_str(&self.scratch);
        }
        if self.members.len() > open.first {
            self.members.truncate(open.first);
            self.out.pop();
        }
        self.out.push('}');
        Some(())
    }

    fn text(&mut self, text: &Token<'_>) {
        self.resources.take(&text.text);
        self.write(text);
    }

    fn write(&mut self, token: &Token<'_>) {
        match token.quoted {
            Some(quoted) => self.out.push_str(quoted),
            None => write_text(&token.text, &mut self.out),
        }
    }
}

/// RFC 8785 §3.2.3 sorts names by their UTF-16 code units.
fn in_utf16(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// RFC 8785 §3.2.2.2: what must be escaped, and nothing else.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(place) = rest.bytes().position(|b| b < b' ' || b == b'"' || b == b'\\') {
        let (before, after) = rest.split_at_checked(place).unwrap_or((rest, ""));
        let mut after = after.chars();
        out.push_str(before);
        match after.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\t') => out.push_str("\\t"),
            Some('\n') => out.push_str("\\n"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\r') => out.push_str("\\r"),
            Some(control) => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            None => {}
        }
        rest = after.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// RFC 8785 §3.2.2.3: as ECMAScript writes a double.
fn write_number(value: f64, out: &mut String) {
    let size = value.abs();
    if value == 0.0 {
        out.push('0');
    } else if (1e-6..1e21).contains(&size) {
        out.push_str(&value.to_string());
    } else {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        out.push_str(&format!("{digits}e{}{exponent}", if exponent.starts_with('-') { "" } else { "+" }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(input: &str, expected: Option<&str>) {
        let wrapped = format!("{{\"v\":{input}}}");
        let expected = expected.map(|expected| format!("{{\"v\":{expected}}}"));
        assert_eq!(object(wrapped.as_bytes(), &mut Resources::default()), expected, "{input}");
    }

    #[test]
    fn json_is_written_in_rfc_8785_form() {
        check(r#"{ "b" : 1, "a" : [true, null, "x", [ ], { }] }"#, Some(r#"{"a":[true,null,"x",[],{}],"b":1}"#));
        check(
            r#"{"b":{"d":1,"c":{"f":2,"e":3}},"a":{"h":{},"g":[{"j":4,"i":5}]}}"#,
            Some(r#"{"a":{"g":[{"i":5,"j":4}],"h":{}},"b":{"c":{"e":3,"f":2},"d":1}}"#),
        );
        // The examples of RFC 8785 §3.2.2 and §3.2.3.
        check(
            r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
            Some(
                r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
            ),
        );
        check(
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
            Some(
                "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
            ),
        );
        check(
            "[0, -0.0, 1.0, 1e21, 1e-6, 1e-7, -1.5e300, 123456789012]",
            Some("[0,0,1,1e+21,0.000001,1e-7,-1.5e+300,123456789012]"),
        );
    }

    #[test]
    fn what_is_no_object_or_has_a_name_twice_has_no_form() {
        check(r#"{"a":1,"a":1}"#, None);
        check(r#"{"x":[{"a":1,"b":3,"\u0061":2}]}"#, None);
        check("1,", None);
        for other in [
            "[]",
            "1",
            "\"x\"",
            "",
            "{} {}",
            "{\"a\":1}x",
            "{\"a\":01}",
            "{\"a\":-}",
            "{\"a\":1,}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":1e999}",
            "{,}",
            "{\"a\"}",
        ] {
            assert_eq!(object(other.as_bytes(), &mut Resources::default()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_serde_json_takes_is_taken_and_means_the_same(
            text in prop_oneof![
                "[{}\\[\\]\",:0-9a-c\\\\ .eE+-]{0,40}",
                "\\{(\"[a-d]\" ?: ?(-?[0-9]{1,2}|true|nul{1,2}|\"\\PC{0,3}\"|[0-9.eE-]{1,6}|\\{\\}|\\[[0-9,]{0,4}\\]),?){0,4}\\}",
            ],
        ) {
            let ours = object(text.as_bytes(), &mut Resources::default());
            let theirs = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).ok();
            match (&ours, &theirs) {
                // A name given twice: theirs keeps the last.
                (None, Some(map)) => prop_assert!(text.matches(':').count() > map.len(), "{}", text),
                (Some(_), None) => prop_assert!(false, "{}", text),
                (Some(ours), Some(map)) => {
                    let again = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(ours).unwrap();
                    prop_assert!(again.keys().eq(map.keys()));
                    let twice = object(ours.as_bytes(), &mut Resources::default());
                    prop_assert_eq!(twice.as_ref(), Some(ours));
                }
                (None, None) => {}
            }
        }
    }
}
