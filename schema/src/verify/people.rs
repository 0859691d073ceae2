//! What people signed: statements in the records of sessions, and whether each opening rests on those that it names
//! (`schema/FORMAT.md` §14).
//!
//! That a key signed a statement is arithmetic (L2). Whose key it is, only the caller's file of signers says (L6).

use super::Level;
use crate::{
    LedgerId, Record, Text,
    allowed_signers::AllowedSigners,
    instant,
    public_key::PublicKey,
    record::Kind,
    sshsig::NAMESPACE,
    statement::{Act, NEEDS_MAX, Signed, Statement},
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How far an opening may be from what was approved: a clock that moved between a decision and its record.
pub const GRACE_MICROS: i64 = 60_000_000;

/// Who vouches for something, by a signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The name that they sign as. Whether it is theirs, L6 says.
    pub signer: String,
    /// Fingerprint of the key.
    pub key: String,
    /// The record that holds the statement, in its own ledger.
    pub seq: u64,
    /// The window of that ledger.
    pub window: Text,
}

/// What a session, or more time of one, rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// Approvals of people.
    Approvals(Vec<Vouched>),
    /// A standing rule of the gateway's configuration: no person signed.
    Rule(String),
    /// Somebody's word at the gateway: nobody signed.
    Word(String),
    /// Nobody was asked; a review is owed.
    BreakGlass(String),
}

/// A session that the ledger opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its id.
    pub session: Text,
    /// Its `session_open`.
    pub seq: u64,
    /// Who acts.
    pub principal: Option<Text>,
    /// What the principal is.
    pub principal_kind: Option<Text>,
    /// For whom.
    pub acting_for: Option<Text>,
    /// What it rests on.
    pub ground: Ground,
    /// More time that it got: the record, and what that rests on.
    pub extensions: Vec<(u64, Ground)>,
    /// Who signed that they looked at it.
    pub reviews: Vec<Vouched>,
    detail: Map<String, Value>,
    expires: Option<i64>,
}

/// A review of a session, perhaps of another window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Review {
    pub(super) statement: Statement,
    pub(super) vouched: Vouched,
}

/// What was approved.
#[derive(Debug)]
struct Approval {
    statement: Statement,
    /// When the ledger took its record.
    time: i64,
    key: PublicKey,
    /// Names that the caller's file spells out for the key, the signer's with them.
    names: BTreeSet<String>,
}

/// What the records so far say.
#[derive(Debug, Default)]
pub(super) struct People {
    approvals: BTreeMap<u64, Approval>,
    /// Requests that something was opened or extended on.
    used: HashSet<String>,
    opened: Vec<Opened>,
    by_id: HashMap<Text, usize>,
    reviews: Vec<Review>,
}

/// What does not hold.
type Faults = Vec<(Level, String)>;

impl People {
    /// Takes the next record; returns what does not hold of it.
    pub(super) fn take(&mut self, ledger: &LedgerId, record: &Record, signers: Option<&AllowedSigners>) -> Faults {
        let mut faults = Faults::new();
        match &record.fields.kind {
            Kind::SessionOpen => self.open(ledger, record, &mut faults),
            Kind::SessionExtend => self.extend(ledger, record, &mut faults),
            kind => {
                if let Some(acts) = acts_of(kind) {
                    self.signed(ledger, record, acts, signers, &mut faults);
                }
            }
        }
        faults
    }

    /// The sessions, and the reviews that may be of any window.
    pub(super) fn finish(self) -> (Vec<Opened>, Vec<Review>) {
        (self.opened, self.reviews)
    }

