//! A program among the command's processes: its name, what of its environment matters, where it connected.

use super::strace::{Exec, Transport};
use rustix::fs::OFlags;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::Read,
    net::SocketAddr,
    os::unix::{fs::OpenOptionsExt, process::ExitStatusExt},
    path::Path,
    process::ExitStatus,
};

/// Bytes of a script's first line, as the kernel reads it.
const FIRST_LINE_BYTES_MAX: u64 = 256;
/// Programs that run a script: the script is what the user knows.
const INTERPRETERS: [&str; 12] = ["python", "node", "ruby", "perl", "php", "bash", "sh", "dash", "zsh", "pwsh", "deno", "bun"];

/// What a program is called, and with what settings it ran.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Program {
    /// Name of its file, or of the script it runs.
    pub name: String,
    /// What runs the script.
    pub interpreter: Option<String>,
    /// What of its environment matters.
    pub settings: Settings,
}

/// How a program's environment differs from the session's. No values that are secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Settings {
    /// The session's variables that it did not have, or had with another value.
    pub changed: BTreeSet<String>,
    /// Its list of hosts that need no proxy, where that is not the session's.
    pub no_proxy: Option<String>,
    /// The AWS profile that it was told to use.
    pub profile: Option<String>,
}

/// What the command's programs did.
#[derive(Debug, Default)]
pub struct Seen {
    /// Where each connected, and how often.
    pub programs: BTreeMap<Program, Contacts>,
    /// Connections by the address at this end: whose, and whereto.
    pub ends: HashMap<SocketAddr, (Program, SocketAddr)>,
    /// The command's exit code; 128 and the signal's number where it was killed.
    pub exit_code: Option<u8>,
    /// What may be missing here, for the reader of the report.
    pub doubts: Vec<String>,
}

/// Where a program connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contacts {
    /// Streams: how many, and how many of them failed at once.
    pub streams: BTreeMap<SocketAddr, Tries>,
    /// Datagrams that it sent.
    pub datagrams: BTreeMap<SocketAddr, u64>,
}

/// How often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries {
    /// All of them.
    pub all: u64,
    /// Those that failed at once.
    pub failed: u64,
}

impl Program {
    /// Of a program that was started with `session` as the environment of its session.
    pub fn of(exec: &Exec, session: &[(String, String)]) -> Self {
        let (name, interpreter) = named(exec);
        Self { name, interpreter, settings: Settings::of(&exec.environment, session) }
    }

    /// `aws (python3)`
    pub fn label(&self) -> String {
        match &self.interpreter {
            Some(interpreter) => format!("{} ({interpreter})", self.name),
            None => self.name.clone(),
        }
    }
}

impl Settings {
    fn of(environment: &[String], session: &[(String, String)]) -> Self {
        let value = |name: &str| environment.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let changed = session.iter().filter(|(name, wanted)| value(name) != Some(wanted)).map(|(name, _)| name.clone()).collect();
        let ours = |list: &&str| session.iter().any(|(name, value)| name == "NO_PROXY" && value == list);
        let filled = |name| value(name).filter(|value| !value.is_empty());
        let no_proxy = ["NO_PROXY", "no_proxy"].into_iter().filter_map(filled).find(|list| !ours(list));
        let profile = filled("AWS_PROFILE").or_else(|| filled("AWS_DEFAULT_PROFILE"));
        Self { changed, no_proxy: no_proxy.map(str::to_owned), profile: profile.map(str::to_owned) }
    }

    /// Whether both spellings of the proxy's variable were lost on the way.
    pub fn lost_proxy(&self) -> bool {
        ["HTTPS_PROXY", "https_proxy"].iter().all(|name| self.changed.contains(*name))
    }

    /// Whether a host needs no proxy by the program's own list.
    pub fn exempts(&self, host: &str) -> bool {
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        self.no_proxy.iter().flat_map(|list| list.split([',', ' '])).map(|entry| entry.trim().trim_start_matches(['*', '.'])).any(
            |entry| {
                let below = host.strip_suffix(entry).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                !entry.is_empty() && below
            },
        ) || self.no_proxy.as_deref() == Some("*")
    }
}

