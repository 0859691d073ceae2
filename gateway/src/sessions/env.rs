//! The environment that brings a tool's traffic here: the proxy, and the CA in every variable that tools look at.

use crate::app::Gateway;
use std::path::Path;

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

/// Names and values, in the order to print.
pub fn environment(gateway: &Gateway, session: &str) -> Vec<(String, String)> {
    let token = gateway.sessions.token(session);
    let proxy = format!("http://{session}:{}@{}", *token, gateway.listen);
    let mut all = variables(&proxy, session, &gateway.ca_bundle);
    if let Ok(session) = gateway.sessions.session(session) {
        let b = gateway.broker.issue(&session);
        all.push(("AWS_ACCESS_KEY_ID".into(), b.id.to_string()));
        all.push(("AWS_SECRET_ACCESS_KEY".into(), b.secret().to_owned()));
        all.push(("AWS_SESSION_TOKEN".into(), b.token().to_owned()));
        all.push(("SEALGATE_LISTEN".into(), gateway.listen.to_string()));
    }
    all
}

fn variables(proxy: &str, session: &str, bundle: &Path) -> Vec<(String, String)> {
    let bundle = bundle.display().to_string();
    let fixed = [
        ("SEALGATE_SESSION", session),
        ("HTTPS_PROXY", proxy),
        ("https_proxy", proxy),
        ("NO_PROXY", NO_PROXY),
        ("no_proxy", NO_PROXY),
    ];
    let roots = CA_VARIABLES.iter().map(|name| (*name, bundle.as_str()));
    fixed.into_iter().chain(roots).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
