//! The rules around a signature: time, tokens, what has to be signed, what can't be read.

use super::client::{BROKERED, brokered, now, real, settings, sign_v4};
use crate::sigv4::{BrokeredKey, Coverage, Proof, SignatureError, canonical, key::SigningKey, read, resign, stamp::Stamp, verify};
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignatureLocation};
use http::{HeaderValue, Request, request::Parts};
use sealgate_schema::Hash;
use std::time::{Duration, SystemTime};

const BODY: &[u8] = b"Action=GetCallerIdentity&Version=2011-06-15";

fn sts() -> Parts {
    let request = Request::post("/").header("host", "sts.us-east-1.amazonaws.com").header("user-agent", "tool/1");
    request.header("content-type", "application/x-www-form-urlencoded").body(()).unwrap().into_parts().0
}

fn signed(mut parts: Parts, service: &str, location: SignatureLocation) -> Parts {
    parts.uri = format!("https://sts.us-east-1.amazonaws.com{}", parts.uri).parse().unwrap();
    let mut settings = settings(service, location);
    let body = match (service, location) {
        ("s3", SignatureLocation::QueryParams) => SignableBody::UnsignedPayload,
        _ => SignableBody::Bytes(BODY),
    };
    if service == "s3" && location == SignatureLocation::Headers {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let _ = sign_v4(&mut parts, body, service, settings, &brokered());
    parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
    parts
}

fn call() -> Parts {
    signed(sts(), "sts", SignatureLocation::Headers)
}

fn presigned() -> Parts {
    signed(sts(), "sts", SignatureLocation::QueryParams)
}

fn at(parts: &Parts, key: &BrokeredKey<'_>, time: SystemTime) -> Result<Proof, SignatureError> {
    let claim = read(parts)?.expect("it is signed");
    verify(&claim, parts, Some(Hash::of(&[BODY]).0), key, time)
}

fn judge(parts: &Parts) -> Result<Proof, SignatureError> {
    at(parts, &BROKERED, now())
}

fn check(parts: &Parts, expected: &SignatureError) {
    assert_eq!(judge(parts).map(|proof| proof.to_json()).as_ref(), Err(expected));
}

fn malformed(parts: &Parts) {
    assert!(matches!(read(parts), Err(SignatureError::Malformed(_))), "{:?}", read(parts));
}

#[test]
fn a_request_that_is_not_signed_as_aws_signs_is_no_claim() {
    assert!(read(&sts()).unwrap().is_none());
    let mut parts = sts();
    parts.headers.insert("authorization", "Bearer abc".parse().unwrap());
    assert!(read(&parts).unwrap().is_none());
}

#[test]
fn outdated_and_unknown_signatures_are_refused_by_name() {
    let check = |authorization: &str, expected: SignatureError| {
        let mut parts = sts();
        parts.headers.insert("authorization", authorization.parse().unwrap());
        assert_eq!(read(&parts).unwrap_err(), expected, "{authorization}");
    };
    check("AWS AKID:c2ln", SignatureError::Outdated);
    check("AWS3-HTTPS AWSAccessKeyId=AKID", SignatureError::Outdated);
    check("AWS4-HMAC-SHA512 Credential=a, SignedHeaders=host, Signature=00", SignatureError::Algorithm);
    check("aws4-hmac-sha256 Credential=a, SignedHeaders=host, Signature=00", SignatureError::Algorithm);
    let parts = Request::get("/?AWSAccessKeyId=AKID&Signature=x&Expires=1").body(()).unwrap().into_parts().0;
    assert_eq!(read(&parts).unwrap_err(), SignatureError::Outdated);
}

#[test]
fn a_signature_holds_for_fifteen_minutes_around_its_date() {
    let parts = call();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    assert!(at(&parts, &BROKERED, now() + minutes(15)).is_ok());
    assert!(at(&parts, &BROKERED, now() - minutes(15)).is_ok());
    let second = Duration::from_secs(1);
    assert_eq!(at(&parts, &BROKERED, now() + minutes(15) + second).unwrap_err(), SignatureError::Skewed(901));
    assert_eq!(at(&parts, &BROKERED, now() - minutes(15) - second).unwrap_err(), SignatureError::Skewed(901));
}

#[test]
fn a_presigned_url_holds_until_it_expires_and_is_signed_again_for_what_is_left() {
    let mut parts = presigned();
    let seconds = Duration::from_secs;
    assert_eq!(at(&parts, &BROKERED, now() + seconds(3_600)).unwrap_err(), SignatureError::Expired(0));
    assert_eq!(at(&parts, &BROKERED, now() - seconds(901)).unwrap_err(), SignatureError::Skewed(901));
    let later = now() + seconds(3_000);
    let proof = at(&parts, &BROKERED, later).unwrap();
    assert_eq!(proof.coverage(), Coverage::Presigned);
    let _ = resign(&proof, &mut parts, &real(), later).unwrap();
    let query = parts.uri.query().unwrap();
    assert!(query.contains("X-Amz-Expires=600&") && query.contains("AKIAREAL"), "{query}");
    assert!(!query.contains("BROKERED") && !query.contains("brokered"), "{query}");
    let longest = |expires: &str| {
        let mut parts = presigned();
        parts.uri = parts.uri.to_string().replace("X-Amz-Expires=3600", &format!("X-Amz-Expires={expires}")).parse().unwrap();
        read(&parts).map(drop)
    };
    assert_eq!(longest("604800"), Ok(()));
    for expires in ["604801", "0", "-1", "1.5", "", "99999999999999999999"] {
        assert!(matches!(longest(expires), Err(SignatureError::Malformed(_))), "{expires}");
    }
}

#[test]
fn the_token_has_to_be_the_one_that_was_issued() {
    for parts in [call(), presigned()] {
        assert!(judge(&parts).is_ok());
        let other = BrokeredKey { token: Some("brokered+tokem=="), ..BROKERED };
        assert_eq!(at(&parts, &other, now()).unwrap_err(), SignatureError::TokenWrong);
        let none = BrokeredKey { token: None, ..BROKERED };
        assert_eq!(at(&parts, &none, now()).unwrap_err(), SignatureError::TokenWrong);
    }
    let mut parts = call();
    parts.headers.remove("x-amz-security-token");
    check(&parts, &SignatureError::TokenMissing);
    parts.headers.append("x-amz-security-token", "brokered+token==".parse().unwrap());
    parts.headers.append("x-amz-security-token", "brokered+token==".parse().unwrap());
    malformed(&parts);
    let mut parts = presigned();
    parts.headers.insert("x-amz-security-token", "brokered+token==".parse().unwrap());
    malformed(&parts);
}

#[test]
fn another_key_is_not_asked_for_its_secret() {
    let key = BrokeredKey { access_key_id: "AKIAOTHER", ..BROKERED };
    assert_eq!(at(&call(), &key, now()).unwrap_err(), SignatureError::WrongKey);
    let key = BrokeredKey { secret: "brokered/secreT", ..BROKERED };
    assert_eq!(at(&call(), &key, now()).unwrap_err(), SignatureError::Mismatch);
}

#[test]
fn an_unsigned_amz_header_is_refused_and_another_one_is_not() {
    let mut parts = call();
    parts.headers.insert("x-amz-target", "AmazonSQS.DeleteQueue".parse().unwrap());
    check(&parts, &SignatureError::HeaderUnsigned("x-amz-target".parse().unwrap()));
    let mut parts = call();
    for name in ["accept", "x-amzn-trace-id", "x-amz-user-agent"] {
        parts.headers.insert(name, "x".parse().unwrap());
    }
    assert!(judge(&parts).is_ok());
    let mut parts = signed(sts(), "s3", SignatureLocation::Headers);
    assert!(judge(&parts).is_ok());
    parts.headers.insert("x-amz-user-agent", "x".parse().unwrap());
    check(&parts, &SignatureError::HeaderUnsigned("x-amz-user-agent".parse().unwrap()));
}

#[test]
fn a_signed_header_that_changed_or_went_is_refused() {
    let mut parts = call();
    parts.headers.insert("content-type", "text/plain".parse().unwrap());
    check(&parts, &SignatureError::Mismatch);
    parts.headers.remove("content-type");
    check(&parts, &SignatureError::HeaderMissing("content-type".parse().unwrap()));
}

#[test]
fn lists_of_signed_headers_have_one_spelling_and_name_the_host() {
    let with = |list: &str| {
        let mut parts = call();
        let value = parts.headers["authorization"].to_str().unwrap().to_owned();
        let (before, rest) = value.split_once("SignedHeaders=").unwrap();
        let (_, after) = rest.split_once(',').unwrap();
        parts.headers.insert("authorization", format!("{before}SignedHeaders={list},{after}").parse().unwrap());
        read(&parts).map(drop)
    };
    assert_eq!(with("host;x-amz-date"), Ok(()));
    assert_eq!(with("content-type;x-amz-date"), Err(SignatureError::HostUnsigned));
    for list in ["x-amz-date;host", "host;host", "Host", "", "host;", "host;a b", "authorization;host"] {
        assert!(matches!(with(list), Err(SignatureError::Malformed(_))), "{list}");
    }
}

#[test]
fn what_does_not_fit_together_is_malformed() {
    let mut parts = call();
    parts.uri = presigned().uri;
    malformed(&parts);
    let mut parts = call();
    let twice = parts.headers["authorization"].clone();
    parts.headers.append("authorization", twice);
    malformed(&parts);
    for date in ["20130524T000001", "20130525T000000Z", "x"] {
        let mut parts = call();
        parts.headers.insert("x-amz-date", date.parse().unwrap());
        malformed(&parts);
    }
    let mut parts = presigned();
    parts.uri = format!("{}&x-amz-date=20130524T000000Z", parts.uri).parse().unwrap();
    malformed(&parts);
    let mut parts = presigned();
    parts.uri = format!("{}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", parts.uri).parse().unwrap();
    assert!(read(&parts).is_ok());
    parts.headers.insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
    malformed(&parts);
    let mut parts = presigned();
    parts.uri = parts.uri.to_string().replace("X-Amz-Date", "X-Amz-Data").parse().unwrap();
    malformed(&parts);
    let mut parts = call();
    parts.headers.insert("x-amz-content-sha256", "STREAMING-SOMETHING".parse().unwrap());
    assert_eq!(read(&parts).unwrap_err(), SignatureError::Payload);
}

#[test]
fn a_body_that_is_covered_and_not_declared_has_to_be_at_hand() {
    let parts = call();
    let claim = read(&parts).unwrap().unwrap();
    assert!(claim.needs_body());
    assert_eq!(verify(&claim, &parts, None, &BROKERED, now()).unwrap_err(), SignatureError::BodyUnread);
    let other = Some(Hash::of(&[b"Action=CreateUser"]).0);
    assert_eq!(verify(&claim, &parts, other, &BROKERED, now()).unwrap_err(), SignatureError::Mismatch);
    let parts = signed(sts(), "s3", SignatureLocation::Headers);
    let claim = read(&parts).unwrap().unwrap();
    assert!(!claim.needs_body());
    assert!(verify(&claim, &parts, None, &BROKERED, now()).is_ok());
    assert_eq!(verify(&claim, &parts, other, &BROKERED, now()).unwrap_err(), SignatureError::BodyMismatch);
}

#[test]
fn a_presigned_url_of_s3_covers_no_body_and_one_of_another_service_does() {
    assert!(!read(&signed(sts(), "s3", SignatureLocation::QueryParams)).unwrap().unwrap().needs_body());
    assert!(read(&presigned()).unwrap().unwrap().needs_body());
}

#[test]
fn the_host_of_http_2_is_the_targets() {
    let mut parts = call();
    parts.headers.remove("host");
    parts.uri = "https://sts.us-east-1.amazonaws.com/".parse().unwrap();
    assert!(judge(&parts).is_ok());
    parts.uri = "https://sts.us-east-2.amazonaws.com/".parse().unwrap();
    check(&parts, &SignatureError::Mismatch);
}

#[test]
fn a_header_that_changed_after_the_check_is_signed_as_it_stands() {
    let mut parts = call();
    let proof = judge(&parts).unwrap();
    parts.headers.insert("user-agent", "tool/1 sealgate/CHG-1.7".parse().unwrap());
    parts.headers.remove("content-type");
    let _ = resign(&proof, &mut parts, &real(), now() + Duration::from_secs(7)).unwrap();
    let claim = read(&parts).unwrap().unwrap();
    let names: Vec<_> = claim.signed.iter().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["host", "user-agent", "x-amz-date", "x-amz-security-token"]);
    assert_eq!(parts.headers["x-amz-date"], "20130524T000007Z");
    let key = BrokeredKey { access_key_id: "AKIAREAL", secret: "real+secret", token: Some("real/token") };
    assert!(at(&parts, &key, now()).is_ok());
}

