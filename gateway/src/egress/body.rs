//! The request body on its way up: read ahead as far as naming the call and checking its signature need it, then streamed.

use super::capture::Capture;
use crate::{
    app::Gateway,
    limits::{
        CALL_SLOT_WAIT, CLIENT_HEAD_WAIT, DISCARD_BYTES_MAX, DISCARD_WAIT, HELD_BODIES_BYTES_MAX, HELD_BODY_BYTES_MAX,
        READ_AHEAD_BYTES_MAX,
    },
    sigv4::{self, BodyFault, CheckedBody},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

/// A request body that the upstream client sends.
#[derive(Debug)]
pub struct RequestBody {
    ahead: VecDeque<Frame<Bytes>>,
    rest: Option<Rest>,
    /// The place in memory of a body that is held whole.
    _held: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Rest {
    body: Option<Incoming>,
    seen: SharedCapture,
    /// The client waits for a word before it sends, and has not had it.
    waits_for_continue: bool,
    tasks: TaskTracker,
}

/// A call that was refused or failed leaves its body unread. A client that is still sending would see its connection
/// broken instead of the answer, so the rest is read and thrown away, within bounds.
impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream() && !self.waits_for_continue) {
            self.tasks.spawn(tokio::time::timeout(DISCARD_WAIT, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut left = DISCARD_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

/// What the upstream client sends: the client's body as it comes, or held against its signature while it streams.
#[derive(Debug)]
pub struct Upload {
    body: Checked,
    fault: Fault,
}

#[derive(Debug)]
enum Checked {
    No(RequestBody),
    Yes(Box<CheckedBody<RequestBody>>),
}

/// What did not fit, for whoever is told that the upload broke off.
#[derive(Debug, Clone, Default)]
pub struct Fault(Arc<OnceLock<BodyFault>>);

impl Fault {
    /// What did not fit, where something did not.
    pub fn found(&self) -> Option<BodyFault> {
        self.0.get().copied()
    }
}

impl Upload {
    /// A body of which nothing is claimed.
    pub fn plain(body: RequestBody) -> Self {
        Self { body: Checked::No(body), fault: Fault::default() }
    }

    /// A body under a signature.
    pub fn checked(body: CheckedBody<RequestBody>) -> Self {
        Self { body: Checked::Yes(Box::new(body)), fault: Fault::default() }
    }

    /// Where it is noted when the body does not fit.
    pub fn fault(&self) -> Fault {
        self.fault.clone()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = sigv4::BodyError<hyper::Error>;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        match &mut this.body {
            Checked::No(body) => Pin::new(body).poll_frame(context).map_err(sigv4::BodyError::Client),
            Checked::Yes(body) => {
                let frame = ready!(Pin::new(body.as_mut()).poll_frame(context));
                if let Some(Err(sigv4::BodyError::Fault(fault))) = &frame {
                    // Set once: a body gives its fault again as often as it is asked.
                    let _ = this.fault.0.set(*fault);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Checked::No(body) => body.is_end_stream(),
            Checked::Yes(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Checked::No(body) => body.size_hint(),
            Checked::Yes(body) => body.size_hint(),
        }
    }
}

/// What has streamed by so far, shared between the body on its way up and the observer of the call.
#[derive(Debug, Clone)]
pub struct SharedCapture(Arc<Mutex<Option<Capture>>>);

impl SharedCapture {
    /// Takes the capture out: no more is counted after this.
    pub fn finish(&self) -> Option<Capture> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn take(&self, data: &Bytes) {
        if let Some(capture) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            capture.take(data);
        }
    }
}

/// A body after reading ahead.
#[derive(Debug)]
pub struct Ahead {
    /// The body to send.
    pub body: RequestBody,
    /// The bytes read so far, in one piece.
    pub bytes: Bytes,
    /// What goes on streaming; `None` where the whole body was read.
    pub streaming: Option<SharedCapture>,
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client's connection broke, or what it sent is not HTTP.
    #[error("the request body could not be read: {0}")]
    Broken(#[from] hyper::Error),
    /// The client stopped sending.
    #[error("nothing of the request body came for {} s", CLIENT_HEAD_WAIT.as_secs())]
    Slow,
    /// Its signature covers the whole of it, and it is too long to be held.
    #[error(
        "the signature covers a body of more than {} MiB that the request does not declare; send its hash in x-amz-content-sha256",
        HELD_BODY_BYTES_MAX >> 20
    )]
    TooLong,
    /// Too many such bodies are held already.
    #[error("too many large bodies are being checked at once; try again")]
    Busy,
}

/// Memory for bodies that have to be whole before their signature can be checked, in KiB.
#[derive(Debug, Clone)]
pub struct HeldBodies(Arc<Semaphore>);

impl Default for HeldBodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HELD_BODIES_BYTES_MAX >> 10)))
    }
}

