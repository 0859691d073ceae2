//! Deterministic CBOR (RFC 8949 §4.2.1), the only bytes that are ever hashed: shortest heads, definite lengths,
//! and of the types only unsigned and negative integers, byte and text strings, arrays and null.
//!
//! The writer can't make anything else; the reader takes nothing else, so one value has one encoding.

/// The deepest nesting a reader follows: a row holds a list of pairs, so three would do.
const DEPTH_MAX: u32 = 4;

const UNSIGNED: u8 = 0 << 5;
const NEGATIVE: u8 = 1 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const ARRAY: u8 = 4 << 5;
const NULL: u8 = 0xf6;

/// Appends canonical values to a buffer that the caller owns and may reuse.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Encoder<'a> {
    /// Appends to `out`, which need not be empty.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// The head of an array of `len` values; the caller writes the values.
    pub fn array(&mut self, len: usize) {
        self.head(ARRAY, len as u64);
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self, value: u64) {
        self.head(UNSIGNED, value);
    }

    /// A signed integer.
    pub fn signed(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.head(UNSIGNED, value),
            // CBOR's negative n stands for -1 - n, which is the bitwise complement.
            Err(_) => self.head(NEGATIVE, !value as u64),
        }
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.head(BYTES, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// A text string.
    pub fn text(&mut self, value: &str) {
        self.head(TEXT, value.len() as u64);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Null: a column without a value.
    pub fn null(&mut self) {
        self.out.push(NULL);
    }

    /// A text string or null.
    pub fn optional_text(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    /// An unsigned integer or null.
    pub fn optional_unsigned(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.unsigned(value),
            None => self.null(),
        }
    }

    /// A byte string or null.
    pub fn optional_bytes(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.bytes(value),
            None => self.null(),
        }
    }

    /// An array of text strings.
    pub fn texts(&mut self, values: &[crate::Text]) {
        self.array(values.len());
        values.iter().for_each(|value| self.text(value));
    }

    fn head(&mut self, major: u8, value: u64) {
        let bytes = value.to_be_bytes();
        match value {
            0..24 => self.out.push(major | value as u8),
            24..0x100 => self.head_bytes(major | 24, &bytes[7..]),
            0x100..0x1_0000 => self.head_bytes(major | 25, &bytes[6..]),
            0x1_0000..0x1_0000_0000 => self.head_bytes(major | 26, &bytes[4..]),
            _ => self.head_bytes(major | 27, &bytes),
        }
    }

    fn head_bytes(&mut self, first: u8, rest: &[u8]) {
        self.out.push(first);
        self.out.extend_from_slice(rest);
    }
}

/// Bytes that are not the canonical encoding of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the bytes end inside a value")]
    Short,
    /// A head is longer than its value needs.
    #[error("a length or number is not in its shortest form")]
    NotShortest,
    /// The value is of another type than this place has.
    #[error("a value has the wrong type for its place")]
    WrongType,
    /// A text string is not UTF-8.
    #[error("a text string is not UTF-8")]
    NotUtf8,
    /// Bytes follow the last value.
    #[error("bytes follow the last value")]
    TrailingBytes,
    /// An array does not have the length that its place has.
    #[error("an array has the wrong length")]
    WrongLength,
}

