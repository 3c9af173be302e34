//! Spill files: where a body that is still coming in goes beyond a small buffer.

use crate::Error;
use runtime::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// A spill file not written to for so long belongs to a process that is no more.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// A spill file; it goes with this value unless an object store takes it over.
#[derive(Debug)]
pub struct Spill {
    file: File,
    path: PathBuf,
    taken: bool,
}

impl Spill {
    /// A new, empty file in `dir`. Blocks.
    pub fn create(dir: &Path, nonce: u64) -> Result<Self, Error> {
        let path = dir.join(format!("{nonce:016x}.spill"));
        let open = || OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = open().map_err(|e| Error::io("create", &path, e))?;
        Ok(Spill { file, path, taken: false })
    }

    /// Adds bytes at the end. Blocks.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|e| Error::io("write", &self.path, e))
    }

    /// All that was written. Blocks.
    pub fn read_back(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.read_to_end(&mut bytes))
            .map_err(|e| Error::io("read", &self.path, e))?;
        Ok(bytes)
    }

    /// At most `len` bytes from `at` on; fewer only at the end. Blocks.
    pub fn piece(&self, at: u64, len: usize) -> Result<Vec<u8>, Error> {
        let (mut bytes, mut filled) = (vec![0; len], 0);
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.path, error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Makes the bytes durable and renames the file to `target`; the folder is the caller's to sync. Blocks.
    pub fn persist(mut self, target: &Path) -> Result<(), Error> {
        self.file.sync_all().map_err(|e| Error::io("sync", &self.path, e))?;
        fs::rename(&self.path, target).map_err(|e| Error::io("rename", &self.path, e))?;
        self.taken = true;
        Ok(())
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if !self.taken {
            // Best effort: `remove_abandoned` finds what stays behind.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the files in `dir` that a crashed process left. Blocks.
pub(crate) fn remove_abandoned(dir: &Path, now: Timestamp) -> Result<usize, Error> {
    let mut removed = 0;
    for entry in fs::read_dir(dir).map_err(|e| Error::io("list", dir, e))? {
        let entry = entry.map_err(|e| Error::io("list", dir, e))?;
        let written = entry.metadata().and_then(|m| m.modified()).unwrap_or(UNIX_EPOCH);
        let written = written.duration_since(UNIX_EPOCH).unwrap_or_default();
        if now.since(Timestamp::EPOCH) > written + ABANDONED_AFTER && fs::remove_file(entry.path()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::{Clock, SystemClock};

    #[test]
    fn a_spill_file_goes_with_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = Spill::create(dir.path(), 1).unwrap();
        spill.append(b"hello ").unwrap();
        spill.append(b"world").unwrap();
        assert_eq!(spill.read_back().unwrap(), b"hello world");
        assert_eq!(spill.piece(2, 5).unwrap(), b"llo w");
        assert_eq!(spill.piece(8, 5).unwrap(), b"rld");
        assert_eq!(spill.piece(11, 5).unwrap(), b"");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(spill);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_persisted_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = Spill::create(dir.path(), 1).unwrap();
        spill.append(b"kept").unwrap();
        spill.persist(&dir.path().join("target")).unwrap();
        assert_eq!(fs::read(dir.path().join("target")).unwrap(), b"kept");
    }

    #[test]
    fn only_abandoned_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("left.spill"), b"x").unwrap();
        let now = SystemClock::new().now();
        assert_eq!(remove_abandoned(dir.path(), now).unwrap(), 0);
        assert_eq!(remove_abandoned(dir.path(), now + ABANDONED_AFTER * 2).unwrap(), 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
