//! Masking header fields.

use super::{Body, MASK, form, names};
use http::{HeaderMap, HeaderName, HeaderValue};
use sealgate_schema::{Text, payload::Header};

/// Header fields in order, with credentials masked.
pub fn headers(headers: &HeaderMap) -> Vec<Header> {
    headers.iter().map(|(name, value)| (known(name), masked(name, value))).collect()
}

/// Masks the digests of a body among fields that were masked already. For a body that was masked or left out: the digest
/// of a short secret tells it to whoever tries them all.
pub fn mask_digests(headers: &mut [Header]) {
    for (name, value) in headers {
        let digest = DIGESTS.contains(&name.as_str()) || name.starts_with("x-amz-checksum-");
        // `UNSIGNED-PAYLOAD` and its kin are no digests, and say what the signature covers.
        let word = value.contains("PAYLOAD");
        if digest && !word {
            *value = Text::Static(MASK);
        }
    }
}

fn masked(name: &HeaderName, value: &HeaderValue) -> Text {
    let bytes = value.as_bytes();
    match name.as_str() {
        "proxy-authorization" => Text::Static(MASK),
        name if name.ends_with("authorization") => authorization(bytes),
        "location" | "content-location" | "referer" => latin(&address(bytes)),
        "x-amz-tagging" => latin(&parameters(bytes)),
        name if value.is_sensitive() || is_secret(name) => Text::Static(MASK),
        _ => latin(bytes),
    }
}

fn is_secret(name: &str) -> bool {
    // Most names have no such letters, and are done here.
    let marked = ["token", "key", "cookie", "secret", "passw", "signature", "mfa", "oidc"].iter().any(|mark| name.contains(mark));
    let paging = || PAGING.iter().any(|end| name.ends_with(end));
    marked
        && (SECRET.contains(&name)
            || name.contains("customer-key")
            || names::is_secret(name.as_bytes())
            || (["token", "signature"].iter().any(|end| name.ends_with(end)) && !paging()))
}

/// `AWS4-…` keeps whose it is and what it covers; any other scheme keeps its name.
fn authorization(value: &[u8]) -> Text {
    let scheme = value.split(|b| *b == b' ').next().unwrap_or_default();
    if scheme.len() == value.len() {
        return Text::Static(MASK);
    }
    let mut kept = String::with_capacity(value.len());
    kept.extend(scheme.iter().map(|b| char::from(*b)));
    if !scheme.starts_with(b"AWS4-") {
        kept.extend([" ", MASK]);
        return kept.into();
    }
    let parts = value.get(scheme.len()..).unwrap_or_default().split(|b| *b == b',');
    for (index, part) in parts.enumerate() {
        let part = part.trim_ascii();
        let shown = [b"Credential=".as_slice(), b"SignedHeaders="].iter().any(|name| part.starts_with(name));
        kept.push_str(if index == 0 { " " } else { ", " });
        match part.iter().position(|b| *b == b'=') {
            _ if shown => kept.extend(part.iter().map(|b| char::from(*b))),
            Some(equals) => {
                kept.extend(part.iter().take(equals + 1).map(|b| char::from(*b)));
                kept.push_str(MASK);
            }
            None => kept.push_str(MASK),
        }
    }
    kept.into()
}

/// A URL with its query and fragment masked.
fn address(url: &[u8]) -> Vec<u8> {
    let start = url.iter().position(|b| matches!(b, b'?' | b'#')).map_or(url.len(), |mark| mark + 1);
    let (before, after) = url.split_at_checked(start).unwrap_or((url, b""));
    [before, &parameters(after)].concat()
}

fn parameters(form: &[u8]) -> Vec<u8> {
    match form::find(form).apply(form) {
        Body::Masked(masked) => masked,
        Body::Clean | Body::Omit => form.to_vec(),
    }
}

/// ISO-8859-1: one character a byte.
fn latin(bytes: &[u8]) -> Text {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Text::Shared(text.into()),
        _ => Text::from(bytes.iter().map(|b| char::from(*b)).collect::<String>()),
    }
}

/// The name without an allocation where it is one that every call has.
fn known(name: &HeaderName) -> Text {
    let name = name.as_str();
    COMMON
        .binary_search(&name)
        .ok()
        .and_then(|place| COMMON.get(place))
        .map_or_else(|| Text::Shared(name.into()), |name| Text::Static(name))
}

/// Masked whole. Names that end in `token` or in a secret's name need not be here.
const SECRET: &[&str] = &[
    "cookie",
    "cookie2",
    "set-cookie",
    "set-cookie2",
    "x-amz-mfa", // device and its code of the minute
    "x-amz-sso_bearer_token",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
];

