//! What people sign: a few lines that say what they agree to, the same bytes for everybody who writes them.

use crate::Text;
use std::fmt::Write;

/// First line of every statement.
pub const STATEMENT_TAG: &str = "sealgate statement v1";

/// A statement: what is done, and its members in order. A member without a value is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// `approve`, `deny`, `review`, `request`.
    pub act: &'static str,
    /// Name and value, one line each.
    pub members: Vec<(&'static str, Text)>,
}

impl Statement {
    /// The bytes that are signed.
    pub fn text(&self) -> String {
        let mut text = format!("{STATEMENT_TAG}\nact: {}\n", self.act);
        for (name, value) in &self.members {
            // Into a string it does not fail.
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }
}
