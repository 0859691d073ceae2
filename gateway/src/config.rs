//! The configuration: `sealgate.toml` in the home, every key optional.
//!
//! Unknown keys are errors: a misspelt one would otherwise be a setting that silently is not there.

use crate::{
    egress::upstream::Waits,
    ledger::Cutting,
    limits::{CAPTURE_BYTES, CAPTURE_BYTES_MAX},
};
use accounts::AccountConfig;
use sealgate_policies::{
    access::{Approval, BreakGlass, Limit, Rule},
    permit::{Foreign, OtherHosts, Sessionless},
    principal::spiffe::check_trust_domain,
    retention::Keep,
};
use serde::Deserialize;
use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

mod access;
pub mod accounts;

pub use access::{NotifyConfig, StoreUrl};

/// Name of the file in the home.
pub const FILE_NAME: &str = "sealgate.toml";

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Hosts that are no cloud API: `tunnel` or `refuse`.
    pub other_hosts: OtherHosts,
    /// Calls without a session: `refuse` or `record`.
    pub sessionless: Sessionless,
    /// Calls signed with credentials that were not issued here: `refuse` or `pass`.
    pub foreign: Foreign,
    /// Those that pass: access key ids, or their beginnings with a `*` after them.
    pub foreign_keys: Vec<String>,
    /// Whether credentials in answers (AssumeRole and its kin) are kept inside, and the client gets others for them.
    pub contain: bool,
    /// Bytes kept of each body; 0 keeps none (length and hash stay).
    pub capture_bytes: usize,
    /// Hosts that go elsewhere.
    pub route: Vec<Route>,
    /// Accounts, and where the credential of each comes from; see [`accounts`].
    pub account: Vec<AccountConfig>,
    /// The ledger.
    pub ledger: LedgerConfig,
    /// The way out.
    pub upstream: UpstreamConfig,
    /// How long what is kept.
    pub retention: RetentionConfig,
    /// Witnesses of the windows log.
    pub witness: Option<WitnessConfig>,
    /// Timestamps over seals.
    pub timestamp: Option<TimestampConfig>,
    /// The database, where it is not the file in the home: `postgres://…`.
    pub store: Option<StoreUrl>,
    /// File that says whose key is whose among those who approve and review (OpenSSH `allowed_signers`).
    pub approvers: Option<PathBuf>,
    /// What a request for a session needs.
    pub approval: Approval,
    /// What no session may pass.
    pub limit: Vec<Limit>,
    /// Which workloads need nobody's approval.
    pub rule: Vec<Rule>,
    /// What may be opened before anybody approved.
    pub break_glass: BreakGlass,
    /// Who is told of that.
    pub notify: NotifyConfig,
    /// File with the directory of principals; without one, everybody is taken at their word.
    pub principals: Option<PathBuf>,
    /// Where clients connect with TLS, and prove themselves by certificate.
    pub listen_tls: Option<ListenTls>,
}

/// A listener with TLS: an `https://` proxy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenTls {
    /// Where clients connect.
    pub address: SocketAddr,
    /// PEM file of its certificate and chain; without one, the gateway's own CA makes one for `names`.
    pub certificate: Option<PathBuf>,
    /// PEM file of the certificate's key.
    pub key: Option<PathBuf>,
    /// Host names and addresses by which clients reach it, where the gateway makes the certificate.
    #[serde(default)]
    pub names: Vec<String>,
    /// PEM file of the CAs of client certificates.
    pub client_ca: Option<PathBuf>,
    /// The SPIFFE trust domain of those CAs, without `spiffe://`.
    pub trust_domain: Option<String>,
    /// Clients without a certificate: `require` one, or `accept` them with a proxy credential.
    #[serde(default)]
    pub client_certificates: ClientCertificates,
}

/// What becomes of clients without a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// They need a proxy credential.
    #[default]
    Accept,
    /// They are refused.
    Require,
}

impl ListenTls {
    fn check(&self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err("listen_tls.certificate and listen_tls.key go together".to_owned());
        }
        if self.certificate.is_some() && !self.names.is_empty() {
            return Err(
                "listen_tls.names is for the certificate that the gateway makes: leave it out, or leave out certificate".to_owned()
            );
        }
        if self.client_ca.is_some() != self.trust_domain.is_some() {
            return Err("listen_tls.client_ca and listen_tls.trust_domain go together: the one signs for the other".to_owned());
        }
        if self.client_certificates == ClientCertificates::Require && self.client_ca.is_none() {
            return Err("listen_tls.client_certificates = \"require\" needs client_ca".to_owned());
        }
        let name = self.trust_domain.as_deref().map_or(Ok(()), check_trust_domain);
        name.map_err(|why| format!("listen_tls.trust_domain: {why}"))
    }

    fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.certificate, &mut self.key, &mut self.client_ca].into_iter().flatten()
    }
}

