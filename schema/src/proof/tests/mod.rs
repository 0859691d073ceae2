//! Bundles of a small ledger: made, checked, and changed in every way.

mod ledger;

use super::*;
use crate::{
    log::{Event, KeyAction},
    note::SigningKey,
    parquet,
    payload::{FIELDS, Salts},
    record::Kind,
    samples,
    seal::{State, Table},
    verify::{Asked, Level, Verdict},
};
use ledger::{INTENT, Ledger, OUTCOME, adopt, asked, fields_named, identity, log_path, path, payload};
use proptest::prelude::*;

/// Checks a bundle that has to hold, and returns what it shows.
fn holds(bundle: &Bundle, asked: &Asked) -> Shown {
    let report = check(&bundle.encode().unwrap(), asked);
    assert_eq!(report.finding, None);
    report.shown.unwrap()
}

#[test]
fn a_record_of_every_kind_is_shown_with_its_approval() {
    let (sealed, open) = (Ledger::sealed(2, &payload()), Ledger::open(2, &payload()));
    for (ledger, state) in [(&sealed, State::Sealed), (&open, State::Open)] {
        for (row, hash) in &ledger.rows {
            let shown = holds(&ledger.prove(row.seq, Reveal::Nothing, None).unwrap(), &asked(1, &[]));
            assert_eq!((&shown.record, shown.hash, shown.state), (row, *hash, state));
            let of_session = matches!(row.fields.kind, Kind::Intent | Kind::Outcome | Kind::SessionClose);
            assert_eq!(shown.approval.session_open.is_some(), of_session, "{:?}", row.fields.kind);
            assert_eq!(shown.approval.intent.is_some(), row.fields.kind == Kind::Outcome);
            assert_eq!((shown.approval.window_open.seq, shown.cosignatures, shown.pinned), (0, 0, false));
        }
        assert!(matches!(ledger.prove(99, Reveal::Nothing, None), Err(ProveError::NotThere { .. })));
    }
}

#[test]
fn no_more_is_passed_than_was_checked() {
    let ledger = Ledger::sealed(1, &payload());
    let bundle = ledger.prove(OUTCOME, Reveal::Nothing, None).unwrap().encode().unwrap();
    let verdicts = |asked: &Asked| check(&bundle, asked).verdicts;
    use Verdict::{Fail, NotChecked, Pass};
    assert_eq!(verdicts(&asked(1, &[])), [Pass, NotChecked, Pass, NotChecked, NotChecked, NotChecked, NotChecked]);
    assert_eq!(verdicts(&asked(1, &[ledger.pin()])), [Pass, NotChecked, Pass, Pass, NotChecked, NotChecked, NotChecked]);
    assert_eq!(verdicts(&asked(7, &[])), [NotChecked, NotChecked, NotChecked, Fail, NotChecked, NotChecked, NotChecked]);
    assert_eq!(verdicts(&Asked::default())[Level::L3 as usize], Fail);
}

#[test]
fn chosen_fields_are_shown_and_the_others_stay_hidden() {
    let payload = payload();
    let ledger = Ledger::sealed(1, &payload);
    for reveal in [&["query", "body_bytes"][..], &["headers"], &["body"], &FIELDS] {
        let bundle = ledger.prove(INTENT, fields_named(reveal), None).unwrap();
        let shown = holds(&bundle, &asked(1, &[]));
        let text = String::from_utf8(bundle.encode().unwrap()).unwrap();
        for (name, field) in shown.payload {
            let salt = STANDARD.encode(payload.field_salt(name).unwrap().0);
            let mut value = Vec::new();
            payload.encode_field(name, &mut value);
            let seen = reveal.contains(&name);
            assert_eq!(matches!(field, Field::Value(_)), seen, "{name}");
            assert_eq!(text.contains(&salt), seen, "{name}");
            assert_eq!(text.contains(&STANDARD.encode(&value)), seen, "{name}");
        }
        let Salts::Row(row) = payload.salts else { panic!("a row salt") };
        assert!(!text.contains(&STANDARD.encode(row)) && !text.contains("0123456789abcdef"));
    }
    let nothing = ledger.prove(INTENT, Reveal::Nothing, None).unwrap();
    assert_eq!((nothing.payload.is_none(), holds(&nothing, &asked(1, &[])).payload.len()), (true, 0));
    let fault = |seq, names: &[&str]| ledger.prove(seq, fields_named(names), None).unwrap_err().to_string();
    assert!(fault(INTENT, &["bodies"]).contains("body_sha256"));
    assert!(fault(OUTCOME, &["body"]).contains("no payload"));
}

