//! The disk port: what the ledger asks of a file system, and the real one.
//!
//! Everything the ledger writes goes through here, so that a test can make any of it fail.

use rustix::fs::{AtFlags, CWD};
use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A file system as the ledger uses it.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Makes a new file for appending; fails where one is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>>;
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Names of the files and folders in a folder, sorted.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Makes a folder and those above it.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Replaces `to` by `from` in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Writes over the beginning of a file, durably.
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that only grows.
pub trait Append: Debug + Send {
    /// Writes all of `bytes` at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written so far durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Whether the file is still the one its path names: not unlinked, not moved away with its folder.
    fn is_in_place(&self) -> io::Result<bool>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

#[derive(Debug)]
struct LocalFile {
    file: File,
    path: PathBuf,
    inode: u64,
}

impl Disk for LocalDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let inode = file.metadata()?.ino();
        Ok(Box::new(LocalFile { file, path: path.to_owned(), inode }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| {
            entry?
                .file_name()
                .into_string()
                .map_err(|name| io::Error::other(format!("{name:?} in {} is not UTF-8", folder.display())))
        };
        let mut names = fs::read_dir(folder)?.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl Append for LocalFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn is_in_place(&self) -> io::Result<bool> {
        match rustix::fs::statat(CWD, &self.path, AtFlags::empty()) {
            Ok(there) => Ok(there.st_ino == self.inode),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes a file so that either all of it is there under its name, durably, or nothing is: a sibling in `staging` on the
/// same file system, synced, renamed, its folder synced, read back.
pub fn write_durably(disk: &dyn Disk, staging: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
        return Err(io::Error::other("a file needs a name and a folder"));
    };
    let staged = staging.join(name);
    // A crash may have left the staged file of an earlier try.
    if let Err(error) = disk.remove(&staged)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = disk.create(&staged)?;
    file.append(bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(&staged, path)?;
    disk.sync_folder(folder)?;
    if disk.read(path)? == bytes { Ok(()) } else { Err(io::Error::other("the file reads back differently")) }
}
