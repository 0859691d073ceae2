//! The statement that a record holds: signed, of what the record says, and by whose key (`schema/FORMAT.md` §14).
//!
//! One record alone. What a session rests on, [`super::people`] says.

use super::Level;
use crate::{
    LedgerId, Record, Text,
    allowed_signers::AllowedSigners,
    record::Kind,
    sshsig::NAMESPACE,
    statement::{Act, Signed, Statement},
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Who vouches for something, by a signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The name that they sign as.
    pub signer: String,
    /// Fingerprint of the key.
    pub key: String,
    /// Whether the key is theirs by the caller's file; nothing where there is none, or where it says nothing of who asked.
    pub theirs: Option<bool>,
    /// The record that holds the statement, in its own ledger.
    pub seq: u64,
    /// The window of that ledger.
    pub window: Text,
}

/// What does not hold.
pub(super) type Faults = Vec<(Level, String)>;

/// A statement whose signature holds.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) signed: Signed,
    pub(super) vouched: Vouched,
    /// Names that the caller's file spells out for the key, the signer's with them.
    pub(super) names: BTreeSet<String>,
}

/// The statement of a record shown alone, where it holds one.
pub fn statement_of(
    ledger: &LedgerId,
    record: &Record,
    signers: Option<&AllowedSigners>,
) -> Result<Option<Vouched>, (Level, String)> {
    let mut faults = Faults::new();
    let said = read(ledger, record, signers, &mut faults);
    match faults.into_iter().min_by_key(|(level, _)| *level) {
        Some(fault) => Err(fault),
        None => Ok(said.map(|said| said.vouched)),
    }
}

/// The statement of a record, where it holds one as it has to.
pub(super) fn read(ledger: &LedgerId, record: &Record, signers: Option<&AllowedSigners>, faults: &mut Faults) -> Option<Said> {
    let acts = acts_of(&record.fields.kind)?;
    let must = must_be_signed(&record.fields.kind);
    let detail = detail_of(record);
    if !must && detail.get("statement").is_none_or(Value::is_null) {
        return None;
    }
    let signed = match signed(ledger, record, &detail, acts) {
        Ok(signed) => signed,
        Err(what) => {
            faults.push((Level::L2, what));
            return None;
        }
    };
    let theirs = signers.and_then(|signers| whose(signers, &signed, record.time, faults));
    let mut names = BTreeSet::from([signed.statement().signer.clone()]);
    if let Some(signers) = signers {
        names.extend(signers.names(signed.key(), NAMESPACE, record.time).into_iter().map(str::to_owned));
    }
    if must && let Some(name) = names.iter().find(|name| is_involved(signed.statement(), name)) {
        let what = format!("{name:?} signs, who asked, acts, or is acted for: somebody else has to");
        if *name == signed.statement().signer {
            faults.push((Level::L2, what));
            return None;
        }
        // By another name of the key, which only the caller's file has.
        faults.push((Level::L6, what));
    }
    let (signer, key) = (signed.statement().signer.clone(), signed.key().fingerprint());
    let vouched = Vouched { signer, key, theirs, seq: record.seq, window: ledger.window().clone() };
    Some(Said { signed, vouched, names })
}

/// Whether the key is the signer's. Of who asks, a file of approvers need not know anything.
fn whose(signers: &AllowedSigners, signed: &Signed, at: i64, faults: &mut Faults) -> Option<bool> {
    let (statement, key) = (signed.statement(), signed.key());
    if statement.act == Act::Request && !signers.mentions(&statement.signer, key) {
        return None;
    }
    let found = signers.finds(&statement.signer, key, NAMESPACE, at);
    if let Err(why) = found {
        faults.push((Level::L6, format!("key {} is not {:?}'s: {why}", key.fingerprint(), statement.signer)));
    }
    Some(found.is_ok())
}

/// What may be signed in a record of this kind.
fn acts_of(kind: &Kind) -> Option<&'static [Act]> {
    match kind {
        Kind::SessionRequest | Kind::SessionOpen => Some(&[Act::Request]),
        Kind::SessionApprove => Some(&[Act::Approve, Act::Extend]),
        Kind::SessionDeny => Some(&[Act::Deny]),
        Kind::SessionReview => Some(&[Act::Review]),
        Kind::SessionRevoke => Some(&[Act::Revoke]),
        _ => None,
    }
}

fn must_be_signed(kind: &Kind) -> bool {
    matches!(kind, Kind::SessionApprove | Kind::SessionReview)
}

