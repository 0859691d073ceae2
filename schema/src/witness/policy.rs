//! Whose cosignatures suffice: the policy file of C2SP tlog-policy.
//!
//! Names must be UTF-8 here, which the specification recommends; it would allow any octets.

use super::{WitnessKey, request::decimal};
use crate::note::{SIGNATURES_MAX, VerifierKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The largest policy file: all lines that are allowed, with long names and URLs.
pub const POLICY_BYTES_MAX: usize = 256 << 10;
/// The most logs of a policy: twice what the specification recommends.
pub const LOGS_MAX: usize = 64;
/// The most witnesses: as many as can sign one note beside the log.
pub const WITNESSES_MAX: usize = SIGNATURES_MAX - 1;
/// The most groups: twice what the specification recommends.
pub const GROUPS_MAX: usize = 64;

/// The quorum that asks for nobody.
const NONE: &str = "none";

/// A log that the policy accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its key. The key's name is the origin of its checkpoints.
    pub key: VerifierKey,
    /// Where it is.
    pub url: Option<String>,
}

/// A witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its name in the policy, which may be another than its key's.
    pub name: String,
    /// Its key.
    pub key: WitnessKey,
    /// Prefix of the URLs where it is asked.
    pub url: Option<String>,
}

/// Witnesses and groups of which some must have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    threshold: Threshold,
    members: Vec<String>,
}

/// How many of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threshold {
    Any,
    All,
    Count(usize),
}

/// A policy. Every name in it is defined once, and before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: String,
}

/// A policy that can't be used: which line, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {why}")]
pub struct PolicyError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub why: String,
}

impl Policy {
    /// Reads a policy file.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let mut draft = Draft::default();
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(PolicyError { line: 1, why: format!("the file has more than {POLICY_BYTES_MAX} bytes; shorten it") });
        }
        let mut count = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            count += 1;
            draft.line(line).map_err(|why| PolicyError { line: count, why })?;
        }
        let missing = || PolicyError { line: count + 1, why: "there is no `quorum NAME`; add it as the last line".to_owned() };
        let Draft { logs, witnesses, groups, quorum, .. } = draft;
        Ok(Self { logs, witnesses, groups, quorum: quorum.ok_or_else(missing)? })
    }

    /// The logs. None are listed where they are known from elsewhere.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The witnesses, in the file's order.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Name of the witness or group that must have cosigned, or `none`.
    pub fn quorum(&self) -> &str {
        &self.quorum
    }

    /// Whether the cosignatures of these witnesses suffice; names as in the policy.
    pub fn satisfied(&self, cosigned_by: &BTreeSet<&str>) -> bool {
        if self.quorum == NONE {
            return true;
        }
        let one = |witness: &Witness| (witness.name.clone(), cosigned_by.contains(witness.name.as_str()));
        let mut holds: BTreeMap<String, bool> = self.witnesses.iter().map(one).collect();
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds.get(*member) == Some(&true)).count();
            let needs = match group.threshold {
                Threshold::Any => 1,
                Threshold::All => group.members.len(),
                Threshold::Count(needs) => needs,
            };
            holds.insert(group.name.clone(), count >= needs);
        }
        holds.get(&self.quorum) == Some(&true)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |url: &Option<String>| url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
        for log in &self.logs {
            writeln!(f, "log {}{}", log.key, url(&log.url))?;
        }
        for witness in &self.witnesses {
            writeln!(f, "witness {} {}{}", witness.name, witness.key, url(&witness.url))?;
        }
        for group in &self.groups {
            let threshold = match group.threshold {
                Threshold::Any => "any".to_owned(),
                Threshold::All => "all".to_owned(),
                Threshold::Count(needs) => needs.to_string(),
            };
            writeln!(f, "group {} {threshold} {}", group.name, group.members.join(" "))?;
        }
        writeln!(f, "quorum {}", self.quorum)
    }
}

/// A policy that is being read.
#[derive(Default)]
struct Draft {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Option<String>,
    /// Names of witnesses and groups.
    defined: BTreeSet<String>,
    /// Names that are members of a group.
    taken: BTreeSet<String>,
}

