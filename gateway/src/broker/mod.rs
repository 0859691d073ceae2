//! Credentials that are made here, so that no client holds a real one.
//!
//! A session's tools sign with what [`Broker::issue`] made; an answer that hands out a real credential (AssumeRole and its kin)
//! gets a child for it by [`Broker::adopt`]. The gateway checks each signature with the secret it made, and signs again with the
//! real credential that stands behind. Where containment is off, [`Broker::learn`] remembers whose a real one is.
//!
//! - [`credential`]: what one is, and when it is over · [`ends`]: revocation, and what time takes away
//! - [`deliver`]: how tools get it · `store`: the table · `vault`: secrets at rest
//!
//! Order of an act, as in [`crate::sessions`]: what gives a right is written first, into the ledger and then the store, and takes
//! effect last; what takes one away takes effect first.

pub mod credential;
pub mod deliver;
pub mod ends;
mod store;
mod vault;

use crate::{
    clock::{Clock, rfc3339},
    ledger::{Draft, Ledger},
    limits::{CREDENTIAL_LIFE, CREDENTIAL_RENEW_AHEAD, CREDENTIALS_MAX, CREDENTIALS_PER_SESSION_MAX},
    sessions::{SessionError, Sessions, describe},
};
pub use credential::{Brokered, Ended, Learnt};
use credential::{Real, TokenHash, new_id};
use sealgate_policies::{
    issued::{Issued, Kind as Asked},
    session::{Session, Status},
};
use sealgate_schema::{
    Text,
    record::{Fields, Kind},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use store::{Row, Rows};
use tokio::sync::Mutex as AsyncMutex;
use vault::Vault;

/// How a tool gets a session's own credential, which says how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// In its environment, where it can't be renewed: it lasts as long as its session.
    Keys,
    /// By asking for it, again and again: it lasts [`CREDENTIAL_LIFE`] at most.
    Renewed,
}

impl Delivery {
    fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Renewed => "renewed",
        }
    }
}

/// What the broker stands on.
#[derive(Debug)]
pub struct Start<'a> {
    /// Encrypts what is stored.
    pub key: &'a [u8; 32],
    /// Where each credential is written down.
    pub ledger: Ledger,
    /// When.
    pub clock: Arc<dyn Clock>,
    /// Whose they are.
    pub sessions: Arc<Sessions>,
}

/// All credentials that were made here and have not been forgotten.
#[derive(Debug)]
pub struct Broker {
    table: RwLock<Table>,
    rows: Rows,
    vault: Vault,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    sessions: Arc<Sessions>,
    /// Held by each act that makes a credential: the bounds count what the one before made.
    giving: AsyncMutex<()>,
    /// Revocations that took effect and are not in the store and the ledger yet.
    ends: Mutex<BTreeMap<Text, Value>>,
}

#[derive(Debug, Default)]
struct Table {
    issued: HashMap<Text, Arc<Brokered>>,
    learnt: HashMap<Text, Arc<Learnt>>,
    /// Those that the store has forgotten.
    unstored: HashSet<Text>,
}

impl Table {
    fn remove(&mut self, id: &str) {
        self.issued.remove(id);
        self.learnt.remove(id);
        self.unstored.remove(id);
    }
}

impl Broker {
    /// Loads what the last run left.
    pub async fn load(start: Start<'_>) -> Result<Self, SessionError> {
        let Start { key, ledger, clock, sessions } = start;
        let rows = Rows::open(sessions.store().pool().clone()).await?;
        let vault = Vault::new(key);
        let mut table = Table::default();
        for row in rows.all().await? {
            // A session that the store no longer has took its credentials with it.
            let Ok(session) = sessions.session(&row.session) else { continue };
            let id = row.id().clone();
            if let Err(error) = row.restore(&vault, session, &mut table) {
                // Its tool gets another one. Nothing that was signed with it depends on it any more.
                tracing::error!(%error, "a credential was lost");
                rows.forget(&id).await?;
            }
        }
        let (giving, ends) = (AsyncMutex::default(), Mutex::default());
        Ok(Self { table: RwLock::new(table), rows, vault, ledger, clock, sessions, giving, ends })
    }

    /// A credential that was made here, whatever its state.
    pub fn find(&self, id: &str) -> Option<Arc<Brokered>> {
        self.table().issued.get(id).cloned()
    }

    /// A real credential that was seen in an answer, where the token is its own.
    pub fn lineage(&self, id: &str, token: Option<&str>) -> Option<Arc<Learnt>> {
        let learnt = self.table().learnt.get(id).cloned()?;
        learnt.is_its(token?).then_some(learnt)
    }

    /// The session's own credential: the one that it has while that lasts long enough, else a new one. `by` is who gets it.
    pub async fn issue(&self, session: &Arc<Session>, delivery: Delivery, by: &str) -> Result<Arc<Brokered>, SessionError> {
        let _giving = self.giving.lock().await;
        let now = self.clock.now();
        refuse_ended(session, now)?;
        if let Some(held) = self.lasting(session, delivery, now) {
            return Ok(held);
        }
        self.refuse_many(session)?;
        let life = i64::try_from(CREDENTIAL_LIFE.as_micros()).unwrap_or(i64::MAX);
        let expires = (delivery == Delivery::Renewed).then(|| now.saturating_add(life));
        let credential = Brokered::new(new_id(), session.clone(), now).for_delivery(delivery, expires);
        let detail = json!({ "delivery": delivery.as_str(), "expires": rfc3339(credential.expires()), "by": by });
        self.give(credential, detail).await
    }

