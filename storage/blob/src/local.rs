//! Objects as local files: `blobs/ab/cd/abcd…-staged-nonce`.
//!
//! An object is durable once its bytes, its name and the folders above it are: write, fsync, rename, fsync of
//! the folder. All file work runs off the async workers.

use crate::error::blocking;
use crate::{Error, ObjectName, Objects, Pending, Spill};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Objects in a folder of this machine.
#[derive(Clone, Debug)]
pub(crate) struct LocalObjects {
    root: PathBuf,
    spill: PathBuf,
    /// Folders whose own entries are known to be durable.
    durable: Arc<Mutex<HashSet<PathBuf>>>,
}

impl LocalObjects {
    /// Objects under `root`; bytes that come from memory are written to `spill` first, which must be on the same
    /// file system.
    pub(crate) fn new(root: PathBuf, spill: PathBuf) -> Self {
        LocalObjects { root, spill, durable: Arc::default() }
    }

    fn folder(&self, name: &ObjectName) -> PathBuf {
        let [first, second, ..] = name.hash.0;
        self.root.join(format!("{first:02x}")).join(format!("{second:02x}"))
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.folder(name).join(name.to_string())
    }

    fn put_blocking(&self, name: &ObjectName, bytes: Pending) -> Result<(), Error> {
        let spill = match bytes {
            Pending::Spilled(spill) => spill,
            Pending::Memory(bytes) => {
                let mut spill = Spill::create(&self.spill, name.nonce)?;
                spill.append(&bytes)?;
                spill
            }
        };
        let folder = self.folder(name);
        self.make_durable(&folder)?;
        spill.persist(&folder.join(name.to_string()))?;
        sync_folder(&folder)
    }

    /// Creates `folder` and makes its entry, and those above it up to the root, durable: once per process, since
    /// another one may have created it and crashed before its fsync.
    fn make_durable(&self, folder: &Path) -> Result<(), Error> {
        if self.durable.lock().contains(folder) {
            return Ok(());
        }
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        for above in folder.ancestors().skip(1) {
            sync_folder(above)?;
            if above == self.root {
                break;
            }
        }
        self.durable.lock().insert(folder.to_owned());
        Ok(())
    }

    fn list_blocking(&self, shard: u8) -> Result<Vec<ObjectName>, Error> {
        let mut names = Vec::new();
        for folder in entries(&self.root.join(format!("{shard:02x}")))? {
            for file in entries(&folder)? {
                names.extend(
                    file.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<ObjectName>().ok()),
                );
            }
        }
        Ok(names)
    }
}

impl Objects for LocalObjects {
    fn put<'a>(&'a self, name: &'a ObjectName, bytes: Pending) -> BoxFuture<'a, Result<(), Error>> {
        let (this, name) = (self.clone(), *name);
        Box::pin(blocking(move || this.put_blocking(&name, bytes)))
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, Error>> {
        let path = self.path(name);
        Box::pin(blocking(move || read_range(&path, range)))
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), Error>> {
        let path = self.path(name);
        Box::pin(blocking(move || match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("delete", &path, e)),
            _ => Ok(()),
        }))
    }

    fn list(&self, shard: u8) -> BoxFuture<'_, Result<Vec<ObjectName>, Error>> {
        let this = self.clone();
        Box::pin(blocking(move || this.list_blocking(shard)))
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync", folder, e))
}

/// What is in a folder; nothing if there is no such folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let listed = fs::read_dir(folder).and_then(|all| all.map(|e| e.map(|e| e.path())).collect());
    match listed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|e| Error::io("list", folder, e)),
    }
}

fn read_range(path: &Path, range: Range<u64>) -> Result<Bytes, Error> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    file.read_exact_at(&mut bytes, range.start).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::Timestamp;
    use schema::BlobHash;

    fn local(dir: &Path) -> LocalObjects {
        fs::create_dir_all(dir.join("spill")).unwrap();
        fs::create_dir_all(dir.join("blobs")).unwrap();
        LocalObjects::new(dir.join("blobs"), dir.join("spill"))
    }

    fn name(nonce: u64) -> ObjectName {
        ObjectName { hash: BlobHash([0xcd; 32]), staged: Timestamp(5), nonce }
    }

    #[tokio::test]
    async fn an_object_is_put_read_listed_and_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let objects = local(dir.path());
        objects.put(&name(1), Pending::Memory(Bytes::from_static(b"0123456789"))).await.unwrap();
        assert!(dir.path().join("blobs/cd/cd").join(name(1).to_string()).exists());
        assert_eq!(objects.get(&name(1), 2..5).await.unwrap(), "234");
        assert!(objects.get(&name(1), 8..11).await.is_err(), "a short read is an error");
        assert!(objects.get(&name(2), 0..1).await.unwrap_err().is_absent());
        assert_eq!(objects.list(0xcd).await.unwrap(), [name(1)]);
        assert_eq!(objects.list(0xce).await.unwrap(), []);
        objects.delete(&name(1)).await.unwrap();
        objects.delete(&name(1)).await.unwrap();
        assert_eq!(objects.list(0xcd).await.unwrap(), []);
        assert_eq!(fs::read_dir(dir.path().join("spill")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_spill_file_becomes_the_object_itself() {
        let dir = tempfile::tempdir().unwrap();
        let objects = local(dir.path());
        let mut spill = Spill::create(&dir.path().join("spill"), 9).unwrap();
        spill.append(b"spilled").unwrap();
        objects.put(&name(3), Pending::Spilled(spill)).await.unwrap();
        assert_eq!(objects.get(&name(3), 0..7).await.unwrap(), "spilled");
        assert_eq!(fs::read_dir(dir.path().join("spill")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn foreign_files_are_not_objects() {
        let dir = tempfile::tempdir().unwrap();
        let objects = local(dir.path());
        fs::create_dir_all(dir.path().join("blobs/cd/cd")).unwrap();
        fs::write(dir.path().join("blobs/cd/cd/README"), b"").unwrap();
        assert_eq!(objects.list(0xcd).await.unwrap(), []);
    }
}
