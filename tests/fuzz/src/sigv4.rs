//! AWS signatures: what is read of a request, what holds of it, and bodies in chunks under it. The client is `aws-sigv4`.

use crate::aws::message;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, request::Parts};
use hyper::body::{Body, Frame};
use sealgate::sigv4::{BrokeredKey, CheckedBody, Claim, Proof, Resigned, SignatureError, read, resign, verify};
use sealgate_schema::Hash;
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

const GIVEN: BrokeredKey<'_> = BrokeredKey { access_key_id: "AKIAGIVEN", secret: "given-secret", token: None };
const REAL: BrokeredKey<'_> = BrokeredKey { access_key_id: "AKIAREAL", secret: "real-secret", token: Some("real-token") };
const CHUNKED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const UNSIGNED: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

/// What is read is fit for columns, another key fits nothing, and no text tells the token.
pub(crate) fn signature(data: &[u8]) -> bool {
    let Some((parts, body)) = request(data) else { return false };
    let Ok(Some(claim)) = read(&parts) else { return false };
    check(&claim);
    let token = claim.session_token().map(|token| token.expose().to_owned());
    let key = BrokeredKey { access_key_id: claim.access_key_id(), secret: "another", token: token.as_deref() };
    let refused = verify(&claim, &parts, Some(Hash::of(&[body]).0), &key, now()).expect_err("nobody signs with this secret");
    let texts = format!("{claim:?} {refused} {refused:?}");
    assert!(token.is_none_or(|token| token.len() < 16 || !texts.contains(&token)), "a token is in a text");
    true
}

fn check(claim: &Claim) {
    for word in [claim.access_key_id(), claim.region(), claim.service()] {
        assert!((1..=128).contains(&word.len()) && word.bytes().all(|b| (b' '..0x7f).contains(&b) && b != b'"' && b != b'\\'));
    }
}

/// A request as it stands in an input: `METHOD TARGET`, fields, a body.
fn request(data: &[u8]) -> Option<(Parts, &[u8])> {
    let (line, fields, body) = message(data)?;
    let (method, target) = line.split_once(' ')?;
    let mut parts = Request::builder().method(method).uri(target).body(()).ok()?.into_parts().0;
    parts.headers = fields;
    Some((parts, body))
}

/// Whatever `aws-sigv4` signs holds, and holds again under the real key with the signature that it makes there.
pub(crate) fn signed(data: &[u8]) -> bool {
    let Some((plain, body)) = request(data) else { return false };
    let s3 = data.len().is_multiple_of(2);
    if !plain.headers.values().all(|value| value.to_str().is_ok()) || !is_plain(&plain) {
        return false;
    }
    let (service, declared) = if s3 { ("s3", Some(Hash::of(&[body]).to_string())) } else { ("sqs", None) };
    let make = |key: &BrokeredKey<'_>| {
        let mut parts = plain.clone();
        if let Some(hash) = &declared {
            parts.headers.insert("x-amz-content-sha256", hash.parse().expect("hex"));
        }
        let signature = sign_as(&mut parts, SignableBody::Bytes(body), service, key);
        (parts, signature)
    };
    let (mut parts, _) = make(&GIVEN);
    let claim = read(&parts).expect("it is read").expect("it is signed");
    check(&claim);
    let hash = Some(Hash::of(&[body]).0);
    let proof = verify(&claim, &parts, hash, &GIVEN, now()).unwrap_or_else(|error| panic!("{error}: {parts:?}"));
    let mut other = parts.clone();
    other.method = http::Method::from_bytes(format!("{}X", parts.method).as_bytes()).expect("a method");
    assert_eq!(verify(&claim, &other, hash, &GIVEN, now()).err(), Some(SignatureError::Mismatch));
    let resigned = resign(&proof, &mut parts, &credentials(&REAL), now()).expect("it is signed again");
    let (expected, signature) = make(&REAL);
    assert_eq!(resigned.signature(), signature);
    assert_eq!(parts.headers.get("authorization"), expected.headers.get("authorization"));
    assert_eq!((&parts.uri, &parts.method), (&expected.uri, &expected.method));
    true
}

