//! Who may have which session: how many approvals a request needs and of whom, what no request may pass, which workloads
//! need nobody, and what break-glass may do. Read from the configuration; every section can be left out.
//!
//! ```toml
//! [approval]
//! required = true                    # `session open` is refused then; without it an operator's own word is enough
//! approvals = 1                      # of different people, none of them the one who asks or acts
//! from = ["bob", "carol"]            # of whom; left out: of everybody in the file of approvers
//! wait = "4h"                        # a request that has not got them by then is over
//!
//! [[approval.case]]                  # the first that fits counts instead of the numbers above
//! for = { windows = ["PROD-*"], kinds = ["agent"] }
//! approvals = 2
//!
//! [[limit]]                          # every one that fits holds
//! for = { principals = ["alice"], windows = ["PROD-*"] }
//! longest = "2h"
//! sessions = 1                       # at once
//! accounts = ["staging"]
//!
//! [[rule]]                           # a standing approval for workloads
//! name = "nightly deploy"
//! for = { principals = ["ci-deploy"], windows = ["CHG-*"], roles = ["*:role/deploy"] }
//! longest = "30m"
//!
//! [break_glass]
//! longest = "1h"
//! for = { kinds = ["human"] }
//! ```

use crate::{
    pattern::{Pattern, any_matches},
    request::Terms,
    session::{Opening, PrincipalKind},
};
use jiff::SignedDuration;
use sealgate_schema::Text;
use serde::Deserialize;
use std::num::NonZeroU32;

/// How the configuration names the account of a session that names none.
pub const DEFAULT_ACCOUNT: &str = "default";
/// How the configuration names the role of a session that assumes none.
pub const NO_ROLE: &str = "none";

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// What a request needs.
    pub approval: Approval,
    /// What no session may pass, however it is opened; break-glass has its own limits.
    pub limits: Vec<Limit>,
    /// Which workloads need nobody.
    pub rules: Vec<Rule>,
    /// What may be opened before anybody approved.
    pub break_glass: BreakGlass,
}

/// What a request needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approval {
    /// Whether a session can be opened in no other way.
    pub required: bool,
    /// How many people have to approve.
    pub approvals: NonZeroU32,
    /// Which; without names everybody in the file of approvers.
    pub from: Vec<String>,
    /// How long a request waits for them.
    pub wait: SignedDuration,
    /// Where it is otherwise: the first that fits counts.
    pub case: Vec<Case>,
}

impl Default for Approval {
    fn default() -> Self {
        let wait = SignedDuration::from_hours(4);
        Self { required: false, approvals: NonZeroU32::MIN, from: Vec::new(), wait, case: Vec::new() }
    }
}

/// Sessions of which more or other approvals are asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Which.
    #[serde(rename = "for", default)]
    pub scope: Scope,
    /// How many people have to approve.
    pub approvals: NonZeroU32,
    /// Which; without names everybody in the file of approvers.
    #[serde(default)]
    pub from: Vec<String>,
}

/// What sessions may not pass.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limit {
    /// Which sessions.
    #[serde(rename = "for")]
    pub scope: Scope,
    /// How long they may be, with all extensions.
    pub longest: Option<SignedDuration>,
    /// How many of them a principal may have open at once.
    pub sessions: Option<u32>,
    /// The only accounts that they may use; without entries any.
    pub accounts: Vec<Pattern>,
    /// The only roles that they may assume; without entries any.
    pub roles: Vec<Pattern>,
}

/// A standing approval: workloads that need nobody, within a window that somebody opened.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name: what records say that the session rests on.
    pub name: String,
    /// Which sessions. Only workloads, whatever it says.
    #[serde(rename = "for", default)]
    pub scope: Scope,
    /// How long they may be, with all extensions.
    pub longest: SignedDuration,
}

