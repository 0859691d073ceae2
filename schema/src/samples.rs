//! A small ledger with every kind of value in it, for tests of this crate and for the published vectors.

use crate::{
    Hash, LedgerId, Payload, Record,
    payload::{Capture, Salts},
    record::{Fields, Kind},
};
use bytes::Bytes;

pub(crate) fn ledger() -> LedgerId {
    LedgerId::new("gw-0011223344556677", "CHG-1").unwrap()
}

/// Three records: an opening, a call with every column filled, a closing.
pub(crate) fn records() -> Vec<Record> {
    let open = Fields { detail: Some(r#"{"title":"vectors"}"#.into()), ..Fields::new(Kind::WindowOpen) };
    let close = Fields {
        detail: Some(r#"{"counts":{"intent":1,"window_close":1,"window_open":1}}"#.into()),
        ..Fields::new(Kind::WindowClose)
    };
    let at = |seq, fields| Record { seq, time: 1_790_000_000_000_000 + seq as i64, fields };
    vec![at(0, open), at(1, full()), at(2, close)]
}

pub(crate) fn payloads() -> Vec<(u64, Payload)> {
    let body = Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15");
    let full = Payload {
        salts: Salts::Row(*b"0123456789abcdef"),
        query: Some("X-Amz-Signature=REDACTED".into()),
        headers: Some(vec![("host".into(), "sts.amazonaws.com".into()), ("x-latin".into(), "caf\u{e9}".into())]),
        body_bytes: Some(body.len() as u64),
        body_sha256: Some(Hash::of(&[&body])),
        body: Some(body),
        body_capture: Some(Capture::Full),
        parameters: Some(r#"{"Version":"2011-06-15"}"#.into()),
        proof: Some("{}".into()),
        erased: Vec::new(),
    };
    let mut erased = Payload::new([0; 16]);
    erased.salts = Salts::Fields(vec![("headers".into(), Hash::of(&[b"salt"]))]);
    erased.headers = Some(Vec::new());
    erased.erased = vec![("body".into(), Hash::of(&[b"gone"]))];
    vec![(1, full), (2, erased)]
}

fn full() -> Fields {
    Fields {
        kind: Kind::Intent,
        call: Some(1),
        session: Some("S-1".into()),
        principal: Some("alice".into()),
        principal_kind: Some("human".into()),
        acting_for: Some("bob".into()),
        attribution: Some("token".into()),
        credential: Some("AKIAEXAMPLE".into()),
        credential_chain: vec!["ASIACHILD".into(), "AKIAEXAMPLE".into()],
        client_addr: Some("127.0.0.1:50000".into()),
        user_agent: Some("aws-cli/1".into()),
        provider: Some("aws".into()),
        account: Some("123456789012".into()),
        region: Some("eu-central-1".into()),
        service: Some("sts".into()),
        operation: Some("GetCallerIdentity".into()),
        access: Some("read".into()),
        resources: vec!["arn:aws:iam::123456789012:user/ü".into()],
        method: Some("POST".into()),
        host: Some("sts.amazonaws.com".into()),
        path: Some("/".into()),
        decision: Some("permit".into()),
        rules: vec!["session-live".into()],
        status: Some(200),
        error_code: Some("Throttling".into()),
        upstream_request_id: Some("req-1".into()),
        duration_us: Some(1 << 33),
        request_bytes: Some(43),
        response_bytes: Some(70_000),
        detail: Some("{}".into()),
        payload_hash: Some(payloads().swap_remove(0).1.commitment()),
    }
}
