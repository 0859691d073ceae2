//! What a person signs: one line that says who agrees to what (`schema/FORMAT.md` §14).
//!
//! A statement names everything that its signature is to bind: gateway, window, who acts and for whom, with which account and role,
//! for how long, why. Nothing of it can be exchanged without the signer. It is for people to read before they sign: it holds
//! no character that changes how others look.

use crate::{
    id::check_name,
    instant,
    public_key::PublicKey,
    sshsig::{self, NAMESPACE, SignatureError},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Member `format` of every statement.
pub const STATEMENT_FORMAT: &str = "sealgate/statement/v1";
/// The longest statement: every text as long as it may be.
pub const STATEMENT_BYTES_MAX: usize = 32 << 10;
/// The longest text in it.
pub const TEXT_BYTES_MAX: usize = 2048;
/// The longest name in it: of people, requests, sessions, accounts.
pub const NAME_BYTES_MAX: usize = 256;
/// The most approvals that something may need.
pub const NEEDS_MAX: u64 = 64;

/// What somebody says with their signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// I ask for this session, or for more time of it.
    Request,
    /// It may be opened.
    Approve,
    /// It, or more time of it, is not to be.
    Deny,
    /// It may go on for so long.
    Extend,
    /// I looked at what was done in it.
    Review,
    /// It ends.
    Revoke,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 6] = [Self::Request, Self::Approve, Self::Deny, Self::Extend, Self::Review, Self::Revoke];

    /// The word in statements.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Extend => "extend",
            Self::Review => "review",
            Self::Revoke => "revoke",
        }
    }

    /// Whether it is about a request, and not about a session that is there.
    pub fn of_request(self) -> bool {
        !matches!(self, Self::Review | Self::Revoke)
    }
}

/// What a person says. [`Statement::to_text`] makes the line of it where it can stand so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`STATEMENT_FORMAT`].
    pub format: String,
    /// What they say.
    pub act: Act,
    /// Who signs, as the file of signers names them.
    pub signer: String,
    /// What they have to say about it. Needed to deny, review or revoke.
    pub remark: Option<String>,
    /// The gateway.
    pub gateway: String,
    /// The window of the session.
    pub window: String,
    /// The request; none in a review and a revocation.
    pub request: Option<String>,
    /// The session that is there already; none where one is to be opened.
    pub session: Option<String>,
    /// Who acts in the session.
    pub principal: String,
    /// `human`, `workload` or `agent`.
    pub principal_kind: String,
    /// For whom.
    pub acting_for: Option<String>,
    /// What says who the principal is.
    pub basis: String,
    /// Account whose credentials its calls are signed with; none is the default one.
    pub account: Option<String>,
    /// Role that is assumed there.
    pub role: Option<String>,
    /// Who asked for the session, or opened it.
    pub requester: String,
    /// Why, in the requester's words.
    pub reason: String,
    /// How long it is to be open, or how much longer, in seconds. None in a review and a revocation.
    pub seconds: Option<u64>,
    /// How many approvals it needs. None in a review and a revocation.
    pub needs: Option<u64>,
    /// The first instant at which nothing may be opened or extended on it any more: microseconds since 1970, whole seconds. In the
    /// line it is written as `2026-11-26T07:20:39Z`.
    #[serde(with = "written_instant")]
    pub opens_before: Option<i64>,
}

/// Why something can't be stated, or a line is no statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a statement to sign: {0}")]
pub struct BadStatement(String);

impl Statement {
    /// The line, without its newline: RFC 8785 JSON. This is what a record's `detail` holds.
    pub fn to_text(&self) -> Result<String, BadStatement> {
        self.check().map_err(BadStatement)?;
        let text = serde_json_canonicalizer::to_string(self).map_err(|error| BadStatement(error.to_string()))?;
        if text.len() > STATEMENT_BYTES_MAX {
            return Err(BadStatement(format!("it has {} bytes, at most {STATEMENT_BYTES_MAX} fit", text.len())));
        }
        Ok(text)
    }

    /// The line with its newline: what is signed, and what a file holds that `ssh-keygen -Y sign` takes.
    pub fn to_line(&self) -> Result<String, BadStatement> {
        self.to_text().map(|text| text + "\n")
    }

    /// Reads a line without its newline. One statement has one spelling.
    pub fn parse(text: &str) -> Result<Self, BadStatement> {
        if text.len() > STATEMENT_BYTES_MAX {
            return Err(BadStatement(format!("it is longer than {STATEMENT_BYTES_MAX} bytes")));
        }
        let statement: Self = serde_json::from_str(text).map_err(|error| BadStatement(error.to_string()))?;
        if statement.to_text()? == text { Ok(statement) } else { Err(BadStatement("not in canonical form".to_owned())) }
    }

    fn check(&self) -> Result<(), String> {
        if self.format != STATEMENT_FORMAT {
            return Err(format!("its format is not {STATEMENT_FORMAT}"));
        }
        check_name("gateway", &self.gateway).map_err(|error| error.to_string())?;
        check_name("window", &self.window).map_err(|error| error.to_string())?;
        self.check_names()?;
        let texts = [("reason", Some(&self.reason)), ("basis", Some(&self.basis)), ("remark", self.remark.as_ref())];
        for (what, text) in texts {
            text.map_or(Ok(()), |text| check_text(what, text, TEXT_BYTES_MAX))?;
        }
        self.check_act()
    }

