//! Who the principals are: people, workloads and agents, as the directory declares them, and which proof fits which of them.
//!
//! The directory is data here: [`Directory`] is read and checked as a whole, so that no proof can fit two entries. Keys, tokens
//! and certificates are checked by the gateway, which then asks here whose they are.

pub mod claims;
mod entries;
pub mod pattern;
pub mod spiffe;

use crate::session::PrincipalKind;
use claims::{Claims, Rule};
use pattern::Pattern;
use serde::Deserialize;
use spiffe::SpiffeId;

/// Principals in one directory: tens of thousands would want another kind of directory, and comparing each with each other takes
/// their square.
pub const ENTRIES_MAX: usize = 2_000;

/// Characters of a token's subject that an error says.
const SUBJECT_CHARS_MAX: usize = 256;

/// What becomes of a name that the directory does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undeclared {
    /// It is taken at its word, and the record says so.
    #[default]
    Allow,
    /// It is refused.
    Refuse,
}

/// Who there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    undeclared: Undeclared,
    allowed_signers: Option<String>,
    principals: Vec<Principal>,
    issuers: Vec<Issuer>,
}

/// One principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// Whom it may act for.
    pub acts_for: Vec<Pattern>,
    /// Whether somebody's word for it is not enough.
    pub must_prove: bool,
    /// Its names in the file of allowed signers.
    pub ssh: Vec<String>,
    /// Which tokens are its own.
    pub oidc: Vec<Rule>,
    /// Which SPIFFE IDs are its own.
    pub spiffe: Vec<Pattern>,
}

/// Whose tokens are taken, and where the keys for them are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// As in the token's `iss`, to the letter: `https://HOST/…`.
    pub url: String,
    /// File with its key set; without it, the set is fetched from where the issuer says.
    pub jwks_file: Option<String>,
    /// PEM file of the CA to trust for fetching, instead of the system's.
    pub ca: Option<String>,
    /// Hosts that may hold the key set besides the issuer's own: `HOST` or `HOST:PORT`.
    #[serde(default)]
    pub jwks_hosts: Vec<String>,
}

/// What is wrong with a directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DirectoryError(pub(crate) String);

/// Why nobody fits, or not as asked. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not declared, and that is asked for.
    #[error("{0:?} is not in the directory of principals: declare it there, or set undeclared = \"allow\"")]
    Undeclared(String),
    /// Declared as something else.
    #[error("{name} is a {}, and not a {}: leave out --kind, or change the directory of principals", .declared.as_str(), .asked.as_str())]
    OtherKind {
        /// Who.
        name: String,
        /// What the directory says.
        declared: PrincipalKind,
        /// What was asked.
        asked: PrincipalKind,
    },
    /// Somebody's word is not enough.
    #[error("{0} has to prove who it is: pass --oidc-token or --ssh-key, or come with a client certificate")]
    MustProve(String),
    /// A human acts for nobody.
    #[error("{0} is human, and acts for nobody: leave out --acting-for")]
    ActsForNobody(String),
    /// An agent acts for somebody.
    #[error("{0} acts for somebody: say for whom with --acting-for")]
    ForWhom(String),
    /// Not for this one.
    #[error("{name} may not act for {asked:?}: add it to acts_for in the directory of principals")]
    NotFor {
        /// Who.
        name: String,
        /// For whom.
        asked: String,
    },
    /// Acting is for humans.
    #[error("{0:?} is no human: a workload or an agent acts for a human")]
    ForNoHuman(String),
    /// A proof of nobody in the directory.
    #[error("no principal in the directory has {0}: declare it there")]
    Nobody(String),
    /// A proof of two.
    #[error("{proof} fits {one} and {other}: change the directory of principals so that it fits one")]
    Two {
        /// What fits both.
        proof: String,
        /// One.
        one: String,
        /// The other.
        other: String,
    },
}

impl Directory {
    /// What becomes of undeclared names.
    pub fn undeclared(&self) -> Undeclared {
        self.undeclared
    }

    /// Name of the file of allowed signers.
    pub fn allowed_signers(&self) -> Option<&str> {
        self.allowed_signers.as_deref()
    }

    /// Everybody.
    pub fn principals(&self) -> &[Principal] {
        &self.principals
    }

