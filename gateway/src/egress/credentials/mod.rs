//! Where real credentials come from: for each account of the configuration a source of aws-config's, and a role assumed for each
//! session that names one. Clients never see them; [`crate::egress::resign`] signs with them.
//!
//! - [`Sources::of`]: the credential of a session · `account`: which roles an account has
//! - `provider`: an account's own credential · `assume`: a role's · `names`: who acts, as STS is told
//! - `cache`: kept until they end, the next one got ahead · `http`: the way out, the gateway's own

mod account;
mod assume;
mod cache;
mod error;
mod http;
mod names;
mod provider;

pub use error::SourceError;

use crate::{
    clock::Clock,
    config::accounts::{AccountConfig, DEFAULT_ACCOUNT},
    egress::upstream::Upstreams,
    identify::signer::system_time,
    ledger::Ledger,
    limits::{SOURCE_CREDENTIALS_MAX, SOURCE_FETCHES_MAX, SOURCE_WAIT},
};
use account::{Account, Role};
use assume::Assuming;
use aws_credential_types::Credentials;
use aws_smithy_async::time::TimeSource;
use cache::{Getting, Look, Slot};
use http::OwnClient;
use lru::LruCache;
use provider::SdkTime;
use sealgate_policies::session::Session;
use sealgate_schema::Text;
use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The accounts, and the credentials got from them. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Sources(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    accounts: Vec<Arc<Account>>,
    assuming: Assuming,
    slots: Mutex<LruCache<Key, Arc<Slot>>>,
    fetches: Semaphore,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// Whose credential: an account's own, or that of a role in a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    account: String,
    role: Option<(Role, Text)>,
}

/// A credential to get.
#[derive(Debug, Clone)]
struct Wanted {
    account: Arc<Account>,
    /// The role that is assumed, and for which session.
    role: Option<(Role, Arc<Session>)>,
}

/// An account as a listing shows it.
#[derive(Debug, Clone)]
pub struct AccountView {
    /// Its name.
    pub name: String,
    /// `profile ops`, `imds`, …
    pub source: String,
    /// Its number, where the configuration has it.
    pub account: Option<String>,
    /// The roles that may be assumed; every one where there are none.
    pub roles: Vec<String>,
    /// Whether sessions without a role sign with the source's own credential.
    pub direct: bool,
    /// Public id of the source's own credential, where there is one at hand.
    pub access_key_id: Option<String>,
    /// When that ends.
    pub expires: Option<SystemTime>,
    /// Roles of sessions that are at hand.
    pub assumed: usize,
    /// Why the last credential could not be got, of the source or of a role.
    pub trouble: Option<SourceError>,
}

