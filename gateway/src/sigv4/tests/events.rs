//! Event streams: `aws-sigv4` signs the messages, and reads what comes out.

use super::client::{BROKERED, Frames, REGION, brokered, drain, now, real, settings, sign_v4};
use crate::sigv4::{BodyError, BodyFault, CheckedBody, Coverage, Proof, Resigned, read, resign, verify};
use aws_sigv4::{
    event_stream::{sign_empty_message, sign_message},
    http_request::{SignableBody, SignatureLocation},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use http::Request;
use std::time::{Duration, SystemTime};

const MODE: &str = "STREAMING-AWS4-HMAC-SHA256-EVENTS";

struct Stream {
    proof: Proof,
    resigned: Resigned,
}

impl Stream {
    fn new() -> Self {
        let request = Request::post("https://transcribestreaming.us-east-1.amazonaws.com/stream-transcription");
        let request = request.header("content-type", "application/vnd.amazon.eventstream").header("x-amz-content-sha256", MODE);
        let mut parts = request.body(()).unwrap().into_parts().0;
        let settings = settings("transcribe", SignatureLocation::Headers);
        let _ = sign_v4(&mut parts, SignableBody::Precomputed(MODE.to_owned()), "transcribe", settings, &brokered());
        let claim = read(&parts).unwrap().unwrap();
        let proof = verify(&claim, &parts, None, &BROKERED, now()).unwrap();
        assert_eq!(proof.coverage(), Coverage::ChunkSigned);
        let resigned = resign(&proof, &mut parts, &real(), now()).unwrap();
        Self { proof, resigned }
    }

    fn send<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Option<BodyFault>) {
        let body = match CheckedBody::new(Frames::new(frames), &self.proof, self.resigned.clone()) {
            Ok(body) => body,
            Err(fault) => return (Vec::new(), Some(fault)),
        };
        let (out, error) = drain(body);
        let fault = |error| match error {
            BodyError::Fault(fault) => fault,
            BodyError::Client(never) => match never {},
        };
        (out, error.map(fault))
    }
}

/// Messages under this key, after this signature; the last one is the empty one.
fn messages(identity: &Identity, seed: &str, payloads: &[&str], time: SystemTime) -> Vec<Vec<u8>> {
    let parameters = v4::SigningParams::builder().identity(identity).region(REGION).name("transcribe").time(time).settings(());
    let parameters = parameters.build().unwrap();
    let mut last = seed.to_owned();
    let mut wire = Vec::new();
    for payload in payloads {
        let message = Message::new(payload.as_bytes().to_vec())
            .add_header(Header::new(":event-type", HeaderValue::String("AudioEvent".into())));
        let (message, signature) = sign_message(&message, &last, &parameters).unwrap().into_parts();
        last = signature;
        wire.push(frame(&message));
    }
    wire.push(frame(&sign_empty_message(&last, &parameters).unwrap().into_parts().0));
    wire
}

/// A message as Smithy's specification frames it.
fn frame(message: &Message) -> Vec<u8> {
    let mut headers = Vec::new();
    for header in message.headers() {
        let name = header.name().as_str();
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        match header.value() {
            HeaderValue::ByteArray(bytes) => {
                headers.push(6);
                headers.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
                headers.extend_from_slice(bytes);
            }
            HeaderValue::Timestamp(time) => {
                headers.push(8);
                headers.extend((time.secs() * 1_000).to_be_bytes());
            }
            other => panic!("a signed message has no {other:?}"),
        }
    }
    let total = u32::try_from(16 + headers.len() + message.payload().len()).unwrap();
    let mut out = [total.to_be_bytes(), u32::try_from(headers.len()).unwrap().to_be_bytes()].concat();
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out.extend(headers);
    out.extend_from_slice(message.payload());
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out
}

#[test]
fn signed_messages_come_out_as_the_sdk_signs_them_with_the_real_credential() {
    let stream = Stream::new();
    let payloads = ["one", "", "three"];
    let later = now() + Duration::from_secs(30);
    let wire = messages(&brokered().into(), &stream.proof.chain.last, &payloads, later).concat();
    let expected = messages(&real().into(), stream.resigned.signature(), &payloads, later).concat();
    assert_eq!(stream.send([&wire[..]]), (expected.clone(), None));
    assert_eq!(stream.send(wire.chunks(1)), (expected, None));
}

#[test]
fn a_changed_dropped_or_swapped_message_is_refused_and_nothing_after_it_comes_out() {
    let stream = Stream::new();
    let wire = messages(&brokered().into(), &stream.proof.chain.last, &["one", "two"], now());
    let expected = messages(&real().into(), stream.resigned.signature(), &["one", "two"], now()).concat();
    let check = |frames: &[&[u8]], what: &str| {
        let (out, fault) = stream.send(frames.iter().copied());
        assert!(matches!(fault, Some(BodyFault::Event { .. })), "{what}: {fault:?}");
        assert!(out.len() < expected.len() && expected.starts_with(&out), "{what}");
    };
    for at in 0..wire.concat().len() {
        let mut changed = wire.concat();
        changed[at] ^= 1;
        check(&[&changed], &format!("byte {at}"));
        check(&[&wire.concat()[..at]], &format!("cut at {at}"));
    }
    check(&[&wire[1], &wire[2]], "the first dropped");
    check(&[&wire[1], &wire[0], &wire[2]], "two swapped");
    let (out, fault) = stream.send([&wire[0][..], &wire[1], &wire[2], &wire[2]]);
    assert!(out == expected && fault.is_some(), "after the end nothing goes on");
    let next_day = messages(&brokered().into(), &stream.proof.chain.last, &[], now() + Duration::from_secs(86_400));
    check(&[&next_day[0]], "of another day");
}

/// The checksums are no protection: they are put right here.
#[test]
fn a_changed_payload_with_right_checksums_is_refused() {
    let stream = Stream::new();
    let wire = messages(&brokered().into(), &stream.proof.chain.last, &["one"], now());
    let mut changed = wire[0].clone();
    let end = changed.len() - 4;
    changed[end - 5] ^= 1;
    let checksum = crc32fast::hash(&changed[..end]).to_be_bytes();
    changed[end..].copy_from_slice(&checksum);
    let (out, fault) = stream.send([&changed[..]]);
    assert_eq!((out, fault), (Vec::new(), Some(BodyFault::Event { message: 0, what: "its signature does not fit" })));
}
