//! Seeds that the product's own writers make: they always fit the format as it is.

use crate::note::KEY;
use sealgate::ledger::journal::{self, Origin, Standing};
use sealgate_schema::{
    Chain, Hash, LedgerId, Payload, Record,
    canonical::Encoder,
    parquet,
    payload::{Capture, Salts},
    record::{Fields, Kind},
    seal::{MANIFEST_FORMAT, Manifest, PartFile, State, Table},
};
use std::collections::BTreeMap;

const NONCE: journal::Nonce = [7; 16];
const TIME: i64 = 1_790_000_000_000_000;

pub(crate) fn ledger() -> LedgerId {
    LedgerId::new("gw-fuzz", "CHG-1").expect("names")
}

pub(crate) fn manifests() -> Vec<Vec<u8>> {
    let hex = Hash::of(&[b"part"]).to_string();
    let file = |table: Table, rows| PartFile {
        name: table.file_name(0),
        table,
        first_seq: 0,
        records: 3,
        rows,
        bytes: 4096,
        sha256: hex.clone(),
        key: None,
    };
    let counts = [("intent", 1), ("window_close", 1), ("window_open", 1)].map(|(kind, count)| (kind.to_owned(), count));
    let whole = Manifest {
        format: MANIFEST_FORMAT.into(),
        gateway: "gw-fuzz".into(),
        window: "CHG-1".into(),
        state: State::Sealed,
        records: 3,
        head: Hash::ZERO.to_string(),
        counts: BTreeMap::from(counts),
        files: vec![file(Table::Records, 3), file(Table::Payloads, 1)],
        software: "sealgate \"fuzz\"".into(),
    };
    let empty = Manifest { state: State::Open, records: 0, counts: BTreeMap::new(), files: Vec::new(), ..whole.clone() };
    [whole, empty].map(|manifest| manifest.text(Hash::ZERO).expect("a manifest is JSON").into_bytes()).into()
}

pub(crate) fn checkpoints() -> Vec<Vec<u8>> {
    let root = "A".repeat(43) + "=";
    [format!("example.com/log\n0\n{root}\n"), format!("o\n18446744073709551615\n{root}\n\nextension\n")]
        .map(String::into_bytes)
        .into()
}

pub(crate) fn notes() -> Vec<Vec<u8>> {
    let other =
        "\u{2014} other.example x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let mut notes: Vec<_> = ["one line\n", "a blank\n\nline\n"].map(|text| KEY.sign(text).into_bytes()).into();
    notes.push((KEY.sign("cosigned\n") + other).into_bytes());
    notes
}

pub(crate) fn verifier_keys() -> Vec<Vec<u8>> {
    let known = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    vec![KEY.verifier().to_string().into_bytes(), format!("{known}\n").into_bytes()]
}

pub(crate) fn cbor() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut e = Encoder::new(&mut all);
    e.array(8);
    e.unsigned(u64::MAX);
    e.signed(i64::MIN);
    e.signed(-1000);
    e.text("ü");
    e.bytes(&[0; 24]);
    e.null();
    e.texts(&["a".into(), "b".into()]);
    e.array(0);
    vec![all, vec![0xf6], vec![0x18, 24]]
}

/// A record of each shape in one chain: an opening, a call with every column filled, an answer, a closing.
fn fields() -> Vec<(Fields, Option<Payload>)> {
    let [full, ..] = payloads();
    let mut call = Fields::new(Kind::Intent);
    call.call = Some(1);
    for column in [&mut call.session, &mut call.principal, &mut call.credential, &mut call.user_agent, &mut call.path] {
        *column = Some("text ü".into());
    }
    call.resources = vec!["arn:aws:s3:::b".into(), "".into()];
    call.status = Some(200);
    call.request_bytes = Some(1 << 33);
    call.payload_hash = Some(full.commitment());
    let outcome = Fields { call: Some(1), duration_us: Some(0), ..Fields::new(Kind::Outcome) };
    let other = Fields { detail: Some("{}".into()), ..Fields::new(Kind::Other("approval".into())) };
    vec![(Fields::new(Kind::WindowOpen), None), (call, Some(full)), (outcome, None), (other, None)]
}

