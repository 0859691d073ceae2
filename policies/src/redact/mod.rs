//! The redaction floor: what must never be written down, taken out before anything is encoded. Always on.
//!
//! A secret is known by the name it goes by (`names.rs`) in one of the syntaxes that cloud APIs speak. Where a body names
//! a secret and can't be masked with certainty, nothing of it is kept. What a caller puts into a value under an innocent
//! name (a password in a description) is not found.

mod edits;
mod form;
mod header;
mod json;
mod names;
mod stems;
mod xml;

pub use header::{headers, mask_digests};
use std::borrow::Cow;

/// What stands where a secret stood.
pub const MASK: &str = "REDACTED";

/// What of a body may be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it, as it is.
    Clean,
    /// These bytes in its place: its secrets are masked, its syntax is whole.
    Masked(Vec<u8>),
    /// Nothing: it may hold a secret that can't be masked with certainty.
    Omit,
}

/// Masks a path or a name of a program that holds a presigned URL or a token: all of it.
pub fn text(text: &str) -> Cow<'_, str> {
    if signed(text.as_bytes()) { Cow::Borrowed(MASK) } else { Cow::Borrowed(text) }
}

/// Whether a value that should hold no secret has a signature or a session token in it.
fn signed(value: &[u8]) -> bool {
    const MARKS: [&[u8]; 4] = [b"x-amz-signature", b"x-amz-security-token", b"signature=", b"token="];
    let found = |mark: &[u8]| value.windows(mark.len()).any(|window| window.eq_ignore_ascii_case(mark));
    value.len() >= 8 && value.contains(&b'=') | value.contains(&b'%') && MARKS.iter().any(|mark| found(mark))
}

/// A query string with its signatures, tokens and secret parameters masked. All else stays byte for byte.
pub fn query(query: &str) -> Cow<'_, str> {
    match form::find(query.as_bytes()).apply(query.as_bytes()) {
        Body::Masked(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
        Body::Clean | Body::Omit => Cow::Borrowed(query),
    }
}

/// What of a body may be written down. `complete` is false where `body` is the beginning of a longer one: a secret that
/// it ends in is masked to its end.
pub fn body(body: &[u8], complete: bool, content_type: Option<&str>, content_encoding: Option<&str>) -> Body {
    if body.is_empty() {
        return Body::Clean;
    }
    let media_type = content_type.and_then(|full| full.split(';').next()).unwrap_or("").trim();
    if is_encoded(content_encoding) {
        return if is_text(media_type) || names::names_secret_anywhere(body) { Body::Omit } else { Body::Clean };
    }
    let edits = match syntax(body, media_type) {
        Syntax::Form => Some(form::find(body)),
        Syntax::Json | Syntax::Xml if !names::suspicious(body) => return Body::Clean,
        Syntax::Json => json::find(body, complete),
        Syntax::Xml => xml::find(body, complete),
        Syntax::Unknown if !names::names_secret_anywhere(body) => return Body::Clean,
        Syntax::Unknown => None,
    };
    edits.map_or(Body::Omit, |edits| edits.apply(body))
}

enum Syntax {
    Form,
    Json,
    Xml,
    Unknown,
}

/// The syntax of a body. Its first character tells more than its declared type: AWS has a dozen types for JSON, and
/// clients that declare none.
fn syntax(body: &[u8], media_type: &str) -> Syntax {
    if is_cbor(media_type) {
        return Syntax::Unknown;
    }
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match text.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{' | b'[' | b'"') => Syntax::Json,
        Some(b'<') => Syntax::Xml,
        _ if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") => Syntax::Form,
        _ if media_type.is_empty() && form::looks_like(text) => Syntax::Form,
        _ => Syntax::Unknown,
    }
}

/// Whether the body's bytes are not its content. `aws-chunked` frames it, and leaves it readable.
fn is_encoded(content_encoding: Option<&str>) -> bool {
    let codings = content_encoding.unwrap_or("").split(',').map(str::trim);
    codings
        .filter(|coding| !coding.is_empty())
        .any(|coding| !coding.eq_ignore_ascii_case("identity") && !coding.eq_ignore_ascii_case("aws-chunked"))
}

/// Whether content of this type could have been looked into. An undeclared type could.
fn is_text(media_type: &str) -> bool {
    let kind = media_type.to_ascii_lowercase();
    kind.is_empty() || is_cbor(&kind) || TEXT_MARKS.iter().any(|mark| kind.contains(mark))
}

fn is_cbor(media_type: &str) -> bool {
    media_type.to_ascii_lowercase().contains("cbor")
}

const TEXT_MARKS: &[&str] = &["json", "xml", "text/", "form", "yaml", "javascript", "eventstream"];

#[cfg(test)]
mod tests;
