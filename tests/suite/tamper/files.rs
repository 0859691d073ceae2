//! Files and folders: taken away, put in, renamed, exchanged.

use super::{
    table::{Case, Caught, Tampering, all, always, line, other, two},
    world::{Holds, World},
};
use sealgate_schema::{
    seal::{
        NOTE_NAME,
        Table::{Payloads, Records},
    },
    verify::Level::{L0, L3, L5},
};

const FILE: [Case; 1] = [all(Holds::Nothing, L0)];
/// `verify.sql` sees neither links nor empty folders.
const UNSEEN: [Case; 1] = [two(Holds::Nothing, L0)];
const MISSING: [Case; 1] = [all(Holds::Nothing, L5)];

pub(super) fn tamperings() -> Vec<Tampering> {
    let mut lines = contents();
    lines.extend(extra());
    lines.extend(folders());
    lines.extend(gone());
    lines
}

fn on(what: &str, table: sealgate_schema::seal::Table, change: fn(&mut Vec<u8>)) -> Tampering {
    always(what, &FILE, move |world| {
        let name = world.name("CHG-1", table, 0);
        change(world.file("CHG-1", &name));
    })
}

/// Copies a records file to another path in its window's folder.
fn copy(what: &str, to: &'static str) -> Tampering {
    always(what, &FILE, move |world| {
        let name = world.name("CHG-1", Records, 0);
        let bytes = world.file("CHG-1", &name).clone();
        let path = world.path("CHG-1", to);
        world.files.insert(path, bytes);
    })
}

/// Puts some bytes at a path below the gateway's folder.
fn put(what: &str, path: &'static str) -> Tampering {
    always(what, &FILE, move |world| {
        let path = format!("{}/{path}", world.gateways[0].name);
        world.files.insert(path, b"x".to_vec());
    })
}

fn contents() -> Vec<Tampering> {
    vec![
        on("a records file is empty", Records, Vec::clear),
        on("a payloads file is empty", Payloads, Vec::clear),
        on("a records file lacks its last byte", Records, |bytes| bytes.truncate(bytes.len() - 1)),
        on("a records file has a byte more", Records, |bytes| bytes.push(0)),
        on("a records file is cut in the middle", Records, |bytes| bytes.truncate(bytes.len() / 2)),
        on("a bit of a records file is flipped", Records, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }),
        on("a bit of a payloads file is flipped", Payloads, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }),
        on("a records file is followed by itself", Records, |bytes| bytes.extend(bytes.clone())),
        always("two records files have each other's names", &FILE, |world| {
            let (one, other) = (world.name("CHG-1", Records, 0), world.name("CHG-1", Records, 1));
            exchange(world, &("CHG-1", one), &("CHG-1", other));
        }),
        always("a records and a payloads file have each other's names", &FILE, |world| {
            let (one, other) = (world.name("CHG-1", Records, 0), world.name("CHG-1", Payloads, 0));
            exchange(world, &("CHG-1", one), &("CHG-1", other));
        }),
        always("two windows have each other's records files", &FILE, |world| {
            let (one, other) = (world.name("CHG-1", Records, 0), world.name("CHG-2", Records, 0));
            exchange(world, &("CHG-1", one), &("CHG-2", other));
        }),
    ]
}

fn exchange(world: &mut World, one: &(&str, String), other: &(&str, String)) {
    let bytes = world.file(one.0, &one.1).clone();
    let bytes = std::mem::replace(world.file(other.0, &other.1), bytes);
    *world.file(one.0, &one.1) = bytes;
}

