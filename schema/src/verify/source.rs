//! Where a verifier gets its bytes: the caller brings the file system, a map, or a copy that it keeps.

use bytes::Bytes;

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The name.
    pub name: String,
    /// Whether it is a folder, and not a link to one.
    pub folder: bool,
}

/// Read access to a folder `evidence`. Paths are relative to it, their parts joined by `/`.
pub trait Source {
    /// What is in a folder, sorted by name; nothing where there is no such folder.
    fn list(&self, folder: &str) -> Result<Vec<Name>, String>;
    /// The bytes of a file; the error says why not, for people.
    fn read(&self, path: &str) -> Result<Bytes, String>;
}

/// Evidence in memory: bytes by path.
impl Source for std::collections::BTreeMap<String, Bytes> {
    fn list(&self, folder: &str) -> Result<Vec<Name>, String> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let rest = self.keys().filter_map(|path| path.strip_prefix(&prefix));
        let mut names: Vec<Name> = rest
            .map(|rest| match rest.split_once('/') {
                Some((name, _)) => Name { name: name.to_owned(), folder: true },
                None => Name { name: rest.to_owned(), folder: false },
            })
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Bytes, String> {
        self.get(path).cloned().ok_or_else(|| "the file is missing".to_owned())
    }
}
