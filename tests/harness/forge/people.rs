//! People with keys, and a window whose sessions rest on what they signed: asked for, approved, denied, extended, reviewed.

use super::story::Rows;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;
use sealgate_schema::{
    Chain, Hash, LedgerId, Payload, instant,
    payload::Capture,
    public_key::PublicKey,
    record::{Fields, Kind},
    sshsig::{self, NAMESPACE},
    statement::{Act, STATEMENT_FORMAT, Statement},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// When the window begins: a record a second.
pub const BEGIN: i64 = 1_790_000_000_000_000;

/// Somebody with an ed25519 key, the same one each time.
#[derive(Debug)]
pub struct Person {
    /// Their name.
    pub name: String,
    key: Ed25519KeyPair,
}

impl Person {
    /// Who is called so, with the key of `seed`.
    pub fn new(name: &str, seed: u8) -> Self {
        Self { name: name.to_owned(), key: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    /// Who is known to the file of signers.
    pub fn known(name: &str) -> Self {
        let place = PEOPLE.iter().position(|known| *known == name).unwrap();
        Self::new(name, 100 + place as u8)
    }

    /// With the same key in another name.
    pub fn called(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        PublicKey::from_blob(&[string(b"ssh-ed25519"), string(self.key.public_key().as_ref())].concat()).unwrap()
    }

    /// What says that they are who they are, where they prove it with the key.
    pub fn basis(&self) -> String {
        format!("ssh {}", self.public().fingerprint())
    }

    /// Signs, and puts the statement into a record's detail.
    pub fn sign(&self, statement: &Statement, detail: &mut Value) {
        let (line, key) = (statement.to_line().unwrap(), self.public());
        let signed = self.key.sign(&sshsig::to_sign(&line, NAMESPACE));
        detail["statement"] = json!(line.trim_end());
        detail["signature"] = json!(sshsig::write(&key, NAMESPACE, "ssh-ed25519", signed.as_ref()));
        detail["signer"] = json!(statement.signer);
        detail["key"] = json!(key.fingerprint());
    }
}

/// Whose keys are in the file of signers; the last one's time is over.
pub const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "frank", "eve"];

/// The file of signers. Frank has a second name; Eve's time is over.
pub fn signers() -> String {
    let line = |name: &&str| {
        let key = Person::known(name).public();
        match *name {
            "frank" => format!("frank,frank@example.com {key}\n"),
            "eve" => format!("eve valid-before=\"20200101Z\" {key}\n"),
            name => format!("{name} {key}\n"),
        }
    };
    PEOPLE.iter().map(line).collect()
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Who acts.
    pub principal: String,
    /// What that is.
    pub kind: String,
    /// For whom.
    pub acting_for: Option<String>,
    /// What says who it is.
    pub basis: String,
    /// Who asks.
    pub requester: String,
    /// Role to assume.
    pub role: Option<String>,
    /// How long.
    pub seconds: u64,
    /// How many approvals it needs.
    pub needs: u64,
}

impl Terms {
    /// An hour of alice's.
    pub fn of_alice(basis: &str, needs: u64) -> Self {
        Self {
            principal: "alice".to_owned(),
            kind: "human".to_owned(),
            acting_for: None,
            basis: basis.to_owned(),
            requester: "alice".to_owned(),
            role: Some("arn:aws:iam::123456789012:role/restore".to_owned()),
            seconds: 3600,
            needs,
        }
    }

    /// A statement of them, by somebody.
    pub fn statement(&self, ledger: &LedgerId, act: Act, signer: &str, request: &str) -> Statement {
        let of_request = act.of_request();
        Statement {
            format: STATEMENT_FORMAT.to_owned(),
            act,
            signer: signer.to_owned(),
            remark: matches!(act, Act::Deny | Act::Review).then(|| "looked at it".to_owned()),
            gateway: ledger.gateway().to_string(),
            window: ledger.window().to_string(),
            request: of_request.then(|| request.to_owned()),
            session: None,
            principal: self.principal.clone(),
            principal_kind: self.kind.clone(),
            acting_for: self.acting_for.clone(),
            basis: self.basis.clone(),
            account: None,
            role: self.role.clone(),
            requester: self.requester.clone(),
            reason: "restore the backup".to_owned(),
            seconds: of_request.then_some(self.seconds),
            needs: of_request.then_some(self.needs),
            opens_before: of_request.then_some(BEGIN + 600_000_000),
        }
    }

    fn detail(&self, request: &str) -> Value {
        json!({ "request": request, "requester": self.requester, "by": "uid 0 (root)", "basis": self.basis, "account": null,
            "role": self.role, "reason": "restore the backup" })
    }

    /// The detail of a request.
    pub fn request(&self, request: &str) -> Value {
        let mut detail = self.detail(request);
        (detail["duration_seconds"], detail["needs"]) = (json!(self.seconds), json!(self.needs));
        detail
    }

    /// The detail of an opening or of more time, until so many microseconds since 1970.
    pub fn given(&self, request: &str, approvals: &[u64], expires: i64) -> Value {
        let mut detail = self.detail(request);
        (detail["needs"], detail["approvals"]) = (json!(self.needs), json!(approvals));
        (detail["opened_by"], detail["expires"]) = (json!("bob (ssh)"), json!(instant::write(expires).unwrap()));
        detail
    }

    fn fields(&self, kind: Kind, session: Option<&str>, detail: &Value) -> Fields {
        let text = |text: &str| text.to_owned().into();
        Fields {
            session: session.map(text),
            principal: Some(text(&self.principal)),
            principal_kind: Some(text(&self.kind)),
            acting_for: self.acting_for.as_deref().map(text),
            detail: Some(detail.to_string().into()),
            ..Fields::new(kind)
        }
    }
}

/// Records of a ledger, one a second.
struct Told<'a> {
    ledger: &'a LedgerId,
    chain: Chain,
    counts: BTreeMap<String, u64>,
    rows: Rows,
}

impl Told<'_> {
    fn tell(&mut self, fields: Fields) -> u64 {
        *self.counts.entry(fields.kind.as_str().to_owned()).or_default() += 1;
        let time = self.now();
        let record = self.chain.append(fields, time, &mut Vec::new());
        let seq = record.seq;
        self.rows.records.push((record, self.chain.head()));
        self.rows.roots.push(self.chain.root());
        seq
    }

    fn now(&self) -> i64 {
        BEGIN + self.rows.records.len() as i64 * 1_000_000
    }

    /// Somebody signs in a record of their own; `session` where there is one already.
    fn say(&mut self, kind: Kind, act: Act, who: &str, terms: &Terms, about: (&str, Option<&str>)) -> u64 {
        let (request, session) = about;
        let statement = Statement { session: session.map(str::to_owned), ..terms.statement(self.ledger, act, who, request) };
        let mut detail =
            if act == Act::Request { terms.request(request) } else { json!({ "request": request, "by": "uid 0 (root)" }) };
        if terms.needs == 0 {
            detail["needs"] = Value::Null;
            detail["rule"] = json!("nightly");
        }
        Person::known(who).sign(&statement, &mut detail);
        self.tell(terms.fields(kind, session, &detail))
    }

    fn ask(&mut self, terms: &Terms, request: &str, session: Option<&str>) {
        let fields = terms.fields(Kind::SessionRequest, session, &terms.request(request));
        self.tell(fields);
    }

    fn give(&mut self, kind: Kind, terms: &Terms, about: (&str, &str), approvals: &[u64], expires: i64) {
        let (request, session) = about;
        let fields = terms.fields(kind, Some(session), &terms.given(request, approvals, expires));
        self.tell(fields);
    }
}

