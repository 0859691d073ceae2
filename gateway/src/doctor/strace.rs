//! What strace prints, line by line, as events. Strict: a line of a kind that is asked for and can't be read is an error, not
//! an event less. No IO; what the events mean together is [`super::tree`]'s.
//!
//! The form is that of `strace -f -yy -v`: a task's number, a call with its arguments, a result. A call that another task's
//! line interrupts comes in two halves.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

/// The system calls to ask strace for, with `?` where not every machine has them. After `connect`, each of the others shows
/// the descriptor with the address at this end, which is what the gateway's records name.
pub const CALLS: &str = "connect,getsockopt,setsockopt,getsockname,getpeername,sendto,sendmsg,sendmmsg,shutdown,\
                         execve,?execveat,clone,?clone3,?fork,?vfork";

/// What a task did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It became a program.
    Exec(Exec),
    /// It made another task: a process or a thread.
    Child(u32),
    /// It connected, or tried to.
    Connect {
        /// What kind of socket.
        transport: Transport,
        /// Whereto.
        to: SocketAddr,
        /// Whether it failed at once. One that goes on in the background has not.
        failed: bool,
    },
    /// It used a connected socket.
    Socket {
        /// What kind of socket.
        transport: Transport,
        /// Its address at this end.
        local: SocketAddr,
        /// Its address at the other end.
        remote: SocketAddr,
    },
    /// It sent datagrams.
    Datagram(SocketAddr),
    /// It ended, with this exit code where it had one; its number may come again.
    Ended(Option<u8>),
}

/// A program that was started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exec {
    /// Its file.
    pub file: String,
    /// Its arguments, itself first.
    pub arguments: Vec<String>,
    /// Its environment, `NAME=VALUE`. Holds secrets: what is kept of it is chosen at once.
    pub environment: Vec<String>,
}

/// What kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A line that is not as strace writes it. It does not hold the line, which may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("strace printed a line that can't be read: {0}")]
pub struct LineError(&'static str);

/// Reads lines, and remembers the halves that wait for their other half.
#[derive(Debug, Default)]
pub struct Reader {
    unfinished: HashMap<u32, String>,
}

impl Reader {
    /// Reads one line without its end: which task did what. `None` where nothing is to be learnt from it.
    pub fn read(&mut self, line: &str) -> Result<Option<(u32, Event)>, LineError> {
        let (task, rest) = line.split_once(' ').ok_or(LineError("no task"))?;
        let task = task.parse().map_err(|_| LineError("the task is no number"))?;
        let rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix("+++ ") {
            return self.ended(task, rest);
        }
        if rest.starts_with("---") {
            return Ok(None);
        }
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            self.unfinished.insert(task, begun.to_owned());
            return Ok(None);
        }
        let Some(resumed) = rest.strip_prefix("<... ") else { return Ok(call(rest)?.map(|event| (task, event))) };
        let (name, end) = resumed.split_once(" resumed>").ok_or(LineError("what is resumed"))?;
        // A task that was there when tracing began, or one that took over another's number, resumes what was not seen to begin.
        let Some(begun) = self.unfinished.remove(&task) else { return Ok(None) };
        if !begun.starts_with(name) {
            return Err(LineError("another call is resumed than was begun"));
        }
        Ok(call(&format!("{begun}{end}"))?.map(|event| (task, event)))
    }

    /// A thread that becomes a program takes its process's number, and resumes there.
    fn ended(&mut self, task: u32, rest: &str) -> Result<Option<(u32, Event)>, LineError> {
        if let Some(by) = rest.strip_prefix("superseded by execve in pid ") {
            let by: u32 = by.trim_end_matches(" +++").parse().map_err(|_| LineError("who superseded"))?;
            if let Some(begun) = self.unfinished.remove(&by) {
                self.unfinished.insert(task, begun);
            }
            return Ok(None);
        }
        self.unfinished.remove(&task);
        let code = rest.strip_prefix("exited with ").and_then(|rest| rest.trim_end_matches(" +++").parse().ok());
        Ok(Some((task, Event::Ended(code))))
    }
}

/// A whole call.
fn call(line: &str) -> Result<Option<Event>, LineError> {
    let (name, arguments) = line.split_once('(').ok_or(LineError("no call"))?;
    match name {
        "execve" | "execveat" => exec(name, arguments),
        "clone" | "clone3" | "fork" | "vfork" => {
            let result = arguments.rsplit_once("= ").ok_or(LineError("a clone without a result"))?.1;
            Ok(result.split(' ').next().and_then(|child| child.parse().ok()).filter(|child| *child > 0).map(Event::Child))
        }
        "connect" => connect(arguments),
        "sendto" | "sendmsg" | "sendmmsg" => Ok(sent(arguments).or_else(|| used(arguments))),
        "getsockopt" | "setsockopt" | "getsockname" | "getpeername" | "shutdown" => Ok(used(arguments)),
        _ => Err(LineError("a call that was not asked for")),
    }
}

