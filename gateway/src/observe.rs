//! What became of a call: watched while the answer streams through, written down before its last byte goes out.
//!
//! The [`Observer`] owns the open call from the moment the request left. However the call ends (answered, broken,
//! abandoned by its client), it writes one outcome.

use crate::{
    app::Gateway,
    contain::{Asked, contain},
    egress::{
        body::{Ahead, SharedCapture},
        capture::{Capture, Labels},
        resign::strip_hop_by_hop,
        upstream::{UpstreamError, Waits},
    },
    exchange::Tunnel,
    identify::signer::Signer,
    interpret::{Sheet, micros},
    ledger::{Draft, LedgerError, OpenCall, Placed, row_salt},
    limits::{ANSWER_LOOK_BYTES_MAX, GATHERED_ANSWER_BYTES_MAX, ISSUING_ANSWER_BYTES_MAX},
    reply,
    sessions::right::Right,
};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sealgate_policies::{issued, naming::aws, redact};
use sealgate_schema::{
    Payload, Text,
    record::{Fields, Kind},
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::Sleep};

type Written = oneshot::Receiver<Result<Placed, LedgerError>>;

/// What the outcome needs of the request, noted before the request is spent.
#[derive(Debug)]
pub struct Watch {
    started: Instant,
    session: Option<Text>,
    naming: aws::Call,
    request_headers: Option<HeaderMap>,
    request_body: Option<SharedCapture>,
    gateway: Arc<Gateway>,
    right: Right,
    asked: Option<Asked>,
    capture_bytes: usize,
    /// `WINDOW` of the records, for messages.
    window: Option<Text>,
}

/// Watches one call to its end.
#[derive(Debug)]
pub struct Observer {
    call: Option<OpenCall>,
    watch: Watch,
    head: Option<(StatusCode, HeaderMap)>,
    capture: Option<Capture>,
}

/// How a call ended.
#[derive(Debug)]
enum End {
    /// The answer came in full.
    Answered,
    /// The client went away first.
    ClientGone,
    /// The answer broke, or never began.
    Upstream { status: Option<StatusCode>, code: &'static str, why: String },
}

impl Watch {
    /// Notes it.
    pub fn new(tunnel: &Tunnel, sheet: &Sheet, signer: &Signer, parts: &Parts, ahead: &Ahead, capture_bytes: usize) -> Self {
        let (gateway, session) = (tunnel.gateway.clone(), sheet.caller().session.clone());
        Self {
            started: sheet.started(),
            session: session.as_ref().map(|session| session.id.clone()),
            right: gateway.right(session.clone(), signer.credential().cloned()),
            asked: asked(tunnel, sheet, signer, parts),
            naming: sheet.naming().clone(),
            request_headers: ahead.streaming.is_some().then(|| parts.headers.clone()),
            request_body: ahead.streaming.clone(),
            capture_bytes,
            window: session.map(|session| session.window.clone()),
            gateway,
        }
    }
}

/// Whether the call asks for a credential, and for whom.
fn asked(tunnel: &Tunnel, sheet: &Sheet, signer: &Signer, parts: &Parts) -> Option<Asked> {
    let session = sheet.caller().session.clone()?;
    let kind = issued::issues(sheet.naming(), &tunnel.target.host, parts.uri.path())?;
    Some(Asked { kind, session, parent: signer.credential().cloned() })
}

impl Observer {
    /// Takes over the call, which from here on has its outcome written whatever happens.
    pub fn new(watch: Watch, call: OpenCall) -> Self {
        Self { call: Some(call), watch, head: None, capture: None }
    }

    /// Waits for the answer as long as the call may go on.
    pub async fn while_right<T>(&self, answer: impl Future<Output = Result<T, UpstreamError>>) -> Result<T, UpstreamError> {
        // The loser is the request on its way, which the upstream sees broken off, or a watch that has done nothing. The answer is
        // asked first: where it is there already, no watch is set up.
        tokio::select! {
            biased;
            answer = answer => answer,
            why = self.watch.right.clone().over() => Err(UpstreamError::Over(why)),
        }
    }

    /// The intent's place, for a message.
    fn name(&self) -> String {
        let seq = self.call.as_ref().map(|call| call.placed().seq.to_string()).unwrap_or_default();
        self.watch.window.as_ref().map_or(seq.clone(), |window| format!("{window}.{seq}"))
    }

    /// Sends the outcome to the ledger; the receiver resolves when it is on disk.
    fn settle(&mut self, end: &End) -> Option<Written> {
        let call = self.call.take()?;
        let request_body = self.watch.request_body.take().and_then(|seen| self.request_body(&seen));
        Some(call.finish(request_body, self.outcome(end)))
    }

