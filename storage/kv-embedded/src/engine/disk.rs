//! The folder the engine lives in, behind a small trait, so that tests can inject what disks do.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};

/// A folder of files without subfolders.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file for reading and writing; `create` makes it if it is absent.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name, which no other file has.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes creations, removals and renamings durable.
    fn sync_folder(&self) -> io::Result<()>;
    /// Takes the lock that keeps other processes out, until the guard is dropped; `None` if it is taken.
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// A file of a [`Disk`]. Offsets and lengths in bytes.
// Nobody asks whether a file is empty.
#[allow(clippy::len_without_is_empty)]
pub trait DiskFile: Debug + Send + Sync {
    /// Fills `out` from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `data`. After an error any part of it may have been written.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Makes written data durable, and the length where it grew.
    fn sync_data(&self) -> io::Result<()>;
    /// The length.
    fn len(&self) -> io::Result<u64>;
    /// Cuts, or grows with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Grows to `len` with zeros for which space is set aside, where the file system can.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Gives the space of a range back; it reads as zeros then. `false` where the file system cannot.
    fn punch(&self, offset: u64, len: u64) -> io::Result<bool>;
}

/// A folder of the operating system.
#[derive(Debug)]
pub struct OsDisk {
    folder: PathBuf,
}

impl OsDisk {
    /// The folder at `path`, made (durably, readable by this user alone) if it is absent.
    pub fn open(path: &Path) -> io::Result<Self> {
        make_folder(path)?;
        Ok(OsDisk { folder: path.to_path_buf() })
    }
}

/// Makes a folder and those above it, each durably.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_folder(parent)?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::File::open(parent)?.sync_all()
}

impl Disk for OsDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.folder.join(name);
        let file = fs::OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(io::Result::transpose).collect()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn sync_folder(&self) -> io::Result<()> {
        fs::File::open(&self.folder)?.sync_all()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let path = self.folder.join("LOCK");
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[derive(Debug)]
struct OsFile(fs::File);

impl DiskFile for OsFile {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            match self.0.read_at(&mut out[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let have = self.len()?;
        match fallocate(&self.0, FallocateFlags::empty(), have, len.saturating_sub(have).max(1)) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.set_len(len),
            other => Ok(other?),
        }
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<bool> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.0, flags, offset, len) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_grow_shrink_and_lose_their_middle() {
        let folder = tempfile::tempdir().unwrap();
        let disk = OsDisk::open(&folder.path().join("a/new/store")).unwrap();
        let file = disk.open("a", true).unwrap();
        file.allocate(65_536).unwrap();
        assert_eq!(file.len().unwrap(), 65_536);
        file.write_at(&[7; 20_000], 100).unwrap();
        file.sync_data().unwrap();
        if file.punch(4096, 8192).unwrap() {
            let mut out = [1; 8192];
            assert_eq!(file.read_at(&mut out, 4096).unwrap(), 8192);
            assert!(out.iter().all(|byte| *byte == 0));
        }
        file.set_len(50).unwrap();
        assert_eq!(file.read_at(&mut [0; 100], 10).unwrap(), 40);
        assert_eq!(disk.list().unwrap(), vec!["a"]);
        disk.rename("a", "b").unwrap();
        assert!(disk.open("a", false).is_err());
        disk.remove("b").unwrap();
        disk.sync_folder().unwrap();
        assert!(disk.open("b", false).is_err());
    }

    #[test]
    fn the_lock_is_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (OsDisk::open(folder.path()).unwrap(), OsDisk::open(folder.path()).unwrap());
        let held = one.lock().unwrap();
        assert!(held.is_some());
        assert!(two.lock().unwrap().is_none());
        drop(held);
        assert!(two.lock().unwrap().is_some());
    }
}
