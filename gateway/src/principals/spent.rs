//! Tokens that have been used: each proves its bearer once. What is remembered is a hash, and until when.

use crate::limits::SPENT_TOKENS_MAX;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// What became of using a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is spent now.
    First,
    /// It was spent before.
    Again,
    /// No more can be remembered, so no more can be taken.
    Full,
}

/// The tokens of this run that are spent and not expired.
#[derive(Debug, Default)]
pub struct Spent {
    /// Hash of the token → the last second at which it could be used.
    tokens: Mutex<HashMap<[u8; 32], i64>>,
}

impl Spent {
    /// Spends a token that is refused from second `until` on anyway. `now` in seconds, too.
    pub fn spend(&self, token: &str, until: i64, now: i64) -> Use {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.contains_key(&hash) {
            return Use::Again;
        }
        if tokens.len() >= SPENT_TOKENS_MAX {
            tokens.retain(|_, until| *until > now);
        }
        if tokens.len() >= SPENT_TOKENS_MAX {
            return Use::Full;
        }
        tokens.insert(hash, until);
        Use::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_and_forgotten_when_it_has_expired() {
        let spent = Spent::default();
        assert_eq!(spent.spend("a", 10, 0), Use::First);
        assert_eq!(spent.spend("a", 10, 9), Use::Again);
        for number in 1..SPENT_TOKENS_MAX {
            assert_eq!(spent.spend(&number.to_string(), 20, 0), Use::First);
        }
        assert_eq!(spent.spend("one more", 20, 9), Use::Full);
        assert_eq!(spent.spend("one more", 20, 10), Use::First);
        assert_eq!(spent.spend("and another", 20, 10), Use::Full);
    }
}