    /// Whose tokens are taken.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The issuer of this name.
    pub fn issuer(&self, url: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.url == url)
    }

    /// By name.
    pub fn named(&self, name: &str) -> Option<&Principal> {
        self.principals.iter().find(|principal| principal.name == name)
    }

    /// The kind of a name on somebody's word.
    pub fn by_word(&self, name: &str, asked: Option<PrincipalKind>, acting_for: Option<&str>) -> Result<PrincipalKind, Unfit> {
        match self.named(name) {
            Some(principal) if principal.must_prove => Err(Unfit::MustProve(name.to_owned())),
            Some(principal) => self.check(principal, asked, acting_for).map(|()| principal.kind),
            None if self.undeclared == Undeclared::Refuse => Err(Unfit::Undeclared(name.to_owned())),
            None => self.check_undeclared(name, asked.unwrap_or(PrincipalKind::Human), acting_for),
        }
    }

    fn check_undeclared(&self, name: &str, kind: PrincipalKind, acting_for: Option<&str>) -> Result<PrincipalKind, Unfit> {
        match acting_for {
            Some(_) if kind == PrincipalKind::Human => Err(Unfit::ActsForNobody(name.to_owned())),
            Some(human) => self.check_human(human).map(|()| kind),
            None => Ok(kind),
        }
    }

    /// Whether a principal may be what is asked, and act for whom is asked.
    pub fn check(&self, principal: &Principal, asked: Option<PrincipalKind>, acting_for: Option<&str>) -> Result<(), Unfit> {
        let name = || principal.name.clone();
        if let Some(asked) = asked.filter(|asked| *asked != principal.kind) {
            return Err(Unfit::OtherKind { name: name(), declared: principal.kind, asked });
        }
        match acting_for {
            None if principal.kind == PrincipalKind::Agent => Err(Unfit::ForWhom(name())),
            None => Ok(()),
            Some(_) if principal.kind == PrincipalKind::Human => Err(Unfit::ActsForNobody(name())),
            Some(human) if !principal.acts_for.iter().any(|pattern| pattern.matches(human)) => {
                Err(Unfit::NotFor { name: name(), asked: human.to_owned() })
            }
            Some(human) => self.check_human(human),
        }
    }

    fn check_human(&self, name: &str) -> Result<(), Unfit> {
        match self.named(name) {
            Some(principal) if principal.kind == PrincipalKind::Human => Ok(()),
            Some(_) => Err(Unfit::ForNoHuman(name.to_owned())),
            None if self.undeclared == Undeclared::Refuse => Err(Unfit::Undeclared(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Whose SSH key: one that the file of allowed signers lists for a principal there that `is` says it is.
    pub fn by_ssh(&self, key: &str, is: impl Fn(&str) -> bool) -> Result<&Principal, Unfit> {
        self.only(&format!("the SSH key {key}"), |principal| principal.ssh.iter().any(|name| is(name)))
    }

    /// Whose token.
    pub fn by_claims(&self, claims: &Claims) -> Result<&Principal, Unfit> {
        let subject: String = claims.subject().chars().take(SUBJECT_CHARS_MAX).collect();
        let token = format!("a token of {} with subject {subject:?} and its claims and audience", claims.issuer());
        self.only(&token, |principal| principal.oidc.iter().any(|rule| rule.matches(claims)))
    }

    /// Whose certificate.
    pub fn by_spiffe(&self, id: &SpiffeId) -> Result<&Principal, Unfit> {
        self.only(id.as_str(), |principal| principal.spiffe.iter().any(|pattern| pattern.matches(id.as_str())))
    }

    /// The one that fits. Two are an error though the directory was checked: of keys it knows names alone.
    fn only(&self, proof: &str, fits: impl Fn(&Principal) -> bool) -> Result<&Principal, Unfit> {
        let mut fitting = self.principals.iter().filter(|principal| fits(principal));
        match (fitting.next(), fitting.next()) {
            (None, _) => Err(Unfit::Nobody(proof.to_owned())),
            (Some(one), None) => Ok(one),
            (Some(one), Some(other)) => {
                Err(Unfit::Two { proof: proof.to_owned(), one: one.name.clone(), other: other.name.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests;
