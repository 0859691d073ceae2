//! Which program a task is: tasks are made by others, and become programs. The halves of a trace come in any order: a child's
//! first line may precede the line that says who made it, so all is resolved at the end.

use super::{
    program::{Program, Seen},
    strace::Event,
};
use crate::limits::DOCTOR_EVENTS_MAX;
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

/// What is gathered of a trace.
#[derive(Debug, Default)]
pub struct Tree {
    session: Vec<(String, String)>,
    tasks: Vec<Task>,
    /// Tasks that live, by number.
    alive: HashMap<u32, usize>,
    programs: Vec<Program>,
    acts: Vec<Act>,
    /// Sockets that were seen already: each of a task's calls shows its socket again.
    used: HashSet<(usize, SocketAddr, SocketAddr)>,
    lines: u64,
    ended: bool,
    exit_code: Option<u8>,
}

#[derive(Debug, Default)]
struct Task {
    /// Who made it, and at which line.
    parent: Option<(usize, u64)>,
    /// What it became, and at which line.
    programs: Vec<(u64, usize)>,
}

#[derive(Debug)]
struct Act {
    task: usize,
    line: u64,
    what: Event,
}

impl Tree {
    /// Of a command that is run with `session` as the environment of its session.
    pub fn new(session: &[(String, String)]) -> Self {
        Self { session: session.to_vec(), ..Self::default() }
    }

    /// Takes the next event.
    pub fn take(&mut self, number: u32, event: Event) {
        self.lines += 1;
        let task = self.task(number);
        match event {
            Event::Exec(exec) => {
                let program = Program::of(&exec, &self.session);
                self.programs.push(program);
                let (line, program) = (self.lines, self.programs.len() - 1);
                self.known(task).programs.push((line, program));
            }
            Event::Child(child) => {
                let line = self.lines;
                let child = self.task(child);
                self.known(child).parent = Some((task, line));
            }
            Event::Ended(code) => {
                self.alive.remove(&number);
                if task == 0 {
                    (self.ended, self.exit_code) = (true, code);
                }
            }
            Event::Socket { local, remote, .. } if !self.used.insert((task, local, remote)) => {}
            what => self.acts.push(Act { task, line: self.lines, what }),
        }
    }

    /// Whether it holds as much as it may.
    pub fn is_full(&self) -> bool {
        self.acts.len().max(self.tasks.len()).max(self.programs.len()) >= DOCTOR_EVENTS_MAX
    }

    /// Whether the command itself has ended; others of its tasks may go on.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// What the programs did.
    pub fn seen(self) -> Seen {
        let mut seen = Seen { exit_code: self.exit_code, ..Seen::default() };
        let mut ends: HashMap<SocketAddr, (Program, SocketAddr)> = HashMap::new();
        for act in &self.acts {
            let Some(program) = self.program(act.task, act.line) else { continue };
            match act.what {
                Event::Connect { transport, to, failed } => seen.connected(program, transport, to, failed),
                Event::Datagram(to) => seen.sent(program, to),
                Event::Socket { local, remote, .. } => drop(ends.insert(local, (program.clone(), remote))),
                Event::Exec(_) | Event::Child(_) | Event::Ended(_) => {}
            }
        }
        Seen { ends, ..seen }
    }

    /// Whether any program was started at all.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    fn task(&mut self, number: u32) -> usize {
        *self.alive.entry(number).or_insert_with(|| {
            self.tasks.push(Task::default());
            self.tasks.len() - 1
        })
    }

    #[expect(clippy::indexing_slicing, reason = "a task's index is that of one that was pushed, and none is ever taken away")]
    fn known(&mut self, task: usize) -> &mut Task {
        &mut self.tasks[task]
    }

    /// What a task was at a line: what it became last, or else what its maker was when it was made.
    fn program(&self, mut task: usize, mut line: u64) -> Option<&Program> {
        // No task has more ancestors than there are tasks, unless the trace says that one made itself.
        for _ in &self.tasks {
            let found = self.tasks.get(task)?;
            if let Some((_, program)) = found.programs.iter().rev().find(|(since, _)| *since < line) {
                return self.programs.get(*program);
            }
            (task, line) = found.parent?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::strace::{Exec, Transport};

    fn exec(name: &str) -> Event {
        Event::Exec(Exec { file: format!("/nowhere/{name}"), arguments: vec![name.into()], environment: Vec::new() })
    }

    fn connect(port: u16) -> Event {
        Event::Connect { transport: Transport::Tcp, to: SocketAddr::from(([192, 0, 2, 7], port)), failed: false }
    }

    fn check(events: &[(u32, Event)], expected: &[(&str, u16)]) {
        let mut tree = Tree::default();
        events.iter().cloned().for_each(|(task, event)| tree.take(task, event));
        let seen = tree.seen();
        let contacts =
            seen.programs.iter().flat_map(|(program, contacts)| contacts.streams.keys().map(|to| (&*program.name, to.port())));
        let mut found: Vec<_> = contacts.collect();
        found.sort_by_key(|(_, port)| *port);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_connection_belongs_to_what_its_task_was_then() {
        check(&[(7, exec("a")), (7, connect(1)), (7, exec("b")), (7, connect(2))], &[("a", 1), ("b", 2)]);
        check(&[(7, exec("a")), (7, Event::Child(8)), (7, exec("b")), (8, connect(1)), (7, connect(2))], &[("a", 1), ("b", 2)]);
        check(&[(7, exec("a")), (8, connect(1)), (7, Event::Child(8)), (8, exec("c")), (8, connect(2))], &[("a", 1), ("c", 2)]);
    }

    #[test]
    fn a_number_that_comes_again_is_another_task() {
        let again = [
            (7, exec("a")),
            (7, Event::Child(8)),
            (8, exec("b")),
            (8, Event::Ended(Some(0))),
            (7, Event::Child(8)),
            (8, connect(1)),
        ];
        check(&again, &[("a", 1)]);
    }

    #[test]
    fn a_trace_that_goes_in_circles_has_an_end() {
        check(&[(7, Event::Child(7)), (7, connect(1))], &[]);
        check(&[(7, Event::Child(8)), (8, Event::Child(7)), (7, connect(1))], &[]);
    }
}
