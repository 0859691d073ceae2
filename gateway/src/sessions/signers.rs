//! Whose signature it is: statements of approvers, checked against the file that says whose key is whose.
//!
//! The file is read at each act, so that a key that is taken out of it signs nothing from then on. Nobody is an approver without it.

use super::{SessionError, Sessions, actor::Actor};
use crate::limits::APPROVERS_BYTES_MAX;
use sealgate_policies::{
    request::{Request, Signer, Terms},
    session::Session,
};
use sealgate_schema::{
    Text,
    sshsig::{self, AllowedSigners},
    statement::Statement,
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// What somebody signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// That a request is granted.
    Approve,
    /// That it is not.
    Deny,
    /// That they looked at a session that was opened by break-glass.
    Review,
}

impl Act {
    /// The word in statements and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Review => "review",
        }
    }

    /// Reads it.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Approve, Self::Deny, Self::Review].into_iter().find(|act| act.as_str() == word)
    }
}

/// A statement with its signature, as it was sent.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The statement, byte for byte.
    pub statement: String,
    /// The signature over it, as `ssh-keygen -Y sign -n sealgate` prints it.
    pub signature: String,
    /// The name that the signer goes by in the file of approvers.
    pub signer: String,
    /// Their remark, which the statement holds.
    pub remark: Option<String>,
}

/// A signature that holds: of whom.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) signer: Signer,
}

impl Verdict {
    /// What a record says of it.
    pub(super) fn detail(&self, signed: &Signed, actor: &Actor) -> Value {
        json!({
            "signer": self.signer.name.as_str(), "key": self.signer.key.as_str(), "statement": signed.statement,
            "signature": signed.signature, "remark": signed.remark, "by": actor.word().as_str(),
        })
    }
}

/// The file of approvers.
#[derive(Debug, Clone, Default)]
pub struct Approvers {
    file: Option<PathBuf>,
}

impl Approvers {
    /// Those of a file.
    pub fn new(file: Option<&Path>) -> Self {
        Self { file: file.map(Path::to_owned) }
    }

    /// Reads the file; refuses one that can't be read.
    pub fn read(&self) -> Result<AllowedSigners, String> {
        let file =
            self.file.as_ref().ok_or("there is no file of approvers: name one in the configuration (approvers = \"FILE\")")?;
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
        let mut text = String::new();
        let opened = File::open(file).map_err(|error| failed(&error))?;
        opened.take(APPROVERS_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
        if text.len() as u64 > APPROVERS_BYTES_MAX {
            return Err(failed(&format!("it is longer than {APPROVERS_BYTES_MAX} bytes")));
        }
        AllowedSigners::parse(&text).map_err(|error| failed(&error))
    }
}

impl Sessions {
    /// The statement that decides on a request: what its approver signs, byte for byte.
    pub fn statement(&self, act: Act, request: &Request, signer: &str, remark: Option<&str>) -> String {
        let Terms { window, principal, principal_kind, acting_for, account, role, duration, reason } = &request.terms;
        let mut members = vec![
            ("gateway", self.gateway.clone()),
            ("request", request.id.clone()),
            ("window", window.clone()),
            ("principal", principal.clone()),
            ("principal kind", principal_kind.as_str().into()),
        ];
        let optional = [("acting for", acting_for), ("account", account), ("role", role), ("extends session", &request.extends)];
        members.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        members.push(("duration", format!("{} s", duration / 1_000_000).into()));
        members.push(("reason", reason.clone()));
        self.signed_by(act, members, signer, remark)
    }

    /// The statement that reviews a session.
    pub fn review_statement(&self, session: &Session, signer: &str, remark: Option<&str>) -> String {
        let members = vec![
            ("gateway", self.gateway.clone()),
            ("session", session.id.clone()),
            ("window", session.window.clone()),
            ("principal", session.principal.clone()),
            ("principal kind", session.principal_kind.as_str().into()),
            ("reason", session.reason.clone()),
        ];
        self.signed_by(Act::Review, members, signer, remark)
    }

    fn signed_by(&self, act: Act, mut members: Vec<(&'static str, Text)>, signer: &str, remark: Option<&str>) -> String {
        members.push(("signer", signer.to_owned().into()));
        members.extend(remark.map(|remark| ("remark", remark.to_owned().into())));
        Statement { act: act.as_str(), members }.text()
    }

    pub(super) fn verdict(&self, act: Act, request: &Request, signed: &Signed, _now: i64) -> Result<Verdict, SessionError> {
        self.check(signed, &self.statement(act, request, &signed.signer, signed.remark.as_deref()))
    }

    pub(super) fn verdict_on(&self, _act: Act, session: &Session, signed: &Signed, _now: i64) -> Result<Verdict, SessionError> {
        self.check(signed, &self.review_statement(session, &signed.signer, signed.remark.as_deref()))
    }

    /// The statement has to be the very one, the signature has to hold, and the key has to be the signer's.
    fn check(&self, signed: &Signed, expected: &str) -> Result<Verdict, SessionError> {
        super::check_principal("signer", &signed.signer)?;
        signed.remark.as_deref().map_or(Ok(()), |remark| super::check_text("remark", remark))?;
        if signed.statement != *expected {
            let why = "the statement is not the one of this act and these terms; sign what --print-statement prints";
            return Err(SessionError::Invalid(why.to_owned()));
        }
        let approvers = self.approvers.read().map_err(SessionError::Conflict)?;
        let key = sshsig::check(&signed.statement, &signed.signature, sshsig::NAMESPACE);
        let key = key.map_err(|error| SessionError::Forbidden(format!("the signature: {error}")))?;
        let (names, fingerprint) = (approvers.names(&key), key.fingerprint());
        if !names.contains(&signed.signer) {
            let whose = if names.is_empty() { "nobody's".to_owned() } else { format!("{}'s", names.join(", ")) };
            return Err(SessionError::Forbidden(format!(
                "key {fingerprint} is {whose} in the file of approvers, not {}'s: sign as who you are (--as)",
                signed.signer
            )));
        }
        let names = names.into_iter().map(Text::from).collect();
        Ok(Verdict { signer: Signer { name: signed.signer.clone().into(), names, key: fingerprint.into() } })
    }
}