/// What `aws-sigv4` reads as AWS does (it panics where a target has no path), and what is not of a signature itself.
fn is_plain(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    let decoded: Vec<u8> = percent(query);
    let own = |name: &str| name.starts_with("x-amz-") && name != "x-amz-target" || name == "authorization" || name == "date";
    parts.uri.path().starts_with('/')
        && parts.uri.authority().is_some_and(|authority| !authority.as_str().contains([':', '@']))
        && std::str::from_utf8(&decoded).is_ok_and(|query| !query.to_ascii_lowercase().contains("x-amz-"))
        && !query.contains("AWSAccessKeyId")
        && !parts.headers.keys().any(|name| own(name.as_str()))
        && !parts.headers.values().any(|value| value.as_bytes().contains(&b'\t'))
}

fn percent(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = text.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

fn credentials(key: &BrokeredKey<'_>) -> Credentials {
    Credentials::new(key.access_key_id, key.secret, key.token.map(str::to_owned), None, "fuzz")
}

fn sign_as(parts: &mut Parts, body: SignableBody<'_>, service: &str, key: &BrokeredKey<'_>) -> String {
    let identity: Identity = credentials(key).into();
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    let parameters = v4::SigningParams::builder().identity(&identity).region("us-east-1").name(service).time(now());
    let parameters = parameters.settings(settings).build().expect("all is there").into();
    let copy = parts.clone();
    let headers = copy.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request = SignableRequest::new(copy.method.as_str(), copy.uri.to_string(), headers, body).expect("it is a request");
    let (instructions, signature) = sign(request, &parameters).expect("it is signed").into_parts();
    let mut request = Request::from_parts(copy, ());
    instructions.apply_to_request_http1x(&mut request);
    *parts = request.into_parts().0;
    signature
}

/// An upload that was signed, verified and signed again, and the client's signature.
fn upload(mode: &str) -> (Proof, Resigned, String) {
    let request = Request::put("https://bucket.s3.amazonaws.com/key").header("x-amz-content-sha256", mode);
    let mut parts = request.body(()).expect("a request").into_parts().0;
    let seed = sign_as(&mut parts, SignableBody::Precomputed(mode.to_owned()), "s3", &GIVEN);
    let claim = read(&parts).expect("it is read").expect("it is signed");
    let proof = verify(&claim, &parts, None, &GIVEN, now()).expect("it fits");
    let resigned = resign(&proof, &mut parts, &credentials(&REAL), now()).expect("it is signed again");
    (proof, resigned, seed)
}

thread_local! {
    static UNSIGNED_UPLOAD: (Proof, Resigned, String) = upload(UNSIGNED);
    static SIGNED_UPLOAD: (Proof, Resigned, String) = upload(CHUNKED);
}

/// A body's frames.
struct Frames(VecDeque<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}

/// What comes out of a body in frames of this size, and whether it came to its end.
fn send((proof, resigned, _): &(Proof, Resigned, String), wire: &[u8], frame: usize) -> (Vec<u8>, bool) {
    let frames = Frames(wire.chunks(frame.max(1)).map(Bytes::copy_from_slice).collect());
    let Ok(mut body) = CheckedBody::new(frames, proof, resigned.clone()) else { return (Vec::new(), false) };
    let (mut out, mut context) = (Vec::new(), Context::from_waker(Waker::noop()));
    loop {
        match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => out.extend(frame.into_data().expect("there are no trailers")),
            Poll::Ready(None) => return (out, true),
            Poll::Ready(Some(Err(_))) | Poll::Pending => return (out, false),
        }
    }
}

/// What is taken comes out as it came in; what is refused is refused in any frames, and never came out whole.
pub(crate) fn unsigned_chunks(data: &[u8]) -> bool {
    UNSIGNED_UPLOAD.with(|upload| {
        let (whole, taken) = send(upload, data, usize::MAX);
        for frame in [1, 7, 1_000] {
            let (out, taken_so) = send(upload, data, frame);
            assert_eq!(taken_so, taken, "frames decide");
            assert!(if taken { out == whole } else { out.len() < data.len() && data.starts_with(&out) || data.is_empty() });
        }
        assert_eq!(whole == data, taken || data.is_empty(), "a server that counts bytes would take it");
        taken
    })
}