impl Draft {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let line = line.strip_suffix(b"\n").ok_or("it does not end with a newline; add one")?;
        if line.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err("it has a control character; use Unix line ends, spaces and tabs only".to_owned());
        }
        if line.trim_ascii_start().first().is_none_or(|first| *first == b'#') {
            return Ok(());
        }
        let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8; save the file as UTF-8")?;
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let keyword = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        match (keyword, words.as_slice()) {
            ("log", [key]) => self.log(key, None),
            ("log", [key, url]) => self.log(key, Some(url)),
            ("witness", [name, key]) => self.witness(name, key, None),
            ("witness", [name, key, url]) => self.witness(name, key, Some(url)),
            ("group", [name, threshold, members @ ..]) if !members.is_empty() => self.group(name, threshold, members),
            ("quorum", [name]) => self.quorum(name),
            ("log", _) => Err("write `log VKEY [URL]`".to_owned()),
            ("witness", _) => Err("write `witness NAME VKEY [URL]`".to_owned()),
            ("group", _) => Err("write `group NAME any|all|K MEMBER…`".to_owned()),
            ("quorum", _) => Err("write `quorum NAME`, or `quorum none`".to_owned()),
            _ => Err(format!("{keyword:?} is not known; a line begins with log, witness, group, quorum or #")),
        }
    }

    fn log(&mut self, key: &str, url: Option<&str>) -> Result<(), String> {
        let key =
            VerifierKey::parse(key).map_err(|_| format!("{key:?} is not a log's key; it is in the log's keys/gateway.vkey"))?;
        if self.logs.iter().any(|log| log.key.public == key.public) {
            return Err("a line before names a log with this key; remove one of the two".to_owned());
        }
        at_most(self.logs.len(), LOGS_MAX, "logs")?;
        self.logs.push(Log { key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), String> {
        let key = WitnessKey::parse(key).map_err(|_| {
            format!("{key:?} is not a witness's key; the witness prints it when it starts (its type is 4, a log's is 1)")
        })?;
        if self.witnesses.iter().any(|witness| witness.key.public == key.public) {
            return Err("a line before names a witness with this key; remove one of the two".to_owned());
        }
        at_most(self.witnesses.len(), WITNESSES_MAX, "witnesses")?;
        self.define(name)?;
        self.witnesses.push(Witness { name: name.to_owned(), key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), String> {
        let count = |text: &str| decimal(text).and_then(|needs| usize::try_from(needs).ok());
        let threshold = match (threshold, count(threshold)) {
            ("any", _) => Threshold::Any,
            ("all", _) => Threshold::All,
            (_, Some(needs)) if (1..=members.len()).contains(&needs) => Threshold::Count(needs),
            _ => return Err(format!("{threshold:?} is not any, all, or a number from 1 to {}", members.len())),
        };
        for member in members {
            self.known(member)?;
            if !self.taken.insert((*member).to_owned()) {
                return Err(format!("{member:?} is a member of a group already; a name counts in one group only"));
            }
        }
        at_most(self.groups.len(), GROUPS_MAX, "groups")?;
        self.define(name)?;
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.groups.push(Group { name: name.to_owned(), threshold, members });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        if name != NONE {
            self.known(name)?;
        }
        match self.quorum.replace(name.to_owned()) {
            None => Ok(()),
            Some(_) => Err("a line before sets the quorum; remove one of the two".to_owned()),
        }
    }

    fn define(&mut self, name: &str) -> Result<(), String> {
        if name == NONE {
            return Err("`none` is the name of the empty quorum; choose another".to_owned());
        }
        let new = self.defined.insert(name.to_owned());
        if new { Ok(()) } else { Err(format!("{name:?} is defined on a line before; choose another name")) }
    }

    fn known(&self, name: &str) -> Result<(), String> {
        let known = self.defined.contains(name);
        if known { Ok(()) } else { Err(format!("{name:?} is not defined on a line before; define it there")) }
    }
}

fn at_most(count: usize, max: usize, what: &str) -> Result<(), String> {
    if count < max { Ok(()) } else { Err(format!("more than {max} {what}; remove this line")) }
}
