//! Who may have which session, who approves, who is told, and where that is stored: the part of the configuration that sessions
//! stand on. What it means is in [`sealgate_policies::access`].

use super::Config;
use crate::sessions::{notify::Ways, store::Place};
use sealgate_policies::access::Access;
use sealgate_schema::statement::NEEDS_MAX;
use serde::Deserialize;
use std::{collections::BTreeSet, path::PathBuf};
use zeroize::Zeroizing;

/// Address of a database server. It may hold a password, so it is printed nowhere.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct StoreUrl(Zeroizing<String>);

impl From<String> for StoreUrl {
    fn from(url: String) -> Self {
        Self(Zeroizing::new(url))
    }
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreUrl(masked)")
    }
}

/// Who is told of a session that was opened by break-glass. Nobody where both are left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// A program and its arguments. It gets the notification as JSON on its standard input.
    pub command: Vec<String>,
    /// Where it is posted to, as JSON.
    pub url: Option<String>,
}

impl Config {
    pub(super) fn check_access(&self) -> Result<(), String> {
        if let Some(url) = &self.notify.url {
            crate::remote::url(url).map_err(|why| format!("notify.url: {why}"))?;
        }
        if self.store.as_ref().is_some_and(|StoreUrl(url)| !url.starts_with("postgres://") && !url.starts_with("postgresql://")) {
            return Err("store is postgres://USER@HOST/DATABASE; leave it out for the file in the home".to_owned());
        }
        if self.approval.required && self.approvers.is_none() {
            return Err("approval.required needs approvers = \"FILE\": whose key is whose among those who approve".to_owned());
        }
        let longest = self.limit.iter().filter_map(|limit| limit.longest).chain(self.rule.iter().map(|rule| rule.longest));
        let waits = [self.approval.wait, self.break_glass.longest];
        if longest.chain(waits).any(|duration| !duration.is_positive()) {
            return Err("each longest, and approval.wait, is longer than nothing, for example \"1h\"".to_owned());
        }
        if self.rule.iter().any(|rule| rule.name.trim().is_empty() || rule.name.chars().any(char::is_control)) {
            return Err("each [[rule]] has a name: records say it".to_owned());
        }
        let names = self.approval.from.iter().chain(self.approval.case.iter().flat_map(|case| &case.from));
        match names.into_iter().find(|name| name.is_empty() || name.contains([',', ' '])) {
            Some(name) => Err(format!("approval.from: {name:?} is no name of the file of approvers")),
            None => self.enough_people(),
        }
    }

    /// A request that nobody could ever grant is a mistake in the file.
    fn enough_people(&self) -> Result<(), String> {
        let cases = self.approval.case.iter().map(|case| (case.approvals, &case.from));
        for (approvals, from) in cases.chain([(self.approval.approvals, &self.approval.from)]) {
            let people: BTreeSet<&String> = from.iter().collect();
            if !from.is_empty() && people.len() < approvals.get() as usize {
                return Err("approval: `from` names fewer people than `approvals` asks for".to_owned());
            }
            if u64::from(approvals.get()) > NEEDS_MAX {
                return Err(format!("approval: approvals are at most {NEEDS_MAX}"));
            }
        }
        Ok(())
    }

    /// Who may have which session.
    pub fn access(&self) -> Access {
        let Self { approval, limit, rule, break_glass, .. } = self.clone();
        Access { approval, limits: limit, rules: rule, break_glass }
    }

    /// Where the database is; `file` without a server.
    pub fn place(&self, file: PathBuf) -> Place {
        self.store.as_ref().map_or(Place::File(file), |StoreUrl(url)| Place::Server(url.clone()))
    }

    /// Who is told of break-glass.
    pub fn notified(&self) -> Ways {
        let url = self.notify.url.as_deref().and_then(|url| crate::remote::url(url).ok());
        Ways { command: self.notify.command.clone(), url }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealgate_policies::{access::Way, request::Terms, session::PrincipalKind};

    fn read(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::read(file.path()).map_err(|error| error.to_string())
    }

    /// The example in the documentation of [`sealgate_policies::access`].
    fn example() -> String {
        let source = include_str!("../../../policies/src/access.rs");
        let lines = source.lines().skip_while(|line| *line != "//! ```toml").skip(1).take_while(|line| *line != "//! ```");
        lines.map(|line| line.trim_start_matches("//!").to_owned() + "\n").collect()
    }

    #[test]
    fn the_documented_example_means_what_it_says() {
        let access = read(&format!("approvers = \"approvers\"\n{}", example())).unwrap().access();
        let terms = |principal: &str, principal_kind, window: &str, role: Option<&str>| Terms {
            window: window.to_owned().into(),
            principal: principal.to_owned().into(),
            principal_kind,
            acting_for: None,
            account: Some("staging".into()),
            role: role.map(|role| role.to_owned().into()),
            duration: 30 * 60 * 1_000_000,
            reason: "why".into(),
        };
        assert!(access.approval.required);
        let needs = |terms: &Terms| match access.way(terms, &[]) {
            Ok(Way::Approvals(needs)) => needs.approvals.get(),
            Ok(Way::Rule(_)) => 0,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(needs(&terms("alice", PrincipalKind::Human, "PROD-1", None)), 1);
        assert_eq!(needs(&terms("a1", PrincipalKind::Agent, "PROD-1", None)), 2);
        assert_eq!(needs(&terms("ci-deploy", PrincipalKind::Workload, "CHG-1", Some("arn:aws:iam::1:role/deploy"))), 0);
        assert_eq!(needs(&terms("ci-deploy", PrincipalKind::Workload, "CHG-1", None)), 1);
        let prod = Terms { account: Some("prod".into()), ..terms("alice", PrincipalKind::Human, "PROD-1", None) };
        assert!(access.way(&prod, &[]).is_err());
    }

    #[test]
    fn what_nobody_could_grant_or_mean_is_refused_with_the_key() {
        for (text, says) in [
            ("[approval]\nrequired = true", "approvers"),
            ("[approval]\nrequird = true", "requird"),
            ("[approval]\napprovals = 0", "approvals"),
            ("[approval]\napprovals = 2\nfrom = [\"bob\"]", "fewer people"),
            ("[approval]\napprovals = 65", "at most 64"),
            ("[approval]\napprovals = 2\nfrom = [\"bob\", \"bob\"]", "fewer people"),
            ("[[approval.case]]\napprovals = 2\nfrom = [\"bob\"]", "fewer people"),
            ("[approval]\nfrom = [\"bob, carol\"]", "no name"),
            ("[approval]\nwait = \"0s\"", "longer than nothing"),
            ("[[limit]]\nfor = { principal = [\"alice\"] }", "principal"),
            ("[[rule]]\nname = \" \"\nlongest = \"1h\"", "name"),
            ("[[rule]]\nname = \"x\"\nlongest = \"-1h\"", "longer than nothing"),
            ("[notify]\nurl = \"hook.example\"", "is not a URL"),
            ("store = \"mysql://x/y\"", "postgres://"),
        ] {
            let error = read(text).map(drop).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn the_password_of_a_database_is_not_printed() {
        let config = read("store = \"postgres://sealgate:hunter2@db.example/sealgate\"").unwrap();
        let printed = format!("{config:?} {:?}", config.place("x".into()));
        assert!(!printed.contains("hunter2") && printed.contains("masked"), "{printed}");
    }
}
