//! What a call is: masked first, then named; gathered on a sheet that becomes the intent or the refusal.

use crate::{
    egress::{
        body::Ahead,
        capture::{Capture, Labels},
    },
    exchange::Tunnel,
    identify::{Caller, signer::Signer},
    ledger::{Draft, row_salt},
    limits::READ_AHEAD_BYTES_MAX,
    sigv4::Proof,
};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header, request::Parts};
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
    caller: Caller,
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
        let naming = unnamed(guess(request.headers()));
        Self { started, caller: tunnel.caller.clone(), fields, payload: None, naming }
    }

    /// Whose call it is, as far as that is known.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Notes who signed the call, when that is proven or needs no proof.
    pub fn attribute(&mut self, signer: &Signer, proof: Option<&Proof>) {
        if let Some(session) = signer.session() {
            self.caller.session = Some(session.clone());
            crate::sessions::describe(session, &mut self.fields);
        }
        if let Some(attribution) = signer.attribution() {
            self.fields.attribution = Some(attribution.into());
        }
        let chain = signer.chain();
        if !chain.is_empty() {
            self.fields.credential = chain.first().cloned();
            self.fields.credential_chain = chain;
        }
        if let (Some(payload), Some(proof)) = (&mut self.payload, proof) {
            payload.proof = Some(proof.to_json().into());
        }
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

/// The protocol that a call seems to speak, for a refusal before it is named.
fn guess(headers: &HeaderMap) -> aws::Protocol {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if headers.contains_key("x-amz-target") {
        return aws::Protocol::Json;
    }
    if text(header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded") {
        return aws::Protocol::Query;
    }
    if text(header::AUTHORIZATION).contains("/s3/aws4_request") { aws::Protocol::S3 } else { aws::Protocol::Unknown }
}

/// A call of which nothing is known but the protocol that it seems to speak.
fn unnamed(protocol: aws::Protocol) -> aws::Call {
    aws::Call {
        service: None,
        region: None,
        credential: None,
        operation: None,
        access: "unknown".into(),
        resources: Vec::new(),
        protocol,
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
        body_complete: ahead.streaming.is_none() && ahead.bytes.len() <= READ_AHEAD_BYTES_MAX,
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
        // With a small capture more of the body was read all the same: name the call by that.
        let looked_at = ahead.bytes.slice(..ahead.bytes.len().min(READ_AHEAD_BYTES_MAX));
        return if kept.as_ref().is_some_and(|kept| kept.len() >= looked_at.len()) {
            kept
        } else {
            masked(&looked_at, looked_at.len() == ahead.bytes.len(), labels).or(kept)
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
