//! Endpoint mode: a tool that can't use a proxy or a CA is given the gateway's own address as its endpoint. The same exchange,
//! with the host made of what the call signed ([`sealgate_policies::endpoint`]). Only calls that are signed with a session's own
//! credential come through: the signature is all that says whose they are.

use super::listener::Place;
use crate::{
    app::Gateway,
    broker::deliver,
    exchange::{self, Target, Tunnel, Way},
    identify::Caller,
    interpret::Sheet,
    observe::AnswerBody,
    refusal::{Refused, refuse},
    sigv4,
};
use http::{HeaderMap, Request, Response, Uri, header, request::Parts, uri::Authority};
use hyper::body::Incoming;
use sealgate_policies::{
    endpoint::{Endpoint, endpoint},
    hosts::{HostClass, classify},
};
use std::{net::SocketAddr, sync::Arc, time::Instant};

/// Answers one request that names the gateway itself.
pub async fn serve(gateway: Arc<Gateway>, peer: SocketAddr, place: Place, request: Request<Incoming>) -> Response<AnswerBody> {
    if request.uri().path() == deliver::CREDENTIALS_PATH {
        return deliver::container_credentials(&gateway, &request, peer).await;
    }
    let asked = asked(request.headers());
    let caller = Caller { session: None, tie: "none", address: peer.to_string().into() };
    let (parts, body) = request.into_parts();
    match find(&gateway, &asked, &parts) {
        Ok((target, path)) => {
            let tunnel = Tunnel { gateway, caller, target, way: Way::Endpoint { path }, _place: place };
            let Ok(answer) = exchange::serve(Arc::new(tunnel), Request::from_parts(parts, body)).await;
            answer
        }
        Err(refused) => {
            let target = itself(&asked);
            let tunnel = Tunnel { gateway, caller, target, way: Way::Proxy, _place: place };
            let sheet = Sheet::new(&tunnel, &Request::from_parts(parts, ()), Instant::now());
            refuse(&tunnel, sheet, refused).await
        }
    }
}

/// The cloud's host, and the path there.
fn find(gateway: &Gateway, asked: &str, parts: &Parts) -> Result<(Target, String), Refused> {
    let claim = sigv4::read(parts)?;
    let claim = claim.ok_or(Refused::EndpointSigner("not signed"))?;
    let Endpoint { host, path } = endpoint(asked, parts.uri.path(), claim.service(), claim.region())?;
    let authority = Authority::try_from(host.as_str()).map_err(|_| Refused::Malformed("the host is no host name"))?;
    let class = if gateway.upstreams.way(&host).1.is_some() { HostClass::Aws } else { classify(&host) };
    Ok((Target { host: host.clone().into(), column: host.into(), authority, class }, path))
}

/// The host that the client spoke to, without a port.
fn asked(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let uri = host.parse::<Uri>().ok();
    uri.as_ref().and_then(Uri::host).unwrap_or_default().to_ascii_lowercase()
}

/// What stands in the record of a refusal before there is a cloud host: the gateway as the client named it.
fn itself(asked: &str) -> Target {
    let authority = Authority::try_from(asked).unwrap_or_else(|_| Authority::from_static("localhost"));
    Target { host: asked.to_owned().into(), column: asked.to_owned().into(), authority, class: HostClass::Other }
}
