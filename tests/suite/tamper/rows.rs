//! Whole rows of records: taken out, put in, moved, taken from elsewhere.

use super::{
    table::{Case, Caught, Tampering, all, always, line, other},
    world::{Holds, World},
};
use sealgate_schema::{
    Hash, Record,
    record::{Fields, Kind},
    verify::Level::{L0, L1, L2, L3},
};

const ROWS: [Case; 2] = [all(Holds::Nothing, L0), all(Holds::WindowKey, L2)];
/// The number of records in a part is another, and the next part does not begin where it ends.
const COUNT: [Case; 2] = [all(Holds::Nothing, L0), all(Holds::WindowKey, L1)];
const EVERYONE: [Case; 3] =
    [all(Holds::Nothing, L0), all(Holds::WindowKeyRehashed, L3), other(Holds::IdentityKey, Caught::WithPin)];

type Rows = Vec<(Record, Hash)>;

fn first(world: &mut World) -> &mut Rows {
    &mut world.window("CHG-1").parts[0].records
}

fn last(world: &mut World) -> &mut Rows {
    &mut world.window("CHG-1").parts.last_mut().unwrap().records
}

pub(super) fn tamperings() -> Vec<Tampering> {
    let mut lines = in_place();
    lines.extend(from_elsewhere());
    lines.push(line("a call with its outcome is taken out", &EVERYONE, take_out_a_call));
    lines.push(always("a call that never was is put in", &EVERYONE, put_in_a_call));
    lines.push(always(
        "records are appended to an open ledger, behind the log's last head",
        &[all(Holds::Nothing, L0), other(Holds::WindowKeyRehashed, Caught::Never)],
        |world| put_at_end(world, "CHG-3"),
    ));
    lines.push(always(
        "the last record of an open ledger is another",
        &[all(Holds::Nothing, L0), all(Holds::WindowKeyRehashed, L3), other(Holds::IdentityKey, Caught::WithPin)],
        |world| world.window("CHG-3").parts.last_mut().unwrap().records.last_mut().unwrap().0.time += 1,
    ));
    lines
}

fn in_place() -> Vec<Tampering> {
    vec![
        always("the first record is deleted", &ROWS, |world| drop(first(world).remove(0))),
        always("a record is deleted", &ROWS, |world| drop(first(world).remove(3))),
        always("the last record is deleted", &ROWS, |world| drop(last(world).pop())),
        always("a record is there twice", &COUNT, |world| {
            let row = first(world)[3].clone();
            first(world).insert(3, row);
        }),
        always("two records are exchanged", &ROWS, |world| first(world).swap(2, 3)),
        always("all records are in reverse order", &ROWS, |world| first(world).reverse()),
        always("a part's last record is in the next part", &COUNT, |world| {
            let row = first(world).pop().unwrap();
            world.window("CHG-1").parts[1].records.insert(0, row);
        }),
        always("a part's first record is in the part before", &COUNT, |world| {
            let row = world.window("CHG-1").parts[1].records.remove(0);
            first(world).push(row);
        }),
        always("two parts' first records are exchanged", &ROWS, |world| {
            let parts = &mut world.window("CHG-1").parts;
            let row = parts[1].records[0].clone();
            parts[1].records[0] = std::mem::replace(&mut parts[0].records[0], row);
        }),
    ]
}

fn from_elsewhere() -> Vec<Tampering> {
    vec![
        always("a genuine record of another window is put in", &COUNT, |world| {
            let row = world.window("CHG-2").parts[0].records[2].clone();
            first(world).insert(2, row);
        }),
        always("a genuine record of another window stands in one's place", &ROWS, |world| {
            let row = world.window("CHG-2").parts[0].records[2].clone();
            first(world)[2] = row;
        }),
        line("a genuine record of another gateway stands in one's place", &ROWS, |world| {
            let Some(other) = world.gateways.get(1) else { return false };
            let row = other.windows["CHG-1"].parts[0].records[2].clone();
            first(world)[2] = row;
            true
        }),
        always("all records are those of another window", &COUNT, |world| {
            let rows = world.window("CHG-2").parts[0].records.clone();
            *first(world) = rows;
        }),
    ]
}

/// Every trace of a call, in whatever part.
fn take_out_a_call(world: &mut World) -> bool {
    let window = world.window("CHG-1");
    let Some(call) = window.records().find_map(|(record, _)| (record.fields.kind == Kind::Outcome).then_some(record.fields.call))
    else {
        return false;
    };
    for part in &mut window.parts {
        part.records.retain(|(record, _)| record.fields.call != call);
        let seqs: Vec<u64> = part.records.iter().map(|(record, _)| record.seq).collect();
        part.payloads.retain(|(seq, _)| seqs.contains(seq));
    }
    true
}

fn put_in_a_call(world: &mut World) {
    let time = first(world)[3].0.time;
    let fields = |kind| Fields { call: Some(1_000), principal: Some("alice".into()), ..Fields::new(kind) };
    let record = |seq, kind| (Record { seq, time, fields: fields(kind) }, Hash::ZERO);
    first(world).splice(4..4, [record(1_000, Kind::Intent), record(1_001, Kind::Outcome)]);
}

fn put_at_end(world: &mut World, window: &str) {
    let records = &mut world.window(window).parts.last_mut().unwrap().records;
    let (seq, time) = (records.last().unwrap().0.seq + 1, records.last().unwrap().0.time);
    records.push((Record { seq, time, fields: Fields::new(Kind::SessionRevoke) }, Hash::ZERO));
}
