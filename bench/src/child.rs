//! A process that is measured: started, asked for its CPU time and memory, and ended with the value that owns it.

use crate::Result;
use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

/// Length of a tick in `/proc/PID/stat`: `USER_HZ` is 100 on every Linux that this runs on.
const TICK: Duration = Duration::from_millis(10);
/// After load a process may still be busy with it (parts, for example). It is idle when it ran for no tick in this time,
const QUIET: Duration = Duration::from_millis(60);
/// and is not waited for longer than this.
const QUIET_WAIT: Duration = Duration::from_secs(5);

/// A running process. It is killed by its id when this is dropped: at the end, at an error, at a panic, at Ctrl-C.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    /// Kept open: a process that prints into a closed pipe may end by it.
    _output: Option<BufReader<process::ChildStdout>>,
}

impl Child {
    /// Starts a process and waits for the line of its output in which `find` finds something. Its standard input stays open
    /// as long as this lives.
    pub(crate) fn start(command: &mut Command, find: impl Fn(&str) -> Option<String>) -> Result<(Self, String)> {
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut child = Self { process, _output: None };
        let mut output = BufReader::new(child.process.stdout.take().ok_or("a process without output")?);
        let mut line = String::new();
        while output.read_line(&mut line)? > 0 {
            if let Some(found) = find(line.trim_end()) {
                child._output = Some(output);
                return Ok((child, found));
            }
            line.clear();
        }
        Err(format!("{command:?} ended before it was ready").into())
    }

    /// Starts this program again with a hidden command, and waits until it says where it listens.
    pub(crate) fn of_bench<A: AsRef<OsStr>>(arguments: &[A]) -> Result<(Self, std::net::SocketAddr)> {
        let ready = |line: &str| line.strip_prefix(crate::listen::READY).map(str::to_owned);
        let (child, address) = Self::start(Command::new(std::env::current_exe()?).args(arguments), ready)?;
        Ok((child, address.parse()?))
    }

    /// CPU time so far, of all threads that it has or had.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        cpu_of_stat(&stat).ok_or_else(|| "/proc/PID/stat reads otherwise than expected".into())
    }

    /// Waits until it is idle, and returns its CPU time so far.
    pub(crate) async fn cpu_when_idle(&self) -> Result<Duration> {
        let since = Instant::now();
        let mut before = self.cpu()?;
        loop {
            tokio::time::sleep(QUIET).await;
            let now = self.cpu()?;
            if now == before || since.elapsed() > QUIET_WAIT {
                return Ok(now);
            }
            before = now;
        }
    }

    /// Memory in KiB: resident now, and at most.
    pub(crate) fn memory_kib(&self) -> Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
                .ok_or_else(|| format!("no {name} in /proc/PID/status"))
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that has ended already can't be killed, and there is nobody left to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// CPU time of this process itself.
pub(crate) fn own_cpu() -> Result<Duration> {
    cpu_of_stat(&std::fs::read_to_string("/proc/self/stat")?).ok_or_else(|| "/proc/self/stat reads otherwise than expected".into())
}

/// Fields 14 and 15; the second field is a name in parentheses that may hold anything.
fn cpu_of_stat(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u32 = fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?;
    Some(TICK * ticks)
}
