//! What it costs to check a signature and to make it anew.

use super::{row, timed};
use crate::{Result, figures::short};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign},
    sign::{v4, v4a},
};
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{Request, request::Parts};
use http_body::{Body, Frame};
use sealgate::sigv4::{BrokeredKey, CheckedBody, Proof, Resigned, read, resign, verify};
use sealgate_schema::Hash;
use std::{
    convert::Infallible,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

const KEY: BrokeredKey<'_> = BrokeredKey {
    access_key_id: "AKIABROKERED0000EXAMPLE",
    secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    token: Some(TOKEN),
};
const TOKEN: &str = "FwoGZXIvYXdzEBYaDHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eA==";
const FORM: &[u8] =
    b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdeploy&RoleSessionName=bench";
const MODE: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const CHUNK_BYTES: usize = 64 << 10;
const FRAME_BYTES: usize = 16 << 10;

/// Runs all of them and prints a line each.
pub(super) fn run() -> Result<()> {
    let micros = |nanoseconds: f64| format!("{} µs", short(nanoseconds / 1e3));
    let (real, now) = (credentials("AKIAREAL000000000EXAMPLE"), now());
    let parts = sts()?;
    let body = Some(Hash::of(&[FORM]).0);
    let claim = read(&parts)?.ok_or("the sample is signed")?;
    let proof = verify(&claim, &parts, body, &KEY, now)?;
    row("read a signature", &micros(timed(|| read(&parts))), "an STS call: 9 headers, a token");
    row("verify it", &micros(timed(|| verify(&claim, &parts, body, &KEY, now))), "canonical request, key, HMAC");
    let copied = timed(|| parts.clone());
    let resigned = timed(|| resign(&proof, &mut parts.clone(), &real, now)) - copied;
    row("sign it again", &micros(resigned), "with the real credential");
    let both = timed(|| {
        let claim = read(&parts).ok()??;
        let proof = verify(&claim, &parts, body, &KEY, now).ok()?;
        Some((proof.to_json(), resign(&proof, &mut parts.clone(), &real, now)))
    }) - copied;
    row("all of it, with the proof's JSON", &micros(both), "what a call costs");
    let key = timed(|| v4::generate_signing_key(KEY.secret, now, "us-east-1", "sts"));
    row("derive a signing key", &micros(key), "of that, twice a call");
    let asymmetric = version_4a(&parts)?;
    let claim = read(&asymmetric)?.ok_or("the sample is signed")?;
    let proof = verify(&claim, &asymmetric, body, &KEY, now)?;
    row("verify Version 4a", &micros(timed(|| verify(&claim, &asymmetric, body, &KEY, now))), "key, ECDSA");
    let resigned = timed(|| resign(&proof, &mut asymmetric.clone(), &real, now)) - copied;
    row("sign Version 4a again", &micros(resigned), "key, ECDSA");
    let (proof, resigned, wire) = upload(&real, now)?;
    let chunk = timed(|| chunks(&proof, &resigned, &wire)) / 16.0;
    row("check and sign a chunk again", &micros(chunk), "of 64 KiB, in frames of 16 KiB");
    let data = vec![b'x'; CHUNK_BYTES];
    row("SHA-256 of 64 KiB", &micros(timed(|| Hash::of(&[&data]))), "of that");
    Ok(())
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_478_400)
}

fn credentials(key: &str) -> Credentials {
    Credentials::new(key, KEY.secret, Some(TOKEN.to_owned()), None, "bench")
}

fn sts() -> Result<Parts> {
    let request = Request::post("https://sts.us-east-1.amazonaws.com/")
        .header("host", "sts.us-east-1.amazonaws.com")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("content-length", FORM.len())
        .header("amz-sdk-invocation-id", "0f6a9d5e-36a3-4c3a-8d53-25a0b3a3f2b1")
        .header("amz-sdk-request", "attempt=1")
        .header("user-agent", "aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.13.7");
    let mut parts = request.body(())?.into_parts().0;
    let _ = signed(&mut parts, SignableBody::Bytes(FORM), "sts")?;
    Ok(parts)
}

/// The same call, signed with Version 4a.
fn version_4a(parts: &Parts) -> Result<Parts> {
    let mut parts = parts.clone();
    for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
        parts.headers.remove(name);
    }
    let identity: Identity = credentials(KEY.access_key_id).into();
    let parameters = v4a::SigningParams::builder().identity(&identity).region_set("*").name("sts").time(now());
    apply(&mut parts, SignableBody::Bytes(FORM), &parameters.settings(SigningSettings::default()).build()?.into())?;
    Ok(parts)
}

fn signed(parts: &mut Parts, body: SignableBody<'_>, service: &str) -> Result<String> {
    let identity: Identity = credentials(KEY.access_key_id).into();
    let parameters = v4::SigningParams::builder().identity(&identity).region("us-east-1").name(service).time(now());
    apply(parts, body, &parameters.settings(SigningSettings::default()).build()?.into())
}

fn apply(parts: &mut Parts, body: SignableBody<'_>, parameters: &SigningParams<'_>) -> Result<String> {
    let copy = parts.clone();
    let headers = copy.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request = SignableRequest::new(copy.method.as_str(), copy.uri.to_string(), headers, body)?;
    let (instructions, signature) = sign(request, parameters)?.into_parts();
    let mut request = Request::from_parts(copy, ());
    instructions.apply_to_request_http1x(&mut request);
    *parts = request.into_parts().0;
    Ok(signature)
}

/// An upload of sixteen chunks.
fn upload(real: &Credentials, now: SystemTime) -> Result<(Proof, Resigned, Bytes)> {
    let request = Request::put("https://bucket.s3.us-east-1.amazonaws.com/key").header("x-amz-content-sha256", MODE);
    let mut parts = request.header("host", "bucket.s3.us-east-1.amazonaws.com").body(())?.into_parts().0;
    let mut last = signed(&mut parts, SignableBody::Precomputed(MODE.to_owned()), "s3")?;
    let claim = read(&parts)?.ok_or("the sample is signed")?;
    let proof = verify(&claim, &parts, None, &KEY, now)?;
    let resigned = resign(&proof, &mut parts, real, now)?;
    let identity: Identity = credentials(KEY.access_key_id).into();
    let parameters = v4::SigningParams::builder().identity(&identity).region("us-east-1").name("s3").time(now);
    let parameters = parameters.settings(()).build()?;
    let (data, mut wire) = (Bytes::from(vec![b'x'; CHUNK_BYTES]), Vec::new());
    for chunk in std::iter::repeat_n(&data, 16).chain([&Bytes::new()]) {
        last = v4::sign_chunk(chunk, &last, &parameters)?.into_parts().1;
        wire.extend(format!("{:x};chunk-signature={last}\r\n", chunk.len()).into_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    Ok((proof, resigned, wire.into()))
}

/// A body in frames as they come from a connection.
struct Frames(Bytes);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.0.len().min(FRAME_BYTES);
        Poll::Ready((bytes > 0).then(|| Ok(Frame::data(self.0.split_to(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

/// Sends the upload's body through; how many bytes came out.
fn chunks(proof: &Proof, resigned: &Resigned, wire: &Bytes) -> usize {
    let Ok(mut body) = CheckedBody::new(Frames(wire.clone()), proof, resigned.clone()) else { return 0 };
    let (mut out, mut context) = (0, Context::from_waker(Waker::noop()));
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
        out += black_box(frame).data_ref().map_or(0, Bytes::len);
    }
    out
}