fn exec(name: &str, arguments: &str) -> Result<Option<Event>, LineError> {
    // Of a task that was killed in it, the result is `?`.
    if !arguments.ends_with(" = 0") {
        return Ok(None);
    }
    let mut text = Cursor(arguments);
    if name == "execveat" {
        text.0 = text.0.split_once(", ").ok_or(LineError("execveat without a folder"))?.1;
    }
    let file = text.string().ok_or(LineError("the file of an execve"))?;
    let words = text.take(", ").and_then(|()| text.strings()).ok_or(LineError("the arguments of an execve"))?;
    let environment = text.take(", ").and_then(|()| text.strings()).ok_or(LineError("the environment of an execve"))?;
    Ok(Some(Event::Exec(Exec { file, arguments: words, environment })))
}

fn connect(arguments: &str) -> Result<Option<Event>, LineError> {
    let result = arguments.rsplit_once("= ").ok_or(LineError("a connect without a result"))?.1;
    if ["EBADF", "EFAULT", "ENOTSOCK"].iter().any(|wrong| result.contains(wrong)) {
        return Ok(None);
    }
    let (descriptor, rest) = descriptor(arguments).ok_or(LineError("a connect without a socket"))?;
    // A datagram socket that is given up has no address, and a path may hold anything.
    let family = rest.trim_start_matches([',', ' ', '{']);
    let Some(to) = (if family.starts_with("sa_family=AF_INET") { address(rest)? } else { None }) else { return Ok(None) };
    let transport = transport(descriptor).ok_or(LineError("a connect of an unknown protocol"))?;
    let failed = result.starts_with('-') && !["EINPROGRESS", "EINTR", "EALREADY"].iter().any(|going| result.contains(going));
    Ok(Some(Event::Connect { transport, to, failed }))
}

/// A socket that shows both its ends.
fn used(arguments: &str) -> Option<Event> {
    let (descriptor, _) = descriptor(arguments)?;
    let transport = transport(descriptor)?;
    let (local, remote) = ends(descriptor)?;
    Some(Event::Socket { transport, local, remote })
}

/// Datagrams: to where the socket is connected, or where the message says.
fn sent(arguments: &str) -> Option<Event> {
    let (descriptor, rest) = descriptor(arguments)?;
    if transport(descriptor)? != Transport::Udp {
        return None;
    }
    let connected = ends(descriptor).map(|(_, remote)| remote);
    connected.or_else(|| address(rest).ok().flatten()).map(Event::Datagram)
}

/// `3<TCP:[…]>` and what follows it. Nothing where the descriptor is not shown.
fn descriptor(arguments: &str) -> Option<(&str, &str)> {
    let (number, rest) = arguments.split_once('<')?;
    number.parse::<u32>().ok()?;
    // An arrow within the brackets is not the end.
    let (inside, rest) = rest.split_once("]>")?;
    Some((inside, rest))
}

fn transport(descriptor: &str) -> Option<Transport> {
    match descriptor.split_once(":[")?.0 {
        "TCP" | "TCPv6" | "MPTCP" | "MPTCPv6" => Some(Transport::Tcp),
        "UDP" | "UDPv6" => Some(Transport::Udp),
        _ => None,
    }
}

fn ends(descriptor: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (local, remote) = descriptor.split_once(":[")?.1.split_once("->")?;
    Some((plain(local.parse().ok()?), plain(remote.parse().ok()?)))
}

