//! Names that become paths, origins and columns: gateway instances and windows.
//!
//! They are checked once, here. Later code may put them into a path or a note line without looking again.

use crate::Text;

/// The longest gateway or window name, in bytes: it is a folder name and a note line.
pub const NAME_BYTES_MAX: usize = 64;

/// A name that can't be a folder, a note line or a column value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} {name:?} is not a name: use 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-', starting with a letter or digit"
)]
pub struct BadName {
    what: &'static str,
    name: String,
}

/// One ledger: the records of one window on one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LedgerId {
    gateway: Text,
    window: Text,
}

impl LedgerId {
    /// Checks both names.
    pub fn new(gateway: impl Into<Text>, window: impl Into<Text>) -> Result<Self, BadName> {
        let (gateway, window) = (gateway.into(), window.into());
        check_name("gateway", &gateway)?;
        check_name("window", &window)?;
        Ok(Self { gateway, window })
    }

    /// The gateway instance that wrote the ledger.
    pub fn gateway(&self) -> &Text {
        &self.gateway
    }

    /// The change window.
    pub fn window(&self) -> &Text {
        &self.window
    }

    /// The first line of the ledger's note: `sealgate/GATEWAY/WINDOW`.
    pub fn origin(&self) -> String {
        format!("sealgate/{}/{}", self.gateway, self.window)
    }
}

/// Refuses what would be unsafe as a folder name, in a note line, or in a hive-style path (`=`).
pub fn check_name(what: &'static str, name: &str) -> Result<(), BadName> {
    let first_is_plain = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let all_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if first_is_plain && all_plain && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(BadName { what, name: name.chars().take(80).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_safe_in_a_path_and_a_note_are_taken() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for good in ["CHG-4211", "day-2026-11-23", "a", "1.2_3"] {
            assert!(check_name("window", good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-x", "a=b", "a/b", "a b", "a\nb", "ä", long.as_str()] {
            assert!(check_name("window", bad).is_err(), "{bad:?}");
        }
    }
}
