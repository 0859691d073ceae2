//! The windows log: its files, its entries, its grammar, its keys.

use super::{
    table::{Case, Caught, Tampering, all, always, line, other, two},
    world::{Gateway, Holds, World},
};
use sealgate_schema::{
    Hash,
    log::{CHECKPOINT_NAME, Entry, Event, KeyAction, Redaction, RedactionAction, origin},
    merkle::{empty_root, leaf_hash},
    note::SigningKey,
    verify::Level::{L3, L5},
};
use sealgate_tests::forge::log::{Identity, checkpoint_text, log_files};
use std::collections::BTreeMap;

const LOG: [Case; 1] = [all(Holds::Nothing, L3)];
/// `verify.sql` knows neither signatures nor the order of entries.
const SIGNED: [Case; 1] = [two(Holds::IdentityKey, L3)];
const FORK: [Case; 1] = [other(Holds::IdentityKey, Caught::WithPin)];

pub(super) fn tamperings() -> Vec<Tampering> {
    let mut lines = files();
    lines.extend(entries());
    lines.extend(checkpoints());
    lines.extend(handovers());
    lines.extend(signed());
    lines.extend(grammar());
    lines
}

/// Paths of the log's files that are meant.
fn paths(world: &World, wanted: &str) -> Vec<String> {
    world.below("_log").into_iter().filter(|path| path.contains(wanted)).collect()
}

fn files() -> Vec<Tampering> {
    let each = |what: &str, wanted: &'static str, change: fn(&mut World, &str)| {
        line(what, &LOG, move |world| {
            let Some(path) = paths(world, wanted).first().cloned() else { return false };
            change(world, &path);
            true
        })
    };
    let remove = |world: &mut World, path: &str| drop(world.files.remove(path));
    let flip = |world: &mut World, path: &str| world.files.get_mut(path).unwrap()[20] ^= 1;
    vec![
        each("the log's entries are gone", "/tile/entries/", remove),
        each("the log's tile of hashes is gone", "/tile/0/", remove),
        each("the log's checkpoint is gone", "/checkpoint", remove),
        each("a bit of the log's entries is flipped", "/tile/entries/", flip),
        each("a bit of the log's tile of hashes is flipped", "/tile/0/", flip),
        each("a bit of the log's checkpoint is flipped", "/checkpoint", flip),
        each("the log's entries have a byte more", "/tile/entries/", |world, path| world.files.get_mut(path).unwrap().push(0)),
        always("a full tile that the log's size does not call for", &LOG, |world| {
            let path = world.path("_log", "tile/0/000");
            world.files.insert(path, vec![0; 8192]);
        }),
        always("a tile of a size that the log had before", &LOG, |world| {
            let path = world.path("_log", "tile/0/000.p/1");
            let hash = leaf_hash(&world.gateways[0].entries[0]);
            world.files.insert(path, hash.0.to_vec());
        }),
        always("a stray file in the log's folder", &LOG, |world| {
            let path = world.path("_log", "notes.txt");
            world.files.insert(path, b"x".to_vec());
        }),
        always("a cosigned checkpoint that is none", &[two(Holds::Nothing, L3)], |world| {
            let path = world.path("_log", "cosigned");
            world.files.insert(path, b"x".to_vec());
        }),
        always("the log is gone", &LOG, |world| world.remove("_log")),
    ]
}

/// Entries changed and all tiles made again, without a key.
fn entries() -> Vec<Tampering> {
    vec![
        always("an entry has another time", &LOG, |world| {
            let bytes = &mut world.gateway().entries[1];
            let mut entry = Entry::decode(bytes).unwrap();
            entry.time += 1;
            *bytes = entry.encode().unwrap();
        }),
        always("an entry is taken out", &LOG, |world| drop(world.gateway().entries.remove(2))),
        always("the last entry is taken out", &LOG, |world| drop(world.gateway().entries.pop())),
        always("an entry is there twice", &LOG, |world| {
            let entry = world.gateway().entries[2].clone();
            world.gateway().entries.insert(2, entry);
        }),
        always("two entries are exchanged", &LOG, |world| world.gateway().entries.swap(1, 2)),
        always("a head names fewer records", &LOG, |world| {
            world.gateway().entry(|event| match event {
                Event::Head { records, .. } => {
                    *records -= 1;
                    true
                }
                _ => false,
            });
        }),
    ]
}

