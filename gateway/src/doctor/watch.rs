//! Runs a command in a session and watches it.

use super::{program::Seen, sample, trace};
use crate::admin::api::Environment;
use std::{ffi::OsString, io, os::fd::AsFd, process::Stdio};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum How {
    /// With strace where that works.
    #[default]
    Best,
    /// With strace.
    Trace,
    /// In `/proc`.
    Sample,
}

/// Where the command's standard output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// To this process's.
    Same,
    /// To this process's standard error: the report alone goes to standard output.
    Error,
}

/// Runs the command to its end, with the variables of its session. `None`: it could not be run.
pub async fn watch(command: &[OsString], session: &Environment, how: How, output: Output) -> io::Result<Option<Seen>> {
    // The terminal's interrupt goes to the command too; this process stays to say what it saw.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let output = match output {
        Output::Same => Stdio::inherit(),
        Output::Error => io::stderr().as_fd().try_clone_to_owned()?.into(),
    };
    let shape = |running: &mut Command| {
        for name in &session.unset {
            running.env_remove(name);
        }
        running.envs(session.set.iter().map(|(name, value)| (name, value))).stdout(output);
    };
    let traced = how == How::Trace || (how == How::Best && trace::possible().await);
    let watched = async {
        match traced {
            true => trace::run(command, &session.set, shape).await,
            false => sample::run(command, &session.set, shape).await,
        }
    };
    let mut watched = std::pin::pin!(watched);
    loop {
        // The loser is an interrupt, which is the command's.
        tokio::select! {
            seen = &mut watched => return seen,
            _ = interrupt.recv() => {}
        }
    }
}
