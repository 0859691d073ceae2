//! `aws-chunked`: a body in chunks, each with its length and, in the signed forms, its signature; then perhaps a trailer.
//!
//! ```text
//! 10000;chunk-signature=0123…\r\n
//! (65,536 bytes)\r\n
//! 0;chunk-signature=4567…\r\n
//! x-amz-checksum-crc32c:sOO8/Q==\r\n
//! x-amz-trailer-signature:89ab…\r\n
//! \r\n
//! ```
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html> and `sigv4-streaming-trailers.html` beside it.
//! A signature is written over the client's, in place: every length in the body stays what it was. Checksums in a trailer
//! are the upstream's to check.

use super::{chain::Chains, error::BodyFault};
use crate::limits::{CHUNK_HEAD_BYTES_MAX, SIGNED_CHUNK_BYTES_MAX, TRAILER_BYTES_MAX};
use bytes::{Bytes, BytesMut};
use http::HeaderName;
use sealgate_schema::Hash;
use std::ops::Range;

/// Reads a body, checks it, and hands on what fits, under new signatures.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Of a signed body.
    chains: Option<Chains>,
    trailer: bool,
    buffer: BytesMut,
    state: State,
    chunk: u64,
    decoded: u64,
    decoded_length: Option<u64>,
}

/// What comes next.
#[derive(Debug, Clone)]
enum State {
    /// The head of a chunk.
    Head,
    /// A signed chunk; its head is read, and still in the buffer.
    Signed(Head),
    /// The rest of an unsigned chunk: so many bytes, with the line's end.
    Unsigned(u64),
    /// The last chunk, which is held until the end.
    Last(Head),
}

/// The head of a chunk: how long it is, and where in it is what.
#[derive(Debug, Clone)]
struct Head {
    bytes: usize,
    size: u64,
    signature: Range<usize>,
}

impl Chunks {
    /// `decoded_length` is what the chunks have to add up to.
    pub(super) fn new(chains: Option<Chains>, trailer: bool, decoded_length: Option<u64>) -> Self {
        Self { chains, trailer, buffer: BytesMut::new(), state: State::Head, chunk: 0, decoded: 0, decoded_length }
    }

    /// Bytes that were taken and not handed on.
    pub(super) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Takes bytes of the body; what of it may go on.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<Option<Bytes>, BodyFault> {
        self.buffer.extend_from_slice(data);
        let mut checked = 0;
        while let Some(bytes) = self.step(checked)? {
            checked += bytes;
        }
        Ok((checked > 0).then(|| self.buffer.split_to(checked).freeze()))
    }

    /// The body is over: its last chunk, if all fits.
    pub(super) fn end(&mut self) -> Result<Bytes, BodyFault> {
        let State::Last(head) = self.state.clone() else { return Err(self.framing("the body ends before its last chunk")) };
        if self.decoded_length.is_some_and(|length| length != self.decoded) {
            return Err(BodyFault::Length);
        }
        let mut last = std::mem::take(&mut self.buffer);
        let cut_off = self.framing("it is cut off");
        let (zero, rest) = last.split_at_mut_checked(head.bytes).ok_or(cut_off)?;
        self.check(zero, &head.signature, &[])?;
        self.check_trailer(rest)?;
        Ok(last.freeze())
    }

    /// How many more bytes from `at` on are checked; `None` until more of them come.
    fn step(&mut self, at: usize) -> Result<Option<usize>, BodyFault> {
        match self.state.clone() {
            State::Head => self.head(at),
            State::Signed(head) => self.signed(at, &head),
            State::Unsigned(left) => self.unsigned(at, left),
            State::Last(head) if self.buffer.len() - at > head.bytes + TRAILER_BYTES_MAX => {
                Err(self.framing("more than a trailer follows the last chunk"))
            }
            State::Last(_) => Ok(None),
        }
    }

