//! The restricted half of a record: query, headers, body, parameters, and the salted commitment that binds them to the
//! record without showing them (`schema/FORMAT.md` §4).
//!
//! Each field has a commitment under a salt of its own; the record holds one hash over the list. A field can be
//! disclosed alone (value and its salt) or erased (its commitment stays), and every hash above stays valid.

use crate::{
    Hash, Text,
    canonical::{DecodeError, Decoder, Encoder},
};
use bytes::Bytes;

/// Names of the committed fields, in the order of the commitment list.
pub const FIELDS: [&str; 8] = ["query", "headers", "body", "body_bytes", "body_sha256", "body_capture", "parameters", "proof"];

const SALT_TAG: &[u8] = b"sealgate/salt/v1\0";
pub(crate) const FIELD_TAG: &[u8] = b"sealgate/field/v1\0";
pub(crate) const PAYLOAD_TAG: &[u8] = b"sealgate/payload/v1\0";
const ROW_VALUES: usize = 11;

/// How much of a body its row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// All of it, as transferred.
    Full,
    /// Its first bytes.
    Truncated,
    /// All that was captured, with secrets masked.
    Redacted,
    /// Nothing.
    Omitted,
    /// Nothing here: it was still streaming. A `request_body` record of the same call has it.
    Streamed,
}

impl Capture {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Full, "full"),
        (Self::Truncated, "truncated"),
        (Self::Redacted, "redacted"),
        (Self::Omitted, "omitted"),
        (Self::Streamed, "streamed"),
    ];

    /// The word in the `body_capture` column.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(capture, _)| *capture == self).map_or("", |(_, word)| word)
    }

    /// Reads a word of the `body_capture` column.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(capture, _)| *capture)
    }
}

/// The salts of a row's fields.
#[derive(Clone, PartialEq, Eq)]
pub enum Salts {
    /// Nothing was erased: every field's salt derives from these bytes.
    Row([u8; 16]),
    /// Something was erased, and the row's salt with it (it would open the erased field to guessing): the salts of the
    /// fields that remain, in the order of [`FIELDS`].
    Fields(Vec<(Text, Hash)>),
}

impl std::fmt::Debug for Salts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salts(masked)")
    }
}

/// A name and a value. Header values are bytes; they stand here as ISO-8859-1, one character a byte.
pub type Header = (Text, Text);

/// One row of the payload table.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// The salts, random for each row.
    pub salts: Salts,
    /// Query string after the `?`, masked.
    pub query: Option<Text>,
    /// Header fields in order, masked.
    pub headers: Option<Vec<Header>>,
    /// The captured bytes of the body, masked.
    pub body: Option<Bytes>,
    /// Length of the whole body as transferred.
    pub body_bytes: Option<u64>,
    /// SHA-256 of the whole body as transferred; of `body` where the capture is `redacted`.
    pub body_sha256: Option<Hash>,
    /// How much of the body is here.
    pub body_capture: Option<Capture>,
    /// Decoded parameters as one JSON object in RFC 8785 form.
    pub parameters: Option<Text>,
    /// What was checked of the client's signature, as one JSON object in RFC 8785 form.
    pub proof: Option<Text>,
    /// Fields that were erased, with the commitments they had, in the order of [`FIELDS`].
    pub erased: Vec<(Text, Hash)>,
}

impl Payload {
    /// A row without any value.
    pub fn new(row_salt: [u8; 16]) -> Self {
        Self {
            salts: Salts::Row(row_salt),
            query: None,
            headers: None,
            body: None,
            body_bytes: None,
            body_sha256: None,
            body_capture: None,
            parameters: None,
            proof: None,
            erased: Vec::new(),
        }
    }

    /// The commitment that the record holds: SHA-256 over the commitments of all fields.
    pub fn commitment(&self) -> Hash {
        let mut list = Vec::with_capacity(PAYLOAD_TAG.len() + FIELDS.len() * 32);
        let mut scratch = Vec::with_capacity(256);
        list.extend_from_slice(PAYLOAD_TAG);
        for name in FIELDS {
            list.extend_from_slice(&self.field_commitment_with(name, &mut scratch).0);
        }
        Hash::of(&[&list])
    }

    /// The commitment of one field; [`Hash::ZERO`] where it has no value.
    pub fn field_commitment(&self, name: &str) -> Hash {
        self.field_commitment_with(name, &mut Vec::new())
    }

    /// The salt of one field; `None` where the field was erased.
    pub fn field_salt(&self, name: &str) -> Option<Hash> {
        match &self.salts {
            Salts::Row(row) => Some(Hash::of(&[SALT_TAG, row, name.as_bytes()])),
            Salts::Fields(salts) => salts.iter().find(|(field, _)| field == name).map(|(_, salt)| *salt),
        }
    }

