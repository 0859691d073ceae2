//! What goes over the admin socket. Times are RFC 3339 in UTC, durations as in `1h30m`.

use crate::{principals::proof::Proof, sessions::store::WindowState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod credentials;
mod sessions;

pub use credentials::*;
pub use sessions::*;

/// `GET /v1/health`
#[derive(Debug, Serialize, Deserialize)]
pub struct Health {
    /// `ok` or `failed`.
    pub state: String,
    /// Why the ledger can't be written.
    pub failure: Option<String>,
    /// Name of the instance.
    pub gateway: String,
    /// Where clients connect.
    pub listen: String,
    /// Where they connect with TLS.
    #[serde(default)]
    pub listen_tls: Option<String>,
    /// Calls without an outcome yet.
    pub calls_in_flight: usize,
    /// How well the windows log is witnessed; nothing where no witnesses are configured.
    pub anchor: Option<AnchorView>,
    /// Why seals get no timestamps.
    pub timestamps_failing: Option<String>,
    /// Sessions that were opened by break-glass and that nobody has reviewed.
    #[serde(default)]
    pub unreviewed: Vec<String>,
    /// Those of them of which whoever is to be told could not be.
    #[serde(default)]
    pub unnotified: Vec<String>,
    /// Requests that wait for approval.
    #[serde(default)]
    pub requests_pending: usize,
    /// What is wrong with files that changed while the gateway ran, and with issuers' keys; what was there before is in force.
    #[serde(default)]
    pub trouble: Vec<String>,
}

/// How well the windows log is witnessed.
#[derive(Debug, Serialize, Deserialize)]
pub struct AnchorView {
    /// Entries of the log.
    pub entries: u64,
    /// Entries that a quorum of witnesses has cosigned.
    pub cosigned: u64,
    /// Seconds since the oldest entry that it has not.
    pub lag_seconds: u64,
    /// What the witnesses that did not cosign said.
    pub trouble: Vec<String>,
}

/// `GET /v1/accounts`, `POST /v1/accounts/{name}/check`
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountView {
    /// What sessions call it.
    pub name: String,
    /// `profile ops`, `imds`, …
    pub source: String,
    /// Its number, where the configuration has it.
    pub account: Option<String>,
    /// The roles that may be assumed; every one where there are none.
    pub roles: Vec<String>,
    /// Whether sessions without a role sign with the source's own credential.
    pub direct: bool,
    /// Public id of that credential, where it is at hand.
    pub access_key_id: Option<String>,
    /// When it ends.
    pub expires: Option<String>,
    /// How many sessions have a role of it at hand.
    pub assumed: usize,
    /// Why the last credential could not be got.
    pub trouble: Option<String>,
}

/// `POST /v1/windows`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenWindow {
    /// Its name.
    pub id: String,
    /// What it is for.
    pub title: String,
    /// How long.
    #[serde(rename = "for")]
    pub duration: String,
}

/// A window in a listing.
#[derive(Debug, Serialize, Deserialize)]
pub struct WindowView {
    /// Its name.
    pub id: String,
    /// What it is for.
    pub title: String,
    /// Where it stands.
    pub state: WindowState,
    /// When it was opened.
    pub opened: String,
    /// When it closes by itself.
    pub closes: String,
    /// Whether it is the gateway's own window of a day.
    pub standing: bool,
    /// Its sessions that were opened by break-glass and that nobody has reviewed.
    #[serde(default)]
    pub unreviewed: Vec<String>,
}

/// `POST /v1/sessions/{id}/arrivals`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookForArrivals {
    /// Since when, as an earlier answer's `time`; nothing to be told no more than where the gateway is.
    pub since: Option<i64>,
}

/// What of a session arrived at the gateway, and where it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Arrivals {
    /// Now by the gateway's clock, in microseconds since 1970 UTC.
    pub time: i64,
    /// Where clients connect, `IP:PORT`.
    pub listen: Vec<String>,
    /// Where the configured routes lead, `IP:PORT`.
    pub upstreams: Vec<String>,
    /// What arrived, also of connections that named no session.
    pub arrivals: Vec<Arrival>,
}

