//! A simulated disk that forgets, tears and fails, for tests of everything that must survive a crash.
//!
//! A [`SimDisk`] keeps two pictures of each file: what a reader sees, and what is on the platter. A write changes the first;
//! a sync carries it to the second. At a power cut each 512-byte sector of each unsynced write reached the platter or did
//! not, and unsynced changes of the directory happened or did not; a random generator with a printed seed decides. A
//! failed sync does the worst that real kernels do: some of the writes reached the platter, the others never will, the
//! readers' picture shows them all, and the next sync succeeds.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::storage::{LogFile, LogStorage};

const SECTOR: usize = 512;

/// What happens to a storage call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with an input/output error. A write may have written any part, a sync synced any part, a change
    /// of the directory may have happened.
    Error,
    /// The call fails because the disk is full. A write has written a part.
    NoSpace,
    /// The power goes: this call and all later ones fail until [`SimDisk::power_on`].
    PowerCut,
}

/// A disk of flat files in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<Disk>>);

/// The disk as one process uses it, until it is killed or the power goes.
struct SimProcess {
    disk: Arc<Mutex<Disk>>,
    epoch: u64,
}

#[derive(Default)]
struct Disk {
    random: u64,
    calls: u64,
    // From the first call on, up to but not including the second, calls suffer the fault.
    faults: Vec<(u64, u64, Fault)>,
    off: bool,
    // Grows when the power comes back or the process dies; handles of an earlier epoch are dead.
    epoch: u64,
    files: Vec<Inode>,
    visible: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    unsynced: Vec<DirChange>,
}

#[derive(Default)]
struct Inode {
    visible: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

enum DirChange {
    Link(String, usize),
    Unlink(String),
    Rename(String, String, usize),
}

impl SimDisk {
    /// An empty disk whose accidents follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.0.lock().random = seed;
        disk
    }

    /// The storage of a new process. It stops working when [`SimDisk::kill`] or [`SimDisk::power_on`] ends the process.
    pub fn process(&self) -> Arc<dyn LogStorage> {
        let epoch = self.0.lock().epoch;
        Arc::new(SimProcess { disk: self.0.clone(), epoch })
    }

    /// How many calls the disk has had.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// Makes `count` calls fail, beginning with the one that has the number `from` (the first ever is 0).
    pub fn fail(&self, from: u64, count: u64, fault: Fault) {
        self.0.lock().faults.push((from, from.saturating_add(count), fault));
    }

    /// Forgets all faults that were ordered.
    pub fn heal(&self) {
        self.0.lock().faults.clear();
    }

    /// Ends the process that used the disk: its handles are dead, everything it wrote can be read.
    pub fn kill(&self) {
        let mut disk = self.0.lock();
        disk.epoch += 1;
        disk.off = false;
    }

    /// Cuts the power and turns it on again: what was not synced is lost, torn or there.
    pub fn power_on(&self) {
        let mut disk = self.0.lock();
        disk.epoch += 1;
        disk.off = false;
        disk.lose_unsynced();
    }

    /// The names of the files that a reader sees.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().visible.keys().cloned().collect()
    }

    /// The bytes of a file as a reader sees them.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.0.lock();
        disk.visible.get(name).map(|inode| disk.files[*inode].visible.clone())
    }

    /// Sets the bytes of a file, on the platter too: damage that nobody wrote.
    pub fn damage(&self, name: &str, bytes: Vec<u8>) {
        let mut disk = self.0.lock();
        let Some(inode) = disk.visible.get(name).copied() else { return };
        disk.files[inode] = Inode { visible: bytes.clone(), durable: bytes, unsynced: Vec::new() };
    }

    /// Takes a file away, on the platter too.
    pub fn lose(&self, name: &str) {
        let mut disk = self.0.lock();
        disk.visible.remove(name);
        disk.durable.remove(name);
    }
}

