//! The way in: the first request of a connection, and the credential in it.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response, header::PROXY_AUTHORIZATION};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sealgate::{identify, ingress::connect as product, limits::HEAD_BYTES_MAX};
use sealgate_policies::hosts::{HostClass, classify};
use std::{cell::Cell, convert::Infallible, io::Cursor, net::SocketAddr};

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime without IO or timers");
}

/// The bytes of a connection, through hyper as the listener sets it up; whether a CONNECT with a place to go was read.
pub(crate) fn connect(data: &[u8]) -> bool {
    let led = Cell::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        led.set(led.get() | check(&request));
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let stream = tokio::io::join(Cursor::new(data.to_vec()), tokio::io::sink());
    let connection = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).serve_connection(TokioIo::new(stream), service);
    // What is no HTTP is an error of the connection, and that is all it is.
    RUNTIME.with(|runtime| drop(runtime.block_on(connection)));
    led.get()
}

/// Host and port are told the same by all that is made of them, and no user or password of a URL is written down.
fn check(request: &Request<Incoming>) -> bool {
    let fields = product::describe(request, SocketAddr::from(([127, 0, 0, 1], 1)));
    assert!(!fields.host.is_some_and(|host| host.contains('@')), "what stands before `@` is a credential");
    for value in request.headers().get_all(PROXY_AUTHORIZATION) {
        proxy_credential(value.as_bytes());
    }
    let Some(target) = product::asked(request) else { return false };
    let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
    assert_eq!(bare(target.authority.host()), target.host.as_str());
    assert_eq!(target.authority.as_str(), target.column.as_str());
    assert_eq!(target.authority.port_u16().unwrap_or(443), request.uri().port_u16().expect("it has one"));
    assert!(!target.host.is_empty() && !target.host.ends_with('.') && !target.host.contains(['@', '/', ' ', '[', ']']));
    assert_eq!(target.column.starts_with('['), target.host.contains(':'), "brackets are for addresses");
    assert!(!target.host.bytes().any(|b| b.is_ascii_uppercase()));
    assert!(target.class == classify(&target.host) || target.class == HostClass::CloudLike);
    true
}

/// A credential that is read is the one that its halves make.
pub(crate) fn proxy_credential(data: &[u8]) -> bool {
    let Some((session, token)) = identify::basic(data) else { return false };
    assert!(!session.contains(':'), "the first colon splits");
    let plain = format!("{session}:{}", *token);
    let again = identify::basic(format!("Basic {}", STANDARD.encode(&plain)).as_bytes()).expect("it is of the right form");
    assert_eq!((again.0, again.1.as_str()), (session, token.as_str()));
    true
}

pub(crate) fn connect_seeds() -> Vec<Vec<u8>> {
    let requests = [
        "CONNECT sts.amazonaws.com:443 HTTP/1.1\r\nHost: sts.amazonaws.com:443\r\nProxy-Authorization: Basic Uy0xOnRva2Vu\r\nUser-Agent: aws-cli/1\r\n\r\n",
        "CONNECT [fd00:ec2::254]:8443 HTTP/1.1\r\nHost: [fd00:ec2::254]:8443\r\n\r\n",
        "CONNECT 169.254.169.254:80 HTTP/1.0\r\n\r\n",
        "CONNECT Example.COM.:8443 HTTP/1.1\r\nHost: x\r\n\r\nCONNECT second.example:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    requests.map(|request| request.as_bytes().to_vec()).into()
}

pub(crate) fn credential_seeds() -> Vec<Vec<u8>> {
    [&b"Basic Uy0xOnRva2Vu"[..], b"basic  Uy0xOnRva2VuOndpdGg6Y29sb25z ", b"BASIC Og=="].map(<[u8]>::to_vec).into()
}
