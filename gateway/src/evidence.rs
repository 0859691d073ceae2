//! Evidence on a file system, as verification reads it.

use bytes::Bytes;
use sealgate_schema::verify::{Name, Source};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A folder `evidence`.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// All of it.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The path of a file.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl Source for Folder {
    fn list(&self, folder: &str) -> Result<Vec<Name>, String> {
        let entries = match fs::read_dir(self.path(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.to_string()),
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.map_err(|error| error.to_string())?;
            // A link is no folder: what it leads to is not part of the evidence.
            let folder = entry.file_type().map_err(|error| error.to_string())?.is_dir();
            Ok(Name { name: entry.file_name().to_string_lossy().into_owned(), folder })
        };
        let mut names = entries.map(name).collect::<Result<Vec<_>, String>>()?;
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Bytes, String> {
        match fs::read(self.path(path)) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("the file is missing".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
