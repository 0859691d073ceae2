//! The published vectors (`schema/vectors/`): what this code computes for the samples, for other implementations to
//! compare with. `SEALGATE_BLESS=1 cargo nextest run -p sealgate-schema vectors` writes them again.

use crate::{
    Chain, Hash, Payload, Record, Text,
    allowed_signers::AllowedSigners,
    canonical::Encoder,
    merkle::Tree,
    note::SigningKey,
    payload::{Capture, FIELDS, Salts},
    public_key::PublicKey,
    record::{Fields, Kind},
    samples,
    seal::{MANIFEST_FORMAT, Manifest, PartFile, State, Table},
    sshsig,
    statement::Statement,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

#[test]
fn canonical_cbor_is_as_published() {
    let numbers = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, u64::MAX];
    let mut vectors: Vec<Value> = numbers.map(|number| vector(json!({ "int": number.to_string() }), |e| e.unsigned(number))).into();
    vectors
        .extend([-1, -24, -25, -1000, i64::MIN].map(|number| vector(json!({ "int": number.to_string() }), |e| e.signed(number))));
    vectors.extend(["", "a", "ü", "\u{1f512} \"\\\n"].map(|text| vector(json!(text), |e| e.text(text))));
    vectors
        .extend([vec![], vec![1, 2, 3, 4], vec![0; 256]].map(|bytes| vector(json!({ "bytes": hex(&bytes) }), |e| e.bytes(&bytes))));
    vectors.push(vector(Value::Null, |e| e.null()));
    vectors.push(vector(json!([]), |e| e.texts(&[])));
    vectors.push(vector(json!(["a", "b"]), |e| e.texts(&["a".into(), "b".into()])));
    check("cbor.json", &Value::Array(vectors));
}

fn vector(value: Value, write: impl FnOnce(&mut Encoder<'_>)) -> Value {
    let mut out = Vec::new();
    write(&mut Encoder::new(&mut out));
    json!({ "value": value, "hex": hex(&out) })
}

#[test]
fn records_are_as_published() {
    let (ledger, mut previous) = (samples::ledger(), Hash::ZERO);
    let before_1970 = Record { seq: 3, time: -1, fields: Fields::new(Kind::Other("x_kind_of_later".into())) };
    let vectors = samples::records().into_iter().chain([before_1970]).map(|record| {
        let mut preimage = Vec::new();
        record.encode(&ledger, &previous, &mut preimage);
        let hash = Hash::of(&[&preimage]);
        let named = std::mem::replace(&mut previous, hash).to_string();
        json!({
            "gateway": ledger.gateway().as_str(), "window": ledger.window().as_str(), "previous": named,
            "columns": columns(&record), "preimage": hex(&preimage), "hash": hash.to_string(),
        })
    });
    check("records.json", &vectors.collect());
}

/// The columns `seq` to `payload_hash`.
fn columns(record: &Record) -> Value {
    let f = &record.fields;
    let text = |text: &Option<Text>| json!(text.as_deref());
    let texts = |texts: &[Text]| json!(texts.iter().map(Text::as_str).collect::<Vec<_>>());
    json!({
        "seq": record.seq, "time": record.time, "kind": f.kind.as_str(), "call": f.call, "session": text(&f.session),
        "principal": text(&f.principal), "principal_kind": text(&f.principal_kind), "acting_for": text(&f.acting_for),
        "attribution": text(&f.attribution), "credential": text(&f.credential), "credential_chain": texts(&f.credential_chain),
        "client_addr": text(&f.client_addr), "user_agent": text(&f.user_agent), "provider": text(&f.provider),
        "account": text(&f.account), "region": text(&f.region), "service": text(&f.service), "operation": text(&f.operation),
        "access": text(&f.access), "resources": texts(&f.resources), "method": text(&f.method), "host": text(&f.host),
        "path": text(&f.path), "decision": text(&f.decision), "rules": texts(&f.rules), "status": f.status,
        "error_code": text(&f.error_code), "upstream_request_id": text(&f.upstream_request_id), "duration_us": f.duration_us,
        "request_bytes": f.request_bytes, "response_bytes": f.response_bytes, "detail": text(&f.detail),
        "payload_hash": f.payload_hash.map(|hash| hash.to_string()),
    })
}

#[test]
fn payload_commitments_are_as_published() {
    let (_, full) = samples::payloads().swap_remove(0);
    // The same row, its body erased: another row, the same commitment.
    let remaining = FIELDS.into_iter().filter(|name| *name != "body");
    let mut erased = full.clone();
    erased.salts = Salts::Fields(remaining.filter_map(|name| Some((name.into(), full.field_salt(name)?))).collect());
    (erased.body, erased.erased) = (None, vec![("body".into(), full.field_commitment("body"))]);
    assert_eq!(erased.commitment(), full.commitment());
    let rows = samples::payloads().into_iter().map(|(_, row)| row).chain([erased, Payload::new([255; 16])]);
    check("payloads.json", &rows.map(|row| payload_vector(&row)).collect());
}

fn payload_vector(row: &Payload) -> Value {
    assert_eq!(row.fault(), None);
    let by_field = |of: &dyn Fn(&str) -> Value| FIELDS.iter().map(|name| ((*name).to_owned(), of(name))).collect::<Map<_, _>>();
    let pairs =
        |pairs: &[(Text, Hash)]| pairs.iter().map(|(name, hash)| json!([name.as_str(), hash.to_string()])).collect::<Value>();
    let (row_salt, salts) = match &row.salts {
        Salts::Row(salt) => (Some(hex(salt)), json!([])),
        Salts::Fields(salts) => (None, pairs(salts)),
    };
    let header = |(name, value): &(Text, Text)| json!([name.as_str(), value.as_str()]);
    json!({
        "row": {
            "row_salt": row_salt, "salts": salts, "query": row.query.as_deref(),
            "headers": row.headers.as_ref().map(|headers| headers.iter().map(header).collect::<Value>()),
            "body": row.body.as_ref().map(|body| hex(body)), "body_bytes": row.body_bytes,
            "body_sha256": row.body_sha256.map(|hash| hash.to_string()), "body_capture": row.body_capture.map(Capture::as_str),
            "parameters": row.parameters.as_deref(), "proof": row.proof.as_deref(), "erased": pairs(&row.erased),
        },
        "salts": by_field(&|name| json!(row.field_salt(name).map(|salt| salt.to_string()))),
        "commitments": by_field(&|name| json!(row.field_commitment(name).to_string())),
        "commitment": row.commitment().to_string(),
    })
}

#[test]
fn tree_roots_are_as_published() {
    let leaves: Vec<_> = (0_u8..9).map(|leaf| Hash::of(&[&[leaf]])).collect();
    let (mut tree, mut roots) = (Tree::default(), Vec::new());
    for leaf in &leaves {
        roots.push(tree.root().to_string());
        tree.push(&leaf.0);
    }
    roots.push(tree.root().to_string());
    check("tree.json", &json!({ "leaves": leaves.iter().map(Hash::to_string).collect::<Vec<_>>(), "roots": roots }));
}

#[test]
fn a_signed_note_is_as_published() {
    let mut chain = Chain::new(samples::ledger());
    let key = SigningKey::from_seed(&chain.ledger().origin(), &[7; 32]).unwrap();
    for record in samples::records() {
        chain.append(record.fields, record.time, &mut Vec::new());
    }
    let file = |table: Table, rows| PartFile {
        name: table.file_name(0),
        table,
        first_seq: 0,
        records: 3,
        rows,
        bytes: 1000 + rows,
        sha256: Hash::of(&[table.as_str().as_bytes()]).to_string(),
        key: None,
    };
    let manifest = Manifest {
        format: MANIFEST_FORMAT.into(),
        gateway: chain.ledger().gateway().to_string(),
        window: chain.ledger().window().to_string(),
        state: State::Sealed,
        records: chain.size(),
        head: chain.head().to_string(),
        counts: BTreeMap::from(["intent", "window_close", "window_open"].map(|kind| (kind.to_owned(), 1))),
        files: vec![file(Table::Records, 3), file(Table::Payloads, 1)],
        software: "vectors \"ü\"".into(),
    };
    let note = manifest.sign(chain.root(), &key).unwrap();
    let vkey = key.verifier().to_string();
    let seed = hex(&[7; 32]);
    check(
        "note.json",
        &json!({ "seed": seed, "vkey": vkey, "root": chain.root().to_string(), "manifest": manifest, "note": note }),
    );
}

fn check(name: &str, computed: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    if std::env::var_os("SEALGATE_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{computed:#}\n")).unwrap();
    }
    // Compared as values: the order of members is the business of whoever builds serde_json.
    let published = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(serde_json::from_str::<Value>(&published).unwrap(), *computed, "{name} is not what the code computes");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Kept as `vectors/make_statements.py` made them with `ssh-keygen`: its signatures are other ones each time.