/// What may be opened before anybody approved.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakGlass {
    /// Whether there is such a thing.
    pub allowed: bool,
    /// How long such a session may be, with all extensions.
    pub longest: SignedDuration,
    /// Which sessions.
    #[serde(rename = "for")]
    pub scope: Scope,
}

impl Default for BreakGlass {
    fn default() -> Self {
        let scope = Scope { kinds: vec![PrincipalKind::Human], ..Scope::default() };
        Self { allowed: true, longest: SignedDuration::from_hours(1), scope }
    }
}

/// Which sessions something is for: those that fit every list; a list without entries fits all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Who acts.
    pub principals: Vec<Pattern>,
    /// What they are.
    pub kinds: Vec<PrincipalKind>,
    /// In which windows.
    pub windows: Vec<Pattern>,
    /// With which accounts; [`DEFAULT_ACCOUNT`] where none is named.
    pub accounts: Vec<Pattern>,
    /// In which roles; [`NO_ROLE`] where none is assumed.
    pub roles: Vec<Pattern>,
}

impl Scope {
    /// Whether a session is one of them.
    pub fn fits(&self, session: &Subject<'_>) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&session.kind))
            && any_matches(&self.principals, session.principal)
            && any_matches(&self.windows, session.window)
            && any_matches(&self.accounts, session.account())
            && any_matches(&self.roles, session.role())
    }
}

/// A session, or what is to be one, as [`Scope`] looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    window: &'a str,
    principal: &'a str,
    kind: PrincipalKind,
    account: Option<&'a str>,
    role: Option<&'a str>,
}

impl Subject<'_> {
    fn account(&self) -> &str {
        self.account.unwrap_or(DEFAULT_ACCOUNT)
    }

    fn role(&self) -> &str {
        self.role.unwrap_or(NO_ROLE)
    }
}

impl<'a> From<&'a Opening> for Subject<'a> {
    fn from(of: &'a Opening) -> Self {
        let (account, role) = (of.account.as_deref(), of.role.as_deref());
        Self { window: &of.window, principal: &of.principal, kind: of.principal_kind, account, role }
    }
}

impl<'a> From<&'a Terms> for Subject<'a> {
    fn from(of: &'a Terms) -> Self {
        let (account, role) = (of.account.as_deref(), of.role.as_deref());
        Self { window: &of.window, principal: &of.principal, kind: of.principal_kind, account, role }
    }
}

/// How many approvals a request needs, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Of how many people.
    pub approvals: NonZeroU32,
    /// Which; without names everybody in the file of approvers.
    pub from: Vec<Text>,
}

impl Needs {
    /// Whether an approval of this person counts.
    pub fn takes(&self, name: &str) -> bool {
        self.from.is_empty() || self.from.iter().any(|known| **known == *name)
    }
}

/// What a request rests on once it is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A standing rule grants it now.
    Rule(Text),
    /// People have to.
    Approvals(Needs),
}

/// Why a session is out of the question. Says what would not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    /// Too long.
    #[error("{principal} may have {window} for {longest:#} at most, with extensions; ask for less")]
    Long {
        /// Who.
        principal: String,
        /// Where.
        window: String,
        /// How long it may be.
        longest: SignedDuration,
    },
    /// Too many.
    #[error("{principal} has {open} sessions of this kind open, and may have {most}; close one: sealgate session list")]
    Many {
        /// Who.
        principal: String,
        /// How many are open.
        open: usize,
        /// How many may be.
        most: u32,
    },
    /// Not that account.
    #[error("{principal} may not use account {account} in {window}; allowed: {allowed}")]
    Account {
        /// Who.
        principal: String,
        /// Where.
        window: String,
        /// Which.
        account: String,
        /// Which may be used.
        allowed: String,
    },
    /// Not that role.
    #[error("{principal} may not use role {role} in {window}; allowed: {allowed}")]
    Role {
        /// Who.
        principal: String,
        /// Where.
        window: String,
        /// Which.
        role: String,
        /// Which may be used.
        allowed: String,
    },
    /// Break-glass is switched off.
    #[error("break-glass is switched off here (break_glass.allowed); ask: sealgate session request")]
    NoBreakGlass,
    /// Break-glass is not for such a session.
    #[error(
        "break-glass is not for {principal} ({kind}) in {window} with this account and role (break_glass.for); ask: sealgate session request"
    )]
    NotForBreakGlass {
        /// Who.
        principal: String,
        /// What they are.
        kind: &'static str,
        /// Where.
        window: String,
    },
}

