//! Who somebody is comes from a proof; where it does not, the record says whose word was taken.

mod certificates;
mod tokens;

use sealgate::principals::{Asked, Identity, PrincipalError, proof::Proof};
use sealgate_policies::session::PrincipalKind;
use sealgate_tests::{
    gateway::TestGateway,
    upstream::{Offer, Upstream, sts},
};
use std::fs;

/// A gateway with this directory of principals.
async fn gateway(directory: &str) -> (TestGateway, Upstream) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let file = folder.path().join("principals.toml");
    fs::write(&file, directory).unwrap();
    let mut gateway = TestGateway::new(folder, &upstream);
    gateway.config.principals = Some(file);
    (gateway, upstream)
}

async fn identify(gateway: &TestGateway, asked: Asked<'_>, proof: Proof) -> Result<Identity, PrincipalError> {
    let gateway = &gateway.running().gateway;
    gateway.principals.identify(asked, &proof, "uid 7", gateway.clock.now()).await
}

#[tokio::test]
async fn the_directory_is_read_again_when_it_changes_and_a_broken_one_leaves_the_last() {
    let (mut gateway, _upstream) = gateway("undeclared = \"refuse\"\n[[human]]\nname = \"alice\"\n").await;
    gateway.start().await;
    let file = gateway.config.principals.clone().unwrap();
    let asked = |name| Asked { principal: Some(name), ..Asked::default() };
    let alice = identify(&gateway, asked("alice"), Proof::default()).await.unwrap();
    assert_eq!((alice.kind, alice.basis.as_str()), (PrincipalKind::Human, "word of uid 7"));
    assert!(identify(&gateway, asked("bob"), Proof::default()).await.is_err());

    fs::write(&file, "undeclared = \"refuse\"\n[[human]]\nname = \"alice\"\n[[workload]]\nname = \"bob\"\n").unwrap();
    assert_eq!(identify(&gateway, asked("bob"), Proof::default()).await.unwrap().kind, PrincipalKind::Workload);
    fs::write(&file, "undeclared = \"refuse\"\n[[human]]\nnam = \"alice\"\n").unwrap();
    assert!(identify(&gateway, asked("bob"), Proof::default()).await.is_ok(), "what was there before is in force");
    let trouble = gateway.running().gateway.trouble().join("\n");
    assert!(trouble.contains("nam") && trouble.contains("principals.toml"), "{trouble}");
    gateway.stop().await;
    let error = gateway.try_start().await.map(drop).unwrap_err().to_string();
    assert!(error.contains("nam"), "a start takes no broken directory: {error}");
}

#[tokio::test]
async fn without_a_directory_everybody_is_taken_at_their_word_and_the_record_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let mut gateway = TestGateway::new(folder, &upstream);
    gateway.start().await;
    let asked = Asked { principal: Some("bot"), kind: Some(PrincipalKind::Agent), acting_for: Some("alice") };
    let identity = identify(&gateway, asked, Proof::default()).await.unwrap();
    assert_eq!((identity.kind, identity.basis.as_str()), (PrincipalKind::Agent, "word of uid 7"));
    assert_eq!(identity.acting_for.as_deref(), Some("alice"));
    gateway.stop().await;
}
