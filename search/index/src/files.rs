//! Immutable files behind Tantivy's `Directory`: read by ranges from wherever they lie, a bounded part of them kept.

use std::cell::RefCell;
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

/// Bytes that are read and kept together, where a source says nothing else.
const BLOCK: usize = 64 * 1024;

/// Where files lie. Calls block: who reads from a network does it on a thread for that.
pub trait Source: Send + Sync + 'static {
    /// A range of a file that is at least that long.
    ///
    /// # Errors
    /// What the place says.
    fn read(&self, name: &str, range: Range<usize>) -> io::Result<OwnedBytes>;

    /// In what pieces a file is best read.
    fn grid(&self, _name: &str) -> Grid {
        Grid::default()
    }

    /// Whether reading costs nothing, so that nothing need be kept.
    fn is_memory(&self) -> bool {
        false
    }
}

/// Pieces of a file that are read and kept together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Bytes of each but the first and the last.
    pub piece: usize,
    /// By so many bytes the first one is shorter.
    pub before: usize,
}

impl Default for Grid {
    fn default() -> Self {
        Grid { piece: BLOCK, before: 0 }
    }
}

impl Grid {
    /// The piece in which a byte is.
    fn of(self, at: usize) -> usize {
        (at + self.before) / self.piece.max(1)
    }

    /// Where a piece of a file of that length is.
    fn range(self, piece: usize, length: usize) -> Range<usize> {
        let begin = (piece * self.piece).saturating_sub(self.before);
        begin..length.min(((piece + 1) * self.piece).saturating_sub(self.before))
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
        let grid = self.0.source.grid(name);
        Ok(Arc::new(Handle { files: self.clone(), name: Arc::from(name), length: *length, grid }))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("files", &self.0.lengths.len()).finish()
    }
}

/// Pieces that a thread keeps at hand.
const AT_HAND: usize = 32;

thread_local! {
    /// What the thread has read last, as long as something is at hand for it.
    static PIECES: RefCell<Vec<Option<Piece>>> = const { RefCell::new(Vec::new()) };
}

struct Piece {
    name: Arc<str>,
    at: usize,
    bytes: OwnedBytes,
}

/// While it lives, the thread keeps the last pieces it read: a look into the cache costs more than to read a short list.
pub(crate) struct AtHand(());

impl AtHand {
    pub(crate) fn begin() -> AtHand {
        PIECES.with_borrow_mut(|pieces| pieces.resize_with(AT_HAND, || None));
        AtHand(())
    }
}

impl Drop for AtHand {
    fn drop(&mut self) {
        PIECES.with_borrow_mut(Vec::clear);
    }
}

/// One file.
struct Handle {
    files: Files,
    name: Arc<str>,
    length: usize,
    grid: Grid,
}

impl Handle {
    fn piece(&self, at: usize) -> io::Result<OwnedBytes> {
        let place = (Arc::as_ptr(&self.name).addr() / 16).wrapping_add(at) % AT_HAND;
        let is_it = |piece: &&Piece| piece.at == at && Arc::ptr_eq(&piece.name, &self.name);
        let held = PIECES.with_borrow(|pieces| {
            let piece = pieces.get(place).and_then(Option::as_ref).filter(is_it);
            piece.map(|piece| piece.bytes.clone())
        });
        if let Some(bytes) = held {
            return Ok(bytes);
        }
        let bytes = self.cached(at)?;
        PIECES.with_borrow_mut(|pieces| {
            if let Some(held) = pieces.get_mut(place) {
                *held = Some(Piece { name: Arc::clone(&self.name), at, bytes: bytes.clone() });
            }
        });
        Ok(bytes)
    }

    fn cached(&self, at: usize) -> io::Result<OwnedBytes> {
        let inner = &self.files.0;
        let key = (Arc::clone(&self.name), at);
        let read = || {
            let range = self.grid.range(at, self.length);
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
        let (first, last) = (self.grid.of(range.start), self.grid.of(range.end - 1));
        if first == last {
            let from = self.grid.range(first, self.length).start;
            return Ok(self.piece(first)?.slice(range.start - from..range.end - from));
        }
        let mut out = Vec::with_capacity(range.len());
        for at in first..=last {
            let (bytes, whole) = (self.piece(at)?, self.grid.range(at, self.length));
            let from = range.start.saturating_sub(whole.start);
            out.extend_from_slice(&bytes[from..bytes.len().min(range.end - whole.start)]);
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
    struct Far(Arc<AtomicUsize>, Grid);

    impl Source for Far {
        fn read(&self, _name: &str, range: Range<usize>) -> io::Result<OwnedBytes> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(OwnedBytes::new(range.map(|at| (at % 251) as u8).collect::<Vec<_>>()))
        }

        fn grid(&self, _name: &str) -> Grid {
            self.1
        }
    }

    #[test]
    fn what_is_at_hand_is_not_looked_for_again() {
        let reads = Arc::new(AtomicUsize::new(0));
        let lengths = ["a", "b"].map(|name| (name.to_owned(), 100 * BLOCK));
        let far = Far(Arc::clone(&reads), Grid::default());
        // Nothing stays in this cache.
        let files = Files::new(Arc::new(far), HashMap::from(lengths), Vec::new(), cache(0));
        let (a, b) = (files.handle(Path::new("a")).unwrap(), files.handle(Path::new("b")).unwrap());
        let read_all = || {
            for at in [0, 1, 0, 1, 40, 72, 40, 0].map(|piece| piece * BLOCK) {
                for handle in [&a, &b] {
                    let expected: Vec<u8> = (at..at + 9).map(|at| (at % 251) as u8).collect();
                    assert_eq!(handle.read_bytes(at..at + 9).unwrap().as_slice(), expected);
                }
            }
            reads.swap(0, Ordering::Relaxed)
        };
        assert_eq!(read_all(), 16);
        let at_hand = AtHand::begin();
        assert!(read_all() < 16);
        drop(at_hand);
        assert_eq!(read_all(), 16, "it is kept no longer");
    }

    #[test]
    fn ranges_over_pieces_are_read_once() {
        for (before, pieces) in [(0, 4), (1, 4), (BLOCK - 7, 4), (BLOCK - 6, 5), (BLOCK - 1, 5)] {
            let reads = Arc::new(AtomicUsize::new(0));
            let lengths = HashMap::from([("a".to_owned(), 3 * BLOCK + 7)]);
            let far = Far(Arc::clone(&reads), Grid { piece: BLOCK, before });
            let files = Files::new(Arc::new(far), lengths, Vec::new(), cache(1 << 20));
            let handle = files.handle(Path::new("a")).unwrap();
            let end = 3 * BLOCK + 7;
            for range in [0..10, 100..BLOCK, BLOCK - 3..2 * BLOCK + 3, 3 * BLOCK..end, 5..5, 0..end] {
                let expected: Vec<u8> = range.clone().map(|at| (at % 251) as u8).collect();
                assert_eq!(handle.read_bytes(range).unwrap().as_slice(), expected);
            }
            assert_eq!(reads.load(Ordering::Relaxed), pieces, "{before} bytes before it");
            assert!(handle.read_bytes(0..4 * BLOCK).is_err());
            assert!(files.handle(Path::new("b")).is_err());
        }
    }
}
