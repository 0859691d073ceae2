//! The decision on one call, and the value that proves it.
//!
//! A [`Permit`] can only come out of [`decide`]. The ledger takes it in exchange for a receipt, and nothing leaves
//! without one:
//!
//! ```compile_fail,E0451
//! // A permit has no public fields and no other maker.
//! let forged = sealgate_policies::permit::Permit { rule: "because I say so", way: todo!() };
//! ```

use crate::{
    hosts::HostClass,
    session::{Session, Status},
};
use serde::Deserialize;

/// What happens to calls without a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sessionless {
    /// They are refused, and the refusal recorded.
    #[default]
    Refuse,
    /// They pass, recorded in the day's standing window with attribution `none`.
    Record,
}

/// What happens to hosts that are no cloud control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtherHosts {
    /// They are tunnelled unopened, and the tunnel recorded.
    #[default]
    Tunnel,
    /// They are refused.
    Refuse,
}

/// What happens to calls that are signed with credentials that were not issued here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Foreign {
    /// They are refused, and the refusal recorded.
    #[default]
    Refuse,
    /// Those that the configuration names pass, recorded with attribution `none`.
    Pass,
}

/// What a call is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// One that was issued here; its signature holds.
    Issued,
    /// One that was issued here, and has ended.
    Ended {
        /// Its public id.
        id: &'a str,
        /// How: `revoked` or `expired`.
        how: &'static str,
    },
    /// One first seen in an answer that passed through here.
    Learnt,
    /// Any other.
    Foreign {
        /// Its public id.
        id: &'a str,
        /// Whether the configuration lets it pass.
        passes: bool,
    },
}

/// What the decision rests on.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The caller's session, whatever its state.
    pub session: Option<&'a Session>,
    /// What it is signed with.
    pub credential: Credential<'a>,
    /// What kind of host the call is for.
    pub host: HostClass,
    /// Now, in microseconds since 1970 UTC.
    pub now: i64,
    /// Configuration: calls without a session.
    pub sessionless: Sessionless,
    /// Configuration: hosts that are no cloud control plane.
    pub other_hosts: OtherHosts,
}

/// How a permitted call leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As a request that the gateway has read.
    Forward,
    /// As bytes that the gateway does not open.
    Tunnel,
}

/// Proof that a call may leave. Spent by the ledger, which gives a receipt for it.
#[derive(Debug)]
#[must_use = "a permit that is not spent lets nothing leave"]
pub struct Permit {
    rule: &'static str,
    way: Way,
}

impl Permit {
    /// The rule that permitted.
    pub fn rule(&self) -> &'static str {
        self.rule
    }

    /// How the call leaves.
    pub fn way(&self) -> Way {
        self.way
    }
}

/// Why a call may not leave. The text is for the person whose tool was refused: it says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The session's time is over.
    #[error(
        "session {id} expired; open a new one: sealgate session open --window {window} --principal {principal} --for 1h --reason \"...\""
    )]
    Expired {
        /// The session.
        id: String,
        /// Its window.
        window: String,
        /// Its principal.
        principal: String,
    },
    /// The session was closed or revoked.
    #[error(
        "session {id} was {how}; ask your approver, or open a new one: sealgate session open --window {window} --principal {principal} --for 1h --reason \"...\""
    )]
    Ended {
        /// The session.
        id: String,
        /// `closed` or `revoked`.
        how: &'static str,
        /// Its window.
        window: String,
        /// Its principal.
        principal: String,
    },
    /// The credential has ended before its session.
    #[error("credential {id} {how}; tools that refresh theirs get a new one, others: sealgate session exec SESSION -- COMMAND")]
    CredentialEnded {
        /// Its public id.
        id: String,
        /// `was revoked` or `expired`.
        how: &'static str,
    },
    /// The credential was not issued here.
    #[error(
        "credential {id} was not issued by sealgate; run the tool with `sealgate session exec SESSION -- COMMAND` and without a profile of its own (foreign = \"pass\" and foreign_keys let chosen ones through)"
    )]
    Foreign {
        /// Its public id.
        id: String,
    },
    /// No session, and calls without one are refused.
    #[error("this call has no session; run the tool with: sealgate session exec SESSION -- COMMAND")]
    NoSession,
    /// A cloud-like host that this version does not open.
    #[error(
        "this host looks like a cloud API that sealgate cannot record; it is refused, not tunnelled unseen (a [[route]] in the configuration opens it)"
    )]
    UnknownCloud,
    /// A host that is no cloud API, where those are refused.
    #[error("this host is not a cloud API, and other_hosts = \"refuse\" is configured")]
    OtherHost,
}