    /// What is wrong with the row's salts and erasures, if anything. Values that no salt binds would stand there as
    /// evidence; a salt beside an erasure would open it to guessing.
    pub fn fault(&self) -> Option<&'static str> {
        let salted: &[(Text, Hash)] = if let Salts::Fields(salts) = &self.salts { salts } else { &[] };
        let has = |pairs: &[(Text, Hash)], name: &str| pairs.iter().any(|(field, _)| field == name);
        let in_order = |pairs: &[(Text, Hash)]| {
            FIELDS.into_iter().filter(|name| has(pairs, name)).eq(pairs.iter().map(|(field, _)| field.as_str()))
        };
        let valued = |name: &str| self.encode_field(name, &mut Vec::new());
        if !in_order(salted) || !in_order(&self.erased) {
            return Some("`salts` or `erased` name a field twice, out of order, or one that there is not");
        }
        if matches!(self.salts, Salts::Row(_)) {
            return (!self.erased.is_empty()).then_some("the row's salt is still there beside `erased`");
        }
        if self.erased.iter().any(|(field, _)| has(salted, field) || valued(field)) {
            return Some("an erased field still has a value or a salt");
        }
        FIELDS.iter().any(|name| valued(name) && !has(salted, name)).then_some("a field has a value and no salt")
    }

    fn field_commitment_with(&self, name: &str, scratch: &mut Vec<u8>) -> Hash {
        if let Some((_, commitment)) = self.erased.iter().find(|(field, _)| field == name) {
            return *commitment;
        }
        scratch.clear();
        match self.encode_field(name, scratch) {
            // A value without its salt can't be committed to. It must not pass for "no value" (zero): this matches no record.
            true => self.field_salt(name).map_or_else(|| Hash::of(&[FIELD_TAG]), |salt| Hash::of(&[FIELD_TAG, &salt.0, scratch])),
            false => Hash::ZERO,
        }
    }

    /// Appends the field's canonical value to `out`; false, and nothing, where it has none.
    pub(crate) fn encode_field(&self, name: &str, out: &mut Vec<u8>) -> bool {
        let mut e = Encoder::new(out);
        match name {
            "query" => self.query.as_ref().map(|value| e.text(value)),
            "headers" => self.headers.as_ref().map(|value| encode_headers(&mut e, value)),
            "body" => self.body.as_ref().map(|value| e.bytes(value)),
            "body_bytes" => self.body_bytes.map(|value| e.unsigned(value)),
            "body_sha256" => self.body_sha256.map(|value| e.bytes(&value.0)),
            "body_capture" => self.body_capture.map(|value| e.text(value.as_str())),
            "parameters" => self.parameters.as_ref().map(|value| e.text(value)),
            _ => self.proof.as_ref().map(|value| e.text(value)),
        }
        .is_some()
    }

    /// Appends the whole row, as the journal keeps it. Not hashed.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut e = Encoder::new(out);
        e.array(ROW_VALUES);
        match &self.salts {
            Salts::Row(row) => e.bytes(row),
            Salts::Fields(_) => e.null(),
        }
        encode_pairs(&mut e, if let Salts::Fields(salts) = &self.salts { salts } else { &[] });
        e.optional_text(self.query.as_deref());
        match &self.headers {
            Some(headers) => encode_headers(&mut e, headers),
            None => e.null(),
        }
        e.optional_bytes(self.body.as_deref());
        e.optional_unsigned(self.body_bytes);
        e.optional_bytes(self.body_sha256.as_ref().map(|hash| hash.0.as_slice()));
        e.optional_text(self.body_capture.map(Capture::as_str));
        e.optional_text(self.parameters.as_deref());
        e.optional_text(self.proof.as_deref());
        encode_pairs(&mut e, &self.erased);
    }

    /// Reads what [`Payload::encode`] wrote, and takes nothing else: salts of fields beside the row's would be lost.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut d = Decoder::new(bytes);
        d.array_of(ROW_VALUES)?;
        let row = d.optional(|d| <[u8; 16]>::try_from(d.bytes()?).map_err(|_| DecodeError::WrongLength))?;
        let fields = decode_pairs(&mut d)?;
        let text = |d: &mut Decoder<'_>| Ok(d.optional(Decoder::text)?.map(|text| Text::from(text.to_owned())));
        let salts = match row {
            Some(_) if !fields.is_empty() => return Err(DecodeError::WrongLength),
            Some(row) => Salts::Row(row),
            None => Salts::Fields(fields),
        };
        let payload = Self {
            salts,
            query: text(&mut d)?,
            headers: d.optional(decode_headers)?,
            body: d.optional(Decoder::bytes)?.map(Bytes::copy_from_slice),
            body_bytes: d.optional(Decoder::unsigned)?,
            body_sha256: d.optional(|d| Hash::try_from(d.bytes()?).map_err(|_| DecodeError::WrongLength))?,
            body_capture: d.optional(|d| Capture::parse(d.text()?).ok_or(DecodeError::WrongType))?,
            parameters: text(&mut d)?,
            proof: text(&mut d)?,
            erased: decode_pairs(&mut d)?,
        };
        d.finish()?;
        Ok(payload)
    }
}