    /// A record that holds a statement, or may.
    fn signed(&mut self, ledger: &LedgerId, record: &Record, acts: &[Act], signers: Option<&AllowedSigners>, faults: &mut Faults) {
        let must = matches!(record.fields.kind, Kind::SessionApprove | Kind::SessionReview);
        let detail = detail_of(record);
        if !must && detail.get("statement").is_none_or(Value::is_null) {
            return;
        }
        let signed = match read(ledger, record, &detail, acts) {
            Ok(signed) => signed,
            Err(what) => return faults.push((Level::L2, what)),
        };
        let (statement, key) = (signed.statement(), signed.key());
        let mut names = BTreeSet::from([statement.signer.clone()]);
        if let Some(signers) = signers {
            if let Err(why) = signers.finds(&statement.signer, key, NAMESPACE, record.time) {
                faults.push((Level::L6, format!("key {} is not {:?}'s: {why}", key.fingerprint(), statement.signer)));
            }
            names.extend(signers.names(key, NAMESPACE, record.time).into_iter().map(str::to_owned));
        }
        if must && let Some(name) = names.iter().find(|name| is_involved(statement, name)) {
            let what = format!("{name:?} signs, who asked, acts, or is acted for: somebody else has to");
            if *name == statement.signer {
                return faults.push((Level::L2, what));
            }
            // By another name of the key, which only the caller's file has.
            faults.push((Level::L6, what));
        }
        let vouched = vouched(ledger, record, &signed);
        match statement.act {
            Act::Approve | Act::Extend => {
                self.approvals
                    .insert(record.seq, Approval { statement: statement.clone(), time: record.time, key: key.clone(), names });
            }
            Act::Review => self.reviews.push(Review { statement: statement.clone(), vouched }),
            Act::Request | Act::Deny | Act::Revoke => {}
        }
    }

    fn open(&mut self, ledger: &LedgerId, record: &Record, faults: &mut Faults) {
        let detail = detail_of(record);
        let Some(session) = record.fields.session.clone() else { return };
        let expires = detail.get("expires").and_then(Value::as_str).and_then(instant::read);
        let given = Given { record, detail: &detail, terms: &detail, act: Act::Approve, from: None, expires };
        let ground = self.ground(ledger, &given, faults);
        let fields = &record.fields;
        let opened = Opened {
            session: session.clone(),
            seq: record.seq,
            principal: fields.principal.clone(),
            principal_kind: fields.principal_kind.clone(),
            acting_for: fields.acting_for.clone(),
            ground,
            extensions: Vec::new(),
            reviews: Vec::new(),
            detail,
            expires,
        };
        self.by_id.insert(session, self.opened.len());
        self.opened.push(opened);
    }

    fn extend(&mut self, ledger: &LedgerId, record: &Record, faults: &mut Faults) {
        let detail = detail_of(record);
        let place = record.fields.session.as_ref().and_then(|session| self.by_id.get(session).copied());
        let expires = detail.get("expires").and_then(Value::as_str).and_then(instant::read);
        // Account and role stay those of the opening; who asks for more time, and why, is said anew.
        let opened = place.and_then(|place| self.opened.get(place));
        let mut terms = opened.map(|opened| opened.detail.clone()).unwrap_or_default();
        for name in ["requester", "opened_by", "basis", "reason"] {
            terms.insert(name.to_owned(), detail.get(name).cloned().unwrap_or_default());
        }
        let from = opened.and_then(|opened| opened.expires);
        let given = Given { record, detail: &detail, terms: &terms, act: Act::Extend, from, expires };
        let ground = self.ground(ledger, &given, faults);
        if let Some(opened) = place.and_then(|place| self.opened.get_mut(place)) {
            opened.extensions.push((record.seq, ground));
            opened.expires = expires;
        }
    }

    /// What a session or more time rests on, and what is wrong with that.
    fn ground(&mut self, ledger: &LedgerId, given: &Given<'_>, faults: &mut Faults) -> Ground {
        let detail = given.detail;
        let word = |name: &str| detail.get(name).and_then(Value::as_str).map(str::to_owned);
        let by = word("opened_by").or_else(|| word("by")).unwrap_or_default();
        let none = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        let claims = ["needs", "approvals"].iter().any(|name| detail.get(*name).is_some_and(|value| !none(value)));
        let break_glass = detail.get("break_glass").and_then(Value::as_bool) == Some(true);
        match (claims, break_glass, word("rule")) {
            (true, false, None) => match self.approved(ledger, given) {
                Ok(vouched) => Ground::Approvals(vouched),
                Err(what) => {
                    faults.push((if what.by_file { Level::L6 } else { Level::L2 }, what.text));
                    Ground::Word(by)
                }
            },
            (false, true, None) => Ground::BreakGlass(by),
            (false, false, Some(rule)) => Ground::Rule(rule),
            (false, false, None) => Ground::Word(by),
            _ => {
                faults.push((Level::L2, "it rests on more than one of: approvals, a rule, break-glass".to_owned()));
                Ground::Word(by)
            }
        }
    }