impl Access {
    /// How a session of these terms can be had; its duration is the whole one where one is extended. `open` are the
    /// sessions that are open, without the one that is extended.
    pub fn way(&self, terms: &Terms, open: &[Subject<'_>]) -> Result<Way, Beyond> {
        self.within_limits(terms, open)?;
        let subject = Subject::from(terms);
        let stands = |rule: &&Rule| {
            terms.principal_kind == PrincipalKind::Workload && terms.duration <= micros(rule.longest) && rule.scope.fits(&subject)
        };
        if let Some(rule) = self.rules.iter().find(stands) {
            return Ok(Way::Rule(rule.name.clone().into()));
        }
        Ok(self.needs(terms))
    }

    /// Which approvals a session of these terms needs where no rule stands for it.
    pub fn needs(&self, terms: &Terms) -> Way {
        let subject = Subject::from(terms);
        let case = self.approval.case.iter().find(|case| case.scope.fits(&subject));
        let (approvals, from) = case.map_or((self.approval.approvals, &self.approval.from), |case| (case.approvals, &case.from));
        Way::Approvals(Needs { approvals, from: from.iter().cloned().map(Text::from).collect() })
    }

    /// Whether a session of these terms passes no limit.
    pub fn within_limits(&self, terms: &Terms, open: &[Subject<'_>]) -> Result<(), Beyond> {
        let subject = Subject::from(terms);
        self.limits.iter().filter(|limit| limit.scope.fits(&subject)).try_for_each(|limit| limit.holds(terms, open))
    }

    /// Whether a session of these terms may be opened before anybody approved.
    pub fn break_glass(&self, terms: &Terms) -> Result<(), Beyond> {
        let policy = &self.break_glass;
        let (principal, window) = (terms.principal.to_string(), terms.window.to_string());
        if !policy.allowed {
            return Err(Beyond::NoBreakGlass);
        }
        if !policy.scope.fits(&Subject::from(terms)) {
            return Err(Beyond::NotForBreakGlass { principal, kind: terms.principal_kind.as_str(), window });
        }
        if terms.duration > micros(policy.longest) {
            return Err(Beyond::Long { principal, window, longest: policy.longest });
        }
        Ok(())
    }
}

impl Limit {
    fn holds(&self, terms: &Terms, open: &[Subject<'_>]) -> Result<(), Beyond> {
        let subject = Subject::from(terms);
        let (principal, window) = (terms.principal.to_string(), terms.window.to_string());
        if let Some(longest) = self.longest.filter(|longest| terms.duration > micros(*longest)) {
            return Err(Beyond::Long { principal, window, longest });
        }
        let same = |other: &&Subject<'_>| other.principal == subject.principal && self.scope.fits(other);
        let count = open.iter().filter(same).count();
        if let Some(most) = self.sessions.filter(|most| count >= *most as usize) {
            return Err(Beyond::Many { principal, open: count, most });
        }
        if !any_matches(&self.accounts, subject.account()) {
            let (account, allowed) = (subject.account().to_owned(), listed(&self.accounts));
            return Err(Beyond::Account { principal, window, account, allowed });
        }
        if !any_matches(&self.roles, subject.role()) {
            let (role, allowed) = (subject.role().to_owned(), listed(&self.roles));
            return Err(Beyond::Role { principal, window, role, allowed });
        }
        Ok(())
    }
}

fn listed(patterns: &[Pattern]) -> String {
    patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(", ")
}

fn micros(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
