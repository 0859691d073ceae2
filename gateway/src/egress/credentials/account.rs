//! One account as it is used: which roles may be assumed in it, and what they are called in full. Asks nobody.

use super::SourceError;
use crate::config::accounts::{AccountConfig, is_account_number};

/// An account of the configuration.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) config: AccountConfig,
}

/// A role, as STS is asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Role {
    /// `arn:PARTITION:iam::NUMBER:role/PATH/NAME`.
    pub(super) arn: String,
    /// The account that it is in.
    pub(super) number: String,
}

impl Account {
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// `profile ops`, `imds`, …
    pub(super) fn source(&self) -> String {
        let profile = self.config.profile.iter().map(|profile| format!(" {profile}"));
        std::iter::once(self.config.source.to_string()).chain(profile).collect()
    }

    /// The role that a session names, where it may be assumed here; none where the session signs with the source's credential.
    pub(super) fn role(&self, named: Option<&str>) -> Result<Option<Role>, SourceError> {
        let Some(named) = named else {
            return if self.config.is_direct() { Ok(None) } else { Err(self.needs_role()) };
        };
        let arn = match (named.starts_with("arn:"), &self.config.account) {
            (true, _) => named.to_owned(),
            (false, Some(number)) => format!("arn:{}:iam::{number}:role/{named}", self.partition()),
            (false, None) => {
                let why = "name it by its whole ARN, or give the [[account]] its number";
                return Err(self.no_role(named, why.to_owned()));
            }
        };
        let why = || "a role is arn:aws:iam::111122223333:role/NAME, or its name".to_owned();
        let (number, name) = parts(&arn).ok_or_else(|| self.no_role(named, why()))?;
        self.allows(&arn, number, name).map_err(|why| self.no_role(named, why))?;
        let number = number.to_owned();
        Ok(Some(Role { arn, number }))
    }

    fn allows(&self, arn: &str, number: &str, name: &str) -> Result<(), String> {
        let here = self.config.account.as_deref().is_none_or(|own| own == number);
        if self.config.roles.is_empty() {
            return if here { Ok(()) } else { Err("it is in another account: name the [[account]] that has it".to_owned()) };
        }
        let fits = self.config.roles.iter().any(|pattern| match pattern.as_str().starts_with("arn:") {
            true => pattern.matches(arn),
            false => here && pattern.matches(name),
        });
        if fits { Ok(()) } else { Err(format!("roles there are {}", self.roles())) }
    }

    /// The account's patterns, for people.
    fn roles(&self) -> String {
        let roles: Vec<_> = self.config.roles.iter().map(|role| role.as_str()).collect();
        roles.join(", ")
    }

    fn needs_role(&self) -> SourceError {
        let some = if self.config.roles.is_empty() { String::new() } else { format!(" (one of {})", self.roles()) };
        SourceError::RoleNeeded { account: self.name().to_owned(), some }
    }

    fn no_role(&self, role: &str, why: String) -> SourceError {
        SourceError::NoRole { account: self.name().to_owned(), role: role.to_owned(), why }
    }

    /// The partition of the account's region.
    fn partition(&self) -> &'static str {
        let region = self.config.region.as_deref().unwrap_or_default();
        match region {
            _ if region.starts_with("cn-") => "aws-cn",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }
}

impl Role {
    /// A region of the role's partition, where nothing says which.
    pub(super) fn some_region(&self) -> &'static str {
        match self.arn.split(':').nth(1) {
            Some("aws-cn") => "cn-north-1",
            Some("aws-us-gov") => "us-gov-west-1",
            _ => "us-east-1",
        }
    }
}

