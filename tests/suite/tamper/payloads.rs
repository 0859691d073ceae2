//! Payload rows: values, salts, commitments, and whole rows. CHG-1 has whole rows, CHG-2 rows with a field erased.

use super::{
    base::ERASED,
    table::{Case, Caught, Tampering, all, always, line, other, two},
    world::{Holds, World},
};
use sealgate_schema::{
    Hash, Payload,
    payload::{Capture, Salts},
    verify::Level::{L0, L2, L3},
};

const ROW: [Case; 2] = [all(Holds::Nothing, L0), all(Holds::WindowKey, L2)];
const EVERYONE: [Case; 4] = [
    all(Holds::Nothing, L0),
    all(Holds::WindowKey, L2),
    all(Holds::WindowKeyRehashed, L3),
    other(Holds::IdentityKey, Caught::WithPin),
];
/// The file that stands in another's place is bound by the log, not by the note.
const SUCCESSOR: [Case; 2] = [all(Holds::Nothing, L0), all(Holds::IdentityKey, L2)];

/// Where the record's own commitment is made again, only a pin tells.
const REMADE: [Case; 2] = [all(Holds::Nothing, L0), other(Holds::IdentityKey, Caught::WithPin)];

/// Changes the first row of a window that the function takes.
fn row(world: &mut World, window: &str, change: impl Fn(&mut Payload) -> bool) -> bool {
    world.window(window).parts.iter_mut().flat_map(|part| &mut part.payloads).any(|(_, row)| change(row))
}

pub(super) fn tamperings() -> Vec<Tampering> {
    let mut lines = values();
    lines.extend(rows());
    lines.extend(erased());
    lines
}

fn values() -> Vec<Tampering> {
    let whole =
        |cases: &[Case], what: &str, change: fn(&mut Payload) -> bool| line(what, cases, move |world| row(world, "CHG-1", change));
    vec![
        whole(&EVERYONE, "a header's value is another", |row| {
            let Some((_, value)) = row.headers.as_mut().and_then(|headers| headers.first_mut()) else { return false };
            *value = "mallory".into();
            true
        }),
        whole(&ROW, "headers are in another order", |row| {
            let two = row.headers.as_ref().is_some_and(|headers| headers.len() >= 2);
            row.headers.iter_mut().for_each(|headers| headers.reverse());
            two
        }),
        whole(&ROW, "headers are gone", |row| row.headers.take().is_some()),
        whole(&ROW, "a query string is empty instead of missing", |row| {
            let none = row.query.is_none();
            row.query.get_or_insert("".into());
            none
        }),
        whole(&ROW, "parameters are other ones", |row| row.parameters.replace("{\"DryRun\":true}".into()).is_some()),
        whole(&ROW, "a byte of a body is another", |row| {
            let Some(body) = row.body.take_if(|body| !body.is_empty()) else { return false };
            let mut bytes = body.to_vec();
            bytes[0] ^= 1;
            row.body = Some(bytes.into());
            true
        }),
        whole(&ROW, "a body's length is another", |row| row.body_bytes.as_mut().map(|length| *length ^= 1).is_some()),
        whole(&ROW, "a body's SHA-256 is another", |row| row.body_sha256.as_mut().map(|hash| hash.0[0] ^= 1).is_some()),
        whole(&ROW, "a truncated body reads as the whole one, or the other way round", |row| {
            let changed = match row.body_capture {
                Some(Capture::Truncated) => Capture::Full,
                Some(Capture::Full) => Capture::Truncated,
                _ => return false,
            };
            row.body_capture = Some(changed);
            true
        }),
        whole(&ROW, "a row's salt is another", |row| {
            let Salts::Row(salt) = &mut row.salts else { return false };
            salt[0] ^= 1;
            true
        }),
        line(
            "a body is another, its commitment and all hashes are made again, its SHA-256 is not",
            &[all(Holds::WindowKeyRehashed, L2), all(Holds::IdentityKey, L2)],
            |world| {
                row(world, "CHG-1", |row| {
                    let full = row.body_capture == Some(Capture::Full) && row.body.is_some();
                    if full {
                        row.body = Some(b"another".as_slice().into());
                        row.body_bytes = Some(7);
                    }
                    full
                })
            },
        ),
    ]
}

