//! Manifests that are open for reading, at most one of each shard.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use index::{FileCache, Reader};
use parking_lot::Mutex;
use runtime::SharedClock;
use segments::Segments;

use crate::Error;
use crate::error::apart;
use crate::files::{Damage, Published, entries};

/// A manifest that is older than this is read anew, though it has all that is asked for: what is deleted goes.
const AGE: Duration = Duration::from_secs(60);
/// After a failure nothing is tried for so long.
const REST: Duration = Duration::from_secs(5);

/// A manifest that is open.
pub(crate) struct Opened {
    pub(crate) edition: u32,
    pub(crate) generation: u64,
    pub(crate) reader: Reader,
    pub(crate) damage: Damage,
    at: Duration,
}

/// What is known of a shard.
#[derive(Default)]
struct Slot {
    /// Locked while a manifest is opened, so that it is done once.
    opening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    opened: Option<Arc<Opened>>,
    failed: Option<Duration>,
    /// When damage was told of.
    told: Option<Duration>,
}

/// Manifests that are open.
pub(crate) struct Readers {
    segments: Segments,
    cache: FileCache,
    clock: SharedClock,
    slots: Mutex<HashMap<u32, Arc<Slot>>>,
}

impl Readers {
    pub(crate) fn new(segments: Segments, cache: FileCache, clock: SharedClock) -> Readers {
        Readers { segments, cache, clock, slots: Mutex::default() }
    }

    /// A manifest of an edition that is at least that new.
    pub(crate) async fn open(&self, shard: u32, edition: u32, generation: u64) -> Result<Arc<Opened>, Error> {
        let slot = Arc::clone(self.slots.lock().entry(shard).or_default());
        if let Some(opened) = self.known(&slot, edition, generation)? {
            return Ok(opened);
        }
        let _one = slot.opening.lock().await;
        if let Some(opened) = self.known(&slot, edition, generation)? {
            return Ok(opened);
        }
        let opened = Arc::new(self.read(shard, edition).await?);
        slot.state.lock().opened = Some(Arc::clone(&opened));
        if opened.generation < generation {
            // Another edition took its place meanwhile.
            return Err(Error::NotNow);
        }
        Ok(opened)
    }

    fn known(&self, slot: &Slot, edition: u32, generation: u64) -> Result<Option<Arc<Opened>>, Error> {
        let (now, state) = (self.clock.monotonic(), slot.state.lock());
        if state.failed.is_some_and(|failed| now.saturating_sub(failed) < REST) {
            return Err(Error::NotNow);
        }
        let good = |opened: &&Arc<Opened>| {
            let is_of = opened.edition == edition && opened.generation >= generation;
            is_of && now.saturating_sub(opened.at) < AGE
        };
        Ok(state.opened.as_ref().filter(good).map(Arc::clone))
    }

    async fn read(&self, shard: u32, edition: u32) -> Result<Opened, Error> {
        let at = self.clock.monotonic();
        let manifest = match self.segments.manifest(shard, edition).await {
            Err(segments::Error::Record(error)) => return Err(Error::Damaged(error.to_string())),
            manifest => manifest?,
        };
        let source = Published::new(self.segments.blobs(), &manifest)?;
        let (damage, cache, taken) = (source.damage(), self.cache.clone(), entries(&manifest));
        let reader = apart(move || Reader::open(taken, Arc::new(source), &cache)).await?;
        let reader = reader.map_err(|error| damage.judge(&error))?;
        Ok(Opened { edition, generation: manifest.generation, reader, damage, at })
    }

    /// Notes that a shard's files could not be read: for a moment they are not asked for.
    pub(crate) fn failed(&self, shard: u32) {
        let slot = Arc::clone(self.slots.lock().entry(shard).or_default());
        let now = self.clock.monotonic();
        let mut state = slot.state.lock();
        (state.opened, state.failed) = (None, Some(now));
    }

    /// Whether damage of a shard is to be told of, rather than was told of a moment ago.
    pub(crate) fn is_news(&self, shard: u32) -> bool {
        let slot = Arc::clone(self.slots.lock().entry(shard).or_default());
        let (now, mut state) = (self.clock.monotonic(), slot.state.lock());
        let is_news = state.told.is_none_or(|told| now.saturating_sub(told) >= REST);
        if is_news {
            state.told = Some(now);
        }
        is_news
    }
}