#[test]
fn a_real_credential_without_a_token_leaves_none() {
    for mut parts in [call(), presigned()] {
        let proof = judge(&parts).unwrap();
        let key = BrokeredKey { access_key_id: "AKIAREAL", secret: "real", token: None };
        let _ = resign(&proof, &mut parts, &super::client::credentials(key), now()).unwrap();
        assert!(!parts.headers.contains_key("x-amz-security-token") && !parts.uri.to_string().contains("Token"));
        assert!(at(&parts, &key, now()).is_ok());
    }
}

/// A signature made by hand: `aws-sigv4` signs no such request.
fn by_hand(parts: &mut Parts, path: &str) {
    let signed =
        ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-meta-name", "x-amz-security-token"].map(|name| name.parse().unwrap());
    parts.headers.insert("x-amz-date", "20130524T000000Z".parse().unwrap());
    parts.headers.insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
    parts.headers.insert("x-amz-security-token", BROKERED.token.unwrap().parse().unwrap());
    let canonical = canonical::Canonical { path, query: "", signed: &signed, payload: "UNSIGNED-PAYLOAD" };
    let scope = "20130524/us-east-1/s3/aws4_request";
    let string = format!("AWS4-HMAC-SHA256\n20130524T000000Z\n{scope}\n{}", canonical.hash(parts).unwrap());
    let (date, key) = (Stamp::read("20130524T000000Z").unwrap(), (BROKERED.access_key_id, BROKERED.secret));
    let key = SigningKey::derive(crate::sigv4::Algorithm::V4, key, &date, ("us-east-1", "s3")).unwrap();
    let (list, signature) = (canonical::joined(&signed), key.sign(string.as_bytes()));
    let value = format!("AWS4-HMAC-SHA256 Credential=AKIABROKERED/{scope},SignedHeaders={list},Signature={signature}");
    parts.headers.insert("authorization", value.parse().unwrap());
}

