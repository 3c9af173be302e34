//! Published files as the index reads them: by ranges, out of bodies.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use index::{Grid, OwnedBytes, SegmentEntry, Source};
use schema::BlobHash;
use schema::keys::blob::CHUNK;
use segments::{Body, File, Manifest, Segment};
use tokio::runtime::Handle;

use crate::Error;

/// How long one read of a file may take: behind it a scan waits.
const READ: Duration = Duration::from_secs(2);

/// The files of a manifest.
pub(crate) struct Published {
    blobs: blob::Store,
    runtime: Handle,
    /// Where each file lies.
    places: HashMap<String, (BlobHash, u64)>,
    damaged: Arc<AtomicBool>,
}

impl Published {
    pub(crate) fn new(blobs: &blob::Store, manifest: &Manifest) -> Result<Published, Error> {
        let damaged = |error: schema::RecordError| Error::Damaged(error.to_string());
        let mut places = HashMap::new();
        for segment in &manifest.segments {
            let id = digits(&segment.id);
            for body in &segment.bodies {
                let (hash, mut at) = (body.hash().map_err(damaged)?, 0);
                for file in &body.files {
                    places.insert(format!("{id}{}", file.suffix), (hash, at));
                    at += file.length;
                }
            }
        }
        let (blobs, runtime) = (blobs.clone(), Handle::current());
        Ok(Published { blobs, runtime, places, damaged: Arc::default() })
    }

    /// Set once a file was read that is not what was published.
    pub(crate) fn damage(&self) -> Damage {
        Damage(Arc::clone(&self.damaged))
    }
}

impl Source for Published {
    /// As bodies are laid down: another piece would be read and checked with two of theirs.
    fn grid(&self, name: &str) -> Grid {
        let at = self.places.get(name).map_or(0, |(_, at)| *at);
        Grid { piece: CHUNK, before: (at % CHUNK as u64) as usize }
    }

