//! A client: signs with `aws-sigv4`, and frames bodies as SDKs do.

use crate::sigv4::BrokeredKey;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::{v4, v4a},
};
use aws_smithy_runtime_api::{client::identity::Identity, http::Headers};
use bytes::Bytes;
use http::{HeaderValue, Request, request::Parts};
use http_body::{Body, Frame, SizeHint};
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

pub(super) const REGION: &str = "us-east-1";
pub(super) const BROKERED: BrokeredKey<'_> =
    BrokeredKey { access_key_id: "AKIABROKERED", secret: "brokered/secret", token: Some("brokered+token==") };

/// 24 May 2013, as in AWS's examples.
pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600)
}

pub(super) fn brokered() -> Credentials {
    credentials(BROKERED)
}

pub(super) fn credentials(key: BrokeredKey<'_>) -> Credentials {
    Credentials::new(key.access_key_id, key.secret, key.token.map(str::to_owned), None, "test")
}

pub(super) fn real() -> Credentials {
    Credentials::new("AKIAREAL", "real+secret", Some("real/token".to_owned()), None, "test")
}

/// The settings with which the SDK for Rust signs for a service: `s3`, or any other.
pub(super) fn settings(service: &str, location: SignatureLocation) -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.signature_location = location;
    settings.excluded_headers = None;
    if location == SignatureLocation::QueryParams {
        settings.expires_in = Some(Duration::from_secs(3600));
    }
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    settings
}

/// Signs with Version 4, and puts the signature into the request. The signature itself, in hex.
pub(super) fn sign_v4(
    parts: &mut Parts,
    body: SignableBody<'_>,
    service: &str,
    settings: SigningSettings,
    credentials: &Credentials,
) -> String {
    let identity: Identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder().identity(&identity).region(REGION).name(service).time(now()).settings(settings);
    apply(parts, body, &parameters.build().unwrap().into())
}

/// Signs with Version 4a for all regions.
pub(super) fn sign_v4a(parts: &mut Parts, body: SignableBody<'_>, settings: SigningSettings, credentials: &Credentials) -> String {
    let identity: Identity = credentials.clone().into();
    let parameters = v4a::SigningParams::builder().identity(&identity).region_set("*").name("s3").time(now()).settings(settings);
    apply(parts, body, &parameters.build().unwrap().into())
}

fn apply(parts: &mut Parts, body: SignableBody<'_>, parameters: &aws_sigv4::http_request::SigningParams<'_>) -> String {
    let copy = parts.clone();
    let headers = copy.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let request = SignableRequest::new(copy.method.as_str(), copy.uri.to_string(), headers, body).unwrap();
    let (instructions, signature) = sign(request, parameters).unwrap().into_parts();
    let mut request = Request::from_parts(copy, ());
    instructions.apply_to_request_http1x(&mut request);
    *parts = request.into_parts().0;
    signature
}

/// An upload to S3 whose body has this `x-amz-content-sha256`.
pub(super) fn upload(mode: &str, decoded_length: usize) -> Parts {
    let request = Request::put("https://bucket.s3.us-east-1.amazonaws.com/a%20key")
        .header("host", "bucket.s3.us-east-1.amazonaws.com")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-content-sha256", mode)
        .header("x-amz-decoded-content-length", HeaderValue::from(decoded_length));
    let request = if mode.ends_with("TRAILER") { request.header("x-amz-trailer", "x-amz-checksum-crc32") } else { request };
    request.body(()).unwrap().into_parts().0
}

/// Signs the chunks of a body one after the other.
pub(super) struct Chunker {
    identity: Identity,
    last: String,
}

impl Chunker {
    pub(super) fn new(credentials: &Credentials, seed: &str) -> Self {
        Self { identity: credentials.clone().into(), last: seed.to_owned() }
    }

    fn parameters(&self) -> v4::SigningParams<'_, ()> {
        let parameters = v4::SigningParams::builder().identity(&self.identity).region(REGION).name("s3").time(now());
        parameters.settings(()).build().unwrap()
    }

    pub(super) fn signature(&mut self, data: &[u8]) -> String {
        let (_, signature) = v4::sign_chunk(&Bytes::copy_from_slice(data), &self.last, &self.parameters()).unwrap().into_parts();
        self.last.clone_from(&signature);
        signature
    }

    pub(super) fn trailer_signature(&mut self, name: &'static str, value: &str) -> String {
        let mut headers = Headers::new();
        headers.insert(name, value.to_owned());
        let (_, signature) = v4::sign_trailer(&headers, &self.last, &self.parameters()).unwrap().into_parts();
        self.last.clone_from(&signature);
        signature
    }

    /// A chunk on the wire; the last one without the empty line after it.
    pub(super) fn chunk(&mut self, data: &[u8]) -> Vec<u8> {
        let head = format!("{:x};chunk-signature={}\r\n", data.len(), self.signature(data));
        [head.as_bytes(), data, if data.is_empty() { b"" } else { b"\r\n" }].concat()
    }

    pub(super) fn trailer(&mut self, name: &'static str, value: &str) -> Vec<u8> {
        let signature = self.trailer_signature(name, value);
        format!("{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n").into_bytes()
    }
}

/// A body in these frames.
#[derive(Debug, Clone)]
pub(super) struct Frames(pub(super) VecDeque<Bytes>);

impl Frames {
    pub(super) fn new<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(frames.into_iter().map(Bytes::copy_from_slice).collect())
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|data| data.len() as u64).sum())
    }
}

/// Reads a body to its end: what came out, and why it broke off.
pub(super) fn drain<B: Body<Data = Bytes> + Unpin>(mut body: B) -> (Vec<u8>, Option<B::Error>) {
    let (mut out, mut context) = (Vec::new(), Context::from_waker(Waker::noop()));
    loop {
        let before = body.size_hint().exact();
        match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap();
                assert_eq!(before.map(|before| before - data.len() as u64), body.size_hint().exact(), "no byte is lost on the way");
                out.extend_from_slice(&data);
            }
            Poll::Ready(Some(Err(error))) => return (out, Some(error)),
            Poll::Ready(None) => return (out, None),
            Poll::Pending => unreachable!("these bodies never wait"),
        }
    }
}
