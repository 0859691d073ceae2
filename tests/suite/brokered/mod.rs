//! Credentials that the gateway issues, as real clients use them: [`payloads`] every way to send a body, to an S3 that checks all of
//! them; [`judge`] moto with its authorization on, which refuses what is signed with a wrong secret; [`chains`] roles that are
//! assumed; [`delivery`] the ways to get a credential; [`revoked`] how they end; [`others`] what is signed with somebody else's.

mod chains;
mod delivery;
mod judge;
mod others;
mod payloads;
mod revoked;

use crate::cli::{Gateway, command};
use sealgate_schema::Record;
use sealgate_tests::{check::window, programs::python};
use std::{
    ffi::OsStr,
    process::{Command, Output},
};

/// A command in a session, with nothing of its own in the environment.
fn inside(gateway: &Gateway, session: &str, options: &[&str], line: &[&OsStr]) -> Command {
    let mut command = command(&gateway.home, &[&["session", "exec", session], options, &["--"]].concat());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.args(line).env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_PAGER", "");
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn ok(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", all(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that has to fail said.
fn fails(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", all(&output));
    all(&output)
}

fn all(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The AWS CLI with these arguments.
fn aws(gateway: &Gateway, session: &str, options: &[&str], arguments: &[&str]) -> Command {
    let program = python("aws");
    let line: Vec<&OsStr> = std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsStr::new)).collect();
    inside(gateway, session, options, &line)
}

/// The ids of the credentials that there are, as the gateway lists them.
fn credentials(gateway: &Gateway) -> Vec<serde_json::Value> {
    serde_json::from_str(&gateway.ok(&["credentials", "list", "--json"])).unwrap()
}

/// Closes the window and stops the gateway; its verified records.
fn records(gateway: &mut Gateway, id: &str) -> Vec<Record> {
    gateway.ok(&["window", "close", id]);
    gateway.signal("TERM");
    window(&gateway.home, id).records
}

fn word(text: &Option<sealgate_schema::Text>) -> &str {
    text.as_deref().unwrap_or_default()
}
