//! Names as the configuration writes them: with `*` for any run of characters, and nothing else.

use serde::Deserialize;

/// What a name is held against: `PROD-*`, `arn:aws:iam::*:role/readonly`, `alice`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Pattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole name is what the pattern says. Case counts.
    pub fn matches(&self, name: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut left) = name.strip_prefix(head) else { return false };
        // The last piece has to be the end; each one before it is best taken where it comes first.
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        for piece in middle.split('*') {
            match left.split_once(piece) {
                Some((_, after)) => left = after,
                None => return false,
            }
        }
        left.ends_with(tail)
    }
}

/// Whether a list is for a name: one without entries is for all.
pub fn any_matches(patterns: &[Pattern], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_any_run_of_characters_and_the_rest_is_itself() {
        for (pattern, name, expected) in [
            ("alice", "alice", true),
            ("alice", "alice2", false),
            ("alice", "Alice", false),
            ("*", "", true),
            ("*", "anything", true),
            ("PROD-*", "PROD-1", true),
            ("PROD-*", "XPROD-1", false),
            ("*-prod", "a-prod", true),
            ("*-prod", "a-prod-b", false),
            ("a*b", "ab", true),
            ("a*b", "aXb", true),
            ("a*a", "a", false),
            ("arn:*:role/admin*", "arn:aws:iam::1:role/admin-x", true),
            ("arn:*:role/admin*", "arn:aws:iam::1:user/admin-x", false),
            ("*a*b*c", "xaybzc", true),
            ("*a*b*c", "xbyazc", false),
            ("a**b", "ab", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Pattern::from(pattern).matches(name), expected, "{pattern} {name}");
        }
        assert!(any_matches(&[], "x") && !any_matches(&["y".into()], "x"));
    }

    /// What it means, without regard to time.
    fn plainly(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len()).any(|skip| plainly(rest, &name[skip..])),
            [first, rest @ ..] => name.first() == Some(first) && plainly(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_a_slow_reader_says(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
            prop_assert_eq!(Pattern::from(pattern.as_str()).matches(&name), plainly(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
