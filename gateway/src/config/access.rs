//! Who may have which session, who approves, who is told, and where that is stored: the part of the configuration that sessions
//! stand on. What it means is in [`sealgate_policies::access`].

use super::Config;
use crate::sessions::{notify::Ways, store::Place};
use sealgate_policies::access::Access;
use serde::Deserialize;
use std::{num::NonZeroU32, path::PathBuf};
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
        let of = |approvals: NonZeroU32, from: &[String]| from.is_empty() || from.len() >= approvals.get() as usize;
        let cases = self.approval.case.iter().map(|case| of(case.approvals, &case.from));
        match cases.chain([of(self.approval.approvals, &self.approval.from)]).all(|enough| enough) {
            true => Ok(()),
            false => Err("approval: `from` names fewer people than `approvals` asks for".to_owned()),
        }
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
