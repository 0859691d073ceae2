//! Masking header fields.

use super::{Body, MASK, form, names};
use http::{HeaderMap, HeaderValue};
use sealgate_schema::{Text, payload::Header};

/// Header fields in order, with credentials masked.
pub fn headers(headers: &HeaderMap) -> Vec<Header> {
    headers.iter().map(|(name, value)| field(name.as_str(), value)).collect()
}

fn field(name: &str, value: &HeaderValue) -> Header {
    let known = KNOWN.binary_search_by_key(&name, |(known, _)| *known).ok().and_then(|place| KNOWN.get(place));
    let (name, rule) = match known {
        Some((known, rule)) => (Text::Static(known), *rule),
        None => (Text::Shared(name.into()), rule(name)),
    };
    let bytes = value.as_bytes();
    let value = match rule {
        Rule::Authorization => authorization(bytes),
        Rule::Secret => Text::Static(MASK),
        _ if value.is_sensitive() => Text::Static(MASK),
        Rule::Address => latin(&address(bytes)),
        Rule::Form => latin(&parameters(bytes)),
        Rule::Open if super::signed(bytes) => Text::Static(MASK),
        Rule::Open => latin(bytes),
    };
    (name, value)
}

/// How the value of a field is written down.
#[derive(Clone, Copy)]
enum Rule {
    /// As it is.
    Open,
    /// Not at all.
    Secret,
    /// Without what proves who is calling.
    Authorization,
    /// As a URL, with its parameters masked.
    Address,
    /// As a form, masked.
    Form,
}

/// The rule for a name that is in no table: it says itself what it carries.
fn rule(name: &str) -> Rule {
    let paging = || PAGING.iter().any(|end| name.ends_with(end));
    if name.ends_with("authorization") {
        Rule::Authorization
    } else if names::is_secret(name.as_bytes()) || (name.ends_with("token") && !paging()) {
        Rule::Secret
    } else {
        Rule::Open
    }
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

/// `AWS4-…` keeps whose it is and what it covers; any other scheme keeps its name.
fn authorization(value: &[u8]) -> Text {
    let text = std::str::from_utf8(value).unwrap_or("");
    let Some((scheme, rest)) = text.split_once(' ') else { return Text::Static(MASK) };
    if !scheme.starts_with("AWS4-") {
        return format!("{scheme} {MASK}").into();
    }
    let mut kept = String::with_capacity(text.len());
    kept.push_str(scheme);
    for (index, part) in rest.split([',', ' ']).filter(|part| !part.is_empty()).enumerate() {
        kept.push_str(if index == 0 { " " } else { ", " });
        if part.starts_with("Credential=") || part.starts_with("SignedHeaders=") {
            kept.push_str(part);
            continue;
        }
        if let Some((name, _)) = part.split_once('=') {
            kept.extend([name, "="]);
        }
        kept.push_str(MASK);
    }
    kept.into()
}

/// A URL with its query and fragment masked.
fn address(url: &[u8]) -> Vec<u8> {
    let start = url.iter().position(|b| matches!(b, b'?' | b'#')).map_or(url.len(), |mark| mark + 1);
    let (before, after) = url.split_at_checked(start).unwrap_or((url, b""));
    if before.contains(&b'@') {
        // A user and password before the host; an address that only looks like it loses little.
        return [MASK.as_bytes(), b"?", &parameters(after)].concat();
    }
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

/// Tokens that open nothing.
const PAGING: &[&str] = &["next-token", "client-token", "continuation-token", "request-token", "idempotency-token"];

const DIGESTS: &[&str] = &["x-amz-content-sha256", "content-md5", "digest", "content-digest", "repr-digest", "etag"];

/// Fields that have a rule of their own, and those that most calls have (which then cost no allocation). Sorted.
const KNOWN: &[(&str, Rule)] = &[
    ("accept", Rule::Open),
    ("accept-encoding", Rule::Open),
    ("amz-sdk-invocation-id", Rule::Open),
    ("amz-sdk-request", Rule::Open),
    ("authorization", Rule::Authorization),
    ("cache-control", Rule::Open),
    ("connection", Rule::Open),
    ("content-encoding", Rule::Open),
    ("content-length", Rule::Open),
    ("content-location", Rule::Address),
    ("content-type", Rule::Open),
    ("cookie", Rule::Secret),
    ("cookie2", Rule::Secret),
    ("date", Rule::Open),
    ("etag", Rule::Open),
    ("expect", Rule::Open),
    ("host", Rule::Open),
    ("last-modified", Rule::Open),
    ("location", Rule::Address),
    ("proxy-authorization", Rule::Secret),
    ("referer", Rule::Address),
    ("server", Rule::Open),
    ("set-cookie", Rule::Secret),
    ("set-cookie2", Rule::Secret),
    ("smithy-protocol", Rule::Open),
    ("transfer-encoding", Rule::Open),
    ("user-agent", Rule::Open),
    ("vary", Rule::Open),
    ("x-amz-checksum-crc32", Rule::Open),
    ("x-amz-content-sha256", Rule::Open),
    ("x-amz-crc32", Rule::Open),
    ("x-amz-date", Rule::Open),
    ("x-amz-id-2", Rule::Open),
    ("x-amz-mfa", Rule::Secret), // a device and its code of the minute
    ("x-amz-request-id", Rule::Open),
    ("x-amz-sdk-checksum-algorithm", Rule::Open),
    ("x-amz-security-token", Rule::Secret),
    ("x-amz-sso_bearer_token", Rule::Secret),
    ("x-amz-tagging", Rule::Form),
    ("x-amz-target", Rule::Open),
    ("x-amz-trailer-signature", Rule::Secret),
    ("x-amz-user-agent", Rule::Open),
    ("x-amzn-oidc-data", Rule::Secret),
    ("x-amzn-oidc-identity", Rule::Secret),
    ("x-amzn-requestid", Rule::Open),
    ("x-amzn-trace-id", Rule::Open),
];

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

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
            "x-amz-trailer-signature",
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
    fn the_known_names_are_sorted() {
        assert!(KNOWN.is_sorted_by_key(|(name, _)| *name));
    }
}
