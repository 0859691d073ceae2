//! Files of the operator's that are read again when they change: looked at when they are used, a `stat` each.
//!
//! A new version that can't be read does not take the place of the last good one; what is wrong with it is kept for the status.

use crate::limits::OPERATOR_FILE_BYTES_MAX;
use std::{
    fmt, fs, io,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Load<T> = Box<dyn Fn(&mut Reading) -> Result<T, String> + Send + Sync>;

/// What is in files, as of their last good version.
pub struct Watched<T> {
    load: Load<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    reading: Reading,
    trouble: Option<String>,
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("files", &self.state().reading.files).finish_non_exhaustive()
    }
}

/// The files that were read in making a value, as they stood before they were read.
#[derive(Debug, Default)]
pub struct Reading {
    files: Vec<(PathBuf, Option<Stamp>)>,
}

/// What changes when a file does, be it written to or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            inode: (found.dev(), found.ino()),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl Reading {
    /// Reads a file, whose changes count from here on.
    pub fn file(&mut self, path: &Path) -> Result<String, String> {
        self.files.push((path.to_owned(), Stamp::of(path)));
        read(path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn is_current(&self) -> bool {
        self.files.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = fs::File::open(path)?.take(OPERATOR_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match read as u64 > OPERATOR_FILE_BYTES_MAX {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {OPERATOR_FILE_BYTES_MAX} bytes"))),
        false => Ok(text),
    }
}

impl<T> Watched<T> {
    /// Reads for the first time; what is wrong now is an error.
    pub fn new(load: impl Fn(&mut Reading) -> Result<T, String> + Send + Sync + 'static) -> Result<Self, String> {
        let mut reading = Reading::default();
        let value = Arc::new(load(&mut reading)?);
        Ok(Self { load: Box::new(load), state: Mutex::new(State { value, reading, trouble: None }) })
    }

    /// The value of the last good version. Blocks for as long as it takes to look at the files.
    pub fn current(&self) -> Arc<T> {
        self.looked_at().value.clone()
    }

    /// What is wrong with the version that is there.
    pub fn trouble(&self) -> Option<String> {
        self.looked_at().trouble.clone()
    }

    fn looked_at(&self) -> MutexGuard<'_, State<T>> {
        let mut state = self.state();
        if state.reading.is_current() {
            return state;
        }
        let mut reading = Reading::default();
        match (self.load)(&mut reading) {
            Ok(value) => *state = State { value: Arc::new(value), reading, trouble: None },
            Err(why) => {
                tracing::warn!(why, "a changed file is not taken; what it said before stays in force");
                // Those that were not reached this time still count: the one that is wrong may be mended by another's change.
                let reached: Vec<_> = reading.files.iter().map(|(path, _)| path.clone()).collect();
                let before = state.reading.files.iter().filter(|(path, _)| !reached.contains(path));
                reading.files.extend(before.map(|(path, _)| (path.clone(), Stamp::of(path))));
                state.reading = reading;
                state.trouble = Some(why);
            }
        }
        state
    }

    // A panic while it is held can't leave it half-changed: each change is one assignment, but for a trouble that is not said.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(file: PathBuf) -> impl Fn(&mut Reading) -> Result<u32, String> {
        move |reading| reading.file(&file)?.trim().parse().map_err(|_| "not a number".to_owned())
    }

    #[test]
    fn a_changed_file_is_read_and_a_broken_one_leaves_the_last_good_version() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert!(Watched::new(number(file.clone())).is_err());
        fs::write(&file, "1").unwrap();
        let watched = Watched::new(number(file.clone())).unwrap();
        assert_eq!((*watched.current(), watched.trouble()), (1, None));
        fs::write(&file, "22").unwrap();
        assert_eq!((*watched.current(), watched.trouble()), (22, None));
        fs::write(&file, "oops").unwrap();
        assert_eq!((*watched.current(), watched.trouble()), (22, Some("not a number".into())));
        fs::remove_file(&file).unwrap();
        assert_eq!(*watched.current(), 22);
        assert!(watched.trouble().unwrap().contains("No such file"));
        fs::write(&file, "3").unwrap();
        assert_eq!((*watched.current(), watched.trouble()), (3, None));
        fs::write(&file, "x".repeat(OPERATOR_FILE_BYTES_MAX as usize + 1)).unwrap();
        assert!(watched.trouble().unwrap().contains("more than"));
    }
}
