//! Immutable files behind Tantivy's `Directory`: read by ranges from wherever they lie, a bounded part of them kept.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use moka::sync::Cache;
use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, WatchCallback, WatchHandle, WritePtr,
};

/// Bytes that are read and kept together.
const BLOCK: usize = 64 * 1024;

/// Where files lie. Calls block: who reads from a network does it on a thread for that.
pub trait Source: Send + Sync + 'static {
    /// A range of a file that is at least that long.
    ///
    /// # Errors
    /// What the place says.
    fn read(&self, name: &str, range: Range<usize>) -> io::Result<OwnedBytes>;

    /// Whether reading costs nothing, so that nothing need be kept.
    fn is_memory(&self) -> bool {
        false
    }
}

/// Files in memory.
#[derive(Default)]
pub struct Memory(HashMap<String, OwnedBytes>);

impl Memory {
    /// Adds files.
    pub fn add(&mut self, files: Vec<(String, Vec<u8>)>) {
        self.0.extend(files.into_iter().map(|(name, bytes)| (name, OwnedBytes::new(bytes))));
    }
}

impl Source for Memory {
    fn read(&self, name: &str, range: Range<usize>) -> io::Result<OwnedBytes> {
        let file = self.0.get(name).filter(|file| range.end <= file.len());
        file.map(|file| file.slice(range)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_memory(&self) -> bool {
        true
    }
}

/// The files of a manifest, for reading.
#[derive(Clone)]
pub(crate) struct Files(Arc<Inner>);

struct Inner {
    source: Arc<dyn Source>,
    lengths: HashMap<String, usize>,
    /// Tantivy's list of segments, which is no file of ours.
    meta: Vec<u8>,
    cache: Cache<(Arc<str>, usize), OwnedBytes>,
}

/// A part of what was read before, shared by readers of one node, at most this many bytes.
pub(crate) fn cache(most: u64) -> Cache<(Arc<str>, usize), OwnedBytes> {
    let weigh = |_: &(Arc<str>, usize), block: &OwnedBytes| u32::try_from(block.len()).unwrap_or(u32::MAX);
    Cache::builder().max_capacity(most).weigher(weigh).build()
}

impl Files {
    pub(crate) fn new(
        source: Arc<dyn Source>,
        lengths: HashMap<String, usize>,
        meta: Vec<u8>,
        cache: Cache<(Arc<str>, usize), OwnedBytes>,
    ) -> Files {
        Files(Arc::new(Inner { source, lengths, meta, cache }))
    }

    pub(crate) fn handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let name = path.to_str().unwrap_or_default();
        let length =
            self.0.lengths.get(name).ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        Ok(Arc::new(Handle { files: self.clone(), name: Arc::from(name), length: *length }))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("files", &self.0.lengths.len()).finish()
    }
}

/// One file.
struct Handle {
    files: Files,
    name: Arc<str>,
    length: usize,
}

impl Handle {
    fn block(&self, at: usize) -> io::Result<OwnedBytes> {
        let inner = &self.files.0;
        let key = (Arc::clone(&self.name), at);
        let read = || {
            let range = at * BLOCK..self.length.min((at + 1) * BLOCK);
            let wanted = range.len();
            let bytes = inner.source.read(&self.name, range)?;
            if bytes.len() == wanted { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        };
        inner
            .cache
            .try_get_with(key, read)
            .map_err(|error: Arc<io::Error>| io::Error::new(error.kind(), error.to_string()))
    }
}

impl HasLen for Handle {
    fn len(&self) -> usize {
        self.length
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.length)
    }
}

impl FileHandle for Handle {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        if range.start > range.end || range.end > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.files.0.source.is_memory() {
            return self.files.0.source.read(&self.name, range);
        }
        if range.is_empty() {
            return Ok(OwnedBytes::empty());
        }
        let (first, last) = (range.start / BLOCK, (range.end - 1) / BLOCK);
        if first == last {
            let from = first * BLOCK;
            return Ok(self.block(first)?.slice(range.start - from..range.end - from));
        }
        let mut out = Vec::with_capacity(range.len());
        for at in first..=last {
            let block = self.block(at)?;
            let from = range.start.saturating_sub(at * BLOCK);
            out.extend_from_slice(&block[from..block.len().min(range.end - at * BLOCK)]);
        }
        Ok(OwnedBytes::new(out))
    }
}

const META: &str = "meta.json";

impl Directory for Files {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        let known = path.to_str().is_some_and(|name| self.0.lengths.contains_key(name));
        Ok(known || path == Path::new(META))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if path == Path::new(META) {
            return Ok(self.0.meta.clone());
        }
        Err(OpenReadError::FileDoesNotExist(PathBuf::from(path)))
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    /// Files never change, so there is nothing to lock.
    fn acquire_lock(&self, _lock: &Lock) -> Result<DirectoryLock, LockError> {
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "files of an index do not change")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Numbers as bytes, with a count of reads.
    struct Far(Arc<AtomicUsize>);

    impl Source for Far {
        fn read(&self, _name: &str, range: Range<usize>) -> io::Result<OwnedBytes> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(OwnedBytes::new(range.map(|at| (at % 251) as u8).collect::<Vec<_>>()))
        }
    }

    #[test]
    fn ranges_over_blocks_are_read_once() {
        let reads = Arc::new(AtomicUsize::new(0));
        let lengths = HashMap::from([("a".to_owned(), 3 * BLOCK + 7)]);
        let files = Files::new(Arc::new(Far(Arc::clone(&reads))), lengths, Vec::new(), cache(1 << 20));
        let handle = files.handle(Path::new("a")).unwrap();
        for range in [0..10, 100..BLOCK, BLOCK - 3..2 * BLOCK + 3, 3 * BLOCK..3 * BLOCK + 7, 5..5] {
            let expected: Vec<u8> = range.clone().map(|at| (at % 251) as u8).collect();
            assert_eq!(handle.read_bytes(range).unwrap().as_slice(), expected);
        }
        assert_eq!(reads.load(Ordering::Relaxed), 4);
        assert!(handle.read_bytes(0..4 * BLOCK).is_err());
        assert!(files.handle(Path::new("b")).is_err());
    }
}
