//! One row of evidence: its columns, and its canonical bytes (`schema/FORMAT.md` §3).
//!
//! A [`Record`] is what the gateway says ([`Fields`]) and the place that the ledger gave it (`seq`, `time`). Its hash
//! also covers the ledger's names and the record before it; see [`crate::chain`].

use crate::{
    Hash, LedgerId, Text,
    canonical::{DecodeError, Decoder, Encoder},
};

/// First field of every record's preimage.
pub const RECORD_TAG: &str = "sealgate/record/v1";

/// Values in a record's preimage: tag, gateway, window, previous hash, then the columns up to `payload_hash`.
pub const PREIMAGE_FIELDS: usize = 37;

/// What a record is about.
///
/// Kinds beyond these are allowed by the format (a verifier checks their place in the chain and nothing more).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// First record of a ledger.
    WindowOpen,
    /// Last record of a ledger, with the number of records by kind in `detail`.
    WindowClose,
    /// A session was granted.
    SessionOpen,
    /// A session ended by its owner's word.
    SessionClose,
    /// A session ended by somebody else's word.
    SessionRevoke,
    /// A session's time was over.
    SessionExpire,
    /// Somebody asked for a session, or for more time of one.
    SessionRequest,
    /// Somebody approved a request, with their own signature.
    SessionApprove,
    /// Somebody turned a request down.
    SessionDeny,
    /// A session got more time.
    SessionExtend,
    /// Somebody other than its principal looked at a session that was opened without approval.
    SessionReview,
    /// A credential was made for a session, or for a child of one of its credentials.
    CredentialIssue,
    /// A credential ended before its session.
    CredentialRevoke,
    /// An administrative act that no other kind says.
    Administration,
    /// A call that is about to leave. Written before the upstream gets a byte of it.
    Intent,
    /// The request body of a call that was still streaming when its intent was written.
    RequestBody,
    /// How a call ended. Written before the client gets the last byte of the answer.
    Outcome,
    /// A call whose outcome nobody can know: the gateway or the window ended first.
    OutcomeUnknown,
    /// A call or connection that was refused, and why.
    Refusal,
    /// The gateway found this ledger unfinished at its start.
    Recovery,
    /// The wall clock moved against the steady clock.
    ClockStep,
    /// The gateway started.
    GatewayStart,
    /// The gateway stopped in order.
    GatewayStop,
    /// Somebody read payloads through the gateway's own query.
    PayloadRead,
    /// The newest entries of the windows log were not cosigned by a quorum of witnesses in time, or are again.
    AnchorLag,
    /// A kind that this version has no name for.
    Other(Text),
}

const KINDS: [(Kind, &str); 25] = [
    (Kind::WindowOpen, "window_open"),
    (Kind::WindowClose, "window_close"),
    (Kind::SessionOpen, "session_open"),
    (Kind::SessionClose, "session_close"),
    (Kind::SessionRevoke, "session_revoke"),
    (Kind::SessionExpire, "session_expire"),
    (Kind::SessionRequest, "session_request"),
    (Kind::SessionApprove, "session_approve"),
    (Kind::SessionDeny, "session_deny"),
    (Kind::SessionExtend, "session_extend"),
    (Kind::SessionReview, "session_review"),
    (Kind::CredentialIssue, "credential_issue"),
    (Kind::CredentialRevoke, "credential_revoke"),
    (Kind::Administration, "administration"),
    (Kind::Intent, "intent"),
    (Kind::RequestBody, "request_body"),
    (Kind::Outcome, "outcome"),
    (Kind::OutcomeUnknown, "outcome_unknown"),
    (Kind::Refusal, "refusal"),
    (Kind::Recovery, "recovery"),
    (Kind::ClockStep, "clock_step"),
    (Kind::GatewayStart, "gateway_start"),
    (Kind::GatewayStop, "gateway_stop"),
    (Kind::PayloadRead, "payload_read"),
    (Kind::AnchorLag, "anchor_lag"),
];

impl Kind {
    /// The word in the `kind` column.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            known => KINDS.iter().find(|(kind, _)| kind == known).map_or("", |(_, word)| word),
        }
    }

    /// Reads a word of the `kind` column: `[a-z][a-z0-9_]{0,31}`.
    pub fn parse(word: &str) -> Option<Self> {
        if let Some((kind, _)) = KINDS.iter().find(|(_, known)| *known == word) {
            return Some(kind.clone());
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let well_formed = word.len() <= 32 && word.bytes().all(plain) && word.starts_with(|c: char| c.is_ascii_lowercase());
        well_formed.then(|| Self::Other(word.to_owned().into()))
    }
}

