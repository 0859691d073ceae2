//! SSH keys on the command line: `--ssh-key`, `--key`. `ssh-keygen` signs, which knows files, agents, passphrases and security keys; nothing
//! of a private key passes through here.

use super::{Failure, USAGE};
use crate::limits::SIGNED_BYTES_MAX;
use sealgate_schema::public_key::PublicKey;
use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The word for a key that an agent holds.
const AGENT: &str = "agent";

/// A key to sign with.
pub(super) enum SshKey {
    /// Its private half, or its public half with the private one in the agent.
    File(PathBuf),
    /// The only one of the agent: its public half in a file, which is how `ssh-keygen` is told of it.
    OfAgent(tempfile::NamedTempFile),
}

impl SshKey {
    /// The key that a word means; without one, `~/.ssh/id_ed25519`.
    pub(super) fn named(key: Option<&Path>) -> Result<Self, Failure> {
        match key {
            Some(key) if key.as_os_str() == AGENT => agent_key().map(Self::OfAgent),
            Some(key) => Ok(Self::File(key.to_owned())),
            None => {
                let home = std::env::home_dir().ok_or_else(|| Failure::new(USAGE, "name your key with --key"))?;
                Ok(Self::File(home.join(".ssh").join("id_ed25519")))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::OfAgent(file) => file.path(),
        }
    }

    /// Its public half.
    pub(super) fn public(&self) -> Result<PublicKey, Failure> {
        let path = self.path();
        let usage = |why: String| Failure::new(USAGE, format!("{}: {why}", path.display()));
        let beside = PathBuf::from(format!("{}.pub", path.display()));
        let text = match (read(path).map(|text| PublicKey::parse(&text)), read(&beside)) {
            (Ok(Ok(key)), _) => return Ok(key),
            (_, Ok(text)) => text,
            (Err(error), _) => return Err(usage(error.to_string())),
            // No public half anywhere: ssh-keygen makes it of the private one, and asks for the passphrase.
            (Ok(Err(_)), Err(_)) => {
                let made = Command::new("ssh-keygen").arg("-y").arg("-f").arg(path).stderr(Stdio::inherit()).output();
                let made = made.map_err(|error| usage(format!("ssh-keygen could not be run: {error}")))?;
                String::from_utf8_lossy(&made.stdout).into_owned()
            }
        };
        PublicKey::parse(&text).map_err(|error| usage(error.to_string()))
    }

    /// Has `ssh-keygen` sign.
    pub(super) fn sign(&self, text: &str) -> Result<String, Failure> {
        let key = self.path();
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
}

/// The public half of the only key of the agent.
fn agent_key() -> Result<tempfile::NamedTempFile, Failure> {
    let listed = Command::new("ssh-add").arg("-L").stdin(Stdio::null()).output();
    let listed = listed.map_err(|error| Failure::new(1, format!("ssh-add could not be run: {error}")))?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut keys = text.lines().filter(|_| listed.status.success());
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(Failure::new(USAGE, "the agent holds no key, or several: name one by its FILE.pub"));
    };
    let mut file = tempfile::Builder::new().suffix(".pub").tempfile()?;
    writeln!(file, "{key}")?;
    Ok(file)
}

/// Reads a small file: a signature, a statement, a key; `-` is standard input.
pub(super) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    match file.as_os_str() == "-" {
        true => io::stdin().take(SIGNED_BYTES_MAX).read_to_string(&mut text)?,
        false => File::open(file)?.take(SIGNED_BYTES_MAX).read_to_string(&mut text)?,
    };
    Ok(text)
}
