//! The windows log: its entries, what they say in sum, and the files that hold them.

use crate::note::KEY;
use sealgate_schema::{
    Hash,
    log::{Entry, Event, KeyAction, RedactedFile, Redaction, RedactionAction, Successor},
    merkle::empty_root,
    note::SigningKey,
    tiles::{self, Kind, TILE_WIDTH, Tile},
    windows::{Heads, Windows},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

const TIME: i64 = 1_790_000_000_000_000;
pub(crate) const GATEWAY: &str = "gw-fuzz";
const WINDOWS: [&str; 2] = ["CHG-1", "CHG-2"];
/// Bytes that stand for one event: its kind, and five for what is in it.
const EVENT_BYTES: usize = 6;
/// The most events of one log.
const EVENTS_MAX: usize = 32;

/// An entry has one spelling.
pub(crate) fn entry(data: &[u8]) -> bool {
    let Ok(entry) = Entry::decode(data) else { return false };
    assert_eq!(entry.encode().expect("it was read from this form"), data);
    true
}

/// An entry that is refused leaves everything as it was, and writer and reader refuse the same. The bytes choose events:
/// no change of an entry's bytes makes it name another key that fits.
pub(crate) fn windows(data: &[u8]) -> bool {
    let (mut reader, mut writer) = (Windows::new(GATEWAY, Heads::All), Windows::new(GATEWAY, Heads::Last));
    let mut grown = BTreeMap::new();
    for chosen in data.chunks_exact(EVENT_BYTES).take(EVENTS_MAX) {
        let entry = Entry { time: TIME, event: event(chosen) };
        let before = writer.clone();
        let taken = writer.try_take(&entry);
        if taken.is_err() {
            assert_eq!(format!("{writer:?}"), format!("{before:?}"), "a refused entry left something behind");
            let mut counting = writer.clone();
            assert_eq!(counting.take(&entry), taken);
            assert_eq!(counting.size(), writer.size() + 1);
        }
        assert_eq!(reader.try_take(&entry), taken, "a reader and a writer differ");
        assert_eq!(reader.size(), writer.size());
        for (name, window) in reader.iter() {
            let marks = window.marks();
            assert!(marks.is_sorted_by_key(|mark| mark.records) && !window.keys.is_empty() && window.told <= reader.size());
            let length = grown.insert(name.to_owned(), window.length()).unwrap_or(0);
            assert!(length <= window.length(), "a window has lost records");
        }
    }
    reader.size() > 0
}

/// Keys that fit somewhere: of the gateway, of either window; four of each.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = ["sealgate/gw-fuzz".to_owned()].into_iter().chain(WINDOWS.map(|window| format!("sealgate/gw-fuzz/{window}")));
    let keys = names.flat_map(|name| (0..4).map(move |seed| SigningKey::from_seed(&name, &[seed; 32]).expect("a name and a seed")));
    keys.map(|key| key.verifier().to_string()).collect()
});

fn event(chosen: &[u8]) -> Event {
    let &[kind, window, key, records, from, more] = chosen else { panic!("six bytes an event") };
    let (name, records, from) = (WINDOWS[usize::from(window) % 2].to_owned(), u64::from(records), u64::from(from));
    let key = KEYS[usize::from(key) % KEYS.len()].clone();
    let root = if records == 0 { empty_root() } else { Hash::of(&[&[more % 2], &records.to_be_bytes()]) }.to_string();
    let said = String::from("said");
    match kind % 8 {
        0 => Event::Key { action: KeyAction::Adopt, key, from, reason: said },
        1 => Event::Key { action: KeyAction::Revoke, key, from, reason: said },
        2 => Event::Open { window: name, key, records, root },
        3 => Event::Head { window: name, records, root },
        4 => Event::Seal { window: name, records, note: (more & 2 == 0).then(|| root.clone()), root },
        5 => Event::Hold { window: name, set: more & 1 == 0, authority: said.clone(), reason: said },
        6 => Event::Timestamp { window: name, sha256: root },
        _ => Event::Redaction(redaction(name, more)),
    }
}

fn redaction(window: String, more: u8) -> Redaction {
    use RedactionAction::{Erase, Payloads, Records, Shred};
    let sha256 = Hash::ZERO.to_string();
    let successor = (more & 4 == 0).then(|| Successor { name: "b".into(), sha256: sha256.clone(), bytes: 1 });
    let fields = if more & 8 == 0 { BTreeMap::new() } else { BTreeMap::from([("body".to_owned(), 1)]) };
    let action = [Erase, Payloads, Shred, Records][usize::from(more % 4)];
    let files = vec![RedactedFile { name: "a".into(), sha256, successor }];
    Redaction { window, action, authority: "dpo".into(), reason: "asked".into(), fields, files }
}

