//! The first request of a connection: CONNECT, and what it leads to. Everything refused here is recorded too.

use super::{listener::Place, opaque, open};
use crate::{
    app::Gateway,
    egress::upstream::is_metadata_address,
    exchange::{Target, Tunnel},
    identify::{Caller, CredentialError},
    ledger::Draft,
    observe::AnswerBody,
    principals::Presented,
    refusal, reply,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, uri::Authority};
use hyper::body::Incoming;
use sealgate_policies::{
    hosts::{HostClass, classify},
    permit::{Facts, Permit, Refusal, decide},
    redact,
};
use sealgate_schema::{
    Payload, Text,
    record::{Fields, Kind},
};
use std::{
    convert::Infallible,
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
};

/// Why a connection leads nowhere.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("this is a proxy for HTTPS: it takes CONNECT, and no {0} request")]
    NotConnect(Method),
    #[error("CONNECT needs HOST:PORT")]
    NoTarget,
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    Policy(#[from] Refusal),
}

impl Refused {
    fn answer(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotConnect(_) => (StatusCode::METHOD_NOT_ALLOWED, "SealgateNotConnect", "not-connect"),
            Self::NoTarget => (StatusCode::BAD_REQUEST, "SealgateMalformed", "malformed"),
            Self::Credential(_) => (StatusCode::PROXY_AUTHENTICATION_REQUIRED, "SealgateProxyCredential", "proxy-credential"),
            Self::Policy(refusal) => (StatusCode::FORBIDDEN, "SealgateRefused", refusal.rule()),
        }
    }
}

/// Answers the first request of a connection.
pub async fn first(
    gateway: Arc<Gateway>,
    peer: SocketAddr,
    place: Place,
    certificate: Option<Presented>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let fields = describe(&request, peer);
    let payload = payload(&request);
    let mut caller = None;
    match lead(&gateway, peer, place, certificate.as_ref(), request, &mut caller).await {
        Ok(response) => Ok(response),
        Err(refused) => Ok(refuse(&gateway, caller.as_ref(), fields, payload, &refused).await),
    }
}

async fn lead(
    gateway: &Arc<Gateway>,
    peer: SocketAddr,
    place: Place,
    certificate: Option<&Presented>,
    request: Request<Incoming>,
    known: &mut Option<Caller>,
) -> Result<Response<AnswerBody>, Refused> {
    if *request.method() != Method::CONNECT {
        return Err(Refused::NotConnect(request.method().clone()));
    }
    let target = target(gateway, &request).ok_or(Refused::NoTarget)?;
    let caller = known.insert(Caller::of(gateway, request.headers(), peer, certificate)?).clone();
    if target.class == HostClass::Aws {
        // Whether the session is live is asked for each call, and answered in the shape that the tool reads.
        let tunnel = Arc::new(Tunnel { gateway: gateway.clone(), caller, target, _place: place });
        gateway.tasks.spawn(open::run(tunnel, hyper::upgrade::on(request)));
        return Ok(Response::new(AnswerBody::whole(Bytes::new())));
    }
    let permit = permit(gateway, &caller, &target)?;
    let tunnel = Tunnel { gateway: gateway.clone(), caller, target, _place: place };
    Ok(opaque::start(tunnel, permit, request).await)
}

fn permit(gateway: &Gateway, caller: &Caller, target: &Target) -> Result<Permit, Refusal> {
    decide(&Facts {
        session: caller.session.as_deref(),
        host: target.class,
        now: gateway.clock.now(),
        sessionless: gateway.config.sessionless,
        other_hosts: gateway.config.other_hosts,
    })
}

/// Where the client wants to go, and what kind of host that is. A configured route makes any host one that is opened.
fn target<B>(gateway: &Gateway, request: &Request<B>) -> Option<Target> {
    let mut target = asked(request)?;
    if gateway.upstreams.way(&target.host).1.is_some() {
        target.class = HostClass::Aws;
    }
    Some(target)
}

