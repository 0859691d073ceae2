//! The directory as its author meets it: what is taken, what is refused and with which words, and who fits which proof.

use super::{claims::Claims, spiffe::SpiffeId, *};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(file: Value) -> Result<Directory, String> {
    serde_json::from_value(file).map_err(|error| error.to_string())
}

fn sample() -> Value {
    json!({
        "allowed_signers": "allowed_signers",
        "human": [{ "name": "alice" }, { "name": "bob", "ssh": "bob@example.com", "must_prove": true }],
        "workload": [{
            "name": "deploy",
            "oidc": { "issuer": "https://ci.example", "audience": "sealgate", "subject": "repo:acme/infra:*:*", "claims": { "env": "prod" } },
            "spiffe": "spiffe://prod.example/ns/ci/sa/deploy",
        }, {
            "name": "pods",
            "oidc": [
                { "issuer": "https://k8s.example", "audience": "sealgate", "subject": "system:serviceaccount:a:*" },
                { "issuer": "https://k8s.example", "audience": "sealgate", "subject": "system:serviceaccount:b:*" },
            ],
            "spiffe": ["spiffe://prod.example/ns/a/**", "spiffe://prod.example/ns/b/sa/*"],
        }],
        "agent": [{ "name": "helper", "acts_for": ["alice", "team-*"], "ssh": ["helper@example.com"] }],
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut file = sample();
    let (parent, name) = path.rsplit_once('/').unwrap();
    match file.pointer_mut(parent).unwrap() {
        Value::Array(list) => list.push(value),
        parent => parent[name] = value,
    }
    file
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_word_of_it() {
    for (path, value, says) in [
        ("/humans", json!([]), "humans"),
        ("/human/+", json!({ "name": "x", "oidc": {} }), "oidc"),
        ("/human/+", json!({ "name": "a b" }), "not a name"),
        ("/human/+", json!({ "name": "deploy" }), "deploy is there twice"),
        ("/human/+", json!({ "name": "x", "ssh": ["alice"] }), "the signer alice is alice and x"),
        ("/agent/+", json!({ "name": "x" }), "acts_for"),
        ("/workload/+", json!({ "name": "x", "spiffe": "spiffe://*/a" }), "trust domain"),
        ("/workload/+", json!({ "name": "x", "spiffe": "https://prod.example/a" }), "trust domain"),
        ("/workload/+", json!({ "name": "x", "spiffe": "spiffe://prod.example/ns/ci/sa/*" }), "SPIFFE ID could be deploy and x"),
        ("/workload/0/oidc/sub", json!("x"), "sub"),
        ("/workload/0/oidc/issuer", json!("http://ci.example"), "not https"),
        ("/workload/0/oidc/issuer", json!("https://me@ci.example"), "not https"),
        ("/workload/0/oidc/audience", json!(""), "audience is empty"),
        ("/workload/0/oidc/claims", json!({ "aud": "x" }), "aud is no claim"),
        ("/workload/0/oidc/claims", json!({ "sub": "x" }), "two rules"),
        ("/workload/1/oidc/+", json!({ "issuer": "https://x", "audience": "s" }), "every token"),
        ("/workload/1/oidc/+", json!({ "issuer": "https://x", "audience": "s", "subject": "**" }), "every token"),
        ("/issuer", json!([{ "url": "https://ci.example/" }]), "named by no oidc rule"),
        ("/issuer", json!([{ "url": "https://ci.example" }, { "url": "https://ci.example" }]), "there twice"),
        ("/issuer", json!([{ "url": "https://ci.example", "jwks_file": "a", "ca": "b" }]), "nothing is fetched"),
        ("/allowed_signers", Value::Null, "no allowed_signers"),
        ("/undeclared", json!("maybe"), "maybe"),
    ] {
        let error = read(with(path, value.clone())).map(drop).unwrap_err();
        assert!(error.contains(says), "{path} {value}: {error}");
    }
    assert!(read(sample()).is_ok());
    assert_eq!(read(json!({})), Ok(Directory::default()));
}

#[test]
fn two_entries_that_one_token_fits_are_refused_and_two_rules_of_one_entry_are_not() {
    let rule = |subject: &str, env: &str| json!({ "issuer": "https://ci.example", "audience": "other", "subject": subject, "claims": { "env": env } });
    let other = |rule: Value| read(with("/workload/+", json!({ "name": "x", "oidc": rule })));
    assert!(other(rule("repo:acme/*:ref:main", "prod")).unwrap_err().contains("one token could be deploy and x"));
    assert!(other(rule("repo:acme/infra:a:b", "*")).is_err());
    assert!(other(rule("repo:acme/infra:a:b", "test")).is_ok());
    assert!(other(rule("repo:acme/web:*:*", "prod")).is_ok());
}

#[test]
fn a_word_is_taken_for_its_kind_and_no_other() {
    let directory = read(sample()).unwrap();
    let kind = |name, asked, acting_for| directory.by_word(name, asked, acting_for).map_err(|error| error.to_string());
    use PrincipalKind::{Agent, Human, Workload};
    assert_eq!(kind("alice", None, None), Ok(Human));
    assert_eq!(kind("deploy", Some(Workload), None), Ok(Workload));
    assert!(kind("deploy", Some(Human), None).unwrap_err().contains("deploy is a workload, and not a human"));
    assert!(kind("bob", None, None).unwrap_err().contains("prove"));
    assert_eq!(kind("helper", None, Some("alice")), Ok(Agent));
    assert_eq!(kind("helper", None, Some("team-x")), Ok(Agent));
    assert!(kind("helper", None, None).unwrap_err().contains("for whom"));
    assert!(kind("helper", None, Some("carol")).unwrap_err().contains("may not act for"));
    assert!(kind("alice", None, Some("bob")).unwrap_err().contains("acts for nobody"));
    assert!(kind("deploy", None, Some("alice")).unwrap_err().contains("may not act for"));
    // Nobody in the directory: at their word, but not for what the directory knows to be no human.
    assert_eq!(kind("carol", None, None), Ok(Human));
    assert_eq!(kind("bot", Some(Agent), Some("carol")), Ok(Agent));
    assert!(kind("bot", Some(Agent), Some("deploy")).unwrap_err().contains("no human"));

    let strict = read(with("/undeclared", json!("refuse"))).unwrap();
    assert_eq!(strict.by_word("alice", None, None), Ok(Human));
    assert_eq!(strict.by_word("carol", None, None), Err(Unfit::Undeclared("carol".into())));
    assert_eq!(strict.by_word("helper", None, Some("team-x")), Err(Unfit::Undeclared("team-x".into())));
}

#[test]
fn a_proof_is_of_the_one_that_it_fits() {
    let directory = read(sample()).unwrap();
    let token = |issuer: &str, subject: &str| {
        let claims = json!({ "iss": issuer, "sub": subject, "aud": "sealgate", "exp": 1, "env": "prod" });
        let claims = Claims::parse(claims.to_string().as_bytes()).unwrap();
        directory.by_claims(&claims).map(|principal| principal.name.as_str()).map_err(|error| error.to_string())
    };
    assert_eq!(token("https://ci.example", "repo:acme/infra:ref:main"), Ok("deploy"));
    assert_eq!(token("https://k8s.example", "system:serviceaccount:b:x"), Ok("pods"));
    assert!(token("https://ci.example", "repo:acme/web:ref:main").unwrap_err().contains("repo:acme/web:ref:main"));
    let spiffe = |id: &str| directory.by_spiffe(&SpiffeId::parse(id).unwrap()).map(|principal| principal.name.as_str());
    assert_eq!(spiffe("spiffe://prod.example/ns/ci/sa/deploy"), Ok("deploy"));
    assert_eq!(spiffe("spiffe://prod.example/ns/a/sa/b/c"), Ok("pods"));
    assert!(spiffe("spiffe://test.example/ns/ci/sa/deploy").is_err());
    let signer = |name: &str| directory.by_ssh("SHA256:x", |is| is == name).map(|principal| principal.name.as_str());
    assert_eq!((signer("alice"), signer("bob@example.com")), (Ok("alice"), Ok("bob")));
    assert!(signer("bob").is_err());
    let both = directory.by_ssh("SHA256:x", |_| true);
    assert!(matches!(both, Err(Unfit::Two { .. })), "{both:?}");
}

fn any_entry() -> impl Strategy<Value = Value> {
    let text = "[ab*:/]{1,4}";
    (text, text, text).prop_map(|(subject, claim, path)| {
        json!({
            "oidc": { "issuer": "https://a", "audience": "s", "subject": subject, "claims": { "c": claim } },
            "spiffe": format!("spiffe://a/{path}"),
        })
    })
}

proptest! {
    #[test]
    fn no_proof_fits_two_in_a_directory_that_is_taken(
        entries in prop::collection::vec(any_entry(), 1..4),
        subject in "[ab:/]{0,4}",
        claim in "[ab:/]{0,4}",
        path in "[ab]{1,2}(/[ab]{1,2})?",
    ) {
        let named = entries.into_iter().enumerate().map(|(at, mut entry)| {
            entry["name"] = format!("w{at}").into();
            entry
        });
        if let Ok(directory) = read(json!({ "workload": named.collect::<Vec<_>>() })) {
            let claims = json!({ "iss": "https://a", "sub": subject, "aud": "s", "exp": 1, "c": claim });
            let claims = Claims::parse(claims.to_string().as_bytes()).unwrap();
            let two = |found: Result<&Principal, Unfit>| matches!(found, Err(Unfit::Two { .. }));
            prop_assert!(!two(directory.by_claims(&claims)));
            let id = SpiffeId::parse(&format!("spiffe://a/{path}")).unwrap();
            prop_assert!(!two(directory.by_spiffe(&id)));
        }
    }
}
