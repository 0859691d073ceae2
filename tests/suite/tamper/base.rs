//! The evidence that is tampered with: one folder forged with all keys at hand, one that a real gateway wrote.

use super::world::{Gateway, World, text};
use sealgate_schema::{
    Hash, LedgerId, Payload,
    log::{Entry, Event, KeyAction, RedactedFile, Redaction, RedactionAction, Successor, TIMESTAMP_NAME, origin},
    note::SigningKey,
    parquet::{write_payloads, write_records},
    seal::{Manifest, NOTE_NAME, PartFile, Table},
};
use sealgate_tests::{
    client::{Client, Speak, caller_identity},
    forge::{
        log::{Identity, log_files},
        manifest,
        people::{people, signers},
        random::Random,
        story::{Rows, erase, story},
    },
    gateway::TestGateway,
    programs::sealgate,
    upstream::{Offer, Upstream, sts},
};
use std::{collections::BTreeMap, fs, path::Path, process::Command, sync::Arc};

const HOST: &str = "sts.us-east-1.amazonaws.com";
/// The field that the forged evidence has erased.
pub(super) const ERASED: &str = "headers";

/// A window as it was made, with its entries of the log.
struct Made {
    ledger: LedgerId,
    rows: Rows,
    files: BTreeMap<String, Vec<u8>>,
    manifest: Manifest,
    key: Arc<SigningKey>,
    events: Vec<Event>,
}

/// Forged evidence, the same bytes each time: `gw-a` with the sealed windows CHG-1 (three parts, a restart), CHG-2 (a field
/// erased, a timestamp, held), CHG-4 (payloads removed), CHG-5 (sessions that people approved), the open window CHG-3, and a change of the identity key; `gw-b` with one.
pub(super) fn forged() -> World {
    let mut random = Random::new(41);
    let one = made(&mut random, "gw-a", "CHG-1", 24, true, &[8, 16]);
    let two = made(&mut random, "gw-a", "CHG-2", 12, true, &[]);
    let two = after(&mut random, two);
    let three = made(&mut random, "gw-a", "CHG-3", 10, false, &[5]);
    let four = without_payloads(made(&mut random, "gw-a", "CHG-4", 10, true, &[]));
    let five = LedgerId::new("gw-a", "CHG-5").unwrap();
    let five = made_of(&five, people(&five), true, &[]);
    let identities = Arc::new(vec![identity("gw-a", 1, 1), identity("gw-a", 2, 11)]);
    let mut events = vec![adopt(&identities[0])];
    let mut later = one.events.clone().split_off(4);
    events.extend(one.events[..4].iter().cloned());
    events.extend(three.events[..2].iter().cloned());
    later.extend(three.events[2..].iter().cloned());
    let mut others = [two.events.clone(), four.events.clone()].concat();
    let rest = others.split_off(10 - events.len());
    events.extend(others);
    events.push(adopt(&identities[1]));
    events.extend(rest);
    events.extend(five.events.iter().cloned());
    events.extend(later);
    let mut files = folder("gw-a", vec![&one, &two, &three, &four, &five], &events, &identities);
    let other = made(&mut random, "gw-b", "CHG-1", 8, true, &[]);
    let others = Arc::new(vec![identity("gw-b", 3, 1)]);
    files.extend(folder("gw-b", vec![&other], &[vec![adopt(&others[0])], other.events.clone()].concat(), &others));
    let keys = vec![identities[1].key.verifier().to_string(), others[0].key.verifier().to_string()];
    let mut world = World::read(files, keys);
    world.signers = Some(signers());
    steal(&mut world.gateways[0], identities, vec![one, two, three, four, five]);
    steal(&mut world.gateways[1], others, vec![other]);
    world
}

fn steal(gateway: &mut Gateway, identities: Arc<Vec<Identity>>, windows: Vec<Made>) {
    gateway.identities = identities;
    for made in windows {
        gateway.windows.get_mut(made.ledger.window().as_str()).unwrap().key = Some(made.key);
    }
}

fn identity(gateway: &str, seed: u8, from: u64) -> Identity {
    Identity { from, key: SigningKey::from_seed(&origin(gateway), &[seed; 32]).unwrap() }
}

fn adopt(identity: &Identity) -> Event {
    let key = identity.key.verifier().to_string();
    Event::Key { action: KeyAction::Adopt, key, from: identity.from, reason: "a test".into() }
}

