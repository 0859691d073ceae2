//! A signed event stream: each message wrapped into one that has a time and a signature, and an empty one at the end.
//!
//! <https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html>. A message goes on as soon as it is checked:
//! both sides talk at once. A message of another day than its request's is refused: the key of that day is not at hand.

use super::{
    chain::Chains,
    error::BodyFault,
    key::{hex, unhex},
    stamp::Stamp,
};
use crate::limits::SIGNED_CHUNK_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use sealgate_schema::Hash;
use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

/// Reads messages, checks them, and hands them on under new signatures.
#[derive(Debug)]
pub(super) struct Events {
    chains: Chains,
    buffer: BytesMut,
    message: u64,
    closed: bool,
}

impl Events {
    pub(super) fn new(chains: Chains) -> Self {
        Self { chains, buffer: BytesMut::new(), message: 0, closed: false }
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
            self.message += 1;
        }
        Ok((checked > 0).then(|| self.buffer.split_to(checked).freeze()))
    }

    /// The body is over.
    pub(super) fn end(&self) -> Result<(), BodyFault> {
        if self.closed && self.buffer.is_empty() { Ok(()) } else { Err(self.fault("the stream ends without its signed end")) }
    }

    fn step(&mut self, at: usize) -> Result<Option<usize>, BodyFault> {
        let there = self.buffer.get(at..).unwrap_or_default();
        let Some(length) = number(there, 0) else { return Ok(None) };
        if self.closed || length > SIGNED_CHUNK_BYTES_MAX {
            return Err(self.fault("it follows the end of the stream, or is too long"));
        }
        if there.len() < length {
            return Ok(None);
        }
        let (message, chains) = (self.message, &mut self.chains);
        let fault = |what| BodyFault::Event { message, what };
        let bytes = self.buffer.get_mut(at..at + length).ok_or(fault(FORM))?;
        let parsed = Message::read(bytes).ok_or(fault(FORM))?;
        let day = parsed.date.day();
        if !chains.client.scope.starts_with(day) || !chains.real.scope.starts_with(day) {
            return Err(fault("it is of another day (UTC) than its request; open the stream anew"));
        }
        self.closed = parsed.payload.is_empty();
        let (header, payload) = (Hash::of(&[&parsed.date_header]), Hash::of(&[bytes.get(parsed.payload).ok_or(fault(FORM))?]));
        let place = bytes.get_mut(parsed.signature).ok_or(fault(FORM))?;
        let mut signature = hex(place).into_bytes();
        if !chains.replace(|chain| chain.of_event(parsed.date.text(), &header, &payload), &mut signature) {
            return Err(fault("its signature does not fit"));
        }
        let new = std::str::from_utf8(&signature).ok().and_then(unhex).ok_or(fault(FORM))?;
        place.iter_mut().zip(new).for_each(|(place, byte)| *place = byte);
        seal(bytes).ok_or(fault(FORM))?;
        Ok(Some(length))
    }

    fn fault(&self, what: &'static str) -> BodyFault {
        BodyFault::Event { message: self.message, what }
    }
}

const FORM: &str = "it is no signed event-stream message";

/// A message's parts: <https://smithy.io/2.0/aws/amazon-eventstream.html>.
struct Message {
    date: Stamp,
    /// `:date` as it stands in the message: what is signed of the headers.
    date_header: Vec<u8>,
    signature: Range<usize>,
    payload: Range<usize>,
}

impl Message {
    /// Exactly `:date` and `:chunk-signature` as headers, in any order, and both checksums right.
    fn read(bytes: &[u8]) -> Option<Self> {
        let headers = PRELUDE_BYTES..PRELUDE_BYTES.checked_add(number(bytes, 4)?)?;
        let end = bytes.len().checked_sub(CHECKSUM_BYTES)?;
        let sound = |end: usize| Some(number(bytes, end)? == checksum(bytes.get(..end)?));
        if !sound(PRELUDE_BYTES - CHECKSUM_BYTES)? || !sound(end)? || headers.end > end {
            return None;
        }
        let (mut date, mut signature, mut at) = (None, None, headers.start);
        while at < headers.end {
            let rest = bytes.get(at..headers.end)?;
            if let Some(after) = rest.strip_prefix(SIGNATURE_HEADER).filter(|after| after.len() >= SIGNATURE_BYTES) {
                let start = headers.end - after.len();
                signature.replace(start..start + SIGNATURE_BYTES).is_none().then_some(())?;
                at = start + SIGNATURE_BYTES;
            } else {
                let header = rest.strip_prefix(DATE_HEADER).and(rest.get(..DATE_HEADER.len() + DATE_BYTES))?;
                date.replace(header).is_none().then_some(())?;
                at += header.len();
            }
        }
        let (date_header, signature) = (date?, signature?);
        let milliseconds = u64::from_be_bytes(*date_header.last_chunk()?);
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))?;
        Some(Self { date: Stamp::new(time)?, date_header: date_header.to_vec(), signature, payload: headers.end..end })
    }
}

/// Writes the checksum of a message anew.
fn seal(bytes: &mut [u8]) -> Option<()> {
    let (message, place) = bytes.split_last_chunk_mut::<CHECKSUM_BYTES>()?;
    *place = crc32fast::hash(message).to_be_bytes();
    Some(())
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*four)).ok()
}

fn checksum(bytes: &[u8]) -> usize {
    crc32fast::hash(bytes) as usize
}

const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
const DATE_BYTES: usize = 8;
const SIGNATURE_BYTES: usize = 32;
/// Length of the name, name, type 8 (milliseconds).
const DATE_HEADER: &[u8] = b"\x05:date\x08";
/// Length of the name, name, type 6 (bytes), their number.
const SIGNATURE_HEADER: &[u8] = b"\x10:chunk-signature\x06\x00\x20";
