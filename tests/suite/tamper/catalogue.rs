//! The catalogue: every tampering by every attacker on forged evidence, three verifiers, one page that lists what they said.

use super::{
    cells, files, footers, identity, notes, payloads, people, redactions, rows,
    table::{Case, Caught, Sql, Tampering},
    verdicts::{Job, Said, rust, verify_py, verify_sql},
    windows_log,
    world::{Holds, World},
};
use std::{fmt::Write as _, path::Path};

/// Every group with its tamperings.
pub(super) fn groups() -> Vec<(&'static str, Vec<Tampering>)> {
    vec![
        ("Cells of records", cells::tamperings()),
        ("Rows of records", rows::tamperings()),
        ("Payload rows", payloads::tamperings()),
        ("Files and folders", files::tamperings()),
        ("Footers and page headers of a records file", footers::tamperings()),
        ("Notes and manifests", notes::tamperings()),
        ("Windows log", windows_log::tamperings()),
        ("Redactions, timestamps", redactions::tamperings()),
        ("What people signed", people::tamperings()),
        ("The key that the verifier is given", identity::tamperings()),
    ]
}

/// One line of the page.
pub(super) struct Line {
    pub(super) group: &'static str,
    pub(super) what: String,
    pub(super) case: Case,
    /// Rust and Python without a pin, the same with one, and SQL, where they were asked.
    pub(super) plain: [Said; 2],
    pub(super) pinned: Option<[Said; 2]>,
    pub(super) sql: Option<Said>,
}

struct Prepared {
    group: &'static str,
    what: String,
    case: Case,
    world: World,
}

