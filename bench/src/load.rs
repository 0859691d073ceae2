//! The load: connections as SDKs make them, calls on them one after the other, and how long each took.

use crate::{Result, tls::HOSTS, upstream};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings},
    sign::v4,
};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::TlsConnector;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// A small answer.
    Get,
    /// A form of some hundred bytes, as STS gets it; a small answer.
    Post,
    /// 1 MiB.
    Large,
    /// An answer that begins and has no end.
    Endless,
}

/// How a row reaches the upstream.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// The proxy, or the upstream itself.
    pub(crate) address: SocketAddr,
    /// Value of `Proxy-Authorization`; `None` where there is no proxy.
    pub(crate) credential: Option<String>,
    /// Trusts whoever answers there.
    pub(crate) tls: Arc<ClientConfig>,
    /// What calls are signed with, where the signature is checked.
    pub(crate) key: Option<Credentials>,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Signed once: the same request as often as it is sent, which a signature allows for a quarter of an hour.
    request: Request<Full<Bytes>>,
}

impl Way {
    /// Opens a connection for calls of this kind: TCP, CONNECT, TLS.
    pub(crate) async fn open(&self, call: Call) -> Result<Connection> {
        let host = call.host();
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        if let Some(credential) = &self.credential {
            connect(&mut stream, host, credential).await?;
        }
        let stream = TlsConnector::from(self.tls.clone()).connect(ServerName::try_from(host)?, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends when its sender is dropped; what breaks it is told to the call that was on it.
        tokio::spawn(connection);
        Ok(Connection { sender, request: call.request(self.key.as_ref())? })
    }

    /// Opens a connection with an answer on it that has no end, and reads its first bytes.
    pub(crate) async fn stream(&self) -> Result<Stream> {
        let mut connection = self.open(Call::Endless).await?;
        let response = connection.sender.send_request(connection.request.clone()).await?;
        let (status, mut body) = (response.status(), response.into_body());
        match body.frame().await {
            Some(frame) if status == StatusCode::OK => drop(frame?),
            _ => return Err(format!("a stream began with status {status}").into()),
        }
        Ok(Stream { body, _connection: connection })
    }

    /// Opens several.
    pub(crate) async fn open_all(&self, call: Call, count: usize) -> Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(self.open(call).await?);
        }
        Ok(connections)
    }
}

async fn connect(stream: &mut TcpStream, host: &str, credential: &str) -> Result<()> {
    let head = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nProxy-Authorization: {credential}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    while !answer.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("the proxy closed the connection before it answered CONNECT".into());
        }
    }
    if answer.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(format!("CONNECT: {}", String::from_utf8_lossy(&answer)).into()) }
}

impl Call {
    fn host(self) -> &'static str {
        let [small, large] = HOSTS;
        if matches!(self, Self::Large | Self::Endless) { large } else { small }
    }

    /// Signed as an SDK signs: with a key where there is one, else so that nobody may check it.
    fn request(self, key: Option<&Credentials>) -> Result<Request<Full<Bytes>>> {
        const FORM: &str = "Action=GetAccessKeyInfo&Version=2011-06-15&AccessKeyId=AKIAIOSFODNN7EXAMPLE&Padding=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole";
        let (method, path, service, body) = match self {
            Self::Get => ("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "sts", ""),
            Self::Post => ("POST", "/", "sts", FORM),
            Self::Large => ("GET", "/large/object", "s3", ""),
            Self::Endless => ("GET", "/endless/object", "s3", ""),
        };
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/us-east-1/{service}/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.host())
            .header("user-agent", "aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.13.7")
            .header("x-amz-date", "20261124T000000Z")
            .header("authorization", authorization)
            .header("amz-sdk-invocation-id", "0f6a9d5e-36a3-4c3a-8d53-25a0b3a3f2b1");
        if !body.is_empty() {
            request = request.header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        }
        let mut request = request.body(Full::new(Bytes::from_static(body.as_bytes())))?;
        if let Some(key) = key {
            sign(&mut request, key, service, body.as_bytes())?;
        }
        Ok(request)
    }
}

/// Signs a request as the SDKs do: S3 declares its payload unsigned, all others cover the body.
fn sign(request: &mut Request<Full<Bytes>>, key: &Credentials, service: &str, body: &[u8]) -> Result<()> {
    const HEADERS: [&str; 2] = ["content-type", "host"];
    for replaced in ["authorization", "x-amz-date"] {
        request.headers_mut().remove(replaced);
    }
    let (identity, s3) = (key.clone().into(), service == "s3");
    let mut settings = SigningSettings::default();
    if s3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let parameters = v4::SigningParams::builder().identity(&identity).region("us-east-1").name(service);
    let parameters = parameters.time(SystemTime::now()).settings(settings).build()?.into();
    let named = |name: &'static str| Some((name, request.headers().get(name)?.to_str().ok()?));
    let fields: Vec<(&str, &str)> = HEADERS.into_iter().filter_map(named).collect();
    let host = fields.iter().find(|(name, _)| *name == "host").map_or("", |(_, host)| host);
    let uri = format!("https://{host}{}", request.uri());
    let payload = if s3 { SignableBody::UnsignedPayload } else { SignableBody::Bytes(body) };
    let signable = SignableRequest::new(request.method().as_str(), uri, fields.into_iter(), payload)?;
    let (instructions, _) = aws_sigv4::http_request::sign(signable, &parameters)?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

/// An answer that is being read. Its connection lives as long as it does.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) body: Incoming,
    _connection: Connection,
}

impl Connection {
    /// One call, its answer read to the end.
    pub(crate) async fn call(&mut self, call: Call) -> Result<()> {
        self.sender.ready().await?;
        let response = self.sender.send_request(self.request.clone()).await?;
        let (status, mut body, mut bytes) = (response.status(), response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        let whole = if call == Call::Large { bytes == upstream::LARGE_BYTES } else { bytes > 1_000 };
        if status == StatusCode::OK && whole {
            Ok(())
        } else {
            Err(format!("an answer with status {status} and {bytes} bytes").into())
        }
    }
}

/// Nanoseconds of each call.
pub(crate) type Latencies = Vec<u64>;

/// Calls on all connections at once, on each one after the other, for so long. The connections come back.
pub(crate) async fn keep_alive(connections: Vec<Connection>, call: Call, span: Duration) -> Result<(Vec<Connection>, Latencies)> {
    let end = Instant::now() + span;
    let mut clients = JoinSet::new();
    for mut connection in connections {
        clients.spawn(async move {
            let mut latencies = Latencies::new();
            while Instant::now() < end {
                let start = Instant::now();
                connection.call(call).await?;
                latencies.push(nanoseconds(start));
            }
            Result::Ok((connection, latencies))
        });
    }
    let (mut connections, mut latencies) = (Vec::new(), Latencies::new());
    while let Some(client) = clients.join_next().await {
        let (connection, more) = client??;
        connections.push(connection);
        latencies.extend(more);
    }
    Ok((connections, latencies))
}

/// New connections with one call on each, so many at a time, for so long.
pub(crate) async fn connections(way: &Way, clients: usize, span: Duration) -> Result<Latencies> {
    let end = Instant::now() + span;
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let way = way.clone();
        tasks.spawn(async move {
            let mut latencies = Latencies::new();
            while Instant::now() < end {
                let start = Instant::now();
                way.open(Call::Get).await?.call(Call::Get).await?;
                latencies.push(nanoseconds(start));
            }
            Result::Ok(latencies)
        });
    }
    let mut latencies = Latencies::new();
    while let Some(client) = tasks.join_next().await {
        latencies.extend(client??);
    }
    Ok(latencies)
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
