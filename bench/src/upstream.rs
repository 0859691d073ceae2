//! The server behind everything: TLS 1.3, HTTP/1.1, answers from memory. Small JSON, or 1 MiB for paths below `/large/`.

use crate::{Result, listen::listen, tls};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio_rustls::TlsAcceptor;

/// Name of the CA's file in the folder that the server is given.
pub(crate) const CA_FILE: &str = "upstream-ca.pem";
/// Paths with this beginning are answered with [`LARGE_BYTES`].
pub(crate) const LARGE_PATH: &str = "/large/";
/// Paths with this beginning are answered with a beginning.
pub(crate) const ENDLESS_PATH: &str = "/endless/";
/// Length of a large answer.
pub(crate) const LARGE_BYTES: usize = 1 << 20;

pub(crate) async fn run(folder: &Path) -> Result<()> {
    let config = tls::server(&folder.join(CA_FILE), &[&rustls::version::TLS13])?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let answers = Arc::new((small(), large()));
    listen(move |stream| {
        let (acceptor, answers) = (acceptor.clone(), answers.clone());
        async move {
            let stream = acceptor.accept(stream).await?;
            let service = service_fn(|request| answer(request, answers.clone()));
            Ok(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?)
        }
    })
    .await
}

/// A whole answer, or the beginning of one without an end.
#[derive(Debug)]
enum Body {
    Whole(Full<Bytes>),
    Endless(Option<Bytes>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Endless(first) => first.take().map_or(Poll::Pending, |first| Poll::Ready(Some(Ok(Frame::data(first))))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Endless(_) => SizeHint::default(),
        }
    }
}

async fn answer(request: Request<Incoming>, answers: Arc<(Bytes, Bytes)>) -> Result<Response<Body>> {
    let endless = request.uri().path().starts_with(ENDLESS_PATH);
    let large = request.uri().path().starts_with(LARGE_PATH);
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let (body, content_type) = if large { (&answers.1, "binary/octet-stream") } else { (&answers.0, "application/x-amz-json-1.1") };
    let response = Response::builder()
        .header("x-amzn-requestid", "7a62c49f-347e-4fc4-9331-6e8e7a96aa73")
        .header("content-type", content_type)
        .header("date", "Tue, 24 Nov 2026 00:00:00 GMT");
    Ok(response.body(match endless {
        true => Body::Endless(Some(answers.0.clone())),
        false => Body::Whole(Full::new(body.clone())),
    })?)
}

/// About 1.4 KB of what DynamoDB or EC2 answer.
pub(crate) fn small() -> Bytes {
    let item = |number: u32| {
        format!(
            r#"{{"InstanceId":{{"S":"i-0abcdef{number:010}"}},"State":{{"S":"running"}},"Launched":{{"N":"17{number:08}"}},"Zone":{{"S":"us-east-1a"}}}}"#
        )
    };
    let items: Vec<String> = (0..11).map(|number| item(number * 7_654_321)).collect();
    format!(r#"{{"Count":{},"Items":[{}],"ScannedCount":{}}}"#, items.len(), items.join(","), items.len()).into()
}

/// Bytes that do not compress, the same in each run.
fn large() -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..LARGE_BYTES / 8).flat_map(|_| next()).collect()
}