/// Account number and name, with its path, of a role's ARN.
fn parts(arn: &str) -> Option<(&str, &str)> {
    let mut pieces = arn.splitn(6, ':');
    let (head, partition, service, region) = (pieces.next()?, pieces.next()?, pieces.next()?, pieces.next()?);
    let (number, resource) = (pieces.next()?, pieces.next()?);
    let name = resource.strip_prefix("role/")?;
    // IAM's letters for names and paths.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&b);
    let well_formed = head == "arn" && partition.starts_with("aws") && service == "iam" && region.is_empty();
    let named = !name.is_empty() && !name.ends_with('/') && name.len() <= 576 && name.bytes().all(plain);
    (well_formed && named && is_account_number(number)).then_some((number, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn account(number: Option<&str>, roles: &[&str]) -> Account {
        let roles = roles.iter().map(|role| (*role).into()).collect();
        Account { config: AccountConfig { account: number.map(str::to_owned), roles, ..AccountConfig::implicit() } }
    }

    proptest! {
        #[test]
        fn what_passes_is_the_arn_of_a_role_whatever_was_named(named in "(arn:aws[a-z-]{0,4}:iam::[0-9]{11,13}:role/)?.{0,40}") {
            if let Ok(Some(role)) = account(ONE, &[]).role(Some(&named)) {
                prop_assert!(role.arn.starts_with("arn:aws") && role.arn.contains(":iam::111122223333:role/"), "{}", role.arn);
                prop_assert!(role.arn.is_ascii() && !role.arn.contains(char::is_whitespace) && role.arn.contains(&named), "{}", role.arn);
            }
        }
    }

    const ONE: Option<&str> = Some("111122223333");

    #[test]
    fn a_session_has_the_role_that_it_names_where_the_account_allows_it() {
        let arn = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
        for (number, roles, named, expected) in [
            (ONE, &["deploy", "read-*"][..], "deploy", Ok(arn("deploy"))),
            (ONE, &["deploy", "read-*"], "read-all", Ok(arn("read-all"))),
            (ONE, &["deploy", "read-*"], &arn("deploy"), Ok(arn("deploy"))),
            (ONE, &["deploy"], "admin", Err("roles there are deploy")),
            (ONE, &["deploy"], "arn:aws:iam::999922223333:role/deploy", Err("roles there are deploy")),
            (ONE, &["arn:aws:iam::*:role/x"], "arn:aws:iam::999922223333:role/x", Ok("arn:aws:iam::999922223333:role/x".into())),
            (ONE, &[], "team/deploy", Ok(arn("team/deploy"))),
            (ONE, &[], "arn:aws:iam::999922223333:role/deploy", Err("another account")),
            (None, &[], &arn("deploy"), Ok(arn("deploy"))),
            (None, &[], "deploy", Err("whole ARN")),
            (None, &[], "arn:aws:iam::1:role/x", Err("a role is arn:")),
            (None, &[], "arn:aws:iam::111122223333:user/x", Err("a role is arn:")),
            (ONE, &[], "a b", Err("a role is arn:")),
            (ONE, &[], "", Err("a role is arn:")),
        ] {
            let found = account(number, roles).role(Some(named)).map(|role| role.unwrap().arn).map_err(|error| error.to_string());
            match (&found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(*found, expected),
                (Err(error), Err(says)) => assert!(error.contains(says) && error.contains(named), "{named}: {error}"),
                (found, expected) => panic!("{named}: {found:?} {expected:?}"),
            }
        }
    }

    #[test]
    fn an_account_of_roles_takes_no_session_without_one() {
        assert_eq!(account(ONE, &[]).role(None).unwrap(), None);
        let error = account(ONE, &["deploy", "read-*"]).role(None).unwrap_err().to_string();
        assert!(error.contains("one of deploy, read-*"), "{error}");
    }

    #[test]
    fn a_partition_is_that_of_the_region() {
        let mut account = account(ONE, &[]);
        account.config.region = Some("cn-north-1".into());
        let role = account.role(Some("x")).unwrap().unwrap();
        assert_eq!((role.arn.as_str(), role.some_region()), ("arn:aws-cn:iam::111122223333:role/x", "cn-north-1"));
    }
}