    /// The request body that was still streaming when the intent was written.
    fn request_body(&self, seen: &SharedCapture) -> Option<Draft> {
        let capture = seen.finish()?;
        let mut payload = Payload::new(row_salt());
        let mut fields = self.fields(Kind::RequestBody);
        fields.request_bytes = Some(capture.bytes());
        let labels = self.watch.request_headers.as_ref().map(Labels::of).unwrap_or_default();
        capture.fill(labels, &mut payload);
        Some(Draft::with_payload(fields, &payload))
    }

    fn outcome(&mut self, end: &End) -> Draft {
        let mut fields = self.fields(Kind::Outcome);
        let capture = self.capture.take();
        fields.response_bytes = capture.as_ref().map(Capture::bytes);
        let payload = self.head.take().map(|(status, headers)| {
            let mut payload = Payload::new(row_salt());
            payload.headers = Some(redact::headers(&headers));
            let body = capture.and_then(|capture| capture.fill(Labels::of(&headers), &mut payload));
            let looked_at = body.as_deref().map(|body| body.get(..ANSWER_LOOK_BYTES_MAX).unwrap_or(body));
            let answer = aws::answer(&self.watch.naming, status.as_u16(), &headers, looked_at);
            fields.status = Some(status.as_u16());
            fields.account = answer.account;
            fields.upstream_request_id = answer.request_id;
            fields.error_code = answer.error_code;
            payload
        });
        match end {
            End::Answered => {}
            End::ClientGone => fields.error_code = Some("SealgateClientGone".into()),
            End::Upstream { status, code, why } => {
                fields.status = status.map(|status| status.as_u16()).or(fields.status);
                fields.error_code = Some((*code).into());
                fields.detail = Some(serde_json::json!({ "message": why }).to_string().into());
            }
        }
        match payload {
            Some(payload) => Draft::with_payload(fields, &payload),
            None => Draft::new(fields),
        }
    }

    fn fields(&self, kind: Kind) -> Fields {
        Fields { session: self.watch.session.clone(), duration_us: Some(micros(self.watch.started)), ..Fields::new(kind) }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // The outcome is written without anybody waiting for it: the client is gone.
        drop(self.settle(&End::ClientGone));
    }
}

/// Turns the upstream's answer into the client's, and sees to it that the outcome is on disk before its last byte.
pub async fn observe(
    mut observer: Observer,
    answer: Result<Response<Incoming>, UpstreamError>,
    waits: Waits,
) -> Response<AnswerBody> {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return failed(observer, &error).await,
    };
    let (mut parts, body) = response.into_parts();
    strip_hop_by_hop(&mut parts.headers);
    parts.extensions = http::Extensions::new();
    parts.version = http::Version::default();
    observer.head = Some((parts.status, parts.headers.clone()));
    observer.capture = Some(Capture::new(observer.watch.capture_bytes));
    let length = body.size_hint().exact();
    if let Some(asked) = observer.watch.asked.take() {
        return contained(observer, &asked, parts, body, waits).await;
    }
    let body = if body.is_end_stream() || length.is_some_and(|length| length <= GATHERED_ANSWER_BYTES_MAX) {
        match gather(&mut observer, body, waits.idle).await {
            Ok(body) => body,
            Err(error) => return failed(observer, &error).await,
        }
    } else {
        let over = Over(Box::pin(observer.watch.right.clone().over()));
        let state = State::Streaming { body, left: length, timer: None, over };
        return Response::from_parts(parts, AnswerBody(Inner::Observed(Box::new(Observed { observer, state, idle: waits.idle }))));
    };
    let name = observer.name();
    match written(observer.settle(&End::Answered)).await {
        Ok(()) => Response::from_parts(parts, body),
        Err(error) => reply::error(observer.watch.naming.protocol, &reply::Problem::unrecorded(&error, &name), &name),
    }
}

/// An answer that may hand out a credential is read whole, and what the client gets is known before anything goes out.
async fn contained(
    mut observer: Observer,
    asked: &Asked,
    mut head: http::response::Parts,
    body: Incoming,
    waits: Waits,
) -> Response<AnswerBody> {
    let body = match gather_at_most(&mut observer, body, waits.idle, ISSUING_ANSWER_BYTES_MAX).await {
        Ok(whole) => whole.data.iter().flatten().copied().collect::<Vec<u8>>(),
        Err(error) => return failed(observer, &error).await,
    };
    let gateway = observer.watch.gateway.clone();
    let (name, protocol) = (observer.name(), observer.watch.naming.protocol);
    match contain(&gateway, asked, &mut head, body.into()).await {
        Ok(body) => match written(observer.settle(&End::Answered)).await {
            Ok(()) => Response::from_parts(head, AnswerBody::whole(body)),
            Err(error) => reply::error(protocol, &reply::Problem::unrecorded(&error, &name), &name),
        },
        Err(error) => failed(observer, &UpstreamError::NotContained(error.to_string())).await,
    }
}