fn extra() -> Vec<Tampering> {
    let link = |what: &str, to: &'static str| {
        always(what, &UNSEEN, move |world| {
            let name = world.name("CHG-1", Records, 0);
            world.links.push((world.path("CHG-1", to), name));
        })
    };
    vec![
        copy("a copy beside the sealed file, as of a later part", "records-000000000999.parquet"),
        copy("a copy beside the sealed file, under another ending", "records-000000000000.parquet.bak"),
        copy("a copy beside the sealed file, in capitals", "RECORDS-000000000000.parquet"),
        copy("a copy beside the sealed file, with fewer zeros", "records-0.parquet"),
        copy("a copy in a folder that DuckDB reads as a column", "change_window=CHG-2/records-000000000000.parquet"),
        copy("a successor that the log does not name", "payloads-000000000000.r1.parquet"),
        link("a link beside the sealed file", "records-000000000998.parquet"),
        always("a part's file is there a second time as a link", &UNSEEN, |world| {
            let name = world.name("CHG-1", Payloads, 0);
            world.links.push((world.path("CHG-1", "payloads.parquet"), name));
        }),
        put("a hidden file in a window", "CHG-1/.notes"),
        put("a second note under another name", "CHG-1/ledger.note~"),
        put("a second note in capitals", "CHG-1/LEDGER.NOTE"),
        put("a timestamp that the log does not name", "CHG-1/ledger.tsr"),
        put("a file in a gateway's folder", "notes.txt"),
        put("a hidden file in a gateway's folder", ".hidden"),
        put("a window's folder that DuckDB reads as a column", "change_window=CHG-2/ledger.note"),
        always("a file beside the gateways", &FILE, |world| drop(world.files.insert("notes.txt".into(), b"x".to_vec()))),
        always("an empty folder in a window", &UNSEEN, |world| world.folders.push(world.path("CHG-1", "empty"))),
        always("an empty folder of a window that nobody opened", &[two(Holds::Nothing, L3)], |world| {
            world.folders.push(world.path("CHG-99", ""));
        }),
    ]
}

fn folders() -> Vec<Tampering> {
    vec![
        always("a window's folder has another name", &[all(Holds::Nothing, L3)], |world| rename(world, "CHG-1", "CHG-9", true)),
        always("a window's folder is there twice", &[all(Holds::Nothing, L3)], |world| rename(world, "CHG-1", "CHG-9", false)),
        always("a window's folder is in capitals and in small letters", &[all(Holds::Nothing, L3)], |world| {
            rename(world, "CHG-1", "chg-1", false);
        }),
        always("two windows have each other's folders", &FILE, |world| {
            rename(world, "CHG-1", "CHG-x", true);
            rename(world, "CHG-2", "CHG-1", true);
            rename(world, "CHG-x", "CHG-2", true);
        }),
        line("a window's folder is a link to another", &UNSEEN, |world| {
            world.links.push((world.path("CHG-7", "").trim_end_matches('/').to_owned(), "CHG-1".into()));
            true
        }),
    ]
}

/// Moves or copies what is in one folder of the gateway to another.
fn rename(world: &mut World, from: &str, to: &str, moved: bool) {
    let (from, to) = (world.path(from, ""), world.path(to, ""));
    let paths: Vec<String> = world.files.keys().filter(|path| path.starts_with(&from)).cloned().collect();
    for path in paths {
        let bytes = if moved { world.files.remove(&path).unwrap() } else { world.files[&path].clone() };
        world.files.insert(path.replacen(&from, &to, 1), bytes);
    }
}

fn gone() -> Vec<Tampering> {
    let remove = |what: &str, table, part| {
        always(what, &FILE, move |world| {
            let path = world.path("CHG-1", &world.name("CHG-1", table, part));
            world.files.remove(&path);
        })
    };
    vec![
        remove("a records file is gone", Records, 0),
        remove("a payloads file is gone", Payloads, 0),
        remove("the last records file is gone", Records, 1),
        always("a note is gone", &FILE, |world| drop(world.files.remove(&world.path("CHG-1", NOTE_NAME)))),
        always("a sealed window is gone", &MISSING, |world| world.remove("CHG-1")),
        always("an open window is gone", &MISSING, |world| world.remove("CHG-3")),
        always("all windows are gone", &MISSING, |world| {
            for window in ["CHG-1", "CHG-2", "CHG-3", "CHG-4"] {
                world.remove(window);
            }
        }),
        always("all evidence is gone", &[Case { caught: Caught::NothingFound, ..all(Holds::Nothing, L0) }], |world| {
            world.files.clear();
        }),
        line("a gateway's folder is gone, another's is there", &[other(Holds::Nothing, Caught::At(L5))], |world| {
            let folder = format!("{}/", world.gateways[0].name);
            world.files.retain(|path, _| !path.starts_with(&folder));
            world.gateways.len() > 1
        }),
    ]
}
