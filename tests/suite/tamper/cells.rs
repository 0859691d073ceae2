//! Cells of records.

use super::{
    table::{Case, Caught, Tampering, all, always, line, other, two},
    world::{Holds, Part, World},
};
use sealgate_schema::{
    Hash, LedgerId, Record, Text,
    parquet::write_records,
    record::Kind,
    seal::Table,
    verify::Level::{L0, L1, L2, L3},
};

/// A changed cell: found by the file's hash, then by the record's.
const CELL: [Case; 2] = [all(Holds::Nothing, L0), all(Holds::WindowKey, L2)];
/// Every attacker there is.
const EVERYONE: [Case; 4] = [
    all(Holds::Nothing, L0),
    all(Holds::WindowKey, L2),
    all(Holds::WindowKeyRehashed, L3),
    other(Holds::IdentityKey, Caught::WithPin),
];

pub(super) fn tamperings() -> Vec<Tampering> {
    let mut lines = texts();
    lines.extend(numbers());
    lines.extend(lists());
    lines.extend(hashes());
    lines
}

/// Changes the first record of CHG-1 that the function takes.
fn record(world: &mut World, change: impl Fn(&mut Record) -> bool) -> bool {
    let parts: &mut Vec<Part> = &mut world.window("CHG-1").parts;
    parts.iter_mut().flat_map(|part| &mut part.records).any(|(record, _)| change(record))
}

type Column = fn(&mut Record) -> &mut Option<Text>;

/// Changes the first value of a column that the function takes.
fn value(world: &mut World, column: Column, change: impl Fn(Option<&str>) -> Option<Option<String>>) -> bool {
    record(world, |record| {
        let cell = column(record);
        let Some(changed) = change(cell.as_deref()) else { return false };
        *cell = changed.map(Into::into);
        true
    })
}

fn all_texts() -> [Column; 19] {
    [
        |record| &mut record.fields.session,
        |record| &mut record.fields.principal,
        |record| &mut record.fields.principal_kind,
        |record| &mut record.fields.acting_for,
        |record| &mut record.fields.attribution,
        |record| &mut record.fields.credential,
        |record| &mut record.fields.client_addr,
        |record| &mut record.fields.user_agent,
        |record| &mut record.fields.account,
        |record| &mut record.fields.region,
        |record| &mut record.fields.service,
        |record| &mut record.fields.operation,
        |record| &mut record.fields.access,
        |record| &mut record.fields.method,
        |record| &mut record.fields.host,
        |record| &mut record.fields.path,
        |record| &mut record.fields.decision,
        |record| &mut record.fields.error_code,
        |record| &mut record.fields.upstream_request_id,
    ]
}

/// Changes the first text of any column that the function takes.
fn any_text(world: &mut World, change: impl Fn(&str) -> Option<String>) -> bool {
    all_texts().into_iter().any(|column| value(world, column, |text| change(text?).map(Some)))
}

fn texts() -> Vec<Tampering> {
    let look_alike = |text: &str| text.contains('a').then(|| text.replacen('a', "\u{430}", 1));
    vec![
        line("a principal is another", &EVERYONE, |world| {
            value(world, |record| &mut record.fields.principal, |text| text.map(|_| Some("mallory".into())))
        }),
        line("a session is another", &CELL, |world| {
            value(world, |record| &mut record.fields.session, |text| text.map(|_| Some("S-other".into())))
        }),
        line("an operation is another", &CELL, |world| {
            value(world, |record| &mut record.fields.operation, |text| text.map(|_| Some("GetCallerIdentity2".into())))
        }),
        line("a refusal reads as a permit, or the other way round", &CELL, |world| {
            value(
                world,
                |record| &mut record.fields.decision,
                |text| text.map(|text| Some(if text == "permit" { "refuse".into() } else { "permit".into() })),
            )
        }),
        line("a null is an empty text", &CELL, |world| {
            value(world, |record| &mut record.fields.acting_for, |text| text.is_none().then(|| Some(String::new())))
        }),
        line("an empty text is a null", &CELL, |world| {
            all_texts().into_iter().any(|column| value(world, column, |text| (text == Some("")).then_some(None)))
        }),
        line("a letter is its look-alike of another script", &CELL, move |world| any_text(world, look_alike)),
        line("a letter with its accent is one character, not two", &CELL, |world| {
            any_text(world, |text| text.contains("e\u{301}").then(|| text.replace("e\u{301}", "\u{e9}")))
        }),
        line("a text has a space more at its end", &CELL, |world| any_text(world, |text| Some(format!("{text} ")))),
        line("a text has a zero-width space more", &CELL, |world| any_text(world, |text| Some(format!("{text}\u{200b}")))),
        line("a detail is the same JSON in other words", &CELL, |world| {
            value(world, |record| &mut record.fields.detail, |text| text.map(|text| Some(text.replacen(':', ": ", 1))))
        }),
        line("a kind is another", &CELL, |world| {
            record(world, |record| {
                let changed = matches!(record.fields.kind, Kind::SessionOpen | Kind::SessionClose | Kind::SessionExpire);
                if changed {
                    record.fields.kind = Kind::SessionRevoke;
                }
                changed
            })
        }),
    ]
}

