//! What sessions rest on: who asked, who approved, who reviewed, and whether that is what they signed (`schema/FORMAT.md` §14).
//!
//! That a key signed a statement is arithmetic (L2). Whose key it is, only the caller's file of signers says (L6). What one record
//! says is read by [`super::statements`].

use super::{
    Level,
    statements::{Faults, Said, Vouched, detail_of, read, same_terms},
};
use crate::{
    LedgerId, Record, Text,
    allowed_signers::AllowedSigners,
    instant,
    record::Kind,
    statement::{Act, NEEDS_MAX, Statement},
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How a `basis` begins that is an SSH key.
const SSH_BASIS: &str = "ssh ";

/// How far an opening may be from what was approved: a clock that moved between a decision and its record.
pub const GRACE_MICROS: i64 = 60_000_000;

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
    /// Who signed that they ask for it.
    pub asked: Option<Vouched>,
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

/// A statement that stands before, and when the ledger took its record.
#[derive(Debug)]
struct Before {
    said: Said,
    time: i64,
}

impl Before {
    fn statement(&self) -> &Statement {
        self.said.signed.statement()
    }
}

/// What the records so far say.
#[derive(Debug, Default)]
pub(super) struct People {
    approvals: BTreeMap<u64, Before>,
    /// Requests that records make, signed or not.
    made: HashSet<String>,
    /// Signed requests, by their id.
    requests: HashMap<String, Before>,
    /// Requests that something was opened or extended on.
    used: HashSet<String>,
    opened: Vec<Opened>,
    by_id: HashMap<Text, usize>,
    reviews: Vec<Review>,
}

impl People {
    /// Takes the next record; returns what does not hold of it.
    pub(super) fn take(&mut self, ledger: &LedgerId, record: &Record, signers: Option<&AllowedSigners>) -> Faults {
        let mut faults = Faults::new();
        let said = read(ledger, record, signers, &mut faults);
        self.made(record, &mut faults);
        match record.fields.kind {
            Kind::SessionOpen => self.open(record, said, &mut faults),
            Kind::SessionExtend => self.extend(record, &mut faults),
            _ => self.said(record, said, &mut faults),
        }
        faults
    }

    /// The sessions, and the reviews that may be of any window.
    pub(super) fn finish(self) -> (Vec<Opened>, Vec<Review>) {
        (self.opened, self.reviews)
    }

    /// What is given on a request is given on one that was made.
    fn made(&mut self, record: &Record, faults: &mut Faults) {
        let kind = &record.fields.kind;
        if !matches!(kind, Kind::SessionRequest | Kind::SessionOpen | Kind::SessionExtend) {
            return;
        }
        let Some(request) = detail_of(record).get("request").and_then(Value::as_str).map(str::to_owned) else { return };
        if *kind == Kind::SessionRequest {
            self.made.insert(request);
        } else if !self.made.contains(&request) {
            faults.push((Level::L2, "it rests on a request that no record before it makes".to_owned()));
        }
    }

    /// Keeps what a record holds for those that rest on it.
    fn said(&mut self, record: &Record, said: Option<Said>, faults: &mut Faults) {
        let Some(said) = said else { return };
        let statement = said.signed.statement().clone();
        let before = Before { said, time: record.time };
        match statement.act {
            Act::Approve | Act::Extend => {
                self.approvals.insert(record.seq, before);
            }
            Act::Review => self.reviews.push(Review { statement, vouched: before.said.vouched }),
            Act::Request => {
                if self.requests.insert(statement.request.unwrap_or_default(), before).is_some() {
                    faults.push((Level::L2, "what was asked for with this signature was asked for before".to_owned()));
                }
            }
            Act::Deny | Act::Revoke => {}
        }
    }

    fn open(&mut self, record: &Record, said: Option<Said>, faults: &mut Faults) {
        let detail = detail_of(record);
        let Some(session) = record.fields.session.clone() else { return };
        let expires = detail.get("expires").and_then(Value::as_str).and_then(instant::read);
        let own = said.as_ref().and_then(|said| said.signed.statement().request.clone());
        self.said(record, said, faults);
        let mut given = Given { record, detail: &detail, terms: &detail, act: Act::Approve, from: None, expires, asked_by: None };
        let asked = match self.asked(&given, own.as_deref()) {
            Ok(asked) => asked,
            Err(what) => {
                faults.push((Level::L2, what.to_owned()));
                None
            }
        };
        given.asked_by = asked.as_ref().map(|asked| asked.key.as_str());
        let ground = self.ground(&given, faults);
        let fields = &record.fields;
        let opened = Opened {
            session: session.clone(),
            seq: record.seq,
            principal: fields.principal.clone(),
            principal_kind: fields.principal_kind.clone(),
            acting_for: fields.acting_for.clone(),
            asked,
            ground,
            extensions: Vec::new(),
            reviews: Vec::new(),
            detail,
            expires,
        };
        self.by_id.insert(session, self.opened.len());
        self.opened.push(opened);
    }

    /// Who signed that they ask for a session: in its own record, which then names the request `own`, or in one before. One whose
    /// principal is known by an SSH key has to have been asked for with it.
    fn asked(&self, given: &Given<'_>, own: Option<&str>) -> Result<Option<Vouched>, &'static str> {
        let request = own.or_else(|| given.detail.get("request").and_then(Value::as_str));
        let before = request.and_then(|request| self.requests.get(request));
        let basis = given.detail.get("basis").and_then(Value::as_str).and_then(|basis| basis.strip_prefix(SSH_BASIS));
        let Some(before) = before else {
            return if basis.is_some() { Err("its principal is known by an SSH key that did not ask for it") } else { Ok(None) };
        };
        if own.is_none() {
            same_terms(before.statement(), given.record, given.detail).map_err(|_| "it is not what its request asked for")?;
        }
        if basis.is_some_and(|key| key != before.said.vouched.key) {
            return Err("its principal is known by another SSH key than the one that asked for it");
        }
        let seconds = before.statement().seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(i64::MAX);
        let until = given.record.time.saturating_add(seconds.saturating_mul(1_000_000)).saturating_add(GRACE_MICROS);
        match given.expires.is_some_and(|expires| expires <= until) {
            true => Ok(Some(before.said.vouched.clone())),
            false => Err("it gives more time than was asked for, or does not say how much"),
        }
    }

    fn extend(&mut self, record: &Record, faults: &mut Faults) {
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
        let given = Given { record, detail: &detail, terms: &terms, act: Act::Extend, from, expires, asked_by: None };
        let ground = self.ground(&given, faults);
        if let Some(opened) = place.and_then(|place| self.opened.get_mut(place)) {
            opened.extensions.push((record.seq, ground));
            opened.expires = expires;
        }
    }

    /// What a session or more time rests on, and what is wrong with that.
    fn ground(&mut self, given: &Given<'_>, faults: &mut Faults) -> Ground {
        let detail = given.detail;
        let word = |name: &str| detail.get(name).and_then(Value::as_str).map(str::to_owned);
        let by = word("opened_by").or_else(|| word("by")).unwrap_or_default();
        let none = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        let claims = ["needs", "approvals"].iter().any(|name| detail.get(*name).is_some_and(|value| !none(value)));
        let break_glass = detail.get("break_glass").and_then(Value::as_bool) == Some(true);
        match (claims, break_glass, word("rule")) {
            (true, false, None) => match self.approved(given) {
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
    fn approved(&mut self, given: &Given<'_>) -> Result<Vec<Vouched>, Fault> {
        let needs = given.detail.get("needs").and_then(Value::as_u64).filter(|needs| (1..=NEEDS_MAX).contains(needs));
        let needs = needs.ok_or("it does not say how many approvals it needs")?;
        let seqs = given.detail.get("approvals").and_then(Value::as_array).ok_or("it names no approvals")?;
        if seqs.len() as u64 > NEEDS_MAX {
            return Err("it names more approvals than anything needs".into());
        }
        let mut counted: Vec<(u64, &Before)> = Vec::new();
        for seq in seqs {
            let seq = seq.as_u64().ok_or("its approvals are not the seqs of records")?;
            let approval = self.approvals.get(&seq);
            let approval = approval.ok_or_else(|| format!("record {seq} is no approval that holds and stands before it"))?;
            given.fits(approval).map_err(|what| format!("the approval in record {seq} is of {what}"))?;
            let by = &approval.said.vouched;
            let same = |other: &Vouched| other.key == by.key || other.signer == by.signer;
            if let Some((other, _)) = counted.iter().find(|(_, other)| same(&other.said.vouched)) {
                return Err(format!("records {other} and {seq} are approvals by one person").into());
            }
            if let Some((other, _)) = counted.iter().find(|(_, other)| !other.said.names.is_disjoint(&approval.said.names)) {
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
        let request = counted.first().and_then(|(_, approval)| approval.statement().request.clone()).unwrap_or_default();
        let vouched = counted.into_iter().map(|(_, approval)| approval.said.vouched.clone()).collect();
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
    /// The key that asked for it, where that is known.
    asked_by: Option<&'a str>,
}

impl Given<'_> {
    /// Whether an approval is to just this; else, what it is of.
    fn fits(&self, approval: &Before) -> Result<(), &'static str> {
        let statement = approval.statement();
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
        if self.asked_by == Some(approval.said.vouched.key.as_str()) {
            return Err("what its own key asks for");
        }
        if statement.opens_before.is_some_and(|before| approval.time >= before.saturating_add(GRACE_MICROS)) {
            return Err("a time at which it did not count any more");
        }
        Ok(())
    }

    /// Whether the time that is given ends when the approvals say: so long after the last of them, or after the session's end before.
    fn ends(&self, approvals: &[(u64, &Before)]) -> bool {
        let seconds = approvals.iter().filter_map(|(_, approval)| approval.statement().seconds).min().unwrap_or_default();
        let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let last = approvals.iter().map(|(_, approval)| approval.time).max();
        let from = match self.act {
            Act::Approve => last.map(|last| last.saturating_add(GRACE_MICROS)),
            _ => self.from,
        };
        self.expires.zip(from).is_some_and(|(expires, from)| expires <= from.saturating_add(micros))
    }
}

impl Opened {
    /// Takes a review that names this session; says where it is of something else.
    pub(super) fn review(&mut self, review: &Review) -> Result<(), &'static str> {
        let mut record = Record { seq: self.seq, time: 0, fields: crate::record::Fields::new(Kind::SessionOpen) };
        record.fields.principal = self.principal.clone();
        record.fields.principal_kind = self.principal_kind.clone();
        record.fields.acting_for = self.acting_for.clone();
        same_terms(&review.statement, &record, &self.detail)?;
        if self.asked.as_ref().is_some_and(|asked| asked.key == review.vouched.key) {
            return Err("a session that its own key asked for");
        }
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
