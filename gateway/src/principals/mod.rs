//! Who the principals are, and how they prove it: by an SSH key, an OIDC token, a client certificate; or not at all, and then
//! what the record says is whose word was taken.
//!
//! - [`sealgate_policies::principal`]: the directory, and which proof is whose
//! - [`watched`]: its files, read again when they change
//! - [`oidc`]: tokens · [`keys`]: the key sets that they are checked with · [`spent`]: each is good once
//! - `ssh`: signatures, and what is handed out to be signed
//! - [`certificate`]: the SPIFFE ID of a client certificate
//! - [`proof`]: what goes over the admin API

pub mod certificate;
pub mod keys;
pub mod oidc;
pub mod proof;
pub mod spent;
mod ssh;
pub mod watched;

use crate::limits::BASIS_CHARS_MAX;
use http::StatusCode;
use keys::{KeyError, KeySets, Source};
use oidc::{Fault, TokenError, Unverified};
use proof::Proof;
use rustls::pki_types::CertificateDer;
use sealgate_policies::{
    principal::{
        Directory, Principal, Unfit,
        claims::{ClaimsError, LEEWAY_SECONDS},
    },
    session::PrincipalKind,
};
use sealgate_schema::{
    Text,
    allowed_signers::AllowedSigners,
    public_key::PublicKey,
    sshsig::{self, NAMESPACE},
    statement::{Act, Signed, Statement},
};
use spent::{Spent, Use};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};
use watched::{Reading, Watched};

/// Who somebody is, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub principal: Text,
    /// What it is.
    pub kind: PrincipalKind,
    /// The human that it acts for. A certificate says nothing of that; the session does.
    pub acting_for: Option<Text>,
    /// `word of uid 0`, `ssh SHA256:…`, `oidc ISSUER SUBJECT`, `certificate spiffe://…`: one line of plain characters.
    pub basis: Text,
    /// What they signed to ask, and nobody can send again.
    pub signed: Option<Signed>,
}

/// Who would sign with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatory {
    /// Their name in the directory's file of allowed signers.
    pub signer: String,
    /// Who they are.
    pub identity: Identity,
}

/// What became of the certificate that a client presented: known once for a connection, and refused call by call.
pub type Presented = Arc<Result<Identity, PrincipalError>>;

/// What somebody says of itself, with a proof or without.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The name; nothing where the proof is to say it.
    pub principal: Option<&'a str>,
    /// The kind; nothing where directory and proof are to say it.
    pub kind: Option<PrincipalKind>,
    /// For whom.
    pub acting_for: Option<&'a str>,
}

/// Why somebody is not who it says. Each says what to do, and holds nothing of a proof but names.
#[derive(Debug, thiserror::Error)]
pub enum PrincipalError {
    /// Nobody named, nothing proven.
    #[error("who is it? name the principal, or prove it with --oidc-token or --ssh-key")]
    Nameless,
    /// One proof is enough.
    #[error("send one proof: an SSH signature or an OIDC token")]
    TwoProofs,
    /// The proof is somebody else's.
    #[error("the proof is {proven}'s, and not {asked}'s: leave out the principal, or prove that one")]
    SomebodyElse {
        /// Whose it is.
        proven: String,
        /// Who was named.
        asked: String,
    },
    /// Not in the directory, or not as asked.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// An SSH signature.
    #[error("the SSH signature: {0}")]
    Ssh(String),
    /// Too many ask at once.
    #[error("too many statements are handed out and not signed yet; try again in ten minutes")]
    TooManyStatements,
    /// A token that is none, or not signed as it should be.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A token whose time is wrong.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// A certificate that names no workload.
    #[error("the client certificate: {0}")]
    Certificate(String),
    /// The issuer's keys can't be had.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Whether a token was used before can't be known.
    #[error("the database can't be used: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<Fault> for PrincipalError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Token(error) => Self::Token(error),
            Fault::Claims(error) => Self::Claims(error),
            Fault::Keys(error) => Self::Keys(error),
        }
    }
}