/// Reads an answer that is short enough to go out with its head.
async fn gather(observer: &mut Observer, body: Incoming, idle: Duration) -> Result<AnswerBody, UpstreamError> {
    gather_at_most(observer, body, idle, usize::MAX).await.map(|whole| AnswerBody(Inner::Whole(whole)))
}

async fn gather_at_most(observer: &mut Observer, body: Incoming, idle: Duration, bytes_max: usize) -> Result<Whole, UpstreamError> {
    let over = observer.watch.right.clone().over();
    // As in `while_right`.
    tokio::select! {
        biased;
        whole = gathered(observer, body, idle, bytes_max) => whole,
        why = over => Err(UpstreamError::Over(why)),
    }
}

async fn gathered(observer: &mut Observer, mut body: Incoming, idle: Duration, bytes_max: usize) -> Result<Whole, UpstreamError> {
    let (mut whole, mut bytes) = (Whole::default(), 0);
    while !body.is_end_stream() {
        let frame = tokio::time::timeout(idle, body.frame()).await.map_err(|_| UpstreamError::Silent(idle))?;
        let Some(frame) = frame.transpose().map_err(|error| UpstreamError::Failed(error.to_string()))? else { break };
        match frame.into_data() {
            Ok(data) => {
                bytes += data.len();
                if bytes > bytes_max {
                    return Err(UpstreamError::NotContained(format!(
                        "the answer hands out a credential and has more than {bytes_max} bytes"
                    )));
                }
                if let Some(capture) = &mut observer.capture {
                    capture.take(&data);
                }
                whole.data.push_back(data);
            }
            Err(frame) => whole.trailers = frame.into_trailers().ok(),
        }
    }
    Ok(whole)
}

async fn failed(mut observer: Observer, error: &UpstreamError) -> Response<AnswerBody> {
    let problem = reply::Problem::of_upstream(error);
    // What came of the answer is not what the client is told; the record has the gateway's status.
    let end = End::Upstream { status: Some(problem.status), code: problem.record_code, why: error.to_string() };
    let id = observer.name();
    let protocol = observer.watch.naming.protocol;
    match written(observer.settle(&end)).await {
        Ok(()) => reply::error(protocol, &problem, &id),
        Err(error) => reply::error(protocol, &reply::Problem::unrecorded(&error, &id), &id),
    }
}

async fn written(receiver: Option<Written>) -> Result<(), LedgerError> {
    match receiver {
        Some(receiver) => receiver.await.unwrap_or(Err(LedgerError::Stopping)).map(drop),
        None => Ok(()),
    }
}

/// The body of what the client gets.
#[derive(Debug)]
pub struct AnswerBody(Inner);

#[derive(Debug)]
enum Inner {
    Whole(Whole),
    Observed(Box<Observed>),
}

#[derive(Debug, Default)]
struct Whole {
    data: std::collections::VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

/// An answer that streams, with its call.
#[derive(Debug)]
struct Observed {
    observer: Observer,
    state: State,
    idle: Duration,
}

#[derive(Debug)]
enum State {
    /// `left`: bytes until the last one, where the answer says its length.
    Streaming {
        body: Incoming,
        left: Option<u64>,
        timer: Option<Pin<Box<Sleep>>>,
        over: Over,
    },
    /// The answer is complete; `held` goes out when its outcome is on disk.
    Settling {
        written: Written,
        held: Option<Frame<Bytes>>,
        broken: Option<AnswerError>,
    },
    Done,
}

/// Resolves when the call may not go on.
struct Over(Pin<Box<dyn Future<Output = String> + Send>>);

impl std::fmt::Debug for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Over")
    }
}

/// Why an answer was cut: the client sees a broken connection, never a complete answer that is not on record.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The upstream broke off.
    #[error("the upstream's answer broke off: {0}")]
    Upstream(String),
    /// The call may not go on.
    #[error("{0}")]
    Over(String),
    /// The outcome could not be written.
    #[error("the outcome could not be recorded: {0}")]
    Ledger(#[from] LedgerError),
}