fn checkpoints() -> Vec<Tampering> {
    let signed_by = |what: &str, case: Case, key: fn(&Gateway) -> Option<SigningKey>| {
        line(what, &[case], move |world| {
            let Some(key) = key(world.gateway()) else { return false };
            let leaves: Vec<Hash> = world.gateway().entries.iter().map(|entry| leaf_hash(entry)).collect();
            let text = checkpoint_text(&world.gateways[0].name, &leaves, leaves.len() as u64);
            *world.file("_log", CHECKPOINT_NAME) = key.sign(&text).into();
            true
        })
    };
    vec![
        line("the log has another gateway's checkpoint", &LOG, |world| {
            let Some(other) = world.gateways.get(1).map(|other| format!("{}/_log/checkpoint", other.name)) else { return false };
            *world.file("_log", CHECKPOINT_NAME) = world.files[&other].clone();
            true
        }),
        line("two gateways have each other's logs", &LOG, |world| exchange(world, "/_log/")),
        line("two gateways have each other's folders", &LOG, |world| exchange(world, "/")),
        line("the log has an older checkpoint of its own", &LOG, |world| {
            let identities = world.gateways[0].identities.clone();
            let Some(identity) = identities.last() else { return false };
            let leaves: Vec<Hash> = world.gateway().entries.iter().map(|entry| leaf_hash(entry)).collect();
            let size = leaves.len() as u64 - 1;
            let text = checkpoint_text(&world.gateways[0].name, &leaves, size);
            *world.file("_log", CHECKPOINT_NAME) = identity.key.sign(&text).into();
            true
        }),
        signed_by("the checkpoint is signed by a key that nobody adopted", two(Holds::Nothing, L3), |gateway| {
            SigningKey::from_seed(&origin(&gateway.name), &[50; 32]).ok()
        }),
        signed_by("the checkpoint is signed by the identity key before", two(Holds::Nothing, L3), |gateway| {
            (gateway.identities.len() > 1).then(|| SigningKey::from_seed(&origin("gw-a"), &[1; 32]).unwrap())
        }),
        always("the checkpoint has its signature line twice", &[two(Holds::Nothing, L3)], |world| {
            let bytes = world.file("_log", CHECKPOINT_NAME);
            let note = String::from_utf8(bytes.clone()).unwrap();
            bytes.extend(note[note.rfind("\n\n").unwrap() + 2..].bytes());
        }),
    ]
}

/// What stands below one gateway's folder and another's, in each other's place.
fn exchange(world: &mut World, below: &str) -> bool {
    let [one, other] = world.gateways.as_slice() else { return false };
    let (one, other) = (format!("{}{below}", one.name), format!("{}{below}", other.name));
    let moved = |path: String| match (path.strip_prefix(&one), path.strip_prefix(&other)) {
        (Some(rest), _) => format!("{other}{rest}"),
        (_, Some(rest)) => format!("{one}{rest}"),
        _ => path,
    };
    world.files = std::mem::take(&mut world.files).into_iter().map(|(path, bytes)| (moved(path), bytes)).collect();
    true
}

