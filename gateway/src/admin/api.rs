//! What goes over the admin socket. Times are RFC 3339 in UTC, durations as in `1h30m`.

use crate::sessions::store::WindowState;
use serde::{Deserialize, Serialize};

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

/// `POST /v1/payload-reads`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadRead {
    /// What is asked; nothing where a shell is opened.
    pub sql: Option<String>,
    /// The window that it is about; nothing for all.
    pub window: Option<String>,
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
