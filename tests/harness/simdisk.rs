//! A disk in memory that treats what was not synced as a real one may.
//!
//! Bytes are volatile until `sync`, names until `sync_folder` of the folder they are in. [`SimDisk::crash`] is what the
//! machine finds after its power went: of each file any of the unsynced 512-byte sectors, in any order, with zeros where
//! one is missing; of the unsynced names any. A rename is there or not, never half of it. [`SimDisk::kill`] is what a
//! process finds that was started after another one was killed: everything, but for clean pages that the system may
//! have dropped.
//!
//! A sync that fails marks its pages clean although some are not on the platter, as Linux does: the next sync succeeds, the
//! bytes are read until the page is dropped or the power goes.
//!
//! It does not know permissions, links, or files that are written anywhere but at their end.

use crate::{faults::Form, random::Random};
use sealgate::ledger::disk::{Append, Disk};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

/// What a disk writes as a whole or not at all.
pub const SECTOR_BYTES: usize = 512;
const EIO: i32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(u64),
}

/// A file's bytes as programs read them, and as they are on the platter.
#[derive(Debug, Clone, Default)]
struct Inode {
    cache: Vec<u8>,
    platter: Vec<u8>,
    /// Sectors in which the two may differ and that the next sync writes.
    dirty: BTreeSet<usize>,
}

/// A change of names that is not durable yet.
#[derive(Debug, Clone)]
enum Change {
    Made(PathBuf, Node),
    Renamed(PathBuf, PathBuf, u64),
    Removed(PathBuf, u64),
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone)]
struct Machine {
    inodes: BTreeMap<u64, Inode>,
    names: Names,
    durable: Names,
    unsynced: Vec<Change>,
}

impl Default for Machine {
    fn default() -> Self {
        let root = Names::from([(PathBuf::from("/"), Node::Folder)]);
        Self { inodes: BTreeMap::new(), names: root.clone(), durable: root, unsynced: Vec::new() }
    }
}

/// What goes wrong, and at which operation. Operations of every kind are counted from 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    /// The power goes at this operation: half of a write may have happened, nothing works afterwards.
    pub crash_at: Option<u64>,
    /// This operation fails with this error number, having done what the form says; those after it work.
    pub fail_at: Option<(u64, i32, Form)>,
}

#[derive(Debug, Default)]
struct Shared {
    machine: Machine,
    /// Handles of an earlier life get nothing but errors.
    life: u64,
    plan: Plan,
    operations: u64,
    /// Whether something of the plan has happened.
    met: bool,
    dead: bool,
    seed: u64,
    held: bool,
    waiting: bool,
}

/// A handle to the disk, valid until the next crash or kill.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    shared: Arc<(Mutex<Shared>, Condvar)>,
    life: u64,
}

/// What becomes of an operation.
enum Fate {
    Done,
    Fails(io::Error, Form),
}

impl SimDisk {
    /// From now on, operations are counted anew and go wrong as planned.
    pub fn plan(&self, plan: Plan) {
        let mut shared = self.lock();
        (shared.plan, shared.operations, shared.met) = (plan, 0, false);
    }

    /// Operations since the plan was made.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Whether something of the plan has happened.
    pub fn met(&self) -> bool {
        self.lock().met
    }

    /// The power goes, and comes back: the disk as the machine finds it. This handle is dead then.
    pub fn crash(&self, seed: u64) -> Self {
        let mut shared = self.lock();
        shared.machine.lose_power(seed);
        self.next_life(&mut shared, seed)
    }

    /// The process is killed: the disk as the next one finds it. This handle is dead then.
    pub fn kill(&self, seed: u64) -> Self {
        let mut shared = self.lock();
        if seed & 1 == 1 {
            shared.machine.inodes.values_mut().for_each(Inode::drop_clean_pages);
        }
        self.next_life(&mut shared, seed)
    }

    fn next_life(&self, shared: &mut Shared, seed: u64) -> Self {
        let life = shared.life + 1;
        let machine = std::mem::take(&mut shared.machine);
        *shared = Shared { machine, life, seed, ..Shared::default() };
        self.shared.1.notify_all();
        Self { shared: self.shared.clone(), life }
    }