fn payloads() -> [Payload; 3] {
    let full = Payload {
        query: Some("X-Amz-Signature=REDACTED".into()),
        headers: Some(vec![("host".into(), "sts.amazonaws.com".into()), ("x-latin".into(), "caf\u{e9}".into())]),
        body: Some(b"Action=GetCallerIdentity".to_vec().into()),
        body_bytes: Some(24),
        body_sha256: Some(Hash::of(&[b"Action=GetCallerIdentity"])),
        body_capture: Some(Capture::Full),
        parameters: Some("{}".into()),
        proof: Some("{}".into()),
        ..Payload::new(*b"0123456789abcdef")
    };
    let erased = Payload {
        salts: Salts::Fields(vec![("headers".into(), Hash::of(&[b"salt"]))]),
        headers: Some(Vec::new()),
        erased: vec![("body".into(), Hash::of(&[b"gone"]))],
        ..Payload::new([0; 16])
    };
    [full, erased, Payload::new([1; 16])]
}

fn records() -> (Vec<(Record, Hash)>, Vec<Vec<u8>>) {
    let mut chain = Chain::new(ledger());
    let placed = fields().into_iter().map(|(fields, _)| {
        let mut preimage = Vec::new();
        let record = chain.append(fields, TIME, &mut preimage);
        ((record, chain.head()), preimage)
    });
    placed.unzip()
}

pub(crate) fn preimages() -> Vec<Vec<u8>> {
    records().1
}

pub(crate) fn payload_rows() -> Vec<Vec<u8>> {
    let encoded = |payload: Payload| {
        let mut out = Vec::new();
        payload.encode(&mut out);
        out
    };
    payloads().map(encoded).into()
}

pub(crate) fn records_files() -> Vec<Vec<u8>> {
    let rows = records().0;
    let write = |rows: &[_]| parquet::write_records(&ledger(), 0, rows).expect("records can be written");
    vec![write(&rows), write(&rows[..1])]
}

pub(crate) fn payloads_files() -> Vec<Vec<u8>> {
    let rows: Vec<_> = (1..).zip(payloads()).collect();
    let write = |rows: &[_]| parquet::write_payloads(&ledger(), 0, rows).expect("payloads can be written");
    vec![write(&rows), write(&rows[..1])]
}

/// A finished segment with two ledgers, the segment after it, and one torn within its last frame.
pub(crate) fn segments() -> Vec<Vec<u8>> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let other = LedgerId::new("gw-fuzz", "CHG-2").expect("names");
    let mut standing = [Standing::new(ledger()), Standing::new(other)];
    journal::write_start(&mut first, "gw-fuzz", 7, &NONCE, Origin::Cut, standing[1..].iter());
    fill(&mut first, &mut standing[0]);
    journal::write_record(&mut first, &NONCE, &mut standing[1], Fields::new(Kind::WindowOpen), TIME, None);
    journal::write_end(&mut first, &NONCE);
    journal::write_start(&mut second, "gw-fuzz", 8, &NONCE, Origin::Recovery, standing.iter());
    let whole = second.len();
    journal::write_record(&mut second, &NONCE, &mut standing[0], Fields::new(Kind::Recovery), TIME, None);
    let torn = second[..whole + 20].to_vec();
    vec![first, second, torn]
}

fn fill(out: &mut Vec<u8>, standing: &mut Standing) {
    for (fields, payload) in fields() {
        let mut encoded = Vec::new();
        if let Some(payload) = &payload {
            payload.encode(&mut encoded);
        }
        journal::write_record(out, &NONCE, standing, fields, TIME, Some(&encoded));
    }
}
