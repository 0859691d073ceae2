//! Sessions, requests for them, and what people sign.

use crate::principals::proof::Proof;
use serde::{Deserialize, Serialize};

/// `POST /v1/sessions`, `POST /v1/sessions/break-glass` and `POST /v1/requests`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// The window.
    pub window: String,
    /// Who acts; left out where a proof says it.
    #[serde(default)]
    pub principal: Option<String>,
    /// `human`, `workload` or `agent`; left out where the directory or a proof says it.
    #[serde(default)]
    pub kind: Option<String>,
    /// For whom.
    #[serde(default)]
    pub acting_for: Option<String>,
    /// Name of the account whose credentials its calls are signed with.
    #[serde(default)]
    pub account: Option<String>,
    /// Role to assume there.
    #[serde(default)]
    pub role: Option<String>,
    /// How long.
    #[serde(rename = "for")]
    pub duration: String,
    /// Why.
    pub reason: String,
    /// Who asks, where that is not the user at the socket. Requests alone have it.
    #[serde(default)]
    pub requester: Option<String>,
    /// What proves who the principal is.
    #[serde(default)]
    pub proof: Proof,
}

/// `POST /v1/statements`: what somebody signs who asks with an SSH key
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskToAsk {
    /// `request`, `open` or `break-glass`.
    pub act: String,
    /// The public key, as its `.pub` file has it.
    pub key: String,
    /// What is asked for; without a proof.
    pub asked: OpenSession,
}

/// A session in a listing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// Its window.
    pub window: String,
    /// Who acts.
    pub principal: String,
    /// What the principal is.
    pub kind: String,
    /// For whom.
    pub acting_for: Option<String>,
    /// What says who the principal is.
    pub basis: String,
    /// Name of the account whose credentials its calls are signed with.
    pub account: Option<String>,
    /// Role that is assumed there.
    pub role: Option<String>,
    /// Whether it was opened without approval.
    pub break_glass: bool,
    /// Whether it owes a review.
    #[serde(default)]
    pub unreviewed: bool,
    /// Who reviewed it.
    #[serde(default)]
    pub reviewer: Option<String>,
    /// Who opened it, or whose approval was the last.
    #[serde(default)]
    pub opened_by: String,
    /// The request that it was opened on.
    #[serde(default)]
    pub request: Option<String>,
    /// The standing rule that granted that.
    #[serde(default)]
    pub rule: Option<String>,
    /// Whether those who are to be told of break-glass were: `owed`, `sent` or `failed`.
    #[serde(default)]
    pub notice: Option<String>,
    /// Why.
    pub reason: String,
    /// When it was opened.
    pub opened: String,
    /// When it expires.
    pub expires: String,
    /// `open`, `closed`, `revoked` or `expired`.
    pub status: String,
}

/// `POST /v1/sessions/{id}/close` and `/revoke`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseSession {
    /// Why.
    pub reason: String,
}

/// `POST /v1/sessions/{id}/extend`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendSession {
    /// How much more time.
    #[serde(rename = "for")]
    pub duration: String,
    /// Why.
    pub reason: String,
    /// Who asks, where that is not the user at the socket.
    #[serde(default)]
    pub requester: Option<String>,
}

/// `POST /v1/revocations`: one of both
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Revoke {
    /// Ends every session of this principal, and gives it none until it is allowed again.
    pub principal: Option<String>,
    /// Ends every session of this window, which stays open.
    pub window: Option<String>,
    /// Why.
    pub reason: String,
}

/// What a revocation ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// How many sessions.
    pub sessions: usize,
}

/// `POST /v1/revocations/allow`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Who may have sessions again.
    pub principal: String,
    /// Why.
    pub reason: String,
}

/// A principal that gets no session: `GET /v1/revocations`
#[derive(Debug, Serialize, Deserialize)]
pub struct RevocationView {
    /// Who.
    pub principal: String,
    /// Since when.
    pub since: String,
    /// Who did it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A request in a listing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestView {
    /// Its id.
    pub id: String,
    /// `pending`, `approved`, `denied`, `expired` or `withdrawn`.
    pub state: String,
    /// The window.
    pub window: String,
    /// Who would act.
    pub principal: String,
    /// What the principal is.
    pub kind: String,
    /// For whom.
    pub acting_for: Option<String>,
    /// What says who the principal is.
    pub basis: String,
    /// Name of the account.
    pub account: Option<String>,
    /// Role to assume there.
    pub role: Option<String>,
    /// How long, or how much longer.
    #[serde(rename = "for")]
    pub duration: String,
    /// Why.
    pub reason: String,
    /// The session that would get more time.
    pub extends: Option<String>,
    /// Who asks.
    pub requester: String,
    /// From which user of the machine.
    pub requested_by: String,
    /// When.
    pub requested: String,
    /// From when on it can't be approved any more.
    pub expires: String,
    /// How many people have to approve; 0 where a standing rule grants it.
    pub needs: u32,
    /// Which; without names everybody in the file of approvers.
    pub needs_from: Vec<String>,
    /// Who has.
    pub approvals: Vec<String>,
    /// The standing rule that granted it.
    pub rule: Option<String>,
    /// The session that it opened or extended.
    pub session: Option<String>,
}

/// What a request or an approval led to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The request.
    pub request: RequestView,
    /// The session, where one was opened or extended by it.
    pub session: Option<SessionView>,
}

/// `POST /v1/requests/{id}/statement` and `POST /v1/sessions/{id}/statement`: what is to be signed
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskStatement {
    /// `approve`, `deny` or `review`.
    pub act: String,
    /// The name that the signer goes by in the file of approvers.
    pub signer: String,
    /// The signer's remark.
    #[serde(default)]
    pub remark: Option<String>,
}

/// What is to be signed, byte for byte.
#[derive(Debug, Serialize, Deserialize)]
pub struct StatementView {
    /// One line, with its newline.
    pub statement: String,
}

/// `POST /v1/requests/{id}/approve`, `/deny`, and `POST /v1/sessions/{id}/review`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The statement, byte for byte.
    pub statement: String,
    /// The signature over it, as `ssh-keygen -Y sign -n sealgate` prints it.
    pub signature: String,
}