/// Reads canonical values from the front of a slice. Allocates nothing by a length it has not checked.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Fails unless every byte was read.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }

    /// The number of values in the array that starts here; never more than the bytes that are left.
    pub fn array(&mut self) -> Result<usize, DecodeError> {
        let len = self.expect(ARRAY)?;
        // Each value takes a byte at least, so a longer array is a lie.
        usize::try_from(len).ok().filter(|len| *len <= self.rest.len()).ok_or(DecodeError::Short)
    }

    /// An array of exactly `len` values.
    pub fn array_of(&mut self, len: usize) -> Result<(), DecodeError> {
        if self.array()? == len { Ok(()) } else { Err(DecodeError::WrongLength) }
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self) -> Result<u64, DecodeError> {
        self.expect(UNSIGNED)
    }

    /// A signed integer that fits 64 bits.
    pub fn signed(&mut self) -> Result<i64, DecodeError> {
        let (major, value) = self.head()?;
        let value = i64::try_from(value).map_err(|_| DecodeError::WrongType)?;
        match major {
            UNSIGNED => Ok(value),
            NEGATIVE => Ok(!value),
            _ => Err(DecodeError::WrongType),
        }
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.expect(BYTES)?;
        self.take(len)
    }

    /// A text string.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.expect(TEXT)?;
        std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::NotUtf8)
    }

    /// `None` at a null, otherwise what `read` makes of the value.
    pub fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, DecodeError>) -> Result<Option<T>, DecodeError> {
        if self.rest.first() == Some(&NULL) {
            self.take(1)?;
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// An array of text strings.
    pub fn texts(&mut self) -> Result<Vec<crate::Text>, DecodeError> {
        (0..self.array()?).map(|_| Ok(self.text()?.to_owned().into())).collect()
    }

    /// Passes over one value of any type this encoding has, and returns its bytes.
    pub fn any(&mut self) -> Result<&'a [u8], DecodeError> {
        let before = self.rest;
        self.skip(DEPTH_MAX)?;
        before.get(..before.len() - self.rest.len()).ok_or(DecodeError::Short)
    }

    fn skip(&mut self, depth: u32) -> Result<(), DecodeError> {
        if self.rest.first() == Some(&NULL) {
            return self.take(1).map(drop);
        }
        let mut ahead = self.clone();
        match ahead.head()?.0 {
            UNSIGNED => self.head().map(drop),
            NEGATIVE => self.signed().map(drop),
            BYTES => self.bytes().map(drop),
            TEXT => self.text().map(drop),
            ARRAY if depth > 0 => {
                let len = self.array()?;
                (0..len).try_for_each(|_| self.skip(depth - 1))
            }
            _ => Err(DecodeError::WrongType),
        }
    }

    fn expect(&mut self, major: u8) -> Result<u64, DecodeError> {
        let (found, value) = self.head()?;
        if found == major { Ok(value) } else { Err(DecodeError::WrongType) }
    }

    fn head(&mut self) -> Result<(u8, u64), DecodeError> {
        let first = self.take(1)?.first().copied().ok_or(DecodeError::Short)?;
        let (major, low) = (first & 0xe0, first & 0x1f);
        let (width, smallest) = match low {
            0..24 => return Ok((major, u64::from(low))),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(DecodeError::WrongType),
        };
        let value = self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if value < smallest { Err(DecodeError::NotShortest) } else { Ok((major, value)) }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(len).map_err(|_| DecodeError::Short)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(write: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Encoder::new(&mut out));
        out
    }

    /// The examples of RFC 8949 appendix A that this subset has.
    #[test]
    fn the_examples_of_the_rfc_encode_as_printed() {
        let unsigned: [(u64, &[u8]); 8] = [
            (0, &[0]),
            (23, &[0x17]),
            (24, &[0x18, 24]),
            (100, &[0x18, 100]),
            (1000, &[0x19, 3, 0xe8]),
            (1_000_000, &[0x1a, 0, 0xf, 0x42, 0x40]),
            (1_000_000_000_000, &[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0]),
            (u64::MAX, &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]),
        ];
        for (value, bytes) in unsigned {
            assert_eq!(encoded(|e| e.unsigned(value)), bytes);
        }
        assert_eq!(encoded(|e| e.signed(-1)), [0x20]);
        assert_eq!(encoded(|e| e.signed(-1000)), [0x39, 3, 0xe7]);
        assert_eq!(encoded(|e| e.text("ü")), [0x62, 0xc3, 0xbc]);
        assert_eq!(encoded(|e| e.bytes(&[1, 2, 3, 4])), [0x44, 1, 2, 3, 4]);
        assert_eq!(encoded(|e| e.null()), [0xf6]);
    }

    #[test]
    fn a_second_spelling_is_refused() {
        let check = |bytes: &[u8], error| assert_eq!(Decoder::new(bytes).unsigned(), Err(error), "{bytes:x?}");
        check(&[0x18, 23], DecodeError::NotShortest);
        check(&[0x19, 0, 255], DecodeError::NotShortest);
        check(&[0x1b, 0, 0, 0, 0, 255, 255, 255, 255], DecodeError::NotShortest);
        check(&[0x1f], DecodeError::WrongType);
        check(&[0x41, 0], DecodeError::WrongType);
        check(&[0x19, 1], DecodeError::Short);
        assert_eq!(Decoder::new(&[0x9b, 255, 255, 255, 255, 255, 255, 255, 255]).array(), Err(DecodeError::Short));
        assert_eq!(Decoder::new(&[0x62, 0xff, 0xff]).text(), Err(DecodeError::NotUtf8));
    }

    #[test]
    fn a_negative_number_that_nothing_here_can_hold_is_no_value() {
        let below = [0x3b, 128, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Decoder::new(&below).signed(), Err(DecodeError::WrongType));
        assert_eq!(Decoder::new(&below).any(), Err(DecodeError::WrongType));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(unsigned: u64, signed: i64, text: String, bytes: Vec<u8>) {
            let out = encoded(|e| { e.array(4); e.unsigned(unsigned); e.signed(signed); e.text(&text); e.bytes(&bytes); });
            let mut decoder = Decoder::new(&out);
            prop_assert_eq!(decoder.clone().any(), Ok(out.as_slice()));
            decoder.array_of(4)?;
            prop_assert_eq!(decoder.unsigned()?, unsigned);
            prop_assert_eq!(decoder.signed()?, signed);
            prop_assert_eq!(decoder.text()?, text);
            prop_assert_eq!(decoder.bytes()?, bytes);
            decoder.finish()?;
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Decoder::new(&bytes).any();
            let _ = Decoder::new(&bytes).texts();
            let _ = Decoder::new(&bytes).signed();
        }
    }
}