#[test]
fn fields_beside_an_erased_one_are_shown_and_the_erased_one_is_not() {
    let whole = payload();
    let mut erased = whole.clone();
    erased.body = None;
    erased.query = None;
    erased.erased = ["query", "body"].map(|name| (name.into(), whole.field_commitment(name))).into();
    let left = FIELDS.into_iter().filter(|name| !["query", "body"].contains(name));
    erased.salts = Salts::Fields(left.map(|name| (name.into(), whole.field_salt(name).unwrap())).collect());
    let ledger = Ledger::sealed(1, &whole);
    let mut report = ledger.verified();
    // As a redaction leaves it: another file in the payloads file's place.
    let mut files = ledger.files.clone();
    let revised = Table::Payloads.revision_name(0, 1);
    files.insert(path(&revised), parquet::write_payloads(&samples::ledger(), 0, &[(INTENT, erased)]).unwrap().into());
    report.ledgers[0].files[1].name = revised;
    let prove = |reveal| {
        let wanted = Wanted { seq: INTENT, reveal, pin: None };
        build(&files, &report.ledgers[0], &report.logs[0], &wanted)
    };
    let shown = holds(&prove(Reveal::All).unwrap(), &asked(1, &[]));
    let hidden: Vec<_> = shown.payload.iter().filter(|(_, field)| *field == Field::Hidden).map(|(name, _)| *name).collect();
    assert_eq!(hidden, ["query", "body"]);
    assert!(matches!(prove(fields_named(&["headers", "body"])), Err(ProveError::Erased { .. })));
}

#[test]
fn older_and_newer_identity_keys_lead_to_the_same_bundle_until_one_is_revoked() {
    let mut ledger = Ledger::sealed(1, &payload());
    let pin = ledger.pin();
    let next = ledger.events.len() as u64 + 1;
    ledger.events.extend([adopt(2, next), adopt(3, next + 1)]);
    ledger.write_log();
    let bundle = ledger.prove(OUTCOME, Reveal::Nothing, Some(pin.clone())).unwrap();
    for seed in 1..4 {
        assert!(holds(&bundle, &asked(seed, std::slice::from_ref(&pin))).pinned, "key {seed}");
        assert!(holds(&bundle, &asked(seed, &[ledger.pin()])).pinned, "key {seed}");
    }
    let mut without = bundle.clone();
    without.log.handovers.pop();
    assert!(check(&without.encode().unwrap(), &asked(1, &[])).finding.is_some());
    let key = identity(1).verifier().to_string();
    ledger.events.push(Event::Key { action: KeyAction::Revoke, key, from: 2, reason: "stolen".into() });
    ledger.write_log();
    let bundle = ledger.prove(OUTCOME, Reveal::Nothing, None).unwrap().encode().unwrap();
    let finds = |asked: &Asked| check(&bundle, asked).finding.map(|finding| finding.level);
    assert_eq!((finds(&asked(1, &[])), finds(&asked(2, &[]))), (Some(Level::L3), None));
}

#[test]
fn a_pin_is_compared_where_the_bundle_leads_to_it_and_nowhere_else() {
    let (mut ledger, mut fork) = (Ledger::sealed(1, &payload()), Ledger::sealed(1, &payload()));
    let older = ledger.pin();
    ledger.event(|window, _| Event::Hold { window, set: true, authority: "x".into(), reason: "x".into() }, 0);
    ledger.write_log();
    let plain = ledger.prove(INTENT, Reveal::Nothing, None).unwrap();
    assert!(!holds(&plain, &asked(1, std::slice::from_ref(&older))).pinned);
    let led = ledger.prove(INTENT, Reveal::Nothing, Some(older.clone())).unwrap();
    assert!(holds(&led, &asked(1, &[older])).pinned);
    fork.event(|window, _| Event::Hold { window, set: true, authority: "y".into(), reason: "y".into() }, 0);
    fork.write_log();
    assert!(check(&plain.encode().unwrap(), &asked(1, &[fork.pin()])).finding.is_some(), "of the same size, and another");
    assert!(matches!(ledger.prove(INTENT, Reveal::Nothing, Some("x".into())), Err(ProveError::Pin(_))));
}