fn handovers() -> Vec<Tampering> {
    let rewritten = |what: &str, change: fn(&str, &[Identity]) -> Option<String>| {
        line(what, &[two(Holds::Nothing, L3)], move |world| {
            let path = paths(world, "/handover-").remove(0);
            let note = String::from_utf8(world.files[&path].clone()).unwrap();
            let identities = world.gateways[0].identities.clone();
            let Some(changed) = change(&note, &identities) else { return false };
            world.files.insert(path, changed.into());
            true
        })
    };
    vec![
        always("a handover is gone", &LOG, |world| {
            let path = paths(world, "/handover-").remove(0);
            world.files.remove(&path);
        }),
        always("a handover that never was", &LOG, |world| {
            let bytes = world.files[&paths(world, "/handover-")[0]].clone();
            let path = world.path("_log", "handover-000000000003");
            world.files.insert(path, bytes);
        }),
        rewritten("a handover lacks the line of the key before it", |note, _| {
            let (text, lines) = note.split_at(note.rfind("\n\n").unwrap() + 2);
            Some(format!("{text}{}\n", lines.lines().nth(1).unwrap()))
        }),
        rewritten("a handover lacks the line of the key that it adopts", |note, _| {
            let (text, lines) = note.split_at(note.rfind("\n\n").unwrap() + 2);
            Some(format!("{text}{}\n", lines.lines().next().unwrap()))
        }),
        rewritten("a handover has its two lines in the other order", |note, _| {
            let (text, lines) = note.split_at(note.rfind("\n\n").unwrap() + 2);
            let mut lines = lines.lines();
            let (first, second) = (lines.next().unwrap(), lines.next().unwrap());
            Some(format!("{text}{second}\n{first}\n"))
        }),
        rewritten("a handover is signed by the new key and a stranger", |note, identities| {
            let text = &note[..note.rfind("\n\n").unwrap() + 1];
            let stranger = SigningKey::from_seed("sealgate/gw-a", &[50; 32]).unwrap();
            Some(stranger.sign(text) + &identities.last()?.key.line(text))
        }),
        rewritten("a handover is of another size", |_, identities| {
            let text = checkpoint_text("gw-a", &[leaf_hash(b"x")], 1);
            Some(identities.first()?.key.sign(&text) + &identities.last()?.key.line(&text))
        }),
        line("a thief of the first identity key takes the log over with a key of their own", &[two(Holds::Nothing, L3)], |world| {
            let identities = world.gateways[0].identities.clone();
            if identities.len() < 2 {
                return false;
            }
            let name = world.gateways[0].name.clone();
            let thief = SigningKey::from_seed(&origin(&name), &[51; 32]).unwrap();
            let key = thief.verifier().to_string();
            let first = SigningKey::from_seed(&origin(&name), &[1; 32]).unwrap();
            world.gateway().entry(|event| match event {
                Event::Key { key: adopted, from: 11, .. } => {
                    adopted.clone_from(&key);
                    true
                }
                _ => false,
            });
            let identities = [Identity { from: 1, key: first }, Identity { from: 11, key: thief }];
            place_log(world, &identities);
            true
        }),
    ]
}

/// Writes the log's files under these identity keys, and nothing after it.
fn place_log(world: &mut World, identities: &[Identity]) {
    let (name, entries) = (world.gateways[0].name.clone(), world.gateways[0].entries.clone());
    world.remove("_log");
    let files = log_files(&name, &entries, identities);
    world.files.extend(files.into_iter().map(|(path, bytes)| (format!("{name}/_log/{path}"), bytes)));
    world.gateways[0].taken_over();
}

