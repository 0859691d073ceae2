//! Forged Parquet footers: Thrift as a tree that can be read, changed and written again, and the forgeries that a signer
//! with a grudge would try.
//!
//! Each forgery keeps the rest of the file as it was, and the footer well-formed: what must be found is the lie and not a
//! broken encoding. They know nothing of notes; whoever uses them signs the result, or does not.

use std::ops::Range;

/// A value of Thrift's compact protocol.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `bool`.
    Bool(bool),
    /// `i8`.
    Byte(u8),
    /// `i16`, `i32`, `i64`, by its number on the wire: 4, 5, 6.
    Int(u8, i64),
    /// `binary`.
    Binary(Vec<u8>),
    /// `list`, with the number of its elements' type.
    List(u8, Vec<Value>),
    /// `struct`: fields in the order in which they stand.
    Struct(Vec<(i64, Value)>),
}

const I32: u8 = 5;
const I64: u8 = 6;

impl Value {
    /// A 32-bit number.
    pub fn i32(value: i64) -> Self {
        Self::Int(I32, value)
    }

    /// A 64-bit number.
    pub fn i64(value: i64) -> Self {
        Self::Int(I64, value)
    }

    /// Bytes.
    pub fn binary(bytes: impl AsRef<[u8]>) -> Self {
        Self::Binary(bytes.as_ref().to_vec())
    }

    fn fields(&mut self) -> &mut Vec<(i64, Value)> {
        let Self::Struct(fields) = self else { panic!("not a struct: {self:?}") };
        fields
    }

    /// Elements of a list.
    pub fn items(&mut self) -> &mut Vec<Value> {
        let Self::List(_, items) = self else { panic!("not a list: {self:?}") };
        items
    }

    /// A number.
    pub fn int(&self) -> i64 {
        let Self::Int(_, value) = self else { panic!("not a number: {self:?}") };
        *value
    }

    /// The field `id` of a struct.
    pub fn at(&mut self, id: i64) -> &mut Value {
        let found = self.fields().iter_mut().find(|(found, _)| *found == id);
        &mut found.unwrap_or_else(|| panic!("no field {id}")).1
    }

    /// Whether a struct has the field.
    pub fn has(&mut self, id: i64) -> bool {
        self.fields().iter().any(|(found, _)| *found == id)
    }

    /// Sets a field, in the order of ids.
    pub fn set(&mut self, id: i64, value: Value) {
        self.remove(id);
        let fields = self.fields();
        let place = fields.iter().position(|(found, _)| *found > id).unwrap_or(fields.len());
        fields.insert(place, (id, value));
    }

    /// Removes a field.
    pub fn remove(&mut self, id: i64) {
        self.fields().retain(|(found, _)| *found != id);
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Bool(true) => 1,
            Self::Bool(false) => 2,
            Self::Byte(_) => 3,
            Self::Int(kind, _) => *kind,
            Self::Binary(_) => 8,
            Self::List(..) => 9,
            Self::Struct(_) => 12,
        }
    }

    /// Writes the value in its shortest form.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(_) => {}
            Self::Byte(byte) => out.push(*byte),
            Self::Int(_, value) => varint((value << 1 ^ value >> 63) as u64, out),
            Self::Binary(bytes) => {
                varint(bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Self::List(kind, items) => {
                out.push((items.len().min(15) as u8) << 4 | kind);
                if items.len() > 14 {
                    varint(items.len() as u64, out);
                }
                items.iter().for_each(|item| item.write(out));
            }
            Self::Struct(fields) => {
                let mut last = 0;
                for (id, value) in fields {
                    let step = id - last;
                    out.push(if (1..16).contains(&step) { (step as u8) << 4 } else { 0 } | value.kind());
                    if !(1..16).contains(&step) {
                        varint((id << 1 ^ id >> 63) as u64, out);
                    }
                    value.write(out);
                    last = *id;
                }
                out.push(0);
            }
        }
    }

    /// Reads a struct from the front of `bytes`.
    pub fn read(bytes: &mut &[u8]) -> Self {
        Self::read_as(12, bytes)
    }

    fn read_as(kind: u8, bytes: &mut &[u8]) -> Self {
        match kind {
            3 => Self::Byte(byte(bytes)),
            4..=6 => Self::Int(kind, signed(bytes)),
            8 => {
                let length = unsigned(bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                *bytes = rest;
                Self::binary(value)
            }
            9 => {
                let head = byte(bytes);
                let count = if head >> 4 == 15 { unsigned(bytes) } else { u64::from(head >> 4) };
                Self::List(head & 15, (0..count).map(|_| Self::read_as(head & 15, bytes)).collect())
            }
            12 => {
                let (mut fields, mut id) = (Vec::new(), 0);
                loop {
                    let head = byte(bytes);
                    if head == 0 {
                        return Self::Struct(fields);
                    }
                    id = if head >> 4 == 0 { signed(bytes) } else { id + i64::from(head >> 4) };
                    let value = if head & 15 < 3 { Self::Bool(head & 15 == 1) } else { Self::read_as(head & 15, bytes) };
                    fields.push((id, value));
                }
            }
            _ => panic!("a Thrift type ({kind}) that Parquet does not use"),
        }
    }
}

fn byte(bytes: &mut &[u8]) -> u8 {
    let (first, rest) = bytes.split_first().unwrap();
    *bytes = rest;
    *first
}

fn unsigned(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = byte(bytes);
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

fn signed(bytes: &mut &[u8]) -> i64 {
    let value = unsigned(bytes);
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Where the footer starts.
pub fn footer_start(file: &[u8]) -> usize {
    let end = file.len() - 8;
    end - u32::from_le_bytes(file[end..end + 4].try_into().unwrap()) as usize
}

/// The footer as a tree.
pub fn footer(file: &[u8]) -> Value {
    Value::read(&mut &file[footer_start(file)..])
}

/// `body` with another footer behind it.
pub fn with_footer(body: &[u8], footer: &Value) -> Vec<u8> {
    let mut file = body.to_vec();
    footer.write(&mut file);
    let length = (file.len() - body.len()) as u32;
    file.extend(length.to_le_bytes());
    file.extend(b"PAR1");
    file
}

/// Changes the footer and leaves the rest.
pub fn edit(file: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut footer = footer(file);
    change(&mut footer);
    with_footer(&file[..footer_start(file)], &footer)
}

/// The metadata of the chunk of `column`, by the last part of its name, in the first row group.
pub fn chunk<'a>(footer: &'a mut Value, column: &str) -> &'a mut Value {
    let chunks = footer.at(4).items()[0].at(1).items();
    let named = |chunk: &mut Value| chunk.at(3).at(3).items().first() == Some(&Value::binary(column));
    let place = chunks.iter_mut().position(named).unwrap_or_else(|| panic!("no column {column}"));
    chunks[place].at(3)
}

/// Bytes of each page header, in order.
pub fn page_headers(file: &[u8]) -> Vec<Range<usize>> {
    let (mut at, end, mut headers) = (4, footer_start(file), Vec::new());
    while at < end {
        let mut rest = &file[at..end];
        let mut header = Value::read(&mut rest);
        let contents = end - rest.len();
        headers.push(at..contents);
        at = contents + header.at(3).int() as usize;
    }
    headers
}

/// Changes the header of page `index`, which must stay as long as it was.
pub fn edit_page(file: &[u8], index: usize, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let place = page_headers(file)[index].clone();
    let mut header = Value::read(&mut &file[place.clone()]);
    change(&mut header);
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    assert_eq!(bytes.len(), place.len(), "the forged page header has another length");
    [&file[..place.start], &bytes, &file[place.end..]].concat()
}