#[test]
fn a_cosigned_checkpoint_is_taken_where_it_reaches_the_entries() {
    let mut ledger = Ledger::sealed(1, &payload());
    let witness = SigningKey::from_seed("witness", &[5; 32]).unwrap();
    let cosigned = ledger.pin() + &witness.line(crate::note::text(&ledger.pin()).unwrap());
    ledger.event(|window, _| Event::Hold { window, set: true, authority: "x".into(), reason: "x".into() }, 0);
    ledger.write_log();
    ledger.files.insert(log_path("cosigned"), cosigned.clone().into());
    let shown = holds(&ledger.prove(INTENT, Reveal::Nothing, None).unwrap(), &asked(1, &[]));
    assert_eq!((shown.checkpoint, shown.cosignatures), (cosigned.clone(), 1));
    // A key that was adopted since is in no proof that leads to it.
    let next = ledger.events.len() as u64 + 1;
    ledger.events.push(adopt(2, next));
    ledger.write_log();
    ledger.files.insert(log_path("cosigned"), cosigned.into());
    let shown = holds(&ledger.prove(INTENT, Reveal::Nothing, None).unwrap(), &asked(1, &[]));
    assert_eq!((shown.checkpoint, shown.cosignatures), (ledger.pin(), 0));
}

/// Every thirteenth bit, which takes each bit of a byte in turn: all of them would take a minute.
#[test]
fn every_flipped_bit_of_a_bundle_is_refused() {
    const STEP: usize = 13;
    let ledger = Ledger::open(1, &payload());
    let bytes = ledger.prove(OUTCOME, Reveal::Nothing, None).unwrap().encode().unwrap();
    let asked = asked(1, &[]);
    assert!(check(&bytes, &asked).finding.is_none());
    for bit in (0..bytes.len() * 8).step_by(STEP) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&flipped, &asked).finding.is_some(), "bit {bit}");
    }
}

/// Every member of the JSON, changed, taken away, and joined by one that is not of the format.
#[test]
fn every_changed_member_is_refused() {
    let mut ledger = Ledger::sealed(1, &payload());
    let (pin, next) = (ledger.pin(), ledger.events.len() as u64 + 1);
    ledger.events.push(adopt(2, next));
    ledger.write_log();
    let bundle = ledger.prove(INTENT, Reveal::All, Some(pin.clone())).unwrap();
    let asked = asked(1, &[pin]);
    holds(&bundle, &asked);
    let value = serde_json::to_value(&bundle).unwrap();
    let mut places = Vec::new();
    walk(&value, String::new(), &mut places);
    assert!(places.len() > 60, "{}", places.len());
    // A bundle that shows no payload, or leads to no pin, is a bundle that shows less.
    places.retain(|place| place != "/payload" && place != "/log/pin");
    for place in &places {
        for change in [|value: &mut serde_json::Value| *value = serde_json::json!("x"), other] {
            let mut changed = value.clone();
            change(changed.pointer_mut(place).unwrap());
            refused(&changed, &asked, place);
        }
    }
    for (place, member) in [("", "more"), ("/payload", "more"), ("/log", "more"), ("/records/0", "more")] {
        let mut changed = value.clone();
        changed.pointer_mut(place).unwrap()[member] = serde_json::json!(null);
        refused(&changed, &asked, place);
    }
}

fn refused(changed: &serde_json::Value, asked: &Asked, place: &str) {
    let bytes = serde_json_canonicalizer::to_vec(changed).unwrap();
    let report = check(&bytes, asked);
    assert!(report.finding.is_some() && report.shown.is_none(), "{place}");
}