/// Something that arrived and was recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arrival {
    /// What it was.
    pub what: Arrived,
    /// The session, where the connection named one.
    pub session: Option<String>,
    /// The client's `IP:PORT`.
    pub client: String,
    /// The host that was asked for.
    pub host: Option<String>,
    /// The operation, where the call has a name.
    pub operation: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// What the client was told, of a refusal.
    pub message: Option<String>,
}

/// What arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrived {
    /// A call that was permitted.
    Call,
    /// A tunnel to a host that is not opened.
    Tunnel,
    /// A call or connection that was refused.
    Refusal,
    /// A TLS handshake that the client broke off.
    Handshake,
}

/// `POST /v1/payload-reads`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadRead {
    /// What is asked; nothing where a shell is opened.
    pub sql: Option<String>,
    /// The window that it is about; nothing for all.
    pub window: Option<String>,
}

/// Which payload rows are to lose something.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EraseRows {
    /// That of a record.
    Seq(u64),
    /// Those of a call.
    Call(u64),
    /// Those of a session.
    Session(String),
    /// All of the window.
    All,
}

/// `POST /v1/windows/{id}/erase`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// Of which rows.
    pub rows: EraseRows,
    /// Names of the fields; all where none is named.
    pub fields: Vec<String>,
    /// On whose word and why; nothing where only what would go is to be said.
    pub warrant: Option<Warrant>,
}

/// On whose word, and why.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warrant {
    /// On whose word.
    pub authority: String,
    /// Why.
    pub reason: String,
}

/// What an erasure took away, or would.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErasedView {
    /// Records that lose something.
    pub records: Vec<u64>,
    /// Number of values by field.
    pub fields: BTreeMap<String, u64>,
    /// Payload files that have a successor.
    pub files: u64,
}

/// `POST /v1/windows/{id}/shred`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shred {
    /// On whose word and why.
    pub warrant: Warrant,
}

/// `POST /v1/windows/{id}/hold`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetHold {
    /// Whether it is set, or cleared.
    pub set: bool,
    /// On whose word and why.
    pub warrant: Warrant,
}

/// A legal hold in a listing: `GET /v1/holds`
#[derive(Debug, Serialize, Deserialize)]
pub struct HoldView {
    /// The window.
    pub window: String,
    /// When it was set.
    pub since: String,
    /// On whose word.
    pub authority: String,
    /// Why.
    pub reason: String,
}

/// `POST /v1/keys/rotate`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Why.
    pub reason: String,
    /// Entry of the windows log from which on the old key does not count.
    pub revoke_from: Option<u64>,
}

/// An identity key in a listing.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyView {
    /// Its text.
    pub key: String,
    /// It signs checkpoints of so many entries and more, until the next.
    pub from: u64,
    /// Checkpoints of more entries don't count under it.
    pub revoked_from: Option<u64>,
}

/// A principal in a listing: `GET /v1/principals`
#[derive(Debug, Serialize, Deserialize)]
pub struct PrincipalView {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Patterns of whom it may act for.
    pub acts_for: Vec<String>,
    /// Whether somebody's word for it is not enough.
    pub must_prove: bool,
    /// What proves it.
    pub proofs: Vec<String>,
}

/// `POST /v1/principals/who`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// Who it says it is.
    pub principal: Option<String>,
    /// `human`, `workload` or `agent`.
    pub kind: Option<String>,
    /// For whom it acts.
    pub acting_for: Option<String>,
    /// A proof, or none.
    #[serde(default)]
    pub proof: Proof,
}

/// Who somebody is taken for.
#[derive(Debug, Serialize, Deserialize)]
pub struct IdentityView {
    /// The name.
    pub principal: String,
    /// `human`, `workload` or `agent`.
    pub kind: String,
    /// For whom.
    pub acting_for: Option<String>,
    /// What says so.
    pub basis: String,
}

/// Body of every error.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// One line that says what to do.
    pub error: String,
}
