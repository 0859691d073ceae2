//! One call, from the client's request to the answer. `exchange` is the product in one screen; [`serve`], its one
//! caller, records and answers every refusal.

use crate::{
    app::Gateway,
    egress::{
        body::{Ahead, read_ahead},
        resign::{Outgoing, Signing, mark, resign, strip_hop_by_hop},
    },
    identify::{
        Caller,
        signer::{Signer, system_time},
    },
    ingress::listener::Place,
    interpret::{Sheet, interpret},
    observe::{AnswerBody, Observer, Watch, observe},
    refusal::{Refused, refuse},
    sigv4::Proof,
};
use http::{HeaderValue, Method, Request, Response, Uri, header, request::Parts, uri::Authority};
use hyper::body::Incoming;
use sealgate_policies::{
    hosts::HostClass,
    permit::{Facts, decide},
};
use sealgate_schema::{Text, record::Kind};
use std::{convert::Infallible, sync::Arc, time::Instant};

/// What a client connection knows once, for all calls on it; in endpoint mode, what one call knows.
#[derive(Debug)]
pub struct Tunnel {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Who is calling.
    pub caller: Caller,
    /// Host and port that the client means.
    pub target: Target,
    /// How the client came to mean it.
    pub way: Way,
    /// Its place among the connections.
    pub(crate) _place: Place,
}

/// How a client's calls come here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By CONNECT to the cloud's host, whose name stands in every call.
    Proxy,
    /// As if the gateway were the cloud: the call names the gateway, and leaves with this path instead of its own.
    Endpoint {
        /// Path without the part that named the host.
        path: String,
    },
}

/// Where a tunnel leads.
#[derive(Debug, Clone)]
pub struct Target {
    /// Host name, lower case.
    pub host: Text,
    /// As in the `host` column: with the port unless it is 443.
    pub column: Text,
    /// As in request URIs.
    pub authority: Authority,
    /// What kind of host it is.
    pub class: HostClass,
}

/// Answers one call, whatever becomes of it.
pub async fn serve(tunnel: Arc<Tunnel>, request: Request<Incoming>) -> Result<Response<AnswerBody>, Infallible> {
    let mut sheet = Sheet::new(&tunnel, &request, Instant::now());
    match exchange(&tunnel, request, &mut sheet).await {
        Ok(answer) => Ok(answer),
        Err(refused) => Ok(refuse(&tunnel, sheet, refused).await),
    }
}

/// The journey of one call. `sheet` gathers what is known of it, so that a refusal at any step is recorded with it.
async fn exchange(tunnel: &Tunnel, request: Request<Incoming>, sheet: &mut Sheet) -> Result<Response<AnswerBody>, Refused> {
    let gateway = &tunnel.gateway;
    let uri = destination(tunnel, &request)?;
    let (mut parts, body) = request.into_parts();

    // Who signed it, and what is it? Read as much of the body as these two take, mask, name.
    let signer = Signer::of(gateway, &parts);
    let capture_bytes = gateway.capture_bytes(signer.session().or(tunnel.caller.session.as_ref()).map(|session| &**session));
    let ahead = read_ahead(&parts.headers, body, signer.needs(), capture_bytes, gateway).await?;
    let now = gateway.clock.now();
    // The signature covers what the client sent; what the upstream won't see of that must not name the call.
    let proven = attribute(tunnel, &signer, &parts, &ahead, now);
    strip_hop_by_hop(&mut parts.headers);
    interpret(&parts, &uri, &ahead, capture_bytes, sheet);

    // Whose call does that make it?
    let proof = proven?;
    sheet.attribute(&signer, proof.as_ref());

    // May it leave, and signed with what?
    let permit = decide(&Facts {
        session: sheet.caller().session.as_deref(),
        credential: signer.facts(sheet.naming().credential.as_deref(), &gateway.config, now)?,
        host: tunnel.target.class,
        now,
        sessionless: gateway.config.sessionless,
        other_hosts: gateway.config.other_hosts,
    })?;
    let real = signer.real(gateway).await?;

    // Write it down. After this line it is on disk; before it nothing has left.
    let intent = sheet.draft(Kind::Intent, "permit", permit.rule());
    let receipt = gateway.ledger.intend(sheet.caller().window(gateway)?, intent, permit).await?;

    // Sign it, send it, and write down what became of it while the answer streams through.
    let watch = Watch::new(tunnel, sheet, &signer, &parts, &ahead, capture_bytes);
    let mark = if gateway.config.upstream.mark { mark(sheet.caller(), receipt.placed()) } else { None };
    let signing = proof.zip(real).map(|(proof, real)| Signing { proof, real, now: system_time(now) });
    let (signed, call) = resign(receipt, Outgoing { parts, uri, body: ahead.body, mark }, signing);
    let observer = Observer::new(watch, call);
    let (upstream, _) = gateway.upstreams.way(&tunnel.target.host);
    let answer = match signed {
        Ok(signed) => observer.while_right(upstream.send(signed)).await,
        Err(error) => Err(error.into()),
    };
    Ok(observe(observer, answer, upstream.waits()).await)
}

