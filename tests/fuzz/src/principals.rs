//! What proves who somebody is: patterns, SPIFFE IDs and certificates, tokens, key sets; and the directory that says whose they are.

use base64::{Engine, engine::general_purpose::STANDARD};
use sealgate::principals::{certificate::spiffe_id, directory as read_directory, keys::KeySet, oidc};
use sealgate_policies::{
    principal::{
        Directory, Unfit,
        claims::{Claims, Rule},
        pattern::Pattern,
        spiffe::SpiffeId,
    },
    session::PrincipalKind,
};
use std::collections::BTreeMap;

/// A time within the sample certificate's.
const NOW: i64 = 1_900_000_000_000_000;

/// Two patterns and a text, one a line: what fits both is an overlap, which is the same from either side.
pub(crate) fn pattern(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let mut lines = text.splitn(3, '\n');
    let (Some(one), Some(other)) = (lines.next(), lines.next()) else { return false };
    let (Ok(one), Ok(other)) = (Pattern::parse(one), Pattern::parse(other)) else { return false };
    let text = lines.next().unwrap_or_default();
    assert_eq!(one.overlaps(&other), other.overlaps(&one));
    assert!(one.overlaps(&one) && other.overlaps(&other), "some text fits every pattern");
    assert!(one.overlaps(&other) || !(one.matches(text) && other.matches(text)));
    if one.is_literal() {
        assert!(one.matches(&one.to_string()));
        assert_eq!(one.overlaps(&other), other.matches(&one.to_string()));
    }
    true
}

pub(crate) fn pattern_seeds() -> Vec<Vec<u8>> {
    ["repo:acme/*:ref:**\nrepo:*/infra:*:refs/heads/main\nrepo:acme/infra:ref:refs/heads/main", "alice\nal*\nalice", "a*b\n**\na/b"]
        .map(|lines| lines.as_bytes().to_vec())
        .into()
}

/// An ID is read as it is written, and is plain text.
pub(crate) fn id(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(id) = SpiffeId::parse(text) else { return false };
    assert_eq!(id.as_str(), text);
    let path = text.strip_prefix("spiffe://").and_then(|rest| rest.strip_prefix(id.trust_domain())).expect("both are there");
    assert!(path.starts_with('/') && !path.ends_with('/') && !path.contains("//") && !path.contains("/../"));
    assert!(text.bytes().all(|b| b.is_ascii_graphic() && !b"%?#@*".contains(&b)));
    true
}

pub(crate) fn id_seeds() -> Vec<Vec<u8>> {
    ["spiffe://prod.example/ns/ci/sa/deploy", "spiffe://a-b_c.1/X.y-z_0"].map(|id| id.as_bytes().to_vec()).into()
}

/// Whatever a certificate holds, what is read from it is an ID.
pub(crate) fn certificate(data: &[u8]) -> bool {
    let Ok(read) = spiffe_id(&[data.into()], NOW) else { return false };
    assert!(id(read.as_str().as_bytes()));
    true
}

pub(crate) fn certificate_seeds() -> Vec<Vec<u8>> {
    const SAMPLE: &str = "MIIBrjCCAVSgAwIBAgIUFtCvaNpiQZASRDQ7z1E2UbwkcHcwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBYTAeFw0yNjExMjYwNzEzMDJaFw0zNjExMjMwNzEzMDJaMAwxCjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASZm+xccQ7IsPcbWN9wz5sE9JzzvS7PIR5xhnU7yTDUXmo/sszruRnNOzqujyCVCPQk70SmzFuevKD+tuuwmrCFo4GTMIGQMB0GA1UdDgQWBBTpsmaFSDq5P/h3Cu7ndv60mjo7bjAfBgNVHSMEGDAWgBTpsmaFSDq5P/h3Cu7ndv60mjo7bjAwBgNVHREEKTAnhiVzcGlmZmU6Ly9wcm9kLmV4YW1wbGUvbnMvY2kvc2EvZGVwbG95MA4GA1UdDwEB/wQEAwIHgDAMBgNVHRMBAf8EAjAAMAoGCCqGSM49BAMCA0gAMEUCIEwL0Ym0B7rYfWFQt9UuaUdXU3sy6sHXUrjkyzQ7J3roAiEAzyvWsbiWY8kvIRMV15RdtjBjOIjSlhvy2XODN1XAz78=";
    vec![STANDARD.decode(SAMPLE).expect("base64")]
}

/// Claims say what another reader of JSON finds in them; only an exact rule fits, and times are never both over and to come.
pub(crate) fn claims(data: &[u8]) -> bool {
    let Ok(claims) = Claims::parse(data) else { return false };
    let all: serde_json::Value = serde_json::from_slice(data).expect("it is JSON");
    assert_eq!((all["iss"].as_str(), all["sub"].as_str()), (Some(claims.issuer()), Some(claims.subject())));
    let audience = match &all["aud"] {
        serde_json::Value::Array(several) => several.first().and_then(|one| one.as_str()).map(str::to_owned),
        one => one.as_str().map(str::to_owned),
    };
    if let (Some(audience), Ok(subject)) = (audience, Pattern::parse(claims.subject())) {
        let rule = Rule { issuer: claims.issuer().to_owned(), audience, claims: BTreeMap::from([("sub".to_owned(), subject)]) };
        assert!(rule.overlaps(&rule));
        assert!(rule.matches(&claims) || claims.subject().contains('*'));
        assert!(!Rule { issuer: format!("{}/", rule.issuer), ..rule.clone() }.matches(&claims));
        let other = Pattern::parse("no such claim").expect("a pattern");
        let more = rule.claims.clone().into_iter().chain([("\u{0}".to_owned(), other)]).collect();
        assert!(!Rule { claims: more, ..rule }.matches(&claims));
    }
    let times = [i64::MIN, -1, 0, NOW, i64::MAX].map(|now| claims.check_times(now).is_ok());
    assert!(!times[0] || !times[4], "nothing is good for ever");
    true
}