impl AnswerBody {
    /// A body in one piece.
    pub fn whole(data: Bytes) -> Self {
        Self(Inner::Whole(Whole { data: [data].into_iter().filter(|data| !data.is_empty()).collect(), trailers: None }))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match &mut self.get_mut().0 {
            Inner::Whole(whole) => Poll::Ready(match whole.data.pop_front() {
                Some(data) => Some(Ok(Frame::data(data))),
                None => whole.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
            }),
            Inner::Observed(observed) => observed.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole(whole) => whole.data.is_empty() && whole.trailers.is_none(),
            Inner::Observed(observed) => matches!(observed.state, State::Done),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(whole) => SizeHint::with_exact(whole.data.iter().map(|data| data.len() as u64).sum()),
            Inner::Observed(observed) => match &observed.state {
                State::Streaming { left: Some(left), .. } => SizeHint::with_exact(*left),
                State::Settling { held: Some(held), .. } => {
                    SizeHint::with_exact(held.data_ref().map_or(0, |data| data.len() as u64))
                }
                State::Done => SizeHint::with_exact(0),
                _ => SizeHint::default(),
            },
        }
    }
}

impl Observed {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        loop {
            match &mut self.state {
                State::Done => return Poll::Ready(None),
                State::Settling { written, held, broken } => {
                    let result = ready!(Pin::new(written).poll(context)).unwrap_or(Err(LedgerError::Stopping));
                    let (held, broken) = (held.take(), broken.take());
                    self.state = State::Done;
                    return Poll::Ready(match (result, broken) {
                        (Err(error), _) => Some(Err(error.into())),
                        (Ok(_), Some(broken)) => Some(Err(broken)),
                        (Ok(_), None) => held.map(Ok),
                    });
                }
                State::Streaming { body, left, timer, over } => {
                    if let Poll::Ready(why) = over.0.as_mut().poll(context) {
                        let end = End::Upstream { status: None, code: "SealgateCut", why: why.clone() };
                        self.hold(&end, None, Some(AnswerError::Over(why)));
                        continue;
                    }
                    let next = match poll_within(body, timer, self.idle, context) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(next) => next,
                    };
                    match take_frame(next, left, &mut self.observer.capture) {
                        Step::Pass(frame) => return Poll::Ready(Some(Ok(frame))),
                        Step::Hold(frame) => self.hold(&End::Answered, frame, None),
                        Step::Broken(why) => {
                            let end = End::Upstream { status: None, code: "SealgateUpstreamBroken", why: why.clone() };
                            self.hold(&end, None, Some(AnswerError::Upstream(why)));
                        }
                    }
                }
            }
        }
    }

    fn hold(&mut self, end: &End, held: Option<Frame<Bytes>>, broken: Option<AnswerError>) {
        self.state = match self.observer.settle(end) {
            Some(written) => State::Settling { written, held, broken },
            None => State::Done,
        };
    }
}

enum Step {
    /// More may come: the frame goes out.
    Pass(Frame<Bytes>),
    /// This is the end: the frame waits for the outcome.
    Hold(Option<Frame<Bytes>>),
    Broken(String),
}

type Next = Option<Result<Frame<Bytes>, String>>;

/// Where the answer says its length, the frame that completes it is its last byte. Where it does not, the end of the
/// stream itself is what tells the client that it has everything, so data passes and the end is held.
fn take_frame(next: Next, left: &mut Option<u64>, capture: &mut Option<Capture>) -> Step {
    let frame = match next {
        None => return Step::Hold(None),
        Some(Err(why)) => return Step::Broken(why),
        Some(Ok(frame)) => frame,
    };
    let Some(data) = frame.data_ref() else { return Step::Hold(Some(frame)) };
    if let Some(capture) = capture {
        capture.take(data);
    }
    match left {
        None => Step::Pass(frame),
        Some(left) => {
            *left = left.saturating_sub(data.len() as u64);
            if *left == 0 { Step::Hold(Some(frame)) } else { Step::Pass(frame) }
        }
    }
}

/// The next frame, or an error when none comes for `idle`. The timer is made only when there is something to wait for.
fn poll_within(body: &mut Incoming, timer: &mut Option<Pin<Box<Sleep>>>, idle: Duration, context: &mut Context<'_>) -> Poll<Next> {
    if let Poll::Ready(next) = Pin::new(body).poll_frame(context) {
        *timer = None;
        return Poll::Ready(next.map(|frame| frame.map_err(|error| error.to_string())));
    }
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
    ready!(timer.as_mut().poll(context));
    Poll::Ready(Some(Err(format!("nothing came for {} s", idle.as_secs()))))
}