/// What the identity key signs again: logs that hold in themselves, and are not those that a pin knows.
fn signed() -> Vec<Tampering> {
    let change = |what: &str, cases: &[Case], change: fn(&mut Gateway)| always(what, cases, move |world| change(world.gateway()));
    vec![
        change("the log forks: an entry has another time", &FORK, |gateway| {
            let mut entry = Entry::decode(&gateway.entries[1]).unwrap();
            entry.time += 1;
            gateway.entries[1] = entry.encode().unwrap();
        }),
        change("the log forks: a head is taken out", &FORK, |gateway| {
            let place = gateway.place(|event| matches!(event, Event::Head { window, records: 18, .. } if window == "CHG-1"));
            // After the entry that adopts the second key, whose number is in it.
            assert!(place > 10);
            gateway.entries.remove(place);
        }),
        change("the log is rolled back to before its last entry", &FORK, |gateway| drop(gateway.entries.pop())),
        always("a window is gone, and its entries too", &FORK, |world| {
            world.remove("CHG-1");
            let gateway = world.gateway();
            let of = |bytes: &Vec<u8>| Entry::decode(bytes).unwrap().event.window() == Some("CHG-1");
            // The second key is adopted where it was: others' entries move before it.
            let adopted = gateway.entries.remove(10);
            gateway.entries.retain(|bytes| !of(bytes));
            gateway.entries.insert(10, adopted);
            gateway.windows.remove("CHG-1");
        }),
        change("a hold is gone from the log", &FORK, |gateway| {
            let place = gateway.place(|event| matches!(event, Event::Hold { .. }));
            gateway.entries.remove(place);
        }),
        change("a head has another root", &[all(Holds::IdentityKey, L3)], |gateway| {
            gateway.entry(|event| match event {
                Event::Head { root, window, .. } if window == "CHG-1" => {
                    *root = Hash::ZERO.to_string();
                    true
                }
                _ => false,
            });
        }),
        change("a restart has another root", &[all(Holds::IdentityKey, L3)], |gateway| {
            gateway.entry(|event| match event {
                Event::Open { root, records: 16, .. } => {
                    *root = Hash::ZERO.to_string();
                    true
                }
                _ => false,
            });
        }),
        change("a seal has another root", &[all(Holds::IdentityKey, L3)], |gateway| {
            seal(gateway, |root| *root = Hash::ZERO.to_string())
        }),
        change("an open window's head names records that are not here", &[all(Holds::IdentityKey, L5)], |gateway| {
            gateway.append(Event::Head { window: "CHG-3".into(), records: 100, root: Hash::ZERO.to_string() });
        }),
        change("a seal is gone from the log", &[all(Holds::IdentityKey, L5)], |gateway| {
            let place = gateway.place(|event| matches!(event, Event::Seal { window, .. } if window == "CHG-1"));
            gateway.entries.remove(place);
        }),
        change("a window that is not here is opened in the log", &[all(Holds::IdentityKey, L5)], |gateway| {
            gateway.append(open(gateway, "CHG-8", 60, 0));
        }),
    ]
}

fn seal(gateway: &mut Gateway, change: fn(&mut String)) {
    gateway.entry(|event| match event {
        Event::Seal { window, root, .. } if window == "CHG-1" => {
            change(root);
            true
        }
        _ => false,
    });
}

fn open(gateway: &Gateway, window: &str, seed: u8, records: u64) -> Event {
    let key = SigningKey::from_seed(&format!("{}/{window}", origin(&gateway.name)), &[seed; 32]).unwrap().verifier().to_string();
    Event::Open { window: window.into(), key, records, root: empty_root().to_string() }
}

fn identity(name: &str, seed: u8, action: KeyAction, from: u64) -> Event {
    let key = SigningKey::from_seed(name, &[seed; 32]).unwrap().verifier().to_string();
    Event::Key { action, key, from, reason: "a test".into() }
}

fn redaction(window: &str, action: RedactionAction) -> Event {
    let (authority, reason) = ("dpo".into(), "a test".into());
    Event::Redaction(Redaction { window: window.into(), action, authority, reason, fields: BTreeMap::new(), files: Vec::new() })
}

fn head(window: &str, records: u64) -> Event {
    Event::Head { window: window.into(), records, root: Hash::ZERO.to_string() }
}

fn sealed(window: &str, records: u64) -> Event {
    Event::Seal { window: window.into(), records, root: Hash::ZERO.to_string(), note: Some(Hash::ZERO.to_string()) }
}

fn hold(window: &str, set: bool) -> Event {
    Event::Hold { window: window.into(), set, authority: "counsel".into(), reason: "case".into() }
}