impl Seen {
    /// A program connected.
    pub fn connected(&mut self, program: &Program, transport: Transport, to: SocketAddr, failed: bool) {
        // A datagram socket that is connected has sent nothing: that is how addresses are put in order.
        if transport == Transport::Tcp {
            let tries = self.programs.entry(program.clone()).or_default().streams.entry(to).or_default();
            tries.all += 1;
            tries.failed += u64::from(failed);
        }
    }

    /// A program sent datagrams.
    pub fn sent(&mut self, program: &Program, to: SocketAddr) {
        *self.programs.entry(program.clone()).or_default().datagrams.entry(to).or_default() += 1;
    }
}

/// As a shell says it: the command's own code, or 128 and the signal's number.
pub(super) fn exit_code(status: ExitStatus) -> Option<u8> {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
}

/// A script's name with what runs it, or a program's own.
fn named(exec: &Exec) -> (String, Option<String>) {
    let program = base(&exec.file);
    if let Some(interpreter) = interpreter_of(&exec.file) {
        return (program, Some(interpreter));
    }
    let plain = program.trim_end_matches(|end: char| end.is_ascii_digit() || end == '.');
    if !INTERPRETERS.contains(&plain) {
        return (program, None);
    }
    let mut arguments = exec.arguments.iter().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-m" => return (arguments.next().cloned().unwrap_or_default(), Some(program)),
            // What follows is a program's text, which may hold anything.
            "-c" | "-e" | "-p" | "--eval" | "-" | "-ce" | "-ec" | "-lc" => break,
            flag if flag.starts_with('-') => {}
            script => return (base(script), Some(program)),
        }
    }
    (program, None)
}

/// What the first line of a script names. `env` is passed over: it becomes the interpreter, which is seen by itself.
fn interpreter_of(file: &str) -> Option<String> {
    let mut start = Vec::new();
    // A pipe that has come in its place meanwhile is not waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(file).ok()?;
    file.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let name = base(String::from_utf8_lossy(line).split_whitespace().next()?);
    (name != "env").then_some(name)
}

fn base(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(file: &str, arguments: &[&str], environment: &[&str]) -> Exec {
        let owned = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Exec { file: file.into(), arguments: owned(arguments), environment: owned(environment) }
    }

    #[test]
    fn a_script_is_named_with_what_runs_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("aws");
        std::fs::write(&script, "#!/opt/venv/bin/python3\nimport x\n").unwrap();
        let label = |file: &str, arguments: &[&str]| Program::of(&exec(file, arguments, &[]), &[]).label();
        assert_eq!(label(script.to_str().unwrap(), &["aws", "s3", "ls"]), "aws (python3)");
        assert_eq!(label("/usr/bin/python3.11", &["python3", "-S", "/x/gcloud.py"]), "gcloud.py (python3.11)");
        assert_eq!(label("/usr/bin/python3", &["python3", "-m", "azure.cli", "group"]), "azure.cli (python3)");
        assert_eq!(label("/usr/bin/python3", &["python3", "-c", "secret"]), "python3");
        assert_eq!(label("/usr/bin/node", &["node", "src/app.js"]), "app.js (node)");
        assert_eq!(label("/usr/local/bin/terraform", &["terraform", "plan"]), "terraform");
    }

    #[test]
    fn settings_say_what_a_program_lost_and_whom_it_exempts() {
        let session = [("HTTPS_PROXY", "p"), ("https_proxy", "p"), ("NO_PROXY", "localhost")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = |environment: &[&str]| Program::of(&exec("/bin/x", &[], environment), &session).settings;
        let all = settings(&["HTTPS_PROXY=p", "https_proxy=p", "NO_PROXY=localhost", "AWS_PROFILE=prod"]);
        assert_eq!(all, Settings { profile: Some("prod".into()), ..Settings::default() });
        assert!(settings(&["PATH=/bin"]).lost_proxy());
        let own = settings(&["HTTPS_PROXY=p", "https_proxy=p", "NO_PROXY=.example, *.amazonaws.com"]);
        for (host, exempt) in
            [("sts.amazonaws.com", true), ("sts.amazonaws.com:443", true), ("evilamazonaws.com", false), ("localhost", false)]
        {
            assert_eq!(own.exempts(host), exempt, "{host}");
        }
        assert!(settings(&["NO_PROXY=*"]).exempts("sts.amazonaws.com"));
    }
}