/// A host that goes to another address, under another CA: private endpoints, tests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// A host name, with all names below it: `amazonaws.com` or `*.amazonaws.com`.
    pub host: String,
    /// `HOST:PORT` to connect to.
    pub to: String,
    /// PEM file of the CA to trust there, instead of the system's.
    pub ca: Option<PathBuf>,
}

impl Route {
    /// Whether the route is for this host.
    pub fn matches(&self, host: &str) -> bool {
        let suffix = self.host.strip_prefix("*.").unwrap_or(&self.host);
        let Some(at) = host.len().checked_sub(suffix.len()) else { return false };
        let tail = host.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(suffix));
        tail && (at == 0 || host.as_bytes().get(at - 1) == Some(&b'.'))
    }
}

/// Settings of the ledger.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// Records after which a part is cut.
    pub part_records: u64,
    /// Seconds after which a part is cut.
    pub part_seconds: u64,
    /// Whether payload files are encrypted, with a key for each window.
    pub encrypt_payloads: bool,
}

/// Settings of the way out, in seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamConfig {
    /// For a connection.
    pub connect_seconds: u64,
    /// From a request to the head of its answer; some calls work for minutes before they answer.
    pub answer_seconds: u64,
    /// Between two pieces of an answer.
    pub idle_seconds: u64,
    /// Whether `User-Agent` carries the place of the call's record, `sealgate/WINDOW.SEQ`, which the provider's own log then has.
    pub mark: bool,
}

/// After how many days a sealed window loses what; without a number it is kept.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Its payload files.
    pub payloads_keep_days: Option<NonZeroU32>,
    /// All but the signed note.
    pub records_keep_days: Option<NonZeroU32>,
}

/// Witnesses of the windows log. None are asked where the section is not there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// File that says who they are and whose cosignatures suffice (C2SP tlog-policy).
    pub policy: PathBuf,
}

/// Timestamps over seals. None are asked for where the section is not there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampConfig {
    /// Where the timestamp authority answers RFC 3161 requests.
    pub url: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7300)),
            other_hosts: OtherHosts::default(),
            sessionless: Sessionless::default(),
            foreign: Foreign::default(),
            foreign_keys: Vec::new(),
            contain: true,
            capture_bytes: CAPTURE_BYTES,
            route: Vec::new(),
            account: Vec::new(),
            ledger: LedgerConfig::default(),
            upstream: UpstreamConfig::default(),
            retention: RetentionConfig::default(),
            witness: None,
            timestamp: None,
            store: None,
            approvers: None,
            approval: Approval::default(),
            limit: Vec::new(),
            rule: Vec::new(),
            break_glass: BreakGlass::default(),
            notify: NotifyConfig::default(),
            principals: None,
            listen_tls: None,
        }
    }
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self { part_records: 50_000, part_seconds: 300, encrypt_payloads: false }
    }
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self { connect_seconds: 10, answer_seconds: 900, idle_seconds: 300, mark: true }
    }
}

/// What is wrong with the file: one line that names it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .file.display())]
pub struct ConfigError {
    file: PathBuf,
    why: String,
}

