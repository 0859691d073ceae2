//! What STS is told of who acts, in the letters that it takes.

use aws_sdk_sts::{error::BuildError, types::Tag};
use sealgate_policies::session::Session;
use sha2::{Digest, Sha256};
use std::time::Duration;

use crate::limits::{ROLE_TIME_MAX, ROLE_TIME_MIN};

/// `RoleSessionName` and `SourceIdentity` have at most this many letters.
const NAME_CHARS_MAX: usize = 64;
/// Hexadecimal digits at the end of a name that had to be changed.
const MARK_DIGITS: usize = 8;

/// A principal as `RoleSessionName` and `SourceIdentity` are spelt: letters, digits and `_=,.@-`, two to 64. One that has others or is
/// too long ends in eight digits of its hash, so that no two principals are one to the provider.
pub(super) fn sts_name(principal: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_=,.@+-".contains(c);
    // A name that begins with `aws:` is AWS's; its colon is replaced like any other.
    if principal.chars().all(plain) && (2..=NAME_CHARS_MAX).contains(&principal.len()) {
        return principal.to_owned();
    }
    let spelt: String = principal.chars().map(|c| if plain(c) { c } else { '-' }).take(NAME_CHARS_MAX - MARK_DIGITS - 1).collect();
    let hash: String = Sha256::digest(principal).iter().take(MARK_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect();
    format!("{spelt}-{hash}")
}

/// The session tags: who, in which window, by which session.
pub(super) fn tags(session: &Session) -> Result<Vec<Tag>, BuildError> {
    let tag = |(key, value): (&str, &str)| Tag::builder().key(key).value(tag_value(value)).build();
    let tags =
        [("sealgate:principal", &session.principal), ("sealgate:window", &session.window), ("sealgate:session", &session.id)];
    tags.into_iter().map(|(key, value)| tag((key, value))).collect()
}

/// Letters, digits, blanks and `_.:/=+-@`, 256 at most.
fn tag_value(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_.:/=+-@ ".contains(c);
    text.chars().map(|c| if plain(c) { c } else { '_' }).take(256).collect()
}

/// For how long a role is asked for: until the session's end, in what AWS takes.
pub(super) fn duration(session: &Session, now: i64) -> Duration {
    let left = u64::try_from(session.expires().saturating_sub(now)).unwrap_or(0);
    // To the next whole second, so that it is not over a moment before the session is.
    Duration::from_secs(left.div_ceil(1_000_000)).clamp(ROLE_TIME_MIN, ROLE_TIME_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_principal_is_its_own_name() {
        for name in ["alice", "ci-deploy", "alice@example.com", &"x".repeat(64)] {
            assert_eq!(sts_name(name), name);
        }
        assert_eq!(sts_name("spiffe://td/ns/a"), "spiffe---td-ns-a-".to_owned() + &sts_name("spiffe://td/ns/a")[17..]);
        assert_ne!(sts_name("a/b"), sts_name("a:b"));
        assert_ne!(sts_name(&"x".repeat(65)), sts_name(&"x".repeat(66)));
    }

    #[test]
    fn a_tag_keeps_what_may_be_in_one() {
        assert_eq!(tag_value("spiffe://td/ns/ä b;c\n"), "spiffe://td/ns/ä b_c_");
    }

    proptest! {
        #[test]
        fn every_name_is_one_that_sts_takes(principal: String) {
            let name = sts_name(&principal);
            let plain = |c: char| c.is_ascii_alphanumeric() || "_=,.@+-".contains(c);
            prop_assert!((2..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(plain), "{}", name);
        }
    }
}