    /// A disk of its own with the same content, durable or not.
    pub fn copy(&self) -> Self {
        let machine = self.lock().machine.clone();
        Self { shared: Arc::new((Mutex::new(Shared { machine, ..Shared::default() }), Condvar::new())), life: 0 }
    }

    /// Flips one bit of one file below one of `folders`, on the platter too. Says which, or that there was none.
    pub fn rot(&self, folders: &[&Path], random: &mut Random) -> Option<PathBuf> {
        let machine = &mut self.lock().machine;
        let below = |path: &Path| folders.iter().any(|folder| path.starts_with(folder));
        let files: Vec<_> = machine.names.iter().filter(|(path, _)| below(path)).filter_map(file_of).collect();
        let files: Vec<_> = files.into_iter().filter(|(_, inode)| !machine.inodes[inode].platter.is_empty()).collect();
        if files.is_empty() {
            return None;
        }
        let (path, inode) = files[random.below(files.len() as u64) as usize].clone();
        let inode = machine.inodes.get_mut(&inode).unwrap();
        let (place, bit) = (random.below(inode.platter.len() as u64) as usize, random.below(8));
        inode.platter[place] ^= 1 << bit;
        inode.cache[place] = inode.platter[place];
        Some(path)
    }

    /// Reads a file, past every plan.
    pub fn look(&self, path: &Path) -> Option<Vec<u8>> {
        self.lock().machine.read(path).ok().cloned()
    }

    /// Names in a folder, past every plan.
    pub fn names(&self, folder: &Path) -> Vec<String> {
        self.lock().machine.list(folder)
    }

    /// The next batch waits before it is written, until [`SimDisk::release`].
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Waits until a batch waits.
    pub fn wait_held(&self) {
        let shared = self.lock();
        drop(self.shared.1.wait_while(shared, |shared| !shared.waiting).unwrap());
    }

    /// Lets the batch go on.
    pub fn release(&self) {
        self.lock().held = false;
        self.shared.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.0.lock().unwrap()
    }

    /// Counts an operation and says what becomes of it.
    fn operate(&self, shared: &mut Shared) -> Fate {
        let off = || io::Error::other("the machine is off");
        if shared.dead || shared.life != self.life {
            return Fate::Fails(off(), Form::Lost);
        }
        shared.operations += 1;
        if shared.plan.crash_at == Some(shared.operations) {
            (shared.dead, shared.met) = (true, true);
            return Fate::Fails(off(), Form::Half);
        }
        match shared.plan.fail_at {
            Some((at, errno, form)) if at == shared.operations => {
                shared.met = true;
                Fate::Fails(io::Error::from_raw_os_error(errno), form)
            }
            _ => Fate::Done,
        }
    }

