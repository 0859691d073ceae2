//! What a call is: masked first, then named; gathered on a sheet that becomes the intent or the refusal.

use crate::{
    egress::{
        body::Ahead,
        capture::{Capture, Labels},
    },
    exchange::Tunnel,
    ledger::{Draft, row_salt},
};
use bytes::Bytes;
use http::{Request, Uri, header, request::Parts};
use sealgate_policies::{naming::aws, redact};
use sealgate_schema::{
    Payload,
    payload::Capture as Kept,
    record::{Fields, Kind},
};
use std::time::Instant;

/// What is known of one call so far.
#[derive(Debug)]
pub struct Sheet {
    started: Instant,
    fields: Fields,
    payload: Option<Payload>,
    naming: aws::Call,
}

impl Sheet {
    /// What the connection knows, and what the request's first line says.
    pub fn new<B>(tunnel: &Tunnel, request: &Request<B>, started: Instant) -> Self {
        let mut fields = Fields::new(Kind::Refusal);
        tunnel.caller.describe(&mut fields);
        fields.provider = Some("aws".into());
        fields.host = Some(tunnel.target.column.clone());
        fields.method = Some(request.method().as_str().to_owned().into());
        fields.path = Some(redact::text(request.uri().path()).into_owned().into());
        let user_agent = request.headers().get(header::USER_AGENT);
        fields.user_agent = user_agent.map(|value| redact::text(&String::from_utf8_lossy(value.as_bytes())).into_owned().into());
        Self { started, fields, payload: None, naming: unnamed() }
    }

    /// When the call arrived.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// What the call was named.
    pub fn naming(&self) -> &aws::Call {
        &self.naming
    }

    /// A record of the call as it is known now.
    pub fn draft(&mut self, kind: Kind, decision: &'static str, rule: &'static str) -> Draft {
        let mut fields = self.fields.clone();
        fields.kind = kind;
        fields.decision = Some(decision.into());
        fields.rules = vec![rule.into()];
        match &self.payload {
            Some(payload) => Draft::with_payload(fields, payload),
            None => Draft::new(fields),
        }
    }

    /// The record of a refusal, with the answer that the client gets.
    pub fn refusal(&mut self, status: u16, code: &'static str, rule: &'static str, text: &str) -> Draft {
        self.fields.status = Some(status);
        self.fields.error_code = Some(code.into());
        self.fields.detail = Some(serde_json::json!({ "message": text }).to_string().into());
        self.fields.duration_us = Some(micros(self.started));
        self.draft(Kind::Refusal, "refuse", rule)
    }
}

/// A call of which nothing is known.
fn unnamed() -> aws::Call {
    aws::Call {
        service: None,
        region: None,
        credential: None,
        operation: None,
        access: "unknown".into(),
        resources: Vec::new(),
        protocol: aws::Protocol::Unknown,
        signature: aws::Signature::None,
        parameters: None,
    }
}

/// Microseconds since then.
pub fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Masks and names the request, and fills the sheet. Nothing unmasked stays on it.
pub fn interpret(parts: &Parts, uri: &Uri, ahead: &Ahead, capture_bytes: usize, sheet: &mut Sheet) {
    let mut payload = Payload::new(row_salt());
    payload.query = uri.query().map(|query| redact::query(query).into_owned().into());
    payload.headers = Some(redact::headers(&parts.headers));
    let masked = body(parts, ahead, capture_bytes, &mut payload);
    let request = aws::Request {
        method: &parts.method,
        host: uri.host().unwrap_or_default(),
        path: uri.path(),
        query: payload.query.as_deref(),
        headers: &parts.headers,
        body: masked.as_deref(),
        body_complete: ahead.streaming.is_none(),
    };
    let named = aws::interpret(&request);
    payload.parameters.clone_from(&named.parameters);
    let fields = &mut sheet.fields;
    fields.service.clone_from(&named.service);
    fields.region.clone_from(&named.region);
    fields.operation.clone_from(&named.operation);
    fields.credential.clone_from(&named.credential);
    fields.credential_chain = named.credential.iter().cloned().collect();
    fields.access = Some(named.access.clone());
    fields.resources.clone_from(&named.resources);
    fields.request_bytes = ahead.streaming.is_none().then_some(ahead.bytes.len() as u64);
    sheet.naming = named;
    sheet.payload = Some(payload);
}

/// Fills in the body's columns, and returns what of it may be looked at: masked.
fn body(parts: &Parts, ahead: &Ahead, capture_bytes: usize, payload: &mut Payload) -> Option<Bytes> {
    let labels = Labels::of(&parts.headers);
    if ahead.streaming.is_none() {
        let mut capture = Capture::new(capture_bytes);
        capture.take(&ahead.bytes);
        let kept = capture.fill(labels, payload);
        // With a small capture the whole body was read all the same: name the call by it.
        return if kept.as_ref().is_some_and(|kept| kept.len() >= ahead.bytes.len()) {
            kept
        } else {
            masked(&ahead.bytes, true, labels).or(kept)
        };
    }
    payload.body_capture = Some(Kept::Streamed);
    masked(&ahead.bytes, false, labels)
}

fn masked(bytes: &Bytes, complete: bool, labels: Labels<'_>) -> Option<Bytes> {
    if bytes.is_empty() {
        return None;
    }
    match redact::body(bytes, complete, labels.content_type, labels.content_encoding) {
        redact::Body::Clean => Some(bytes.clone()),
        redact::Body::Masked(masked) => Some(masked.into()),
        redact::Body::Omit => None,
    }
}
