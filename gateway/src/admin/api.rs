//! What goes over the admin socket. Times are RFC 3339 in UTC, durations as in `1h30m`.

use crate::sessions::store::WindowState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Calls without an outcome yet.
    pub calls_in_flight: usize,
    /// How well the windows log is witnessed; nothing where no witnesses are configured.
    pub anchor: Option<AnchorView>,
    /// Why seals get no timestamps.
    pub timestamps_failing: Option<String>,
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
}

/// `POST /v1/sessions`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// The window.
    pub window: String,
    /// Who acts.
    pub principal: String,
    /// `human`, `workload` or `agent`.
    pub kind: String,
    /// For whom.
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
}

/// A session in a listing.
#[derive(Debug, Serialize, Deserialize)]
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

/// Body of every error.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// One line that says what to do.
    pub error: String,
}