impl PrincipalError {
    /// The status of an answer that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Nameless | Self::TwoProofs => StatusCode::BAD_REQUEST,
            Self::Keys(_) | Self::Store(_) | Self::TooManyStatements | Self::Token(TokenError::TooMany) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::FORBIDDEN,
        }
    }
}

/// The principals of a gateway.
#[derive(Debug)]
pub struct Principals {
    known: Option<Watched<Known>>,
    nobody: Arc<Known>,
    trust_domain: Option<String>,
    keys: KeySets,
    spent: Spent,
    handed_out: ssh::HandedOut,
}

/// What the files say: the directory, and the keys that it names.
#[derive(Debug, Default)]
pub struct Known {
    directory: Directory,
    sources: BTreeMap<String, Source>,
    signers: AllowedSigners,
}

impl Principals {
    /// The principals of a directory; without one, everybody is taken at their word. Certificates are taken of `trust_domain`
    /// alone.
    pub fn new(known: Option<Watched<Known>>, trust_domain: Option<&str>, spent: Spent) -> Self {
        let trust_domain = trust_domain.map(str::to_owned);
        Self { known, nobody: Arc::default(), trust_domain, keys: KeySets::default(), spent, handed_out: ssh::HandedOut::default() }
    }

    /// Who is it? The one question that a request for a session asks: by the proof where there is one, by word where not. A token
    /// that says who it is is spent by it.
    ///
    /// An SSH proof signs a statement that was handed out ([`Self::hand_out`]), and uses it up; that the statement says what the
    /// request says is for the caller to see to.
    pub async fn identify(&self, asked: Asked<'_>, proof: &Proof, peer: &str, now: i64) -> Result<Identity, PrincipalError> {
        let mut identity = self.preview(asked, proof, peer, now).await?;
        if let Some(ssh) = &proof.ssh {
            identity.signed = Some(self.take_back(&ssh.statement, &ssh.signature, now)?);
        }
        if let Some(token) = &proof.oidc {
            self.spend(token.expose(), now).await?;
        }
        Ok(identity)
    }

    /// The same, but a token is good still: for who wants to know what would be said.
    pub async fn preview(&self, asked: Asked<'_>, proof: &Proof, peer: &str, now: i64) -> Result<Identity, PrincipalError> {
        let identity = match (&proof.ssh, &proof.oidc) {
            (Some(_), Some(_)) => return Err(PrincipalError::TwoProofs),
            (Some(ssh), None) => self.by_ssh(&ssh.statement, &ssh.signature, asked, now)?,
            (None, Some(token)) => self.by_token(token.expose(), asked.acting_for, now).await?,
            (None, None) => {
                let name = asked.principal.ok_or(PrincipalError::Nameless)?;
                return self.by_word(name, asked.kind, asked.acting_for, peer);
            }
        };
        identity.fitting(asked)
    }

    /// By somebody's word: `peer` is whose. The kind is the directory's; of a name that it does not have, the asked one.
    pub fn by_word(
        &self,
        name: &str,
        asked: Option<PrincipalKind>,
        acting_for: Option<&str>,
        peer: &str,
    ) -> Result<Identity, PrincipalError> {
        let kind = self.known().directory.by_word(name, asked, acting_for)?;
        Ok(Identity {
            principal: name.to_owned().into(),
            kind,
            acting_for: acting_for.map(|human| human.to_owned().into()),
            basis: plain(&format!("word of {peer}")),
            signed: None,
        })
    }

    /// By an SSH signature over `text`, in the namespace `sealgate`. Where the text is a statement, it says who signs.
    pub fn by_ssh(&self, text: &str, signature: &str, asked: Asked<'_>, now: i64) -> Result<Identity, PrincipalError> {
        let key = sshsig::check(text, signature, NAMESPACE).map_err(|error| PrincipalError::Ssh(error.to_string()))?;
        let statement = Statement::parse(text.trim_end_matches('\n')).ok();
        let signer = statement.as_ref().map(|statement| statement.signer.as_str());
        Ok(self.signatory(&key, signer, asked, now)?.identity)
    }