/// A sealed ledger, whose records are, by `seq`:
/// 1 R-1, which alice signed · 2, 3 approved by bob and carol · 4 opens S-1 · 5 R-2, of an agent for erin · 6 approved by bob ·
/// 7 opens S-2 · 8 R-3 · 9 denied by carol · 10 R-4, which alice signed and a rule grants · 11 opens S-4 · 12 S-3, break-glass ·
/// 13 reviewed by dave · 14 R-5, more time of S-1 · 15 approved by bob · 16 extends it · 17 a refusal · 18 the close.
pub fn people(ledger: &LedgerId) -> Rows {
    let chain = Chain::new(ledger.clone());
    let rows = Rows { records: Vec::new(), payloads: Vec::new(), roots: vec![chain.root()] };
    let mut told = Told { ledger, chain, counts: BTreeMap::new(), rows };
    told.tell(Fields::new(Kind::WindowOpen));
    let alice = Person::known("alice").basis();
    let one = Terms::of_alice(&alice, 2);
    told.say(Kind::SessionRequest, Act::Request, "alice", &one, ("R-1", None));
    let approvals = ["bob", "carol"].map(|who| told.say(Kind::SessionApprove, Act::Approve, who, &one, ("R-1", None)));
    let first_end = told.now() + 3_600_000_000;
    told.give(Kind::SessionOpen, &one, ("R-1", "S-1"), &approvals, first_end);
    agent(&mut told);
    let word = Terms::of_alice("word of uid 1001 (alice)", 1);
    told.ask(&word, "R-3", None);
    told.say(Kind::SessionDeny, Act::Deny, "carol", &word, ("R-3", None));
    by_rule_and_at_once(&mut told, &alice);
    let more = Terms { needs: 1, seconds: 600, ..one };
    told.ask(&more, "R-5", Some("S-1"));
    let approved = told.say(Kind::SessionApprove, Act::Extend, "bob", &more, ("R-5", Some("S-1")));
    told.give(Kind::SessionExtend, &more, ("R-5", "S-1"), &[approved], first_end + 600_000_000);
    end(told)
}