/// Tokens that open nothing.
const PAGING: &[&str] = &["next-token", "client-token", "continuation-token", "request-token", "idempotency-token"];

const DIGESTS: &[&str] = &["x-amz-content-sha256", "content-md5", "digest", "content-digest", "repr-digest", "etag"];

/// Names that most calls have, sorted.
const COMMON: &[&str] = &[
    "accept",
    "accept-encoding",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expect",
    "host",
    "last-modified",
    "server",
    "smithy-protocol",
    "transfer-encoding",
    "user-agent",
    "vary",
    "x-amz-checksum-crc32",
    "x-amz-content-sha256",
    "x-amz-crc32",
    "x-amz-date",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-target",
    "x-amz-user-agent",
    "x-amzn-requestid",
    "x-amzn-trace-id",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &'static str, value: &str) -> String {
        let mut map = HeaderMap::new();
        map.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers(&map).remove(0).1.to_string()
    }

    #[test]
    fn an_authorization_keeps_its_scope_and_loses_its_signature() {
        let header = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/sts/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let kept = one("authorization", header);
        assert!(kept.contains("Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/sts/aws4_request"));
        assert!(kept.ends_with("SignedHeaders=host;x-amz-date, Signature=REDACTED"), "{kept}");
        assert_eq!(one("authorization", "Bearer eyJhbGciOi"), "Bearer REDACTED");
        assert_eq!(one("authorization", "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg="), "AWS REDACTED");
        assert_eq!(one("authorization", "frJIUN8DYpKDtOLCwo"), MASK);
        assert_eq!(
            one("authorization", "AWS4-HMAC-SHA256 Signature=abc,sigs,Credential=k"),
            "AWS4-HMAC-SHA256 Signature=REDACTED, REDACTED, Credential=k"
        );
    }

    #[test]
    fn fields_that_carry_credentials_are_masked_whole() {
        for name in [
            "x-amz-security-token",
            "cookie",
            "set-cookie",
            "proxy-authorization",
            "x-amz-sso_bearer_token",
            "x-api-key",
            "x-amz-server-side-encryption-customer-key",
            "x-amz-server-side-encryption-customer-key-md5",
            "x-amz-s3session-token",
            "x-amz-copy-source-server-side-encryption-customer-key",
            "x-amz-session-token",
            "x-aws-ec2-metadata-token",
            "x-amz-mfa",
            "x-auth-token",
            "x-goog-api-key",
            "x-amz-meta-password",
            "x-amz-trailer-signature",
        ] {
            assert_eq!(one(name, "hunter2"), MASK, "{name}");
        }
        for name in
            ["x-amz-server-side-encryption-aws-kms-key-id", "x-amz-target", "user-agent", "x-amz-continuation-token", "range"]
        {
            assert_eq!(one(name, "hunter2"), "hunter2", "{name}");
        }
        let mut sensitive = HeaderValue::from_static("hunter2");
        sensitive.set_sensitive(true);
        assert_eq!(headers(&HeaderMap::from_iter([(HeaderName::from_static("x-odd"), sensitive)]))[0].1, *MASK);
    }

    #[test]
    fn an_address_loses_the_secrets_of_its_query() {
        let url = "https://b.s3.amazonaws.com/k?X-Amz-Credential=A%2Fb&X-Amz-Signature=abc&X-Amz-Security-Token=IQo#t";
        let masked = "https://b.s3.amazonaws.com/k?X-Amz-Credential=A%2Fb&X-Amz-Signature=REDACTED&X-Amz-Security-Token=REDACTED";
        assert_eq!(one("location", url), masked);
        assert_eq!(one("referer", "https://x.example/#access_token=abc&a=b"), "https://x.example/#access_token=REDACTED&a=b");
        assert_eq!(one("x-amz-tagging", "team=a&password=b"), "team=a&password=REDACTED");
    }

    #[test]
    fn bytes_beyond_ascii_stand_as_iso_8859_1() {
        let mut map = HeaderMap::new();
        map.insert("x-odd", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        assert_eq!(headers(&map)[0].1, *"caf\u{e9}");
    }

    #[test]
    fn the_digest_of_a_masked_body_is_masked_and_the_word_for_none_is_not() {
        let field = |name: &'static str, value: &'static str| (Text::Static(name), Text::Static(value));
        let mut fields = [
            field("x-amz-content-sha256", "e3b0"),
            field("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            field("x-amz-checksum-crc32", "AAAA"),
        ];
        mask_digests(&mut fields);
        assert_eq!(fields.map(|(_, value)| value.to_string()), [MASK, "UNSIGNED-PAYLOAD", MASK]);
    }

    #[test]
    fn the_common_names_are_sorted() {
        assert!(COMMON.is_sorted());
    }
}
