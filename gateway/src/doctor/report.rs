//! Compares what a command's programs did with what arrived at the gateway, and says it.

use super::{
    place::{Place, Places},
    program::{Contacts, Program, Seen},
    strace::plain,
    tools::{Trouble, Way, advice},
};
use crate::admin::api::{Arrival, Arrived};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    net::SocketAddr,
};

/// Destinations that a line of the report names.
const NAMED_MAX: usize = 4;

/// What the command's programs did, beside what arrived.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether everything came through.
    pub through: bool,
    /// A line a program that used the network.
    pub programs: Vec<Line>,
    /// What arrived that could not be tied to a program.
    pub unplaced: Tally,
    /// The command's exit code.
    pub exit_code: Option<u8>,
    /// What the judgement can't know.
    pub doubts: Vec<String>,
}

/// One program.
#[derive(Debug, Default, Serialize)]
pub struct Line {
    /// Its name.
    pub program: String,
    /// The judgement.
    pub verdict: Verdict,
    /// What of it arrived.
    pub arrived: Tally,
    /// Where it connected past the gateway, and how often.
    pub around: BTreeMap<SocketAddr, u64>,
    /// Connections to the gateway.
    pub connections: u64,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// What to set.
    pub advice: Vec<String>,
}

/// What arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Calls that were permitted.
    pub calls: u64,
    /// Tunnels to hosts that are not opened.
    pub tunnels: u64,
    /// Calls and connections that were refused.
    pub refusals: u64,
    /// TLS handshakes that failed.
    pub handshakes: u64,
}

/// The judgement on a program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All of its traffic came through.
    Through,
    /// It only spoke with this machine.
    #[default]
    Local,
    /// Some of its traffic went around.
    Bypassed,
    /// It does not trust the gateway's CA.
    Untrusted,
    /// It reached the gateway, and was refused for the way it is set up.
    Refused,
    /// It reached the gateway and asked it for nothing.
    Silent,
    /// It asked for names and connected nowhere.
    Names,
}

impl Verdict {
    fn is_good(self) -> bool {
        matches!(self, Self::Through | Self::Local)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Through => "OK",
            Self::Local => "LOCAL ONLY",
            Self::Bypassed => "BYPASSED",
            Self::Untrusted => "CA NOT TRUSTED",
            Self::Refused => "REFUSED",
            Self::Silent => "NOTHING ASKED",
            Self::Names => "NAMES ONLY",
        })
    }
}

impl Report {
    /// Compares.
    pub fn new(seen: Seen, arrivals: &[Arrival], places: &Places, way: &Way) -> Self {
        let (by_program, strangers) = assign(&seen, arrivals, places);
        let none = Vec::new();
        let line = |(program, contacts): (&Program, &Contacts)| {
            judge(program, contacts, by_program.get(program).unwrap_or(&none), places, way)
        };
        let programs: Vec<Line> = seen.programs.iter().map(line).collect();
        let unplaced = Tally::of(&strangers);
        let good = programs.iter().all(|line| line.verdict.is_good());
        // Nothing at all is no proof that anything came through.
        let any = programs.iter().any(|line| line.verdict == Verdict::Through) || unplaced.calls + unplaced.tunnels > 0;
        let through = good && any && unplaced.handshakes == 0;
        Self { through, programs, unplaced, exit_code: seen.exit_code, doubts: seen.doubts }
    }

    /// As a person reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let width = self.programs.iter().map(|line| line.program.chars().count()).max().unwrap_or(0);
        for line in &self.programs {
            // A String takes every write.
            let _ = writeln!(text, "{:width$}  {}  {}", line.program, line.story(), line.verdict);
            for (mark, lines) in [("note", &line.notes), ("set ", &line.advice)] {
                for line in lines {
                    let _ = writeln!(text, "{:width$}    {mark}: {line}", "");
                }
            }
        }
        if self.programs.is_empty() {
            text.push_str("no program of the command used the network: there is nothing to judge\n");
        }
        if self.unplaced != Tally::default() {
            let _ = writeln!(text, "{} that can't be tied to one of these programs", self.unplaced.story());
        }
        for doubt in &self.doubts {
            let _ = writeln!(text, "note: {doubt}");
        }
        text
    }
}

impl Tally {
    fn of(arrivals: &[&Arrival]) -> Self {
        let count = |what| arrivals.iter().filter(|arrival| arrival.what == what).count() as u64;
        Self {
            calls: count(Arrived::Call),
            tunnels: count(Arrived::Tunnel),
            refusals: count(Arrived::Refusal),
            handshakes: count(Arrived::Handshake),
        }
    }

    fn story(&self) -> String {
        let mut parts = vec![format!("{} through sealgate", counted(self.calls, "call"))];
        let others = [(self.tunnels, "tunnel"), (self.refusals, "refusal"), (self.handshakes, "failed TLS handshake")];
        parts.extend(others.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(count, what)));
        parts.join(", ")
    }
}

