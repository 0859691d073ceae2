//! A request for a session, or for more time of one, and the states it goes through.
//!
//! `pending` → `approved` (it has what it needs), `denied`, `expired` (nobody approved in time) or `withdrawn`. An end is
//! final. Approvals count once a person: by name, and by key. Nobody approves what they ask for, what they act in, or what is
//! done for them.
//!
//! What a request leads to is a [`Granted`]; only [`Request::approve`] and [`Request::stand`] make one.

use crate::{access::Way, session::PrincipalKind};
use sealgate_schema::Text;
use std::fmt;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The window.
    pub window: Text,
    /// Who acts.
    pub principal: Text,
    /// What the principal is.
    pub principal_kind: PrincipalKind,
    /// The human that the principal acts for.
    pub acting_for: Option<Text>,
    /// Name of the account whose credentials its calls are signed with; the default one where none is named.
    pub account: Option<Text>,
    /// Role to assume there.
    pub role: Option<Text>,
    /// How long, in microseconds: from its opening, or beyond what the session has already.
    pub duration: i64,
    /// Why, in the requester's words.
    pub reason: Text,
}

/// A person who signs: what the file of approvers says of their key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The name that they sign as.
    pub name: Text,
    /// Every name of the key, that one too.
    pub names: Vec<Text>,
    /// The key: `SHA256:…`.
    pub key: Text,
}

impl Signer {
    /// Whether it is one of their names.
    pub fn is_called(&self, name: &str) -> bool {
        *self.name == *name || self.names.iter().any(|known| **known == *name)
    }

    /// Whether the key or a name of both is the same.
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.key == other.key || other.is_called(&self.name) || self.names.iter().any(|name| other.is_called(name))
    }
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// Their name: the word of who asked, or what their key says.
    pub name: Text,
    /// At the other end of the admin socket: `uid 1000 (alice)`.
    pub by: Text,
    /// Name of that user, where the machine knows it.
    pub user: Option<Text>,
    /// The key that the request is signed with, if it is.
    pub key: Option<Text>,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits for approvals.
    Pending,
    /// It has what it needs.
    Approved,
    /// Somebody turned it down.
    Denied,
    /// Nobody approved in time, or its window is over.
    Expired,
    /// Who asked took it back.
    Withdrawn,
}

impl State {
    /// Each.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Approved, Self::Denied, Self::Expired, Self::Withdrawn];

    /// The word in listings and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Reads a word of the store.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An approval that was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// Whose.
    pub signer: Signer,
    /// `seq` of its record in the window's ledger.
    pub seq: u64,
}

/// Why an act on a request is not possible. Says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is over, one way or another.
    #[error("request {id} is {state} already; ask again: sealgate session request")]
    Over {
        /// The request.
        id: String,
        /// Where it stands.
        state: State,
    },
    /// It waited too long.
    #[error("request {0} has waited too long and is expired; ask again: sealgate session request")]
    Late(String),
    /// Who signs is who asks, who acts, or for whom.
    #[error("{signer} is {role} of request {id}: somebody else has to decide")]
    Involved {
        /// Who.
        signer: String,
        /// `the requester`, `the principal`, …
        role: &'static str,
        /// The request.
        id: String,
    },
    /// One person, two approvals.
    #[error("{signer} has approved request {id} already; {missing} more have to")]
    Again {
        /// Who.
        signer: String,
        /// The request.
        id: String,
        /// How many approvals are missing.
        missing: usize,
    },
    /// Not one of those who are asked.
    #[error("request {id} needs the approval of {from}; {signer} is not one of them")]
    NotAsked {
        /// Who.
        signer: String,
        /// The request.
        id: String,
        /// Who is asked.
        from: String,
    },
    /// Only who asked takes back.
    #[error("request {id} is {requester}'s to withdraw; turn it down with: sealgate session deny {id}")]
    NotYours {
        /// The request.
        id: String,
        /// Who asked.
        requester: String,
    },
    /// It needs people, and no rule stands for it.
    #[error("request {id} waits for {missing} approvals: sealgate session approve {id}")]
    Waits {
        /// The request.
        id: String,
        /// How many approvals are missing.
        missing: usize,
    },
}

/// What a request is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// `R-` and twelve letters or digits.
    pub id: Text,
    /// What is asked for.
    pub terms: Terms,
    /// The session that is to get more time; none where one is to be opened.
    pub extends: Option<Text>,
    /// Who asked.
    pub requester: Requester,
    /// What says who the principal is, for the session.
    pub basis: Text,
    /// What it needs.
    pub way: Way,
    /// When it was made, in microseconds since 1970 UTC.
    pub requested: i64,
    /// The first instant at which nobody can approve it any more.
    pub expires: i64,
}

/// A request. Its state changes by its own acts only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    asking: Asking,
    approvals: Vec<Approved>,
    state: State,
}

/// What was asked for is read as its own fields.
impl std::ops::Deref for Request {
    type Target = Asking;
    fn deref(&self) -> &Asking {
        &self.asking
    }
}

/// Proof that a request has what its policy needs. Spent by what opens or extends the session.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a grant that is not spent opens nothing"]
pub struct Granted {
    request: Asking,
    approvals: Vec<u64>,
}

impl Granted {
    /// The request.
    pub fn request(&self) -> &Asking {
        &self.request
    }

    /// `seq` of the records of its approvals, in the window's ledger; none where a rule stands for it.
    pub fn approvals(&self) -> &[u64] {
        &self.approvals
    }
}