/// The same by the request alone. Public for the fuzz targets.
#[doc(hidden)]
pub fn asked<B>(request: &Request<B>) -> Option<Target> {
    let authority = request.uri().authority()?;
    let port = authority.port_u16().filter(|port| *port > 0)?;
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty() || authority.as_str().contains('@') {
        return None;
    }
    let plain = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|address| address.parse::<Ipv6Addr>().is_ok())?.to_owned(),
        None => Some(host.clone()).filter(|name| !name.contains(['[', ']']))?,
    };
    let column = if port == 443 { host } else { format!("{host}:{port}") };
    let class = if plain.parse().is_ok_and(is_metadata_address) { HostClass::CloudLike } else { classify(&plain) };
    Some(Target { authority: Authority::try_from(column.as_str()).ok()?, host: plain.into(), column: column.into(), class })
}

/// What the first request says, for a record of its refusal. Public for the fuzz targets.
#[doc(hidden)]
pub fn describe<B>(request: &Request<B>, peer: SocketAddr) -> Fields {
    let mut fields = Fields::new(Kind::Refusal);
    fields.client_addr = Some(peer.to_string().into());
    fields.attribution = Some("none".into());
    fields.method = Some(request.method().as_str().to_owned().into());
    let host = request.uri().authority().map(|authority| authority.as_str().trim_end_matches(":443").to_owned());
    fields.host = host.map(|host| host.rsplit_once('@').map_or(host.clone(), |(_, host)| host.to_owned()).into());
    fields.user_agent =
        request.headers().get(header::USER_AGENT).map(|value| Text::from(String::from_utf8_lossy(value.as_bytes()).into_owned()));
    fields
}

fn payload(request: &Request<Incoming>) -> Payload {
    let mut payload = Payload::new(crate::ledger::row_salt());
    payload.headers = Some(redact::headers(request.headers()));
    payload
}

async fn refuse(
    gateway: &Gateway,
    caller: Option<&Caller>,
    mut fields: Fields,
    payload: Payload,
    refused: &Refused,
) -> Response<AnswerBody> {
    let (status, code, rule) = refused.answer();
    let message = refused.to_string();
    if let Some(caller) = caller {
        caller.describe(&mut fields);
    }
    fields.decision = Some("refuse".into());
    fields.rules = vec![rule.into()];
    fields.status = Some(status.as_u16());
    fields.error_code = Some(code.into());
    fields.detail = Some(serde_json::json!({ "message": message }).to_string().into());
    let draft = || Draft::with_payload(fields.clone(), &payload);
    if let Err(error) = refusal::record(gateway, caller, draft).await {
        let text = format!("sealgate: {error}\n");
        return reply::plain(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", text.into());
    }
    let mut response = reply::plain(status, "text/plain; charset=utf-8", format!("sealgate: {message}\n").into());
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        response.headers_mut().insert(header::PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"sealgate\""));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_hold_an_address_and_nothing_else() {
        let asked = |uri: &str| asked(&Request::connect(uri).body(()).unwrap()).map(|target| (target.host, target.column));
        let pair = |host: &'static str, column: &'static str| Some((Text::Static(host), Text::Static(column)));
        assert_eq!(asked("[FD00:ec2::254]:443"), pair("fd00:ec2::254", "[fd00:ec2::254]"));
        assert_eq!(asked("[::1]:8443"), pair("::1", "[::1]:8443"));
        assert_eq!(asked("STS.amazonaws.com.:443"), pair("sts.amazonaws.com", "sts.amazonaws.com"));
        for nowhere in
            ["[]:8443", "[sts.amazonaws.com]:443", "[example.com.]:443", "[127.0.0.1]:443", "x[]:443", "...:443", "host:0"]
        {
            assert_eq!(asked(nowhere), None, "{nowhere}");
        }
    }
}
