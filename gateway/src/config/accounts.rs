//! The accounts that calls go to: where the credential of each comes from, and which roles may be assumed with it.
//!
//! ```toml
//! [[account]]
//! name = "default"                  # the one of sessions that name none
//! source = "profile"                # default, profile, environment, sso, imds, ecs or web_identity
//! profile = "ops"
//! region = "eu-central-1"           # whose STS is asked; else the environment's or the profile's
//!
//! [[account]]
//! name = "prod"
//! source = "imds"
//! account = "111122223333"          # needed where roles are given by name
//! roles = ["deploy", "readonly-*"]  # names, paths before them, or whole ARNs; without any, every role
//! direct = false                    # no session without a role
//! external_id = "sealgate"
//! tags = false                      # where the role's trust policy has no sts:TagSession
//! source_identity = false           # where it has no sts:SetSourceIdentity
//! ```

use super::Config;
use sealgate_policies::pattern::Pattern;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

/// The account of sessions that name none.
pub const DEFAULT_ACCOUNT: &str = "default";

/// Where an account's credential comes from. Each is what every AWS tool means by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// The first that has one: environment, profile, web identity, ECS, IMDS.
    #[default]
    Default,
    /// A profile of the AWS configuration: keys, `credential_process`, SSO, roles.
    Profile,
    /// `AWS_ACCESS_KEY_ID` and its kin, in the gateway's own environment.
    Environment,
    /// A profile that is signed in by `aws sso login`.
    Sso,
    /// The metadata service of the EC2 instance.
    Imds,
    /// The credential endpoint of the container: ECS, EKS pod identity.
    Ecs,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, in the gateway's own environment.
    WebIdentity,
}

impl SourceKind {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Profile => "profile",
            Self::Environment => "environment",
            Self::Sso => "sso",
            Self::Imds => "imds",
            Self::Ecs => "ecs",
            Self::WebIdentity => "web_identity",
        }
    }

    fn reads_profiles(self) -> bool {
        matches!(self, Self::Profile | Self::Sso)
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// What sessions call it.
    pub name: String,
    /// Where its credential comes from.
    #[serde(default)]
    pub source: SourceKind,
    /// The profile, for `profile`, `sso` and `default`.
    #[serde(default)]
    pub profile: Option<String>,
    /// File of profiles instead of `~/.aws/config`, for `profile` and `sso`.
    #[serde(default)]
    pub config_file: Option<PathBuf>,
    /// File of profiles' keys instead of `~/.aws/credentials`, for `profile` and `sso`.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// The region whose STS is asked.
    #[serde(default)]
    pub region: Option<String>,
    /// The provider's number of it, twelve digits.
    #[serde(default)]
    pub account: Option<String>,
    /// Roles that may be assumed: names or ARNs, with `*`. Every role where there are none.
    #[serde(default)]
    pub roles: Vec<Pattern>,
    /// Whether sessions without a role sign with the source's own credential. They do where no roles are given.
    #[serde(default)]
    pub direct: Option<bool>,
    /// `ExternalId`, where the trust policies of the roles ask for one.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Whether roles are assumed with the principal as their `SourceIdentity`.
    #[serde(default = "yes")]
    pub source_identity: bool,
    /// Whether roles are assumed with session tags that name principal, window and session.
    #[serde(default = "yes")]
    pub tags: bool,
}

fn yes() -> bool {
    true
}

impl AccountConfig {
    /// The account of a configuration that has none: whatever the AWS tools would use here.
    pub fn implicit() -> Self {
        Self {
            name: DEFAULT_ACCOUNT.to_owned(),
            source: SourceKind::Default,
            profile: None,
            config_file: None,
            credentials_file: None,
            region: None,
            account: None,
            roles: Vec::new(),
            direct: None,
            external_id: None,
            source_identity: true,
            tags: true,
        }
    }

    /// Whether sessions without a role sign with the source's own credential.
    pub fn is_direct(&self) -> bool {
        self.direct.unwrap_or(self.roles.is_empty())
    }

