//! The AWS SDK's calls for credentials, over the gateway's own connections: the same routes and CAs as upstream calls, plain HTTP
//! for what is only on this machine or its link. Proxies in the environment are not looked at: one of them may be this gateway.

use crate::{
    config::Route,
    egress::upstream::{Dial, Upstreams, is_metadata_address},
    limits::{IDLE_REMOTE_WAIT, SOURCE_ANSWER_BYTES_MAX, SOURCE_ANSWER_WAIT},
};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::Response,
};
use aws_smithy_types::body::SdkBody;
use http::{Request, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::{TokioExecutor, TokioTimer},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// The client of all sources. Cloning shares its connections.
#[derive(Debug, Clone)]
pub(super) struct OwnClient {
    ways: Arc<[Way]>,
    /// Where the gateway itself listens: a call there would wait for itself.
    own: Arc<[SocketAddr]>,
}

#[derive(Debug)]
struct Way {
    route: Option<Route>,
    secure: Client<HttpsConnector<Dial>, SdkBody>,
    plain: Client<Dial, SdkBody>,
}

impl OwnClient {
    pub(super) fn new(upstreams: &Upstreams, own: &[SocketAddr]) -> Self {
        let ways = upstreams.ways().map(|(route, upstream)| {
            let (secure, plain) = upstream.connectors();
            Way { route: route.cloned(), secure: client(secure.clone()), plain: client(plain.clone()) }
        });
        Self { ways: ways.collect(), own: own.into() }
    }

    async fn send(&self, request: HttpRequest, wait: Duration) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let way = self.way(request.uri()).map_err(|why| ConnectorError::user(why.into()))?;
        let is_plain = request.uri().scheme_str() == Some("http");
        let answer = async {
            match is_plain {
                true => answer(&way.plain, request).await,
                false => answer(&way.secure, request).await,
            }
        };
        let late = |_| ConnectorError::timeout(format!("no answer within {} s", wait.as_secs_f32()).into());
        tokio::time::timeout(wait, answer).await.map_err(late)?
    }

    fn way(&self, uri: &Uri) -> Result<&Way, String> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if self.is_own(host, uri.port_u16()) {
            return Err(format!("{uri} is the gateway itself: unset AWS_ENDPOINT_URL in its environment and profiles"));
        }
        let fits = |way: &&Way| way.route.as_ref().is_none_or(|route| route.matches(host));
        let way = self.ways.iter().find(fits).ok_or_else(|| format!("there is no way to {host}"))?;
        match uri.scheme_str() {
            Some("http") if way.route.is_none() && !is_near(host) => {
                Err(format!("http://{host} is neither on this machine nor on its link: use https"))
            }
            _ => Ok(way),
        }
    }

    fn is_own(&self, host: &str, port: Option<u16>) -> bool {
        let address = if host.eq_ignore_ascii_case("localhost") { Some(IpAddr::from([127, 0, 0, 1])) } else { host.parse().ok() };
        let same = |own: &SocketAddr, ip: IpAddr| own.ip() == ip || own.ip().is_unspecified() && ip.is_loopback();
        address.is_some_and(|ip| self.own.iter().any(|own| Some(own.port()) == port && same(own, ip)))
    }
}

/// Whether what is sent there in the clear stays on this machine or its link.
fn is_near(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback() || is_metadata_address(ip))
}

fn client<C: Connect + Clone>(connector: C) -> Client<C, SdkBody> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_REMOTE_WAIT)
        .pool_max_idle_per_host(1)
        .build(connector)
}

async fn answer<C>(client: &Client<C, SdkBody>, request: Request<SdkBody>) -> Result<HttpResponse, ConnectorError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let response = client.request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, SOURCE_ANSWER_BYTES_MAX).collect().await.map_err(ConnectorError::io)?.to_bytes();
    Response::try_from(http::Response::from_parts(head, SdkBody::from(body)))
        .map_err(|error| ConnectorError::other(error.into(), None))
}

impl HttpClient for OwnClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // Who asks bounds the connection and the answer apart; here the whole exchange is.
        let wait = match (settings.connect_timeout(), settings.read_timeout()) {
            (Some(connect), Some(read)) => connect.saturating_add(read).min(SOURCE_ANSWER_WAIT),
            _ => SOURCE_ANSWER_WAIT,
        };
        SharedHttpConnector::new(OwnConnector { client: self.clone(), wait })
    }
}

#[derive(Debug)]
struct OwnConnector {
    client: OwnClient,
    wait: Duration,
}

impl HttpConnector for OwnConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, wait) = (self.client.clone(), self.wait);
        HttpConnectorFuture::new(async move { client.send(request, wait).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::upstream::Waits;

    fn client() -> OwnClient {
        let second = Duration::from_secs(1);
        let route = Route { host: "routed.example".into(), to: "127.0.0.1:1".into(), ca: None };
        let upstreams = Upstreams::new(&[route], Waits { connect: second, answer: second, idle: second }).unwrap();
        OwnClient::new(&upstreams, &["127.0.0.1:7300".parse().unwrap(), "0.0.0.0:7301".parse().unwrap()])
    }

    #[test]
    fn a_secret_goes_out_in_the_clear_only_to_what_is_near_or_routed() {
        let client = client();
        for (url, goes) in [
            ("https://sts.amazonaws.com/", true),
            ("http://169.254.169.254/latest", true),
            ("http://169.254.170.2/v2", true),
            ("http://[fd00:ec2::254]/latest", true),
            ("http://127.0.0.1:9/x", true),
            ("http://localhost:9/x", true),
            ("http://routed.example/x", true),
            ("http://sts.amazonaws.com/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(client.way(&url.parse().unwrap()).is_ok(), goes, "{url}");
        }
    }

    #[test]
    fn the_gateway_never_calls_itself() {
        let client = client();
        for url in ["http://127.0.0.1:7300/", "https://localhost:7300/", "http://127.0.0.1:7301/", "http://[::1]:7301/"] {
            let error = client.way(&url.parse().unwrap()).map(drop).unwrap_err();
            assert!(error.contains("AWS_ENDPOINT_URL"), "{url}: {error}");
        }
    }
}