pub(crate) fn claims_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"iss":"https://ci","sub":"repo:acme/infra:ref:main","aud":"sealgate","exp":1900000300,"nbf":1900000000,"iat":1900000000.5,"x":true}"#,
        r#"{"iss":"https://k8s","sub":"system:serviceaccount:a:b","aud":["x","sealgate"],"exp":0,"kubernetes.io":{"namespace":"a"}}"#,
    ]
    .map(|claims| claims.as_bytes().to_vec())
    .into()
}

/// A token is taken apart in one way: with anything before, behind or between its parts it is another one or none.
pub(crate) fn token(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    if !oidc::is_read(text) {
        return false;
    }
    assert_eq!(text.matches('.').count(), 2);
    assert!(!oidc::is_read(&format!("{text}.")) && !oidc::is_read(&format!(" {text}")));
    true
}

pub(crate) fn token_seeds() -> Vec<Vec<u8>> {
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = String::from_utf8(claims_seeds().remove(0)).expect("text");
    let heads = [r#"{"alg":"RS256","kid":"1","typ":"JWT"}"#, r#"{"alg":"EdDSA"}"#];
    heads.map(|head| format!("{}.{}.{}", part(head), part(&claims), part("signature")).into_bytes()).into()
}

/// A key set that is read has a key, and none of a kind that signs what it checks.
pub(crate) fn key_set(data: &[u8]) -> bool {
    let Ok(keys) = KeySet::parse(data) else { return false };
    assert!(!format!("{keys:?}").contains("OctetKey("), "a shared secret is not taken");
    true
}

pub(crate) fn key_set_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"1","use":"sig","alg":"EdDSA"}]}"#,
        r#"{"keys":[{"kty":"oct","k":"AA"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r"}],"more":1}"#,
    ]
    .map(|set| set.as_bytes().to_vec())
    .into()
}

/// In a directory that is taken each name is there once, each human acts for nobody, each rule's issuer can be asked safely.
pub(crate) fn directory(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(directory) = read_directory(text) else { return false };
    for (at, principal) in directory.principals().iter().enumerate() {
        assert!(directory.principals().iter().skip(at + 1).all(|other| other.name != principal.name));
        match principal.kind {
            PrincipalKind::Human => assert!(principal.acts_for.is_empty() && principal.oidc.is_empty()),
            PrincipalKind::Agent => assert!(!principal.acts_for.is_empty()),
            PrincipalKind::Workload => {}
        }
        assert!(principal.ssh.is_empty() || directory.allowed_signers().is_some());
        for rule in &principal.oidc {
            assert!(directory.issuer(&rule.issuer).is_some_and(|issuer| issuer.url.starts_with("https://")));
            assert!(!rule.claims.values().all(Pattern::is_anything), "one rule for everybody");
        }
        proves_one(&directory, principal);
    }
    true
}

/// A proof that is as literal as a rule is that of its principal.
fn proves_one(directory: &Directory, principal: &sealgate_policies::principal::Principal) {
    for pattern in principal.spiffe.iter().filter(|pattern| pattern.is_literal()) {
        if let Ok(id) = SpiffeId::parse(&pattern.to_string()) {
            assert_eq!(directory.by_spiffe(&id), Ok(principal));
        }
    }
    for signer in &principal.ssh {
        assert_eq!(directory.by_ssh("key", |name| name == signer), Ok(principal));
    }
    let word = directory.by_word(&principal.name, None, None);
    assert!(word == Ok(principal.kind) || matches!(word, Err(Unfit::MustProve(_) | Unfit::ForWhom(_))), "{word:?}");
}

pub(crate) fn directory_seeds() -> Vec<Vec<u8>> {
    [
        "undeclared = \"refuse\"\nallowed_signers = \"f\"\n[[human]]\nname = \"alice\"\n[[human]]\nname = \"bob\"\nssh = [\"b@x\"]\nmust_prove = true\n",
        "[[issuer]]\nurl = \"https://ci\"\njwks_hosts = [\"x:1\"]\n[[workload]]\nname = \"d\"\nspiffe = \"spiffe://p/a\"\noidc = { issuer = \"https://ci\", audience = \"s\", subject = \"a:*\", claims = { r = \"x\" } }\n",
        "[[agent]]\nname = \"h\"\nacts_for = [\"alice\", \"team-*\"]\nspiffe = [\"spiffe://p/b/*\", \"spiffe://p/c\"]\n[[workload]]\nname = \"w\"\nspiffe = \"spiffe://p/d/**\"\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