fn encode_headers(e: &mut Encoder<'_>, headers: &[Header]) {
    e.array(headers.len());
    for (name, value) in headers {
        e.array(2);
        e.text(name);
        e.text(value);
    }
}

pub(crate) fn decode_headers(d: &mut Decoder<'_>) -> Result<Vec<Header>, DecodeError> {
    let pair = |d: &mut Decoder<'_>| {
        d.array_of(2)?;
        Ok((Text::from(d.text()?.to_owned()), Text::from(d.text()?.to_owned())))
    };
    (0..d.array()?).map(|_| pair(d)).collect()
}

fn encode_pairs(e: &mut Encoder<'_>, pairs: &[(Text, Hash)]) {
    e.array(pairs.len());
    for (name, hash) in pairs {
        e.array(2);
        e.text(name);
        e.bytes(&hash.0);
    }
}

fn decode_pairs(d: &mut Decoder<'_>) -> Result<Vec<(Text, Hash)>, DecodeError> {
    let pair = |d: &mut Decoder<'_>| {
        d.array_of(2)?;
        let name = Text::from(d.text()?.to_owned());
        Ok((name, Hash::try_from(d.bytes()?).map_err(|_| DecodeError::WrongLength)?))
    };
    (0..d.array()?).map(|_| pair(d)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use proptest::prelude::*;

    #[test]
    fn a_row_reads_back() {
        for (_, payload) in samples::payloads() {
            let mut bytes = Vec::new();
            payload.encode(&mut bytes);
            assert_eq!(Payload::decode(&bytes), Ok(payload));
        }
    }

    #[test]
    fn salts_beside_the_salt_of_the_row_are_refused() {
        let mut bytes = Vec::new();
        Payload::new([0; 16]).encode(&mut bytes);
        // After the head of the row and its salt stands the empty list of salts.
        let mut pair = Vec::new();
        encode_pairs(&mut Encoder::new(&mut pair), &[("body".into(), Hash::ZERO)]);
        bytes.splice(18..19, pair);
        assert_eq!(Payload::decode(&bytes), Err(DecodeError::WrongLength));
    }

    #[test]
    fn an_erased_field_leaves_the_commitment_as_it_was_and_no_way_to_its_salt() {
        let (_, payload) = samples::payloads().swap_remove(0);
        let mut erased = payload.clone();
        erased.body = None;
        erased.erased = vec![("body".into(), payload.field_commitment("body"))];
        let remaining = FIELDS.into_iter().filter(|name| *name != "body");
        erased.salts = Salts::Fields(remaining.map(|name| (name.into(), payload.field_salt(name).unwrap_or(Hash::ZERO))).collect());
        assert_eq!(erased.commitment(), payload.commitment());
        assert_eq!(erased.field_salt("body"), None);
        let mut bytes = Vec::new();
        erased.encode(&mut bytes);
        assert_eq!(Payload::decode(&bytes), Ok(erased));
    }

    #[test]
    fn each_field_changes_the_commitment() {
        let (_, payload) = samples::payloads().swap_remove(0);
        let whole = payload.commitment();
        let changes: [fn(&mut Payload); 9] = [
            |p| p.salts = Salts::Row([0; 16]),
            |p| p.query = None,
            |p| p.headers = Some(Vec::new()),
            |p| p.body = Some(Bytes::new()),
            |p| p.body_bytes = Some(0),
            |p| p.body_sha256 = None,
            |p| p.body_capture = Some(Capture::Truncated),
            |p| p.parameters = Some("{}".into()),
            |p| p.proof = Some("[]".into()),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = payload.clone();
            change(&mut other);
            assert_ne!(other.commitment(), whole, "change {index}");
        }
    }

    /// The row's commitment alone would not tell: each of these keeps it.
    #[test]
    fn values_that_no_salt_binds_are_a_fault() {
        let (_, payload) = samples::payloads().swap_remove(0);
        let bound = |p: &Payload| FIELDS.map(|name| (Text::from(name), p.field_salt(name).unwrap_or(Hash::ZERO)));
        let unerased = Payload { erased: vec![("body".into(), payload.field_commitment("body"))], ..payload.clone() };
        assert_eq!(unerased.commitment(), payload.commitment());
        assert!(unerased.fault().is_some());
        let salted = Payload { salts: Salts::Fields(bound(&payload).into()), ..unerased };
        assert!(salted.fault().is_some());

        let mut added = Payload { proof: None, ..payload };
        let commitment = added.commitment();
        added.salts = Salts::Fields(bound(&added)[..7].to_vec());
        added.proof = Some("{}".into());
        assert_ne!(added.commitment(), commitment);
        assert!(added.fault().is_some());
        assert!(samples::payloads().iter().all(|(_, payload)| payload.fault().is_none()));
    }

    proptest! {
        #[test]
        fn hostile_rows_never_panic(bytes: Vec<u8>) {
            let _ = Payload::decode(&bytes);
        }
    }
}
