//! The files of the log, and reading large values from them.

use super::disk::{Disk, DiskFile};
use super::group::segment_header;
use super::value::{Pointer, expand};
use crate::Error;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Open files kept for reading.
const OPEN_FILES: usize = 64;

/// All segments of a store.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) disk: Arc<dyn Disk>,
    /// The store's random id.
    pub(crate) store: u64,
    open: Mutex<BTreeMap<u64, Arc<dyn DiskFile>>>,
}

/// A segment's file name.
pub(crate) fn name(number: u64) -> String {
    format!("log-{number:016x}")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?;
    u64::from_str_radix(digits, 16).ok().filter(|number| self::name(*number) == name)
}

/// Numbers of all segments on `disk`, ascending.
pub(crate) fn list(disk: &dyn Disk) -> Result<Vec<u64>, Error> {
    let names = disk.list().map_err(Error::io("list the store's folder"))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, store: u64) -> Self {
        Segments { disk, store, open: Mutex::default() }
    }

    /// Numbers of all segments, ascending.
    pub(crate) fn list(&self) -> Result<Vec<u64>, Error> {
        list(&*self.disk)
    }

    /// The file of a segment.
    pub(crate) fn file(&self, number: u64) -> Result<Arc<dyn DiskFile>, Error> {
        if let Some(file) = self.open.lock().get(&number) {
            return Ok(file.clone());
        }
        let file = self.disk.open(&name(number), false).map_err(Error::io("open a log segment"))?;
        self.keep_open(number, &file);
        Ok(file)
    }

    fn keep_open(&self, number: u64, file: &Arc<dyn DiskFile>) {
        let mut open = self.open.lock();
        if open.len() >= OPEN_FILES {
            open.pop_first();
        }
        open.insert(number, file.clone());
    }

    /// Begins a segment: its header and its name are durable on return.
    pub(crate) fn create(&self, number: u64) -> Result<Arc<dyn DiskFile>, Error> {
        let file = self.disk.open(&name(number), true).map_err(Error::io("begin a log segment"))?;
        let begun = file
            .set_len(0)
            .and_then(|()| file.write_at(&segment_header(self.store, number), 0))
            .map_err(Error::io("begin a log segment"));
        if let Err(error) = begun {
            // Left behind it would do no harm: opening makes a segment without groups anew.
            let _ = self.disk.remove(&name(number));
            return Err(error);
        }
        let synced = file.sync_data().and_then(|()| self.disk.sync_folder());
        synced.map_err(|error| Error::Io { what: "fsync of a new log segment", error: Arc::new(error) })?;
        self.keep_open(number, &file);
        Ok(file)
    }

    /// Removes a segment; the removal need not be durable.
    pub(crate) fn remove(&self, number: u64) -> Result<(), Error> {
        self.open.lock().remove(&number);
        self.disk.remove(&name(number)).map_err(Error::io("remove a log segment"))
    }

    /// The value at `pointer`.
    pub(crate) fn read(&self, pointer: &Pointer) -> Result<Bytes, Error> {
        let stored = self.read_stored(pointer)?;
        expand(stored, pointer.raw_len as usize).ok_or_else(|| damaged(pointer, "value does not expand"))
    }

    /// The bytes at `pointer` as they were stored.
    pub(crate) fn read_stored(&self, pointer: &Pointer) -> Result<Bytes, Error> {
        let file = self.file(pointer.segment)?;
        let mut stored = vec![0; pointer.len as usize];
        let read = file.read_at(&mut stored, u64::from(pointer.offset)).map_err(Error::io("read a value"))?;
        if read < stored.len() || crc32fast::hash(&stored) != pointer.crc {
            return Err(damaged(pointer, "value fails its checksum"));
        }
        Ok(stored.into())
    }
}

fn damaged(pointer: &Pointer, what: &'static str) -> Error {
    Error::Corrupt { file: name(pointer.segment), offset: u64::from(pointer.offset), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_segments() {
        assert_eq!(number(&name(0x1F)), Some(0x1F));
        for other in ["index", "LOCK", "log-", "log-1f", "log-000000000000001F", "log-+00000000000001f"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
