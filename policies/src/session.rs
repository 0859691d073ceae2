//! A session: a time-boxed grant to one principal within one window, and the states it goes through.
//!
//! `open` → `closed` (its owner ended it), `revoked` (somebody else did) or `expired` (its time was over). An end is
//! final; expiry needs no writing down to take effect.

use sealgate_schema::Text;
use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, AtomicU8, Ordering},
};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        Self { opening, expires, ended }
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
}