/// All files of one gateway.
fn folder(gateway: &str, windows: Vec<&Made>, events: &[Event], identities: &[Identity]) -> BTreeMap<String, Vec<u8>> {
    let entry = |(index, event): (usize, &Event)| Entry { time: 1_790_000_000_000_000 + index as i64, event: event.clone() };
    let entries: Vec<Vec<u8>> = events.iter().enumerate().map(|at| entry(at).encode().unwrap()).collect();
    let log = log_files(gateway, &entries, identities).into_iter().map(|(path, bytes)| (format!("{gateway}/_log/{path}"), bytes));
    let ledgers = windows.into_iter().flat_map(|made| {
        let folder = format!("{gateway}/{}", made.ledger.window());
        made.files.iter().map(move |(name, bytes)| (format!("{folder}/{name}"), bytes.clone()))
    });
    log.chain(ledgers).collect()
}

/// A window in parts that begin at 0 and at `cuts`; each cut after the first is a restart with a new key.
fn made(random: &mut Random, gateway: &str, window: &str, records: usize, sealed: bool, cuts: &[usize]) -> Made {
    let ledger = LedgerId::new(gateway.to_owned(), window.to_owned()).unwrap();
    let rows = story(random, &ledger, records, sealed);
    made_of(&ledger, rows, sealed, cuts)
}

fn made_of(ledger: &LedgerId, rows: Rows, sealed: bool, cuts: &[usize]) -> Made {
    let window = ledger.window().as_str();
    let total = rows.records.len();
    let starts: Vec<usize> = std::iter::once(0).chain(cuts.iter().copied()).collect();
    let ends = starts[1..].iter().copied().chain([total]);
    let (mut files, mut parts) = (BTreeMap::new(), Vec::new());
    for (start, end) in starts.iter().copied().zip(ends) {
        part(ledger, &rows, start, end, &mut files, &mut parts);
    }
    let restarts: Vec<usize> = starts.iter().copied().filter(|start| *start == 0 || (sealed && *start > 8)).collect();
    let key = |start: usize| window_key(ledger, start);
    let manifest = manifest(ledger, &rows, parts, sealed);
    let signer = key(*restarts.last().unwrap());
    let note = manifest.sign(rows.roots[total], &signer).unwrap();
    let root = |records: usize| rows.roots[records].to_string();
    let mut events = Vec::new();
    for at in 0..=total {
        if restarts.contains(&at) {
            let key = key(at).verifier().to_string();
            events.push(Event::Open { window: window.into(), key, records: at as u64, root: root(at) });
        }
        if at % 5 == 3 || (at == total && !sealed) {
            events.push(Event::Head { window: window.into(), records: at as u64, root: root(at) });
        }
    }
    if sealed {
        let note = Some(Hash::of(&[note.as_bytes()]).to_string());
        events.push(Event::Seal { window: window.into(), records: total as u64, root: root(total), note });
    }
    files.insert(NOTE_NAME.to_owned(), note.into());
    Made { ledger: ledger.clone(), rows, files, manifest, key: Arc::new(signer), events }
}

/// The key that signs for a window from so many records on.
pub(super) fn window_key(ledger: &LedgerId, start: usize) -> SigningKey {
    let seed = Hash::of(&[ledger.origin().as_bytes(), &[start as u8]]).0;
    SigningKey::from_seed(&ledger.origin(), &seed).unwrap()
}

fn part(
    ledger: &LedgerId,
    rows: &Rows,
    start: usize,
    end: usize,
    files: &mut BTreeMap<String, Vec<u8>>,
    parts: &mut Vec<PartFile>,
) {
    let payloads: Vec<(u64, Payload)> =
        rows.payloads.iter().filter(|(seq, _)| (start..end).contains(&(*seq as usize))).cloned().collect();
    assert!(!payloads.is_empty(), "each part has payloads");
    let first_seq = start as u64;
    for (table, count, bytes) in [
        (Table::Records, end - start, write_records(ledger, first_seq, &rows.records[start..end]).unwrap()),
        (Table::Payloads, payloads.len(), write_payloads(ledger, first_seq, &payloads).unwrap()),
    ] {
        let name = table.file_name(first_seq);
        let sha256 = Hash::of(&[&bytes]).to_string();
        let (records, rows, length) = ((end - start) as u64, count as u64, bytes.len() as u64);
        parts.push(PartFile { name: name.clone(), table, first_seq, records, rows, bytes: length, sha256, key: None });
        files.insert(name, bytes);
    }
}

