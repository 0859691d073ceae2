//! Notes and manifests, changed or replaced.

use super::{
    base::window_key,
    table::{Case, Tampering, all, always, line, two},
    world::{Holds, Window, World},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sealgate_schema::{
    Hash,
    note::{Checkpoint, SigningKey, text as note_text},
    seal::{State, Table},
    verify::Level::{L0, L1, L2, L3, L5},
};

const NOTE: Case = two(Holds::Nothing, L0);

pub(super) fn tamperings() -> Vec<Tampering> {
    let mut lines = unsigned();
    lines.extend(signatures());
    lines.extend(signed_manifests());
    lines.extend(signed_texts());
    lines.extend(rollbacks());
    lines
}

fn replaced(what: &str, from: &'static str, to: &'static str) -> Tampering {
    line(what, &[NOTE], move |world| {
        let note = world.note("CHG-1");
        world.set_note("CHG-1", note.replacen(from, to, 1));
        note.contains(from)
    })
}

fn unsigned() -> Vec<Tampering> {
    vec![
        replaced("a note says open instead of sealed", r#""state":"sealed""#, r#""state":"open""#),
        replaced("a note counts other kinds", r#""window_open":1"#, r#""window_open":2"#),
        replaced("a note names another program", r#""software":""#, r#""software":"x"#),
        replaced("a note has a space in its manifest", r#"{"bytes""#, r#"{ "bytes""#),
        replaced("a note has a line more", "\n\n\u{2014}", "\nmore\n\n\u{2014}"),
        replaced("a note has a carriage return", "\n", "\r\n"),
        replaced("a note has a hyphen where its dash was", "\u{2014}", "-"),
        always("a note has no signature line", &[NOTE], |world| {
            let note = world.note("CHG-1");
            world.set_note("CHG-1", &note[..note.rfind("\n\n").unwrap() + 2]);
        }),
        always("a note lacks its last newline", &[NOTE], |world| {
            let note = world.note("CHG-1");
            world.set_note("CHG-1", note.trim_end());
        }),
        always("a note is empty", &[all(Holds::Nothing, L0)], |world| world.set_note("CHG-1", "")),
        always("a note says one record more", &[NOTE], |world| {
            let (note, records) = (world.note("CHG-1"), world.window("CHG-1").manifest.records);
            world.set_note("CHG-1", note.replacen(&format!("\n{records}\n"), &format!("\n{}\n", records + 1), 1));
        }),
        always("a note is that of another window", &[two(Holds::Nothing, L0)], |world| {
            let note = world.note("CHG-2");
            world.set_note("CHG-1", note);
        }),
    ]
}

fn signatures() -> Vec<Tampering> {
    let signed_by = |what: &str, key: fn(&World) -> Option<SigningKey>| {
        line(what, &[NOTE], move |world| {
            let Some(key) = key(world) else { return false };
            let note = world.note("CHG-1");
            world.set_note("CHG-1", key.sign(note_text(&note).unwrap()));
            true
        })
    };
    vec![
        signed_by("a note is signed by a key of the window's name that nobody bound", |world| {
            SigningKey::from_seed(&world.gateways[0].windows["CHG-1"].ledger.origin(), &[50; 32]).ok()
        }),
        signed_by("a note is signed by a key of the gateway's name that nobody adopted", |world| {
            SigningKey::from_seed(&format!("sealgate/{}", world.gateways[0].name), &[50; 32]).ok()
        }),
        always("a note has its signature line twice", &[NOTE], |world| {
            let note = world.note("CHG-1");
            let line = &note[note.rfind("\n\n").unwrap() + 2..];
            world.set_note("CHG-1", format!("{note}{line}"));
        }),
        line("a note is signed by another window's key", &[NOTE], |world| sign(world, |world| &world.gateways[0].windows["CHG-2"])),
        line("a note is signed by the key that the window had before its restart", &[NOTE], |world| {
            let window = &world.gateways[0].windows["CHG-1"];
            let (forged, key) = (window.key.is_some(), window_key(&window.ledger, 0));
            let note = world.note("CHG-1");
            world.set_note("CHG-1", key.sign(note_text(&note).unwrap()));
            forged
        }),
        line("a note is signed by the gateway's identity key", &[NOTE], |world| {
            let identities = world.gateways[0].identities.clone();
            let Some(identity) = identities.last() else { return false };
            let note = world.note("CHG-1");
            world.set_note("CHG-1", identity.key.sign(note_text(&note).unwrap()));
            true
        }),
        line("a note has the identity key's signature line below its own", &[NOTE], |world| {
            let identities = world.gateways[0].identities.clone();
            let Some(identity) = identities.last() else { return false };
            let note = world.note("CHG-1");
            let line = identity.key.line(note_text(&note).unwrap());
            world.set_note("CHG-1", note + &line);
            true
        }),
    ]
}

/// Signs the note of CHG-1 with a window's key.
fn sign(world: &mut World, window: fn(&World) -> &Window) -> bool {
    let Some(key) = window(world).key.clone() else { return false };
    let note = world.note("CHG-1");
    world.set_note("CHG-1", key.sign(note_text(&note).unwrap()));
    true
}

/// Manifests that say something else, signed by the window's own key.
fn signed_manifests() -> Vec<Tampering> {
    let signed =
        |what: &str, case: Case, change: fn(&mut Window)| always(what, &[case], move |world| change(world.window("CHG-1")));
    let key = |level| all(Holds::WindowKey, level);
    vec![
        signed("a signed note says open", key(L2), |window| window.manifest.state = State::Open),
        signed("a signed note counts other kinds", key(L2), |window| *window.manifest.counts.values_mut().next().unwrap() += 1),
        signed("a signed note has another head", key(L2), |window| window.manifest.head = Hash::ZERO.to_string()),
        signed("a signed note has another root", key(L2), |window| window.root = Hash::ZERO),
        signed("a signed note says one record fewer", key(L2), |window| window.manifest.records -= 1),
        signed("a signed note says one record more", key(L2), |window| window.manifest.records += 1),
        signed("a signed note gives a payloads file other rows", key(L1), |window| window.manifest.files[1].rows += 1),
        signed("a signed note gives a part other records", two(Holds::WindowKey, L1), |window| {
            window.manifest.files[0].records += 1;
        }),
        signed("a signed note lists its parts in another order", two(Holds::WindowKey, L1), |window| {
            window.manifest.files.rotate_left(2)
        }),
        signed("a signed note lists a file twice", key(L0), |window| window.manifest.files.push(window.manifest.files[0].clone())),
        signed("a signed note leaves a payloads file out", key(L0), |window| drop(window.manifest.files.remove(1))),
        signed("a signed note gives a file's name a folder", key(L0), |window| {
            window.manifest.files[0].name = format!("../CHG-1/{}", window.manifest.files[0].name);
        }),
        signed("a signed note says that a records file is encrypted", key(L0), |window| {
            window.manifest.files[0].key = Some("0011223344556677".into());
        }),
        signed("a signed note says that a payloads file is encrypted", key(L3), |window| {
            window.manifest.files[1].key = Some("0011223344556677".into());
        }),
        signed("a signed note says a payloads file to be a records file", two(Holds::WindowKey, L0), |window| {
            window.manifest.files[1].table = Table::Records;
        }),
        signed("a signed note names another program", key(L3), |window| window.manifest.software = "other".into()),
        signed("a signed note is another window's", key(L0), |window| window.manifest.window = "CHG-2".into()),
        signed("a signed note is another gateway's", key(L0), |window| window.manifest.gateway = "gw-b".into()),
        signed("a signed note is of another format", key(L0), |window| window.manifest.format = "sealgate/manifest/v2".into()),
    ]
}

/// Texts that no manifest of this format gives, signed by the window's own key.
fn signed_texts() -> Vec<Tampering> {
    let signed = |what: &str, change: fn(&mut Checkpoint)| {
        line(what, &[two(Holds::WindowKey, L0)], move |world| {
            let Some(key) = world.window("CHG-1").key.clone() else { return false };
            let mut checkpoint = Checkpoint::parse(note_text(&world.note("CHG-1")).unwrap()).unwrap();
            change(&mut checkpoint);
            world.set_note("CHG-1", key.sign(&checkpoint.text()));
            true
        })
    };
    let raw = |what: &str, change: fn(&str) -> String| {
        line(what, &[two(Holds::WindowKey, L0)], move |world| {
            let Some(key) = world.window("CHG-1").key.clone() else { return false };
            let note = world.note("CHG-1");
            let text = note_text(&note).unwrap();
            assert_ne!(change(text), text);
            world.set_note("CHG-1", key.sign(&change(text)));
            true
        })
    };
    vec![
        signed("a signed manifest has a member more", |note| note.extensions[0] = note.extensions[0].replacen('{', "{\"a\":1,", 1)),
        signed("a signed manifest lacks a member", |note| {
            note.extensions[0] = note.extensions[0].replacen("\"software\":\"forge\",", "", 1);
        }),
        signed("a signed manifest has a member twice", |note| {
            note.extensions[0] = note.extensions[0].replacen("\"state\":", "\"state\":\"open\",\"state\":", 1);
        }),
        signed("a signed manifest has its members in another order", |note| {
            let moved = note.extensions[0].replacen("\"software\":\"forge\",", "", 1);
            note.extensions[0] = moved.replacen('{', "{\"software\":\"forge\",", 1);
        }),
        signed("a signed manifest has a space", |note| note.extensions[0] = note.extensions[0].replacen(':', ": ", 1)),
        signed("a signed manifest spells a letter as an escape", |note| {
            note.extensions[0] = note.extensions[0].replacen("\"forge\"", "\"\\u0066orge\"", 1);
        }),
        signed("a signed note has two manifests", |note| note.extensions.push(note.extensions[0].clone())),
        signed("a signed note has no manifest", |note| note.extensions.clear()),
        raw("a signed note's size has a zero before it", |text| text.replacen('\n', "\n0", 1)),
        raw("a signed note's size has a plus sign", |text| text.replacen('\n', "\n+", 1)),
        raw("a signed note's root has unused bits set", |text| {
            let root = text.lines().nth(2).unwrap();
            let mut spelled = root.as_bytes().to_vec();
            let at = spelled.len() - 2;
            spelled[at] += 1;
            let spelled = String::from_utf8(spelled).unwrap();
            assert!(STANDARD.decode(&spelled).is_err());
            text.replacen(root, &spelled, 1)
        }),
    ]
}

/// An older note, genuinely signed when the ledger had so many parts, with the files of that time.
fn older(world: &mut World, window: &str, parts: usize) -> bool {
    let known = world.window(window).clone();
    if known.key.is_none() {
        return false;
    }
    let mut manifest = known.manifest.clone();
    let records: Vec<_> = known.parts[..parts].iter().flat_map(|part| &part.records).collect();
    for part in &known.parts[parts..] {
        manifest.files.retain(|file| file.first_seq != part.first);
        let names = [Some(Table::Records.file_name(part.first)), part.payloads_name.clone()];
        for name in names.into_iter().flatten() {
            world.files.remove(&world.path(window, &name));
        }
    }
    manifest.counts.clear();
    for (record, _) in &records {
        *manifest.counts.entry(record.fields.kind.as_str().to_owned()).or_default() += 1;
    }
    (manifest.state, manifest.records) = (State::Open, records.len() as u64);
    manifest.head = records.last().unwrap().1.to_string();
    let root = known.root_at(manifest.records);
    // The key that it had before its restart: a note counts under a key that was bound below its size.
    let key = window_key(&known.ledger, 0);
    world.set_note(window, manifest.sign(root, &key).unwrap());
    true
}

fn rollbacks() -> Vec<Tampering> {
    vec![
        line("a sealed window is rolled back to an older note and its files", &[all(Holds::Nothing, L3)], |world| {
            older(world, "CHG-1", 2)
        }),
        line("an open window is rolled back to an older note and its files", &[all(Holds::Nothing, L5)], |world| {
            older(world, "CHG-3", 1)
        }),
    ]
}
