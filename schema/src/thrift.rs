//! The wire form under Parquet's metadata: Thrift's compact protocol, read one way only.
//!
//! `Reader` takes what the writer of this format writes, and nothing else: fields in ascending order, each with the
//! short head that its distance from the one before gives, numbers in their shortest form, lists with the shorter of the
//! two heads. So one value has one spelling, an unknown field is an error, and no field comes twice. `scan` is the other
//! end: it takes any well-formed value of any program, keeps nothing, and says how much there is, so that a decoder can be
//! let at bytes that are not this format's. Neither allocates.

/// Values in a footer, nested ones included, above which it is not decoded: some 600 row groups of the widest table.
pub const VALUES_MAX: usize = 1 << 20;
/// How deep values may be nested. Parquet's own go 7 deep.
pub const DEPTH_MAX: usize = 16;

/// Types of the compact protocol that this format's metadata has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    I16 = 4,
    I32 = 5,
    I64 = 6,
    Binary = 8,
    List = 9,
    Struct = 12,
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const SHORT_LIST_MAX: usize = 14;

/// Reads from the front of bytes.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, length: bytes.len() }
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> usize {
        self.length - self.bytes.len()
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Takes `expected` and nothing else.
    pub(crate) fn exactly(&mut self, expected: &[u8]) -> bool {
        let rest = self.bytes.strip_prefix(expected);
        self.bytes = rest.unwrap_or(self.bytes);
        rest.is_some()
    }

    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.bytes.split_first().ok_or("a Thrift value ends early")?;
        self.bytes = rest;
        Ok(*first)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("a Thrift value ends early")?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A number in its shortest form.
    pub(crate) fn unsigned(&mut self) -> Result<u64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits << shift;
            if byte < 0x80 {
                let shortest = (shift == 0 || byte != 0) && (bits << shift) >> shift == bits;
                return if shortest { Ok(value) } else { Err("a Thrift number is longer than it needs to be".to_owned()) };
            }
        }
        Err("a Thrift number is too long".to_owned())
    }

    fn signed(&mut self) -> Result<i64, String> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn narrow<T: TryFrom<i64>>(&mut self) -> Result<T, String> {
        T::try_from(self.signed()?).map_err(|_| "a Thrift number is out of the range of its type".to_owned())
    }

    /// The number of elements, all of `kind`, of a list that may have `max`.
    fn list(&mut self, kind: Kind, max: usize) -> Result<usize, String> {
        let head = self.byte()?;
        if head & 15 != kind as u8 {
            return Err("a Thrift list holds another type than it should".to_owned());
        }
        let count = match usize::from(head >> 4) {
            15 => usize::try_from(self.unsigned()?).ok().filter(|count| *count > SHORT_LIST_MAX),
            count => Some(count),
        };
        count.filter(|count| *count <= max).ok_or_else(|| "a Thrift list has more elements than it may".to_owned())
    }

    /// Elements of a list of numbers, each read by itself.
    pub(crate) fn i32_element(&mut self) -> Result<i32, String> {
        self.narrow()
    }

    /// As [`Reader::i32_element`].
    pub(crate) fn i64_element(&mut self) -> Result<i64, String> {
        self.signed()
    }

    /// As [`Reader::i32_element`], for bytes.
    pub(crate) fn binary_element(&mut self) -> Result<&'a [u8], String> {
        let length = self.unsigned()?;
        self.take(length)
    }

    /// A struct: its fields one after another. [`Fields::end`] closes it.
    pub(crate) fn fields(&mut self) -> Fields<'_, 'a> {
        self.fields_after(0)
    }

    /// The rest of a struct whose field `last` was read.
    pub(crate) fn fields_after(&mut self, last: u8) -> Fields<'_, 'a> {
        Fields { reader: self, last }
    }
}

/// The fields of one struct, asked for in the order of their ids.
#[derive(Debug)]
pub(crate) struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    last: u8,
}

