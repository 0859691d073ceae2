//! The forged footers of a records file, by name (see [`crate::footer_forge`] for how they are made).

use crate::footer_forge::{Value, chunk, edit, edit_page, footer, footer_start, with_footer};

/// A name, and what it does to the bytes of a records file with at least one row.
pub type Forgery = (&'static str, fn(&[u8]) -> Vec<u8>);

/// Every one has to be found at L1, also where the note was signed for the forged file.
pub const FORGERIES: &[Forgery] = &[
    ("a false minimum", |file| bounds(file, |statistics| statistics.set(6, Value::binary("a")))),
    ("a false maximum", |file| bounds(file, |statistics| statistics.set(5, Value::binary("zz")))),
    ("bounds that are said to be inexact", |file| bounds(file, |statistics| statistics.set(7, Value::Bool(false)))),
    ("an old maximum beside the new one", |file| bounds(file, |statistics| statistics.set(1, Value::binary("zz")))),
    ("bounds removed", |file| {
        bounds(file, |statistics| {
            statistics.remove(5);
            statistics.remove(6);
        })
    }),
    ("a null count too high", |file| {
        bounds(file, |statistics| {
            let nulls = statistics.at(3).int();
            statistics.set(3, Value::i64(nulls + 1));
        })
    }),
    ("a distinct count", |file| bounds(file, |statistics| statistics.set(4, Value::i64(1)))),
    ("no nulls in error_code", |file| edit(file, |footer| chunk(footer, "error_code").at(12).set(3, Value::i64(-1)))),
    ("statistics removed", |file| meta(file, |meta| meta.remove(12))),
    ("false size statistics", |file| meta(file, |meta| meta.at(16).set(1, Value::i64(0)))),
    ("size statistics removed", |file| meta(file, |meta| meta.remove(16))),
    ("false encoding statistics", |file| meta(file, |meta| meta.at(13).items().truncate(1))),
    ("another compression", |file| meta(file, |meta| meta.set(4, Value::i32(0)))),
    ("a false number of values", |file| meta(file, |meta| meta.set(5, Value::i64(1)))),
    ("a false uncompressed size", |file| meta(file, |meta| meta.set(6, Value::i64(1)))),
    ("key-value metadata of a column", |file| meta(file, |meta| meta.set(8, Value::List(12, vec![pair("k", "v")])))),
    ("an index page", |file| meta(file, |meta| meta.set(10, Value::i64(4)))),
    ("a bloom filter that is not there", |file| {
        meta(file, |meta| {
            meta.set(14, Value::i64(4));
            meta.set(15, Value::i32(32));
        })
    }),
    ("a bloom filter that says no", bloom_filter),
    ("an offset index", |file| column(file, |column| index(column, 4))),
    ("a column index", |file| column(file, |column| index(column, 6))),
    ("another file's column", |file| column(file, |column| column.set(1, Value::binary("elsewhere.parquet")))),
    ("an encrypted column", |file| column(file, |column| column.set(8, Value::Struct(vec![(1, Value::Struct(Vec::new()))])))),
    ("another column's path", |file| meta(file, |meta| meta.set(3, Value::List(8, vec![Value::binary("session")])))),
    ("another column's bytes", |file| {
        edit(file, |footer| {
            let source = chunk(footer, "session").clone();
            take_offsets(chunk(footer, "principal"), source);
        })
    }),
    ("two columns' bytes exchanged", |file| {
        edit(file, |footer| {
            let (principal, session) = (chunk(footer, "principal").clone(), chunk(footer, "session").clone());
            take_offsets(chunk(footer, "principal"), session);
            take_offsets(chunk(footer, "session"), principal);
        })
    }),
    ("a row more in the file", |file| edit(file, |footer| add(footer, 3, 1))),
    ("the last row hidden", |file| {
        edit(file, |footer| {
            add(footer, 3, -1);
            add(&mut footer.at(4).items()[0], 3, -1);
        })
    }),
    ("a row group twice", |file| {
        edit(file, |footer| {
            let group = footer.at(4).items()[0].clone();
            let rows = group.clone().at(3).int();
            footer.at(4).items().push(group);
            add(footer, 3, rows);
        })
    }),
    ("all row groups hidden", |file| {
        edit(file, |footer| {
            footer.at(4).items().clear();
            footer.set(3, Value::i64(0));
        })
    }),
    ("a false sorting order", |file| {
        let order = Value::Struct(vec![(1, Value::i32(7)), (2, Value::Bool(true)), (3, Value::Bool(false))]);
        edit(file, |footer| footer.at(4).items()[0].set(4, Value::List(12, vec![order])))
    }),
    ("another ordinal", |file| edit(file, |footer| footer.at(4).items()[0].set(7, Value::Int(4, 1)))),
    ("milliseconds instead of microseconds", |file| {
        let unit = |kind| Value::Struct(vec![(kind, Value::Struct(Vec::new()))]);
        element(file, "time", |element| element.at(10).at(8).set(2, unit(1)))
    }),
    ("a local time", |file| element(file, "time", |element| element.at(10).at(8).set(1, Value::Bool(false)))),
    ("a time without its old type", |file| element(file, "time", |element| element.remove(6))),
    ("a signed seq", |file| element(file, "seq", |element| element.at(10).at(10).set(2, Value::Bool(true)))),
    ("a required column", |file| element(file, "principal", |element| element.set(3, Value::i32(0)))),
    ("a field id", |file| element(file, "principal", |element| element.set(9, Value::i32(7)))),
    ("a renamed column", |file| element(file, "acting_for", |element| element.set(4, Value::binary("acting_foe")))),
    ("two columns' names exchanged", |file| {
        let renamed = element(file, "principal", |element| element.set(4, Value::binary("x")));
        let renamed = element(&renamed, "session", |element| element.set(4, Value::binary("principal")));
        element(&renamed, "x", |element| element.set(4, Value::binary("session")))
    }),
    ("a column whose name differs by case", |file| second_column(file, "Principal")),
    ("a column twice", |file| second_column(file, "principal")),
    ("another gateway", |file| edit(file, |footer| footer.at(5).items()[1].set(2, Value::binary("gw-other")))),
    ("another first_seq", |file| edit(file, |footer| footer.at(5).items()[3].set(2, Value::binary("7")))),
    ("another key in the metadata", |file| edit(file, |footer| footer.at(5).items().push(pair("ARROW:schema", "AAAA")))),
    ("another program", |file| edit(file, |footer| footer.set(6, Value::binary("another version 1")))),
    ("no column orders", |file| edit(file, |footer| footer.remove(7))),
    ("a column order too few", |file| edit(file, |footer| drop(footer.at(7).items().pop()))),
    ("an encrypted footer", |file| edit(file, |footer| footer.set(8, Value::Struct(vec![(1, Value::Struct(Vec::new()))])))),
    ("another version", |file| edit(file, |footer| footer.set(1, Value::i32(1)))),
    ("an unknown field", |file| edit(file, |footer| footer.set(99, Value::i32(1)))),
    ("a field twice", |file| {
        let mut twice = footer(file);
        let Value::Struct(fields) = &mut twice else { unreachable!("a footer is a struct") };
        fields.insert(2, fields[1].clone());
        with_footer(&file[..footer_start(file)], &twice)
    }),
    ("fields out of order", |file| {
        let mut turned = footer(file);
        let Value::Struct(fields) = &mut turned else { unreachable!("a footer is a struct") };
        fields.swap(4, 5);
        with_footer(&file[..footer_start(file)], &turned)
    }),
    ("a number longer than it needs to be", |file| {
        let start = footer_start(file);
        // The version, 2, which is the first field: 15 04.
        let footer = [&[0x15, 0x84, 0][..], &file[start + 2..file.len() - 8]].concat();
        [&file[..start], &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
    }),
    ("a second footer", |file| edit(file, |_| ()).into_iter().chain(with_footer(&[], &footer(file))).collect()),
    ("a second footer without a row", |file| {
        let mut empty = footer(file);
        empty.at(4).items().clear();
        empty.set(3, Value::i64(0));
        with_footer(file, &empty)
    }),
    ("bytes before the footer", |file| with_footer(&[&file[..footer_start(file)], b"hidden"].concat(), &footer(file))),
    ("bytes behind the footer's last field", |file| {
        let footer = [&file[footer_start(file)..file.len() - 8], b"hidden"].concat();
        [&file[..footer_start(file)], &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
    }),
    ("the mark of an encrypted footer", |file| [&file[..file.len() - 4], b"PARE"].concat()),
    ("a sorted dictionary", |file| edit_page(file, 0, |page| page.at(7).set(3, Value::Bool(true)))),
    ("a dictionary of another size", |file| edit_page(file, 0, |page| page.at(7).set(1, Value::i32(0)))),
    ("a page of fewer rows", |file| edit_page(file, 1, |page| add(page.at(8), 3, -1))),
    ("a page of more nulls", |file| edit_page(file, 1, |page| page.at(8).set(2, Value::i32(1)))),
];

fn pair(key: &str, value: &str) -> Value {
    Value::Struct(vec![(1, Value::binary(key)), (2, Value::binary(value))])
}

fn add(value: &mut Value, id: i64, change: i64) {
    let Value::Int(kind, number) = value.at(id).clone() else { panic!("not a number") };
    value.set(id, Value::Int(kind, number + change));
}

/// Changes the metadata of `principal`.
fn meta(file: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    edit(file, |footer| change(chunk(footer, "principal")))
}

/// Changes the statistics of `principal`.
fn bounds(file: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    meta(file, |meta| change(meta.at(12)))
}

/// Changes the first column chunk, around its metadata.
fn column(file: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    edit(file, |footer| change(&mut footer.at(4).items()[0].at(1).items()[0]))
}

fn index(column: &mut Value, id: i64) {
    column.set(id, Value::i64(4));
    column.set(id + 1, Value::i32(8));
}

/// Changes the schema element of a name.
fn element(file: &[u8], name: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    edit(file, |footer| {
        let element =
            footer.at(2).items().iter_mut().find_map(|element| (*element.at(4) == Value::binary(name)).then_some(element));
        change(element.unwrap_or_else(|| panic!("no column {name}")));
    })
}

fn take_offsets(meta: &mut Value, mut from: Value) {
    for id in [5, 6, 7, 9, 11] {
        meta.remove(id);
        if from.has(id) {
            meta.set(id, from.at(id).clone());
        }
    }
}

/// A second column with the bytes of `session`, which a reader that ignores case could take for `principal`.
fn second_column(file: &[u8], name: &str) -> Vec<u8> {
    edit(file, |footer| {
        let mut added = footer.at(4).items()[0].at(1).items()[6].clone();
        added.at(3).set(3, Value::List(8, vec![Value::binary(name)]));
        footer.at(4).items()[0].at(1).items().push(added);
        let mut element = footer.at(2).items()[7].clone();
        element.set(4, Value::binary(name));
        footer.at(2).items().push(element);
        add(&mut footer.at(2).items()[0], 5, 1);
        let order = footer.at(7).items()[0].clone();
        footer.at(7).items().push(order);
    })
}

/// A filter of 32 zero bytes behind the last column: every value asked for is "not there", so an engine skips the rows.
fn bloom_filter(file: &[u8]) -> Vec<u8> {
    let start = footer_start(file);
    let choice = || Value::Struct(vec![(1, Value::Struct(Vec::new()))]);
    let mut filter = Vec::new();
    Value::Struct(vec![(1, Value::i32(32)), (2, choice()), (3, choice()), (4, choice())]).write(&mut filter);
    filter.extend([0; 32]);
    let mut footer = footer(file);
    let meta = chunk(&mut footer, "principal");
    meta.set(14, Value::i64(start as i64));
    meta.set(15, Value::i32(filter.len() as i64));
    with_footer(&[&file[..start], &filter].concat(), &footer)
}
