//! What a session is to be, as it is asked for: checked, and then terms.

use super::SessionError;
use crate::limits::{REASON_BYTES_MAX, TIME_BOX_MAX};
use sealgate_policies::{request::Terms, session::PrincipalKind};
use sealgate_schema::Text;

/// A session that is asked for.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The window.
    pub window: String,
    /// Who acts.
    pub principal: String,
    /// What the principal is.
    pub kind: PrincipalKind,
    /// For whom.
    pub acting_for: Option<String>,
    /// Name of the account to sign with.
    pub account: Option<String>,
    /// Role to assume there.
    pub role: Option<String>,
    /// How long.
    pub duration: jiff::SignedDuration,
    /// Why.
    pub reason: String,
}

impl Grant {
    /// As terms that are well formed.
    pub(super) fn terms(self) -> Result<Terms, SessionError> {
        check_text("reason", &self.reason)?;
        let named = [("principal", Some(&self.principal)), ("acting-for", self.acting_for.as_ref())];
        let used = [("account", self.account.as_ref()), ("role", self.role.as_ref())];
        for (what, name) in named.into_iter().chain(used) {
            name.map_or(Ok(()), |name| check_principal(what, name))?;
        }
        if self.kind == PrincipalKind::Human && self.acting_for.is_some() {
            let why = "a human acts for nobody: leave out --acting-for, or use --kind agent or workload";
            return Err(SessionError::Invalid(why.to_owned()));
        }
        Ok(Terms {
            window: self.window.into(),
            principal: self.principal.into(),
            principal_kind: self.kind,
            acting_for: self.acting_for.map(Text::from),
            account: self.account.map(Text::from),
            role: self.role.map(Text::from),
            duration: time_box(self.duration)?,
            reason: self.reason.into(),
        })
    }
}

/// A duration in microseconds, within what a time box may be.
pub(super) fn time_box(duration: jiff::SignedDuration) -> Result<i64, SessionError> {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    if micros <= 0 || micros > TIME_BOX_MAX.as_micros() as i64 {
        let days = TIME_BOX_MAX.as_secs() / 86_400;
        return Err(SessionError::Invalid(format!(
            "a time box is longer than nothing and at most {days} days, for example 1h or 90m"
        )));
    }
    Ok(micros)
}

/// Refuses what is no line of text that a record can carry.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), SessionError> {
    if text.trim().is_empty() || text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(SessionError::Invalid(format!("the {what} is a line of 1 to {REASON_BYTES_MAX} bytes; this one is not")));
    }
    Ok(())
}

pub(super) fn check_principal(what: &str, name: &str) -> Result<(), SessionError> {
    let plain = |c: char| !c.is_control() && !c.is_whitespace();
    if name.is_empty() || name.len() > 256 || !name.chars().all(plain) {
        return Err(SessionError::Invalid(format!("{what} {name:?} is not a name: 1 to 256 bytes without blanks")));
    }
    Ok(())
}