    /// A child for a real credential that an answer hands out, which stays inside.
    pub async fn adopt(
        &self,
        parent: Option<&Arc<Brokered>>,
        session: &Arc<Session>,
        asked: Asked,
        issued: &Issued,
    ) -> Result<Arc<Brokered>, SessionError> {
        let _giving = self.giving.lock().await;
        let now = self.clock.now();
        refuse_ended(session, now)?;
        self.refuse_many(session)?;
        let credential = Brokered::new(new_id(), session.clone(), now).for_real(parent.cloned(), Real::of(issued));
        let mut detail = origin(asked, issued);
        set(&mut detail, "expires", rfc3339(credential.expires()).into());
        set(&mut detail, "contained", true.into());
        self.give(credential, detail).await
    }

    /// Remembers whose a real credential is that an answer hands out.
    pub async fn learn(
        &self,
        parent: Option<&Arc<Brokered>>,
        session: &Arc<Session>,
        asked: Asked,
        issued: &Issued,
    ) -> Result<(), SessionError> {
        let _giving = self.giving.lock().await;
        let now = self.clock.now();
        refuse_ended(session, now)?;
        self.refuse_many(session)?;
        let id = Text::from(issued.access_key_id().to_owned());
        let parents = parent.map(|parent| parent.chain()).unwrap_or_default();
        let token = TokenHash::of(issued.token());
        let learnt = Arc::new(Learnt::new(id.clone(), session.clone(), parents, token, now, issued.expires(), parent.cloned()));
        let mut detail = origin(asked, issued);
        set(&mut detail, "contained", false.into());
        self.write_down(Kind::CredentialIssue, session, &learnt.chain(), detail).await?;
        self.rows.add(&Row::of_learnt(&learnt)).await?;
        self.table_mut().learnt.insert(id, learnt);
        Ok(())
    }

    /// All that are known, oldest first.
    pub fn credentials(&self) -> Vec<Arc<Brokered>> {
        let mut all: Vec<_> = self.table().issued.values().cloned().collect();
        all.sort_by(|a, b| (a.issued, &a.id).cmp(&(b.issued, &b.id)));
        all
    }

    /// The real ones that are known, oldest first.
    pub fn learnt(&self) -> Vec<Arc<Learnt>> {
        let mut all: Vec<_> = self.table().learnt.values().cloned().collect();
        all.sort_by(|a, b| (a.issued, &a.id).cmp(&(b.issued, &b.id)));
        all
    }

    fn lasting(&self, session: &Session, delivery: Delivery, now: i64) -> Option<Arc<Brokered>> {
        let ahead = i64::try_from(CREDENTIAL_RENEW_AHEAD.as_micros()).unwrap_or(0);
        let lasts = |held: &Brokered| held.expires() == session.expires() || held.expires() - now > ahead;
        let table = self.table();
        let theirs = table.issued.values().filter(|held| held.session.id == session.id && held.delivery() == Some(delivery));
        theirs.filter(|held| held.ended(now).is_none() && lasts(held)).max_by_key(|held| held.issued).cloned()
    }

    fn refuse_many(&self, session: &Session) -> Result<(), SessionError> {
        let table = self.table();
        let all = table.issued.values().map(|held| &held.session).chain(table.learnt.values().map(|held| &held.session));
        let (mut total, mut theirs) = (0, 0);
        for other in all {
            total += 1;
            theirs += usize::from(other.id == session.id);
        }
        if theirs >= CREDENTIALS_PER_SESSION_MAX {
            return Err(SessionError::Conflict(format!(
                "session {} has {CREDENTIALS_PER_SESSION_MAX} credentials already; go on in another session",
                session.id
            )));
        }
        if total >= CREDENTIALS_MAX {
            return Err(SessionError::Conflict(format!("the gateway has {CREDENTIALS_MAX} credentials already; end sessions")));
        }
        Ok(())
    }

    async fn give(&self, credential: Brokered, detail: Value) -> Result<Arc<Brokered>, SessionError> {
        let credential = Arc::new(credential);
        self.write_down(Kind::CredentialIssue, &credential.session, &credential.chain(), detail).await?;
        self.rows.add(&Row::of(&credential, &self.vault)?).await?;
        self.table_mut().issued.insert(credential.id.clone(), credential.clone());
        Ok(credential)
    }

    async fn write_down(&self, kind: Kind, session: &Session, chain: &[Text], detail: Value) -> Result<(), SessionError> {
        let mut fields = Fields::new(kind);
        describe(session, &mut fields);
        fields.credential = chain.first().cloned();
        fields.credential_chain = chain.to_vec();
        fields.detail = Some(detail.to_string().into());
        self.ledger.record(session.window.clone(), Draft::new(fields)).await?;
        Ok(())
    }

    // A panic while a lock is held can't leave the maps half-changed: each change is one insert or one removal.
    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, BTreeMap<Text, Value>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a record says of the real credential: its public id, and what it acts as.
fn origin(asked: Asked, issued: &Issued) -> Value {
    let expires = issued.expires().map(rfc3339);
    json!({ "operation": asked.as_str(), "real": issued.access_key_id(), "real_expires": expires, "arn": issued.holder().map(Text::as_str) })
}

fn set(detail: &mut Value, name: &str, value: Value) {
    if let Some(members) = detail.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn refuse_ended(session: &Session, now: i64) -> Result<(), SessionError> {
    match session.status(now) {
        Status::Open => Ok(()),
        status => Err(SessionError::Conflict(format!("session {} is {status}: it gets no credential", session.id))),
    }
}
