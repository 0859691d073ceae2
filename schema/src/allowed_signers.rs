//! Whose key is whose: OpenSSH's `allowed_signers` file (`ssh-keygen(1)`, ALLOWED SIGNERS).
//!
//! Taken: principals with `*`, `?` and `!`, `namespaces=`, `valid-after=` and `valid-before=` in UTC. Not taken, and refused at
//! reading: `cert-authority`, and times without `Z`, which would mean another instant on another machine.

use crate::{
    instant,
    public_key::{KeyError, PublicKey},
};

/// The longest file that is read.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// What is wrong with a file, and in which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadSigners {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

/// Why a key is not a person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// No line has this key for this name.
    #[error("no line of the file has this key for this name")]
    Unknown,
    /// The line is for signatures of another kind.
    #[error("the file has this key for this name, but not for this namespace")]
    Namespace,
    /// Its time had not begun, or was over.
    #[error("the file has this key for this name, but not for that time")]
    Time,
}

/// A file, read.
#[derive(Debug, Clone, Default)]
pub struct AllowedSigners {
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    /// Patterns, separated by commas.
    principals: String,
    key: PublicKey,
    /// Patterns, separated by commas.
    namespaces: Option<String>,
    valid_after: Option<i64>,
    valid_before: Option<i64>,
}

impl AllowedSigners {
    /// Reads a file. One line that can't be taken is an error: whoever wrote it meant something by it.
    pub fn parse(text: &str) -> Result<Self, BadSigners> {
        if text.len() > FILE_BYTES_MAX {
            return Err(BadSigners { line: 1, what: format!("the file is longer than {FILE_BYTES_MAX} bytes") });
        }
        let lines = (1..).zip(text.lines()).filter(|(_, line)| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with('#')
        });
        let lines = lines.map(|(number, line)| read_line(line).map_err(|what| BadSigners { line: number, what }));
        Ok(Self { lines: lines.collect::<Result<_, _>>()? })
    }

    /// Whether a key is a person's, for signatures in `namespace`, at a time in microseconds since 1970.
    pub fn finds(&self, principal: &str, key: &PublicKey, namespace: &str, at: i64) -> Result<(), NotAllowed> {
        let mut why = NotAllowed::Unknown;
        for line in self.lines.iter().filter(|line| line.key == *key && matches_list(principal, &line.principals)) {
            match line.allows(namespace, at) {
                Ok(()) => return Ok(()),
                Err(not) => why = not,
            }
        }
        Err(why)
    }

    /// Whether the file says anything of this key, or of this name by spelling it out.
    pub fn mentions(&self, name: &str, key: &PublicKey) -> bool {
        self.lines.iter().any(|line| line.key == *key || line.principals.split(',').any(|pattern| pattern == name))
    }

    /// The names of a key for signatures in `namespace` at that time: those that the file spells out. What `*` or `?` may stand for
    /// is not among them.
    pub fn names(&self, key: &PublicKey, namespace: &str, at: i64) -> Vec<&str> {
        let lines = self.lines.iter().filter(|line| line.key == *key && line.allows(namespace, at).is_ok());
        let plain = |name: &&str| !name.is_empty() && !name.starts_with('!') && !name.contains(['*', '?']);
        let mut names: Vec<&str> = Vec::new();
        for line in lines {
            names.extend(line.principals.split(',').filter(plain).filter(|name| matches_list(name, &line.principals)));
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Line {
    fn allows(&self, namespace: &str, at: i64) -> Result<(), NotAllowed> {
        if self.namespaces.as_ref().is_some_and(|list| !matches_list(namespace, list)) {
            return Err(NotAllowed::Namespace);
        }
        // Both ends belong to the time, as with ssh-keygen, whose clock has seconds.
        let second = at.div_euclid(1_000_000);
        let early = self.valid_after.is_some_and(|from| second < from / 1_000_000);
        let late = self.valid_before.is_some_and(|to| second > to / 1_000_000);
        if early || late { Err(NotAllowed::Time) } else { Ok(()) }
    }
}

fn read_line(line: &str) -> Result<Line, String> {
    let (principals, rest) = word(line.trim()).ok_or("write PRINCIPALS [OPTIONS] KIND KEY")?;
    let principals = principals.trim_matches('"').to_owned();
    if principals.split(',').any(|pattern| pattern.trim_start_matches('!').is_empty()) {
        return Err("a principal without a name".to_owned());
    }
    let unkeyed = |error: KeyError| error.to_string();
    let mut read = match PublicKey::parse(rest) {
        Ok(key) => return Ok(Line { principals, key, namespaces: None, valid_after: None, valid_before: None }),
        // Where the next word is no kind of key, it is options.
        Err(KeyError::Kind(_)) => {
            let (options, rest) = word(rest).ok_or("no key")?;
            let key = PublicKey::parse(rest).map_err(unkeyed)?;
            (Line { principals, key, namespaces: None, valid_after: None, valid_before: None }, options)
        }
        Err(error) => return Err(unkeyed(error)),
    };
    for option in split_unquoted(read.1, ',') {
        read.0.option(option)?;
    }
    match (read.0.valid_after, read.0.valid_before) {
        (Some(from), Some(to)) if to <= from => Err("valid-before is not after valid-after".to_owned()),
        _ => Ok(read.0),
    }
}

impl Line {
    fn option(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let time = || {
            let time = instant::read_compact(value).filter(|time| *time > 0);
            time.ok_or_else(|| format!("{name} is a time of UTC here: YYYYMMDD[HHMM[SS]]Z"))
        };
        let twice = match name.to_ascii_lowercase().as_str() {
            "namespaces" if !value.is_empty() => self.namespaces.replace(value.to_owned()).is_some(),
            "valid-after" => self.valid_after.replace(time()?).is_some(),
            "valid-before" => self.valid_before.replace(time()?).is_some(),
            "cert-authority" => return Err("cert-authority is not taken: name the people's own keys".to_owned()),
            _ => return Err(format!("the option {name:?} is not known")),
        };
        if twice { Err(format!("{name} stands there twice")) } else { Ok(()) }
    }
}

/// The first word of a line, quotes kept together, and the rest behind its blanks.
fn word(line: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let end = line.find(|c: char| {
        quoted ^= c == '"';
        !quoted && (c == ' ' || c == '\t')
    })?;
    let (word, rest) = line.split_at_checked(end)?;
    (!word.is_empty()).then_some((word, rest.trim_start()))
}

fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c: char| {
        quoted ^= c == '"';
        !quoted && c == separator
    })
    .collect()
}

/// Whether a list of patterns takes a text: one of them does, and none with `!`.
fn matches_list(text: &str, list: &str) -> bool {
    let mut taken = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(text.as_bytes(), pattern.as_bytes()) => return false,
            Some(_) => {}
            None => taken |= matches(text.as_bytes(), pattern.as_bytes()),
        }
    }
    taken
}

/// `*` any bytes, `?` one. Takes at most the product of both lengths in steps.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut in_pattern) = (0, 0);
    // Where to go on when what was tried does not fit: behind the last `*`, one byte further.
    let mut again: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                again = Some((at, in_pattern + 1));
                in_pattern += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == text.get(at) => {
                at += 1;
                in_pattern += 1;
            }
            _ => match again {
                Some((from, behind)) => {
                    (at, in_pattern) = (from + 1, behind);
                    again = Some((from + 1, behind));
                }
                None => return false,
            },
        }
    }
    pattern.get(in_pattern..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}
