//! What may be wrong with an account or its source, and what to do about it. A text here never holds a secret: what a program
//! wrote on its error output, which may, is left out.

use crate::limits::{SOURCE_WAIT, SOURCE_WHY_CHARS_MAX};
use std::error::Error;

/// Why there is no credential. One line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No such account.
    #[error("there is no account {account}; sealgate.toml has: {known}")]
    NoAccount {
        /// What was named.
        account: String,
        /// Those that there are.
        known: String,
    },
    /// None is called `default`, so one has to be named.
    #[error("no account is called default here: name one of {known} (--account)")]
    Unnamed {
        /// Those that there are.
        known: String,
    },
    /// The account is one of roles alone.
    #[error("account {account} is used by its roles only: name one{some} (--role)")]
    RoleNeeded {
        /// The account.
        account: String,
        /// Which, where that is said.
        some: String,
    },
    /// The role may not be assumed there, or is none.
    #[error("account {account} has no role {role:?}: {why}")]
    NoRole {
        /// The account.
        account: String,
        /// The role.
        role: String,
        /// Why not.
        why: String,
    },
    /// The profile is not there.
    #[error("[[account]] {account}: {why}")]
    Profile {
        /// The account.
        account: String,
        /// What is wrong with it.
        why: String,
    },
    /// The source has no credential to give.
    #[error("account {account}: its source ({from}) gave no credential: {why}")]
    Source {
        /// The account.
        account: String,
        /// `profile ops`, …
        from: String,
        /// What it said.
        why: String,
    },
    /// STS did not give the role.
    #[error("account {account}: role {role} could not be assumed: {why}")]
    Role {
        /// The account.
        account: String,
        /// The role.
        role: String,
        /// What it said, and what may help.
        why: String,
    },
    /// The source hung.
    #[error("account {0}: no credential within {wait} s; look whether its source can be reached from here", wait = SOURCE_WAIT.as_secs())]
    Late(String),
    /// What came was over already.
    #[error("account {0}: its source gave a credential that is over already; compare this machine's clock with the source's")]
    Over(String),
    /// That a role is assumed could not be written down.
    #[error("the role was not assumed: {0}")]
    Unrecorded(String),
    /// Getting it ended in a fault of the gateway's.
    #[error("getting the credential broke off; see the gateway's log")]
    Broken,
    /// The gateway stops.
    #[error("the gateway is stopping")]
    Stopping,
}

impl SourceError {
    /// Whether the word of who asks is off, rather than the source.
    pub fn is_askers(&self) -> bool {
        matches!(self, Self::NoAccount { .. } | Self::Unnamed { .. } | Self::RoleNeeded { .. } | Self::NoRole { .. })
    }
}

/// An error with its causes, as one line of bounded length.
pub(super) fn why(error: &(dyn Error + 'static)) -> String {
    let mut pieces: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let piece = error.to_string();
        // Some errors say their cause's text, and then have it as their cause.
        if pieces.last().is_none_or(|last| !last.contains(&piece)) {
            pieces.push(piece);
        }
        cause = error.source();
    }
    one_line(&pieces.join(": "))
}

/// What somebody else said, as one line of bounded length.
pub(super) fn one_line(text: &str) -> String {
    // aws-config appends all that a credential process wrote there, and quotes a container's token that is no header.
    let text = text.split(" Stderr:").next().unwrap_or_default();
    if text.contains("as a header value for the auth token") {
        return "the container's authorization token can't be sent in a header; look for a line break in it".to_owned();
    }
    let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(SOURCE_WHY_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::provider::error::CredentialsError;

    #[test]
    fn causes_are_one_line_without_what_a_program_wrote() {
        let text = "external process exited with code exit status: 1. Stderr: the secret is hunter2\n";
        let error = CredentialsError::provider_error(text);
        assert_eq!(why(&error), "an error occurred while loading credentials: external process exited with code exit status: 1.");
        let token = "`hunter2` could not be used as a header value for the auth token. failed";
        assert!(!one_line(token).contains("hunter2"));
        assert_eq!(one_line("a\nb\t c\u{7}"), "a b c");
        assert_eq!(one_line(&"x".repeat(10_000)).len(), SOURCE_WHY_CHARS_MAX);
    }
}