    /// Called off the async threads only.
    fn read(&self, name: &str, range: Range<usize>) -> io::Result<OwnedBytes> {
        let (hash, at) = self.places.get(name).ok_or(io::ErrorKind::NotFound)?;
        let range = at + range.start as u64..at + range.end as u64;
        let read = async { tokio::time::timeout(READ, self.blobs.read(*hash, range)).await };
        match self.runtime.block_on(read) {
            Ok(Ok(bytes)) => Ok(OwnedBytes::new(bytes.to_vec())),
            Ok(Err(error)) => {
                if is_damage(&error) {
                    self.damaged.store(true, Ordering::Relaxed);
                }
                Err(io::Error::other(error.to_string()))
            }
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Whether a body is not what was stored, rather than out of reach.
pub(crate) fn is_damage(error: &blob::Error) -> bool {
    match error {
        blob::Error::Corrupt { .. } | blob::Error::NotFound(_) => true,
        blob::Error::Io { source, .. } => source.kind() == io::ErrorKind::UnexpectedEof,
        _ => false,
    }
}

/// Tells files that are damaged from files that are away.
#[derive(Clone)]
pub(crate) struct Damage(Arc<AtomicBool>);

impl Damage {
    /// What an error of the index means.
    pub(crate) fn judge(&self, error: &index::Error) -> Error {
        let told = error.to_string();
        // Bodies are checked as they are read, but for small ones of which a part is: there the index sees it.
        if self.0.load(Ordering::Relaxed) || error.is_damage() {
            return Error::Damaged(told);
        }
        Error::Away(told)
    }
}

/// An id as names begin with it.
pub(crate) fn digits(id: &[u8]) -> String {
    use std::fmt::Write as _;
    id.iter().fold(String::with_capacity(2 * id.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(id: &str) -> Option<Vec<u8>> {
    (0..id.len()).step_by(2).map(|at| u8::from_str_radix(id.get(at..at + 2)?, 16).ok()).collect()
}

/// A manifest as the index takes it.
pub(crate) fn entries(manifest: &Manifest) -> index::Manifest {
    let entry = |segment: &Segment| {
        let id = digits(&segment.id);
        let files = segment.bodies.iter().flat_map(|body| &body.files);
        let files = files.map(|file| (format!("{id}{}", file.suffix), file.length)).collect();
        let Segment { documents, deleted, deletion, .. } = *segment;
        SegmentEntry { id, documents, deleted, deletion, files }
    };
    index::Manifest { segments: manifest.segments.iter().map(entry).collect() }
}

/// New bodies by the name of the first file in each.
pub(crate) type Staged = Vec<(Vec<(String, u64)>, blob::Staged)>;

/// What the index made of a manifest, as it is published: files are where they were, or in what was staged.
pub(crate) fn published(
    before: &Manifest,
    after: &index::Manifest,
    staged: &Staged,
) -> Result<Vec<Segment>, Error> {
    after.segments.iter().map(|entry| segment(before, entry, staged)).collect()
}

fn segment(before: &Manifest, entry: &SegmentEntry, staged: &Staged) -> Result<Segment, Error> {
    let odd = || Error::Damaged(format!("segment {}", entry.id));
    let id = bytes(&entry.id).ok_or_else(odd)?;
    let known = before.segments.iter().find(|segment| segment.id == id);
    let is_there =
        |suffix: &str| entry.files.iter().any(|(name, _)| name.strip_prefix(&entry.id) == Some(suffix));
    let kept = known.map(|segment| segment.bodies.as_slice()).unwrap_or_default();
    let mut bodies: Vec<Body> =
        kept.iter().filter(|body| body.files.iter().any(|file| is_there(&file.suffix))).cloned().collect();
    for (files, staged) in staged {
        let own = files.iter().filter_map(|(name, length)| Some((name.strip_prefix(&entry.id)?, *length)));
        let files: Vec<File> =
            own.map(|(suffix, length)| File { suffix: suffix.to_owned(), length }).collect();
        if !files.is_empty() {
            bodies.push(Body { hash: staged.hash().0.to_vec(), files });
        }
    }
    let SegmentEntry { documents, deleted, deletion, .. } = *entry;
    Ok(Segment { id, documents, deleted, deletion, bodies })
}

/// Makes the files of one body durable, one behind the other, and the name of the first behind them. Bodies are known by
/// their bytes: those of the same mail, made anew because they were damaged, would be what is damaged.
pub(crate) async fn stage(
    blobs: &blob::Store,
    files: Vec<(String, Vec<u8>)>,
) -> Result<(Vec<(String, u64)>, blob::Staged), Error> {
    let mut writer = blobs.writer();
    let mut listed = Vec::with_capacity(files.len());
    let own = files.first().map(|(name, _)| name.clone()).unwrap_or_default();
    for (name, bytes) in files {
        writer.write(&bytes).await?;
        listed.push((name, bytes.len() as u64));
    }
    writer.write(own.as_bytes()).await?;
    Ok((listed, writer.finish().await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_what_the_index_takes() {
        let file = |suffix: &str| File { suffix: suffix.into(), length: 7 };
        let body = |hash: u8, files| Body { hash: vec![hash; 32], files };
        let bodies = vec![body(1, vec![file(".idx"), file(".pos")]), body(2, vec![file(".1.del")])];
        let one = Segment { id: vec![0xab; 16], documents: 5, deleted: 1, deletion: 1, bodies };
        let manifest = Manifest { segments: vec![one.clone()], ..Manifest::default() };
        let mut taken = entries(&manifest);
        let id = "ab".repeat(16);
        assert_eq!(taken.segments[0].files[2], (format!("{id}.1.del"), 7));
        assert_eq!(published(&manifest, &taken, &Vec::new()).unwrap(), std::slice::from_ref(&one));
        // A list of what is deleted goes when it is not listed any more.
        taken.segments[0].files.pop();
        let without = published(&manifest, &taken, &Vec::new()).unwrap();
        assert_eq!(without[0].bodies, one.bodies[..1]);
        taken.segments[0].id = "xy".into();
        assert!(published(&manifest, &taken, &Vec::new()).is_err());
    }
}