/// A log with everything in it, and one of a window that never had a record.
pub(crate) fn windows_seeds() -> Vec<Vec<u8>> {
    let all: &[[u8; EVENT_BYTES]] = &[
        [0, 0, 0, 0, 1, 0],
        [2, 0, 4, 0, 0, 0],
        [3, 0, 0, 3, 0, 0],
        [2, 0, 5, 3, 0, 0],
        [2, 1, 8, 0, 0, 0],
        [4, 0, 0, 7, 0, 0],
        [6, 0, 0, 1, 0, 0],
        [5, 0, 0, 0, 0, 0],
        [5, 0, 0, 0, 0, 1],
        [7, 0, 0, 0, 0, 8],
        [7, 0, 0, 0, 0, 7],
        [0, 0, 1, 0, 12, 0],
        [1, 0, 0, 0, 4, 0],
    ];
    let quiet: &[[u8; EVENT_BYTES]] = &[[0, 0, 0, 0, 1, 0], [2, 1, 8, 0, 0, 0], [4, 1, 0, 0, 0, 2]];
    vec![all.concat(), quiet.concat()]
}

/// One entry of each type.
pub(crate) fn entry_seeds() -> Vec<Vec<u8>> {
    let seeds = windows_seeds().concat();
    let mut entries: Vec<_> = seeds.chunks_exact(EVENT_BYTES).map(|chosen| encode(event(chosen))).collect();
    let key = KEY.verifier().to_string();
    entries.push(encode(Event::Key { action: KeyAction::Adopt, key, from: 1 << 53, reason: "\u{fc}\"\\\n".into() }));
    entries.sort();
    entries.dedup();
    entries
}

fn encode(event: Event) -> Vec<u8> {
    Entry { time: TIME, event }.encode().expect("an entry is JSON")
}

/// A bundle has one width and one spelling. The first two bytes are the width.
pub(crate) fn bundle(data: &[u8]) -> bool {
    let Some((width, bundle)) = data.split_first_chunk::<2>() else { return false };
    let width = u64::from(u16::from_be_bytes(*width));
    let Some(entries) = tiles::read_entries(bundle, width) else { return false };
    assert_eq!(entries.len() as u64, width);
    assert_eq!(tiles::write_entries(entries.into_iter()).expect("they were short enough"), bundle);
    for other in [width.wrapping_sub(1), width + 1] {
        assert_eq!(tiles::read_entries(bundle, other), None, "a bundle of two widths");
    }
    true
}

pub(crate) fn bundle_seeds() -> Vec<Vec<u8>> {
    let bundle = |entries: &[Vec<u8>]| {
        let written = tiles::write_entries(entries.iter().map(Vec::as_slice)).expect("they are short enough");
        [&(entries.len() as u16).to_be_bytes()[..], &written].concat()
    };
    vec![bundle(&entry_seeds()[..2]), bundle(&[]), bundle(&[Vec::new(), b"a".to_vec(), vec![b'x'; 300]])]
}

/// Each tile has a path of its own, which says what it is, and a log that grows has the files of the one that is written at
/// once. The bytes are two sizes: how far it grew, and what it grew to.
pub(crate) fn tile_path(data: &[u8]) -> bool {
    let Ok(&[size, grown]) = <&[[u8; 8]; 2]>::try_from(data.as_chunks::<8>().0) else { return false };
    let size = u64::from_be_bytes(size);
    let from = size.saturating_sub(u64::from_be_bytes(grown) % 1024);
    let new = tiles::tiles(from, size);
    let mut paths = BTreeSet::new();
    for tile in &new {
        assert!((1..=TILE_WIDTH).contains(&tile.width));
        assert_eq!(tile_of(&tile.path()), Some(*tile), "{}", tile.path());
        assert!(paths.insert(tile.path()), "two tiles at {}", tile.path());
    }
    if size <= 4096 {
        let before: BTreeSet<_> = tiles::tiles(0, from).into_iter().collect();
        let all = tiles::tiles(0, size);
        assert_eq!(all.iter().copied().filter(|tile| !before.contains(tile)).collect::<Vec<_>>(), new);
        let partial: Vec<_> = all.into_iter().filter(|tile| tile.width < TILE_WIDTH).collect();
        assert_eq!(tiles::partial_tiles(size), partial);
    }
    true
}

/// The tile at a path: the other direction, written from the specification.
fn tile_of(path: &str) -> Option<Tile> {
    let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (number, width) = rest.split_once(".p/").map_or((rest, TILE_WIDTH.to_string()), |(number, width)| (number, width.into()));
    let kind = if kind == "entries" { Kind::Entries } else { Kind::Hashes(kind.parse().ok()?) };
    let groups: Vec<&str> = number.split('/').collect();
    let (last, before) = groups.split_last()?;
    let before: Option<Vec<&str>> = before.iter().map(|group| group.strip_prefix('x')).collect();
    let groups = [before?, vec![*last]].concat();
    let three = groups.iter().all(|group| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit()));
    let index = groups.concat().parse().ok()?;
    (three && (groups.len() == 1 || groups[0] != "000")).then_some(Tile { kind, index, width: width.parse().ok()? })
}

pub(crate) fn tile_path_seeds() -> Vec<Vec<u8>> {
    let sizes = [(0, 0), (1, 1), (257, 2), (70_000, 1000), (256_001_000, 700), (u64::MAX, 1023)];
    sizes.map(|(size, grown): (u64, u64)| [size.to_be_bytes(), grown.to_be_bytes()].concat()).into()
}
