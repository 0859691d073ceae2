//! Who signed a request, for which service and region: the credential scope of a signature, or the host where there is
//! none. The signature itself is not looked at.

use super::{Request, Signature};
use crate::hosts::{Endpoint, is_region};
use percent_encoding::percent_decode_str;
use sealgate_schema::Text;
use std::borrow::Cow;

/// What the signature, or else the host, says.
pub(super) struct Scope<'a> {
    pub(super) service: Option<Cow<'a, str>>,
    pub(super) region: Option<Cow<'a, str>>,
    pub(super) credential: Option<Cow<'a, str>>,
    pub(super) signature: Signature,
}

pub(super) fn of<'a>(request: &Request<'a>) -> Scope<'a> {
    let header = request.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(scope) = header.and_then(|header| from_header(header, request)) {
        return scope;
    }
    if let Some(scope) = request.query.and_then(|query| from_query(query, request.host)) {
        return scope;
    }
    let (service, region) = from_host(request.host);
    Scope { service, region, credential: None, signature: Signature::None }
}

fn from_header<'a>(header: &'a str, request: &Request<'a>) -> Option<Scope<'a>> {
    let (algorithm, rest) = header.split_once(' ')?;
    if algorithm == "AWS" {
        return Some(version_2(Cow::Borrowed(rest.split(':').next()?), Signature::Header, request.host));
    }
    if !algorithm.starts_with("AWS4-") {
        return None;
    }
    let credential = rest.strip_prefix("Credential=").or_else(|| rest.split_once(" Credential=").map(|(_, after)| after))?;
    let credential = credential.split([',', ' ']).next()?;
    let regions = || request.headers.get("x-amz-region-set").and_then(|set| set.to_str().ok()).map(Cow::Borrowed);
    Some(version_4(algorithm, Cow::Borrowed(credential), regions, Signature::Header))
}

fn from_query<'a>(query: &'a str, host: &'a str) -> Option<Scope<'a>> {
    if !query.contains("Credential=") && !query.contains("AWSAccessKeyId=") {
        return None;
    }
    let value = |wanted: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        percent_decode_str(value).decode_utf8().ok()
    };
    if let Some(key) = value("AWSAccessKeyId") {
        return Some(version_2(key, Signature::Presigned, host));
    }
    let algorithm = value("X-Amz-Algorithm")?;
    Some(version_4(&algorithm, value("X-Amz-Credential")?, || value("X-Amz-Region-Set"), Signature::Presigned))
}

/// `KEY/DATE/REGION/SERVICE/aws4_request`; of SigV4a without the region.
fn version_4<'a>(
    algorithm: &str,
    credential: Cow<'a, str>,
    regions: impl FnOnce() -> Option<Cow<'a, str>>,
    signature: Signature,
) -> Scope<'a> {
    let (key, third, fourth) = match &credential {
        Cow::Borrowed(text) => parts(text, Cow::Borrowed),
        Cow::Owned(text) => parts(text, |part| Cow::Owned(part.to_owned())),
    };
    let (region, service) = if algorithm.starts_with("AWS4-ECDSA") { (regions(), third) } else { (third, fourth) };
    let plain = |word: Option<Cow<'a, str>>, extra: &str| word.filter(|word| is_plain(word, extra));
    Scope { service: plain(service, "-_"), region: plain(region, "-*,"), credential: plain(key, "-_."), signature }
}

/// The first, third and fourth parts of a credential.
fn parts<'t, T>(credential: &'t str, make: impl Fn(&'t str) -> T) -> (Option<T>, Option<T>, Option<T>) {
    let mut parts = credential.split('/').map(make);
    (parts.next(), parts.nth(1), parts.next())
}

/// Version 2 has no scope: the host says the rest.
fn version_2<'a>(key: Cow<'a, str>, signature: Signature, host: &'a str) -> Scope<'a> {
    let (service, region) = from_host(host);
    Scope { service, region, credential: Some(key).filter(|key| is_plain(key, "-_.")), signature }
}

/// The service and region that a host names: `sts`, `sts.us-east-1`, `bucket.s3-us-west-2`, `vpce-1.sqs.us-east-1.vpce`.
fn from_host<'a>(host: &str) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let host = host.to_ascii_lowercase();
    let Some(endpoint) = Endpoint::of(host.trim_end_matches('.')) else { return (None, None) };
    let mut region = None;
    for label in endpoint.labels.rsplit('.') {
        match label {
            "vpce" | "dualstack" => {}
            _ if is_region(label) && region.is_none() => region = Some(label),
            _ => {
                let legacy = label.strip_prefix("s3-").filter(|rest| is_region(rest));
                let service = if label.starts_with("s3-") { "s3" } else { label.strip_suffix("-fips").unwrap_or(label) };
                return (own(Some(service)), own(region.or(legacy)));
            }
        }
    }
    (None, own(region))
}

fn own<'a>(word: Option<&str>) -> Option<Cow<'a, str>> {
    word.filter(|word| is_plain(word, "-_")).map(|word| Cow::Owned(word.to_owned()))
}

/// Whether a word from outside is fit for a column.
fn is_plain(word: &str, extra: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || extra.as_bytes().contains(&b);
    (1..=WORD_MAX).contains(&word.len()) && word.bytes().all(fits)
}

/// Longest access key id, service or region that is kept (IAM's bound for an access key id).
const WORD_MAX: usize = 128;

/// A service or region without an allocation where it is a common one.
pub(super) fn known(word: &str) -> Text {
    let place = KNOWN.binary_search(&word).ok().and_then(|place| KNOWN.get(place));
    place.map_or_else(|| super::shared(word), |known| Text::Static(known))
}

/// Sorted.
const KNOWN: &[&str] = &[
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "autoscaling",
    "ca-central-1",
    "cloudformation",
    "dynamodb",
    "ec2",
    "ecr",
    "ecs",
    "eks",
    "elasticloadbalancing",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "organizations",
    "rds",
    "route53",
    "s3",
    "sa-east-1",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_words_are_sorted() {
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn a_host_tells_service_and_region() {
        let check = |host: &str, service: Option<&str>, region: Option<&str>| {
            let (found_service, found_region) = from_host(host);
            assert_eq!((found_service.as_deref(), found_region.as_deref()), (service, region), "{host}");
        };
        check("sts.amazonaws.com", Some("sts"), None);
        check("STS.us-east-1.amazonaws.com.", Some("sts"), Some("us-east-1"));
        check("bucket.s3-us-west-2.amazonaws.com", Some("s3"), Some("us-west-2"));
        check("my.bucket.s3.dualstack.eu-west-1.amazonaws.com", Some("s3"), Some("eu-west-1"));
        check("vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com", Some("sqs"), Some("us-east-1"));
        check("dynamodb-fips.us-gov-west-1.amazonaws.com", Some("dynamodb"), Some("us-gov-west-1"));
        check("portal.sso.eu-west-1.amazonaws.com", Some("sso"), Some("eu-west-1"));
        check("example.com", None, None);
        check("us-east-1.amazonaws.com", None, Some("us-east-1"));
    }
}
