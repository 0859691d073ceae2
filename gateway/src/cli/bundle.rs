//! What a proof shows, for people and for programs: the end of `sealgate verify` where it is given a file.
//!
//! Nothing of a bundle is printed that does not hold. The words of a record are another party's: what could move a terminal's
//! cursor is escaped.

use super::{Failure, Outcome, USAGE, anchors::Trusted, people, verify::plain};
use base64::{Engine, engine::general_purpose::STANDARD};
use sealgate_schema::{
    Record, Text,
    proof::{Field, PROOF_BYTES_MAX, ProofReport, Shown, Value, check},
    seal::State,
    verify::{Asked, Level, Verdict},
};
use serde_json::{Value as Json, json};
use std::{fs::File, io::Read as _, path::Path, process::ExitCode};

const REFUSED: u8 = 1;
const INCOMPLETE: u8 = 2;

/// Checks a proof, and prints what it shows.
pub(super) fn verify(path: &Path, asked: &Asked, trusted: &Trusted, sealed: bool, as_json: bool) -> Outcome {
    if asked.require_approval {
        let why = "a proof shows one record, and not what a session rests on: leave out --require-approval";
        return Err(Failure::new(USAGE, why));
    }
    let mut report = check(&read(path)?, asked);
    trusted.check_proof(&mut report)?;
    let code = exit_code(&report, asked, sealed);
    match as_json {
        true => println!("{}", serde_json::to_string_pretty(&json_report(&report, path, code))?),
        false => print(&report, asked, path, code),
    }
    Ok(ExitCode::from(code))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than is taken: the check then says that it is too large.
    let most = PROOF_BYTES_MAX as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|error| Failure::new(USAGE, format!("{}: {error}", path.display())))?;
    Ok(bytes)
}

fn exit_code(report: &ProofReport, asked: &Asked, sealed: bool) -> u8 {
    match &report.shown {
        None => REFUSED,
        Some(shown) if !asked.pins.is_empty() && !shown.pinned => INCOMPLETE,
        Some(shown) if sealed && shown.state == State::Open => INCOMPLETE,
        Some(_) => 0,
    }
}

