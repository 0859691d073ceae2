//! How somebody at the command line proves who they are, for the commands that ask: `--oidc-token`, `--ssh-key`.

use super::Failure;
use crate::{
    limits::TOKEN_BYTES_MAX,
    principals::proof::{Proof, SshProof, Token},
};
use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use zeroize::Zeroizing;

/// Proofs, one at most. To be flattened into a command's arguments.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ProofArguments {
    /// Prove who you are with an OIDC token from a file, or from standard input (-); without it, from SEALGATE_OIDC_TOKEN
    /// where that is set (as GitLab's id_tokens set it)
    #[arg(long, value_name = "FILE|-", conflicts_with = "ssh_key")]
    oidc_token: Option<PathBuf>,
    /// Prove who you are with an SSH key: its private half, or its public half with the private one in the agent
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
}

/// Variable with a token.
const TOKEN_VARIABLE: &str = "SEALGATE_OIDC_TOKEN";

impl ProofArguments {
    /// Reads the token, or has the statement signed, which is made for that alone.
    pub(super) fn proof(&self, statement: impl FnOnce() -> Result<String, Failure>) -> Result<Proof, Failure> {
        if let Some(key) = &self.ssh_key {
            let statement = statement()?;
            let signature = sign(key, &statement)?;
            return Ok(Proof { ssh: Some(SshProof { statement, signature }), oidc: None });
        }
        let token = match &self.oidc_token {
            Some(file) => Some(read(file).map_err(|error| Failure::new(super::USAGE, format!("{}: {error}", file.display())))?),
            None => std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()).map(Zeroizing::new),
        };
        Ok(Proof { ssh: None, oidc: token.map(|token| Token::new(Zeroizing::new(token.trim().to_owned()))) })
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

/// Has `ssh-keygen` sign: it knows agents, passphrases and security keys.
pub(super) fn sign(key: &Path, text: &str) -> Result<String, Failure> {
    let failed = |why: String| Failure::new(1, format!("ssh-keygen could not sign with {}: {why}", key.display()));
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "sign", "-q", "-n", "sealgate", "-f"]).arg(key);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| failed(error.to_string()))?;
    // Closed when it goes out of scope here: ssh-keygen reads to the end.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    let signature = String::from_utf8(output.stdout).map_err(|error| failed(error.to_string()))?;
    match output.status.success() && !signature.is_empty() {
        true => Ok(signature),
        // What is wrong it has said itself.
        false => Err(failed(output.status.to_string())),
    }
}
