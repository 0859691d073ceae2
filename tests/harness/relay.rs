//! A relay before a remote party, which fails on command in the forms that matter: failed and lost (it was never asked),
//! failed but kept (it did as asked, and its answer was lost), silent, and answers of somebody else.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It is passed on, and so is the answer.
    Passed,
    /// It never arrives; the connection ends.
    Lost,
    /// It arrives; the answer does not.
    Kept,
    /// It never arrives, and nothing is said.
    Silent,
    /// It never arrives; this is said in its place.
    Answered(StatusCode, Vec<u8>),
}

#[derive(Debug)]
struct Plan {
    next: VecDeque<Fate>,
    then: Fate,
    requests: usize,
}

/// A running relay. It ends with its runtime.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
}

impl Relay {
    /// Starts one before `to`, which passes everything on.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plan = Arc::new(Mutex::new(Plan { next: VecDeque::new(), then: Fate::Passed, requests: 0 }));
        let relay = Self { address: listener.local_addr().unwrap(), plan };
        let serving = relay.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let relay = serving.clone();
                let service = service_fn(move |request| relay.clone().answer(to, request));
                let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A connection that a fate ends ends with an error.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        relay
    }

    /// From now on: these fates one after the other, then always `then`.
    pub fn plan(&self, next: impl IntoIterator<Item = Fate>, then: Fate) {
        let mut plan = self.plan.lock().unwrap();
        (plan.next, plan.then) = (next.into_iter().collect(), then);
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.plan.lock().unwrap().requests
    }

    /// `http://` and where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn answer(self, to: SocketAddr, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let fate = {
            let mut plan = self.plan.lock().unwrap();
            plan.requests += 1;
            plan.next.pop_front().unwrap_or(plan.then.clone())
        };
        let lost = || Err(io::Error::other("lost"));
        match fate {
            Fate::Passed => pass(to, request).await,
            Fate::Lost => lost(),
            Fate::Kept => pass(to, request).await.and_then(|_| lost()),
            Fate::Silent => std::future::pending().await,
            Fate::Answered(status, body) => {
                let mut response = Response::new(Full::from(body));
                *response.status_mut() = status;
                Ok(response)
            }
        }
    }
}

async fn pass(to: SocketAddr, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let stream = TcpStream::connect(to).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await.map_err(io::Error::other)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Response::from_parts(head, Full::new(body)))
}