#[test]
fn header_values_that_are_not_ascii_are_signed_as_bytes() {
    for value in ["Zoë".as_bytes(), b"Zo\xeb"] {
        let mut parts = Request::put("/key").header("host", "b.s3.amazonaws.com").body(()).unwrap().into_parts().0;
        parts.headers.insert("x-amz-meta-name", HeaderValue::from_bytes(value).unwrap());
        by_hand(&mut parts, "/key");
        let proof = judge(&parts).unwrap();
        let _ = resign(&proof, &mut parts, &real(), now()).unwrap();
        assert_eq!(parts.headers["x-amz-meta-name"].as_bytes(), value);
        parts.headers.insert("x-amz-meta-name", "Zoe".parse().unwrap());
        check(&parts, &SignatureError::WrongKey);
    }
}

#[test]
fn a_path_of_s3_is_taken_in_any_spelling_and_signed_again_in_the_one_that_was_signed() {
    for sent in ["/a+b(c)/%7euser/d%2fe//../f", "/%61%2F"] {
        let encoded = canonical::path(sent, canonical::PathForm::Once).into_owned();
        assert_ne!(encoded, sent);
        for signed in [sent, &encoded] {
            let mut parts = Request::get(sent).header("host", "b.s3.amazonaws.com").body(()).unwrap().into_parts().0;
            parts.headers.insert("x-amz-meta-name", "x".parse().unwrap());
            by_hand(&mut parts, signed);
            let proof = judge(&parts).unwrap();
            assert_eq!(canonical::path(sent, proof.spelling.path), *signed);
            let _ = resign(&proof, &mut parts, &real(), now()).unwrap();
            assert_eq!(parts.uri.path(), sent);
            let key = BrokeredKey { access_key_id: "AKIAREAL", secret: "real+secret", token: Some("real/token") };
            assert_eq!(at(&parts, &key, now()).unwrap().spelling, proof.spelling);
        }
        let mut parts = Request::get(sent).header("host", "b.s3.amazonaws.com").body(()).unwrap().into_parts().0;
        parts.headers.insert("x-amz-meta-name", "x".parse().unwrap());
        by_hand(&mut parts, "/another");
        check(&parts, &SignatureError::Mismatch);
    }
}

