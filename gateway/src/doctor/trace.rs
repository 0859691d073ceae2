//! Runs a command below strace and reads the trace while it is written, through a pipe: what it says of environments and
//! messages is never on a disk.

use super::{
    program::{Seen, exit_code},
    strace::{CALLS, Reader},
    tree::Tree,
};
use crate::limits::{DOCTOR_LINE_BYTES_MAX, DOCTOR_TAIL_WAIT};
use rustix::fs::{CWD, FileType, mknodat};
use std::{ffi::OsString, io, process::Stdio};
use tokio::{
    net::unix::pipe,
    process::Command,
    time::{Instant, sleep_until},
};

/// Bytes of a string that strace prints: a list of hosts without proxy fits.
const STRING_BYTES: &str = "1024";
/// Bytes that are read from the pipe at once: what it holds.
const READ_BYTES: usize = 64 << 10;

/// Whether strace is here and may trace.
pub async fn possible() -> bool {
    let mut probe = Command::new("strace");
    probe.args(["-f", "-qq", "-yy", "-e", "trace=connect", "-o", "/dev/null", "true"]);
    probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().await.is_ok_and(|status| status.success())
}

/// Runs the command to its end. `shape` says how: its environment, its output.
pub async fn run(command: &[OsString], session: &[(String, String)], shape: impl FnOnce(&mut Command)) -> io::Result<Option<Seen>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("trace");
    mknodat(CWD, &path, FileType::Fifo, 0o600.into(), 0)?;
    // Opened for both ends, so that neither waits for the other to be opened.
    let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(&path)?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-yy", "-v", "-s", STRING_BYTES, "-e", "signal=none", "-e"]).arg(format!("trace={CALLS}"));
    strace.arg("-o").arg(&path).arg("--").args(command);
    shape(&mut strace);
    let mut child = strace.spawn()?;
    let mut trace = Trace { reader: Reader::default(), tree: Tree::new(session), rest: Vec::new(), unread: 0 };
    let (mut over, mut left, mut ended) = (None, false, None);
    while over.is_none() {
        if trace.tree.ended() {
            ended.get_or_insert_with(Instant::now);
        }
        // The losers are bytes that stay in the pipe, and an end that is asked for again.
        tokio::select! {
            biased;
            ready = pipe.readable() => {
                ready?;
                trace.drain(&pipe)?;
            }
            status = child.wait() => over = Some(status?),
            () = sleep_until(ended.map_or_else(Instant::now, |ended| ended + DOCTOR_TAIL_WAIT)), if ended.is_some() && !left => {
                // Processes that stay behind are let go, and go on.
                child.start_kill()?;
                left = true;
            }
        }
    }
    trace.drain(&pipe)?;
    if trace.tree.is_empty() {
        return Ok(None);
    }
    let mut seen = trace.seen(left);
    // Where a signal ended the command, strace ends itself by the same one and says no more.
    seen.exit_code = seen.exit_code.or(over.and_then(exit_code));
    Ok(Some(seen))
}

struct Trace {
    reader: Reader,
    tree: Tree,
    /// The beginning of a line.
    rest: Vec<u8>,
    /// Lines that could not be read.
    unread: u64,
}

impl Trace {
    /// Reads what is in the pipe.
    fn drain(&mut self, pipe: &pipe::Receiver) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = match pipe.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.take(buffer.get(..count).unwrap_or_default());
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.keep(line);
            let whole = std::mem::take(&mut self.rest);
            self.line(&whole);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.keep(bytes);
    }

    /// Of a line past the bound nothing more is kept; what is there is then one that can't be read.
    fn keep(&mut self, bytes: &[u8]) {
        let room = DOCTOR_LINE_BYTES_MAX.saturating_sub(self.rest.len());
        self.rest.extend(bytes.iter().take(room));
    }

    fn line(&mut self, line: &[u8]) {
        let event = std::str::from_utf8(line).ok().map(|line| self.reader.read(line));
        match event {
            Some(Ok(None)) => {}
            Some(Ok(Some((task, event)))) if !self.tree.is_full() => self.tree.take(task, event),
            _ => self.unread += 1,
        }
    }

    fn seen(self, left: bool) -> Seen {
        let mut seen = self.tree.seen();
        if self.unread > 0 {
            seen.doubts.push(format!("{} lines of the trace could not be read or were too many", self.unread));
        }
        if left {
            seen.doubts.push("the command left processes behind, which were not watched any more".to_owned());
        }
        seen
    }
}
