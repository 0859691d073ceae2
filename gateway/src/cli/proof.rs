//! How somebody at the command line proves who they are, for the commands that ask: `--oidc-token`, `--ssh-key`.

use super::{Failure, ssh_key::SshKey};
use crate::{
    limits::TOKEN_BYTES_MAX,
    principals::proof::{Proof, SshProof, Token},
};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Proofs, one at most. To be flattened into a command's arguments.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ProofArguments {
    /// Prove who you are with an OIDC token from a file, or from standard input (-); without it, from SEALGATE_OIDC_TOKEN
    /// where that is set (as GitLab's id_tokens set it)
    #[arg(long, value_name = "FILE|-", conflicts_with = "ssh_key")]
    oidc_token: Option<PathBuf>,
    /// Prove who you are with an SSH key: its private half, its public half with the private one in the agent, or `agent` for the only key of the agent
    #[arg(long, value_name = "FILE|agent")]
    ssh_key: Option<PathBuf>,
}

/// Variable with a token.
const TOKEN_VARIABLE: &str = "SEALGATE_OIDC_TOKEN";

impl ProofArguments {
    /// The key to sign with, where one is named.
    pub(super) fn ssh_key(&self) -> Result<Option<SshKey>, Failure> {
        self.ssh_key.as_deref().map(|key| SshKey::named(Some(key))).transpose()
    }

    /// The token, where there is one.
    pub(super) fn token(&self) -> Result<Proof, Failure> {
        let token = match &self.oidc_token {
            Some(file) => Some(read(file).map_err(|error| Failure::new(super::USAGE, format!("{}: {error}", file.display())))?),
            None => std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()).map(Zeroizing::new),
        };
        Ok(Proof { ssh: None, oidc: token.map(|token| Token::new(Zeroizing::new(token.trim().to_owned()))) })
    }

    /// The token, or a signature over a text.
    pub(super) fn proof(&self, text: &str) -> Result<Proof, Failure> {
        let Some(key) = self.ssh_key()? else { return self.token() };
        let signature = key.sign(text)?;
        Ok(Proof { ssh: Some(SshProof { statement: text.to_owned(), signature }), oidc: None })
    }
}

fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut token = Zeroizing::new(String::new());
    // A blank line more than a token may have: what is longer is refused by the gateway.
    let bytes_max = TOKEN_BYTES_MAX as u64 + 2;
    match file.as_os_str() == "-" {
        true => io::stdin().take(bytes_max).read_to_string(&mut token)?,
        false => std::fs::File::open(file)?.take(bytes_max).read_to_string(&mut token)?,
    };
    Ok(token)
}