/// What a record says, before the ledger has given it a place. Absent values are `None`; see FORMAT.md §3 for what
/// each column holds and which kinds fill it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// What the record is about.
    pub kind: Kind,
    /// `seq` of the intent that this record belongs to; an intent names itself.
    pub call: Option<u64>,
    /// Session id.
    pub session: Option<Text>,
    /// Who acts.
    pub principal: Option<Text>,
    /// `human`, `workload` or `agent`.
    pub principal_kind: Option<Text>,
    /// The human that an agent or workload acts for.
    pub acting_for: Option<Text>,
    /// How strongly the call is tied to the principal: `signature`, `token`, `lineage` or `none`.
    pub attribution: Option<Text>,
    /// Public id of the credential that signed the call (AWS: the access key id).
    pub credential: Option<Text>,
    /// Credential ids from child to root.
    pub credential_chain: Vec<Text>,
    /// Peer address, `IP:PORT`.
    pub client_addr: Option<Text>,
    /// `User-Agent` as sent.
    pub user_agent: Option<Text>,
    /// `aws`.
    pub provider: Option<Text>,
    /// The provider's account number.
    pub account: Option<Text>,
    /// Region in the credential scope.
    pub region: Option<Text>,
    /// Service in the credential scope.
    pub service: Option<Text>,
    /// Operation, in the provider's spelling.
    pub operation: Option<Text>,
    /// `read`, `write` or `unknown`.
    pub access: Option<Text>,
    /// Resource names that the call gives.
    pub resources: Vec<Text>,
    /// HTTP method.
    pub method: Option<Text>,
    /// Host that the client asked for; with the port unless it is 443.
    pub host: Option<Text>,
    /// Path, without the query string.
    pub path: Option<Text>,
    /// `permit`, `tunnel` or `refuse`.
    pub decision: Option<Text>,
    /// Rules that decided.
    pub rules: Vec<Text>,
    /// HTTP status given to the client.
    pub status: Option<u16>,
    /// The provider's error code, or the gateway's own.
    pub error_code: Option<Text>,
    /// The provider's id of the request.
    pub upstream_request_id: Option<Text>,
    /// From the call's arrival to this record, in microseconds.
    pub duration_us: Option<u64>,
    /// Bytes of the request body as transferred.
    pub request_bytes: Option<u64>,
    /// Bytes of the response body as transferred.
    pub response_bytes: Option<u64>,
    /// More about the event, as one JSON object in RFC 8785 form.
    pub detail: Option<Text>,
    /// Commitment to the payload row of the same `seq`.
    pub payload_hash: Option<Hash>,
}

impl Fields {
    /// A record of this kind that says nothing else yet.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            call: None,
            session: None,
            principal: None,
            principal_kind: None,
            acting_for: None,
            attribution: None,
            credential: None,
            credential_chain: Vec::new(),
            client_addr: None,
            user_agent: None,
            provider: None,
            account: None,
            region: None,
            service: None,
            operation: None,
            access: None,
            resources: Vec::new(),
            method: None,
            host: None,
            path: None,
            decision: None,
            rules: Vec::new(),
            status: None,
            error_code: None,
            upstream_request_id: None,
            duration_us: None,
            request_bytes: None,
            response_bytes: None,
            detail: None,
            payload_hash: None,
        }
    }
}

/// A record in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Place in the ledger, from 0 without gaps.
    pub seq: u64,
    /// When the ledger took the record, in microseconds since 1970-01-01 UTC by the gateway's clock.
    pub time: i64,
    /// What it says.
    pub fields: Fields,
}

impl Record {
    /// Appends the preimage of the record's hash to `out`.
    pub fn encode(&self, ledger: &LedgerId, previous: &Hash, out: &mut Vec<u8>) {
        let f = &self.fields;
        let mut e = Encoder::new(out);
        e.array(PREIMAGE_FIELDS);
        e.text(RECORD_TAG);
        e.text(ledger.gateway());
        e.text(ledger.window());
        e.bytes(&previous.0);
        e.unsigned(self.seq);
        e.signed(self.time);
        e.text(f.kind.as_str());
        e.optional_unsigned(f.call);
        for text in [&f.session, &f.principal, &f.principal_kind, &f.acting_for, &f.attribution, &f.credential] {
            e.optional_text(text.as_deref());
        }
        e.texts(&f.credential_chain);
        for text in [&f.client_addr, &f.user_agent, &f.provider, &f.account, &f.region, &f.service, &f.operation, &f.access] {
            e.optional_text(text.as_deref());
        }
        e.texts(&f.resources);
        for text in [&f.method, &f.host, &f.path, &f.decision] {
            e.optional_text(text.as_deref());
        }
        e.texts(&f.rules);
        e.optional_unsigned(f.status.map(u64::from));
        e.optional_text(f.error_code.as_deref());
        e.optional_text(f.upstream_request_id.as_deref());
        for number in [f.duration_us, f.request_bytes, f.response_bytes] {
            e.optional_unsigned(number);
        }
        e.optional_text(f.detail.as_deref());
        e.optional_bytes(f.payload_hash.as_ref().map(|hash| hash.0.as_slice()));
    }

