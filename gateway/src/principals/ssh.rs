//! SSH signatures: whose key it is, by the directory's file of allowed signers; and the requests that were handed out to be signed, each
//! good once.
//!
//! Nobody is known by a pattern: a key that may be called anything could be called as somebody else. What was handed out is in memory
//! alone: after a restart nothing of it is taken, so nothing can be taken twice.

use super::{Known, PrincipalError};
use crate::limits::STATEMENTS_OUT_MAX;
use sealgate_policies::principal::Principal;
use sealgate_schema::{public_key::PublicKey, sshsig::NAMESPACE};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

impl Known {
    /// Whose key it is, and what they are called in the file of signers. Where it is several names', `signer` and `principal` may say which.
    pub(super) fn by_key(
        &self,
        key: &PublicKey,
        signer: Option<&str>,
        principal: Option<&str>,
        now: i64,
    ) -> Result<(&Principal, String), PrincipalError> {
        let mut names = self.signers.names(key, NAMESPACE, now);
        names.retain(|name| signer.is_none_or(|signer| signer == *name));
        let key = key.fingerprint();
        if names.is_empty() {
            let whose = signer.map_or_else(|| "nobody's".to_owned(), |signer| format!("not {signer}'s"));
            let why = format!("key {key} is {whose} in the allowed_signers of the directory of principals, or not at this time");
            return Err(PrincipalError::Ssh(why));
        }
        let is = |name: &str| names.contains(&name);
        let asked = principal.and_then(|name| self.directory.named(name));
        let asked = asked.filter(|principal| principal.ssh.iter().any(|name| is(name)));
        let found = asked.map_or_else(|| self.directory.by_ssh(&key, is), Ok)?;
        let called = found.ssh.iter().find(|name| is(name)).cloned().unwrap_or_default();
        Ok((found, called))
    }
}

/// Requests that were handed out to be signed, and until when they are taken.
#[derive(Debug, Default)]
pub(super) struct HandedOut {
    open: Mutex<BTreeMap<String, i64>>,
}

impl HandedOut {
    /// Remembers one; `false` where no more can be remembered.
    pub(super) fn add(&self, request: &str, until: i64, now: i64) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, until| *until > now);
        if open.len() >= STATEMENTS_OUT_MAX {
            return false;
        }
        open.insert(request.to_owned(), until);
        true
    }

    /// Takes one back; `false` where it was not handed out, was taken before, or is too old.
    pub(super) fn take(&self, request: &str, now: i64) -> bool {
        let taken = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(request);
        taken.is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_out_is_taken_once_and_not_too_late() {
        let out = HandedOut::default();
        assert!(out.add("R-1", 10, 0) && out.add("R-2", 10, 0));
        assert!(out.take("R-1", 9));
        assert!(!out.take("R-1", 9) && !out.take("R-2", 10) && !out.take("R-3", 0));
        for number in 0..STATEMENTS_OUT_MAX {
            assert!(out.add(&format!("R-{number}"), 20, 10));
        }
        assert!(!out.add("R-x", 30, 19));
        assert!(out.add("R-x", 30, 20), "what is too old makes room");
    }
}
