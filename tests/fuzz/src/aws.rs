//! What a request and its answer say of an AWS call: credential scope, operation, resources, parameters; account, error.
//!
//! An input is a message as it stands on a wire, with bare newlines: a first line, fields, an empty line, a body.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sealgate_policies::naming::aws::{Answer, Call, Protocol, RESOURCES_MAX, Request, answer as read_answer, interpret};

/// What is told of a call fits its column, and parameters read back as themselves.
pub(crate) fn request(data: &[u8]) -> bool {
    let Some((line, fields, body)) = message(data) else { return false };
    let mut words = line.split(' ');
    let Some(method) = words.next().and_then(|word| Method::try_from(word).ok()) else { return false };
    let (host, target) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let whole = Request { method: &method, host, path, query, headers: &fields, body: Some(body), body_complete: true };
    let call = interpret(&whole);
    check(&call);
    let cut = interpret(&Request { body_complete: false, ..whole });
    check(&cut);
    assert!(cut.parameters.is_none() || body.is_empty(), "the beginning of a body has no parameters");
    if let (Some(parameters), Protocol::Json) = (&call.parameters, call.protocol) {
        let again = interpret(&Request { body: Some(parameters.as_bytes()), ..whole });
        assert_eq!(again.parameters.as_deref(), Some(parameters.as_str()), "the canonical form is a fixed point");
    }
    call.credential.is_some() || call.operation.is_some()
}

fn check(call: &Call) {
    assert!(call.resources.len() <= RESOURCES_MAX);
    assert!(call.resources.iter().all(|arn| arn.starts_with("arn:") && !arn.bytes().any(|b| b <= b' ' && !arn.contains(":s3:"))));
    assert!(matches!(call.access.as_str(), "read" | "write" | "unknown"));
    for word in [&call.service, &call.region, &call.credential, &call.operation].into_iter().flatten() {
        assert!((1..=128).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic() && b != b'"'), "{word}");
    }
    if let Some(parameters) = &call.parameters {
        let value: serde_json::Value = serde_json::from_str(parameters).expect("parameters are JSON");
        assert!(value.is_object());
    }
}

/// What an answer tells fits its column, and an error is told only of a failure.
pub(crate) fn answer(data: &[u8]) -> bool {
    let Some((line, fields, body)) = message(data) else { return false };
    let status = line.parse().unwrap_or(200);
    let call = caller_identity();
    let told = read_answer(&call, status, &fields, Some(body));
    let plain = |text: &str| (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    assert!(told.account.as_deref().is_none_or(|account| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())));
    assert!(told.request_id.as_deref().is_none_or(plain));
    assert!(told.error_code.as_deref().is_none_or(|code| plain(code) && status >= 400));
    told != Answer::default()
}

fn caller_identity() -> Call {
    let method = Method::POST;
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, form)]);
    interpret(&Request {
        method: &method,
        host: "sts.amazonaws.com",
        path: "/",
        query: None,
        headers: &headers,
        body: Some(b"Action=GetCallerIdentity&Version=2011-06-15"),
        body_complete: true,
    })
}

/// First line, fields and body. What can't be a field is left out.
pub(crate) fn message(data: &[u8]) -> Option<(&str, HeaderMap, &[u8])> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, body) = (&data[..end], &data[end + 2..]);
    let mut lines = head.split(|b| *b == b'\n');
    let line = std::str::from_utf8(lines.next()?).ok()?;
    let mut fields = HeaderMap::new();
    for field in lines {
        let Some(colon) = field.iter().position(|b| *b == b':') else { continue };
        let name = HeaderName::from_bytes(&field[..colon]);
        let value = HeaderValue::from_bytes(field[colon + 1..].trim_ascii_start());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    Some((line, fields, body))
}

const SCOPED: &str =
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/SERVICE/aws4_request, SignedHeaders=host, Signature=0";

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    let signed = |service: &str| SCOPED.replace("SERVICE", service);
    let messages = [
        format!(
            "POST sts.us-east-1.amazonaws.com /\ncontent-type: application/x-www-form-urlencoded; charset=utf-8\nauthorization: {}\n\nAction=AssumeRole&Version=2011-06-15&RoleSessionName=a+b&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdemo",
            signed("sts")
        ),
        format!(
            "POST dynamodb.us-east-1.amazonaws.com /\nx-amz-target: DynamoDB_20120810.PutItem\nauthorization: {}\n\n{{\"TableName\": \"arn:aws:dynamodb:us-east-1:123456789012:table/t\", \"n\": [1.50, -2e3, true, null, \"\\u00fc\\n\"], \"a\":{{}}}}",
            signed("dynamodb")
        ),
        format!(
            "PUT bucket.s3.us-east-1.amazonaws.com /a%20b/c?partNumber=1&uploadId=x\nauthorization: {}\nx-amz-copy-source: /other/a%2Fb?versionId=1\n\nbytes",
            signed("s3")
        ),
        format!(
            "POST monitoring.us-east-1.amazonaws.com /service/Granite/operation/PutMetricData\nsmithy-protocol: rpc-v2-cbor\nauthorization: {}\n\n\u{1}",
            signed("monitoring")
        ),
        "GET mrap.accesspoint.s3-global.amazonaws.com /k\nauthorization: AWS4-ECDSA-P256-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/s3/aws4_request, SignedHeaders=host, Signature=0\nx-amz-region-set: us-east-1,us-west-2\n\n".into(),
        "GET bucket.s3.amazonaws.com /k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=REDACTED\n\n".into(),
        "GET bucket.s3.eu-west-1.amazonaws.com /k\nauthorization: AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=\n\n".into(),
        format!(
            "POST eks.us-east-1.amazonaws.com /tags/arn%3Aaws%3Aeks%3Aus-east-1%3A123456789012%3Acluster%2Fdemo\ncontent-type: application/json\nauthorization: {}\n\n{{\"tags\":{{\"a\":\"b\"}}}}",
            signed("eks")
        ),
    ];
    messages.map(String::into_bytes).into()
}

pub(crate) fn answer_seeds() -> Vec<Vec<u8>> {
    let answers = [
        "200\nx-amzn-requestid: c6104cbe\n\n<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/a</Arn><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        "403\n\n<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code></Error><RequestId>r</RequestId></ErrorResponse>",
        "400\nx-amzn-requestid: r\n\n{\"__type\":\"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException\",\"message\":\"no\"}",
        "404\nx-amzn-errortype: ResourceNotFoundException:http://internal.amazon.com/x\n\n{}",
        "400\n\n\u{2}f__typex\u{2b}aws.protocoltests.rpcv2Cbor#InvalidGreeting",
        "200\n\n<requestId>r</requestId><ownerId>111111111111</ownerId>",
    ];
    answers.map(|answer| answer.as_bytes().to_vec()).into()
}
