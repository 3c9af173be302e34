//! A disk in memory that loses power: what was not synced survives in part, in any order, torn.

use super::disk::{Disk, DiskFile};
use parking_lot::Mutex;
use runtime::{Rng, SeededRng};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

const SECTOR: usize = 512;

/// A disk in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    files: Vec<Content>,
    faults: Faults,
    /// How many changes there were.
    changes: u64,
    locked: bool,
}

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// The power goes after so many more changes.
    pub(crate) cut_after: Option<u64>,
    /// Bytes the disk can hold.
    pub(crate) capacity: Option<usize>,
    /// Each sync fails.
    pub(crate) sync_fails: bool,
    /// Holes cannot be punched.
    pub(crate) no_holes: bool,
    /// The power is gone.
    dead: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    punched: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Len(len) => to.resize(*len, 0),
            Change::Write(at, data) => {
                if to.len() < at + data.len() {
                    to.resize(at + data.len(), 0);
                }
                to[*at..at + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl State {
    /// A change is about to happen: false if the power goes with it.
    fn step(&mut self) -> io::Result<bool> {
        if self.faults.dead {
            return Err(io::Error::other("no power"));
        }
        self.changes += 1;
        let left = self.faults.cut_after.as_mut().map(|left| {
            *left = left.saturating_sub(1);
            *left
        });
        self.faults.dead = left == Some(0);
        Ok(!self.faults.dead)
    }

    fn room_for(&self, file: usize, len: usize) -> io::Result<()> {
        let used: usize = self.files.iter().map(|content| content.now.len()).sum();
        let more = len.saturating_sub(self.files[file].now.len());
        match self.faults.capacity {
            Some(capacity) if more > 0 && used + more > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn change(&mut self, file: usize, change: Change) -> io::Result<()> {
        let alive = self.step()?;
        let content = &mut self.files[file];
        change.apply(&mut content.now);
        content.pending.push(change);
        if alive { Ok(()) } else { Err(io::Error::other("power lost")) }
    }
}

impl SimDisk {
    pub(crate) fn faults(&self, set: impl FnOnce(&mut Faults)) {
        set(&mut self.state.lock().faults);
    }

    /// Changes and syncs so far.
    pub(crate) fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.lock().faults.dead
    }

    /// The disk as it may be found when the power is back.
    pub(crate) fn after_power_loss(&self, seed: u64) -> SimDisk {
        let rng = SeededRng::new(seed);
        let state = self.state.lock();
        let mut found = State::default();
        let mut names = state.durable_names.clone();
        for (name, file) in &state.names {
            if !names.contains_key(name) && rng.u64().is_multiple_of(2) {
                names.insert(name.clone(), *file);
            }
        }
        names.retain(|name, _| state.names.contains_key(name) || rng.u64().is_multiple_of(2));
        for (name, file) in names {
            let data = state.files[file].survivor(&rng);
            found.files.push(Content { now: data.clone(), durable: data, ..Content::default() });
            found.names.insert(name.clone(), found.files.len() - 1);
            found.durable_names.insert(name, found.files.len() - 1);
        }
        SimDisk { state: Arc::new(Mutex::new(found)) }
    }
}

#[cfg(test)]
impl SimDisk {
    /// The disk as another process finds it after this one was killed: everything written is there.
    pub(crate) fn after_kill(&self) -> SimDisk {
        let state = self.state.lock();
        let names = state.names.clone();
        let found =
            State { durable_names: names.clone(), names, files: state.files.clone(), ..State::default() };
        SimDisk { state: Arc::new(Mutex::new(found)) }
    }

    /// Changes bytes behind the store's back.
    pub(crate) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let file = state.names[name];
        change(&mut state.files[file].now);
        state.files[file].durable = state.files[file].now.clone();
        state.files[file].pending.clear();
    }

    pub(crate) fn len(&self, name: &str) -> usize {
        let state = self.state.lock();
        state.files[state.names[name]].now.len()
    }

    /// Bytes given back by holes, in all files there are.
    pub(crate) fn punched(&self) -> u64 {
        let state = self.state.lock();
        state.names.values().map(|file| state.files[*file].punched).sum()
    }
}

impl Content {
    /// Durable bytes and some of the rest: all of it, nothing, or any sectors of it.
    fn survivor(&self, rng: &SeededRng) -> Vec<u8> {
        let mut data = self.durable.clone();
        let mode = rng.u64() % 4;
        let survives = || match mode {
            0 => true,
            1 => false,
            2 => rng.u64().is_multiple_of(2),
            _ => !rng.u64().is_multiple_of(8),
        };
        for change in &self.pending {
            match change {
                Change::Len(_) if survives() => change.apply(&mut data),
                Change::Len(_) => {}
                Change::Write(at, bytes) => {
                    let mut done = 0;
                    while done < bytes.len() {
                        let sector = (SECTOR - (at + done) % SECTOR).min(bytes.len() - done);
                        if survives() {
                            let part = bytes[done..done + sector].to_vec();
                            Change::Write(at + done, part).apply(&mut data);
                        }
                        done += sector;
                    }
                }
            }
        }
        data
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
}

#[derive(Debug)]
struct SimLock(SimDisk);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.state.lock().locked = false;
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        let file = match state.names.get(name) {
            Some(file) => *file,
            None if create => {
                let room = state.faults.capacity != Some(0);
                if !room {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                state.step()?;
                state.files.push(Content::default());
                let file = state.files.len() - 1;
                state.names.insert(name.to_owned(), file);
                file
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step()?;
        state.names.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step()?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if !state.step()? || state.faults.sync_fails {
            return Err(io::Error::other("sync failed"));
        }
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let taken = std::mem::replace(&mut self.state.lock().locked, true);
        if taken { Ok(None) } else { Ok(Some(Box::new(SimLock(self.clone())))) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state.lock();
        if state.faults.dead {
            return Err(io::Error::other("no power"));
        }
        let data = &state.files[self.file].now;
        let from = (offset as usize).min(data.len());
        let len = out.len().min(data.len() - from);
        out[..len].copy_from_slice(&data[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        if let Err(full) = state.room_for(self.file, offset as usize + data.len()) {
            // A part of it got through.
            let part = data[..data.len() / 2].to_vec();
            if state.room_for(self.file, offset as usize + part.len()).is_ok() {
                state.change(self.file, Change::Write(offset as usize, part))?;
            }
            return Err(full);
        }
        state.change(self.file, Change::Write(offset as usize, data.to_vec()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        if !state.step()? || state.faults.sync_fails {
            return Err(io::Error::other("sync failed"));
        }
        let content = &mut state.files[self.file];
        for change in std::mem::take(&mut content.pending) {
            change.apply(&mut content.durable);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().files[self.file].now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.room_for(self.file, len as usize)?;
        state.change(self.file, Change::Len(len as usize))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<bool> {
        let mut state = self.disk.state.lock();
        if state.faults.no_holes {
            return Ok(false);
        }
        state.files[self.file].punched += len;
        state.change(self.file, Change::Write(offset as usize, vec![0; len as usize]))?;
        Ok(true)
    }
}
