//! A tunnel that the gateway does not open: recorded before it is dialled and when it ends, with the bytes each way.

use crate::{
    egress::opaque::dial,
    exchange::Tunnel,
    interpret::micros,
    ledger::{Draft, LedgerError, OpenCall},
    observe::AnswerBody,
    reply::{self, Problem},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use sealgate_policies::permit::Permit;
use sealgate_schema::record::{Fields, Kind};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Records the tunnel, dials, and leaves a task that copies. The client is told when all three have worked.
pub async fn start(tunnel: Tunnel, permit: Permit, request: Request<Incoming>) -> Response<AnswerBody> {
    let started = Instant::now();
    let gateway = tunnel.gateway.clone();
    let user_agent = request.headers().get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut fields = Fields::new(Kind::Intent);
    tunnel.caller.describe(&mut fields);
    fields.method = Some("CONNECT".into());
    fields.host = Some(tunnel.target.column.clone());
    fields.user_agent = user_agent.map(Into::into);
    fields.access = Some("unknown".into());
    fields.decision = Some("tunnel".into());
    fields.rules = vec![permit.rule().into()];
    let window = match tunnel.caller.window(&gateway) {
        Ok(window) => window,
        Err(error) => return problem(&Problem::of_ledger(&error)),
    };
    let receipt = match gateway.ledger.intend(window, Draft::new(fields), permit).await {
        Ok(receipt) => receipt,
        Err(error) => return problem(&Problem::of_ledger(&error)),
    };
    let (call, dialled) = dial(receipt, &tunnel.target, gateway.config.waits().connect).await;
    match dialled {
        Ok(upstream) => {
            gateway.tasks.spawn(run(tunnel, hyper::upgrade::on(request), upstream, call, started));
            Response::new(AnswerBody::whole(Bytes::new()))
        }
        Err(error) => {
            let fields = Fields { status: Some(502), ..ended(&tunnel, started, Some(&error)) };
            let message = format!("{} can't be reached: {error}", tunnel.target.column);
            match recorded(call, fields).await {
                Ok(()) => problem(&Problem {
                    status: StatusCode::BAD_GATEWAY,
                    code: "BadGateway",
                    record_code: "SealgateUpstreamFailed",
                    message,
                }),
                Err(error) => problem(&Problem::of_ledger(&error)),
            }
        }
    }
}

fn problem(problem: &Problem) -> Response<AnswerBody> {
    reply::plain(problem.status, "text/plain; charset=utf-8", format!("sealgate: {}\n", problem.message).into())
}

/// Copies until either side ends, the session's time is over, or the gateway stops.
async fn run(tunnel: Tunnel, upgrade: OnUpgrade, mut upstream: TcpStream, call: OpenCall, started: Instant) {
    let counts = Arc::new(Counts::default());
    let copied = async {
        let client = upgrade.await.map_err(io::Error::other)?;
        let mut client = Counted { stream: TokioIo::new(client), counts: counts.clone() };
        tokio::io::copy_bidirectional(&mut client, &mut upstream).await
    };
    let cut = |why: &str| io::Error::other(why.to_owned());
    let result = tokio::select! {
        copied = copied => copied.map(drop),
        why = tunnel.gateway.right(tunnel.caller.session.clone(), None).over() => Err(cut(&why)),
        () = tunnel.gateway.stopping.cancelled() => Err(cut("the gateway stopped")),
    };
    let mut fields = ended(&tunnel, started, result.err().as_ref());
    fields.request_bytes = Some(counts.up.load(Ordering::Relaxed));
    fields.response_bytes = Some(counts.down.load(Ordering::Relaxed));
    if let Err(error) = recorded(call, fields).await {
        tracing::error!(%error, "the end of a tunnel could not be recorded");
    }
}

fn ended(tunnel: &Tunnel, started: Instant, error: Option<&io::Error>) -> Fields {
    let mut fields = Fields { duration_us: Some(micros(started)), ..Fields::new(Kind::Outcome) };
    fields.session = tunnel.caller.session.as_ref().map(|session| session.id.clone());
    fields.status = Some(200);
    if let Some(error) = error {
        fields.error_code = Some("SealgateTunnelBroken".into());
        fields.detail = Some(serde_json::json!({ "message": error.to_string() }).to_string().into());
    }
    fields
}

async fn recorded(call: OpenCall, fields: Fields) -> Result<(), LedgerError> {
    call.finish(None, Draft::new(fields)).await.unwrap_or(Err(LedgerError::Stopping)).map(drop)
}

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
}

/// The client's side of a tunnel, counting.
struct Counted<S> {
    stream: S,
    counts: Arc<Counts>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.counts.up.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            self.counts.down.fetch_add(*count as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
