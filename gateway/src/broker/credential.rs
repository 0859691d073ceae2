//! One credential: whose it is, what stands behind it, and when it is over.

use super::Delivery;
use aws_credential_types::Credentials;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sealgate_policies::{
    issued::{Issued, Substitute},
    session::Session,
};
use sealgate_schema::Text;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};
use zeroize::Zeroizing;

/// What a client signs with.
#[derive(Clone)]
pub struct Keys {
    /// The secret access key.
    pub secret: Zeroizing<String>,
    /// The session token, without which the secret is worth nothing here.
    pub token: Zeroizing<String>,
}

impl Keys {
    fn new() -> Self {
        Self { secret: random::<30>(), token: random::<33>() }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(masked)")
    }
}

/// The real credential behind a child.
#[derive(Debug, Clone)]
pub struct Real {
    /// It. Its own `Debug` masks the secrets.
    pub credentials: Credentials,
    /// When it expires, in microseconds since 1970 UTC.
    pub expires: Option<i64>,
}

impl Real {
    pub(super) fn of(issued: &Issued) -> Self {
        Self::new(issued.access_key_id(), issued.secret(), issued.token(), issued.expires())
    }

    pub(super) fn new(id: &str, secret: &str, token: &str, expires: Option<i64>) -> Self {
        let at = expires.and_then(|micros| u64::try_from(micros).ok()).map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
        Self { credentials: Credentials::new(id, secret, Some(token.to_owned()), at, "sealgate"), expires }
    }
}

/// How a credential ended before its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It, or one that it comes from, was revoked.
    Revoked,
    /// Its time is over.
    Expired,
}

impl Ended {
    /// As a sentence ends with it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "was revoked",
            Self::Expired => "has expired",
        }
    }

    /// Whether calls under way are cut: as with the cloud's own, what an expired credential began may end.
    pub fn cuts(self) -> bool {
        self == Self::Revoked
    }
}

/// A credential that was made here.
#[derive(Debug)]
pub struct Brokered {
    /// The access key id.
    pub id: Text,
    /// The session that it is good in, whatever that one's state.
    pub session: Arc<Session>,
    /// The credential that was used to get it.
    pub parent: Option<Arc<Brokered>>,
    /// When it was made, in microseconds since 1970 UTC.
    pub issued: i64,
    keys: Keys,
    delivery: Option<Delivery>,
    expires: Option<i64>,
    real: Option<Real>,
    revoked: AtomicBool,
}

impl Brokered {
    pub(super) fn new(id: Text, session: Arc<Session>, issued: i64) -> Self {
        let (keys, revoked) = (Keys::new(), AtomicBool::new(false));
        Self { id, session, parent: None, issued, keys, delivery: None, expires: None, real: None, revoked }
    }

    pub(super) fn for_delivery(self, delivery: Delivery, expires: Option<i64>) -> Self {
        Self { delivery: Some(delivery), expires, ..self }
    }

    pub(super) fn for_real(self, parent: Option<Arc<Brokered>>, real: Real) -> Self {
        Self { parent, expires: real.expires, real: Some(real), ..self }
    }

    pub(super) fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// The secret that its holder signs with.
    pub fn secret(&self) -> &str {
        &self.keys.secret
    }

    /// The token that goes with it.
    pub fn token(&self) -> &str {
        &self.keys.token
    }

    /// How tools get it; `None` for a child.
    pub fn delivery(&self) -> Option<Delivery> {
        self.delivery
    }

    /// The real credential behind a child; behind a session's own stands that of its account.
    pub fn real(&self) -> Option<&Credentials> {
        self.real.as_ref().map(|real| &real.credentials)
    }

    pub(super) fn stored(&self) -> (Option<i64>, Option<&Real>) {
        (self.expires, self.real.as_ref())
    }

    /// When it is over, in microseconds since 1970 UTC: never after its session.
    pub fn expires(&self) -> i64 {
        let session = self.session.expires();
        self.expires.map_or(session, |own| own.min(session))
    }

    /// Whether and how it ended; of its session nothing is said.
    pub fn ended(&self, now: i64) -> Option<Ended> {
        if self.is_revoked() {
            return Some(Ended::Revoked);
        }
        self.expires.is_some_and(|expires| expires <= now).then_some(Ended::Expired)
    }