impl Refusal {
    /// The rule that refused.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "session-expired",
            Self::Ended { .. } => "session-ended",
            Self::CredentialEnded { .. } => "credential-ended",
            Self::Foreign { .. } => "foreign-credential",
            Self::NoSession => "no-session",
            Self::UnknownCloud => "unknown-cloud-host",
            Self::OtherHost => "other-host",
        }
    }
}

/// Permits a call or says why not. The host is asked first: no session opens a host that can't be recorded.
pub fn decide(facts: &Facts<'_>) -> Result<Permit, Refusal> {
    let way = match (facts.host, facts.other_hosts) {
        (HostClass::Aws, _) => Way::Forward,
        (HostClass::Other, OtherHosts::Tunnel) => Way::Tunnel,
        (HostClass::Other, OtherHosts::Refuse) => return Err(Refusal::OtherHost),
        (HostClass::CloudLike, _) => return Err(Refusal::UnknownCloud),
    };
    let rule = match (facts.session, facts.sessionless) {
        (Some(session), _) => live(session, facts.now).map(|()| "session-live")?,
        (None, Sessionless::Record) => "sessionless-recorded",
        (None, Sessionless::Refuse) => return Err(Refusal::NoSession),
    };
    match facts.credential {
        Credential::None | Credential::Issued | Credential::Learnt => Ok(Permit { rule, way }),
        Credential::Ended { id, how } => Err(Refusal::CredentialEnded { id: id.to_owned(), how }),
        Credential::Foreign { passes: true, .. } => Ok(Permit { rule: "foreign-passed", way }),
        Credential::Foreign { id, passes: false } => Err(Refusal::Foreign { id: id.to_owned() }),
    }
}

fn live(session: &Session, now: i64) -> Result<(), Refusal> {
    let (id, window) = (session.id.to_string(), session.window.to_string());
    let principal = session.principal.to_string();
    match session.status(now) {
        Status::Open => Ok(()),
        Status::Expired => Err(Refusal::Expired { id, window, principal }),
        Status::Closed => Err(Refusal::Ended { id, how: "closed", window, principal }),
        Status::Revoked => Err(Refusal::Ended { id, how: "revoked", window, principal }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sample;

    fn session() -> Session {
        Session::open(sample(100, 200))
    }

    fn check(session: Option<&Session>, host: HostClass, now: i64, expected: Result<Way, &str>) {
        let (sessionless, other_hosts) = (Sessionless::Refuse, OtherHosts::Tunnel);
        let facts = Facts { session, credential: Credential::None, host, now, sessionless, other_hosts };
        let decided = decide(&facts);
        assert_eq!(decided.as_ref().map(Permit::way).map_err(Refusal::rule), expected);
    }

    #[test]
    fn a_live_session_may_call_and_no_other() {
        let session = session();
        check(Some(&session), HostClass::Aws, 199, Ok(Way::Forward));
        check(Some(&session), HostClass::Other, 199, Ok(Way::Tunnel));
        check(Some(&session), HostClass::CloudLike, 199, Err("unknown-cloud-host"));
        check(Some(&session), HostClass::Aws, 200, Err("session-expired"));
        check(None, HostClass::Aws, 100, Err("no-session"));
        session.end(Status::Revoked);
        check(Some(&session), HostClass::Aws, 151, Err("session-ended"));
    }

    #[test]
    fn calls_without_a_session_pass_only_where_that_is_configured() {
        let facts = Facts {
            session: None,
            credential: Credential::None,
            host: HostClass::Aws,
            now: 0,
            sessionless: Sessionless::Record,
            other_hosts: OtherHosts::Refuse,
        };
        assert_eq!(decide(&facts).map(|permit| permit.rule()), Ok("sessionless-recorded"));
        let other = Facts { host: HostClass::Other, ..facts };
        assert_eq!(decide(&other).map(|permit| permit.rule()), Err(Refusal::OtherHost));
    }

    #[test]
    fn a_credential_from_elsewhere_or_that_ended_signs_nothing() {
        let session = session();
        let check = |credential, expected: Result<&str, &str>| {
            let (sessionless, other_hosts) = (Sessionless::Refuse, OtherHosts::Tunnel);
            let facts = Facts { session: Some(&session), credential, host: HostClass::Aws, now: 150, sessionless, other_hosts };
            assert_eq!(decide(&facts).as_ref().map(Permit::rule).map_err(Refusal::rule), expected, "{credential:?}");
        };
        check(Credential::Issued, Ok("session-live"));
        check(Credential::Learnt, Ok("session-live"));
        check(Credential::Ended { id: "ASIA1", how: "was revoked" }, Err("credential-ended"));
        check(Credential::Foreign { id: "AKIA1", passes: false }, Err("foreign-credential"));
        check(Credential::Foreign { id: "AKIA1", passes: true }, Ok("foreign-passed"));
        session.end(Status::Revoked);
        check(Credential::Foreign { id: "AKIA1", passes: true }, Err("session-ended"));
    }
}
