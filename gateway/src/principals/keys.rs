//! The key sets of OIDC issuers: pinned in a file, or fetched from where the issuer says, and kept for a while.
//!
//! An issuer that answers nothing, too much or nonsense costs its own tokens and nobody else's.

use super::watched::Reading;
use crate::{
    limits::{JWKS_BYTES_MAX, JWKS_FETCH_EVERY, JWKS_FRESH, JWKS_KEPT, JWKS_KEYS_MAX, JWKS_WAIT},
    remote::{Answer, Remote},
};
use http::{StatusCode, Uri, uri::Authority};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use sealgate_policies::principal::Issuer;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Characters that are said of what went wrong with an issuer.
const TROUBLE_CHARS_MAX: usize = 300;

/// Why a key can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The issuer has no such key, as far as is known.
    #[error("{0} has no key for the token: sign with one of its key set")]
    Unknown(String),
    /// Its keys can't be fetched.
    #[error("the keys of {issuer} can't be had: {why}; pin them with jwks_file, or try again")]
    Unreachable {
        /// Whose.
        issuer: String,
        /// What went wrong.
        why: String,
    },
}

/// Where the keys of an issuer come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, read already.
    Pinned(Arc<KeySet>),
    /// The issuer itself.
    Fetched {
        /// The issuer.
        issuer: Issuer,
        /// The CA to trust, as PEM.
        ca: Option<String>,
    },
}

impl Source {
    /// Reads the files that an issuer's entry names.
    pub fn read(issuer: &Issuer, beside: impl Fn(&str) -> PathBuf, reading: &mut Reading) -> Result<Self, String> {
        if let Some(file) = &issuer.jwks_file {
            let text = reading.file(&beside(file))?;
            let keys = KeySet::parse(text.as_bytes()).map_err(|why| format!("{file}: {why}"))?;
            return Ok(Self::Pinned(Arc::new(keys)));
        }
        let ca = issuer.ca.as_ref().map(|file| reading.file(&beside(file))).transpose()?;
        remote(ca.as_deref()).map_err(|why| format!("{}: {why}", issuer.url))?;
        Ok(Self::Fetched { issuer: issuer.clone(), ca })
    }
}

fn remote(ca: Option<&str>) -> Result<Remote, String> {
    ca.map_or_else(|| Remote::new().map_err(|error| error.to_string()), Remote::trusting)
}

/// Keys that can check a token. Others of the set (for encryption, of other kinds, shared secrets) are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    jwk: Jwk,
    key: DecodingKey,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.jwk == other.jwk
    }
}
impl Eq for Key {}

#[derive(Deserialize)]
struct Listed {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 §5). A key that can't be read is left out, as the RFC has it; a set without any is an error.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let listed: Listed = serde_json::from_slice(json).map_err(|error| format!("no key set: {error}"))?;
        if listed.keys.len() > JWKS_KEYS_MAX {
            return Err(format!("more than {JWKS_KEYS_MAX} keys"));
        }
        let keys: Vec<_> = listed.keys.into_iter().filter_map(|key| Key::of(serde_json::from_value(key).ok()?)).collect();
        match keys.is_empty() {
            true => Err("no key in it is one for RS256, ES256 or EdDSA".to_owned()),
            false => Ok(Self { keys }),
        }
    }

    /// The key of this id; without an id, the only one for the algorithm.
    pub(super) fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id));
        let first = fitting.next()?;
        fitting.next().is_none().then(|| first.key.clone())
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => (Algorithm::ES256, KeyAlgorithm::ES256),
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            // A shared secret in a public key set is no secret.
            _ => return None,
        };
        let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let fits = jwk.common.key_algorithm.is_none_or(|is| is == named);
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| signs && fits)?;
        Some(Self { id: jwk.common.key_id.clone(), algorithm, jwk, key })
    }
}

/// The sets of all issuers, each fetched by one request at a time.
#[derive(Debug, Default)]
pub struct KeySets {
    issuers: Mutex<BTreeMap<String, Arc<Fetched>>>,
}

impl KeySets {
    /// The key for a token. `now` in microseconds since 1970 UTC.
    pub(super) async fn key(
        &self,
        source: &Source,
        id: Option<&str>,
        algorithm: Algorithm,
        now: i64,
    ) -> Result<DecodingKey, KeyError> {
        match source {
            Source::Pinned(keys) => keys.key(id, algorithm).ok_or_else(|| KeyError::Unknown("the pinned key set".to_owned())),
            Source::Fetched { issuer, ca } => self.fetched(issuer, ca.as_deref())?.key(id, algorithm, now).await,
        }
    }

    fn fetched(&self, issuer: &Issuer, ca: Option<&str>) -> Result<Arc<Fetched>, KeyError> {
        let mut issuers = self.issuers();
        if let Some(known) = issuers.get(&issuer.url).filter(|known| known.issuer == *issuer && known.ca.as_deref() == ca) {
            return Ok(known.clone());
        }
        let remote = remote(ca).map_err(|why| KeyError::Unreachable { issuer: issuer.url.clone(), why })?;
        let state = Mutex::new(State::default());
        let fetched =
            Arc::new(Fetched { issuer: issuer.clone(), ca: ca.map(str::to_owned), remote, turn: Semaphore::new(1), state });
        // One entry for each issuer of the directory, and those that it had before a change: bounded by what an operator writes.
        issuers.insert(issuer.url.clone(), fetched.clone());
        Ok(fetched)
    }