impl Line {
    /// `4 calls through sealgate, 0 around it`
    fn story(&self) -> String {
        let count: u64 = self.around.values().sum();
        let named: Vec<String> = self.around.keys().take(NAMED_MAX).map(SocketAddr::to_string).collect();
        let more = if self.around.len() > NAMED_MAX { ", …" } else { "" };
        match count {
            0 => format!("{}, 0 around it", self.arrived.story()),
            _ => format!("{}, {} to {}{more} around it", self.arrived.story(), counted(count, "connection"), named.join(", ")),
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Arrivals by program, and those that are nobody's: by the client's address, or where only one program spoke with the gateway.
fn assign<'a>(seen: &Seen, arrivals: &'a [Arrival], places: &Places) -> (BTreeMap<Program, Vec<&'a Arrival>>, Vec<&'a Arrival>) {
    let here = |to: &SocketAddr| places.of(*to) == Place::Gateway;
    let mut callers = seen.programs.iter().filter(|(_, contacts)| contacts.streams.keys().any(here)).map(|(program, _)| program);
    let only = callers.next().filter(|_| callers.next().is_none());
    let (mut by_program, mut strangers) = (BTreeMap::<Program, Vec<&Arrival>>::new(), Vec::new());
    for arrival in arrivals {
        let client = arrival.client.parse().ok().map(plain);
        let end = client.and_then(|client| seen.ends.get(&client)).filter(|(_, to)| here(to)).map(|(program, _)| program);
        // What named no session is the command's only where the address says so: others use the gateway too.
        match end.or(only.filter(|_| arrival.session.is_some())) {
            Some(program) => by_program.entry(program.clone()).or_default().push(arrival),
            None if arrival.session.is_some() => strangers.push(arrival),
            None => {}
        }
    }
    (by_program, strangers)
}

fn judge(program: &Program, contacts: &Contacts, arrivals: &[&Arrival], places: &Places, way: &Way) -> Line {
    let mut line = Line { program: program.label(), arrived: Tally::of(arrivals), ..Line::default() };
    let (mut names, mut plain_http) = (0, false);
    for (to, tries) in &contacts.streams {
        match places.of(*to) {
            Place::Gateway => line.connections += tries.all,
            Place::Around => {
                line.around.insert(*to, tries.all);
                plain_http |= to.port() == 80;
                if tries.failed == tries.all {
                    line.notes.push(format!("{to} could not be reached, so nothing went there"));
                }
            }
            Place::Names => names += tries.all,
            Place::Metadata => {
                line.notes.push(format!("it asked the metadata service at {to}, which hands out the machine's own credentials"))
            }
            Place::Local => {}
        }
    }
    for (to, count) in &contacts.datagrams {
        match places.of_datagrams(*to) {
            Place::Around => drop(line.around.insert(*to, *count)),
            Place::Names => names += count,
            _ => {}
        }
    }
    let troubles = troubles(&line, arrivals, names, plain_http);
    line.verdict = verdict(&line, &troubles, names);
    if line.verdict == Verdict::Names {
        line.notes.push("it asked name servers and connected nowhere; through the proxy it would not have to ask".to_owned());
    }
    line.advice = troubles.iter().flat_map(|trouble| advice(program, *trouble, way)).collect();
    line.notes.extend(refusals(arrivals));
    line
}

fn troubles(line: &Line, arrivals: &[&Arrival], names: u64, plain_http: bool) -> Vec<Trouble> {
    let refused = |fits: fn(&str) -> bool| arrivals.iter().any(|arrival| arrival.rule.as_deref().is_some_and(fits));
    let nothing = line.connections == 0 && line.arrived == Tally::default();
    let mut troubles = Vec::new();
    if !line.around.is_empty() || (nothing && names > 0) {
        troubles.push(Trouble::Around);
    }
    if plain_http || refused(|rule| rule == "not-connect") {
        troubles.push(Trouble::Plain);
    }
    if refused(|rule| rule == "proxy-credential") {
        troubles.push(Trouble::NoCredential);
    }
    if refused(is_foreign) {
        troubles.push(Trouble::Foreign);
    }
    // A client that goes away without a word after it has seen the certificate leaves no record.
    if line.arrived.handshakes > 0 || (line.connections > 0 && line.arrived == Tally::default()) {
        troubles.push(Trouble::Untrusted);
    }
    troubles
}

/// Rules that refuse a call for the credentials it is signed with.
fn is_foreign(rule: &str) -> bool {
    rule != "proxy-credential" && (rule.contains("foreign") || rule.contains("credential"))
}

fn verdict(line: &Line, troubles: &[Trouble], names: u64) -> Verdict {
    let nothing = line.arrived == Tally::default();
    let set_up = |trouble: &Trouble| matches!(trouble, Trouble::NoCredential | Trouble::Foreign | Trouble::Plain);
    match () {
        () if !line.around.is_empty() => Verdict::Bypassed,
        () if line.arrived.handshakes > 0 => Verdict::Untrusted,
        () if troubles.iter().any(set_up) => Verdict::Refused,
        () if line.connections > 0 && nothing => Verdict::Silent,
        () if nothing && names > 0 => Verdict::Names,
        () if nothing => Verdict::Local,
        () => Verdict::Through,
    }
}

/// What the client was told, each once.
fn refusals(arrivals: &[&Arrival]) -> Vec<String> {
    let refused = arrivals.iter().filter(|arrival| arrival.what == Arrived::Refusal);
    let mut told: Vec<String> =
        refused.filter_map(|arrival| arrival.message.clone()).map(|message| format!("refused: {message}")).collect();
    told.sort();
    told.dedup();
    told.truncate(NAMED_MAX);
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{program::Settings, strace::Transport};

    const GATEWAY: &str = "127.0.0.1:7300";

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn arrival(what: Arrived, client: &str, rule: &str) -> Arrival {
        let message = Some(format!("about {rule}"));
        Arrival { what, session: None, client: client.into(), host: None, operation: None, rule: Some(rule.into()), message }
    }

    /// One program `app.js` on node, with these connections, and these arrivals from 127.0.0.1:9.
    fn check(connections: &[&str], datagrams: &[&str], arrivals: &[(Arrived, &str)], verdict: Verdict) -> String {
        let program = Program { name: "app.js".into(), interpreter: Some("node".into()), settings: Settings::default() };
        let mut seen = Seen::default();
        connections.iter().for_each(|to| seen.connected(&program, Transport::Tcp, address(to), false));
        datagrams.iter().for_each(|to| seen.sent(&program, address(to)));
        seen.ends.insert(address("127.0.0.1:9"), (program, address(GATEWAY)));
        let arrivals: Vec<_> = arrivals.iter().map(|(what, rule)| arrival(*what, "127.0.0.1:9", rule)).collect();
        let places = Places { gateway: vec![address(GATEWAY)], upstreams: vec![address("127.0.0.1:5000")] };
        let report = Report::new(seen, &arrivals, &places, &Way::default());
        assert_eq!(report.programs.iter().map(|line| line.verdict).collect::<Vec<_>>(), [verdict], "{}", report.text());
        assert_eq!(report.through, verdict == Verdict::Through, "{}", report.text());
        report.text()
    }

    #[test]
    fn only_what_arrived_and_nothing_beside_it_is_ok() {
        let call = (Arrived::Call, "session");
        assert!(check(&[GATEWAY], &[], &[call, call], Verdict::Through).contains("2 calls through sealgate, 0 around it  OK"));
        check(&[GATEWAY, "127.0.0.1:8080"], &["192.0.2.53:53"], &[call], Verdict::Through);
        let around = check(&[GATEWAY, "192.0.2.7:443"], &[], &[call], Verdict::Bypassed);
        assert!(
            around.contains("1 connection to 192.0.2.7:443 around it  BYPASSED") && around.contains("NODE_USE_ENV_PROXY"),
            "{around}"
        );
        check(&["127.0.0.1:5000"], &[], &[], Verdict::Bypassed);
        check(&[GATEWAY], &["192.0.2.7:443"], &[call], Verdict::Bypassed);
        check(&["127.0.0.1:8080"], &[], &[], Verdict::Local);
    }

    #[test]
    fn a_tool_that_arrived_and_got_nowhere_is_told_why() {
        let untrusted = check(&[GATEWAY], &[], &[(Arrived::Handshake, "tls-handshake")], Verdict::Untrusted);
        assert!(untrusted.contains("NODE_EXTRA_CA_CERTS"), "{untrusted}");
        let credential = check(&[GATEWAY], &[], &[(Arrived::Refusal, "proxy-credential")], Verdict::Refused);
        assert!(credential.contains("user and password in HTTPS_PROXY"), "{credential}");
        let foreign = check(&[GATEWAY], &[], &[(Arrived::Refusal, "foreign-credential")], Verdict::Refused);
        assert!(foreign.contains("without --profile") && foreign.contains("refused: about foreign-credential"), "{foreign}");
        check(&[GATEWAY], &[], &[(Arrived::Refusal, "session-ended")], Verdict::Through);
        check(&[GATEWAY], &[], &[], Verdict::Silent);
        check(&[], &["192.0.2.53:53"], &[], Verdict::Names);
    }

    #[test]
    fn nothing_is_not_everything() {
        let report = Report::new(Seen::default(), &[], &Places::default(), &Way::default());
        assert!(!report.through && report.text().contains("nothing to judge"));
    }
}