fn numbers() -> Vec<Tampering> {
    let shift = |by: i64| {
        move |world: &mut World| {
            record(world, |record| {
                record.time += by;
                true
            })
        }
    };
    vec![
        line("a time is 1 µs later", &EVERYONE, shift(1)),
        line("a time is 1 µs earlier", &CELL, shift(-1)),
        line("a time is an hour earlier", &CELL, shift(-3_600_000_000)),
        line("a status is another", &CELL, |world| {
            record(world, |record| record.fields.status.as_mut().map(|status| *status ^= 1).is_some())
        }),
        line("a status is gone", &CELL, |world| record(world, |record| record.fields.status.take().is_some())),
        line("a duration is another", &CELL, |world| {
            record(world, |record| record.fields.duration_us.as_mut().map(|duration| *duration ^= 1).is_some())
        }),
        line("a number of bytes is zero instead of unknown", &CELL, |world| {
            record(world, |record| {
                let unknown = record.fields.response_bytes.is_none();
                record.fields.response_bytes.get_or_insert(0);
                unknown
            })
        }),
        line("a seq is that of the record after it", &CELL, |world| {
            record(world, |record| {
                let middle = record.seq == 2;
                record.seq += u64::from(middle);
                middle
            })
        }),
        line(
            "an outcome belongs to another call",
            &[all(Holds::Nothing, L0), all(Holds::WindowKey, L2), all(Holds::WindowKeyRehashed, L2), all(Holds::IdentityKey, L2)],
            |world| {
                record(world, |record| {
                    let outcome = matches!(record.fields.kind, Kind::Outcome | Kind::OutcomeUnknown);
                    if outcome {
                        record.fields.call = Some(0);
                    }
                    outcome
                })
            },
        ),
    ]
}

fn lists() -> Vec<Tampering> {
    let lists: [fn(&mut Record) -> &mut Vec<Text>; 3] =
        [|record| &mut record.fields.resources, |record| &mut record.fields.credential_chain, |record| &mut record.fields.rules];
    let list = move |world: &mut World, change: fn(&mut Vec<Text>) -> bool| {
        lists.into_iter().any(|column| record(world, |record| change(column(record))))
    };
    vec![
        line("a list is in another order", &CELL, move |world| {
            list(world, |list| {
                let before = list.clone();
                list.reverse();
                *list != before
            })
        }),
        line("two elements of a list are one", &CELL, move |world| {
            list(world, |list| {
                let two = list.len() >= 2;
                if two {
                    let joined = format!("{},{}", list[0], list[1]);
                    list.splice(..2, [joined.into()]);
                }
                two
            })
        }),
        line("an empty list holds an empty text", &CELL, move |world| {
            list(world, |list| {
                let empty = list.is_empty();
                if empty {
                    list.push("".into());
                }
                empty
            })
        }),
        line("a list is empty", &CELL, move |world| list(world, |list| !std::mem::take(list).is_empty())),
    ]
}

fn hashes() -> Vec<Tampering> {
    let hash = |place: usize| {
        move |world: &mut World| {
            let records = &mut world.window("CHG-1").parts[0].records;
            let place = place.min(records.len() - 1);
            records[place].1.0[31] ^= 1;
        }
    };
    vec![
        always("a record's hash is another", &CELL, hash(3)),
        always("a part's last hash is another", &CELL, hash(usize::MAX)),
        line("a commitment is another", &CELL, |world| {
            record(world, |record| record.fields.payload_hash.as_mut().map(|hash| hash.0[0] ^= 1).is_some())
        }),
        line("a commitment is gone, its payload row is there", &CELL, |world| {
            record(world, |record| record.fields.payload_hash.take().is_some())
        }),
        line("a commitment where there is no payload row", &CELL, |world| {
            record(world, |record| {
                let none = record.fields.payload_hash.is_none();
                record.fields.payload_hash.get_or_insert(Hash::ZERO);
                none
            })
        }),
        always(
            "the window columns of a part name another window",
            &[all(Holds::Nothing, L0), Case { ..two(Holds::WindowKey, L1) }],
            |world| {
                let window = world.window("CHG-1");
                let other = LedgerId::new(window.ledger.gateway().to_string(), "CHG-9").unwrap();
                let bytes = write_records(&other, 0, &window.parts[0].records).unwrap();
                let name = world.name("CHG-1", Table::Records, 0);
                *world.file("CHG-1", &name) = bytes;
            },
        ),
    ]
}