impl<'a> Fields<'_, 'a> {
    /// Whether the next field is `id`, of the type with this number; its head is then read.
    fn next(&mut self, id: u8, kind: u8) -> bool {
        let found = self.reader.exactly(&[id.wrapping_sub(self.last) << 4 | kind]);
        if found {
            self.last = id;
        }
        found
    }

    fn need(&mut self, id: u8, kind: u8) -> Result<(), String> {
        if self.next(id, kind) {
            return Ok(());
        }
        Err(format!("field {id} is missing, of another type, or behind a field that this format does not have"))
    }

    pub(crate) fn i16(&mut self, id: u8) -> Result<i16, String> {
        self.need(id, Kind::I16 as u8)?;
        self.reader.narrow()
    }

    pub(crate) fn i32(&mut self, id: u8) -> Result<i32, String> {
        self.need(id, Kind::I32 as u8)?;
        self.reader.narrow()
    }

    pub(crate) fn i64(&mut self, id: u8) -> Result<i64, String> {
        self.need(id, Kind::I64 as u8)?;
        self.reader.signed()
    }

    pub(crate) fn i64_or_none(&mut self, id: u8) -> Result<Option<i64>, String> {
        if self.next(id, Kind::I64 as u8) { self.reader.signed().map(Some) } else { Ok(None) }
    }

    pub(crate) fn binary_or_none(&mut self, id: u8) -> Result<Option<&'a [u8]>, String> {
        if self.next(id, Kind::Binary as u8) { self.reader.binary_element().map(Some) } else { Ok(None) }
    }

    pub(crate) fn bool(&mut self, id: u8) -> Result<bool, String> {
        if self.next(id, TRUE) {
            return Ok(true);
        }
        self.need(id, FALSE).map(|()| false)
    }

    /// Opens the struct in field `id`.
    pub(crate) fn structure(&mut self, id: u8) -> Result<Fields<'_, 'a>, String> {
        self.need(id, Kind::Struct as u8)?;
        Ok(self.reader.fields())
    }

    /// Opens the struct in field `id`, where there is one.
    pub(crate) fn structure_or_none(&mut self, id: u8) -> Option<Fields<'_, 'a>> {
        self.next(id, Kind::Struct as u8).then(|| self.reader.fields())
    }

    /// Reads the list in field `id`.
    pub(crate) fn list<T>(
        &mut self,
        id: u8,
        kind: Kind,
        max: usize,
        mut element: impl FnMut(&mut Reader<'a>) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.need(id, Kind::List as u8)?;
        let count = self.reader.list(kind, max)?;
        (0..count).map(|_| element(self.reader)).collect()
    }

    /// As [`Fields::list`], where there is one.
    pub(crate) fn list_or_none<T>(
        &mut self,
        id: u8,
        kind: Kind,
        max: usize,
        mut element: impl FnMut(&mut Reader<'a>) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, String> {
        if !self.next(id, Kind::List as u8) {
            return Ok(None);
        }
        let count = self.reader.list(kind, max)?;
        (0..count).map(|_| element(self.reader)).collect::<Result<_, _>>().map(Some)
    }

    /// The struct ends here.
    pub(crate) fn end(self) -> Result<(), String> {
        if self.reader.exactly(&[0]) {
            Ok(())
        } else {
            Err(format!("after field {} stands one that this format does not have", self.last))
        }
    }
}

/// What [`scan`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Bytes of the struct.
    pub(crate) length: usize,
    /// Its fields 2 and 3, which in a page header are the sizes, uncompressed and compressed.
    pub(crate) sizes: [i64; 2],
    /// The largest field 1 of the structs in it, which in a page header is the number of values.
    pub(crate) values: i64,
}

/// Walks one struct of any shape. An error where it is not well-formed, too deep, or of more than [`VALUES_MAX`] values.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scanned, String> {
    let mut scan = Scan { reader: Reader::new(bytes), count: 0, found: Scanned::default() };
    scan.structure(0)?;
    Ok(Scanned { length: scan.reader.at(), ..scan.found })
}

struct Scan<'a> {
    reader: Reader<'a>,
    count: usize,
    found: Scanned,
}