/// `FRAME PLACE CHANGE` and data in chunks of 16 bytes. A signed body is taken exactly if nothing of it is changed.
pub(crate) fn signed_chunks(data: &[u8]) -> bool {
    let [frame, high, low, change, data @ ..] = data else { return false };
    SIGNED_UPLOAD.with(|upload| {
        let data = &data[..data.len().min(512)];
        let mut wire = chunked(&upload.2, &GIVEN, data);
        let expected = chunked(upload.1.signature(), &REAL, data);
        let place = usize::from(*high) << 8 | usize::from(*low);
        let length = wire.len();
        wire[place % length] ^= change;
        let (out, taken) = send(upload, &wire, usize::from(*frame));
        // A hex digit of a size has two spellings.
        let same = wire.eq_ignore_ascii_case(&chunked(&upload.2, &GIVEN, data)) && *change == 0x20;
        assert!(taken == (*change == 0) || same, "a changed body is taken, or an unchanged one refused");
        assert!(same || if taken { out == expected } else { out.len() < expected.len() && expected.starts_with(&out) });
        taken
    })
}

fn chunked(seed: &str, key: &BrokeredKey<'_>, data: &[u8]) -> Vec<u8> {
    let identity: Identity = credentials(key).into();
    let parameters = v4::SigningParams::builder().identity(&identity).region("us-east-1").name("s3").time(now());
    let parameters = parameters.settings(()).build().expect("all is there");
    let (mut last, mut wire) = (seed.to_owned(), Vec::new());
    for chunk in data.chunks(16).chain([&[][..]]) {
        let signed = v4::sign_chunk(&Bytes::copy_from_slice(chunk), &last, &parameters).expect("it is signed");
        last = signed.into_parts().1;
        wire.extend(format!("{:x};chunk-signature={last}\r\n", chunk.len()).into_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

fn text(parts: &Parts, body: &[u8]) -> Vec<u8> {
    let mut out = format!("{} {}\n", parts.method, parts.uri).into_bytes();
    for (name, value) in &parts.headers {
        out.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    }
    [out, b"\n".to_vec(), body.to_vec()].concat()
}

pub(crate) fn signature_seeds() -> Vec<Vec<u8>> {
    let mut parts = Request::post("https://sqs.us-east-1.amazonaws.com/a?b=c").body(()).expect("a request").into_parts().0;
    parts.headers.insert("content-type", HeaderValue::from_static("text/plain"));
    let _ = sign_as(&mut parts, SignableBody::Bytes(b"body"), "sqs", &REAL);
    let presigned = "GET /k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAREAL%2F20261118%2Fus-east-1%2Fs3%2Faws4_request\
                     &X-Amz-Date=20261118T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
                     &X-Amz-Security-Token=a-token-of-some-length&X-Amz-Signature=";
    let v4a = "PUT /k\nhost: h\nx-amz-date: 20261118T000000Z\nx-amz-region-set: *\nx-amz-content-sha256: UNSIGNED-PAYLOAD\n\
               authorization: AWS4-ECDSA-P256-SHA256 Credential=AKIAREAL/20261118/s3/aws4_request, \
               SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-region-set, Signature=3044\n\n";
    let presigned = format!("{presigned}{}\nhost: h\n\n", "0".repeat(64));
    vec![text(&parts, b"body"), presigned.into_bytes(), v4a.as_bytes().to_vec()]
}

pub(crate) fn signed_seeds() -> Vec<Vec<u8>> {
    let plain = |target: &str, fields: HeaderMap, body: &[u8]| {
        let mut parts = Request::put(format!("https://h.amazonaws.com{target}")).body(()).expect("a request").into_parts().0;
        parts.headers = fields;
        text(&parts, body)
    };
    let fields = HeaderMap::from_iter([
        (http::header::RANGE, HeaderValue::from_static("bytes=0-1")),
        (http::header::EXPECT, HeaderValue::from_static("a   b")),
    ]);
    ["/", "/a/../b//c%2fd?x=1&x=&%C3%BC=+&", "/%7e(a)?list-type=2&prefix=a%2Fb"]
        .iter()
        .flat_map(|target| [plain(target, fields.clone(), b""), plain(target, fields.clone(), b"1")])
        .collect()
}

pub(crate) fn unsigned_seeds() -> Vec<Vec<u8>> {
    [
        "0\r\n\r\n",
        "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        "1\r\na\r\n00a\r\n0123456789\r\n0\r\na:b\n\r\nc:\r\n\r\n",
    ]
    .map(|wire| wire.as_bytes().to_vec())
    .into()
}

pub(crate) fn chunk_seeds() -> Vec<Vec<u8>> {
    vec![vec![0, 0, 0, 0], [&[5, 0, 9, 0][..], &[b'x'; 70]].concat()]
}