    /// Runs an operation that is done wholly or not at all.
    fn run<T>(&self, real: impl FnOnce(&mut Machine) -> io::Result<T>) -> io::Result<T> {
        let mut shared = self.lock();
        match self.operate(&mut shared) {
            Fate::Done => real(&mut shared.machine),
            Fate::Fails(error, form) => {
                if form == Form::Kept {
                    drop(real(&mut shared.machine)?);
                }
                Err(error)
            }
        }
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let inode = self.run(|machine| machine.create(path))?;
        Ok(Box::new(SimFile { disk: self.clone(), path: path.to_owned(), inode }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.run(|machine| machine.read(path).cloned())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.run(|machine| machine.folder(folder).map(|()| machine.list(folder)))
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.run(|machine| {
            let missing: Vec<_> = folder.ancestors().filter(|above| !machine.names.contains_key(*above)).collect();
            missing.into_iter().rev().for_each(|above| machine.change(Change::Made(above.to_owned(), Node::Folder)));
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(|machine| {
            machine.folder(to.parent().unwrap())?;
            let inode = machine.file(from)?;
            machine.change(Change::Renamed(from.to_owned(), to.to_owned(), inode));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(|machine| {
            let inode = machine.file(path)?;
            machine.change(Change::Removed(path.to_owned(), inode));
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.run(|machine| {
            machine.folder(folder)?;
            machine.sync_folder(folder);
            Ok(())
        })
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: u64,
}

impl Append for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut shared = self.disk.lock();
        let fate = self.disk.operate(&mut shared);
        let inode = shared.machine.inodes.entry(self.inode).or_default();
        match fate {
            Fate::Done => inode.append(bytes),
            Fate::Fails(error, form) => {
                match form {
                    Form::Lost => {}
                    Form::Half => inode.append(&bytes[..bytes.len() / 2]),
                    Form::Kept => inode.append(bytes),
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut shared = self.disk.lock();
        let fate = self.disk.operate(&mut shared);
        let mut random = Random::of(shared.seed, shared.operations);
        let dead = shared.dead || shared.life != self.disk.life;
        let inode = shared.machine.inodes.entry(self.inode).or_default();
        let length = inode.cache.len();
        match fate {
            Fate::Done => inode.write_back(length, |_| true),
            // The power went: what is dirty stays dirty, and `crash` decides.
            Fate::Fails(error, _) if dead => return Err(error),
            Fate::Fails(error, form) => {
                inode.write_back(length, |_| form == Form::Kept || (form == Form::Half && random.once_in(2)));
                return Err(error);
            }
        }
        Ok(())
    }

    fn is_in_place(&self) -> io::Result<bool> {
        let mut shared = self.disk.lock();
        if shared.held {
            shared.waiting = true;
            self.disk.shared.1.notify_all();
            shared = self.disk.shared.1.wait_while(shared, |shared| shared.held).unwrap();
            shared.waiting = false;
        }
        if shared.dead || shared.life != self.disk.life {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(shared.machine.names.get(&self.path) == Some(&Node::File(self.inode)))
    }
}

fn file_of((path, node): (&PathBuf, &Node)) -> Option<(PathBuf, u64)> {
    match node {
        Node::File(inode) => Some((path.clone(), *inode)),
        Node::Folder => None,
    }
}

impl Machine {
    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn folder(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<&Vec<u8>> {
        Ok(&self.inodes[&self.file(path)?].cache)
    }

    fn list(&self, folder: &Path) -> Vec<String> {
        let inside = self.names.keys().filter(|path| path.parent() == Some(folder));
        inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    fn create(&mut self, path: &Path) -> io::Result<u64> {
        self.folder(path.parent().unwrap())?;
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = self.inodes.last_key_value().map_or(0, |(last, _)| last + 1);
        self.inodes.insert(inode, Inode::default());
        self.change(Change::Made(path.to_owned(), Node::File(inode)));
        Ok(inode)
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.unsynced.push(change);
    }

    fn sync_folder(&mut self, folder: &Path) {
        let unsynced = std::mem::take(&mut self.unsynced);
        let (now, later): (Vec<_>, Vec<_>) = unsynced.into_iter().partition(|change| change.folder() == Some(folder));
        now.iter().for_each(|change| change.apply(&mut self.durable));
        self.unsynced = later;
    }

    fn lose_power(&mut self, seed: u64) {
        for (index, change) in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            if Random::of(seed, index as u64).once_in(2) {
                change.apply(&mut self.durable);
            }
        }
        // What is in a folder that is gone is gone with it.
        let kept = self.durable.clone();
        self.durable.retain(|path, _| path.ancestors().skip(1).all(|above| kept.get(above) == Some(&Node::Folder)));
        self.names = self.durable.clone();
        for (number, inode) in &mut self.inodes {
            inode.lose_power(&mut Random::of(!seed, *number));
        }
    }
}

impl Change {
    /// The folder whose sync makes the change durable.
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Made(path, _) | Self::Removed(path, _) | Self::Renamed(_, path, _) => path.parent(),
        }
    }

    fn apply(&self, names: &mut Names) {
        let gone = |names: &mut Names, path: &Path, inode: u64| {
            if names.get(path) == Some(&Node::File(inode)) {
                names.remove(path);
            }
        };
        match self {
            Self::Made(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Removed(path, inode) => gone(names, path, *inode),
            Self::Renamed(from, to, inode) => {
                gone(names, from, *inode);
                names.insert(to.clone(), Node::File(*inode));
            }
        }
    }
}

impl Inode {
    fn append(&mut self, bytes: &[u8]) {
        let from = self.cache.len();
        self.cache.extend_from_slice(bytes);
        self.dirty.extend(from / SECTOR_BYTES..self.cache.len().div_ceil(SECTOR_BYTES));
    }

    /// Makes the file `length` bytes long on the platter, with those dirty sectors that are `kept`. None is dirty then.
    fn write_back(&mut self, length: usize, mut kept: impl FnMut(usize) -> bool) {
        self.platter.resize(length, 0);
        for sector in std::mem::take(&mut self.dirty) {
            let (from, to) = (sector * SECTOR_BYTES, ((sector + 1) * SECTOR_BYTES).min(length));
            if from < to && kept(sector) {
                self.platter[from..to].copy_from_slice(&self.cache[from..to]);
            }
        }
    }

    fn lose_power(&mut self, random: &mut Random) {
        let unsynced = self.cache.len() - self.platter.len();
        let length = match random.below(4) {
            0 => self.platter.len(),
            1 => self.platter.len() + random.below(unsynced as u64 + 1) as usize,
            _ => self.cache.len(),
        };
        match random.below(4) {
            0 => self.write_back(length, |_| false),
            1 => self.write_back(length, |_| true),
            _ => self.write_back(length, |_| random.once_in(2)),
        }
        self.cache = self.platter.clone();
    }

    fn drop_clean_pages(&mut self) {
        let clean = (0..self.platter.len().div_ceil(SECTOR_BYTES)).filter(|sector| !self.dirty.contains(sector));
        for sector in clean {
            let (from, to) = (sector * SECTOR_BYTES, ((sector + 1) * SECTOR_BYTES).min(self.platter.len()));
            self.cache[from..to].copy_from_slice(&self.platter[from..to]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "/d";

    /// A disk with a folder, and in it a file with these bytes, synced as told.
    fn disk(bytes: &[u8], sync: bool, sync_folder: bool) -> (SimDisk, Box<dyn Append>) {
        let disk = SimDisk::default();
        disk.create_folder(Path::new(FOLDER)).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        let mut file = disk.create(&Path::new(FOLDER).join("f")).unwrap();
        file.append(bytes).unwrap();
        if sync {
            file.sync().unwrap();
        }
        if sync_folder {
            disk.sync_folder(Path::new(FOLDER)).unwrap();
        }
        (disk, file)
    }

    fn after_crashes(bytes: &[u8], sync: bool, sync_folder: bool) -> BTreeSet<Option<Vec<u8>>> {
        (0..64).map(|seed| disk(bytes, sync, sync_folder).0.crash(seed).look(&Path::new(FOLDER).join("f"))).collect()
    }

    #[test]
    fn what_was_synced_survives_every_crash_and_what_was_not_may_go_in_any_way() {
        let bytes = vec![7; 3 * SECTOR_BYTES];
        assert_eq!(after_crashes(&bytes, true, true), BTreeSet::from([Some(bytes.clone())]));
        assert_eq!(after_crashes(&bytes, true, false), BTreeSet::from([None, Some(bytes.clone())]));
        let torn = after_crashes(&bytes, false, true);
        let hole = [vec![0; SECTOR_BYTES], vec![7; 2 * SECTOR_BYTES]].concat();
        assert!(torn.contains(&Some(Vec::new())) && torn.contains(&Some(bytes)) && torn.contains(&Some(hole)));
    }

    #[test]
    fn a_sync_that_failed_is_clean_the_next_time_and_its_bytes_are_gone_after_a_crash() {
        let (disk, mut file) = disk(&[7; 100], false, true);
        disk.plan(Plan { fail_at: Some((1, EIO, Form::Lost)), ..Plan::default() });
        assert!(file.sync().is_err());
        assert!(file.sync().is_ok());
        let path = Path::new(FOLDER).join("f");
        assert_eq!(disk.look(&path).unwrap(), [7; 100]);
        assert_eq!(disk.crash(1).look(&path).unwrap(), [0; 100]);
    }
}
