//! A session: a time-boxed grant to one principal within one window, and the states it goes through.
//!
//! `open` → `closed` (its owner ended it), `revoked` (somebody else did) or `expired` (its time was over). An end is
//! final; expiry needs no writing down to take effect.
//!
//! How one comes to be is [`crate::request`]'s and [`crate::access`]'s.

use crate::request::Signer;
use sealgate_schema::Text;
use serde::Deserialize;
use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering},
};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// A person.
    Human,
    /// A program that runs by itself: a CI job, a service.
    Workload,
    /// A program that decides by itself, for somebody.
    Agent,
}

impl PrincipalKind {
    /// The word in the `principal_kind` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Workload => "workload",
            Self::Agent => "agent",
        }
    }
}

impl FromStr for PrincipalKind {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Human, Self::Workload, Self::Agent]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| format!("{word:?} is not a kind of principal: use human, workload or agent"))
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// It may call.
    Open = 0,
    /// Its owner ended it, or its window was closed.
    Closed = 1,
    /// Somebody else ended it.
    Revoked = 2,
    /// Its time is over.
    Expired = 3,
}

impl Status {
    const ALL: [Self; 4] = [Self::Open, Self::Closed, Self::Revoked, Self::Expired];

    /// The word in listings and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// Reads a word of the store.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a session is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// `S-` and twelve letters or digits.
    pub id: Text,
    /// The window it belongs to.
    pub window: Text,
    /// Who acts.
    pub principal: Text,
    /// What the principal is.
    pub principal_kind: PrincipalKind,
    /// The human that the principal acts for.
    pub acting_for: Option<Text>,
    /// What says who the principal is: `word of uid 0`, `ssh SHA256:…`, `oidc ISSUER SUBJECT`, `certificate spiffe://…`.
    pub basis: Text,
    /// Name of the account whose credentials its calls are signed with; the default one where none is named.
    pub account: Option<Text>,
    /// Role that is assumed in that account, if any.
    pub role: Option<Text>,
    /// Whether it was opened without approval, and owes a review.
    pub break_glass: bool,
    /// Who opened it: `uid 0 (root)`, or the signer whose approval was the last.
    pub opened_by: Text,
    /// The request that it was opened on; none where an operator's own word opened it.
    pub request: Option<Text>,
    /// The standing rule that granted that request.
    pub rule: Option<Text>,
    /// Why, in the requester's words.
    pub reason: Text,
    /// When it was opened, in microseconds since 1970 UTC.
    pub opened: i64,
    /// When it expires, in microseconds since 1970 UTC; the first instant at which it may not call.
    pub expires: i64,
}

/// A grant. Shared by every connection that uses it: its end is one atomic store, seen by the next call of each.
#[derive(Debug)]
pub struct Session {
    /// What it was opened with, as extensions left it at the load of the store.
    opening: Opening,
    expires: AtomicI64,
    ended: AtomicU8,
    reviewed: AtomicBool,
}

/// Why an act on a session is not possible. Says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It has ended.
    #[error("session {id} is {status}, and an end is final; ask for a new one: sealgate session request")]
    Ended {
        /// The session.
        id: String,
        /// How.
        status: Status,
    },
    /// An extension that extends nothing.
    #[error("session {0} has that much time already, or its window ends before: see sealgate session list")]
    NotLonger(String),
    /// It owes no review.
    #[error("session {0} was not opened by break-glass: it owes no review")]
    NoReview(String),
    /// It has its review.
    #[error("session {0} is reviewed already")]
    Reviewed(String),
    /// Who signs is who acted, or who opened it.
    #[error("{signer} is {role} of session {id}: a different person has to review it")]
    Involved {
        /// Who.
        signer: String,
        /// `the principal`, …
        role: &'static str,
        /// The session.
        id: String,
    },
}

/// What a session was opened with is read as its own fields; its end is not among what can be read that way.
impl std::ops::Deref for Session {
    type Target = Opening;
    fn deref(&self) -> &Opening {
        &self.opening
    }
}

impl Session {
    /// A session that may call from now on.
    pub fn open(opening: Opening) -> Self {
        let (expires, ended) = (AtomicI64::new(opening.expires), AtomicU8::new(Status::Open as u8));
        Self { opening, expires, ended, reviewed: AtomicBool::new(false) }
    }

    /// When it expires, with every extension.
    pub fn expires(&self) -> i64 {
        self.expires.load(Ordering::Acquire)
    }

    /// Where it stands at `now`.
    pub fn status(&self, now: i64) -> Status {
        let ended = self.ended.load(Ordering::Acquire);
        match Status::ALL.into_iter().find(|status| *status as u8 == ended) {
            Some(Status::Open) if now < self.expires() => Status::Open,
            Some(Status::Open) | None => Status::Expired,
            Some(ended) => ended,
        }
    }

