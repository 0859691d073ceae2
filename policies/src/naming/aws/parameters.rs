//! The parameters of a call as one JSON object in RFC 8785 form, and the ARNs in it.
//!
//! A body that does not parse completely, that gives a name twice, or of which only the beginning is known has no
//! parameters here: its bytes are recorded all the same.

use super::{Protocol, Request, Resources, canonical, operation};
use percent_encoding::percent_decode_str;
use sealgate_schema::Text;
use std::borrow::Cow;

/// The parameters, in the protocols that have them in one place.
pub(super) fn of(request: &Request<'_>, protocol: Protocol, resources: &mut Resources) -> Option<Text> {
    if protocol == Protocol::RestJson {
        request.path.split('/').for_each(|segment| in_segment(segment, resources));
    }
    let body = request.body.unwrap_or_default();
    if body.len() > BODY_MAX || !(request.body_complete || body.is_empty()) {
        return None;
    }
    let written = match protocol {
        Protocol::Query | Protocol::Ec2 => form(request, resources),
        Protocol::Json | Protocol::RestJson => canonical::object(body, resources),
        Protocol::RestXml | Protocol::S3 | Protocol::RpcV2Cbor | Protocol::Unknown => None,
    };
    written.map(Text::from)
}

/// Longest body that is decoded, in bytes: more than a template in a request may have (51 200). The parameters of longer
/// ones would say twice what the body says, and every call would wait for it.
const BODY_MAX: usize = 64 << 10;

/// An ARN in a path, as in `/tags/arn%3Aaws%3A…`.
fn in_segment(segment: &str, resources: &mut Resources) {
    if segment.starts_with("arn:") || segment.starts_with("arn%3") {
        resources.take(&percent_decode_str(segment).decode_utf8_lossy());
    }
}

/// The flat names of the query protocol as they are given, without `Action` and `Version`.
fn form(request: &Request<'_>, resources: &mut Resources) -> Option<String> {
    let body = operation::form(request).unwrap_or_default();
    let sources = [std::str::from_utf8(body).ok()?, request.query.unwrap_or("")];
    let pairs = sources.into_iter().flat_map(|source| source.split('&')).filter(|pair| !pair.is_empty());
    let mut members = Vec::with_capacity(8);
    for pair in pairs {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        let signature = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("X-Amz-"));
        if !matches!(&*name, "Action" | "Version") && !signature {
            members.push((name, value));
        }
    }
    canonical::texts(members.into_iter(), resources)
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let spaced = text.replace('+', " ");
    Some(Cow::Owned(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned()))
}
