//! A disk that fails on command, in two forms: failed and lost (nothing was done), failed but kept (it was done, and the
//! error came all the same).

use sealgate::ledger::disk::{Append, Disk, LocalDisk};
use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

/// An operation of the disk port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Writing to a file that grows.
    Append,
    /// Making a file's bytes durable.
    Sync,
    /// Making a file.
    Create,
    /// Putting a file in its place.
    Rename,
    /// Removing a file.
    Remove,
    /// Making names durable.
    SyncFolder,
}

/// What a failing operation does first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    Lost,
    /// Half of it: a short write; for other operations nothing.
    Half,
    /// All of it.
    Kept,
}

/// Which operation fails, and how.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The operation.
    pub operation: Operation,
    /// How many of its kind succeed before.
    pub after: u32,
    /// How it fails. It goes on failing after the first time.
    pub form: Form,
    /// The error number.
    pub errno: i32,
}

#[derive(Debug, Default)]
struct Plan {
    fault: Option<Fault>,
    /// Operations of each kind so far.
    counts: [u32; 6],
}

/// The machine's disk, failing as planned.
#[derive(Debug, Default)]
pub struct FaultyDisk {
    plan: Arc<Mutex<Plan>>,
}

impl FaultyDisk {
    /// From now on, fails as `fault` says.
    pub fn fail(&self, fault: Fault) {
        *self.plan.lock().unwrap() = Plan { fault: Some(fault), counts: [0; 6] };
    }

    /// From now on, works.
    pub fn mend(&self) {
        *self.plan.lock().unwrap() = Plan::default();
    }

    /// Operations of this kind since the last [`FaultyDisk::fail`] or [`FaultyDisk::mend`].
    pub fn count(&self, operation: Operation) -> u32 {
        self.plan.lock().unwrap().counts[operation as usize]
    }
}

impl Plan {
    fn next(&mut self, operation: Operation) -> Option<Fault> {
        let count = &mut self.counts[operation as usize];
        *count += 1;
        let now = *count;
        self.fault.filter(|fault| fault.operation == operation && now > fault.after)
    }
}

fn run<T>(plan: &Mutex<Plan>, operation: Operation, real: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let fault = plan.lock().unwrap().next(operation);
    let Some(fault) = fault else { return real() };
    if fault.form == Form::Kept {
        drop(real()?);
    }
    Err(io::Error::from_raw_os_error(fault.errno))
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let file = run(&self.plan, Operation::Create, || LocalDisk.create(path))?;
        Ok(Box::new(FaultyFile { file, plan: self.plan.clone() }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        LocalDisk.read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        LocalDisk.list(folder)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        LocalDisk.create_folder(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        run(&self.plan, Operation::Rename, || LocalDisk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        run(&self.plan, Operation::Remove, || LocalDisk.remove(path))
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        LocalDisk.overwrite(path, bytes)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        run(&self.plan, Operation::SyncFolder, || LocalDisk.sync_folder(folder))
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn Append>,
    plan: Arc<Mutex<Plan>>,
}

impl Append for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fault = self.plan.lock().unwrap().next(Operation::Append);
        let Some(fault) = fault else { return self.file.append(bytes) };
        match fault.form {
            Form::Lost => {}
            Form::Half => self.file.append(&bytes[..bytes.len() / 2])?,
            Form::Kept => self.file.append(bytes)?,
        }
        Err(io::Error::from_raw_os_error(fault.errno))
    }

    fn sync(&mut self) -> io::Result<()> {
        run(&self.plan, Operation::Sync, || self.file.sync())
    }

    fn is_in_place(&self) -> io::Result<bool> {
        self.file.is_in_place()
    }
}