    fn check_names(&self) -> Result<(), String> {
        if !matches!(self.principal_kind.as_str(), "human" | "workload" | "agent") {
            return Err("principal_kind is human, workload or agent".to_owned());
        }
        let must = [("signer", &self.signer), ("principal", &self.principal), ("requester", &self.requester)];
        let may = [("request", &self.request), ("session", &self.session), ("acting_for", &self.acting_for)];
        let more = [("account", &self.account), ("role", &self.role)];
        let may = may.into_iter().chain(more).filter_map(|(what, name)| Some((what, name.as_ref()?)));
        must.into_iter().chain(may).try_for_each(|(what, name)| check_text(what, name, NAME_BYTES_MAX))
    }

    /// What this act has to have, and what it can't have.
    fn check_act(&self) -> Result<(), String> {
        let word = self.act.as_str();
        let asked = self.act.of_request();
        let terms = [self.request.is_some(), self.seconds.is_some(), self.needs.is_some()];
        if terms.iter().any(|there| *there != asked) || (self.opens_before.is_some() && !asked) {
            let how = if asked { "has" } else { "has none of" };
            return Err(format!("who would {word} {how} request, seconds, needs and opens_before"));
        }
        match (self.act, self.session.is_some()) {
            (Act::Approve, true) => return Err("a session that is there is not approved: extend it".to_owned()),
            (Act::Extend | Act::Review | Act::Revoke, false) => return Err(format!("who would {word} names a session")),
            _ => {}
        }
        if matches!(self.act, Act::Deny | Act::Review | Act::Revoke) && self.remark.is_none() {
            return Err(format!("who would {word} says why (remark)"));
        }
        if self.seconds == Some(0) || self.seconds.is_some_and(|seconds| seconds > u64::from(u32::MAX)) {
            return Err("seconds are 1 to 2^32 - 1".to_owned());
        }
        // Nobody's approval is needed where a standing rule grants what is asked for.
        if self.needs.is_some_and(|needs| needs > NEEDS_MAX || (needs == 0 && self.act != Act::Request)) {
            return Err(format!("needs are 1 to {NEEDS_MAX}"));
        }
        let writable = self.opens_before.is_none_or(|at| instant::write(at).is_some());
        if writable { Ok(()) } else { Err("opens_before is a whole second of the years 1970 to 9999".to_owned()) }
    }
}

/// For people, a line a member: what they are shown before they sign.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let act = match (self.act, self.session.is_some()) {
            (Act::Request, true) => "ask for more time",
            (Act::Request, false) => "ask for a session",
            (Act::Approve, _) => "approve a session",
            (Act::Deny, _) => "deny",
            (Act::Extend, _) => "give a session more time",
            (Act::Review, _) => "review a session",
            (Act::Revoke, _) => "end a session",
        };
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let seconds =
            self.seconds.map(|seconds| format!("{seconds} s ({} h {} min {} s)", seconds / 3600, seconds / 60 % 60, seconds % 60));
        let some = |text: &String| Some(text.clone());
        let lines = [
            ("you", Some(act.to_owned())),
            ("as", some(&self.signer)),
            ("gateway", some(&self.gateway)),
            ("window", some(&self.window)),
            ("request", self.request.clone()),
            ("session", self.session.clone()),
            ("principal", Some(format!("{} ({})", self.principal, self.principal_kind))),
            ("acting for", self.acting_for.clone()),
            ("known by", some(&self.basis)),
            ("account", self.account.clone()),
            ("role", self.role.clone()),
            ("asked by", some(&self.requester)),
            ("reason", some(&self.reason)),
            ("for", seconds),
            ("approvals needed", number(self.needs)),
            ("not after", self.opens_before.and_then(instant::write)),
            ("remark", self.remark.clone()),
        ];
        for (name, value) in lines.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            writeln!(f, "{name:>16}  {value}")?;
        }
        Ok(())
    }
}

/// Why a signed statement is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// The statement.
    #[error(transparent)]
    Statement(#[from] BadStatement),
    /// The signature.
    #[error("the signature: {0}")]
    Signature(#[from] SignatureError),
}

/// A statement whose signature holds, and the key that made it. Whose key it is, that does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    statement: Statement,
    text: String,
    signature: String,
    key: PublicKey,
}

impl Signed {
    /// Checks a statement, with or without its newline, and the signature over it, in armour.
    pub fn check(text: &str, armoured: &str) -> Result<Self, SignedError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let statement = Statement::parse(text)?;
        let key = sshsig::check(format!("{text}\n"), armoured, NAMESPACE)?;
        Ok(Self { statement, text: text.to_owned(), signature: sshsig::canonical(armoured)?, key })
    }

    /// What was said.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Member `statement` of a record's `detail`: the line without its newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Member `signature` of a record's `detail`.
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// The key that signed; its fingerprint is member `key` of a record's `detail`.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// A text to read: 1 to so many bytes, not blank, without characters that break lines, are not seen, or turn others around.
fn check_text(what: &str, text: &str, bytes_max: usize) -> Result<(), String> {
    if text.trim_matches(' ').is_empty() || text.len() > bytes_max || !text.chars().all(is_plain) {
        return Err(format!("{what} is one line of 1 to {bytes_max} bytes, without characters that are not seen"));
    }
    Ok(())
}

/// Whether a character looks like itself, and leaves others as they are. FORMAT.md §14 lists those that don't.
fn is_plain(c: char) -> bool {
    !matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

mod written_instant {
    use crate::instant;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(at: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        at.and_then(instant::write).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| instant::read(&text).ok_or_else(|| D::Error::custom("opens_before is no instant"))).transpose()
    }
}
