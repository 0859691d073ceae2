//! Whatever `aws-sigv4` can sign is accepted, and comes out with the signature that it makes under the real credential.

use super::client::{BROKERED, REGION, brokered, now, real, settings, sign_v4, sign_v4a};
use crate::sigv4::{Coverage, SignatureError, read, resign, verify};
use aws_sigv4::http_request::{PayloadChecksumKind, SessionTokenMode, SignableBody, SignatureLocation};
use http::{HeaderName, HeaderValue, Request, request::Parts};
use proptest::prelude::*;
use sealgate_schema::Hash;

/// A request that no one signed.
#[derive(Debug, Clone)]
struct Plain {
    method: &'static str,
    service: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Plain {
    fn parts(&self) -> Parts {
        let uri = format!("https://{}.{REGION}.amazonaws.com{}", self.service, self.target);
        let mut parts = Request::builder().method(self.method).uri(uri).body(()).unwrap().into_parts().0;
        for (name, value) in &self.headers {
            parts.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        parts
    }
}

/// Every spelling in which a path or query can be sent and `aws-sigv4` reads it as AWS does.
fn plain() -> impl Strategy<Value = Plain> {
    let value = "[ -~]{0,12}";
    let header = prop_oneof![
        value.prop_map(|value| ("content-type", value)),
        value.prop_map(|value| ("x-amz-target", value)),
        value.prop_map(|value| ("x-amz-meta-a", value)),
        value.prop_map(|value| ("user-agent", value)),
        value.prop_map(|value| ("x-amzn-trace-id", value)),
        value.prop_map(|value| ("range", value)),
    ];
    let segment = "(%[0-7][0-9A-F]|[a-zA-Z0-9._~-]|[!$&'()*+,;=:@])";
    let path = format!("(/({segment}{{0,4}}|\\.|\\.\\.)){{1,5}}");
    let query = "(\\?([a-cA-C0-9_.~-]{0,3}(=([a-c+=/:,~!*-]|%z|%2[0-9A-F]|%C3%BC){0,4})?&?){0,5})?";
    (
        prop::sample::select(vec!["GET", "PUT", "POST", "DELETE", "HEAD"]),
        prop::sample::select(vec!["s3", "sqs", "execute-api"]),
        (prop::string::string_regex(&path).unwrap(), query).prop_map(|(path, query)| format!("{path}{query}")),
        prop::collection::vec(header, 0..6),
        prop::collection::vec(any::<u8>(), 0..20),
    )
        .prop_map(|(method, service, target, headers, body)| Plain { method, service, target, headers, body })
}

fn check(plain: &Plain, location: SignatureLocation, token: SessionTokenMode) -> Result<(), TestCaseError> {
    let settings = || {
        let mut settings = settings(plain.service, location);
        settings.session_token_mode = token;
        if plain.service == "s3" && location == SignatureLocation::Headers {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings
    };
    let body = || match (plain.service, location) {
        ("s3", SignatureLocation::QueryParams) => SignableBody::UnsignedPayload,
        _ => SignableBody::Bytes(&plain.body),
    };
    let mut parts = plain.parts();
    let _ = sign_v4(&mut parts, body(), plain.service, settings(), &brokered());
    let claim = read(&parts).unwrap().unwrap();
    let hash = Some(Hash::of(&[&plain.body]).0);
    let proof = verify(&claim, &parts, hash, &BROKERED, now());
    let proof = proof.map_err(|error| TestCaseError::fail(format!("{error}: {parts:?}")))?;
    let resigned = resign(&proof, &mut parts, &real(), now()).unwrap();

    let mut expected = plain.parts();
    let signature = sign_v4(&mut expected, body(), plain.service, settings(), &real());
    prop_assert_eq!(resigned.signature(), signature);
    for name in ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
        prop_assert_eq!(parts.headers.get(name), expected.headers.get(name));
    }
    let texts = format!("{claim:?} {proof:?} {} {resigned:?}", proof.to_json());
    for secret in [BROKERED.secret, "brokered+token", "real+secret", "real/token"] {
        prop_assert!(!texts.contains(secret), "{}", texts);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_the_sdk_signs_in_a_header_is_accepted_and_signed_again_as_it_would(plain in plain()) {
        check(&plain, SignatureLocation::Headers, SessionTokenMode::Include)?;
    }

    #[test]
    fn what_the_sdk_presigns_is_accepted_and_signed_again_as_it_would(plain in plain()) {
        check(&plain, SignatureLocation::QueryParams, SessionTokenMode::Include)?;
        check(&plain, SignatureLocation::QueryParams, SessionTokenMode::Exclude)?;
    }

    #[test]
    fn a_token_outside_of_the_signature_stays_outside(plain in plain()) {
        prop_assume!(plain.service != "s3");
        check(&plain, SignatureLocation::Headers, SessionTokenMode::Exclude)?;
    }

    #[test]
    fn what_is_signed_with_version_4a_is_accepted_before_and_after(plain in plain(), presigned: bool) {
        let location = if presigned { SignatureLocation::QueryParams } else { SignatureLocation::Headers };
        let mut parts = Plain { service: "s3", ..plain.clone() }.parts();
        let (unsigned, mut settings) = (SignableBody::UnsignedPayload, settings("s3", location));
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let _ = sign_v4a(&mut parts, unsigned, settings, &brokered());
        let proof = verify(&read(&parts).unwrap().unwrap(), &parts, None, &BROKERED, now()).unwrap();
        prop_assert_eq!(proof.coverage(), if presigned { Coverage::Presigned } else { Coverage::UnsignedPayload });
        let _ = resign(&proof, &mut parts, &super::client::real(), now()).unwrap();
        let again = read(&parts).unwrap().unwrap();
        prop_assert_eq!((again.region(), again.access_key_id()), ("*", "AKIAREAL"));
        let key = crate::sigv4::BrokeredKey { access_key_id: "AKIAREAL", secret: "real+secret", token: Some("real/token") };
        prop_assert!(verify(&again, &parts, None, &key, now()).is_ok());
    }

    #[test]
    fn hostile_requests_are_read_or_refused(
        authorization in "AWS4-HMAC-SHA256 (Credential=[a-z/0-9]{0,40}|SignedHeaders=[a-z;-]{0,20}|Signature=[0-9a-f]{0,70}|[ ,=]){0,6}",
        query in "(X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)=[A-Z0-9a-f%/-]{0,20}&?){0,8}",
    ) {
        let request = Request::get(format!("/?{query}")).header("authorization", &authorization).header("x-amz-date", "20130524T000000Z");
        let parts = request.body(()).unwrap().into_parts().0;
        if let Ok(Some(claim)) = read(&parts) {
            prop_assert!(verify(&claim, &parts, None, &BROKERED, now()).is_err());
        }
        let _: Result<_, SignatureError> = read(&Request::get(format!("/?{query}")).body(()).unwrap().into_parts().0);
    }
}