/// The first socket address among arguments. `None`: no address of the Internet.
fn address(arguments: &str) -> Result<Option<SocketAddr>, LineError> {
    let (v6, rest) = match (arguments.split_once("sa_family=AF_INET6, "), arguments.split_once("sa_family=AF_INET, ")) {
        (Some((_, rest)), _) => (true, rest),
        (None, Some((_, rest))) => (false, rest),
        (None, None) => return Ok(None),
    };
    let wrong = LineError("a socket address");
    let port = between(rest, "port=htons(", ")").and_then(|port| port.parse().ok()).ok_or(wrong)?;
    let ip = if v6 { between(rest, "inet_pton(AF_INET6, \"", "\"") } else { between(rest, "inet_addr(\"", "\"") };
    let ip: IpAddr = ip.and_then(|ip| ip.parse().ok()).filter(|ip: &IpAddr| ip.is_ipv6() == v6).ok_or(wrong)?;
    Ok(Some(plain(SocketAddr::new(ip, port))))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// An IPv4 address as such, also where an IPv6 socket holds it.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What is left of a line.
struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn take(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// `["a", "b"]`
    fn strings(&mut self) -> Option<Vec<String>> {
        self.take("[")?;
        let mut strings = Vec::new();
        if self.take("]").is_some() {
            return Some(strings);
        }
        loop {
            strings.push(self.string()?);
            match self.take(", ") {
                Some(()) => {}
                None => return self.take("]").map(|()| strings),
            }
        }
    }

    /// A string in quotes, with its escapes undone. One that strace cut short has dots behind it.
    fn string(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut bytes = Vec::new();
        let mut rest = self.0.chars();
        loop {
            match rest.next()? {
                '"' => break,
                '\\' => bytes.push(unescape(&mut rest)?),
                plain => bytes.extend(plain.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        let rest = rest.as_str();
        self.0 = rest.strip_prefix("...").unwrap_or(rest);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// One escape: a letter, or one to three octal digits.
fn unescape(rest: &mut std::str::Chars<'_>) -> Option<u8> {
    let first = rest.next()?;
    let Some(mut value) = first.to_digit(8) else {
        return match first {
            'n' => Some(b'\n'),
            't' => Some(b'\t'),
            'r' => Some(b'\r'),
            'v' => Some(0x0b),
            'f' => Some(0x0c),
            '"' => Some(b'"'),
            '\\' => Some(b'\\'),
            _ => None,
        };
    };
    for _ in 0..2 {
        let Some(digit) = rest.as_str().chars().next().and_then(|next| next.to_digit(8)) else { break };
        value = value * 8 + digit;
        rest.next();
    }
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<(u32, Event)> {
        let mut reader = Reader::default();
        lines.iter().filter_map(|line| reader.read(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
    }

    fn tcp(to: &str, failed: bool) -> Event {
        Event::Connect { transport: Transport::Tcp, to: to.parse().unwrap(), failed }
    }

    #[test]
    fn a_connect_says_whereto_and_whether_it_failed_at_once() {
        let v4 = r#"7 connect(5<TCP:[29382]>, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}, 16) = "#;
        let v6 = r#"7 connect(5<TCPv6:[1]>, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::ffff:192.0.2.7", &sin6_addr), sin6_scope_id=0}, 28) = 0"#;
        assert_eq!(read(&[&format!("{v4}-1 EINPROGRESS (Operation now in progress)")]), [(7, tcp("192.0.2.7:443", false))]);
        assert_eq!(read(&[&format!("{v4}-1 ECONNREFUSED (Connection refused)")]), [(7, tcp("192.0.2.7:443", true))]);
        assert_eq!(read(&[v6]), [(7, tcp("192.0.2.7:443", false))], "an IPv4 address in an IPv6 socket is one");
        let unix = r#"7 connect(5<UNIX-STREAM:[30240]>, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = -1 ENOENT (No such file or directory)"#;
        assert_eq!(read(&[unix]), []);
    }

    #[test]
    fn a_socket_shows_its_ends_and_datagrams_show_whereto() {
        let used = r"7 getsockopt(18<TCP:[127.0.0.1:34438->127.0.0.1:36213]>, SOL_SOCKET, SO_ERROR, [0], [4]) = 0";
        let socket = Event::Socket {
            transport: Transport::Tcp,
            local: "127.0.0.1:34438".parse().unwrap(),
            remote: "127.0.0.1:36213".parse().unwrap(),
        };
        assert_eq!(read(&[used]), [(7, socket)]);
        let v6 = r"7 shutdown(18<TCPv6:[[::1]:5->[::1]:7]>, SHUT_WR) = 0";
        assert!(matches!(&read(&[v6])[..], [(7, Event::Socket { remote, .. })] if remote.to_string() == "[::1]:7"));
        let connected = r#"7 sendto(5<UDP:[192.0.2.2:36236->192.0.2.53:53]>, "\20\226]>", 4, 0, NULL, 0) = 4"#;
        assert_eq!(read(&[connected]), [(7, Event::Datagram("192.0.2.53:53".parse().unwrap()))]);
        let named =
            r#"7 sendto(5<UDP:[9]>, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}, 16) = 1"#;
        assert_eq!(read(&[named]), [(7, Event::Datagram("192.0.2.7:443".parse().unwrap()))]);
    }

    #[test]
    fn halves_are_joined_and_a_thread_that_becomes_a_program_resumes_as_its_process() {
        let events = read(&[
            "7 vfork( <unfinished ...>",
            r#"8 execve("/bin/a b", ["a \"b\"", "\303\244\n"], ["X=1"]) = 0"#,
            "7 <... vfork resumed>)              = 8",
            r#"9 execve("/bin/c", ["c"], [] <unfinished ...>"#,
            "7 +++ superseded by execve in pid 9 +++",
            "7 <... execve resumed>)  = 0",
            "8 +++ exited with 0 +++",
            "7 --- SIGCHLD {si_signo=SIGCHLD} ---",
            r#"7 execve("/nowhere", ["x"], []) = -1 ENOENT (No such file or directory)"#,
        ]);
        let exec = |file: &str, arguments: &[&str], environment: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
            Event::Exec(Exec { file: file.into(), arguments: owned(arguments), environment: owned(environment) })
        };
        let expected = [
            (8, exec("/bin/a b", &["a \"b\"", "ä\n"], &["X=1"])),
            (7, Event::Child(8)),
            (7, exec("/bin/c", &["c"], &[])),
            (8, Event::Ended(Some(0))),
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn what_is_not_as_strace_writes_it_is_an_error() {
        for line in ["", "x connect()", "7 nothing", "7 open(\"x\") = 3", "7 connect(5, 0x7, 16) = 0", "7 <... connect"] {
            assert!(Reader::default().read(line).is_err(), "{line:?}");
        }
        let wrong = r#"7 connect(5<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(99999), sin_addr=inet_addr("192.0.2.7")}, 16) = 0"#;
        assert!(Reader::default().read(wrong).is_err());
    }
}
