//! What is taken away from sealed windows, and what the log says of it.

use super::{
    base::ERASED,
    table::{Case, Caught, Tampering, all, always, other, two},
    world::{Holds, World},
};
use sealgate_schema::{
    Hash,
    log::{Event, RedactedFile, Redaction, RedactionAction, Successor, TIMESTAMP_NAME},
    parquet::write_payloads,
    seal::Table,
    verify::Level::{L0, L2, L3},
};
use sealgate_tests::forge::story::erase;
use std::collections::BTreeMap;

const FILES: [Case; 1] = [all(Holds::Nothing, L0)];

pub(super) fn tamperings() -> Vec<Tampering> {
    let mut lines = files();
    lines.extend(entries());
    lines.extend(erasures());
    lines
}

fn files() -> Vec<Tampering> {
    vec![
        always("a successor stands in a file's place, and the log names none", &FILES, |world| {
            let name = world.name("CHG-1", Table::Payloads, 0);
            let bytes = world.files.remove(&world.path("CHG-1", &name)).unwrap();
            let path = world.path("CHG-1", &Table::Payloads.revision_name(0, 1));
            world.files.insert(path, bytes);
        }),
        always("the old file is there beside its successor", &FILES, |world| {
            let path = world.path("CHG-2", &Table::Payloads.file_name(0));
            world.files.insert(path, b"PAR1".to_vec());
        }),
        always("a successor is gone", &FILES, |world| {
            let name = world.name("CHG-2", Table::Payloads, 0);
            world.files.remove(&world.path("CHG-2", &name));
        }),
        always("a successor of a successor that the log does not name", &FILES, |world| {
            let name = world.name("CHG-2", Table::Payloads, 0);
            let bytes = world.file("CHG-2", &name).clone();
            let path = world.path("CHG-2", &Table::Payloads.revision_name(0, 2));
            world.files.insert(path, bytes);
        }),
        always("payloads that the log says were removed are there", &FILES, |world| {
            let path = world.path("CHG-4", &Table::Payloads.file_name(0));
            world.files.insert(path, b"PAR1".to_vec());
        }),
        always("a timestamp's bytes are others", &[all(Holds::Nothing, L3)], |world| world.file("CHG-2", TIMESTAMP_NAME)[0] ^= 1),
        always("a timestamp is gone", &[all(Holds::Nothing, L3)], |world| {
            world.files.remove(&world.path("CHG-2", TIMESTAMP_NAME));
        }),
    ]
}

/// Changes the redaction of a window in the log.
fn redaction(world: &mut World, of: &str, change: impl Fn(&mut Redaction)) {
    world.gateway().entry(|event| match event {
        Event::Redaction(redaction) if redaction.window == of => {
            change(redaction);
            true
        }
        _ => false,
    });
}

fn entries() -> Vec<Tampering> {
    let signed = |what: &str, case: Case, window: &'static str, change: fn(&mut Redaction)| {
        always(what, &[case], move |world| redaction(world, window, change))
    };
    let key = |level| all(Holds::IdentityKey, level);
    vec![
        signed("the log says more erasures than there are", key(L2), "CHG-2", |redaction| {
            *redaction.fields.get_mut(ERASED).unwrap() += 1;
        }),
        signed("the log says fewer erasures than there are", key(L2), "CHG-2", |redaction| {
            *redaction.fields.get_mut(ERASED).unwrap() -= 1;
        }),
        signed("the log says that another field was erased", key(L2), "CHG-2", |redaction| {
            redaction.fields = BTreeMap::from([("query".to_owned(), 2)]);
        }),
        signed("the log names another file as the one before", key(L0), "CHG-2", |redaction| {
            redaction.files[0].sha256 = Hash::ZERO.to_string();
        }),
        signed("the log gives a successor a name out of turn", two(Holds::IdentityKey, L3), "CHG-2", |redaction| {
            redaction.files[0].successor.as_mut().unwrap().name = Table::Payloads.revision_name(0, 7);
        }),
        signed("the log gives a successor another hash", key(L0), "CHG-2", |redaction| {
            redaction.files[0].successor.as_mut().unwrap().sha256 = Hash::ZERO.to_string();
        }),
        signed("the log calls an erasure a removal", two(Holds::IdentityKey, L0), "CHG-2", |redaction| {
            redaction.action = RedactionAction::Payloads;
        }),
        signed("the log calls the removal of payloads one of all records", two(Holds::IdentityKey, L3), "CHG-4", |redaction| {
            redaction.action = RedactionAction::Records;
        }),
        signed("the log's removal names no file", key(L0), "CHG-4", |redaction| redaction.files.clear()),
        always("the log's redaction is gone", &[all(Holds::IdentityKey, L0)], |world| {
            let gateway = world.gateway();
            let place = gateway.place(|event| matches!(event, Event::Redaction(redaction) if redaction.window == "CHG-4"));
            gateway.entries.remove(place);
        }),
        always("the log gives a records file a successor", &[two(Holds::IdentityKey, L3)], |world| {
            let file = world.window("CHG-1").manifest.files[0].clone();
            let successor =
                Successor { name: "records-000000000000.r1.parquet".into(), sha256: file.sha256.clone(), bytes: file.bytes };
            let files = vec![RedactedFile { name: file.name, sha256: file.sha256, successor: Some(successor) }];
            append(world, RedactionAction::Erase, BTreeMap::new(), files);
        }),
    ]
}

fn append(world: &mut World, action: RedactionAction, fields: BTreeMap<String, u64>, files: Vec<RedactedFile>) {
    let (window, authority, reason) = ("CHG-1".into(), "dpo".into(), "a test".into());
    world.gateway().append(Event::Redaction(Redaction { window, action, authority, reason, fields, files }));
}

/// Erases headers and, where `also` is given, changes the row: successor and entry as the gateway would make them.
fn erased(world: &mut World, also: fn(&mut sealgate_schema::Payload)) {
    let window = world.window("CHG-1").clone();
    let mut rows = window.parts[0].payloads.clone();
    let row = rows.iter_mut().find(|(_, row)| row.headers.is_some() && row.body.is_some()).unwrap();
    row.1 = erase(&row.1, &["headers"]);
    also(&mut row.1);
    let bytes = write_payloads(&window.ledger, 0, &rows).unwrap();
    let (old, new) = (Table::Payloads.file_name(0), Table::Payloads.revision_name(0, 1));
    let successor = Successor { name: new.clone(), sha256: Hash::of(&[&bytes]).to_string(), bytes: bytes.len() as u64 };
    world.files.remove(&world.path("CHG-1", &old));
    let path = world.path("CHG-1", &new);
    world.files.insert(path, bytes);
    let files = vec![RedactedFile { name: old, sha256: window.manifest.files[1].sha256.clone(), successor: Some(successor) }];
    append(world, RedactionAction::Erase, BTreeMap::from([("headers".to_owned(), 1)]), files);
}

fn erasures() -> Vec<Tampering> {
    vec![
        always("an erasure changes a value that stays", &[all(Holds::IdentityKey, L2)], |world| {
            erased(world, |row| row.body = Some(b"another".as_slice().into()));
        }),
        always("an erasure takes away more than it says", &[all(Holds::IdentityKey, L2)], |world| {
            erased(world, |row| *row = erase(row, &["body"]));
        }),
        always("an erasure that nobody asked for, entered in the log", &[other(Holds::IdentityKey, Caught::Never)], |world| {
            erased(world, |_| ());
        }),
    ]
}
