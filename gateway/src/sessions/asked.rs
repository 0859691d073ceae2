//! What somebody signs who asks: handed out by the gateway, so that it names the request that it will be, and taken once
//! ([`crate::principals`] sees to that).

use super::{
    Grant, SessionError, Sessions,
    requests::{Asker, check_seconds, subjects, whole_seconds},
    token,
};
use crate::limits::STATEMENT_TAKEN;
use sealgate_policies::{
    access::Way,
    request::{Asking, Request, Requester, Terms},
};
use sealgate_schema::{
    Text,
    statement::{Act, Signed, Statement},
};

/// What is asked for with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// A session that others approve, or a rule.
    Request,
    /// One on an operator's own word.
    Open,
    /// One before anybody approved.
    BreakGlass,
}

impl Errand {
    /// Reads a word of the admin API.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Request, Self::Open, Self::BreakGlass].into_iter().find(|errand| errand.as_str() == word)
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Open => "open",
            Self::BreakGlass => "break-glass",
        }
    }

    /// What a statement says of it, so that one is not used for another.
    fn remark(self) -> Option<&'static str> {
        (self != Self::Request).then_some(self.as_str())
    }
}

impl Sessions {
    /// What is to be signed to ask for a session: by `signer`, who is known by `basis`.
    pub fn statement_to_ask(
        &self,
        errand: Errand,
        grant: Grant,
        signer: &str,
        basis: Text,
    ) -> Result<(Statement, i64), SessionError> {
        let terms = grant.terms()?;
        check_seconds(terms.duration)?;
        self.refuse_barred(&terms.principal, terms.acting_for.as_deref())?;
        let now = self.clock.now();
        let closes = self.open_window_closes(&terms.window, now)?;
        let taken = taken_until(now);
        let (way, expires) = match errand {
            Errand::Request => (self.access.way(&terms, &subjects(&self.open_now(now)))?, self.waits_until(now, closes)),
            Errand::Open | Errand::BreakGlass => (at_once(errand), taken),
        };
        let asking = asking(token::new_id('R').into(), terms, signer, basis, way, expires);
        Ok((self.statement(Act::Request, &Request::new(asking), signer, errand.remark())?, taken.min(expires)))
    }

    /// Whether a session that is opened at once is what its signed statement asks for, if there is one.
    pub(super) fn check_asked(
        &self,
        errand: Errand,
        terms: &Terms,
        basis: &Text,
        signed: Option<&Signed>,
    ) -> Result<(), SessionError> {
        let Some(statement) = signed.map(Signed::statement) else { return Ok(()) };
        let now = self.clock.now();
        let (id, expires) = (statement.request.clone().unwrap_or_default(), statement.opens_before.unwrap_or_default());
        if expires <= now || expires > taken_until(now) {
            return Err(not_these_terms());
        }
        let asking = asking(id.into(), terms.clone(), &statement.signer, basis.clone(), at_once(errand), expires);
        let due = self.statement(Act::Request, &Request::new(asking), &statement.signer, errand.remark())?;
        if due == *statement { Ok(()) } else { Err(not_these_terms()) }
    }

    /// Whether a request is what its signed statement asks for, if there is one; it waits no longer than one without would.
    pub(super) fn check_request(&self, request: &Request, asker: Option<&Signed>, waits_until: i64) -> Result<(), SessionError> {
        let Some(statement) = asker.map(Signed::statement) else { return Ok(()) };
        let due = self.statement(Act::Request, request, &statement.signer, Errand::Request.remark())?;
        let in_time = request.expires > self.clock.now() && request.expires <= waits_until;
        if due == *statement && in_time { Ok(()) } else { Err(not_these_terms()) }
    }
}

/// Nobody's approval is asked for.
fn at_once(errand: Errand) -> Way {
    Way::Rule(errand.as_str().into())
}

fn taken_until(now: i64) -> i64 {
    whole_seconds(now.saturating_add(i64::try_from(STATEMENT_TAKEN.as_micros()).unwrap_or(i64::MAX)))
}

fn asking(id: Text, terms: Terms, signer: &str, basis: Text, way: Way, expires: i64) -> Asking {
    let name = Text::from(signer.to_owned());
    let requester = Requester { by: name.clone(), name, user: None, key: None };
    Asking { id, terms, extends: None, requester, basis, way, requested: 0, expires }
}

fn not_these_terms() -> SessionError {
    let why = "the signed statement does not ask for this, or what it needs has changed since: ask for one again, and sign that";
    SessionError::Forbidden(why.to_owned())
}

impl Asker {
    /// Somebody who signed: it is they who ask, whoever sends it.
    pub fn who_signed(mut self, signed: Signed) -> Self {
        self.requester.name = signed.statement().signer.clone().into();
        self.requester.key = Some(signed.key().fingerprint().into());
        self.signed = Some(Box::new(signed));
        self
    }
}