/// Reads the statement of a record: signed, and of what the record says.
fn signed(ledger: &LedgerId, record: &Record, detail: &Map<String, Value>, acts: &[Act]) -> Result<Signed, String> {
    let text = |name: &str| detail.get(name).and_then(Value::as_str).ok_or_else(|| format!("its detail has no text {name:?}"));
    let (line, armoured) = (text("statement")?, text("signature")?);
    let signed = Signed::check(line, armoured).map_err(|error| error.to_string())?;
    let statement = signed.statement();
    if signed.text() != line || signed.signature() != armoured {
        return Err("the statement or its signature is not written as it has to be".to_owned());
    }
    if text("signer")? != statement.signer || text("key")? != signed.key().fingerprint() {
        return Err("signer or key are not those of the signed statement".to_owned());
    }
    if !acts.contains(&statement.act) {
        return Err(format!("its statement is to {}", statement.act.as_str()));
    }
    let window = statement.act == Act::Review || statement.window == **ledger.window();
    if statement.gateway != **ledger.gateway() || !window {
        return Err("its statement is of another gateway or window".to_owned());
    }
    // Who asks for a session that is opened at once can't know its id.
    let session = record.fields.session.as_deref().filter(|_| record.fields.kind != Kind::SessionOpen);
    if statement.session.as_deref() != session {
        return Err("its statement is of another session".to_owned());
    }
    same_principal(statement, record).map_err(|what| format!("its statement is of {what}"))?;
    if statement.act == Act::Request {
        asks_for(statement, record, detail).map_err(|what| format!("its statement asks for {what}"))?;
    }
    Ok(signed)
}

/// Whether a statement that asks for something asks for what its record says.
fn asks_for(statement: &Statement, record: &Record, detail: &Map<String, Value>) -> Result<(), &'static str> {
    if statement.signer != statement.requester {
        return Err("somebody else, who did not sign");
    }
    let number = |name: &str| detail.get(name).and_then(Value::as_u64);
    let by_rule = detail.get("rule").is_some_and(Value::is_string);
    if record.fields.kind == Kind::SessionRequest {
        let needs = if by_rule { Some(0) } else { number("needs") };
        let request = detail.get("request").and_then(Value::as_str);
        if statement.request.as_deref() != request || statement.seconds != number("duration_seconds") || statement.needs != needs {
            return Err("another request, another time, or one that needs more or fewer approvals");
        }
        return same_terms(statement, record, detail);
    }
    if statement.needs != Some(0) {
        return Err("a session that others approve");
    }
    // Who opened it is whoever sent the statement; who asked is who signed it.
    let mut terms = detail.clone();
    terms.insert("requester".to_owned(), statement.requester.clone().into());
    same_terms(statement, record, &terms)
}

/// Whether a statement is of what the record of a session says.
pub(super) fn same_terms(statement: &Statement, record: &Record, terms: &Map<String, Value>) -> Result<(), &'static str> {
    same_principal(statement, record)?;
    let requester = ["requester", "opened_by"].iter().find_map(|name| terms.get(*name).filter(|value| !value.is_null()));
    let texts = [
        (terms.get("account"), statement.account.as_deref(), "another account"),
        (terms.get("role"), statement.role.as_deref(), "another role"),
        (terms.get("basis"), Some(statement.basis.as_str()), "a principal who is known by something else"),
        (requester, Some(statement.requester.as_str()), "what somebody else asked for"),
        (terms.get("reason"), Some(statement.reason.as_str()), "another reason"),
    ];
    let same = |said: Option<&Value>, text: Option<&str>| match said {
        None | Some(Value::Null) => text.is_none(),
        Some(said) => said.as_str().is_some() && said.as_str() == text,
    };
    texts.into_iter().find(|(said, text, _)| !same(*said, *text)).map_or(Ok(()), |(_, _, what)| Err(what))
}

fn same_principal(statement: &Statement, record: &Record) -> Result<(), &'static str> {
    let fields = &record.fields;
    let same = fields.principal.as_deref() == Some(&statement.principal)
        && fields.principal_kind.as_deref() == Some(&statement.principal_kind)
        && fields.acting_for.as_deref() == statement.acting_for.as_deref();
    if same { Ok(()) } else { Err("another principal") }
}

/// Whether a name is one that can't vouch for what a statement is about.
fn is_involved(statement: &Statement, name: &str) -> bool {
    [&statement.principal, &statement.requester].into_iter().chain(&statement.acting_for).any(|involved| involved == name)
}

/// The `detail` of a record; empty where it is no JSON object.
pub(super) fn detail_of(record: &Record) -> Map<String, Value> {
    record.fields.detail.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}