    /// Who would sign with a key, to be told what.
    pub fn by_key(&self, key: &PublicKey, asked: Asked<'_>, now: i64) -> Result<Signatory, PrincipalError> {
        self.signatory(key, None, asked, now)
    }

    fn signatory(&self, key: &PublicKey, signer: Option<&str>, asked: Asked<'_>, now: i64) -> Result<Signatory, PrincipalError> {
        let known = self.known();
        let (principal, signer) = known.by_key(key, signer, asked.principal, now)?;
        let identity = known.identity(principal, asked.acting_for, &format!("ssh {}", key.fingerprint()))?.fitting(asked)?;
        Ok(Signatory { signer, identity })
    }

    /// Remembers that a statement with this request was handed out, to be taken once until then.
    pub fn hand_out(&self, request: &str, until: i64, now: i64) -> Result<(), PrincipalError> {
        if self.handed_out.add(request, until, now) { Ok(()) } else { Err(PrincipalError::TooManyStatements) }
    }

    /// Takes a signed statement, which was handed out and is no more from then on.
    fn take_back(&self, text: &str, signature: &str, now: i64) -> Result<Signed, PrincipalError> {
        let signed = Signed::check(text, signature).map_err(|error| PrincipalError::Ssh(error.to_string()))?;
        let statement = signed.statement();
        let request = statement.request.as_deref().filter(|_| statement.act == Act::Request);
        match request.is_some_and(|request| self.handed_out.take(request, now)) {
            true => Ok(signed),
            false => {
                let why = "the statement was not handed out here, is used already, or is older than ten minutes: ask again";
                Err(PrincipalError::Ssh(why.to_owned()))
            }
        }
    }

    /// By a token of an OIDC issuer, which is spent by it.
    pub async fn by_oidc(&self, token: &str, acting_for: Option<&str>, now: i64) -> Result<Identity, PrincipalError> {
        let identity = self.by_token(token, acting_for, now).await?;
        self.spend(token, now).await?;
        Ok(identity)
    }

    async fn by_token(&self, token: &str, acting_for: Option<&str>, now: i64) -> Result<Identity, PrincipalError> {
        let known = self.known();
        let unverified = Unverified::read(token)?;
        // An issuer that nobody declared is asked for nothing.
        let source = known.sources.get(unverified.issuer()).ok_or(TokenError::Issuer)?;
        let claims = unverified.verify(source, &self.keys, now).await?;
        let principal = known.directory.by_claims(&claims)?;
        Ok(known.identity(principal, acting_for, &format!("oidc {} {}", claims.issuer(), claims.subject()))?)
    }

    /// Spends a token whose signature and times have been checked.
    async fn spend(&self, token: &str, now: i64) -> Result<(), PrincipalError> {
        let (signed, expires) = Unverified::read(token)?.spending();
        let until = expires.saturating_add(LEEWAY_SECONDS);
        match self.spent.spend(signed, until, now.div_euclid(1_000_000)).await? {
            Use::First => Ok(()),
            Use::Again => Err(TokenError::Again.into()),
            Use::Full => Err(TokenError::TooMany.into()),
        }
    }