fn agent(told: &mut Told<'_>) {
    let terms = Terms {
        principal: "agent-1".to_owned(),
        kind: "agent".to_owned(),
        acting_for: Some("erin".to_owned()),
        requester: "erin".to_owned(),
        role: None,
        ..Terms::of_alice("word of uid 1002 (erin)", 1)
    };
    told.ask(&terms, "R-2", None);
    let approved = told.say(Kind::SessionApprove, Act::Approve, "bob", &terms, ("R-2", None));
    let expires = told.now() + 3_600_000_000;
    told.give(Kind::SessionOpen, &terms, ("R-2", "S-2"), &[approved], expires);
}

fn by_rule_and_at_once(told: &mut Told<'_>, alice: &str) {
    let terms = Terms { seconds: 600, ..Terms::of_alice(alice, 0) };
    told.say(Kind::SessionRequest, Act::Request, "alice", &terms, ("R-4", None));
    let mut detail = terms.given("R-4", &[], told.now() + 600_000_000);
    (detail["needs"], detail["rule"]) = (Value::Null, json!("nightly"));
    told.tell(terms.fields(Kind::SessionOpen, Some("S-4"), &detail));
    let by = "uid 1001 (alice)";
    let glass = Terms { requester: by.to_owned(), ..Terms::of_alice("word of uid 1001 (alice)", 1) };
    let expires = instant::write(told.now() + 60_000_000).unwrap();
    let detail = json!({ "reason": "restore the backup", "expires": expires, "by": by, "opened_by": by, "break_glass": true,
        "basis": glass.basis, "account": null, "role": glass.role });
    told.tell(glass.fields(Kind::SessionOpen, Some("S-3"), &detail));
    told.say(Kind::SessionReview, Act::Review, "dave", &glass, ("", Some("S-3")));
}

fn end(mut told: Told<'_>) -> Rows {
    let mut payload = Payload::new([7; 16]);
    payload.body = Some(Bytes::from_static(b"refused"));
    (payload.body_capture, payload.body_bytes) = (Some(Capture::Full), Some(7));
    payload.body_sha256 = Some(Hash::of(&[b"refused"]));
    let refusal = Fields { payload_hash: Some(payload.commitment()), ..Fields::new(Kind::Refusal) };
    let seq = told.tell(refusal);
    told.rows.payloads.push((seq, payload));
    *told.counts.entry("window_close".to_owned()).or_default() += 1;
    let detail = json!({ "counts": told.counts }).to_string();
    told.tell(Fields { detail: Some(detail.into()), ..Fields::new(Kind::WindowClose) });
    told.rows
}