    /// Gives it time until `to`, the new first instant at which it may not call. Only an open one gets any, and none gets less.
    pub fn extend(&self, to: i64, now: i64) -> Result<(), StateError> {
        let id = || self.id.to_string();
        match self.status(now) {
            Status::Open if to > self.expires() => {
                self.expires.fetch_max(to, Ordering::AcqRel);
                Ok(())
            }
            Status::Open => Err(StateError::NotLonger(id())),
            status => Err(StateError::Ended { id: id(), status }),
        }
    }

    /// Whether it was opened by break-glass and nobody reviewed it yet.
    pub fn is_unreviewed(&self) -> bool {
        self.break_glass && !self.reviewed.load(Ordering::Acquire)
    }

    /// Whether this person may review it. `opener` are the names of who opened it. Asked before the review is written down.
    pub fn may_review(&self, signer: &Signer, opener: &[&str]) -> Result<(), StateError> {
        let id = || self.id.to_string();
        if !self.break_glass {
            return Err(StateError::NoReview(id()));
        }
        if !self.is_unreviewed() {
            return Err(StateError::Reviewed(id()));
        }
        let acting_for = self.acting_for.as_deref();
        let roles = [(Some(&*self.principal), "the principal"), (acting_for, "the person that the principal acts for")];
        let roles = roles.into_iter().filter_map(|(name, role)| Some((name?, role)));
        let involved = roles.chain(opener.iter().map(|name| (*name, "who opened it"))).find(|(name, _)| signer.is_called(name));
        match involved {
            Some((_, role)) => Err(StateError::Involved { signer: signer.name.to_string(), role, id: id() }),
            None => Ok(()),
        }
    }

    /// Takes its review, which was written down.
    pub fn review(&self) {
        self.reviewed.store(true, Ordering::Release);
    }

    /// Ends it, unless it has ended already; says whether it did.
    pub fn end(&self, how: Status) -> bool {
        let open = Status::Open as u8;
        self.ended.compare_exchange(open, how as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A session of alice's, for tests.
#[cfg(test)]
pub(crate) fn sample(opened: i64, expires: i64) -> Opening {
    Opening {
        id: "S-1".into(),
        window: "CHG-1".into(),
        principal: "alice".into(),
        principal_kind: PrincipalKind::Human,
        acting_for: None,
        basis: "word of a test".into(),
        account: None,
        role: None,
        break_glass: false,
        opened_by: "a test".into(),
        request: None,
        rule: None,
        reason: "why".into(),
        opened,
        expires,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_final_and_expiry_is_exact() {
        let session = Session::open(sample(100, 200));
        assert_eq!(session.status(199), Status::Open);
        assert_eq!(session.status(200), Status::Expired);
        assert!(session.end(Status::Revoked));
        assert!(!session.end(Status::Closed));
        assert_eq!(session.status(300), Status::Revoked);
    }

    #[test]
    fn more_time_is_for_open_sessions_and_never_less() {
        let session = Session::open(sample(100, 200));
        assert_eq!(session.extend(200, 150), Err(StateError::NotLonger("S-1".into())));
        assert_eq!(session.extend(300, 199), Ok(()));
        assert_eq!((session.status(299), session.status(300)), (Status::Open, Status::Expired));
        for (how, now) in [(Status::Open, 300), (Status::Revoked, 299), (Status::Closed, 299)] {
            let session = Session::open(sample(100, 300));
            session.end(how);
            let status = if how == Status::Open { Status::Expired } else { how };
            assert_eq!(session.extend(400, now), Err(StateError::Ended { id: "S-1".into(), status }));
            assert_eq!(session.expires(), 300);
        }
    }

    #[test]
    fn a_different_person_reviews_once_what_owes_a_review() {
        let signer =
            |name: &str| Signer { name: name.to_owned().into(), names: vec![name.to_owned().into()], key: "SHA256:1".into() };
        let plain = Session::open(sample(100, 200));
        assert!(!plain.is_unreviewed());
        assert_eq!(plain.may_review(&signer("bob"), &[]), Err(StateError::NoReview("S-1".into())));
        let session = Session::open(Opening { break_glass: true, acting_for: Some("ann".into()), ..sample(100, 200) });
        assert!(session.is_unreviewed());
        for (name, role) in [("alice", "principal"), ("ann", "acts for"), ("root", "opened it")] {
            let error = session.may_review(&signer(name), &["root"]).unwrap_err().to_string();
            assert!(error.contains(role) && error.contains("different person"), "{error}");
        }
        assert_eq!(session.may_review(&signer("bob"), &["root"]), Ok(()));
        session.review();
        assert!(!session.is_unreviewed());
        assert_eq!(session.may_review(&signer("bob"), &["root"]), Err(StateError::Reviewed("S-1".into())));
    }
}
