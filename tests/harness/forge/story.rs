//! Random records with a right grammar of calls, and random payloads of every capture: the rows of one ledger.

use super::random::Random;
use bytes::Bytes;
use sealgate_schema::{
    Chain, Hash, LedgerId, Payload, Record, Text,
    payload::{Capture, FIELDS, Salts},
    record::{Fields, Kind},
};
use std::collections::BTreeMap;

/// The rows of a ledger, before they are cut into parts.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Each record with its hash.
    pub records: Vec<(Record, Hash)>,
    /// The payload rows, by `seq`.
    pub payloads: Vec<(u64, Payload)>,
    /// The tree root at each size, from 0 records on.
    pub roots: Vec<Hash>,
}

/// Tells a ledger of `records` records or a few more; `sealed` where it ends with `window_close`.
pub fn story(random: &mut Random, ledger: &LedgerId, records: usize, sealed: bool) -> Rows {
    let mut teller = Teller::new(random, ledger);
    teller.tell(Fields { detail: Some(r#"{"title":"forged"}"#.into()), ..Fields::new(Kind::WindowOpen) }, None);
    while teller.rows.records.len() < records {
        teller.something();
    }
    if sealed {
        for call in std::mem::take(&mut teller.open) {
            teller.tell(Fields { call: Some(call), ..Fields::new(Kind::OutcomeUnknown) }, None);
        }
        teller.close();
    }
    teller.rows
}

/// The row without the values of some fields, as FORMAT.md §4 erases them. Fields without a value stay null.
pub fn erase(row: &Payload, fields: &[&str]) -> Payload {
    let commitments =
        FIELDS.into_iter().filter(|name| fields.contains(name) || row.erased.iter().any(|(erased, _)| erased.as_str() == *name));
    let erased: Vec<(Text, Hash)> = commitments.map(|name| (name.into(), row.field_commitment(name))).collect();
    let gone = |name: &str| erased.iter().any(|(field, _)| field == name);
    let kept = FIELDS.into_iter().filter(|name| !gone(name));
    let salts = kept.filter_map(|name| Some((name.into(), row.field_salt(name)?))).collect();
    let mut row = Payload { salts: Salts::Fields(salts), ..row.clone() };
    for name in fields {
        match *name {
            "query" => row.query = None,
            "headers" => row.headers = None,
            "body" => row.body = None,
            "body_bytes" => row.body_bytes = None,
            "body_sha256" => row.body_sha256 = None,
            "body_capture" => row.body_capture = None,
            "parameters" => row.parameters = None,
            _ => row.proof = None,
        }
    }
    row.erased = erased;
    row
}

struct Teller<'a> {
    random: &'a mut Random,
    chain: Chain,
    time: i64,
    /// Intents without an outcome.
    open: Vec<u64>,
    counts: BTreeMap<String, u64>,
    rows: Rows,
}

impl<'a> Teller<'a> {
    fn new(random: &'a mut Random, ledger: &LedgerId) -> Self {
        let chain = Chain::new(ledger.clone());
        let rows = Rows { records: Vec::new(), payloads: Vec::new(), roots: vec![chain.root()] };
        Self { random, chain, time: 1_790_000_000_000_000, open: Vec::new(), counts: BTreeMap::new(), rows }
    }

    fn tell(&mut self, mut fields: Fields, payload: Option<Payload>) {
        // Now and then the clock is far off, even before 1970.
        self.time += if self.random.chance(2) { -3_600_000_000 } else { self.random.below(5_000_000) as i64 };
        let time = if self.random.chance(1) { -(self.random.below(1 << 40) as i64) } else { self.time };
        fields.payload_hash = payload.as_ref().map(Payload::commitment);
        *self.counts.entry(fields.kind.as_str().to_owned()).or_default() += 1;
        let record = self.chain.append(fields, time, &mut Vec::new());
        self.rows.payloads.extend(payload.map(|payload| (record.seq, payload)));
        self.rows.records.push((record, self.chain.head()));
        self.rows.roots.push(self.chain.root());
    }

    fn something(&mut self) {
        match self.random.below(100) {
            0..40 => self.intent(),
            40..75 => self.outcome(),
            75..85 => {
                let fields = Fields { decision: Some("refuse".into()), status: Some(403), ..self.filled(Kind::Refusal) };
                let payload = self.random.chance(50).then(|| self.payload());
                self.tell(fields, payload);
            }
            _ => self.event(),
        }
    }

    fn intent(&mut self) {
        let call = self.chain.size();
        let fields = Fields { call: Some(call), ..self.filled(Kind::Intent) };
        let payload = self.random.chance(80).then(|| self.payload());
        let streamed = payload.as_ref().is_some_and(|row| row.body_capture == Some(Capture::Streamed));
        self.tell(fields, payload);
        self.open.push(call);
        if streamed && self.random.chance(80) {
            let payload = self.payload();
            self.tell(Fields { call: Some(call), ..Fields::new(Kind::RequestBody) }, Some(payload));
        }
    }

    fn outcome(&mut self) {
        if self.open.is_empty() {
            return self.event();
        }
        let call = self.open.remove(self.random.below(self.open.len()));
        if self.random.chance(10) {
            return self.tell(Fields { call: Some(call), ..Fields::new(Kind::OutcomeUnknown) }, None);
        }
        let fields = Fields {
            call: Some(call),
            status: Some(self.random.number() as u16),
            upstream_request_id: self.optional(),
            response_bytes: self.random.chance(70).then(|| self.random.number()),
            duration_us: Some(self.random.number()),
            ..Fields::new(Kind::Outcome)
        };
        let payload = self.random.chance(70).then(|| self.payload());
        self.tell(fields, payload);
    }

    fn event(&mut self) {
        let kinds = [
            Kind::SessionOpen,
            Kind::SessionClose,
            Kind::SessionRevoke,
            Kind::SessionExpire,
            Kind::Recovery,
            Kind::ClockStep,
            Kind::GatewayStart,
            Kind::GatewayStop,
            Kind::Other("x_kind_of_later".into()),
        ];
        let kind = self.random.pick(&kinds).clone();
        let detail = self.random.chance(50).then(|| r#"{"step_us":12,"why":"ü"}"#.into());
        let (session, principal) = (self.optional(), self.optional());
        self.tell(Fields { session, principal, detail, ..Fields::new(kind) }, None);
    }

    fn close(&mut self) {
        *self.counts.entry("window_close".into()).or_default() += 1;
        let detail = serde_json::json!({ "counts": self.counts }).to_string();
        self.tell(Fields { detail: Some(detail.into()), ..Fields::new(Kind::WindowClose) }, None);
    }

    fn optional(&mut self) -> Option<Text> {
        self.random.chance(60).then(|| self.random.text().into())
    }

    fn texts(&mut self) -> Vec<Text> {
        let count = if self.random.chance(2) { 30 } else { self.random.below(4) };
        (0..count).map(|_| self.random.text().into()).collect()
    }

    /// Every column that the kind leaves open, with any value or none.
    fn filled(&mut self, kind: Kind) -> Fields {
        Fields {
            session: self.optional(),
            principal: self.optional(),
            principal_kind: self.optional(),
            acting_for: self.optional(),
            attribution: self.optional(),
            credential: self.optional(),
            credential_chain: self.texts(),
            client_addr: self.optional(),
            user_agent: self.optional(),
            provider: self.optional(),
            account: self.optional(),
            region: self.optional(),
            service: self.optional(),
            operation: self.optional(),
            access: self.optional(),
            resources: self.texts(),
            method: self.optional(),
            host: self.optional(),
            path: self.optional(),
            decision: self.optional(),
            rules: self.texts(),
            error_code: self.optional(),
            request_bytes: self.random.chance(50).then(|| self.random.number()),
            ..Fields::new(kind)
        }
    }

    fn payload(&mut self) -> Payload {
        let random = &mut *self.random;
        let mut row = Payload::new(random.bytes(16).try_into().unwrap());
        row.query = random.chance(40).then(|| random.text().into());
        row.headers = random.chance(85).then(|| headers(random));
        row.parameters = random.chance(50).then(|| random.text().into());
        row.proof = random.chance(30).then(|| "{}".into());
        let capture = *random.pick(&[Capture::Full, Capture::Truncated, Capture::Redacted, Capture::Omitted, Capture::Streamed]);
        if random.chance(10) {
            return row;
        }
        row.body_capture = Some(capture);
        let length = if random.chance(3) { random.below(70_000) } else { random.below(200) };
        let body = if random.chance(50) { random.bytes(length) } else { vec![b'x'; length] };
        let digest = Hash::of(&[&body]);
        match capture {
            Capture::Full => (row.body_bytes, row.body_sha256) = (Some(body.len() as u64), Some(digest)),
            Capture::Redacted => (row.body_bytes, row.body_sha256) = (Some(random.number()), Some(digest)),
            Capture::Truncated => (row.body_bytes, row.body_sha256) = (Some(random.number()), Some(Hash(random.seed()))),
            Capture::Omitted => (row.body_bytes, row.body_sha256) = (Some(random.number()), Some(Hash(random.seed()))),
            Capture::Streamed => {}
        }
        if !matches!(capture, Capture::Omitted | Capture::Streamed) {
            row.body = Some(Bytes::from(body));
        }
        row
    }
}

/// Values hold any byte, one character each.
fn headers(random: &mut Random) -> Vec<(Text, Text)> {
    let value = |random: &mut Random| {
        let length = random.below(40);
        random.bytes(length).into_iter().map(char::from).collect::<String>()
    };
    (0..random.below(6)).map(|number| (format!("x-header-{number}").into(), value(random).into())).collect()
}