    /// Whether it, or one that it comes from, was revoked.
    pub fn is_revoked(&self) -> bool {
        let (mut one, mut revoked) = (Some(self), false);
        while let Some(credential) = one {
            revoked |= credential.revoked.load(Ordering::Acquire);
            one = credential.parent.as_deref();
        }
        revoked
    }

    /// Revokes it. Whether that is new.
    pub(super) fn revoke(&self) -> bool {
        !self.revoked.swap(true, Ordering::AcqRel)
    }

    /// Its id, its parent's, and so on to the session's own.
    pub fn chain(&self) -> Vec<Text> {
        let (mut ids, mut one) = (Vec::new(), Some(self));
        while let Some(credential) = one {
            ids.push(credential.id.clone());
            one = credential.parent.as_deref();
        }
        ids
    }

    /// What the client gets in place of the real one.
    pub fn handed_out(&self) -> Substitute<'_> {
        Substitute { access_key_id: &self.id, secret: self.secret(), token: self.token(), expires: Some(self.expires()) }
    }
}

/// A real credential that was seen in an answer, and went out: nothing of it is kept but its id and a hash of its token.
#[derive(Debug)]
pub struct Learnt {
    /// The access key id.
    pub id: Text,
    /// The session in which it was got.
    pub session: Arc<Session>,
    /// When, in microseconds since 1970 UTC.
    pub issued: i64,
    parents: Vec<Text>,
    token: TokenHash,
    expires: Option<i64>,
    parent: Option<Arc<Brokered>>,
    revoked: AtomicBool,
}

impl Learnt {
    pub(super) fn new(
        id: Text,
        session: Arc<Session>,
        parents: Vec<Text>,
        token: TokenHash,
        issued: i64,
        expires: Option<i64>,
        parent: Option<Arc<Brokered>>,
    ) -> Self {
        Self { id, session, issued, parents, token, expires, parent, revoked: AtomicBool::new(false) }
    }

    /// Its id, and those of the credentials that were used to get it.
    pub fn chain(&self) -> Vec<Text> {
        std::iter::once(&self.id).chain(&self.parents).cloned().collect()
    }

    /// Whether and how it ended: here it is refused; elsewhere the gateway has no say.
    pub fn ended(&self, now: i64) -> Option<Ended> {
        if self.revoked.load(Ordering::Acquire) || self.parent.as_ref().is_some_and(|parent| parent.is_revoked()) {
            return Some(Ended::Revoked);
        }
        self.expires.is_some_and(|expires| expires <= now).then_some(Ended::Expired)
    }

    /// When it is over, in microseconds since 1970 UTC: the real one may outlive its session, and is then nobody's here.
    pub fn expires(&self) -> i64 {
        self.expires.map_or(self.session.expires(), |own| own.min(self.session.expires()))
    }

    pub(super) fn revoke(&self) -> bool {
        !self.revoked.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_its(&self, token: &str) -> bool {
        self.token == TokenHash::of(token)
    }

    pub(super) fn stored(&self) -> (&TokenHash, Option<i64>, bool) {
        (&self.token, self.expires, self.revoked.load(Ordering::Acquire))
    }
}

/// SHA-256 of a token, in hex. Compared as it is: who can choose a hash can't choose a token for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHash(pub(super) String);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        Self(sealgate_schema::Hash(Sha256::digest(token.as_bytes()).into()).to_string())
    }
}

/// A new access key id: `ASIA`, which says "temporary" to tools, and 80 random bits in the letters that AWS uses.
pub(super) fn new_id() -> Text {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = |byte: u8| ALPHABET.get(usize::from(byte & 31)).map_or('A', |letter| char::from(*letter));
    let letters: String = fill::<16>().iter().map(|byte| letter(*byte)).collect();
    format!("ASIA{letters}").into()
}

/// So many random bytes, in letters that no shell and no answer has to escape.
fn random<const BYTES: usize>() -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(fill::<BYTES>().as_slice()))
}

fn fill<const BYTES: usize>() -> Zeroizing<[u8; BYTES]> {
    let mut random = Zeroizing::new([0; BYTES]);
    #[expect(clippy::expect_used, reason = "aws-lc's generator aborts the process before it fails")]
    aws_lc_rs::rand::fill(&mut *random).expect("the random generator works");
    random
}