impl Request {
    /// A request that waits.
    pub fn new(asking: Asking) -> Self {
        Self { asking, approvals: Vec::new(), state: State::Pending }
    }

    /// A request as the store has it.
    pub fn restore(asking: Asking, approvals: Vec<Approved>, state: State) -> Self {
        Self { asking, approvals, state }
    }

    /// Where it stands at `now`: expiry needs no writing down to take effect.
    pub fn state(&self, now: i64) -> State {
        match self.state {
            State::Pending if now >= self.expires => State::Expired,
            state => state,
        }
    }

    /// Where it stands by what was written down.
    pub fn written_state(&self) -> State {
        self.state
    }

    /// The approvals that it has.
    pub fn approvals(&self) -> &[Approved] {
        &self.approvals
    }

    /// How many approvals are missing.
    pub fn missing(&self) -> usize {
        match &self.way {
            Way::Rule(_) => 0,
            Way::Approvals(needs) => (needs.approvals.get() as usize).saturating_sub(self.approvals.len()),
        }
    }

    /// Whether this person may approve now. Asked before their approval is written down.
    pub fn may_approve(&self, signer: &Signer, now: i64) -> Result<(), RequestError> {
        self.may_decide(signer, now)?;
        let (id, signer_name) = (self.id.to_string(), signer.name.to_string());
        if self.approvals.iter().any(|approval| approval.signer.is_same_person(signer)) {
            return Err(RequestError::Again { signer: signer_name, id, missing: self.missing() });
        }
        Ok(())
    }

    /// Whether this person may decide on it at all: one who is asked, and not involved.
    pub fn may_decide(&self, signer: &Signer, now: i64) -> Result<(), RequestError> {
        self.is_pending(now)?;
        let (id, name) = (self.id.to_string(), signer.name.to_string());
        if let Some(role) = self.involvement(signer) {
            return Err(RequestError::Involved { signer: name, role, id });
        }
        match &self.way {
            Way::Approvals(needs) if !needs.takes(&signer.name) => {
                Err(RequestError::NotAsked { signer: name, id, from: listed(&needs.from) })
            }
            _ => Ok(()),
        }
    }

    /// Takes an approval that was written down. The grant, where it was the last that was missing.
    pub fn approve(&mut self, approval: Approved, now: i64) -> Result<Option<Granted>, RequestError> {
        self.may_approve(&approval.signer, now)?;
        self.approvals.push(approval);
        if self.missing() > 0 {
            return Ok(None);
        }
        self.state = State::Approved;
        Ok(Some(self.granted()))
    }

    /// Grants what a standing rule grants.
    pub fn stand(&mut self, now: i64) -> Result<Granted, RequestError> {
        self.is_pending(now)?;
        match &self.way {
            Way::Rule(_) => {
                self.state = State::Approved;
                Ok(self.granted())
            }
            Way::Approvals(_) => Err(RequestError::Waits { id: self.id.to_string(), missing: self.missing() }),
        }
    }

    /// The grant of a request that was approved before a restart.
    pub fn granted_before(&self) -> Option<Granted> {
        (self.state == State::Approved && self.missing() == 0).then(|| self.granted())
    }

    /// Turns it down.
    pub fn deny(&mut self, signer: &Signer, now: i64) -> Result<(), RequestError> {
        self.may_decide(signer, now)?;
        self.state = State::Denied;
        Ok(())
    }

    /// Takes it back: who asked does, by name or from the same user.
    pub fn withdraw(&mut self, by: &str, now: i64) -> Result<(), RequestError> {
        self.is_pending(now)?;
        if *self.requester.by != *by {
            let requester = self.requester.by.to_string();
            return Err(RequestError::NotYours { id: self.id.to_string(), requester });
        }
        self.state = State::Withdrawn;
        Ok(())
    }

    /// Ends it where its time is over; says whether it did.
    pub fn expire(&mut self, now: i64) -> bool {
        let over = self.state == State::Pending && now >= self.expires;
        if over {
            self.state = State::Expired;
        }
        over
    }

    /// Ends it with its window, or with the session that it would extend; says whether it did.
    pub fn lapse(&mut self) -> bool {
        let pending = self.state == State::Pending;
        if pending {
            self.state = State::Expired;
        }
        pending
    }

    fn is_pending(&self, now: i64) -> Result<(), RequestError> {
        match self.state {
            State::Pending if now < self.expires => Ok(()),
            State::Pending => Err(RequestError::Late(self.id.to_string())),
            state => Err(RequestError::Over { id: self.id.to_string(), state }),
        }
    }

    /// What a person has to do with it that keeps them from deciding.
    fn involvement(&self, signer: &Signer) -> Option<&'static str> {
        let Requester { name, user, key, .. } = &self.requester;
        let is = |name: &Option<Text>| name.as_deref().is_some_and(|name| signer.is_called(name));
        if signer.is_called(&self.terms.principal) {
            return Some("the principal");
        }
        if is(&self.terms.acting_for) {
            return Some("the person that the principal acts for");
        }
        let asked = signer.is_called(name) || is(user) || key.as_ref() == Some(&signer.key);
        asked.then_some("the requester")
    }

    fn granted(&self) -> Granted {
        Granted { request: self.asking.clone(), approvals: self.approvals.iter().map(|approval| approval.seq).collect() }
    }
}

fn listed(names: &[Text]) -> String {
    names.iter().map(Text::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