    fn head(&mut self, at: usize) -> Result<Option<usize>, BodyFault> {
        let window = self.buffer.get(at..).unwrap_or_default();
        let window = window.get(..CHUNK_HEAD_BYTES_MAX).unwrap_or(window);
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            return if window.len() < CHUNK_HEAD_BYTES_MAX { Ok(None) } else { Err(self.framing("its head is too long")) };
        };
        let digits = self.chains.as_ref().map(Chains::digits);
        let head = window.get(..=end).and_then(|line| Head::read(line, digits));
        let head = head.ok_or(self.framing("its head is not SIZE, or in a signed body SIZE;chunk-signature=SIGNATURE"))?;
        self.decoded = self.decoded.saturating_add(head.size);
        if self.decoded_length.is_some_and(|length| self.decoded > length) {
            return Err(BodyFault::Length);
        }
        if digits.is_some() && head.size > SIGNED_CHUNK_BYTES_MAX as u64 {
            return Err(BodyFault::ChunkTooLong { chunk: self.chunk, max: SIGNED_CHUNK_BYTES_MAX });
        }
        let unsigned = digits.is_none() && head.size > 0;
        let checked = if unsigned { head.bytes } else { 0 };
        self.state = match head.size {
            0 => State::Last(head),
            size if unsigned => State::Unsigned(size.saturating_add(LINE_END.len() as u64)),
            _ => State::Signed(head),
        };
        Ok(Some(checked))
    }

    /// A signed chunk is checked as a whole: its signature goes before its bytes.
    fn signed(&mut self, at: usize, head: &Head) -> Result<Option<usize>, BodyFault> {
        let longer = self.framing(LONGER);
        // At most SIGNED_CHUNK_BYTES_MAX.
        let whole = head.bytes + usize::try_from(head.size).map_err(|_| longer)? + LINE_END.len();
        if self.buffer.len() - at < whole {
            return Ok(None);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let chunk = buffer.get_mut(at..at + whole).ok_or(longer)?;
        let (line, data) = chunk.split_at_mut_checked(head.bytes).ok_or(longer)?;
        let data = data.strip_suffix(LINE_END).ok_or(longer)?;
        self.check(line, &head.signature, data)?;
        self.buffer = buffer;
        self.next();
        Ok(Some(whole))
    }

    fn unsigned(&mut self, at: usize, left: u64) -> Result<Option<usize>, BodyFault> {
        let (there, end) = (self.buffer.get(at..).unwrap_or_default(), LINE_END.len() as u64);
        if left > end {
            let taken = usize::try_from(left - end).map_or(there.len(), |left| left.min(there.len()));
            self.state = State::Unsigned(left - taken as u64);
            return Ok((taken > 0).then_some(taken));
        }
        match there.get(..LINE_END.len()) {
            None => Ok(None),
            Some(line_end) if line_end == LINE_END => {
                self.next();
                Ok(Some(LINE_END.len()))
            }
            Some(_) => Err(self.framing(LONGER)),
        }
    }

    fn next(&mut self) {
        self.state = State::Head;
        self.chunk += 1;
    }

    /// Checks the signature in a chunk's head, and writes the new one there.
    fn check(&mut self, head: &mut [u8], signature: &Range<usize>, data: &[u8]) -> Result<(), BodyFault> {
        let Some(chains) = &mut self.chains else { return Ok(()) };
        let hash = Hash::of(&[data]);
        let fits = head.get_mut(signature.clone()).is_some_and(|place| chains.replace(|chain| chain.of_chunk(&hash), place));
        if fits { Ok(()) } else { Err(BodyFault::Chunk { chunk: self.chunk }) }
    }

    /// What follows the last chunk's head: the lines of a trailer, and an empty one.
    fn check_trailer(&mut self, rest: &mut [u8]) -> Result<(), BodyFault> {
        let form = self.framing("what follows the last chunk is not NAME:VALUE lines and an empty line");
        let Some(lines) = rest.strip_suffix(LINE_END) else { return Err(form) };
        let lines = Lines::read(lines).ok_or(form)?;
        if !self.trailer && !lines.fields.is_empty() {
            return Err(self.framing("a trailer follows that was not announced"));
        }
        let Some(chains) = self.chains.as_mut().filter(|_| self.trailer) else { return Ok(()) };
        let signature = lines.signature().filter(|place| place.len() == chains.digits()).ok_or(BodyFault::Trailer)?;
        let hash = Hash::of(&[&lines.canonical()]);
        let fits = rest.get_mut(signature).is_some_and(|place| chains.replace(|chain| chain.of_trailer(&hash), place));
        if fits { Ok(()) } else { Err(BodyFault::Trailer) }
    }

    fn framing(&self, what: &'static str) -> BodyFault {
        BodyFault::Framing { chunk: self.chunk, what }
    }
}

const LINE_END: &[u8] = b"\r\n";
const LONGER: &str = "its data do not end where its size says";

impl Head {
    /// Reads `SIZE\r\n`, or `SIZE;chunk-signature=SIGNATURE\r\n` with so many digits.
    fn read(line: &[u8], digits: Option<usize>) -> Option<Self> {
        let text = std::str::from_utf8(line.strip_suffix(LINE_END)?).ok()?;
        let (size, signature) = match digits {
            None => (text, 0..0),
            Some(digits) => {
                let (size, signature) = text.split_once(";chunk-signature=")?;
                (signature.len() == digits).then_some((size, text.len() - digits..text.len()))?
            }
        };
        if !(1..=SIZE_DIGITS_MAX).contains(&size.len()) || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self { bytes: line.len(), size: u64::from_str_radix(size, 16).ok()?, signature })
    }
}

/// More than any object's size.
const SIZE_DIGITS_MAX: usize = 15;

/// The lines of a trailer, as sent: where each is, its name and its value.
struct Lines<'a> {
    fields: Vec<(usize, &'a str, &'a str)>,
}

impl<'a> Lines<'a> {
    fn read(lines: &'a [u8]) -> Option<Self> {
        let (mut fields, mut at, mut rest) = (Vec::new(), 0, std::str::from_utf8(lines).ok()?);
        while !rest.is_empty() {
            let (line, after) = rest.split_once("\r\n")?;
            // AWS's documentation has a line feed of its own in some lines, and clients that follow it do.
            let (name, value) = line.strip_suffix('\n').unwrap_or(line).split_once(':')?;
            HeaderName::from_bytes(name.as_bytes()).ok()?;
            if value.bytes().any(|b| b.is_ascii_control()) {
                return None;
            }
            fields.push((at, name, value));
            (at, rest) = (at + line.len() + LINE_END.len(), after);
        }
        Some(Self { fields })
    }

    /// Where the signature is: the value of the last line.
    fn signature(&self) -> Option<Range<usize>> {
        let (at, name, value) = self.fields.last().filter(|(_, name, _)| is_signature(name))?;
        let start = at + name.len() + 1;
        Some(start..start + value.len())
    }

    /// What is signed: the lines in order of their names, without the signature.
    fn canonical(&self) -> Vec<u8> {
        let signed = self.fields.iter().filter(|(_, name, _)| !is_signature(name));
        let mut lines: Vec<_> = signed.map(|(_, name, value)| (name.to_ascii_lowercase(), value.trim_ascii())).collect();
        lines.sort();
        lines.iter().flat_map(|(name, value)| [name.as_bytes(), b":", value.as_bytes(), b"\n"].concat()).collect()
    }
}

fn is_signature(name: &str) -> bool {
    name.eq_ignore_ascii_case("x-amz-trailer-signature")
}
