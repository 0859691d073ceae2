//! SPIFFE IDs: `spiffe://TRUST-DOMAIN/PATH`, as the SPIFFE ID standard has them, and nothing that is nearly one.

use std::fmt;

/// The longest SPIFFE ID, in bytes (SPIFFE ID §2.3).
pub const SPIFFE_ID_BYTES_MAX: usize = 2_048;
/// The longest trust domain, in bytes (SPIFFE ID §2.3).
const TRUST_DOMAIN_BYTES_MAX: usize = 255;
const SCHEME: &str = "spiffe://";

/// A well-formed SPIFFE ID of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiffeId {
    text: String,
    trust_domain_end: usize,
}

impl SpiffeId {
    /// Reads an ID. Upper case in the trust domain, ports, users, queries, empty and relative segments are errors, and so is a
    /// trust domain without a path: that names no workload.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{:?} is not a SPIFFE ID: {why}", text.chars().take(80).collect::<String>());
        if text.len() > SPIFFE_ID_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not start with spiffe://"))?;
        let (trust_domain, path) = rest.split_once('/').ok_or_else(|| wrong("it has no path"))?;
        check_trust_domain(trust_domain).map_err(|why| wrong(&why))?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        if !path.split('/').all(segment) {
            return Err(wrong(
                "its path has an empty or relative segment, or other characters than letters, digits, '-', '.' and '_'",
            ));
        }
        Ok(Self { text: text.to_owned(), trust_domain_end: SCHEME.len() + trust_domain.len() })
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain, without `spiffe://`.
    pub fn trust_domain(&self) -> &str {
        self.text.get(SCHEME.len()..self.trust_domain_end).unwrap_or_default()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Refuses what is no trust domain.
pub fn check_trust_domain(name: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    match !name.is_empty() && name.len() <= TRUST_DOMAIN_BYTES_MAX && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(format!("{:?} is not a trust domain", name.chars().take(80).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_the_standard_allows_is_read() {
        let id = SpiffeId::parse("spiffe://prod.example/ns/ci/sa/deploy").unwrap();
        assert_eq!((id.trust_domain(), id.as_str()), ("prod.example", "spiffe://prod.example/ns/ci/sa/deploy"));
        for bad in [
            "",
            "spiffe://",
            "spiffe://prod.example",
            "spiffe://prod.example/",
            "spiffe:///ns",
            "SPIFFE://prod.example/a",
            "https://prod.example/a",
            "spiffe://Prod.example/a",
            "spiffe://prod.example:1/a",
            "spiffe://me@prod.example/a",
            "spiffe://prod.example/a//b",
            "spiffe://prod.example/a/",
            "spiffe://prod.example/a/../b",
            "spiffe://prod.example/a?b",
            "spiffe://prod.example/a#b",
            "spiffe://prod.example/a%2fb",
            "spiffe://prod.example/ä",
            "spiffe://prod.example/a b",
            &format!("spiffe://prod.example/{}", "x".repeat(SPIFFE_ID_BYTES_MAX)),
        ] {
            assert!(SpiffeId::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_put_together_again(text in "(spiffe://)?[a-zA-Z0-9./:@%-]{0,30}") {
            if let Ok(id) = SpiffeId::parse(&text) {
                let rest = text.strip_prefix("spiffe://").and_then(|rest| rest.strip_prefix(id.trust_domain()));
                prop_assert!(rest.is_some_and(|path| path.starts_with('/')));
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }
}