/// Another value of the same type.
fn other(value: &mut serde_json::Value) {
    *value = match value.take() {
        serde_json::Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
        serde_json::Value::String(text) => match STANDARD.decode(&text) {
            Ok(mut bytes) if !bytes.is_empty() => {
                bytes[0] ^= 1;
                STANDARD.encode(bytes).into()
            }
            _ => (text + "\n").into(),
        },
        serde_json::Value::Array(mut list) => {
            list.reverse();
            list.push(list.first().cloned().unwrap_or_default());
            list.into()
        }
        _ => serde_json::Value::Null,
    };
}

fn walk(value: &serde_json::Value, place: String, places: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(name, value)| walk(value, format!("{place}/{name}"), places)),
        serde_json::Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| walk(value, format!("{place}/{index}"), places));
        }
        _ => {}
    }
    if !place.is_empty() {
        places.push(place);
    }
}

#[test]
fn an_integer_that_json_has_no_one_spelling_for_is_refused() {
    let mut bundle = Ledger::open(1, &payload()).prove(0, Reveal::Nothing, None).unwrap();
    bundle.seq = 1 << 53;
    let finding = check(&bundle.encode().unwrap(), &asked(1, &[])).finding.unwrap();
    assert_eq!(finding.level, Level::L0);
}

type Change<'a> = &'a dyn Fn(&mut Bundle);

/// Parts that are genuine, but of another record, window key or moment.
#[test]
fn genuine_parts_that_do_not_belong_together_are_refused() {
    let (sealed, open) = (Ledger::sealed(2, &payload()), Ledger::open(2, &payload()));
    let whole = sealed.prove(OUTCOME, Reveal::Nothing, None).unwrap();
    let other = sealed.prove(INTENT, fields_named(&["query"]), None).unwrap();
    let opened = open.prove(OUTCOME, Reveal::Nothing, None).unwrap();
    let changes: [(&str, Change<'_>); 10] = [
        ("another seq", &|bundle| bundle.seq = 4),
        ("the note of when it was open", &|bundle| bundle.note = opened.note.clone()),
        ("the log of when it was open", &|bundle| bundle.log = opened.log.clone()),
        ("no seal entry", &|bundle| drop(bundle.log.entries.pop())),
        ("no open entry", &|bundle| drop(bundle.log.entries.remove(1))),
        ("no later open entry", &|bundle| drop(bundle.log.entries.remove(2))),
        ("no intent", &|bundle| bundle.records.retain(|part| part.preimage != other.records[2].preimage)),
        ("no window_open", &|bundle| drop(bundle.records.remove(0))),
        ("a record too many", &|bundle| bundle.records.push(sealed.prove(4, Reveal::Nothing, None).unwrap().records[2].clone())),
        ("another record's payload", &|bundle| bundle.payload = other.payload.clone()),
    ];
    for (what, change) in changes {
        let mut bundle = whole.clone();
        change(&mut bundle);
        assert!(check(&bundle.encode().unwrap(), &asked(1, &[])).finding.is_some(), "{what}");
    }
}

proptest! {
    #[test]
    fn hostile_bundles_never_panic(bytes: Vec<u8>, text: String, place in 0usize..1 << 16, with in 1u8..) {
        let asked = asked(1, &[]);
        check(&bytes, &asked);
        check(text.as_bytes(), &asked);
        let mut bundle = Bundle {
            format: PROOF_FORMAT.into(),
            gateway: "g".into(),
            window: "w".into(),
            seq: 0,
            note: text.clone(),
            records: vec![RecordPart { preimage: bytes.clone(), proof: vec![Hash::ZERO; bytes.len() % 200] }],
            payload: Some(PayloadPart { commitments: Vec::new(), revealed: vec![Revealed { field: text.clone(), salt: bytes.clone(), value: bytes.clone() }] }),
            log: LogPart { checkpoint: text, entries: Vec::new(), handovers: Vec::new(), pin: None },
        };
        prop_assert!(check(&bundle.encode().unwrap(), &asked).finding.is_some());
        bundle.payload = None;
        let mut changed = bundle.encode().unwrap();
        let at = place % changed.len();
        changed[at] = with;
        check(&changed, &asked);
    }
}