    /// What is wrong with fetching, by issuer.
    pub fn trouble(&self) -> Vec<String> {
        let say =
            |fetched: &Arc<Fetched>| Some(format!("the keys of {}: {}", fetched.issuer.url, fetched.state().trouble.as_ref()?));
        self.issuers().values().filter_map(say).collect()
    }

    // A panic while it is held can't leave the map half-changed: each change is one insert.
    fn issuers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Fetched>>> {
        self.issuers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The set of one issuer.
#[derive(Debug)]
struct Fetched {
    issuer: Issuer,
    ca: Option<String>,
    remote: Remote,
    /// Whoever fetches; others wait, and look again.
    turn: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The set, and when it was fetched.
    keys: Option<(Arc<KeySet>, i64)>,
    /// When it was last tried.
    tried: Option<i64>,
    trouble: Option<String>,
}

impl State {
    fn key(&self, id: Option<&str>, algorithm: Algorithm, now: i64, within: Duration) -> Option<DecodingKey> {
        let (keys, fetched) = self.keys.as_ref()?;
        is_within(*fetched, now, within).then(|| keys.key(id, algorithm))?
    }
}

/// Whether `then` is no longer from `now` than `within`, in either direction: a clock that went back does not keep keys for ever.
fn is_within(then: i64, now: i64, within: Duration) -> bool {
    u128::from(now.abs_diff(then)) <= within.as_micros()
}

impl Fetched {
    async fn key(&self, id: Option<&str>, algorithm: Algorithm, now: i64) -> Result<DecodingKey, KeyError> {
        if let Some(key) = self.state().key(id, algorithm, now, JWKS_FRESH) {
            return Ok(key);
        }
        // Closed never: there is always a turn to come.
        let _turn = self.turn.acquire().await;
        if let Some(key) = self.state().key(id, algorithm, now, JWKS_FRESH) {
            return Ok(key);
        }
        if self.may_try(now) {
            let fetched = tokio::time::timeout(JWKS_WAIT, self.fetch()).await;
            self.note(fetched.unwrap_or_else(|_| Err(format!("no answer within {JWKS_WAIT:?}"))), now);
        }
        let state = self.state();
        let issuer = || self.issuer.url.clone();
        match state.key(id, algorithm, now, JWKS_KEPT) {
            Some(key) => Ok(key),
            None if state.trouble.is_none() => Err(KeyError::Unknown(issuer())),
            None => Err(KeyError::Unreachable { issuer: issuer(), why: state.trouble.clone().unwrap_or_default() }),
        }
    }

    /// Whether it is time for another try; if so, it is this one.
    fn may_try(&self, now: i64) -> bool {
        let mut state = self.state();
        let may = state.tried.is_none_or(|tried| !is_within(tried, now, JWKS_FETCH_EVERY));
        if may {
            state.tried = Some(now);
        }
        may
    }

    fn note(&self, fetched: Result<KeySet, String>, now: i64) {
        let mut state = self.state();
        match fetched {
            Ok(keys) => {
                state.keys = Some((Arc::new(keys), now));
                state.trouble = None;
            }
            Err(why) => {
                // It may hold what the issuer answered.
                let why: String = why.chars().filter(|c| !c.is_control()).take(TROUBLE_CHARS_MAX).collect();
                tracing::warn!(issuer = self.issuer.url, why, "an issuer's keys could not be fetched");
                state.trouble = Some(why);
            }
        }
    }

    /// Asks the issuer where its keys are (OpenID Connect Discovery §4), and fetches them from there.
    async fn fetch(&self) -> Result<KeySet, String> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let base = self.issuer.url.trim_end_matches('/');
        let answer = self.read(&format!("{base}/.well-known/openid-configuration")).await?;
        let discovery: Discovery =
            serde_json::from_slice(&answer.body).map_err(|error| format!("its discovery document: {error}"))?;
        if discovery.issuer != self.issuer.url {
            return Err("its discovery document is another issuer's".to_owned());
        }
        self.check_place(&discovery.jwks_uri)?;
        KeySet::parse(&self.read(&discovery.jwks_uri).await?.body)
    }

    async fn read(&self, url: &str) -> Result<Answer, String> {
        let uri: Uri = url.parse().map_err(|_| format!("{:?} is not a URL", url.chars().take(200).collect::<String>()))?;
        let answer = self.remote.get(&uri, JWKS_BYTES_MAX, JWKS_WAIT).await.map_err(|error| format!("{uri}: {error}"))?;
        // A redirect is not followed: it would lead to a host that nobody allowed.
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(format!("{uri} answers {}", answer.status)) }
    }

    /// On the issuer's own host, or on one that the directory allows.
    fn check_place(&self, url: &str) -> Result<(), String> {
        let place = |url: &str| url.parse::<Uri>().ok().filter(|url| url.scheme_str() == Some("https"))?.into_parts().authority;
        let own = place(&self.issuer.url);
        let held = place(url).filter(|held| !held.as_str().contains('@'));
        let allowed = |held: &Authority| {
            let others = self.issuer.jwks_hosts.iter().filter_map(|host| host.parse::<Authority>().ok());
            own.iter().cloned().chain(others).any(|one| same_place(&one, held))
        };
        match held.as_ref().is_some_and(allowed) {
            true => Ok(()),
            false => Err("its jwks_uri is on another host: allow it with jwks_hosts, or pin the keys with jwks_file".to_owned()),
        }
    }

    // A panic while it is held can't leave it half-changed: each change is some assignments.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same_place(one: &Authority, other: &Authority) -> bool {
    let port = |authority: &Authority| authority.port_u16().unwrap_or(443);
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}
