//! One call, from the client's request to the answer. `exchange` is the product in one screen; [`serve`], its one
//! caller, records and answers every refusal.

use crate::{
    app::Gateway,
    egress::{
        body::read_ahead,
        resign::{resign, strip_hop_by_hop},
    },
    identify::Caller,
    ingress::listener::Place,
    interpret::{Sheet, interpret},
    observe::{AnswerBody, Observer, Watch, observe},
    refusal::{Refused, refuse},
};
use http::{HeaderValue, Method, Request, Response, Uri, header, uri::Authority};
use hyper::body::Incoming;
use sealgate_policies::{
    hosts::HostClass,
    permit::{Facts, decide},
};
use sealgate_schema::{Text, record::Kind};
use std::{convert::Infallible, sync::Arc, time::Instant};

/// What a client connection knows once, for all calls on it.
#[derive(Debug)]
pub struct Tunnel {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Who is calling.
    pub caller: Caller,
    /// Host and port that the client asked for with CONNECT.
    pub target: Target,
    /// Its place among the connections.
    pub(crate) _place: Place,
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
    // Before anything is read from them: what the upstream won't see must not name the call.
    strip_hop_by_hop(&mut parts.headers);

    // What is it? Read as much of the body as it takes to name the call, mask, name.
    let ahead = read_ahead(&parts.headers, body, gateway.config.capture_bytes, &gateway.tasks).await?;
    interpret(&parts, &uri, &ahead, gateway.config.capture_bytes, sheet);

    // May it leave?
    let permit = decide(&Facts {
        session: tunnel.caller.session.as_deref(),
        host: tunnel.target.class,
        now: gateway.clock.now(),
        sessionless: gateway.config.sessionless,
        other_hosts: gateway.config.other_hosts,
    })?;

    // Write it down. After this line it is on disk; before it nothing has left.
    let intent = sheet.draft(Kind::Intent, "permit", permit.rule());
    let receipt = gateway.ledger.intend(tunnel.caller.window(gateway)?, intent, permit).await?;

    // Send it, and write down what became of it while the answer streams through.
    let watch = Watch::new(tunnel, sheet, &parts, &ahead);
    let (signed, call) = resign(receipt, parts, uri, ahead.body);
    let observer = Observer::new(watch, call);
    let (upstream, _) = gateway.upstreams.way(&tunnel.target.host);
    let answer = upstream.send(signed).await;
    Ok(observe(observer, answer, upstream.waits()).await)
}

/// Where the request goes: to the host of the tunnel. Every place in which a request can name a host has to name that one:
/// a second `Host` would reach another service than the one on record.
fn destination(tunnel: &Tunnel, request: &Request<Incoming>) -> Result<Uri, Refused> {
    if *request.method() == Method::CONNECT {
        return Err(Refused::Malformed("a tunnel leads to one host: CONNECT within it leads nowhere"));
    }
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
    if !any {
        return Err(Refused::Malformed("the request names no host"));
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder().scheme("https").authority(tunnel.target.authority.clone()).path_and_query(path).build();
    uri.map_err(|_| Refused::Malformed("the request target is not a path"))
}
