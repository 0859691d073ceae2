//! The canonical form of a request: the same bytes at the client, here and at AWS.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>. Header values are taken as
//! bytes: what is not ASCII is signed as it stands.

use http::{HeaderName, HeaderValue, Uri, header, request::Parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use sealgate_schema::Hash;
use std::borrow::Cow;

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, within a path.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// How a path becomes its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathForm {
    /// As sent: what S3's clients sign.
    Sent,
    /// Decoded and encoded again, once: what S3 makes of a path in an unusual spelling.
    Once,
    /// As sent, encoded once more. Of no service; AWS's vectors have it.
    #[cfg_attr(not(test), expect(dead_code, reason = "AWS's vectors have it, and no service"))]
    Twice,
    /// Without dot segments and empty segments, encoded once more: all services but S3.
    NormalTwice,
}

/// The forms in which a service's paths are signed. S3's names are those for which AWS's endpoint rules say
/// `disableDoubleEncoding`.
pub(super) fn path_forms(service: &str) -> &'static [PathForm] {
    if is_s3(service) { &[PathForm::Sent, PathForm::Once] } else { &[PathForm::NormalTwice] }
}

/// Whether the service signs as S3 does.
pub(super) fn is_s3(service: &str) -> bool {
    matches!(service, "s3" | "s3-object-lambda" | "s3-outposts" | "s3express")
}

/// The canonical path.
pub(super) fn path(sent: &str, form: PathForm) -> Cow<'_, str> {
    let sent = if sent.is_empty() { "/" } else { sent };
    match form {
        PathForm::Sent => Cow::Borrowed(sent),
        PathForm::Once => {
            let decoded: Cow<'_, [u8]> = percent_decode(sent.as_bytes()).into();
            Cow::Owned(percent_encode(&decoded, RESERVED_IN_PATH).to_string())
        }
        PathForm::Twice => percent_encode(sent.as_bytes(), RESERVED_IN_PATH).into(),
        PathForm::NormalTwice if !sent.contains("//") && !sent.contains("/.") => {
            percent_encode(sent.as_bytes(), RESERVED_IN_PATH).into()
        }
        PathForm::NormalTwice => Cow::Owned(percent_encode(normal(sent).as_bytes(), RESERVED_IN_PATH).to_string()),
    }
}

/// RFC 3986 §5.2.4, and without empty segments.
fn normal(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut normal = format!("/{}", kept.join("/"));
    if !kept.is_empty() && ["/", "/.", "/.."].iter().any(|end| path.ends_with(end)) {
        normal.push('/');
    }
    normal
}

/// One pair of a query string.
pub(super) struct Parameter<'a> {
    /// As sent, with its `=`.
    pub(super) sent: &'a str,
    /// Decoded.
    pub(super) name: Cow<'a, [u8]>,
    /// Decoded; empty where there is no `=`.
    pub(super) value: Cow<'a, [u8]>,
}

impl Parameter<'_> {
    /// AWS's own parameters have names in any case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The pairs of a query string, in order.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    query.split('&').filter(|sent| !sent.is_empty()).map(|sent| {
        let (name, value) = sent.split_once('=').unwrap_or((sent, ""));
        Parameter { sent, name: decode(name), value: decode(value) }
    })
}

/// `+` is a blank, as AWS's own signers and services read it.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        return Cow::Owned(percent_decode(text.replace('+', " ").as_bytes()).collect());
    }
    percent_decode(text.as_bytes()).into()
}

/// The canonical query, without the parameters that `leave_out` names.
pub(super) fn query(sent: &str, leave_out: &[&str]) -> String {
    let kept = parameters(sent).filter(|parameter| !leave_out.iter().any(|name| parameter.is(name)));
    let encode = |bytes: &[u8]| percent_encode(bytes, RESERVED).to_string();
    let mut pairs: Vec<_> = kept.map(|parameter| (encode(&parameter.name), encode(&parameter.value))).collect();
    pairs.sort_unstable();
    let mut query = String::with_capacity(sent.len() + 16);
    for (name, value) in &pairs {
        if !query.is_empty() {
            query.push('&');
        }
        query.extend([name, "=", value]);
    }
    query
}

/// A parameter as it is written into a query.
pub(super) fn write_parameter(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.extend([name, "="]);
    query.extend(percent_encode(value.as_bytes(), RESERVED));
}

/// A canonical request, but for its headers.
pub(super) struct Canonical<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// Sorted.
    pub(super) signed: &'a [HeaderName],
    /// Hash of the body, or what stands for it.
    pub(super) payload: &'a str,
}

impl Canonical<'_> {
    /// The bytes that are hashed. The error is a signed header that is not there.
    pub(super) fn bytes(&self, parts: &Parts) -> Result<Vec<u8>, HeaderName> {
        let mut out = Vec::with_capacity(1024);
        for line in [parts.method.as_str(), self.path, self.query] {
            line_to(&mut out, line.as_bytes());
        }
        for name in self.signed {
            out.extend_from_slice(name.as_str().as_bytes());
            out.push(b':');
            values_to(&mut out, name, parts)?;
            out.push(b'\n');
        }
        out.push(b'\n');
        line_to(&mut out, joined(self.signed).as_bytes());
        out.extend_from_slice(self.payload.as_bytes());
        Ok(out)
    }

    /// Their SHA-256.
    pub(super) fn hash(&self, parts: &Parts) -> Result<Hash, HeaderName> {
        Ok(Hash::of(&[&self.bytes(parts)?]))
    }
}

/// `host;x-amz-date`.
pub(super) fn joined(signed: &[HeaderName]) -> String {
    let names: Vec<&str> = signed.iter().map(HeaderName::as_str).collect();
    names.join(";")
}

fn line_to(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(line);
    out.push(b'\n');
}

fn values_to(out: &mut Vec<u8>, name: &HeaderName, parts: &Parts) -> Result<(), HeaderName> {
    let mut values = parts.headers.get_all(name).iter().map(HeaderValue::as_bytes);
    match values.next() {
        Some(first) => trimmed_to(out, first),
        None if name == header::HOST => out.extend_from_slice(host(&parts.uri).ok_or_else(|| name.clone())?.as_bytes()),
        None => return Err(name.clone()),
    }
    for value in values {
        out.push(b',');
        trimmed_to(out, value);
    }
    Ok(())
}

/// HTTP/2 says the host in the request's target. A port that the scheme implies is not signed.
fn host(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?.as_str();
    Some(authority.strip_suffix(":443").unwrap_or(authority))
}

/// Without blanks at its ends, and one in place of many within, in quotes too.
fn trimmed_to(out: &mut Vec<u8>, value: &[u8]) {
    let mut blank = false;
    for byte in value.trim_ascii() {
        if *byte != b' ' || !blank {
            out.push(*byte);
        }
        blank = *byte == b' ';
    }
}