impl HeldBodies {
    /// Takes the room for so many bytes in addition to what is held.
    async fn grow(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), BodyError> {
        let have = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let want = u32::try_from((bytes >> 10) + 1).map_err(|_| BodyError::TooLong)?;
        let Some(more) = want.checked_sub(u32::try_from(have).unwrap_or(u32::MAX)).filter(|more| *more > 0) else { return Ok(()) };
        // Two bodies that grow side by side must not wait for each other: the wait is bounded, and the loser is told.
        let more = tokio::time::timeout(CALL_SLOT_WAIT, self.0.clone().acquire_many_owned(more)).await;
        let more = more.map_err(|_| BodyError::Busy)?.map_err(|_| BodyError::Busy)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

/// How much of a body has to be there before the call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// What it takes to name the call.
    Beginning,
    /// All of it: the signature covers it and says nothing of it.
    Whole,
}

/// Reads a body as far as the intent needs it: to its end where it is short, where its length is not said, or where the signature
/// wants it; not at all where it is long and names no operation, or where the client waits for an answer before it goes on.
pub async fn read_ahead(
    headers: &HeaderMap,
    mut body: Incoming,
    need: Need,
    capture_bytes: usize,
    gateway: &Gateway,
) -> Result<Ahead, BodyError> {
    let mut frames = VecDeque::new();
    let mut length = 0;
    let wanted = match need {
        Need::Whole => usize::MAX,
        Need::Beginning if streams_at_once(headers) => 0,
        Need::Beginning => READ_AHEAD_BYTES_MAX,
    };
    let mut held = None;
    if need == Need::Whole && content_length(headers).is_some_and(|length| length > HELD_BODY_BYTES_MAX as u64) {
        return Err(BodyError::TooLong);
    }
    let mut ended = false;
    while !ended && length < wanted {
        let frame = tokio::time::timeout(CLIENT_HEAD_WAIT, body.frame()).await.map_err(|_| BodyError::Slow)?;
        match frame.transpose()? {
            Some(frame) => {
                length += frame.data_ref().map_or(0, Bytes::len);
                if length > HELD_BODY_BYTES_MAX {
                    return Err(BodyError::TooLong);
                }
                if length > READ_AHEAD_BYTES_MAX {
                    gateway.held_bodies.grow(&mut held, length).await?;
                }
                frames.push_back(frame);
                ended = body.is_end_stream();
            }
            None => ended = true,
        }
    }
    let bytes = joined(&frames, length);
    if ended {
        if held.is_some() && frames.iter().all(Frame::is_data) {
            // Held once, not twice.
            frames = VecDeque::from([Frame::data(bytes.clone())]);
        }
        return Ok(Ahead { body: RequestBody { ahead: frames, rest: None, _held: held }, bytes, streaming: None });
    }
    let mut capture = Capture::new(capture_bytes);
    if !bytes.is_empty() {
        capture.take(&bytes);
    }
    let seen = SharedCapture(Arc::new(Mutex::new(Some(capture))));
    let waits_for_continue = wanted == 0 && headers.contains_key(header::EXPECT);
    let rest = Rest { body: Some(body), seen: seen.clone(), waits_for_continue, tasks: gateway.tasks.clone() };
    Ok(Ahead { body: RequestBody { ahead: frames, rest: Some(rest), _held: None }, bytes, streaming: Some(seen) })
}

/// Long uploads, and event streams in which both sides talk at once.
fn streams_at_once(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let content_type = text(header::CONTENT_TYPE).unwrap_or_default();
    let length = content_length(headers);
    let form = content_type.starts_with("application/x-www-form-urlencoded");
    content_type.starts_with("application/vnd.amazon.eventstream")
        || (!form && length.is_some_and(|length| length > READ_AHEAD_BYTES_MAX as u64))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn joined(frames: &VecDeque<Frame<Bytes>>, length: usize) -> Bytes {
    let mut data = frames.iter().filter_map(Frame::data_ref);
    match (data.next(), data.next()) {
        (None, _) => Bytes::new(),
        (Some(one), None) => one.clone(),
        _ => {
            let mut bytes = BytesMut::with_capacity(length);
            frames.iter().filter_map(Frame::data_ref).for_each(|data| bytes.extend_from_slice(data));
            bytes.freeze()
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ahead.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let Some(Rest { body: Some(body), seen, waits_for_continue, .. }) = &mut this.rest else { return Poll::Ready(None) };
        // Reading is what tells the client to go on.
        *waits_for_continue = false;
        let frame = ready!(Pin::new(body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            seen.take(data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.rest.as_ref().and_then(|rest| rest.body.as_ref()).is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let ahead: u64 = self.ahead.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        let Some(body) = self.rest.as_ref().and_then(|rest| rest.body.as_ref()) else { return SizeHint::with_exact(ahead) };
        let hint = body.size_hint();
        let mut sum = SizeHint::new();
        sum.set_lower(hint.lower().saturating_add(ahead));
        if let Some(upper) = hint.upper() {
            sum.set_upper(upper.saturating_add(ahead));
        }
        sum
    }
}
