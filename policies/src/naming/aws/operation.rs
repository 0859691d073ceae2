//! Which wire protocol a request speaks, and the operation that it names.

use super::{Protocol, Request, scope::Scope};
use http::HeaderName;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// The protocol, and the operation where the request says it.
pub(super) struct Operation<'a> {
    pub(super) protocol: Protocol,
    pub(super) name: Option<Cow<'a, str>>,
}

pub(super) fn of<'a>(request: &Request<'a>, scope: &Scope<'_>) -> Operation<'a> {
    let found = |protocol, name: Cow<'a, str>| Operation { protocol, name: Some(name).filter(|name| is_plain(name)) };
    if let Some(target) = request.headers.get(&TARGET).and_then(|target| target.to_str().ok()) {
        return found(Protocol::Json, Cow::Borrowed(target.rsplit('.').next().unwrap_or(target)));
    }
    if let Some((protocol, name)) = rpc(request) {
        return found(protocol, Cow::Borrowed(name));
    }
    let service = scope.service.as_deref();
    if let Some("s3" | "s3express" | "s3-object-lambda" | "s3-outposts") = service {
        let control = request.host.split('.').any(|label| label.starts_with("s3-control"));
        return Operation { protocol: if control { Protocol::RestXml } else { Protocol::S3 }, name: None };
    }
    if let Some(action) = action(request) {
        let protocol = if service == Some("ec2") { Protocol::Ec2 } else { Protocol::Query };
        return found(protocol, action);
    }
    let protocol = match service {
        Some("route53" | "cloudfront") => Protocol::RestXml,
        Some(_) => Protocol::RestJson,
        None => Protocol::Unknown,
    };
    Operation { protocol, name: None }
}

/// Smithy's RPC v2: `…/service/SERVICE/operation/OPERATION`, in CBOR or JSON.
fn rpc<'a>(request: &Request<'a>) -> Option<(Protocol, &'a str)> {
    let mut segments = request.path.rsplit('/');
    let (name, operation, _, service) = (segments.next()?, segments.next()?, segments.next()?, segments.next()?);
    let protocol = request.headers.get(&SMITHY_PROTOCOL).map(http::HeaderValue::as_bytes);
    match (operation, service, protocol) {
        ("operation", "service", Some(b"rpc-v2-cbor")) => Some((Protocol::RpcV2Cbor, name)),
        ("operation", "service", Some(b"rpc-v2-json")) => Some((Protocol::Json, name)),
        _ => None,
    }
}

/// The query protocol's `Action`: in a form, or in a query string with its `Version` (other people's parameters of that
/// name come without one).
fn action<'a>(request: &Request<'a>) -> Option<Cow<'a, str>> {
    let in_query = || request.query.map(str::as_bytes).filter(|query| value_of(query, b"Version=").is_some());
    let action = form(request).and_then(|form| value_of(form, b"Action=")).or_else(|| value_of(in_query()?, b"Action="))?;
    percent_decode(action).decode_utf8().ok()
}

fn value_of<'a>(form: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    form.split(|b| *b == b'&').find_map(|pair| pair.strip_prefix(name))
}

/// The body, if it is a form.
pub(super) fn form<'a>(request: &Request<'a>) -> Option<&'a [u8]> {
    let kind = request.headers.get(http::header::CONTENT_TYPE)?.as_bytes();
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    kind.get(..FORM.len())?.eq_ignore_ascii_case(FORM).then_some(request.body)?
}

/// Whether a word from outside is fit for the `operation` column.
fn is_plain(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

static TARGET: HeaderName = HeaderName::from_static("x-amz-target");
static SMITHY_PROTOCOL: HeaderName = HeaderName::from_static("smithy-protocol");

/// Twice the longest operation of AWS's models.
const NAME_MAX: usize = 128;