/// The fields of a payload of which this holds, by name.
pub(super) fn field_names(shown: &Shown, wanted: impl Fn(&Field) -> bool) -> String {
    let names: Vec<_> = shown.payload.iter().filter(|(_, field)| wanted(field)).map(|(name, _)| *name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn print(report: &ProofReport, asked: &Asked, path: &Path, code: u8) {
    let mark = if code == 0 { '✓' } else { '✗' };
    match &report.shown {
        Some(shown) => print_shown(shown, mark, report.verdict(Level::L4) == Verdict::Pass),
        None => println!("{mark} {}", path.display()),
    }
    for level in Level::ALL {
        println!("    {level:?} {:<26} {}", title(level), report.verdict(level));
    }
    report.finding.iter().for_each(|finding| println!("    ✗ {finding}"));
    println!("\n{}", verdict(report, asked, code));
}

/// What a level covers in a proof.
fn title(level: Level) -> &'static str {
    match level {
        Level::L0 => "bundle and signed note",
        Level::L1 => "structure and statistics",
        Level::L2 => "the records shown",
        Level::L3 => "windows log",
        Level::L4 => "witnesses and timestamps",
        Level::L5 => "completeness",
        Level::L6 => "approvals by people",
    }
}

fn print_shown(shown: &Shown, mark: char, witnessed: bool) {
    let state = match shown.state {
        State::Sealed => format!("sealed with {} records", shown.records),
        State::Open => format!("open, {} records signed so far", shown.records),
    };
    println!("{mark} record {} of window {} · {} · {state}", shown.record.seq, shown.ledger.window(), shown.ledger.gateway());
    print_record("", &shown.record);
    if let Some(vouched) = &shown.vouched {
        println!("  its statement: {}", plain(&people::signature(vouched)));
    }
    if let Some(intent) = &shown.approval.intent {
        print_record("the call it belongs to", intent);
    }
    match (&shown.approval.session_open, shown.session()) {
        (Some(open), _) => print_record("the session was opened", open),
        (None, Some(session)) if shown.record.fields.kind.as_str() != "session_open" => {
            println!("  the opening of session {} is not shown", plain(session));
        }
        _ => {}
    }
    if shown.record.seq != 0 {
        print_record("the window was opened", &shown.approval.window_open);
    }
    print_payload(shown);
    println!("  windows log: {} entries · root {}…", shown.size, shown.log_root.to_string().get(..16).unwrap_or_default());
    if shown.cosignatures > 0 && !witnessed {
        println!("  signature lines by others on its checkpoint, not checked here: {}", shown.cosignatures);
    }
}

fn print_record(title: &str, record: &Record) {
    if !title.is_empty() {
        println!("  {title}: record {}", record.seq);
    }
    for (name, value) in columns(record) {
        let text = match value {
            Json::String(text) => plain(&text),
            Json::Array(list) => list.iter().filter_map(Json::as_str).map(plain).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        println!("    {name:<19} {text}");
    }
}

fn print_payload(shown: &Shown) {
    if shown.payload.is_empty() {
        if shown.record.fields.payload_hash.is_some() {
            println!("  its payload is not shown");
        }
        return;
    }
    println!("  payload");
    for (name, field) in &shown.payload {
        match field {
            Field::Value(value) => print_value(name, value),
            Field::Empty => println!("    {name:<19} (no value)"),
            Field::Hidden => println!("    {name:<19} (hidden)"),
        }
    }
}

fn print_value(name: &str, value: &Value) {
    let lines: Vec<String> = match value {
        Value::Text(text) => text.lines().map(plain).collect(),
        Value::Headers(headers) => headers.iter().map(|(name, value)| format!("{}: {}", plain(name), plain(value))).collect(),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.lines().map(plain).collect(),
            Err(_) => vec![format!("{} bytes that are no text, see --json", bytes.len())],
        },
        Value::Number(number) => vec![number.to_string()],
        Value::Hash(hash) => vec![hash.to_string()],
    };
    for (place, line) in lines.iter().enumerate() {
        println!("    {:<19} {line}", if place == 0 { name } else { "" });
    }
    if lines.is_empty() {
        println!("    {name:<19} (empty)");
    }
}

fn verdict(report: &ProofReport, asked: &Asked, code: u8) -> String {
    let Some(shown) = &report.shown else {
        return "REFUSED: what is marked ✗ does not hold, and nothing of it is shown".to_owned();
    };
    let log = match (asked.pins.is_empty(), shown.pinned) {
        (_, true) => "L3 holds from the pinned checkpoint on.",
        (true, false) => "L3 is not checked: without --pin, a log that was forked for this proof would not be noticed.",
        (false, false) => "It does not lead to the pinned checkpoint: ask for one made with `sealgate prove --pin`.",
    };
    format!(
        "{}L0 and L2 hold for record {} and what is shown with it.{} {log}{} Not shown: other records, and what the log says after entry {}.",
        if code == INCOMPLETE { "INCOMPLETE: " } else { "" },
        shown.record.seq,
        if shown.state == State::Open { " The window was not sealed yet." } else { "" },
        if report.verdict(Level::L4) == Verdict::Pass { " L4 holds: the policy's witnesses saw that log." } else { "" },
        shown.size.saturating_sub(1)
    )
}

/// The columns of a record that have a value, in the order of the format.
fn columns(record: &Record) -> Vec<(&'static str, Json)> {
    let f = &record.fields;
    let text = |value: &Option<Text>| value.as_deref().map_or(Json::Null, Json::from);
    let list = |values: &[Text]| match values {
        [] => Json::Null,
        values => values.iter().map(Text::as_str).collect(),
    };
    let time = jiff::Timestamp::from_microsecond(record.time).map_or_else(|_| record.time.to_string(), |time| time.to_string());
    let all = [
        ("time", json!(time)),
        ("kind", json!(f.kind.as_str())),
        ("call", json!(f.call)),
        ("session", text(&f.session)),
        ("principal", text(&f.principal)),
        ("principal_kind", text(&f.principal_kind)),
        ("acting_for", text(&f.acting_for)),
        ("attribution", text(&f.attribution)),
        ("credential", text(&f.credential)),
        ("credential_chain", list(&f.credential_chain)),
        ("client_addr", text(&f.client_addr)),
        ("user_agent", text(&f.user_agent)),
        ("provider", text(&f.provider)),
        ("account", text(&f.account)),
        ("region", text(&f.region)),
        ("service", text(&f.service)),
        ("operation", text(&f.operation)),
        ("access", text(&f.access)),
        ("resources", list(&f.resources)),
        ("method", text(&f.method)),
        ("host", text(&f.host)),
        ("path", text(&f.path)),
        ("decision", text(&f.decision)),
        ("rules", list(&f.rules)),
        ("status", json!(f.status)),
        ("error_code", text(&f.error_code)),
        ("upstream_request_id", text(&f.upstream_request_id)),
        ("duration_us", json!(f.duration_us)),
        ("request_bytes", json!(f.request_bytes)),
        ("response_bytes", json!(f.response_bytes)),
        ("detail", text(&f.detail)),
        ("payload_hash", json!(f.payload_hash.map(|hash| hash.to_string()))),
    ];
    all.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

fn json_report(report: &ProofReport, path: &Path, code: u8) -> Json {
    let levels: serde_json::Map<_, _> =
        Level::ALL.into_iter().map(|level| (format!("{level:?}"), json!(report.verdict(level).to_string()))).collect();
    let finding = report.finding.as_ref().map(|finding| {
        json!({ "level": format!("{:?}", finding.level), "seq": finding.seq, "place": finding.place, "what": finding.what })
    });
    json!({
        "bundle": path.display().to_string(),
        "levels": levels,
        "findings": finding.into_iter().collect::<Vec<_>>(),
        "shown": report.shown.as_ref().map(json_shown),
        "exit": code,
    })
}

fn json_shown(shown: &Shown) -> Json {
    let record = |record: &Record| {
        let mut object: serde_json::Map<_, _> = columns(record).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        object.insert("seq".to_owned(), json!(record.seq));
        Json::Object(object)
    };
    let field = |(name, field): &(&str, Field)| match field {
        Field::Value(value) => json!({ "field": name, "shown": "value", "value": json_value(value) }),
        Field::Empty => json!({ "field": name, "shown": "empty" }),
        Field::Hidden => json!({ "field": name, "shown": "hidden" }),
    };
    json!({
        "gateway": shown.ledger.gateway().as_str(),
        "window": shown.ledger.window().as_str(),
        "state": shown.state,
        "records": shown.records,
        "root": shown.root.to_string(),
        "hash": shown.hash.to_string(),
        "record": record(&shown.record),
        "statement_by": shown.vouched.as_ref().map(people::vouched),
        "intent": shown.approval.intent.as_ref().map(record),
        "session_open": shown.approval.session_open.as_ref().map(record),
        "window_open": record(&shown.approval.window_open),
        "payload": shown.payload.iter().map(field).collect::<Vec<_>>(),
        "log": {
            "size": shown.size,
            "root": shown.log_root.to_string(),
            "key": shown.identity.to_string(),
            "cosignatures": shown.cosignatures,
            "pinned": shown.pinned,
        },
    })
}

/// A value as JSON: bytes as base64, a hash as hex.
fn json_value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Headers(headers) => headers.iter().map(|(name, value)| json!([name.as_str(), value.as_str()])).collect(),
        Value::Bytes(bytes) => json!(STANDARD.encode(bytes)),
        Value::Number(number) => json!(number),
        Value::Hash(hash) => json!(hash.to_string()),
    }
}