impl Sources {
    /// Asks nobody yet. `own` is where the gateway itself listens.
    pub fn new(
        accounts: Vec<AccountConfig>,
        upstreams: &Upstreams,
        own: &[SocketAddr],
        clock: Arc<dyn Clock>,
        ledger: Ledger,
    ) -> Self {
        let accounts = accounts.into_iter().map(|config| Arc::new(Account { config })).collect();
        let assuming = Assuming { client: OwnClient::new(upstreams, own), time: SdkTime(clock), ledger };
        let size = NonZeroUsize::new(SOURCE_CREDENTIALS_MAX).unwrap_or(NonZeroUsize::MIN);
        Self(Arc::new(Inner {
            accounts,
            assuming,
            slots: Mutex::new(LruCache::new(size)),
            fetches: Semaphore::new(SOURCE_FETCHES_MAX),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// Whether the profiles are there that accounts name. Asks no source.
    pub async fn check_profiles(&self) -> Result<(), SourceError> {
        for account in &self.0.accounts {
            let wrong = |why| SourceError::Profile { account: account.name().to_owned(), why };
            provider::check_profile(&account.config).await.map_err(wrong)?;
        }
        Ok(())
    }

    /// The credential that a session's calls are signed with.
    pub async fn of(&self, session: &Arc<Session>) -> Result<Credentials, SourceError> {
        let account = self.account(session.account.as_deref())?.clone();
        let role = account.role(session.role.as_deref())?.map(|role| (role, session.clone()));
        self.held(Wanted { account, role }, system_time(session.expires())).await
    }

    /// Whether an account is there, and may be used so.
    pub fn check(&self, account: Option<&str>, role: Option<&str>) -> Result<(), SourceError> {
        self.account(account)?.role(role).map(drop)
    }

    /// A session ended: what was got for it goes.
    pub fn forget(&self, session: &str) {
        let mut slots = self.slots();
        let its = |key: &Key| key.role.as_ref().is_some_and(|(_, id)| **id == *session);
        let gone: Vec<_> = slots.iter().map(|(key, _)| key).filter(|key| its(key)).cloned().collect();
        for key in gone {
            slots.pop(&key);
        }
    }

    /// All accounts, as the configuration has them.
    pub fn views(&self) -> Vec<AccountView> {
        self.0.accounts.iter().map(|account| self.view(account)).collect()
    }

    /// An account, with its own credential at hand.
    pub async fn probe(&self, account: &str) -> Result<AccountView, SourceError> {
        let account = self.account(Some(account))?.clone();
        let view = account.clone();
        self.held(Wanted { account, role: None }, self.now()).await?;
        Ok(self.view(&view))
    }

    /// Ends what is under way. There are no credentials afterwards.
    pub async fn stop(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// A credential that is at hand, or the next one. Who waits may go: the getting goes on, for the others.
    async fn held(&self, wanted: Wanted, until: SystemTime) -> Result<Credentials, SourceError> {
        let slot = self.slot(wanted.key());
        loop {
            let settled = slot.settled();
            tokio::pin!(settled);
            // From here on it hears of an end, so that none is missed between the look and the wait.
            settled.as_mut().enable();
            match slot.look(self.now(), until) {
                Look::Failed(error) => return Err(error),
                Look::Use(credential, getting) => {
                    if let Some(getting) = getting {
                        self.spawn(getting, wanted);
                    }
                    return Ok(credential);
                }
                Look::Get(getting) => self.spawn(getting, wanted.clone()),
                Look::Wait => {}
            }
            settled.await;
        }
    }

    /// Gets a credential in a task of its own, which ends after [`SOURCE_WAIT`] or with the gateway.
    fn spawn(&self, getting: Getting, wanted: Wanted) {
        let sources = self.clone();
        self.0.tasks.spawn(async move {
            let name = wanted.account.name().to_owned();
            // Both losers are a credential that nobody waits for any more.
            let got = tokio::select! {
                got = tokio::time::timeout(SOURCE_WAIT, sources.get(wanted)) => got.unwrap_or_else(|_| Err(SourceError::Late(name.clone()))),
                () = sources.0.stopping.cancelled() => Err(SourceError::Stopping),
            };
            let now = sources.now();
            let is_over = |credential: &Credentials| credential.expiry().is_some_and(|expiry| expiry <= now);
            // Kept, it would be got again at once, and again.
            let got = got.and_then(|credential| if is_over(&credential) { Err(SourceError::Over(name)) } else { Ok(credential) });
            getting.settle(got, now);
        });
    }

    async fn get(&self, wanted: Wanted) -> Result<Credentials, SourceError> {
        let Wanted { account, role } = wanted;
        let Assuming { client, time, .. } = &self.0.assuming;
        let Some((role, session)) = role else {
            let _place = self.place().await?;
            let failed = |why| SourceError::Source { account: account.name().to_owned(), from: account.source(), why };
            return provider::fetch(&account.config, client, time).await.map_err(failed);
        };
        // Before the place is taken: the account's own credential may need one.
        let own = Wanted { account: account.clone(), role: None };
        let source = self.held(own, system_time(session.expires())).await?;
        let _place = self.place().await?;
        self.0.assuming.assume(&account, &role, &session, source).await
    }

    async fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, SourceError> {
        self.0.fetches.acquire().await.map_err(|_| SourceError::Stopping)
    }

    fn account(&self, name: Option<&str>) -> Result<&Arc<Account>, SourceError> {
        let wanted = name.unwrap_or(DEFAULT_ACCOUNT);
        let found = self.0.accounts.iter().find(|account| account.name() == wanted);
        found.ok_or_else(|| {
            let known: Vec<_> = self.0.accounts.iter().map(|account| account.name()).collect();
            let known = known.join(", ");
            match name {
                Some(name) => SourceError::NoAccount { account: name.to_owned(), known },
                None => SourceError::Unnamed { known },
            }
        })
    }

    fn view(&self, account: &Account) -> AccountView {
        let slots = self.slots();
        let its: Vec<_> = slots.iter().filter(|(key, _)| key.account == account.name()).collect();
        let own = its.iter().find(|(key, _)| key.role.is_none()).map(|(_, slot)| slot.seen()).unwrap_or_default();
        let trouble = its.iter().find_map(|(_, slot)| slot.seen().trouble);
        AccountView {
            name: account.name().to_owned(),
            source: account.source(),
            account: account.config.account.clone(),
            roles: account.config.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            direct: account.config.is_direct(),
            access_key_id: own.access_key_id,
            expires: own.expires,
            assumed: its.iter().filter(|(key, _)| key.role.is_some()).count(),
            trouble: own.trouble.or(trouble),
        }
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        self.slots().get_or_insert(key, Arc::default).clone()
    }

    fn now(&self) -> SystemTime {
        self.0.assuming.time.now()
    }

    // A panic while it is held leaves a whole map: each change is one insert or one removal.
    fn slots(&self) -> MutexGuard<'_, LruCache<Key, Arc<Slot>>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    fn key(&self) -> Key {
        let role = self.role.as_ref().map(|(role, session)| (role.clone(), session.id.clone()));
        Key { account: self.account.name().to_owned(), role }
    }
}