    /// Reads a preimage: whose ledger, the hash before it, the record. Takes only bytes that [`Record::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<(LedgerId, Hash, Self), DecodeError> {
        let mut d = Decoder::new(bytes);
        d.array_of(PREIMAGE_FIELDS)?;
        if d.text()? != RECORD_TAG {
            return Err(DecodeError::WrongType);
        }
        let (gateway, window) = (d.text()?.to_owned(), d.text()?.to_owned());
        let ledger = LedgerId::new(gateway, window).map_err(|_| DecodeError::WrongType)?;
        let previous = hash(d.bytes()?)?;
        let (seq, time) = (d.unsigned()?, d.signed()?);
        let fields = decode_fields(&mut d)?;
        d.finish()?;
        Ok((ledger, previous, Self { seq, time, fields }))
    }
}

fn decode_fields(d: &mut Decoder<'_>) -> Result<Fields, DecodeError> {
    // Struct fields are evaluated in the order written, which is the order of the preimage.
    Ok(Fields {
        kind: Kind::parse(d.text()?).ok_or(DecodeError::WrongType)?,
        call: d.optional(Decoder::unsigned)?,
        session: text(d)?,
        principal: text(d)?,
        principal_kind: text(d)?,
        acting_for: text(d)?,
        attribution: text(d)?,
        credential: text(d)?,
        credential_chain: d.texts()?,
        client_addr: text(d)?,
        user_agent: text(d)?,
        provider: text(d)?,
        account: text(d)?,
        region: text(d)?,
        service: text(d)?,
        operation: text(d)?,
        access: text(d)?,
        resources: d.texts()?,
        method: text(d)?,
        host: text(d)?,
        path: text(d)?,
        decision: text(d)?,
        rules: d.texts()?,
        status: d.optional(|d| u16::try_from(d.unsigned()?).map_err(|_| DecodeError::WrongType))?,
        error_code: text(d)?,
        upstream_request_id: text(d)?,
        duration_us: d.optional(Decoder::unsigned)?,
        request_bytes: d.optional(Decoder::unsigned)?,
        response_bytes: d.optional(Decoder::unsigned)?,
        detail: text(d)?,
        payload_hash: d.optional(|d| hash(d.bytes()?))?,
    })
}

fn text(d: &mut Decoder<'_>) -> Result<Option<Text>, DecodeError> {
    Ok(d.optional(Decoder::text)?.map(|text| text.to_owned().into()))
}

fn hash(bytes: &[u8]) -> Result<Hash, DecodeError> {
    Hash::try_from(bytes).map_err(|_| DecodeError::WrongLength)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use proptest::prelude::*;

    #[test]
    fn every_column_reads_back() {
        let ledger = samples::ledger();
        for record in samples::records() {
            let mut bytes = Vec::new();
            record.encode(&ledger, &Hash::ZERO, &mut bytes);
            assert_eq!(Record::decode(&bytes), Ok((ledger.clone(), Hash::ZERO, record)));
        }
    }

    #[test]
    fn a_kind_is_a_plain_word() {
        assert_eq!(Kind::parse("intent"), Some(Kind::Intent));
        assert_eq!(Kind::parse("approval").map(|kind| kind.as_str().to_owned()), Some("approval".into()));
        for bad in ["", "Intent", "a b", "_x", "1x", "x".repeat(33).as_str()] {
            assert_eq!(Kind::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_preimages_never_panic_and_have_one_spelling(bytes: Vec<u8>, flip in 0usize..4096, with in 1u8..) {
            let _ = Record::decode(&bytes);
            let mut good = Vec::new();
            let record = samples::records().swap_remove(1);
            record.encode(&samples::ledger(), &Hash::ZERO, &mut good);
            let place = flip % good.len();
            good[place] ^= with;
            if let Ok((ledger, previous, other)) = Record::decode(&good) {
                let mut again = Vec::new();
                other.encode(&ledger, &previous, &mut again);
                prop_assert_eq!(again, good);
            }
        }
    }
}