impl Disk {
    fn random(&mut self) -> u64 {
        // splitmix64: small, and good enough to choose accidents.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Counts a call and decides its fate.
    fn call(&mut self, epoch: u64) -> Result<(), (Fault, io::Error)> {
        let power = || (Fault::PowerCut, io::Error::other("the power is off"));
        if self.off || epoch != self.epoch {
            return Err(power());
        }
        let call = self.calls;
        self.calls += 1;
        match self.faults.iter().find(|(from, to, _)| (*from..*to).contains(&call)) {
            None => Ok(()),
            Some((_, _, Fault::PowerCut)) => {
                self.off = true;
                Err(power())
            }
            Some((_, _, Fault::NoSpace)) => Err((Fault::NoSpace, io::ErrorKind::StorageFull.into())),
            Some((_, _, Fault::Error)) => Err((Fault::Error, io::Error::other("input/output error"))),
        }
    }

    /// Counts a call that changes the directory. The outer error means that it did not happen; the inner one is told to
    /// the caller although it did.
    fn dir_change(&mut self, epoch: u64) -> io::Result<io::Result<()>> {
        match self.call(epoch) {
            Ok(()) => Ok(Ok(())),
            Err((Fault::Error, error)) if self.random().is_multiple_of(2) => Ok(Err(error)),
            Err((_, error)) => Err(error),
        }
    }

    fn lose_unsynced(&mut self) {
        for inode in 0..self.files.len() {
            self.reach_platter(inode);
            let file = &mut self.files[inode];
            file.visible.clone_from(&file.durable);
        }
        // A journal keeps the order of changes of a directory; other file systems do not. Both happen.
        let changes = std::mem::take(&mut self.unsynced);
        let (in_order, keep) = (self.random().is_multiple_of(2), self.random() as usize % (changes.len() + 1));
        for (index, change) in changes.into_iter().enumerate() {
            let happened = if in_order { index < keep } else { self.random().is_multiple_of(2) };
            if happened {
                change.apply(&mut self.durable);
            }
        }
        self.visible.clone_from(&self.durable);
    }

    /// Carries a random part of a file's unsynced changes to the platter and forgets the rest.
    fn reach_platter(&mut self, inode: usize) {
        let changes = std::mem::take(&mut self.files[inode].unsynced);
        // Nothing, everything, some of the sectors, or the changes before some moment.
        let mood = self.random() % 4;
        let moment = self.random() as usize % (changes.len() + 1);
        for (index, change) in changes.into_iter().enumerate() {
            let whole = mood == 1 || (mood == 3 && index < moment);
            match change {
                Change::Truncate(len) if whole || (mood == 2 && self.random().is_multiple_of(2)) => {
                    self.files[inode].durable.truncate(len);
                }
                Change::Truncate(_) => {}
                Change::Write(offset, bytes) => {
                    let mut at = 0;
                    while at < bytes.len() {
                        let sector = (SECTOR - (offset + at) % SECTOR).min(bytes.len() - at);
                        if whole || (mood == 2 && self.random().is_multiple_of(2)) {
                            overwrite(&mut self.files[inode].durable, offset + at, &bytes[at..at + sector]);
                        }
                        at += sector;
                    }
                }
            }
        }
    }
}

fn overwrite(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl DirChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link(name, inode) => {
                names.insert(name, inode);
            }
            Self::Unlink(name) => {
                names.remove(&name);
            }
            Self::Rename(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
        }
    }
}

impl LogStorage for SimProcess {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut disk = self.disk.lock();
        disk.call(self.epoch).map_err(|(_, error)| error)?;
        Ok(disk.visible.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut disk = self.disk.lock();
        disk.call(self.epoch).map_err(|(_, error)| error)?;
        let inode = match disk.visible.get(name).copied() {
            Some(inode) => {
                disk.files[inode].visible.clear();
                disk.files[inode].unsynced.push(Change::Truncate(0));
                inode
            }
            None => {
                disk.files.push(Inode::default());
                disk.files.len() - 1
            }
        };
        disk.visible.insert(name.to_owned(), inode);
        disk.unsynced.push(DirChange::Link(name.to_owned(), inode));
        Ok(Arc::new(SimFile { disk: self.disk.clone(), inode, epoch: self.epoch }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut disk = self.disk.lock();
        disk.call(self.epoch).map_err(|(_, error)| error)?;
        let inode = *disk.visible.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.disk.clone(), inode, epoch: self.epoch }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let outcome = disk.dir_change(self.epoch)?;
        let inode = disk.visible.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.visible.insert(to.to_owned(), inode);
        disk.unsynced.push(DirChange::Rename(from.to_owned(), to.to_owned(), inode));
        outcome
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let outcome = disk.dir_change(self.epoch)?;
        disk.visible.remove(name).ok_or(io::ErrorKind::NotFound)?;
        disk.unsynced.push(DirChange::Unlink(name.to_owned()));
        outcome
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.call(self.epoch).map_err(|(_, error)| error)?;
        let changes = std::mem::take(&mut disk.unsynced);
        for change in changes {
            change.apply(&mut disk.durable);
        }
        Ok(())
    }
}

struct SimFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
    epoch: u64,
}

impl LogFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let mut disk = self.disk.lock();
        disk.call(self.epoch).map_err(|(_, error)| error)?;
        Ok(disk.files[self.inode].visible.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut disk = self.disk.lock();
        disk.call(self.epoch).map_err(|(_, error)| error)?;
        let file = &disk.files[self.inode].visible;
        let from = (offset as usize).min(file.len());
        let len = buffer.len().min(file.len() - from);
        buffer[..len].copy_from_slice(&file[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let dead = disk.off || disk.epoch != self.epoch;
        let outcome = disk.call(self.epoch);
        if outcome.is_err() {
            if dead {
                return outcome.map_err(|(_, error)| error);
            }
            // A write that fails has written the part before some byte.
            let written = disk.random() as usize % (bytes.len() + 1);
            bytes.truncate(written);
        }
        let file = &mut disk.files[self.inode];
        overwrite(&mut file.visible, offset as usize, &bytes);
        file.unsynced.push(Change::Write(offset as usize, bytes));
        outcome.map_err(|(_, error)| error)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.call(self.epoch).map_err(|(_, error)| error)?;
        let file = &mut disk.files[self.inode];
        file.visible.resize(size as usize, 0);
        file.unsynced.push(Change::Truncate(size as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let outcome = disk.call(self.epoch);
        if let Err((fault, error)) = outcome {
            if fault != Fault::PowerCut {
                disk.reach_platter(self.inode);
            }
            return Err(error);
        }
        let file = &mut disk.files[self.inode];
        for change in std::mem::take(&mut file.unsynced) {
            match change {
                Change::Write(offset, bytes) => overwrite(&mut file.durable, offset, &bytes),
                Change::Truncate(len) => file.durable.truncate(len),
            }
        }
        Ok(())
    }
}