    /// By a client certificate: `chain` is what the TLS handshake has verified, the peer's own certificate first.
    pub fn by_certificate(&self, chain: &[CertificateDer<'_>], now: i64) -> Result<Identity, PrincipalError> {
        let id = certificate::spiffe_id(chain, now).map_err(PrincipalError::Certificate)?;
        if self.trust_domain.as_deref() != Some(id.trust_domain()) {
            return Err(PrincipalError::Certificate(format!("{id} is of another trust domain than listen_tls.trust_domain")));
        }
        let known = self.known();
        let principal = known.directory.by_spiffe(&id)?;
        Ok(Identity {
            principal: principal.name.clone().into(),
            kind: principal.kind,
            acting_for: None,
            basis: plain(&format!("certificate {id}")),
            signed: None,
        })
    }

    /// The directory as it is in force.
    pub fn directory(&self) -> Directory {
        self.known().directory.clone()
    }

    /// What is wrong with the files or with an issuer's keys, for the status.
    pub fn trouble(&self) -> Vec<String> {
        let files = self.known.as_ref().and_then(Watched::trouble);
        files
            .map(|why| format!("the principals' files changed, and are not taken: {why}"))
            .into_iter()
            .chain(self.keys.trouble())
            .collect()
    }

    fn known(&self) -> Arc<Known> {
        self.known.as_ref().map_or_else(|| self.nobody.clone(), Watched::current)
    }
}

impl Identity {
    /// Refuses where the proof is another's than was named, or of another kind.
    fn fitting(self, asked: Asked<'_>) -> Result<Self, PrincipalError> {
        if let Some(name) = asked.principal.filter(|name| **name != *self.principal) {
            return Err(PrincipalError::SomebodyElse { proven: self.principal.to_string(), asked: name.to_owned() });
        }
        match asked.kind {
            Some(kind) if kind != self.kind => {
                Err(Unfit::OtherKind { name: self.principal.to_string(), declared: self.kind, asked: kind }.into())
            }
            _ => Ok(self),
        }
    }
}

impl Known {
    /// Reads a directory, which is read again when it changes.
    pub fn watch(file: &Path) -> Result<Watched<Self>, String> {
        let file = file.to_owned();
        Watched::new(move |reading| Self::read(&file, reading))
    }

    fn read(file: &Path, reading: &mut Reading) -> Result<Self, String> {
        let directory = directory(&reading.file(file)?).map_err(|why| format!("{}: {why}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
        let beside = |name: &str| -> PathBuf { folder.join(name) };
        let mut sources = BTreeMap::new();
        for issuer in directory.issuers() {
            sources.insert(issuer.url.clone(), Source::read(issuer, beside, reading)?);
        }
        let signers = directory.allowed_signers().map(|name| signers(&beside(name), reading)).transpose()?.unwrap_or_default();
        Ok(Self { directory, sources, signers })
    }

    fn identity(&self, principal: &Principal, acting_for: Option<&str>, basis: &str) -> Result<Identity, Unfit> {
        self.directory.check(principal, None, acting_for)?;
        Ok(Identity {
            principal: principal.name.clone().into(),
            kind: principal.kind,
            acting_for: acting_for.map(|human| human.to_owned().into()),
            basis: plain(basis),
            signed: None,
        })
    }
}

fn signers(file: &Path, reading: &mut Reading) -> Result<AllowedSigners, String> {
    AllowedSigners::parse(&reading.file(file)?).map_err(|error| format!("{}: {error}", file.display()))
}

/// Reads a directory. Public for the fuzz targets.
#[doc(hidden)]
pub fn directory(text: &str) -> Result<Directory, String> {
    toml::from_str(text).map_err(|error| error.to_string().trim_end().replace('\n', " "))
}

/// One line of plain characters, not too long: others are written as `%` and their bytes.
fn plain(text: &str) -> Text {
    let mut plain = String::new();
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => plain.push(char::from(byte)),
            _ => plain.push_str(&format!("%{byte:02X}")),
        }
    }
    if plain.len() > BASIS_CHARS_MAX {
        plain.truncate(BASIS_CHARS_MAX - 3);
        plain.push_str("...");
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basis_is_one_line_of_plain_characters() {
        for (text, basis) in [
            ("oidc https://ci repo:a b", "oidc https://ci repo:a b"),
            ("oidc https://ci a\nword of uid 0", "oidc https://ci a%0Aword of uid 0"),
            ("oidc https://ci ä%\u{7f}", "oidc https://ci %C3%A4%25%7F"),
        ] {
            assert_eq!(plain(text).as_str(), basis);
        }
        let long = plain(&"x".repeat(2_000));
        assert!(long.len() == BASIS_CHARS_MAX && long.ends_with("..."));
    }
}
