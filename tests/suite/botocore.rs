//! botocore, which the AWS CLI and boto3 sign with, as a client and as a judge: what it signs is accepted, and what comes of
//! it under the real credential has the signature that botocore makes.

use aws_credential_types::Credentials;
use http::{HeaderName, HeaderValue, Request, request::Parts};
use sealgate::sigv4::{BrokeredKey, SignatureError, read, resign, verify};
use sealgate_schema::Hash;
use sealgate_tests::programs::{python, root};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
    time::SystemTime,
};

const GIVEN: BrokeredKey<'_> = BrokeredKey { access_key_id: "AKIAGIVEN", secret: "given/secret", token: Some("given/token==") };

fn script(argument: &str) -> Command {
    let mut command = Command::new(python("python3"));
    command.arg(root().join("tests/suite/scripts/botocore_signatures.py")).arg(argument);
    command
}

fn parts(line: &Value) -> Parts {
    let mut request = Request::builder().method(line["method"].as_str().unwrap()).uri(line["url"].as_str().unwrap());
    for header in line["headers"].as_array().unwrap() {
        let name: HeaderName = header[0].as_str().unwrap().parse().unwrap();
        request = request.header(name, HeaderValue::from_str(header[1].as_str().unwrap()).unwrap());
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn what_botocore_signs_is_accepted_and_signed_again_as_botocore_would() {
    let signed = script("sign").output().unwrap();
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let (real, now) = (Credentials::new("AKIAREAL", "real/secret", Some("real/token==".into()), None, "test"), SystemTime::now());
    let (mut again, mut count) = (String::new(), 0);
    for line in String::from_utf8(signed.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (mut parts, body) = (parts(&line), Hash::of(&[line["body"].as_str().unwrap().as_bytes()]).0);
        let claim = read(&parts).unwrap_or_else(|error| panic!("{error}: {line}")).expect("it is signed");
        let proof = verify(&claim, &parts, Some(body), &GIVEN, now).unwrap_or_else(|error| panic!("{error}: {line}"));
        let other = BrokeredKey { secret: "another", ..GIVEN };
        assert_eq!(verify(&claim, &parts, Some(body), &other, now).err(), Some(SignatureError::Mismatch));
        let _ = resign(&proof, &mut parts, &real, now).unwrap();
        let headers: Vec<_> = parts.headers.iter().map(|(name, value)| json!([name.as_str(), value.to_str().unwrap()])).collect();
        let mut line = line;
        (line["url"], line["headers"]) = (parts.uri.to_string().into(), headers.into());
        again.push_str(&format!("{line}\n"));
        count += 1;
    }
    let mut judge = script("judge").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    judge.stdin.take().unwrap().write_all(again.as_bytes()).unwrap();
    let judged = judge.wait_with_output().unwrap();
    assert!(judged.status.success());
    assert_eq!(String::from_utf8(judged.stdout).unwrap().trim(), count.to_string());
    assert!(count > 120);
}