impl Scan<'_> {
    fn count(&mut self, depth: usize) -> Result<(), String> {
        self.count += 1;
        if depth > DEPTH_MAX || self.count > VALUES_MAX {
            return Err("it has more values, or nests them deeper, than VALUES_MAX and DEPTH_MAX allow".to_owned());
        }
        Ok(())
    }

    fn structure(&mut self, depth: usize) -> Result<(), String> {
        let mut field = 0_i64;
        loop {
            self.count(depth)?;
            let head = self.reader.byte()?;
            let (step, kind) = (head >> 4, head & 15);
            if kind == 0 {
                return Ok(());
            }
            field = if step == 0 { self.reader.signed()? } else { field.saturating_add(step.into()) };
            match (depth, field, kind) {
                (0, 2, 5) => self.found.sizes[0] = self.reader.signed()?,
                (0, 3, 5) => self.found.sizes[1] = self.reader.signed()?,
                (1, 1, 5) => self.found.values = self.reader.signed()?.max(self.found.values),
                (_, _, 1 | 2) => {}
                _ => self.value(kind, depth + 1)?,
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<(), String> {
        self.count(depth)?;
        match kind {
            1..=3 => self.reader.byte().map(drop),
            4..=6 => self.reader.signed().map(drop),
            7 => self.reader.take(8).map(drop),
            8 => self.reader.binary_element().map(drop),
            9 | 10 => {
                let head = self.reader.byte()?;
                let count = if head >> 4 == 15 { self.reader.unsigned()? } else { u64::from(head >> 4) };
                (0..count).try_for_each(|_| self.value(head & 15, depth + 1))
            }
            12 => self.structure(depth),
            _ => Err(format!("a Thrift type ({kind}) that Parquet does not use")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_has_one_spelling() {
        let read = |bytes: &[u8]| Reader::new(bytes).unsigned();
        assert_eq!(read(&[0]), Ok(0));
        assert_eq!(read(&[0x80, 1]), Ok(128));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Ok(u64::MAX));
        for bytes in
            [&[0x80, 0][..], &[0x81, 0x80, 0], &[0x80], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &[0x80; 11]]
        {
            assert!(read(bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn a_field_has_one_head() {
        let read = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            let mut fields = reader.fields();
            let values = (fields.i32(1)?, fields.i64_or_none(2)?, fields.bool(5)?);
            fields.end().map(|()| values)
        };
        assert_eq!(read(&[0x15, 4, 0x41, 0]), Ok((2, None, true)));
        assert_eq!(read(&[0x15, 4, 0x16, 1, 0x32, 0]), Ok((2, Some(-1), false)));
        let wrong: [&[u8]; 6] = [
            &[0x05, 2, 4, 0x41, 0],
            &[0x14, 4, 0x41, 0],
            &[0x15, 4, 0x15, 1, 0x31, 0],
            &[0x15, 4, 0x41, 0x15, 2, 0],
            &[0x15, 4, 0x41],
            &[0x15, 0xfe, 0xff, 0xff, 0xff, 0x7f, 0x41, 0],
        ];
        for bytes in wrong {
            assert!(read(bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn a_list_longer_than_it_may_be_is_refused_before_it_is_read() {
        let read = |bytes: &[u8]| Reader::new(bytes).fields().list(1, Kind::I32, 20, Reader::i32_element);
        assert_eq!(read(&[0x19, 0x25, 2, 4]), Ok(vec![1, 2]));
        assert!(read(&[0x19, 0xf5, 2, 2, 4]).is_err(), "the long head of a short list");
        assert!(read(&[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
        assert!(read(&[0x19, 0x26, 2, 4]).is_err());
    }

    #[test]
    fn a_scan_ends_at_its_limits() {
        let nested = [vec![0x1c; 40], vec![0; 41]].concat();
        assert!(scan(&nested).is_err());
        let many = [&[0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[1; 64]].concat();
        assert!(scan(&many).is_err());
        let header = [0x15, 4, 0x15, 20, 0x15, 30, 0x4c, 0x15, 8, 0, 0, 9];
        assert_eq!(scan(&header), Ok(Scanned { length: 11, sizes: [10, 15], values: 4 }));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = scan(&bytes);
            let mut reader = Reader::new(&bytes);
            let _ = reader.fields().list(1, Kind::Binary, 9, Reader::binary_element);
        }
    }
}