fn rows() -> Vec<Tampering> {
    vec![
        always("a payload row is missing", &ROW, |world| drop(world.window("CHG-1").parts[0].payloads.remove(0))),
        always("a payload row is there twice", &ROW, |world| {
            let rows = &mut world.window("CHG-1").parts[0].payloads;
            rows.insert(0, rows[0].clone());
        }),
        line("two payload rows are exchanged", &ROW, |world| {
            let rows = &mut world.window("CHG-1").parts[0].payloads;
            let two = rows.len() >= 2;
            if two {
                rows.swap(0, 1);
            }
            two
        }),
        line("two records have each other's payloads", &ROW, |world| {
            let rows = &mut world.window("CHG-1").parts[0].payloads;
            let [first, second, ..] = rows.as_mut_slice() else { return false };
            std::mem::swap(&mut first.1, &mut second.1);
            first.1 != second.1
        }),
        always("a payload row belongs to a record that has none", &ROW, |world| {
            let part = &mut world.window("CHG-1").parts[0];
            let none = part.records.iter().find(|(record, _)| record.fields.payload_hash.is_none()).unwrap().0.seq;
            let row = part.payloads[0].1.clone();
            part.payloads.push((none, row));
            part.payloads.sort_by_key(|(seq, _)| *seq);
        }),
        always("a payload row of another window stands in one's place", &ROW, |world| {
            let row = world.window("CHG-3").parts[0].payloads[0].1.clone();
            world.window("CHG-1").parts[0].payloads[0].1 = row;
        }),
        always(
            "a payload row is erased, and the log does not say so",
            &[all(Holds::Nothing, L0), all(Holds::WindowKey, L2)],
            |world| {
                let row = &mut world.window("CHG-1").parts[0].payloads[0].1;
                *row = sealgate_tests::forge::story::erase(row, &["headers", "body"]);
            },
        ),
    ]
}

/// Rows of which a field was erased, with salts a field.
fn erased() -> Vec<Tampering> {
    let of = |what: &str, cases: &[Case], change: fn(&mut Payload) -> bool| {
        line(what, cases, move |world| {
            world.window("CHG-2").parts[0].payloads.iter_mut().any(|(_, row)| !row.erased.is_empty() && change(row))
        })
    };
    vec![
        of("an erased field's commitment is another", &REMADE, |row| {
            row.erased[0].1.0[0] ^= 1;
            true
        }),
        of("an erased field's commitment is gone", &SUCCESSOR, |row| {
            row.erased.clear();
            true
        }),
        of("an erased field has a value again", &SUCCESSOR, |row| {
            row.headers = Some(vec![("x-invented".into(), "value".into())]);
            true
        }),
        of("an erased field has a salt", &SUCCESSOR, |row| {
            let Salts::Fields(salts) = &mut row.salts else { return false };
            salts.insert(0, (ERASED.into(), Hash::ZERO));
            true
        }),
        of("a field's salt is another", &REMADE, |row| {
            let valued: Vec<&str> =
                ["query", "body", "parameters"].into_iter().filter(|name| row.field_commitment(name) != Hash::ZERO).collect();
            let Salts::Fields(salts) = &mut row.salts else { return false };
            let salt = salts.iter_mut().find(|(name, _)| valued.iter().any(|valued| *name == **valued));
            salt.map(|(_, salt)| salt.0[0] ^= 1).is_some()
        }),
        of("a field's salt is gone", &[two(Holds::Nothing, L0), two(Holds::IdentityKey, L2)], |row| {
            let valued = ["query", "body", "parameters"].into_iter().find(|name| row.field_commitment(name) != Hash::ZERO);
            let (Salts::Fields(salts), Some(valued)) = (&mut row.salts, valued) else { return false };
            salts.retain(|(name, _)| *name != *valued);
            true
        }),
        of("another field is said to be erased", &SUCCESSOR, |row| {
            row.erased.push(("proof".into(), Hash::ZERO));
            true
        }),
    ]
}
