//! Proof bundles. One that checks shows what the forged ledger holds and nothing else, however it was changed.

use crate::folder::{FORGED, source};
use sealgate_schema::{
    Payload,
    note::VerifierKey,
    payload::FIELDS,
    proof::{Bundle, Field, Reveal, Shown, Value, Wanted, build, check},
    verify::{Asked, verify_evidence},
};
use sealgate_tests::forge::{Forged, ForgedWindow};

/// A bundle has one spelling, and shows only records and payloads that are there.
pub(crate) fn bundle(data: &[u8]) -> bool {
    let Ok(bundle) = Bundle::parse(data) else {
        assert!(FORGED.iter().all(|forged| check(data, &asked(forged)).shown.is_none()), "it is no bundle, and shows something");
        return false;
    };
    assert_eq!(bundle.encode().expect("it was read from this form"), data);
    let mut taken = false;
    for forged in FORGED.iter() {
        let report = check(data, &asked(forged));
        assert_eq!(report.shown.is_none(), report.finding.is_some());
        if let Some(shown) = report.shown {
            taken = true;
            let mut windows = forged.windows.iter();
            compare(&shown, windows.find(|window| window.ledger == shown.ledger).expect("a window that was forged"));
        }
    }
    taken
}

fn asked(forged: &Forged) -> Asked {
    Asked { keys: vec![VerifierKey::parse(&forged.vkey()).expect("a key")], ..Asked::default() }
}

fn compare(shown: &Shown, window: &ForgedWindow) {
    let rows = &window.rows.records;
    assert_eq!((&shown.record, shown.hash), (&rows[shown.record.seq as usize].0, rows[shown.record.seq as usize].1));
    assert_eq!(shown.records, rows.len() as u64);
    assert_eq!(shown.root, window.rows.roots[rows.len()]);
    let approval = [Some(&shown.approval.window_open), shown.approval.intent.as_ref(), shown.approval.session_open.as_ref()];
    for record in approval.into_iter().flatten() {
        assert_eq!(record, &rows[record.seq as usize].0);
    }
    let payload = window.rows.payloads.iter().find(|(seq, _)| *seq == shown.record.seq);
    for (name, field) in &shown.payload {
        let (_, payload) = payload.expect("a payload where the record has one");
        let value = value(payload, name);
        match field {
            Field::Value(shown) => assert_eq!(Some(shown), value.as_ref()),
            Field::Empty => assert_eq!(value, None),
            Field::Hidden => {}
        }
    }
}

fn value(payload: &Payload, name: &str) -> Option<Value> {
    let text = |text: &Option<sealgate_schema::Text>| text.as_ref().map(|text| Value::Text(text.to_string()));
    match name {
        "query" => text(&payload.query),
        "headers" => payload.headers.clone().map(Value::Headers),
        "body" => payload.body.as_ref().map(|body| Value::Bytes(body.to_vec())),
        "body_bytes" => payload.body_bytes.map(Value::Number),
        "body_sha256" => payload.body_sha256.map(Value::Hash),
        "body_capture" => payload.body_capture.map(|capture| Value::Text(capture.as_str().to_owned())),
        "parameters" => text(&payload.parameters),
        "proof" => text(&payload.proof),
        _ => panic!("{name} is not one of {FIELDS:?}"),
    }
}

/// Of each ledger whose records are there, its last record and one with a payload, which is shown.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    FORGED.iter().flat_map(of).collect()
}

fn of(forged: &Forged) -> Vec<Vec<u8>> {
    let source = source(forged.files.clone());
    let report = verify_evidence(&source, &asked(forged));
    let mut bundles = Vec::new();
    for window in &forged.windows {
        let mut ledgers = report.ledgers.iter();
        let ledger = ledgers.find(|ledger| ledger.ledger.as_ref() == Some(&window.ledger)).expect("each window has its ledger");
        let last = window.rows.records.len() as u64 - 1;
        let payload = window.rows.payloads.first().map(|(seq, _)| (*seq, Reveal::All));
        for (seq, reveal) in [Some((last, Reveal::Nothing)), payload].into_iter().flatten() {
            let wanted = Wanted { seq, reveal, pin: None };
            bundles.extend(build(&source, ledger, &report.logs[0], &wanted).map(|bundle| bundle.encode().expect("it is JSON")));
        }
    }
    bundles
}