#[test]
fn what_people_sign_is_as_published() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/statements.json")).unwrap();
    let text = |vector: &Value, name: &str| vector[name].as_str().unwrap().to_owned();
    for vector in vectors["statements"].as_array().unwrap() {
        let line = text(vector, "text");
        let taken = Statement::parse(&line).map(|statement| statement.to_text());
        assert_eq!(taken.is_ok(), vector["good"].as_bool().unwrap(), "{line}: {taken:?}");
        assert!(taken.is_err() || taken == Ok(Ok(line)));
    }
    let message = text(&vectors, "message");
    for vector in vectors["signatures"].as_array().unwrap() {
        let (name, signature) = (text(vector, "name"), text(vector, "signature"));
        let key = sshsig::check(&message, &signature, sshsig::NAMESPACE);
        assert_eq!(key.is_ok(), vector["good"].as_bool().unwrap(), "{name}: {key:?}");
        let Ok(key) = key else { continue };
        assert_eq!((key.to_string(), key.fingerprint()), (text(vector, "key"), text(vector, "fingerprint")), "{name}");
        assert_eq!(sshsig::canonical(&signature), Ok(signature.clone()), "{name}");
        assert_eq!(sshsig::canonical(&signature.replace('\n', "\r\n")), Ok(signature), "{name}");
    }
    for vector in vectors["allowed_signers"].as_array().unwrap() {
        let signers = AllowedSigners::parse(&text(vector, "file"));
        assert_eq!(signers.is_ok(), !vector["finds"].is_null(), "{vector}: {signers:?}");
        let Ok(signers) = signers else { continue };
        let key = PublicKey::parse(&text(vector, "key")).unwrap();
        let at = vector["at"].as_i64().unwrap() * 1_000_000;
        let found = signers.finds(&text(vector, "principal"), &key, &text(vector, "namespace"), at);
        assert_eq!(found.is_ok(), vector["finds"].as_bool().unwrap(), "{vector}: {found:?}");
    }
}