/// Whose call it is: that of the credential which signed it, where that knows its session, else its connection's. What is said
/// of the signature is true from here on.
fn attribute(tunnel: &Tunnel, signer: &Signer, parts: &Parts, ahead: &Ahead, now: i64) -> Result<Option<Proof>, Refused> {
    if let (Some(connection), Some(session)) = (&tunnel.caller.session, signer.session())
        && connection.id != session.id
    {
        return Err(Refused::OtherSession { connection: connection.id.to_string(), signer: session.id.to_string() });
    }
    if tunnel.way != Way::Proxy && signer.credential().is_none() {
        return Err(Refused::EndpointSigner(if matches!(signer, Signer::Nobody) { "not signed" } else { "signed with another" }));
    }
    let body = ahead.streaming.is_none().then_some(&*ahead.bytes);
    Ok(signer.prove(parts, body, now)?)
}

/// Where the request goes: to the host of the tunnel. Every place in which a request can name a host has to name that one:
/// a second `Host` would reach another service than the one on record. In endpoint mode they name the gateway.
fn destination(tunnel: &Tunnel, request: &Request<Incoming>) -> Result<Uri, Refused> {
    if *request.method() == Method::CONNECT {
        return Err(Refused::Malformed("a tunnel leads to one host: CONNECT within it leads nowhere"));
    }
    let asked = request.uri();
    let path = match &tunnel.way {
        Way::Proxy => {
            names_one_host(tunnel, request)?;
            asked.path_and_query().map_or("/", |path| path.as_str()).to_owned()
        }
        Way::Endpoint { path } => asked.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}")),
    };
    let uri = Uri::builder().scheme("https").authority(tunnel.target.authority.clone()).path_and_query(path).build();
    uri.map_err(|_| Refused::Malformed("the request target is not a path"))
}

fn names_one_host(tunnel: &Tunnel, request: &Request<Incoming>) -> Result<(), Refused> {
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let named = authority.into_iter().chain(request.headers().get_all(header::HOST).iter().map(HeaderValue::as_bytes));
    let (mut any, host) = (false, &tunnel.target.host);
    for name in named {
        any = true;
        // A user and password in front of the host are nobody's business, and would be written down with it.
        let named = Authority::try_from(name).ok().filter(|name| !name.as_str().contains('@'));
        let named = named.ok_or(Refused::Malformed("the host in the request is not HOST or HOST:PORT"))?;
        if !named.host().trim_matches(['[', ']']).eq_ignore_ascii_case(host) {
            return Err(Refused::WrongHost { tunnel: host.to_string(), request: named.host().to_owned() });
        }
    }
    if any { Ok(()) } else { Err(Refused::Malformed("the request names no host")) }
}