fn redaction(made: &Made, action: RedactionAction, fields: BTreeMap<String, u64>, successor: Option<Successor>) -> Event {
    let file = made.manifest.files.iter().find(|file| file.table == Table::Payloads).unwrap();
    let files = vec![RedactedFile { name: file.name.clone(), sha256: file.sha256.clone(), successor }];
    let (window, authority, reason) = (made.manifest.window.clone(), "dpo".into(), "a test".into());
    Event::Redaction(Redaction { window, action, authority, reason, fields, files })
}

/// A field is erased in the first two rows that have it; then a timestamp, and a hold that stands.
fn after(random: &mut Random, mut made: Made) -> Made {
    let (mut rows, mut erased) = (made.rows.payloads.clone(), 0);
    for (_, row) in &mut rows {
        if row.field_commitment(ERASED) != Hash::ZERO && erased < 2 {
            *row = erase(row, &[ERASED]);
            erased += 1;
        }
    }
    assert_eq!(erased, 2);
    let bytes = write_payloads(&made.ledger, 0, &rows).unwrap();
    let name = Table::Payloads.revision_name(0, 1);
    let successor = Successor { name: name.clone(), sha256: Hash::of(&[&bytes]).to_string(), bytes: bytes.len() as u64 };
    made.files.remove(&Table::Payloads.file_name(0));
    made.files.insert(name, bytes);
    let stamp = random.bytes(60);
    made.events.push(redaction(&made, RedactionAction::Erase, BTreeMap::from([(ERASED.to_owned(), 2)]), Some(successor)));
    made.events.push(Event::Timestamp { window: "CHG-2".into(), sha256: Hash::of(&[&stamp]).to_string() });
    made.events.push(Event::Hold { window: "CHG-2".into(), set: true, authority: "counsel".into(), reason: "case".into() });
    made.files.insert(TIMESTAMP_NAME.to_owned(), stamp);
    made
}

fn without_payloads(mut made: Made) -> Made {
    made.files.remove(&Table::Payloads.file_name(0));
    made.events.push(redaction(&made, RedactionAction::Payloads, BTreeMap::new(), None));
    made
}

/// What a real gateway wrote: CHG-1 sealed in parts with a restart between, CHG-2 sealed, CHG-3 open, the identity key rotated.
pub(super) async fn written() -> World {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    calls(&gateway, &session, 3).await;
    gateway.running().gateway.ledger.cut().await.unwrap();
    calls(&gateway, &session, 2).await;
    let rotated = Command::new(sealgate()).arg("--home").arg(gateway.home()).args(["keys", "rotate", "--reason", "test"]).output();
    assert!(rotated.unwrap().status.success());
    gateway.stop().await;
    gateway.start().await;
    calls(&gateway, &session, 2).await;
    for window in ["CHG-2", "CHG-3"] {
        let session = gateway.open_session(window).await;
        calls(&gateway, &session, 2).await;
    }
    for window in ["CHG-1", "CHG-2"] {
        gateway.running().gateway.sessions.close_window(window, "test").await.unwrap();
    }
    gateway.stop().await;
    let key = fs::read_to_string(gateway.home().join("keys/gateway.vkey")).unwrap();
    let mut files = BTreeMap::new();
    collect(&gateway.home().join("evidence"), "", &mut files);
    World::read(files, vec![key.trim().to_owned()])
}

async fn calls(gateway: &TestGateway, session: &sealgate_policies::session::Session, count: usize) {
    let mut client = Client::open(gateway, session, HOST, Speak::Http1).await;
    for _ in 0..count {
        assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
    }
}

/// All files below a folder, by path.
fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", text(path.file_name().unwrap().as_encoded_bytes()));
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// A small package: one sealed window, and the log.
pub(super) fn small() -> World {
    let made = made(&mut Random::new(5), "gw-s", "CHG-1", 6, true, &[]);
    let identities = [identity("gw-s", 4, 1)];
    let files = folder("gw-s", vec![&made], &[vec![adopt(&identities[0])], made.events.clone()].concat(), &identities);
    World::read(files, vec![identities[0].key.verifier().to_string()])
}
