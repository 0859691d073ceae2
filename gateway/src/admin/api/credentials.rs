//! A session's environment, and the credentials that were made here.

use serde::{Deserialize, Serialize};

/// How a tool gets the session's AWS credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum GivenCredentials {
    /// As keys in the environment, good as long as the session.
    #[default]
    Keys,
    /// From the gateway's credential endpoint, where SDKs renew it.
    Renewed,
    /// Not at all: the tool's own stay as they are.
    None,
}

/// `POST /v1/sessions/{id}/env`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskEnvironment {
    /// How the credential is given.
    #[serde(default)]
    pub credentials: GivenCredentials,
    /// Whether the gateway is the tool's endpoint, and not its proxy.
    #[serde(default)]
    pub endpoint: bool,
}

/// What brings a tool into a session.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Environment {
    /// Names and values to set, in order.
    pub set: Vec<(String, String)>,
    /// Names to unset.
    pub unset: Vec<String>,
}

/// A credential in a listing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CredentialView {
    /// Its access key id.
    pub id: String,
    /// Its session.
    pub session: String,
    /// Whose session that is.
    pub principal: String,
    /// The credential that was used to get it, that one's, and so on.
    pub parents: Vec<String>,
    /// `keys` or `renewed`: a session's own; `contained`: a child, with the real one inside; `learnt`: a real one that went out.
    pub kind: String,
    /// Id of the real credential behind a child.
    pub real: Option<String>,
    /// When it was made.
    pub issued: String,
    /// When it is over, with its session at the latest.
    pub expires: String,
    /// `live`, `revoked`, `expired`, or how its session ended.
    pub status: String,
}

/// `POST /v1/credentials/{id}/revoke`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeCredential {
    /// Why.
    pub reason: String,
}