impl Config {
    /// Reads a file. Relative paths in it are relative to its folder.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let error = |why: String| ConfigError { file: file.to_owned(), why };
        let text = std::fs::read_to_string(file).map_err(|why| error(why.to_string()))?;
        let mut config: Self = toml::from_str(&text).map_err(|why| error(why.to_string().trim_end().replace('\n', " ")))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let routes = config.route.iter_mut().filter_map(|route| route.ca.as_mut());
        let secure = config.listen_tls.iter_mut().flat_map(ListenTls::files);
        for file in routes.chain(secure).chain(config.principals.as_mut()) {
            *file = folder.join(&*file);
        }
        if let Some(witness) = &mut config.witness {
            witness.policy = folder.join(&witness.policy);
        }
        if let Some(approvers) = &mut config.approvers {
            *approvers = folder.join(&*approvers);
        }
        config.place_account_files(folder);
        config.check().map_err(error)?;
        Ok(config)
    }

    /// Whether a call may be signed with this credential, which was not issued here.
    pub fn passes(&self, access_key_id: &str) -> bool {
        let fits = |key: &String| match key.strip_suffix('*') {
            Some(beginning) => access_key_id.starts_with(beginning),
            None => key == access_key_id,
        };
        self.foreign == Foreign::Pass && self.foreign_keys.iter().any(fits)
    }

    fn check(&self) -> Result<(), String> {
        if self.capture_bytes > CAPTURE_BYTES_MAX {
            return Err(format!("capture_bytes is at most {CAPTURE_BYTES_MAX}"));
        }
        if self.foreign == Foreign::Pass && self.foreign_keys.is_empty() {
            return Err("foreign = \"pass\" needs foreign_keys: the access key ids that pass, for example [\"AKIAIOSFODNN7EXAMPLE\"], or [\"*\"] for all".to_owned());
        }
        if self.ledger.part_records == 0 || self.ledger.part_seconds == 0 {
            return Err("ledger.part_records and ledger.part_seconds are 1 or more".to_owned());
        }
        if [self.upstream.connect_seconds, self.upstream.answer_seconds, self.upstream.idle_seconds].contains(&0) {
            return Err("the waits of [upstream] are 1 second or more".to_owned());
        }
        if let (Some(payloads), Some(records)) = (self.retention.payloads_keep_days, self.retention.records_keep_days)
            && payloads > records
        {
            return Err("retention.payloads_keep_days is at most records_keep_days: payloads go with their records".to_owned());
        }
        if let Some(timestamp) = &self.timestamp {
            crate::remote::url(&timestamp.url).map_err(|why| format!("timestamp.url: {why}"))?;
        }
        self.check_access()?;
        self.check_accounts()?;
        self.listen_tls.as_ref().map_or(Ok(()), ListenTls::check)?;
        match self.route.iter().find(|route| route.to.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err())) {
            Some(route) => Err(format!("route {}: `to` is HOST:PORT, not {:?}", route.host, route.to)),
            None => Ok(()),
        }
    }

    /// When parts are cut.
    pub fn cutting(&self) -> Cutting {
        Cutting { records: self.ledger.part_records, seconds: self.ledger.part_seconds }
    }

    /// How long what is kept.
    pub fn keep(&self) -> Keep {
        Keep { payloads_days: self.retention.payloads_keep_days, records_days: self.retention.records_keep_days }
    }

    /// How long to wait for an upstream.
    pub fn waits(&self) -> Waits {
        let seconds = Duration::from_secs;
        let upstream = self.upstream;
        Waits {
            connect: seconds(upstream.connect_seconds),
            answer: seconds(upstream.answer_seconds),
            idle: seconds(upstream.idle_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::read(file.path()).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named() {
        assert!(error_of("listn = \"x\"").contains("listn"), "{}", error_of("listn = \"x\""));
        assert!(error_of("[ledger]\npart_secs = 1").contains("part_secs"));
        assert!(error_of("[[route]]\nhost = \"a\"\nto = \"b\"").contains("HOST:PORT"));
        assert!(error_of("capture_bytes = 999999999").contains("at most"));
        assert!(error_of("[witness]\npolcy = \"x\"").contains("polcy"));
        assert!(error_of("[listen_tls]\naddress = \"127.0.0.1:0\"\nclient_ca = \"x\"").contains("go together"));
        assert!(error_of("[timestamp]\nurl = \"tsa.example\"").contains("is not a URL"));
    }

    #[test]
    fn a_policy_is_relative_to_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        std::fs::write(&file, "[witness]\npolicy = \"witness.policy\"\n[timestamp]\nurl = \"http://127.0.0.1:318/\"\n").unwrap();
        let config = Config::read(&file).unwrap();
        assert_eq!(config.witness.unwrap().policy, folder.path().join("witness.policy"));
    }

    #[test]
    fn a_route_is_for_a_host_and_the_names_below_it() {
        let route = Route { host: "*.amazonaws.com".into(), to: "x:1".into(), ca: None };
        for (host, matches) in [
            ("amazonaws.com", true),
            ("sts.amazonaws.com", true),
            ("STS.AmazonAWS.com", true),
            ("evilamazonaws.com", false),
            ("com", false),
        ] {
            assert_eq!(route.matches(host), matches, "{host}");
        }
    }
}
