//! Which bucket and object an S3 request is for, as ARNs. The bucket stands in the host or in the path.

use super::{Request, Resources, scope::Scope};
use crate::hosts::{Endpoint, is_region};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// What the request names, and what it copies from.
pub(super) fn resources(request: &Request<'_>, scope: &Scope<'_>, resources: &mut Resources) {
    if scope.service.as_deref() != Some("s3") {
        // Directory buckets, Object Lambda and Outposts have ARNs with an account, which the request doesn't say.
        return;
    }
    let host = request.host.to_ascii_lowercase();
    let endpoint = Endpoint::of(host.trim_end_matches('.'));
    let partition = partition(endpoint.as_ref().map_or("aws", |endpoint| endpoint.partition), scope.region.as_deref());
    let path = request.path.strip_prefix('/').unwrap_or(request.path);
    match place(endpoint.as_ref().map_or("s3", |endpoint| endpoint.labels)) {
        Place::Bucket(bucket) => object(partition, bucket, path, resources),
        Place::Path => in_path(partition, path, resources),
        Place::AccessPoint(name, account) => {
            let region = scope.region.as_deref().unwrap_or("");
            let arn = format!("arn:{partition}:s3:{region}:{account}:accesspoint/{name}");
            resources.add(&if path.is_empty() { arn } else { format!("{arn}/object/{}", decoded(path)) });
        }
        Place::Unknown => {}
    }
    let source = request.headers.get("x-amz-copy-source").and_then(|source| source.to_str().ok());
    if let Some(source) = source.map(|source| source.split('?').next().unwrap_or(source)) {
        let plain = decoded(source.strip_prefix('/').unwrap_or(source));
        match plain.starts_with("arn:") {
            true => resources.take(&plain),
            false => in_path(partition, &plain, resources),
        }
    }
}

fn in_path(partition: &str, path: &str, resources: &mut Resources) {
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    object(partition, bucket, key, resources);
}

fn object(partition: &str, bucket: &str, key: &str, resources: &mut Resources) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if bucket.is_empty() || !bucket.bytes().all(plain) {
        return;
    }
    let arn = format!("arn:{partition}:s3:::{bucket}");
    resources.add(&if key.is_empty() { arn } else { format!("{arn}/{}", decoded(key)) });
}

enum Place<'a> {
    /// The host names it.
    Bucket(&'a str),
    /// An access point and its account.
    AccessPoint(&'a str, &'a str),
    /// The path does.
    Path,
    /// Another part of S3.
    Unknown,
}

/// What the labels before AWS's suffix say: `bucket.s3`, `s3.dualstack.us-east-1`, `my.bucket.s3-us-west-2`.
fn place(labels: &str) -> Place<'_> {
    let mut rest = labels;
    loop {
        let (before, label) = rest.rsplit_once('.').unwrap_or(("", rest));
        rest = before;
        match label {
            "s3-accesspoint" | "s3-accesspoint-fips" => {
                return before.rsplit_once('-').map_or(Place::Unknown, |(name, account)| Place::AccessPoint(name, account));
            }
            "s3-control" | "s3-global" | "s3-object-lambda" | "s3-outposts" => return Place::Unknown,
            _ if label == "s3" || label.starts_with("s3-") => break,
            "vpce" | "dualstack" => {}
            _ if is_region(label) => {}
            _ => return Place::Unknown,
        }
    }
    // Of a VPC endpoint, its id and the word `bucket` stand between.
    if let Some((before, _)) = rest.rsplit_once("vpce-") {
        return match before.trim_end_matches('.').strip_suffix("bucket").map(|name| name.trim_end_matches('.')) {
            Some("") => Place::Path,
            Some(name) => Place::Bucket(name),
            None => Place::Unknown,
        };
    }
    if rest.is_empty() { Place::Path } else { Place::Bucket(rest) }
}

/// `aws-us-gov` shares its suffix with `aws`; a host of one's own tells nothing. The region then does.
fn partition(of_host: &'static str, region: Option<&str>) -> &'static str {
    let prefixes = [("us-gov-", "aws-us-gov"), ("cn-", "aws-cn"), ("eusc-", "aws-eusc")];
    let region = region.unwrap_or("");
    let by_region = || prefixes.iter().find(|(prefix, _)| region.starts_with(prefix)).map(|(_, partition)| *partition);
    if of_host == "aws" { by_region().unwrap_or(of_host) } else { of_host }
}

/// A key without its percent-encoding; as sent where that leaves no plain text.
fn decoded(key: &str) -> Cow<'_, str> {
    let plain = percent_decode_str(key).decode_utf8().ok().filter(|key| !key.chars().any(char::is_control));
    plain.unwrap_or(Cow::Borrowed(key))
}