#[test]
fn a_query_has_one_canonical_form_whatever_its_spelling() {
    let check = |sent: &str, expected: &str| assert_eq!(canonical::query(sent, &[]), expected, "{sent}");
    check("", "");
    check("acl", "acl=");
    check("b=2&a=1&&a=&=x&", "=x&a=&a=1&b=2");
    check("%61=%7E%2f&a=b+c&a=b=c", "a=b%20c&a=b%3Dc&a=~%2F");
    check("a=%zz&%FF=%", "%FF=%25&a=%25zz");
}

#[test]
fn a_path_is_normal_for_all_services_but_s3() {
    let check =
        |sent: &str, expected: &str| assert_eq!(canonical::path(sent, canonical::PathForm::NormalTwice), expected, "{sent}");
    check("", "/");
    check("/a%20b", "/a%2520b");
    check("//a/./b/../c//", "/a/c/");
    check("/../..", "/");
    check("/a/.", "/a/");
    check("/a/.b", "/a/.b");
}

#[test]
fn a_proof_is_one_object_in_rfc_8785_form_without_secrets() {
    let proof = judge(&call()).unwrap().to_json();
    let value: serde_json::Value = serde_json::from_str(&proof).unwrap();
    assert_eq!(value["coverage"], "full-body");
    assert_eq!(value["key_id"], "AKIABROKERED");
    assert_eq!(value["scope"], "20130524/us-east-1/sts/aws4_request");
    assert_eq!(value["signed_headers"][0], "content-type");
    let names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    let sorted: std::collections::BTreeMap<_, _> = value.as_object().unwrap().iter().collect();
    assert_eq!(proof, serde_json::to_string(&sorted).unwrap());
    assert_eq!(names.len(), 8, "{names:?}");
}