    fn check(&self) -> Result<(), String> {
        let source = self.source;
        if self.profile.is_some() && !source.reads_profiles() && source != SourceKind::Default {
            return Err(format!("profile is for source = \"profile\", \"sso\" or \"default\", not {source}"));
        }
        if source == SourceKind::Sso && self.profile.is_none() {
            return Err("source = \"sso\" needs profile: the one that `aws configure sso` wrote".to_owned());
        }
        if (self.config_file.is_some() || self.credentials_file.is_some()) && !source.reads_profiles() {
            return Err(format!("config_file and credentials_file are for source = \"profile\" or \"sso\", not {source}"));
        }
        if self.account.as_ref().is_some_and(|number| !is_account_number(number)) {
            return Err("account is the account's number, twelve digits in quotes".to_owned());
        }
        if self.region.as_ref().is_some_and(|region| !is_region(region)) {
            return Err(format!("region {:?} is none; write it like \"eu-central-1\"", self.region.as_deref().unwrap_or_default()));
        }
        if self.external_id.as_ref().is_some_and(|id| !is_external_id(id)) {
            return Err("external_id is 2 to 1,224 letters, digits or _+=,.@:/-".to_owned());
        }
        let named = self.roles.iter().find(|role| !role.as_str().starts_with("arn:"));
        match (named, &self.account) {
            (Some(role), _) if role.as_str().is_empty() => Err("roles: one of them is empty".to_owned()),
            (Some(role), None) => {
                Err(format!("roles has {:?}, which is no ARN: give the account's number too, account = \"…\"", role.as_str()))
            }
            _ => Ok(()),
        }
    }
}

/// Twelve digits.
pub(crate) fn is_account_number(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_region(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 32 && text.contains('-') && text.bytes().all(plain)
}

fn is_external_id(text: &str) -> bool {
    (2..=1_224).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b))
}

impl Config {
    /// The accounts that there are.
    pub fn accounts(&self) -> Vec<AccountConfig> {
        match self.account.as_slice() {
            [] => vec![AccountConfig::implicit()],
            accounts => accounts.to_vec(),
        }
    }

    pub(super) fn check_accounts(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for account in &self.account {
            let name = &account.name;
            if name.trim().is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace() || c == ',') {
                return Err(format!("each [[account]] has a name without blanks and commas, not {name:?}"));
            }
            if !names.insert(name) {
                return Err(format!("there are two accounts {name}: give each [[account]] a name of its own"));
            }
            account.check().map_err(|why| format!("account {name}: {why}"))?;
        }
        Ok(())
    }

    /// Makes the files of accounts relative to the configuration's folder.
    pub(super) fn place_account_files(&mut self, folder: &Path) {
        let files = self.account.iter_mut().flat_map(|account| [&mut account.config_file, &mut account.credentials_file]);
        for file in files.flatten() {
            *file = folder.join(&*file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::read(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_documented_example_means_what_it_says() {
        let source = include_str!("accounts.rs");
        let lines = source.lines().skip_while(|line| *line != "//! ```toml").skip(1).take_while(|line| *line != "//! ```");
        let text: String = lines.map(|line| line.trim_start_matches("//!").to_owned() + "\n").collect();
        let accounts = read(&text).unwrap().accounts();
        let [default, prod] = accounts.as_slice() else { panic!("{accounts:?}") };
        assert!(default.is_direct() && default.tags && default.source_identity);
        assert_eq!((default.source, default.profile.as_deref()), (SourceKind::Profile, Some("ops")));
        assert!(!prod.is_direct() && !prod.tags && !prod.source_identity);
        assert_eq!((prod.source, prod.roles.len()), (SourceKind::Imds, 2));
    }

    #[test]
    fn without_accounts_there_is_the_default_one() {
        assert_eq!(read("").unwrap().accounts(), [AccountConfig::implicit()]);
        assert!(AccountConfig::implicit().is_direct());
    }

    #[test]
    fn roles_alone_make_an_account_one_of_roles() {
        let text = "[[account]]\nname = \"a\"\naccount = \"111122223333\"\nroles = [\"*\"]\n";
        assert!(!read(text).unwrap().accounts()[0].is_direct());
        assert!(read(&format!("{text}direct = true\n")).unwrap().accounts()[0].is_direct());
    }

    #[test]
    fn what_can_not_be_meant_is_refused_with_account_and_key() {
        for (keys, says) in [
            ("source = \"vault\"", "vault"),
            ("sauce = \"imds\"", "sauce"),
            ("source = \"sso\"", "account a: source = \"sso\" needs profile"),
            ("source = \"imds\"\nprofile = \"x\"", "account a: profile is for"),
            ("config_file = \"x\"", "account a: config_file"),
            ("account = \"12\"", "twelve digits"),
            ("region = \"Frankfurt\"", "eu-central-1"),
            ("external_id = \"x\"", "external_id"),
            ("roles = [\"deploy\"]", "give the account's number"),
            ("roles = [\"\"]", "empty"),
        ] {
            let error = read(&format!("[[account]]\nname = \"a\"\n{keys}\n")).map(drop).unwrap_err();
            assert!(error.contains(says) && !error.contains('\n'), "{keys}: {error}");
        }
        assert!(read("[[account]]\nname = \"a\"\n[[account]]\nname = \"a\"\n").map(drop).unwrap_err().contains("two accounts a"));
        assert!(read("[[account]]\nname = \"a b\"\n").map(drop).unwrap_err().contains("without blanks"));
    }
}
