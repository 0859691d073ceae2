//! The environment that brings a tool's traffic here: the proxy and the CA in every variable that tools look at, or the gateway as
//! the endpoint; and the session's own AWS credential, in place of any other.

use crate::{
    admin::api::{AskEnvironment, Environment, GivenCredentials},
    app::Gateway,
    broker::{Delivery, deliver::CREDENTIALS_PATH},
    sessions::SessionError,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sealgate_policies::{
    endpoint::{SIBLINGS, TO},
    session::Session,
};
use std::{path::Path, sync::Arc};

/// Variables that name a file of trusted roots. Each of these tools looks only at its own.
const CA_VARIABLES: [&str; 13] = [
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "HTTPLIB2_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NIX_SSL_CERT_FILE",
    "DENO_CERT",
];
/// Local addresses, and the metadata services: those are the tool's own machine.
const NO_PROXY: &str = "localhost,127.0.0.1,::1,169.254.169.254,169.254.170.2,fd00:ec2::254";

/// The access key, and where SDKs renew it: one of both is set, the other must not be.
const KEY_VARIABLES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
const ENDPOINT_VARIABLES: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];
/// What would bring in another credential: JavaScript's SDK puts a profile before keys, others a role before the endpoint.
const OTHER_CREDENTIALS: [&str; 9] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// What to set and what to unset, in the order to print. `by` is who gets it: a credential in it is on record.
pub async fn environment(
    gateway: &Gateway,
    session: &Arc<Session>,
    asked: &AskEnvironment,
    by: &str,
) -> Result<Environment, SessionError> {
    let mut environment = Environment::default();
    environment.set("SEALGATE_SESSION", &session.id);
    match asked.endpoint {
        true => environment.endpoint(gateway),
        false => environment.proxy(gateway, &session.id),
    }
    match asked.credentials {
        GivenCredentials::Keys => environment.keys(gateway, session, by).await?,
        GivenCredentials::Renewed => environment.renewed(gateway, &session.id)?,
        GivenCredentials::None => {}
    }
    Ok(environment)
}

impl Environment {
    fn set(&mut self, name: &str, value: &str) {
        self.set.push((name.to_owned(), value.to_owned()));
    }

    fn unset(&mut self, names: &[&str]) {
        self.unset.extend(names.iter().map(|name| (*name).to_owned()));
    }

    fn proxy(&mut self, gateway: &Gateway, session: &str) {
        let token = gateway.sessions.token(session);
        let proxy = format!("http://{session}:{}@{}", *token, gateway.listen);
        self.proxied(&proxy, &gateway.ca_bundle);
    }

    fn proxied(&mut self, proxy: &str, bundle: &Path) {
        ["HTTPS_PROXY", "https_proxy"].into_iter().for_each(|name| self.set(name, proxy));
        ["NO_PROXY", "no_proxy"].into_iter().for_each(|name| self.set(name, NO_PROXY));
        let bundle = bundle.display().to_string();
        CA_VARIABLES.into_iter().for_each(|name| self.set(name, &bundle));
    }

    /// The gateway as every service's endpoint; where one signing name has several hosts, the path tells them apart.
    fn endpoint(&mut self, gateway: &Gateway) {
        let url = format!("http://{}", gateway.listen);
        self.set("AWS_ENDPOINT_URL", &url);
        for (name, prefix) in SIBLINGS {
            self.set(&format!("AWS_ENDPOINT_URL_{name}"), &format!("{url}{TO}{prefix}"));
        }
        ["NO_PROXY", "no_proxy"].into_iter().for_each(|name| self.set(name, &format!("{NO_PROXY},{}", gateway.listen.ip())));
    }

    async fn keys(&mut self, gateway: &Gateway, session: &Arc<Session>, by: &str) -> Result<(), SessionError> {
        let credential = gateway.broker.issue(session, Delivery::Keys, by).await?;
        for (name, value) in KEY_VARIABLES.into_iter().zip([credential.id.as_str(), credential.secret(), credential.token()]) {
            self.set(name, value);
        }
        self.unset(&OTHER_CREDENTIALS);
        self.unset(&ENDPOINT_VARIABLES);
        Ok(())
    }

    fn renewed(&mut self, gateway: &Gateway, session: &str) -> Result<(), SessionError> {
        if !gateway.listen.ip().is_loopback() {
            let why = "credentials are renewed at 127.0.0.1 only, and `listen` is another address: use --credentials keys, or \
                       credential_process with `sealgate credentials process`";
            return Err(SessionError::Conflict(why.to_owned()));
        }
        let token = gateway.sessions.token(session);
        let authorization = format!("Basic {}", STANDARD.encode(format!("{session}:{}", *token)));
        let url = format!("http://{}{CREDENTIALS_PATH}", gateway.listen);
        for (name, value) in ENDPOINT_VARIABLES.into_iter().zip([url.as_str(), authorization.as_str()]) {
            self.set(name, value);
        }
        self.unset(&OTHER_CREDENTIALS);
        self.unset(&KEY_VARIABLES);
        Ok(())
    }
}
