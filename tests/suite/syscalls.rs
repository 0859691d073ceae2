//! The real binary with system calls of its write path that fail, are interrupted or are its last: strace injects EIO,
//! ENOSPC, EINTR or SIGKILL at one occurrence after the other, through open window → calls → seal. Writes that the kernel cuts
//! short are made with the limit on file sizes, because strace can only claim one.
//!
//! After each: a start without faults, the window goes on or is sealed, all of it verifies, every call that was answered has
//! its intent and outcome, and nothing reached the upstream without an intent.
//!
//! strace counts occurrences by thread. Each point here is one (system call, path, n-th of its thread), so that few system
//! calls of several threads share a number: those of folders.

use crate::kills::ends;
use sealgate_schema::record::Kind;
use sealgate_tests::{
    check::window,
    client::{caller_identity, whole},
    process::{Process, Way},
    random::Random,
    setting::length,
    upstream::{Offer, Upstream, sts},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const HOST: &str = "sts.us-east-1.amazonaws.com";
const WINDOW: &str = "CHG-1";
/// System calls that change a disk. The question mark: not every machine has each.
const TRACED: &str =
    "?open,openat,write,pwrite64,writev,pwritev,fdatasync,fsync,?rename,renameat,renameat2,?unlink,unlinkat,?mkdir,mkdirat";
const FAULTS: [&str; 4] = ["error=EIO", "error=ENOSPC", "error=EINTR", "signal=SIGKILL"];
/// Points of all that are tried by default.
const POINTS: usize = 24;
/// Limits on the size of a file, in bytes: above the database's, below the journal's.
const FILE_BYTES: (usize, usize) = (2, 24);
const FILE_BYTES_MIN: u64 = 160 << 10;
const BODY_BYTES: usize = 200 << 10;

/// One occurrence of a system call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    call: String,
    /// Below the home.
    path: String,
    nth: usize,
}

/// A home that was started once, and is copied for each run.
struct Bench {
    folder: TempDir,
    upstream: Upstream,
}

/// What the scenario's clients know.
#[derive(Debug, Default)]
struct Told {
    opened: bool,
    sealed: bool,
    answered: Vec<String>,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
        let route =
            format!("[[route]]\nhost = \"amazonaws.com\"\nto = \"{}\"\nca = \"{}\"\n", upstream.address, upstream.ca.display());
        let home = folder.path().join("template");
        Process::set_up(&home, &route);
        Process::start(&home, &[]).expect("the gateway starts").end("TERM");
        Self { folder, upstream }
    }

    /// A fresh copy of the home, at the same place every time: what is traced is named by its path.
    fn home(&self) -> PathBuf {
        let home = self.folder.path().join("home");
        let _ = fs::remove_dir_all(&home);
        assert!(Command::new("cp").arg("-a").arg(self.folder.path().join("template")).arg(&home).status().unwrap().success());
        home
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("strace.log")
    }

    fn strace(&self, arguments: &[&str]) -> Vec<OsString> {
        let all = ["strace", "-f", "-qq", "-e", "signal=none", "-o"].map(OsString::from).into_iter();
        all.chain([self.log().into_os_string()]).chain(arguments.iter().map(OsString::from)).collect()
    }

    /// Every occurrence in a run without faults.
    async fn points(&self) -> Vec<Point> {
        let home = self.home();
        let gateway = Process::start(&home, &self.strace(&["-y", "-e", &format!("trace={TRACED}")]));
        let gateway = gateway.expect("strace can trace the gateway: it is installed, and ptrace is allowed here");
        let told = scenario(&gateway, "dry", BODY_BYTES / 1_000).await;
        gateway.end("TERM");
        assert!(told.sealed && told.answered.len() == 3, "{told:?}");
        let log = fs::read_to_string(self.log()).unwrap();
        points(&log, &home)
    }

    /// One run with one fault; what holds afterwards. Whether the fault was met.
    async fn inject(&self, point: &Point, fault: &str, name: &str) -> bool {
        let home = self.home();
        let (path, call) = (home.join(&point.path), &point.call);
        let inject = format!("inject={call}:{fault}:when={}", point.nth);
        let wrapper = self.strace(&["-P", path.to_str().unwrap(), "-e", &format!("trace={call}"), "-e", &inject]);
        let told = self.run(&home, &wrapper, name, BODY_BYTES / 1_000).await;
        self.recover(&home, told, name).await;
        let log = fs::read_to_string(self.log()).unwrap();
        // A call that was the last has no result.
        log.contains("(INJECTED)") || log.contains("= ?")
    }

    async fn run(&self, home: &Path, wrapper: &[OsString], name: &str, body: usize) -> Told {
        let Some(gateway) = Process::start(home, wrapper) else { return Told::default() };
        let told = scenario(&gateway, name, body).await;
        gateway.end("TERM");
        told
    }

    /// Starts without faults, goes on, seals, and compares with what was told and with what reached the upstream.
    async fn recover(&self, home: &Path, told: Told, name: &str) {
        let gateway = Process::start(home, &[]).unwrap_or_else(|| panic!("{name}: the gateway starts again"));
        let last = format!("{name}/last");
        let (mut answered, mut over) = (told.answered, None);
        match gateway.open_session(WINDOW).await {
            Ok(way) => {
                assert!(!told.sealed, "{name}: a sealed window takes sessions");
                assert_eq!(call(&way, &last, 10).await, Some(200), "{name}");
                answered.push(last);
                gateway.close_window(WINDOW).await.unwrap();
            }
            Err(why) => over = Some(why),
        }
        gateway.end("TERM");
        // It was sealed; or a crash came before its opening was told, and it is over.
        assert!(over.is_none() || told.sealed || !told.opened || sealed(home), "{name}: {over:?}");
        if !home_has(home) {
            assert!(!told.opened, "{name}: a window that was opened is gone");
            return;
        }
        let evidence = window(home, WINDOW);
        assert_eq!(evidence.kinds().last(), Some(&"window_close"), "{name}");
        let calls = ends(&evidence);
        for call in answered {
            assert_eq!(calls.get(&call), Some(&Some(Kind::Outcome)), "{call} was answered");
        }
        let agents = self.upstream.seen().into_iter().map(|seen| seen.headers["user-agent"].to_str().unwrap().to_owned());
        let arrived: HashSet<_> = agents.filter(|agent| agent.starts_with(&format!("{name}/"))).collect();
        arrived.iter().for_each(|call| assert!(calls.contains_key(call), "{call} left without an intent"));
    }
}

