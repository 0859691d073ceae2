//! A typical STS call with a small answer, as the gateway makes records of it.

use crate::{Result, upstream};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sealgate::ledger::row_salt;
use sealgate_policies::{naming::aws, redact};
use sealgate_schema::{
    Hash, Payload,
    payload::Capture,
    record::{Fields, Kind},
};

const FORM: &[u8] =
    b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdeploy&RoleSessionName=bench";
const HOST: &str = "sts.us-east-1.amazonaws.com";
const REQUEST: [(&str, &str); 7] = [
    ("host", HOST),
    ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
    ("content-length", "111"),
    ("user-agent", "aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.13.7"),
    ("x-amz-date", "20261124T000000Z"),
    ("amz-sdk-invocation-id", "0f6a9d5e-36a3-4c3a-8d53-25a0b3a3f2b1"),
    (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/us-east-1/sts/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    ),
];
const ANSWER: [(&str, &str); 4] = [
    ("x-amzn-requestid", "7a62c49f-347e-4fc4-9331-6e8e7a96aa73"),
    ("content-type", "application/x-amz-json-1.1"),
    ("content-length", "1396"),
    ("date", "Tue, 24 Nov 2026 00:00:00 GMT"),
];

/// The call.
pub(super) struct Sample {
    request_headers: HeaderMap,
    answer_headers: HeaderMap,
    answer_body: Bytes,
    call: aws::Call,
    /// Its intent, every column filled that an intent fills.
    pub(super) intent: Fields,
    /// The intent's payload.
    pub(super) payload: Payload,
}

impl Sample {
    pub(super) fn new() -> Result<Self> {
        let (request_headers, answer_headers) = (headers(&REQUEST)?, headers(&ANSWER)?);
        let (call, payload) = request(&request_headers);
        let intent = intent(&call, &payload);
        Ok(Self { request_headers, answer_headers, answer_body: upstream::small(), call, intent, payload })
    }

    /// Masks and names the request.
    pub(super) fn request(&self) -> (aws::Call, Payload) {
        request(&self.request_headers)
    }

    /// Masks and reads the answer.
    pub(super) fn answer(&self) -> (aws::Answer, Payload) {
        let mut payload = payload(&self.answer_headers, &self.answer_body);
        payload.body_sha256 = Some(Hash::of(&[&self.answer_body]));
        (aws::answer(&self.call, 200, &self.answer_headers, payload.body.as_deref()), payload)
    }

    /// The outcome's payload.
    pub(super) fn response(&self) -> Payload {
        self.answer().1
    }

    /// Columns of the record at `seq`: intents and outcomes in turn.
    pub(super) fn fields(&self, seq: usize) -> Fields {
        if seq.is_multiple_of(2) {
            return Fields { call: Some(seq as u64), ..self.intent.clone() };
        }
        Fields {
            call: Some(seq as u64 - 1),
            session: self.intent.session.clone(),
            status: Some(200),
            upstream_request_id: Some(format!("7a62c49f-347e-4fc4-9331-{seq:012x}").into()),
            duration_us: Some(300 + (seq as u64 * 2_654_435_761) % 500),
            response_bytes: Some(self.answer_body.len() as u64),
            payload_hash: Some(Hash::of(&[&seq.to_le_bytes()])),
            ..Fields::new(Kind::Outcome)
        }
    }

    /// Payload of the record at `seq`.
    pub(super) fn payload_of(&self, seq: usize) -> Payload {
        let payload = if seq.is_multiple_of(2) { self.payload.clone() } else { self.response() };
        Payload { salts: sealgate_schema::payload::Salts::Row(row_salt()), ..payload }
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> Result<HeaderMap> {
    pairs.iter().map(|(name, value)| Ok((HeaderName::from_static(name), HeaderValue::from_str(value)?))).collect()
}

fn request(headers: &HeaderMap) -> (aws::Call, Payload) {
    let mut payload = payload(headers, &Bytes::from_static(FORM));
    let call = aws::interpret(&aws::Request {
        method: &Method::POST,
        host: HOST,
        path: "/",
        query: None,
        headers,
        body: payload.body.as_deref(),
        body_complete: true,
    });
    payload.parameters.clone_from(&call.parameters);
    (call, payload)
}

fn payload(headers: &HeaderMap, body: &Bytes) -> Payload {
    let mut payload = Payload::new(row_salt());
    payload.headers = Some(redact::headers(headers));
    payload.body_bytes = Some(body.len() as u64);
    payload.body_sha256 = Some(Hash::of(&[body]));
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
    (payload.body, payload.body_capture) = match redact::body(body, true, content_type, None) {
        redact::Body::Clean => (Some(body.clone()), Some(Capture::Full)),
        redact::Body::Masked(masked) => (Some(masked.into()), Some(Capture::Redacted)),
        redact::Body::Omit => (None, Some(Capture::Omitted)),
    };
    payload
}

fn intent(call: &aws::Call, payload: &Payload) -> Fields {
    Fields {
        call: Some(1 << 20),
        session: Some("S-0123456789abcdef".into()),
        principal: Some("alice".into()),
        principal_kind: Some("human".into()),
        attribution: Some("token".into()),
        credential: call.credential.clone(),
        credential_chain: call.credential.iter().cloned().collect(),
        client_addr: Some("127.0.0.1:50000".into()),
        user_agent: Some("aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.13.7".into()),
        provider: Some("aws".into()),
        region: call.region.clone(),
        service: call.service.clone(),
        operation: call.operation.clone(),
        access: Some(call.access.clone()),
        resources: call.resources.clone(),
        method: Some("POST".into()),
        host: Some(HOST.into()),
        path: Some("/".into()),
        decision: Some("permit".into()),
        rules: vec!["session-live".into()],
        request_bytes: Some(FORM.len() as u64),
        payload_hash: Some(payload.commitment()),
        ..Fields::new(Kind::Intent)
    }
}
