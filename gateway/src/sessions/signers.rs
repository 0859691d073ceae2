//! Whose signature it is: statements of people, checked against the file that says whose key is whose.
//!
//! The file is read at each act, so that a key that is taken out of it signs nothing from then on. Nobody is an approver without it,
//! and nobody by a pattern: a key that may be called anything could be called as somebody else.

use super::{SessionError, Sessions, actor::Actor};
use crate::limits::APPROVERS_BYTES_MAX;
use sealgate_policies::{
    access::Way,
    request::{Request, Signer, Terms},
    session::Session,
};
use sealgate_schema::{
    Text,
    allowed_signers::AllowedSigners,
    sshsig::NAMESPACE,
    statement::{Act, STATEMENT_FORMAT, Signed, Statement},
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// A statement with its signature, as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The statement, byte for byte.
    pub statement: String,
    /// The signature over it, as `ssh-keygen -Y sign -n sealgate` prints it.
    pub signature: String,
}

/// A statement that says what it has to, whose signature holds, and by whom.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) signer: Signer,
    signed: Signed,
}

impl Verdict {
    /// What a record says of it.
    pub(super) fn detail(&self, actor: &Actor) -> Value {
        json!({
            "signer": self.signer.name.as_str(), "key": self.signer.key.as_str(), "statement": self.signed.text(),
            "signature": self.signed.signature(), "remark": self.signed.statement().remark, "by": actor.word().as_str(),
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
    /// What somebody signs to approve a request, or to turn it down. More time of a session is given by `extend`.
    pub fn statement(&self, act: Act, request: &Request, signer: &str, remark: Option<&str>) -> Result<Statement, SessionError> {
        let act = match (act, &request.extends) {
            (Act::Approve | Act::Extend, Some(_)) => Act::Extend,
            (Act::Approve | Act::Extend, None) => Act::Approve,
            (act, _) => act,
        };
        let Terms { window, principal, principal_kind, acting_for, account, role, duration, reason } = &request.terms;
        let needs = match &request.way {
            Way::Rule(_) => 0,
            Way::Approvals(needs) => u64::from(needs.approvals.get()),
        };
        let owned = |text: &Option<Text>| text.as_deref().map(str::to_owned);
        let statement = Statement {
            format: STATEMENT_FORMAT.to_owned(),
            act,
            signer: signer.to_owned(),
            remark: remark.map(str::to_owned),
            gateway: self.gateway.to_string(),
            window: window.to_string(),
            request: Some(request.id.to_string()),
            session: owned(&request.extends),
            principal: principal.to_string(),
            principal_kind: principal_kind.as_str().to_owned(),
            acting_for: owned(acting_for),
            basis: request.basis.to_string(),
            account: owned(account),
            role: owned(role),
            requester: request.requester.name.to_string(),
            reason: reason.to_string(),
            seconds: u64::try_from(duration / 1_000_000).ok(),
            needs: Some(needs),
            opens_before: Some(request.expires),
        };
        stated(statement)
    }

    /// What somebody signs who reviewed a session.
    pub fn review_statement(&self, session: &Session, signer: &str, remark: Option<&str>) -> Result<Statement, SessionError> {
        let owned = |text: &Option<Text>| text.as_deref().map(str::to_owned);
        let statement = Statement {
            format: STATEMENT_FORMAT.to_owned(),
            act: Act::Review,
            signer: signer.to_owned(),
            remark: remark.map(str::to_owned),
            gateway: self.gateway.to_string(),
            window: session.window.to_string(),
            request: None,
            session: Some(session.id.to_string()),
            principal: session.principal.to_string(),
            principal_kind: session.principal_kind.as_str().to_owned(),
            acting_for: owned(&session.acting_for),
            basis: session.basis.to_string(),
            account: owned(&session.account),
            role: owned(&session.role),
            requester: session.opened_by.to_string(),
            reason: session.reason.to_string(),
            seconds: None,
            needs: None,
            opens_before: None,
        };
        stated(statement)
    }

    pub(super) fn verdict(&self, act: Act, request: &Request, sent: &Sent, now: i64) -> Result<Verdict, SessionError> {
        self.check(sent, now, |signer, remark| self.statement(act, request, signer, remark))
    }

    pub(super) fn verdict_on(&self, session: &Session, sent: &Sent, now: i64) -> Result<Verdict, SessionError> {
        self.check(sent, now, |signer, remark| self.review_statement(session, signer, remark))
    }

    /// The signature has to hold, the statement has to be the very one, and the key has to be the signer's.
    fn check(
        &self,
        sent: &Sent,
        now: i64,
        expected: impl FnOnce(&str, Option<&str>) -> Result<Statement, SessionError>,
    ) -> Result<Verdict, SessionError> {
        let approvers = self.approvers.read().map_err(SessionError::Conflict)?;
        let signed = Signed::check(&sent.statement, &sent.signature).map_err(|error| SessionError::Forbidden(error.to_string()))?;
        let statement = signed.statement();
        if *statement != expected(&statement.signer, statement.remark.as_deref())? {
            let why = "the statement is not of this act and these terms; sign what --print-statement prints";
            return Err(SessionError::Forbidden(why.to_owned()));
        }
        let names: Vec<_> = approvers.names(signed.key(), NAMESPACE, now).into_iter().map(str::to_owned).collect();
        let key = signed.key().fingerprint();
        if !names.contains(&statement.signer) {
            let whose = if names.is_empty() { "nobody's".to_owned() } else { format!("{}'s", names.join(", ")) };
            return Err(SessionError::Forbidden(format!(
                "key {key} is {whose} in the file of approvers, not {}'s: sign as who you are (--as)",
                statement.signer
            )));
        }
        let name = Text::from(statement.signer.clone());
        Ok(Verdict { signer: Signer { name, names: names.into_iter().map(Text::from).collect(), key: key.into() }, signed })
    }
}

/// Refuses what nobody could sign.
fn stated(statement: Statement) -> Result<Statement, SessionError> {
    statement.to_text().map_err(|error| SessionError::Invalid(error.to_string()))?;
    Ok(statement)
}
