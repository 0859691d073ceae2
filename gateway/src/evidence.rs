//! Evidence on a file system, as verification reads it.

use bytes::Bytes;
use rustix::fs::OFlags;
use sealgate_schema::{
    parquet::FILE_BYTES_MAX,
    verify::{Name, Source},
};
use std::{
    fs,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The largest file that is read and is no Parquet file: a full bundle of the longest entries, with room.
const OTHER_BYTES_MAX: u64 = 32 << 20;

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
        let bytes_max = if path.ends_with(".parquet") { FILE_BYTES_MAX } else { OTHER_BYTES_MAX };
        match read_file(&self.path(path), bytes_max) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("the file is missing".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Reads a file of evidence, which another may have made: no link is followed, no pipe or device waited for.
fn read_file(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it is larger than {bytes_max} bytes, which no such file is")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_a_link_or_a_file_without_end_is_an_error_and_not_a_wait() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::new(home.path());
        fs::write(home.path().join("checkpoint"), "bytes").unwrap();
        assert_eq!(folder.read("checkpoint"), Ok(Bytes::from("bytes")));
        rustix::fs::mknodat(rustix::fs::CWD, home.path().join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(folder.read("pipe"), Err("it is no regular file".to_owned()));
        std::os::unix::fs::symlink("/dev/zero", home.path().join("link")).unwrap();
        assert!(folder.read("link").is_err());
        fs::File::create(home.path().join("long")).unwrap().set_len(OTHER_BYTES_MAX + 1).unwrap();
        assert!(folder.read("long").unwrap_err().contains("larger"));
    }
}