    /// The approvals that a record names: as many as it needs, of people who are not the same, each to these terms.
    fn approved(&mut self, ledger: &LedgerId, given: &Given<'_>) -> Result<Vec<Vouched>, Fault> {
        let needs = given.detail.get("needs").and_then(Value::as_u64).filter(|needs| (1..=NEEDS_MAX).contains(needs));
        let needs = needs.ok_or("it does not say how many approvals it needs")?;
        let seqs = given.detail.get("approvals").and_then(Value::as_array).ok_or("it names no approvals")?;
        if seqs.len() as u64 > NEEDS_MAX {
            return Err("it names more approvals than anything needs".into());
        }
        let mut counted: Vec<(u64, &Approval)> = Vec::new();
        for seq in seqs {
            let seq = seq.as_u64().ok_or("its approvals are not the seqs of records")?;
            let approval = self.approvals.get(&seq);
            let approval = approval.ok_or_else(|| format!("record {seq} is no approval that holds and stands before it"))?;
            given.fits(approval).map_err(|what| format!("the approval in record {seq} is of {what}"))?;
            let statement = &approval.statement;
            if let Some((other, _)) =
                counted.iter().find(|(_, other)| other.key == approval.key || other.statement.signer == statement.signer)
            {
                return Err(format!("records {other} and {seq} are approvals by one person").into());
            }
            if let Some((other, _)) = counted.iter().find(|(_, other)| !other.names.is_disjoint(&approval.names)) {
                let text = format!("records {other} and {seq} are approvals by one person, by the names of their keys");
                return Err(Fault { text, by_file: true });
            }
            counted.push((seq, approval));
        }
        if (counted.len() as u64) < needs {
            return Err(format!("it needs {needs} approvals and has {}", counted.len()).into());
        }
        if !given.ends(&counted) {
            return Err("it gives more time than was approved, or does not say how much".into());
        }
        let request = counted.first().and_then(|(_, approval)| approval.statement.request.clone()).unwrap_or_default();
        let vouched = counted.into_iter().map(|(seq, approval)| Vouched {
            signer: approval.statement.signer.clone(),
            key: approval.key.fingerprint(),
            seq,
            window: ledger.window().clone(),
        });
        let vouched = vouched.collect();
        let first = self.used.insert(request);
        if first { Ok(vouched) } else { Err("another record rests on the same request".into()) }
    }
}

/// What does not hold of an opening; `by_file`, where only the caller's file of signers says so.
struct Fault {
    text: String,
    by_file: bool,
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Self { text, by_file: false }
    }
}

impl From<&str> for Fault {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// What a record gives: a session, or more time.
struct Given<'a> {
    record: &'a Record,
    detail: &'a Map<String, Value>,
    /// The members that statements repeat.
    terms: &'a Map<String, Value>,
    act: Act,
    /// When the session would end without the time that is given.
    from: Option<i64>,
    /// When it ends.
    expires: Option<i64>,
}

impl Given<'_> {
    /// Whether an approval is to just this; else, what it is of.
    fn fits(&self, approval: &Approval) -> Result<(), &'static str> {
        let statement = &approval.statement;
        let session = self.record.fields.session.as_deref();
        let needs = self.detail.get("needs").and_then(Value::as_u64);
        let request = self.detail.get("request").and_then(Value::as_str);
        if statement.act != self.act || (self.act == Act::Extend && statement.session.as_deref() != session) {
            return Err("something else, or of another session");
        }
        if statement.request.as_deref() != request || statement.needs != needs {
            return Err("another request, or one that needs more or fewer approvals");
        }
        same_terms(statement, self.record, self.terms)?;
        if statement.opens_before.is_some_and(|before| approval.time >= before.saturating_add(GRACE_MICROS)) {
            return Err("a time at which it did not count any more");
        }
        Ok(())
    }

    /// Whether the time that is given ends when the approvals say: so long after the last of them, or after the session's end before.
    fn ends(&self, approvals: &[(u64, &Approval)]) -> bool {
        let seconds = approvals.iter().filter_map(|(_, approval)| approval.statement.seconds).min().unwrap_or_default();
        let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let last = approvals.iter().map(|(_, approval)| approval.time).max();
        let from = match self.act {
            Act::Approve => last.map(|last| last.saturating_add(GRACE_MICROS)),
            _ => self.from,
        };
        self.expires.zip(from).is_some_and(|(expires, from)| expires <= from.saturating_add(micros))
    }
}

