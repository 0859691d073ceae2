//! The trace that `sealgate doctor` reads: its lines hold what other programs chose (arguments, environments, messages).

use sealgate::doctor::{
    strace::{Event, Reader},
    tree::Tree,
};
use std::fmt::Write as _;

/// No trace stops the reading, and no text within a line becomes an event, or another text.
pub(crate) fn trace(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let (mut reader, mut tree, mut taken) = (Reader::default(), Tree::default(), false);
    for line in text.lines() {
        if let Ok(Some((task, event))) = reader.read(line) {
            tree.take(task, event);
            taken = true;
        }
    }
    let seen = tree.seen();
    assert!(seen.programs.len() <= data.len());
    quoted(&text);
    taken
}

/// The text as an argument, as a variable and as a message, as strace writes strings.
fn quoted(text: &str) {
    let word = quote(text);
    let line = format!("7 execve(\"/bin/x\", [{word}, \"b\"], [{word}]) = 0");
    match Reader::default().read(&line) {
        Ok(Some((7, Event::Exec(exec)))) => {
            assert_eq!((exec.arguments, exec.environment), (vec![text.to_owned(), "b".to_owned()], vec![text.to_owned()]));
        }
        other => panic!("{other:?}"),
    }
    let line = format!("7 sendto(5<UDP:[192.0.2.2:9->192.0.2.53:53]>, {word}, 4, 0, NULL, 0) = 4");
    let expected = Event::Datagram("192.0.2.53:53".parse().expect("an address"));
    assert_eq!(Reader::default().read(&line), Ok(Some((7, expected))));
    let line = format!("7 connect(5<UNIX-STREAM:[1]>, {{sa_family=AF_UNIX, sun_path={word}}}, 110) = 0");
    assert_eq!(Reader::default().read(&line), Ok(None));
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b'\n' => quoted.push_str("\\n"),
            b' '..=b'~' => quoted.push(char::from(byte)),
            // Three digits, so that one that follows is not taken for a fourth.
            _ => drop(write!(quoted, "\\{byte:03o}")),
        }
    }
    quoted + "\""
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let lines = [
        r#"7 execve("/bin/a b", ["a \"b\"", "\303\244\n"], ["X=1"]) = 0"#,
        "7 vfork( <unfinished ...>",
        r#"8 connect(5<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}, 16) = -1 EINPROGRESS (Operation now in progress)"#,
        "8 getsockopt(5<TCP:[127.0.0.1:34438->192.0.2.7:443]>, SOL_SOCKET, SO_ERROR, [0], [4]) = 0",
        "7 <... vfork resumed>)              = 8",
        r#"9 connect(5<TCPv6:[1]>, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0"#,
        r#"9 sendto(5<UDP:[192.0.2.2:36236->192.0.2.53:53]>, "\20\226]>", 4, 0, NULL, 0) = 4"#,
        "7 +++ superseded by execve in pid 9 +++",
        "8 +++ exited with 0 +++",
    ];
    let each = lines.iter().filter(|line| line.contains(" = ") || line.contains("exited")).filter(|line| !line.contains("<..."));
    std::iter::once(lines.join("\n")).chain(each.map(|line| (*line).to_owned())).map(String::into_bytes).collect()
}