/// Does every tampering to a copy of the evidence that the attackers have the keys for, and asks the verifiers.
pub(super) fn run(
    base: &World,
    groups: &[(&'static str, Vec<Tampering>)],
    wanted: impl Fn(Holds) -> bool,
    sql: bool,
) -> (Vec<Line>, Vec<String>) {
    let (mut prepared, mut passed_over) = (Vec::new(), Vec::new());
    for (group, tamperings) in groups {
        for tampering in tamperings {
            for case in tampering.cases.iter().filter(|case| wanted(case.holds)) {
                let mut world = base.clone();
                if !(tampering.does)(&mut world) {
                    passed_over.push(tampering.what.clone());
                    continue;
                }
                world.finish(case.holds);
                let what = tampering.what.clone();
                assert!(world.differs(base), "{what}: nothing was changed");
                prepared.push(Prepared { group, what, case: *case, world });
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    (ask(prepared, folder.path(), sql), passed_over)
}

/// One process of each kind for all folders. With a pin only where that makes a difference, SQL only where it claims something.
fn ask(prepared: Vec<Prepared>, below: &Path, sql: bool) -> Vec<Line> {
    let (mut jobs, mut claimed) = (Vec::new(), Vec::new());
    for (number, case) in prepared.iter().enumerate() {
        let evidence = below.join(number.to_string());
        case.world.write(&evidence);
        jobs.push(Job::new(&evidence, &case.world, false));
        if case.case.caught.asks_for_pin() {
            jobs.push(Job::new(&evidence, &case.world, true));
        }
        if sql && case.case.sql == Sql::Finds {
            claimed.push(Job::new(&evidence, &case.world, false));
        }
    }
    let (rust, py, sql) = std::thread::scope(|scope| {
        let py = scope.spawn(|| verify_py(&jobs, below));
        let sql = scope.spawn(|| verify_sql(&claimed, below));
        let rust: Vec<Said> = jobs.iter().map(rust).collect();
        (rust, py.join().unwrap(), sql.join().unwrap())
    });
    let (mut both, mut sql) = (rust.into_iter().zip(py).map(|(rust, py)| [rust, py]), sql.into_iter());
    let line = |prepared: Prepared| Line {
        plain: both.next().unwrap(),
        pinned: prepared.case.caught.asks_for_pin().then(|| both.next().unwrap()),
        sql: if prepared.case.sql == Sql::Finds { sql.next() } else { None },
        group: prepared.group,
        what: prepared.what,
        case: prepared.case,
    };
    prepared.into_iter().map(line).collect()
}

impl Line {
    /// What is wrong with what the verifiers said.
    pub(super) fn faults(&self) -> Vec<String> {
        let (plain, pinned) = expected(self.case.caught);
        let mut faults = Vec::new();
        for (said, (exit, level), how) in [(Some(&self.plain), plain, "without pin"), (self.pinned.as_ref(), pinned, "with pin")] {
            for (said, name) in said.into_iter().flatten().zip(["Rust", "verify.py"]) {
                if said.exit != exit || said.lowest() != level {
                    faults.push(format!("{name} {how}: {said:?}, due are exit {exit} and {level:?}"));
                }
            }
        }
        if let Some(said) = self.sql.as_ref().filter(|said| said.exit != 1) {
            faults.push(format!("verify.sql: {said:?}"));
        }
        faults.into_iter().map(|fault| format!("{} [{:?}]: {fault}", self.what, self.case.holds)).collect()
    }
}

type Due = (i64, Option<&'static str>);

/// Exit code and lowest failing level, without a pin and with one.
fn expected(caught: Caught) -> (Due, Due) {
    match caught {
        Caught::At(level) => {
            let name = ["L0", "L1", "L2", "L3", "L4", "L5", "L6"][level as usize];
            let due = (if name == "L5" { 2 } else { 1 }, Some(name));
            (due, due)
        }
        Caught::NothingFound => ((2, None), (2, None)),
        Caught::WithPin => ((0, None), (1, Some("L3"))),
        Caught::Never => ((0, None), (0, None)),
    }
}

/// The page `tests/tamper/README.md`.
pub(super) fn page(lines: &[Line]) -> String {
    let mut page = String::from(HEAD);
    let kinds: std::collections::BTreeSet<(&str, &str)> = lines.iter().map(|line| (line.group, line.what.as_str())).collect();
    let claimed = lines.iter().filter(|line| line.case.sql == Sql::Finds).count();
    let count = |caught: fn(Caught) -> bool| lines.iter().filter(|line| caught(line.case.caught)).count();
    writeln!(
        page,
        "{} tamperings, {} with the attackers that may do them. Rust and verify.py are asked about all {} of them, verify.sql about {claimed}.\n\
         {} are not caught without `--pin`, {} are not caught at all: these stand in the table like the others.\n",
        kinds.len(),
        lines.len(),
        lines.len(),
        count(|caught| matches!(caught, Caught::WithPin)),
        count(|caught| caught == Caught::Never),
    )
    .unwrap();
    let mut group = "";
    for line in lines {
        if line.group != group {
            group = line.group;
            write!(page, "\n## {group}\n\n| tampering | attacker holds | caught at | exit | Rust | verify.py | verify.sql |\n|---|---|---|---|---|---|---|\n").unwrap();
        }
        row(&mut page, line);
    }
    page
}

const HEAD: &str = "# The tamper catalogue

Written by the test `tamper::every_tampering_is_caught_where_it_must_be` (`tests/suite/tamper/`) from what the verifiers said, and
compared with that at every run; `SEALGATE_BLESS=1` writes it anew. Not to be edited.

**Caught at**: the lowest level that must fail, in Rust and Python alike, with the exit code beside it (1 does not hold, 2 incomplete).
Under each verifier are all levels that did fail. A dash: verify.sql does not claim to find this and is not asked (it checks no
signatures, no footers, no order of entries in the log, no canonical JSON, and sees neither links nor empty folders).
**Attacker holds**: *nothing*: bytes are changed. *window key*: the note lists the changed files and is signed again. *window key,
rehashed*: all record hashes, the root and the note are made again. *identity key*: the window's key too, and the windows log is made again.
Everything is tampered with as a whole folder `evidence`, with its `_log`; what needs no key is done to evidence of a real gateway too.

";

fn row(page: &mut String, line: &Line) {
    let holds = match line.case.holds {
        Holds::Nothing => "nothing",
        Holds::WindowKey => "window key",
        Holds::WindowKeyRehashed => "window key, rehashed",
        Holds::IdentityKey => "identity key",
    };
    let (caught, exit) = match line.case.caught {
        Caught::At(level) => (format!("{level:?}"), line.plain[0].exit.to_string()),
        Caught::NothingFound => ("nothing found".to_owned(), "2".to_owned()),
        Caught::WithPin => ("**not caught without `--pin`**; with it L3".to_owned(), "0; 1".to_owned()),
        Caught::Never => ("**not caught**".to_owned(), "0".to_owned()),
    };
    let [rust, py] = line.pinned.as_ref().unwrap_or(&line.plain).each_ref().map(levels);
    let sql = line.sql.as_ref().map_or("—".to_owned(), levels);
    writeln!(page, "| {} | {holds} | {caught} | {exit} | {rust} | {py} | {sql} |", line.what).unwrap();
}

fn levels(said: &Said) -> String {
    let levels: Vec<&str> = said.fails.iter().map(String::as_str).collect();
    match (levels.is_empty(), said.exit) {
        (false, _) => levels.join(" "),
        (true, 0) => "holds".to_owned(),
        (true, _) => "fails".to_owned(),
    }
}