/// Entries that can't stand where they do, signed by the identity key: one for each rule of FORMAT.md §10.
fn grammar() -> Vec<Tampering> {
    use KeyAction::{Adopt, Revoke};
    const NAME: &str = "sealgate/gw-a";
    let appended = |what: &str, entry: fn(&Gateway) -> Vec<Event>| {
        always(&format!("grammar: {what}"), &SIGNED, move |world| {
            let events = entry(world.gateway());
            events.into_iter().for_each(|event| world.gateway().append(event));
        })
    };
    let spelled = |what: &str, change: fn(String) -> String| {
        always(&format!("grammar: {what}"), &SIGNED, move |world| {
            let bytes = world.gateway().entries.last_mut().unwrap();
            let text = change(String::from_utf8(bytes.clone()).unwrap());
            assert_ne!(text.as_bytes(), bytes);
            *bytes = text.into();
        })
    };
    vec![
        always("grammar: the log does not begin with a key", &SIGNED, |world| world.gateway().entries.swap(0, 1)),
        appended("a key is adopted from another entry on", |_| vec![identity(NAME, 61, Adopt, 3)]),
        appended("a key is adopted again", |gateway| vec![identity(NAME, 1, Adopt, gateway.entries.len() as u64 + 1)]),
        appended("a key of another gateway is adopted", |gateway| {
            vec![identity("sealgate/gw-b", 3, Adopt, gateway.entries.len() as u64 + 1)]
        }),
        appended("the newest key is revoked", |_| vec![identity(NAME, 2, Revoke, 5)]),
        appended("a key is revoked from a later entry on", |_| vec![identity(NAME, 1, Revoke, 1_000)]),
        appended("a key that was never adopted is revoked", |_| vec![identity(NAME, 61, Revoke, 5)]),
        appended("a revocation is taken back", |_| vec![identity(NAME, 1, Revoke, 11), identity(NAME, 1, Revoke, 15)]),
        appended("a window is opened with records", |gateway| vec![open(gateway, "CHG-8", 62, 3)]),
        appended("a window is opened again with fewer records", |gateway| {
            vec![open(gateway, "CHG-8", 62, 0), head("CHG-8", 3), open(gateway, "CHG-8", 63, 3), open(gateway, "CHG-8", 64, 2)]
        }),
        appended("a window key is bound twice", |gateway| vec![open(gateway, "CHG-8", 62, 0), open(gateway, "CHG-8", 62, 0)]),
        appended("a window is opened with a key of another window's name", |gateway| match open(gateway, "CHG-8", 62, 0) {
            Event::Open { key, records, root, .. } => vec![Event::Open { window: "CHG-7".into(), key, records, root }],
            _ => Vec::new(),
        }),
        appended("a sealed window is opened again", |gateway| vec![open(gateway, "CHG-1", 62, 1_000)]),
        appended("a head of a window that nobody opened", |_| vec![head("CHG-8", 1)]),
        appended("a seal of a window that nobody opened", |_| vec![sealed("CHG-8", 1)]),
        appended("a head that does not grow", |_| vec![head("CHG-3", 1)]),
        appended("a head after the seal", |_| vec![head("CHG-1", 1_000)]),
        appended("a second seal", |_| vec![sealed("CHG-1", 1_000)]),
        appended("a seal below the last head", |_| vec![sealed("CHG-3", 1)]),
        appended("a redaction before the seal", |_| vec![redaction("CHG-3", RedactionAction::Payloads)]),
        appended("a redaction under a hold", |_| vec![redaction("CHG-2", RedactionAction::Payloads)]),
        appended("a redaction of a window that has no records any more", |_| {
            vec![redaction("CHG-1", RedactionAction::Records), redaction("CHG-1", RedactionAction::Payloads)]
        }),
        appended("a hold that stands already", |_| vec![hold("CHG-2", true)]),
        appended("the end of a hold that is not there", |_| vec![hold("CHG-1", false)]),
        appended("a timestamp before the seal", |_| {
            vec![Event::Timestamp { window: "CHG-3".into(), sha256: Hash::ZERO.to_string() }]
        }),
        spelled("an entry has a member more", |text| text.replacen('{', "{\"a\":1,", 1)),
        spelled("an entry has a space", |text| text.replacen(':', ": ", 1)),
        spelled("an entry has a member twice", |text| text.replacen('{', "{\"authority\":\"x\",", 1)),
        spelled("an entry is of a type of a later version", |text| text.replacen("\"type\":\"", "\"type\":\"x", 1)),
    ]
}
