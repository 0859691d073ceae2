//! A request body that is checked while it streams, and whose end is held back until all of it fits.

use super::{
    chain::Chains, chunked::Chunks, error::BodyFault, events::Events, payload::PayloadMode, resign::Resigned, verify::Proof,
};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The body of a request whose signature was checked, as it goes on: each byte that comes out fits, and the last of them come
/// out when all do. After a fault it gives that fault forever; never an end.
#[derive(Debug)]
pub struct CheckedBody<B> {
    inner: B,
    check: Check,
    /// What would go out next. It waits for more, or for the end: a server that has all bytes that it was promised does not
    /// ask whether there was an end.
    held: Option<Bytes>,
    /// What goes out.
    ready: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    ended: bool,
    fault: Option<BodyFault>,
}

#[derive(Debug)]
enum Check {
    /// The signature says nothing of the body, or the body was checked as a whole.
    Nothing,
    /// A whole body against its hash.
    Hash {
        expected: [u8; 32],
        hasher: Sha256,
    },
    Chunks(Box<Chunks>),
    Events(Box<Events>),
}

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError<E> {
    /// The client's body could not be read.
    #[error(transparent)]
    Client(E),
    /// It is not what the client signed.
    #[error(transparent)]
    Fault(#[from] BodyFault),
}

impl<B: Body<Data = Bytes> + Unpin> CheckedBody<B> {
    /// A body under a proof. Fails at once where the body is empty and may not be: a client of HTTP does not read an empty
    /// body.
    pub fn new(inner: B, proof: &Proof, resigned: Resigned) -> Result<Self, BodyFault> {
        let chains = |real: Resigned| Chains { client: proof.chain.clone(), real: real.chain };
        let check = match proof.claim.payload {
            PayloadMode::Declared(_) if proof.body_checked => Check::Nothing,
            PayloadMode::Declared(hash) => Check::Hash { expected: hash, hasher: Sha256::new() },
            PayloadMode::Chunked { signed, trailer } => {
                let chains = signed.then(|| chains(resigned));
                Check::Chunks(Box::new(Chunks::new(chains, trailer, proof.claim.decoded_length)))
            }
            PayloadMode::Events => Check::Events(Box::new(Events::new(chains(resigned)))),
            PayloadMode::Undeclared | PayloadMode::Unsigned => Check::Nothing,
        };
        let mut body = Self { inner, check, held: None, ready: VecDeque::new(), trailers: None, ended: false, fault: None };
        if body.inner.is_end_stream() {
            body.end()?;
        }
        Ok(body)
    }

    /// The body that is checked.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), BodyFault> {
        match frame.into_data() {
            Ok(data) => {
                let checked = self.check.push(data)?;
                let held = match (&self.check, checked) {
                    (Check::Nothing | Check::Events(_), checked) => checked,
                    (_, None) => None,
                    (_, Some(checked)) => self.held.replace(checked),
                };
                self.ready.extend(held);
            }
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
        if self.inner.is_end_stream() { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), BodyFault> {
        let last = self.check.end()?;
        self.ready.extend(self.held.take());
        self.ready.extend(last);
        self.ended = true;
        Ok(())
    }

    /// Nothing goes out after a fault.
    fn fail(&mut self, fault: BodyFault) -> BodyError<B::Error> {
        (self.fault, self.held) = (Some(fault), None);
        fault.into()
    }
}

impl Check {
    fn push(&mut self, data: Bytes) -> Result<Option<Bytes>, BodyFault> {
        match self {
            Self::Nothing => Ok(Some(data)),
            Self::Hash { hasher, .. } => {
                hasher.update(&data);
                Ok((!data.is_empty()).then_some(data))
            }
            Self::Chunks(chunks) => chunks.push(&data),
            Self::Events(events) => events.push(&data),
        }
    }

    fn end(&mut self) -> Result<Option<Bytes>, BodyFault> {
        match self {
            Self::Nothing => Ok(None),
            Self::Hash { expected, hasher } => {
                let hash: [u8; 32] = std::mem::take(hasher).finalize().into();
                if hash == *expected { Ok(None) } else { Err(BodyFault::Hash) }
            }
            Self::Chunks(chunks) => chunks.end().map(Some),
            Self::Events(events) => events.end().map(|()| None),
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Nothing | Self::Hash { .. } => 0,
            Self::Chunks(chunks) => chunks.held(),
            Self::Events(events) => events.held(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for CheckedBody<B> {
    type Data = Bytes;
    type Error = BodyError<B::Error>;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(fault) = this.fault {
            return Poll::Ready(Some(Err(this.fail(fault))));
        }
        loop {
            if let Some(data) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if this.ended {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let step = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => this.take(frame),
                Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Client(error)))),
                None => this.end(),
            };
            if let Err(fault) = step {
                return Poll::Ready(Some(Err(this.fail(fault))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.fault.is_none() && self.ready.is_empty() && self.trailers.is_none()
    }

    /// What comes in goes out, as long as it was.
    fn size_hint(&self) -> SizeHint {
        let out: usize = self.ready.iter().chain(&self.held).map(Bytes::len).sum();
        let (held, hint) = ((self.check.held() + out) as u64, self.inner.size_hint());
        let mut sum = SizeHint::new();
        sum.set_lower(hint.lower().saturating_add(held));
        if let Some(upper) = hint.upper() {
            sum.set_upper(upper.saturating_add(held));
        }
        sum
    }
}
