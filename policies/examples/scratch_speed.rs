#![allow(missing_docs)]
use sealgate_policies::redact;
use std::{hint::black_box, time::Instant};
fn main() {
    let mut request =
        String::from(r#"{"TableName":"orders","Key":{"id":{"S":"1234"}},"ConsistentRead":true,"NextToken":"abc","Items":["#);
    while request.len() < 1400 {
        request.push_str(r#"{"customer":{"S":"Jane Doe"},"amount":{"N":"12.50"},"when":{"S":"2026-01-01T00:00:00Z"}},"#);
    }
    request.push_str("1]}");
    let sts = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>AROA3XFRBF535PLBIFPI4:s3-access-example</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/xaccounts3access/s3-access-example</Arn></AssumedRoleUser><Credentials><SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey><SessionToken>AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==</SessionToken><Expiration>2019-07-15T23:28:33.359Z</Expiration><AccessKeyId>ASIAJEXAMPLEXEG2JICEA</AccessKeyId></Credentials></AssumeRoleResult><ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata></AssumeRoleResponse>";
    let form = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdemo&RoleSessionName=session&DurationSeconds=3600";
    let mut headers = http::HeaderMap::new();
    for (n, v) in [
        ("host", "dynamodb.us-east-1.amazonaws.com"),
        ("user-agent", "aws-cli/2.15 md/awscrt#0.19.19 ua/2.0 os/linux#6.1"),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "DynamoDB_20120810.GetItem"),
        ("x-amz-date", "20260101T000000Z"),
        ("x-amz-security-token", "IQoJ"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
        ("accept-encoding", "identity"),
        ("content-length", "1400"),
        ("amz-sdk-invocation-id", "c6104cbe-af31-11e0-8154-cbc7ccf896c7"),
    ] {
        headers.insert(http::HeaderName::from_static(n), http::HeaderValue::from_static(v));
    }
    let time = |name: &str, f: &mut dyn FnMut()| {
        for _ in 0..20000 {
            f();
        }
        let mut best = f64::MAX;
        for _ in 0..20 {
            let t = Instant::now();
            for _ in 0..10000 {
                f();
            }
            best = best.min(t.elapsed().as_nanos() as f64 / 10000.0);
        }
        println!("{name}: {best:.0} ns");
    };
    let zeros = format!("{{{}", "0".repeat(1400));
    time("zeros", &mut || {
        black_box(redact::body(black_box(zeros.as_bytes()), true, Some("application/x-amz-json-1.0"), None));
    });
    time("json clean 1.4K", &mut || {
        black_box(redact::body(black_box(request.as_bytes()), true, Some("application/x-amz-json-1.0"), None));
    });
    time("sts xml masked", &mut || {
        black_box(redact::body(black_box(sts.as_bytes()), true, Some("text/xml"), None));
    });
    time("form clean", &mut || {
        black_box(redact::body(black_box(form.as_bytes()), true, Some("application/x-www-form-urlencoded"), None));
    });
    time("headers", &mut || {
        black_box(redact::headers(black_box(&headers)));
    });
}