fn home_has(home: &Path) -> bool {
    sealgate_tests::check::ledgers(home).contains_key(WINDOW)
}

fn sealed(home: &Path) -> bool {
    home_has(home) && window(home, WINDOW).kinds().last() == Some(&"window_close")
}

/// Opens a window, calls, cuts a part, calls, seals: as far as that goes.
async fn scenario(gateway: &Process, name: &str, body: usize) -> Told {
    let mut told = Told { opened: gateway.open_window(WINDOW).await.is_ok(), ..Told::default() };
    if let Ok(way) = gateway.open_session(WINDOW).await {
        for number in 0..3 {
            let name = format!("{name}/{number}");
            match call(&way, &name, body).await {
                Some(200) => told.answered.push(name),
                Some(status) => assert!([503, 507].contains(&status), "{name}: {status}"),
                None => {}
            }
            if number == 1 {
                // That it failed is told by the calls after it.
                let _ = gateway.cut().await;
            }
        }
    }
    told.sealed = gateway.close_window(WINDOW).await.is_ok();
    told
}

async fn call(way: &Way, name: &str, body: usize) -> Option<u16> {
    let mut request = caller_identity(HOST);
    request.headers_mut().insert("user-agent", name.parse().unwrap());
    let mut random = Random::new(body as u64);
    let filler: String = (0..body).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
    *request.body_mut() = whole(format!("Action=GetCallerIdentity&Version=2011-06-15&Filler={filler}"));
    way.connect(HOST).await.ok()?.call(request).await.ok()
}

/// The occurrences on paths of journal, staging and evidence that write, in a log of strace.
fn points(log: &str, home: &Path) -> Vec<Point> {
    let home = format!("{}/", home.display());
    let mut counts = BTreeMap::new();
    let mut points = BTreeSet::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        let Some((_, path)) = arguments.split_once(&home) else { continue };
        let path = path.split(['"', '>']).next().unwrap().to_owned();
        if !path.starts_with("journal") && !path.starts_with("evidence") {
            continue;
        }
        let nth = counts.entry((thread.to_owned(), call.to_owned(), path.clone())).or_insert(0);
        *nth += 1;
        if !call.starts_with("open") || arguments.contains("O_CREAT") {
            points.insert(Point { call: call.to_owned(), path, nth: *nth });
        }
    }
    points.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_call_that_fails_or_is_the_last_loses_nothing() {
    let bench = Bench::new().await;
    let points = bench.points().await;
    let mut calls = BTreeMap::<_, usize>::new();
    points.iter().for_each(|point| *calls.entry(&point.call).or_default() += 1);
    println!("system calls on the write path: {calls:?}");
    let all: Vec<_> = points.iter().flat_map(|point| FAULTS.map(|fault| (point, fault))).collect();
    // A step that is prime to the number of faults meets all of them.
    let step = length((all.len() / POINTS) | 1, 1);
    let (mut met, mut missed) = (BTreeMap::<_, usize>::new(), Vec::new());
    for (index, (point, fault)) in all.iter().enumerate().step_by(step) {
        match bench.inject(point, fault, &format!("point-{index}")).await {
            true => *met.entry((point.call.clone(), *fault)).or_default() += 1,
            false => missed.push((point, fault)),
        }
    }
    println!("injected: {met:?}; not met: {missed:?}");
    for call in ["openat", "write", "fdatasync", "fsync", "rename", "unlink"] {
        assert!(points.iter().any(|point| point.call.starts_with(call)), "{call} is on the write path");
    }
    // A batch may be two in another run, and a point be one too far.
    assert!(missed.len() * 10 <= met.values().sum(), "most points are met: {missed:?}");
}

/// The kernel writes what still fits and then refuses the rest: with an error, or, where the signal is not ignored, by SIGXFSZ.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_cut_short_loses_nothing() {
    let bench = Bench::new().await;
    let mut random = Random::new(1);
    let (mut refused, runs) = (0, length(FILE_BYTES.0, FILE_BYTES.1));
    for run in 0..runs {
        let home = bench.home();
        let name = format!("short-{run}");
        let bytes = FILE_BYTES_MIN + random.below(BODY_BYTES as u64);
        let signal = if run % 2 == 0 { "trap '' XFSZ; " } else { "" };
        let script = format!("{signal}prlimit --fsize={bytes} --pid $$; exec \"$0\" \"$@\"");
        let wrapper = ["sh".into(), "-c".into(), OsString::from(script)];
        let told = bench.run(&home, &wrapper, &name, BODY_BYTES).await;
        refused += usize::from(told.answered.len() < 3);
        bench.recover(&home, told, &name).await;
    }
    println!("{runs} limits, {refused} of them met");
    assert!(refused > 0);
}