/// Whether a statement is of what the record of a session says.
fn same_terms(statement: &Statement, record: &Record, terms: &Map<String, Value>) -> Result<(), &'static str> {
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

/// What may be signed in a record of this kind.
fn acts_of(kind: &Kind) -> Option<&'static [Act]> {
    match kind {
        Kind::SessionRequest => Some(&[Act::Request]),
        Kind::SessionApprove => Some(&[Act::Approve, Act::Extend]),
        Kind::SessionDeny => Some(&[Act::Deny]),
        Kind::SessionReview => Some(&[Act::Review]),
        Kind::SessionRevoke => Some(&[Act::Revoke]),
        _ => None,
    }
}

/// Reads the statement of a record: signed, and of what the record says.
fn read(ledger: &LedgerId, record: &Record, detail: &Map<String, Value>, acts: &[Act]) -> Result<Signed, String> {
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
    if statement.session.as_deref() != record.fields.session.as_deref() {
        return Err("its statement is of another session".to_owned());
    }
    same_principal(statement, record).map_err(|what| format!("its statement is of {what}"))?;
    Ok(signed)
}

fn vouched(ledger: &LedgerId, record: &Record, signed: &Signed) -> Vouched {
    let (signer, key) = (signed.statement().signer.clone(), signed.key().fingerprint());
    Vouched { signer, key, seq: record.seq, window: ledger.window().clone() }
}

/// Whether a name is one that can't vouch for what a statement is about.
fn is_involved(statement: &Statement, name: &str) -> bool {
    [&statement.principal, &statement.requester].into_iter().chain(&statement.acting_for).any(|involved| involved == name)
}

/// The `detail` of a record; empty where it is no JSON object.
fn detail_of(record: &Record) -> Map<String, Value> {
    record.fields.detail.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

impl Opened {
    /// Takes a review that names this session; says where it is of something else.
    pub(super) fn review(&mut self, review: &Review) -> Result<(), &'static str> {
        let mut record = Record { seq: self.seq, time: 0, fields: crate::record::Fields::new(Kind::SessionOpen) };
        record.fields.principal = self.principal.clone();
        record.fields.principal_kind = self.principal_kind.clone();
        record.fields.acting_for = self.acting_for.clone();
        same_terms(&review.statement, &record, &self.detail)?;
        self.reviews.push(review.vouched.clone());
        Ok(())
    }

    /// Whether it was opened by break-glass, and nobody else signed that they looked at it.
    pub fn is_unreviewed(&self) -> bool {
        matches!(self.ground, Ground::BreakGlass(_)) && self.reviews.is_empty()
    }

    /// The records that give it something without a person's signature, where one is required.
    pub(super) fn unapproved(&self) -> Vec<(u64, &'static str)> {
        let lacks = |ground: &Ground| match ground {
            Ground::Approvals(_) => None,
            Ground::Rule(_) => Some("a standing rule gave it, and no person signed"),
            Ground::Word(_) => Some("it was given without approval"),
            Ground::BreakGlass(_) => self.reviews.is_empty().then_some("it was opened without approval, and nobody reviewed it"),
        };
        let all = std::iter::once((self.seq, &self.ground)).chain(self.extensions.iter().map(|(seq, ground)| (*seq, ground)));
        all.filter_map(|(seq, ground)| Some((seq, lacks(ground)?))).collect()
    }
}
