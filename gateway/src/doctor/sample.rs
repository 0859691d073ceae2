//! Looks at the command's processes in `/proc` every few milliseconds: their sockets, and where those lead. For machines on
//! which strace is missing or may not trace. Misses connections that are shorter than the time between two looks.

use super::{
    program::{Program, Seen, exit_code},
    strace::{Exec, Transport, plain},
};
use crate::limits::DOCTOR_SAMPLE_EVERY;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ffi::OsString,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};
use tokio::process::Command;

/// What is said of this way of looking.
const DOUBT: &str = "strace is not here or may not trace, so /proc was looked at instead: short connections may be missing";
/// State of a socket that listens, in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Runs the command to its end. `None`: there is no such command.
pub async fn run(command: &[OsString], session: &[(String, String)], shape: impl FnOnce(&mut Command)) -> io::Result<Option<Seen>> {
    let Some((program, arguments)) = command.split_first() else { return Ok(None) };
    let mut running = Command::new(program);
    running.args(arguments);
    shape(&mut running);
    let mut child = match running.spawn() {
        Ok(child) => child,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut sampler = Sampler { session: session.to_vec(), ..Sampler::default() };
    sampler.known.extend(child.id());
    let mut every = tokio::time::interval(DOCTOR_SAMPLE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // The loser is a look that has not begun.
        tokio::select! {
            status = child.wait() => {
                sampler.seen.exit_code = exit_code(status?);
                sampler.seen.doubts.push(DOUBT.to_owned());
                return Ok(Some(sampler.seen));
            }
            _ = every.tick() => tokio::task::block_in_place(|| sampler.look()),
        }
    }
}

#[derive(Debug, Default)]
struct Sampler {
    session: Vec<(String, String)>,
    /// Processes of the command, also those that it left behind.
    known: BTreeSet<u32>,
    /// Sockets that were counted.
    counted: HashSet<u64>,
    seen: Seen,
}

/// A connected stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
}

impl Sampler {
    /// A process or a file that is gone by now is no fault: the next look sees what is there then.
    fn look(&mut self) {
        self.find_children();
        let mut tables = HashMap::new();
        for process in self.known.clone() {
            let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { continue };
            let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            let sockets: Vec<u64> =
                links.filter_map(|link| socket_number(&link)).filter(|number| !self.counted.contains(number)).collect();
            if sockets.is_empty() {
                continue;
            }
            let Ok(space) = fs::read_link(format!("/proc/{process}/ns/net")) else { continue };
            let table = tables.entry(space).or_insert_with(|| table(process));
            let found: Vec<_> = sockets.iter().filter_map(|number| Some((*number, *table.get(number)?))).collect();
            if !found.is_empty() {
                self.count(process, &found);
            }
        }
    }

    fn find_children(&mut self) {
        let mut parents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let processes =
            fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        for process in processes {
            if let Some(parent) = fs::read_to_string(format!("/proc/{process}/stat")).ok().and_then(|stat| parent(&stat)) {
                parents.entry(parent).or_default().push(process);
            }
        }
        let mut new: Vec<u32> = self.known.iter().copied().collect();
        while let Some(process) = new.pop() {
            let children = parents.get(&process).into_iter().flatten();
            new.extend(children.copied().filter(|child| self.known.insert(*child)));
        }
    }

    fn count(&mut self, process: u32, sockets: &[(u64, Socket)]) {
        let Some(exec) = program(process) else { return };
        let program = Program::of(&exec, &self.session);
        for (number, socket) in sockets {
            self.counted.insert(*number);
            self.seen.connected(&program, Transport::Tcp, socket.remote, false);
            self.seen.ends.insert(socket.local, (program.clone(), socket.remote));
        }
    }
}

fn socket_number(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The fourth field of a `stat`; the second is a name in brackets that may hold anything.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn program(process: u32) -> Option<Exec> {
    let list = |name: &str| {
        let bytes = fs::read(format!("/proc/{process}/{name}")).ok()?;
        Some(
            bytes
                .split(|byte| *byte == 0)
                .filter(|word| !word.is_empty())
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect(),
        )
    };
    let file = fs::read_link(format!("/proc/{process}/exe")).ok()?.to_string_lossy().into_owned();
    Some(Exec { file, arguments: list("cmdline")?, environment: list("environ")? })
}

/// Connected streams of a process's network, by number. Those that came in to a listening port are left out.
fn table(process: u32) -> HashMap<u64, Socket> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{process}/net/{name}")).unwrap_or_default();
    let texts = [read("tcp"), read("tcp6")];
    let rows: Vec<_> = texts.iter().flat_map(|text| text.lines().skip(1)).filter_map(row).collect();
    let listening: HashSet<u16> = rows.iter().filter(|row| row.listens).map(|row| row.socket.local.port()).collect();
    let ours =
        rows.iter().filter(|row| !row.listens && row.socket.remote.port() != 0 && !listening.contains(&row.socket.local.port()));
    ours.map(|row| (row.number, row.socket)).collect()
}

#[derive(Debug)]
struct Row {
    number: u64,
    socket: Socket,
    listens: bool,
}

/// `sl local remote state tx:rx tr:when retransmits uid timeout inode …`
fn row(line: &str) -> Option<Row> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, remote, state) = (address(fields.next()?)?, address(fields.next()?)?, fields.next()?);
    let number = fields.nth(5)?.parse().ok()?;
    Some(Row { number, socket: Socket { local, remote }, listens: state == LISTENING })
}

/// Words of four bytes in the machine's own order, each in hexadecimal, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index * 8)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(plain(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_kernels_table_is_a_connection() {
        let line = "   1: 0100007F:8666 0200007F:01BB 01 00000000:00000000 02:000005DE 00000000     0        0 424242 2 0000000000000000 20 4 30 10 -1";
        let row = row(line).unwrap();
        assert_eq!((row.number, row.listens), (424_242, false));
        assert_eq!(row.socket, Socket { local: "127.0.0.1:34406".parse().unwrap(), remote: "127.0.0.2:443".parse().unwrap() });
        assert_eq!(address("0000000000000000FFFF00000100007F:01BB"), "127.0.0.1:443".parse().ok());
        assert_eq!(address("00000000000000000000000001000000:01BB"), "[::1]:443".parse().ok());
        for bad in ["", "0100007F", "01:02", "0100007F:FFFFF", "é100007F:01"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_look_finds_a_connection_once_and_whose_it_is() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _accepted = listener.accept().unwrap();
        let mut sampler = Sampler { known: BTreeSet::from([std::process::id()]), ..Sampler::default() };
        sampler.look();
        sampler.look();
        let (program, to) = &sampler.seen.ends[&stream.local_addr().unwrap()];
        assert_eq!(*to, listener.local_addr().unwrap());
        let tries = sampler.seen.programs[program].streams[to];
        assert_eq!(tries.all, 1, "a second look is not a second connection, and what came in is none");
        assert!(!sampler.seen.ends.contains_key(&listener.local_addr().unwrap()));
    }

    #[test]
    fn a_name_in_brackets_does_not_hide_the_parent() {
        assert_eq!(parent("42 (a) b) c) S 7 42 42 0"), Some(7));
        assert_eq!(parent("42 (a"), None);
    }
}
