//! Claims about realistic calls and their answers, and that hostile bytes never panic.

use super::*;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

const AKID: &str = "AKIAIOSFODNN7EXAMPLE";

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    fields.iter().map(field).collect()
}

fn signed(scope: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential={AKID}/20260101/{scope}/aws4_request, SignedHeaders=host;x-amz-date, Signature=0123abcd")
}

/// `METHOD host /path?query`
fn call(line: &str, fields: &[(&str, &str)], body: &str) -> Call {
    let mut parts = line.split(' ');
    let method = Method::try_from(parts.next().unwrap()).unwrap();
    let (host, target) = (parts.next().unwrap(), parts.next().unwrap());
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let headers = headers(fields);
    interpret(&Request { method: &method, host, path, query, headers: &headers, body: Some(body.as_bytes()), body_complete: true })
}

/// `service region operation access`, with `-` for none.
fn check(call: &Call, protocol: Protocol, signature: Signature, words: &str, resources: &[&str], parameters: Option<&str>) {
    let text = |text: &Option<Text>| text.as_deref().unwrap_or("-").to_owned();
    let found = [text(&call.service), text(&call.region), text(&call.operation), call.access.to_string()].join(" ");
    assert_eq!(found, words);
    assert_eq!((call.protocol, call.signature), (protocol, signature), "{words}");
    assert_eq!(call.resources.iter().map(|arn| arn.as_str()).collect::<Vec<_>>(), resources, "{words}");
    assert_eq!(call.parameters.as_deref(), parameters, "{words}");
    assert_eq!(call.credential.as_deref(), (call.signature != Signature::None).then_some(AKID), "{words}");
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

#[test]
fn the_query_protocol_is_read_from_its_form() {
    let sts = call(
        "POST sts.us-east-1.amazonaws.com /",
        &[FORM, ("authorization", &signed("us-east-1/sts"))],
        "Action=AssumeRole&Version=2011-06-15&RoleSessionName=a+b&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdemo",
    );
    let role = "arn:aws:iam::123456789012:role/demo";
    let parameters = format!(r#"{{"RoleArn":"{role}","RoleSessionName":"a b"}}"#);
    check(&sts, Protocol::Query, Signature::Header, "sts us-east-1 AssumeRole write", &[role], Some(&parameters));

    let ec2 = call(
        "POST ec2.eu-west-1.amazonaws.com /",
        &[FORM, ("authorization", &signed("eu-west-1/ec2"))],
        "Action=DescribeInstances&Filter.1.Name=instance-type&Filter.1.Value.1=t3.micro&Version=2016-11-15",
    );
    let parameters = r#"{"Filter.1.Name":"instance-type","Filter.1.Value.1":"t3.micro"}"#;
    check(&ec2, Protocol::Ec2, Signature::Header, "ec2 eu-west-1 DescribeInstances read", &[], Some(parameters));

    let iam =
        call("GET iam.amazonaws.com /?Action=ListUsers&Version=2010-05-08", &[("authorization", &signed("us-east-1/iam"))], "");
    check(&iam, Protocol::Query, Signature::Header, "iam us-east-1 ListUsers read", &[], Some("{}"));

    let unsigned =
        call("POST sts.amazonaws.com /", &[FORM], "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken=REDACTED");
    let parameters = r#"{"WebIdentityToken":"REDACTED"}"#;
    check(&unsigned, Protocol::Query, Signature::None, "sts - AssumeRoleWithWebIdentity write", &[], Some(parameters));

    let presigned = call(
        &format!(
            "GET sts.amazonaws.com /?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={AKID}%2F20260101%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Signature=REDACTED"
        ),
        &[],
        "",
    );
    check(&presigned, Protocol::Query, Signature::Presigned, "sts us-east-1 GetCallerIdentity read", &[], Some("{}"));
}

#[test]
fn json_is_read_from_its_target() {
    let dynamodb = call(
        "POST dynamodb.us-east-1.amazonaws.com /",
        &[
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "DynamoDB_20120810.PutItem"),
            ("authorization", &signed("us-east-1/dynamodb")),
        ],
        r#"{"TableName": "orders", "Item": {"id": {"S": "1"}, "n": {"N": "12"}}}"#,
    );
    let parameters = r#"{"Item":{"id":{"S":"1"},"n":{"N":"12"}},"TableName":"orders"}"#;
    check(&dynamodb, Protocol::Json, Signature::Header, "dynamodb us-east-1 PutItem write", &[], Some(parameters));

    let arn = "arn:aws:kms:us-east-1:123456789012:key/1234";
    let sqs = call(
        "POST sqs.us-east-1.amazonaws.com /",
        &[("x-amz-target", "AmazonSQS.ListQueues"), ("authorization", &signed("us-east-1/sqs"))],
        &format!(r#"{{"b":["{arn}","{arn}","arn:not"],"a":1.0}}"#),
    );
    let parameters = format!(r#"{{"a":1,"b":["{arn}","{arn}","arn:not"]}}"#);
    check(&sqs, Protocol::Json, Signature::Header, "sqs us-east-1 ListQueues read", &[arn], Some(&parameters));

    let cut = call(
        "POST sqs.us-east-1.amazonaws.com /",
        &[("x-amz-target", "AmazonSQS.SendMessage"), ("authorization", &signed("us-east-1/sqs"))],
        r#"{"MessageBody":"abc"#,
    );
    check(&cut, Protocol::Json, Signature::Header, "sqs us-east-1 SendMessage write", &[], None);
}

#[test]
fn rpc_v2_is_read_from_its_path() {
    let cloudwatch = call(
        "POST monitoring.us-east-1.amazonaws.com /service/GraniteServiceVersion20100801/operation/PutMetricData",
        &[
            ("smithy-protocol", "rpc-v2-cbor"),
            ("content-type", "application/cbor"),
            ("authorization", &signed("us-east-1/monitoring")),
        ],
        "\u{1}",
    );
    check(&cloudwatch, Protocol::RpcV2Cbor, Signature::Header, "monitoring us-east-1 PutMetricData write", &[], None);
}

#[test]
fn rest_is_told_by_its_method_and_the_arns_of_its_path() {
    let arn = "arn:aws:eks:us-east-1:123456789012:cluster/demo";
    let eks = call(
        "POST eks.us-east-1.amazonaws.com /tags/arn%3Aaws%3Aeks%3Aus-east-1%3A123456789012%3Acluster%2Fdemo",
        &[("content-type", "application/json"), ("authorization", &signed("us-east-1/eks"))],
        r#"{"tags":{"a":"b"}}"#,
    );
    check(&eks, Protocol::RestJson, Signature::Header, "eks us-east-1 - unknown", &[arn], Some(r#"{"tags":{"a":"b"}}"#));
    let route53 = call("GET route53.amazonaws.com /2013-04-01/hostedzone", &[("authorization", &signed("us-east-1/route53"))], "");
    check(&route53, Protocol::RestXml, Signature::Header, "route53 us-east-1 - read", &[], None);
    let control = call(
        "DELETE 123456789012.s3-control.us-east-1.amazonaws.com /v20180820/jobs",
        &[("authorization", &signed("us-east-1/s3"))],
        "",
    );
    check(&control, Protocol::RestXml, Signature::Header, "s3 us-east-1 - write", &[], None);
    let portal =
        call("GET portal.sso.eu-west-1.amazonaws.com /federation/credentials?role_name=a", &[("x-amz-sso_bearer_token", "x")], "");
    check(&portal, Protocol::RestJson, Signature::None, "sso eu-west-1 - read", &[], None);
    let own = call("GET api.example.com /?Action=a&Version=b", &[], "");
    check(&own, Protocol::Query, Signature::None, "- - a unknown", &[], Some("{}"));
}

#[test]
fn s3_names_its_bucket_and_object() {
    let s3 = |line: &str, words: &str, resources: &[&str]| {
        let found = call(line, &[("authorization", &signed("us-east-1/s3"))], "");
        check(&found, Protocol::S3, Signature::Header, words, resources, None);
    };
    let (read, write) = ("s3 us-east-1 - read", "s3 us-east-1 - write");
    s3("GET s3.amazonaws.com /", read, &[]);
    s3("PUT bucket.s3.us-east-1.amazonaws.com /a%20b/c", write, &["arn:aws:s3:::bucket/a b/c"]);
    s3("PUT bucket.s3.us-east-1.amazonaws.com /a%2Bb/c", write, &["arn:aws:s3:::bucket/a+b/c"]);
    s3("PUT bucket.s3.us-east-1.amazonaws.com /a%0Ab", write, &["arn:aws:s3:::bucket/a%0Ab"]);
    s3("GET alias.mrap.accesspoint.s3-global.amazonaws.com /k", read, &[]);
    s3("GET my.bucket.s3.us-east-1.amazonaws.com /?list-type=2", read, &["arn:aws:s3:::my.bucket"]);
    s3("HEAD s3.us-east-1.amazonaws.com /bucket/key", read, &["arn:aws:s3:::bucket/key"]);
    s3("DELETE s3.dualstack.us-east-1.amazonaws.com /bucket", write, &["arn:aws:s3:::bucket"]);
    s3("GET bucket.s3-us-west-2.amazonaws.com /k", read, &["arn:aws:s3:::bucket/k"]);
    s3("GET bucket.s3.cn-north-1.amazonaws.com.cn /k", read, &["arn:aws-cn:s3:::bucket/k"]);
    s3("GET 127.0.0.1 /bucket/k", read, &["arn:aws:s3:::bucket/k"]);
    s3(
        "GET name-123456789012.s3-accesspoint.us-east-1.amazonaws.com /k",
        read,
        &["arn:aws:s3:us-east-1:123456789012:accesspoint/name/object/k"],
    );
    s3("GET b.bucket.vpce-0a-1b.s3.us-east-1.vpce.amazonaws.com /k", read, &["arn:aws:s3:::b/k"]);
    s3("GET bucket.vpce-0a-1b.s3.us-east-1.vpce.amazonaws.com /b/k", read, &["arn:aws:s3:::b/k"]);
    s3("POST bucket.s3.amazonaws.com /k?select&select-type=2", read, &["arn:aws:s3:::bucket/k"]);
    s3("POST bucket.s3.amazonaws.com /?delete", write, &["arn:aws:s3:::bucket"]);

    let copy = call(
        "PUT bucket.s3.us-gov-west-1.amazonaws.com /k",
        &[("authorization", &signed("us-gov-west-1/s3")), ("x-amz-copy-source", "/other/a%2Fb?versionId=1")],
        "",
    );
    assert_eq!(copy.resources, ["arn:aws-us-gov:s3:::bucket/k", "arn:aws-us-gov:s3:::other/a/b"].map(Text::from));

    let presigned = format!(
        "GET bucket.s3.amazonaws.com /k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={AKID}%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=REDACTED"
    );
    check(&call(&presigned, &[], ""), Protocol::S3, Signature::Presigned, "s3 eu-west-1 - read", &["arn:aws:s3:::bucket/k"], None);
    let version_2 = format!("GET bucket.s3.eu-west-1.amazonaws.com /k?AWSAccessKeyId={AKID}&Signature=REDACTED&Expires=1");
    check(&call(&version_2, &[], ""), Protocol::S3, Signature::Presigned, "s3 eu-west-1 - read", &["arn:aws:s3:::bucket/k"], None);
}

#[test]
fn version_4a_has_its_regions_in_a_field_of_their_own() {
    let header = format!("AWS4-ECDSA-P256-SHA256 Credential={AKID}/20260101/s3/aws4_request, SignedHeaders=host, Signature=30450");
    let fields = [("authorization", header.as_str()), ("x-amz-region-set", "us-east-1,us-west-2")];
    let found = call("GET mrap.accesspoint.s3-global.amazonaws.com /k", &fields, "");
    assert_eq!((found.service.as_deref(), found.region.as_deref()), (Some("s3"), Some("us-east-1,us-west-2")));
    assert_eq!(found.credential.as_deref(), Some(AKID));
}

#[test]
fn a_batch_names_at_most_the_bound() {
    let arns: Vec<_> = (0..200).map(|n| format!("arn:aws:sns:us-east-1:123456789012:t{n}")).collect();
    let fields = [("x-amz-target", "X.TagResource"), ("authorization", &signed("us-east-1/sns"))];
    let found = call("POST sns.us-east-1.amazonaws.com /", &fields, &serde_json::json!({ "a": arns }).to_string());
    assert_eq!(found.resources.len(), RESOURCES_MAX);
}

fn caller_identity() -> Call {
    let fields = [FORM, ("authorization", &signed("us-east-1/sts"))];
    call("POST sts.amazonaws.com /", &fields, "Action=GetCallerIdentity&Version=2011-06-15")
}

/// `account request_id error_code`, with `-` for none.
fn answers(status: u16, fields: &[(&str, &str)], body: &str, words: &str) {
    let found = answer(&caller_identity(), status, &headers(fields), Some(body.as_bytes()));
    let text = |text: Option<Text>| text.as_deref().unwrap_or("-").to_owned();
    assert_eq!([text(found.account), text(found.request_id), text(found.error_code)].join(" "), words, "{body}");
}

#[test]
fn an_answer_tells_account_request_and_error() {
    answers(
        200,
        &[("x-amzn-requestid", "c6104cbe")],
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/a</Arn><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        "123456789012 c6104cbe -",
    );
    answers(200, &[], r#"{"GetCallerIdentityResponse":{"Account": "123456789012"}}"#, "123456789012 - -");
    answers(
        200,
        &[],
        "<R><A>arn:aws:iam::aws:policy/x</A><A>arn:aws:s3:::b</A><A>arn:aws:sns:us-east-1:111111111111:t</A><RequestId>r</RequestId></R>",
        "111111111111 r -",
    );
    answers(
        200,
        &[],
        "arn:aws:sns:us-east-1:111111111111:t arn:aws:sns:us-east-1:222222222222:t <ownerId>111111111111</ownerId>",
        "- - -",
    );
    answers(200, &[], "<requestId>r</requestId><ownerId>111111111111</ownerId><ownerId>111111111111</ownerId>", "111111111111 r -");
    answers(200, &[], "<ownerId>111111111111</ownerId><ownerId>222222222222</ownerId>", "- - -");
    answers(200, &[], r#"["Account","OwnerId", "123456789012"]"#, "- - -");
    answers(
        403,
        &[],
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code></Error><RequestId>r</RequestId></ErrorResponse>",
        "- r AccessDenied",
    );
    answers(
        400,
        &[],
        "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors><RequestID>r</RequestID></Response>",
        "- r UnauthorizedOperation",
    );
    answers(
        400,
        &[("x-amzn-requestid", "r")],
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no"}"#,
        "- r ResourceNotFoundException",
    );
    answers(
        404,
        &[("x-amzn-errortype", "ResourceNotFoundException:http://internal.amazon.com/x")],
        "{}",
        "- - ResourceNotFoundException",
    );
    answers(400, &[], r#"{"code":"ValidationException"}"#, "- - ValidationException");
    answers(400, &[], "\u{2}f__typex\u{2b}aws.protocoltests.rpcv2Cbor#InvalidGreeting", "- - InvalidGreeting");
    answers(400, &[], "\u{2}f__typeoInvalidGreeting", "- - InvalidGreeting");
    answers(200, &[], r#"{"code":"fine"}"#, "- - -");
    answers(404, &[("x-amz-request-id", "r")], "", "- r -");
}

proptest! {
    #[test]
    fn hostile_requests_and_answers_never_panic(
        host in "\\PC{0,40}", path in "[/a-z%0-9:]{0,40}", query in "[a-zA-Z=&%+.*-]{0,60}", scope in "[a-zA-Z/=, -]{0,60}",
        body in prop::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\",:a-e0-9.<>]{0,60}", status in any::<u16>(),
        target in prop::option::of("[ -~]{0,20}"), method in prop::sample::select(vec!["GET", "POST", "PUT"]), complete in any::<bool>(),
    ) {
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}");
        let mut fields = vec![FORM, ("authorization", &authorization), ("x-amz-copy-source", &path)];
        fields.extend(target.as_deref().map(|target| ("x-amz-target", target)));
        let headers = headers(&fields);
        let method = Method::try_from(method).unwrap();
        let marked = [b"arn:aws:x:y:".as_slice(), &body, b"<Code>", &body, b"\"__type\":", text.as_bytes(), b"f__type", &body].concat();
        for body in [body.as_slice(), text.as_bytes(), &marked] {
            for host in [&host, "b.s3.amazonaws.com"] {
                let request = Request { method: &method, host, path: &path, query: Some(&query), headers: &headers, body: Some(body), body_complete: complete };
                let call = interpret(&request);
                prop_assert!(call.resources.len() <= RESOURCES_MAX);
                if let Some(parameters) = &call.parameters {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(parameters).is_ok());
                }
                let _ = answer(&call, status, &headers, Some(body));
            }
        }
    }
}
