//! A shard's writer: one turn after the other, as long as it holds the shard.

use std::collections::BTreeMap;
use std::time::Duration;

use kv::Versionstamp;
use leases::Fence;
use segments::{Due, Manifest};

use crate::Error;
use crate::batch::Batch;
use crate::files::entries;
use crate::follow::Follower;
use crate::indexer::{Shared, Standing};
use crate::merging::{Merge, chosen};
use crate::publishing::{APART, Publisher};

/// How often is looked whether a new edition was asked for, when there is nothing else to do.
const LOOK: Duration = Duration::from_secs(5);

/// With more segments other work waits until some are merged: each search opens all, each publication names all.
const CROWDED: usize = 32;
/// Why an edition is made whose predecessor nobody can read any more.
const FORMAT: &str = "files of another format";

/// What a turn left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// All that was seen is published.
    Idle,
    /// There is more to do.
    More,
}

/// A shard that this node writes.
pub struct Shard {
    shared: std::sync::Arc<Shared>,
    fence: Fence,
    /// By edition.
    works: BTreeMap<u32, Work>,
    /// What is being merged, in one of them.
    merging: Option<Merge>,
    looked: Option<Duration>,
    /// Since when what is being indexed has waited.
    taken: Option<Duration>,
}

/// Work on an edition.
#[derive(Default)]
struct Work {
    manifest: Option<Manifest>,
    /// The last change of each slot that was taken note of.
    seen: BTreeMap<u32, Versionstamp>,
    /// Slots with accounts that may be due, and since when that is known.
    dirty: BTreeMap<u32, Duration>,
    /// The slot that was looked at last: all come in turn.
    last: u32,
    /// Its files are of the format that this program reads, or a new edition was asked for.
    is_current: bool,
    /// What of it cannot be read: another is to take its place.
    damage: Option<String>,
}

impl Work {
    /// Everything is looked at again.
    fn forget(&mut self) {
        *self = Work::default();
    }

    fn note(&mut self, slots: impl Iterator<Item = (u32, Versionstamp)>, now: Duration) {
        for (slot, stamp) in slots {
            if self.seen.insert(slot, stamp) != Some(stamp) {
                self.dirty.entry(slot).or_insert(now);
            }
        }
    }

    fn note_damage(&mut self, (shard, edition): (u32, u32), what: String) {
        if self.damage.is_none() {
            tracing::error!(shard, edition, %what, "rows of the index are damaged");
            self.damage = Some(what);
        }
    }

    /// The next slot in turn, and since when it has waited.
    fn next(&mut self) -> Option<(u32, Duration)> {
        let next = self.dirty.range(self.last + 1..).next().or_else(|| self.dirty.first_key_value());
        let (slot, since) = next.map(|(slot, since)| (*slot, *since))?;
        self.dirty.remove(&slot);
        self.last = slot;
        Some((slot, since))
    }
}

impl Shard {
    pub(crate) fn new(shared: std::sync::Arc<Shared>, fence: Fence) -> Shard {
        Shard { shared, fence, works: BTreeMap::new(), merging: None, looked: None, taken: None }
    }

    /// Publishes a batch of what is due in each edition, and what was merged meanwhile.
    ///
    /// # Errors
    /// The store's, and those of the place where files lie: the next turn begins anew. When the shard is another's
    /// ([`Error::is_fenced`]), nothing more can be published.
    pub async fn turn(&mut self) -> Result<Turn, Error> {
        let turned = self.try_turn().await;
        if turned.is_err() {
            self.taken = self.behind();
            self.works.values_mut().for_each(Work::forget);
            self.looked = None;
        } else {
            self.taken = None;
        }
        let damage = || self.works.values().find_map(|work| work.damage.clone());
        let (behind, error) =
            (self.behind(), turned.as_ref().map_or_else(|e| Some(e.to_string()), |_| damage()));
        self.shared.progress.lock().insert(self.fence.duty.number, Standing { behind, error });
        turned
    }

    /// Since when there is mail that is not in the index; a look whether there is any counts as such.
    fn behind(&self) -> Option<Duration> {
        self.works.values().flat_map(|work| work.dirty.values()).copied().chain(self.taken).min()
    }

    async fn try_turn(&mut self) -> Result<Turn, Error> {
        let slots = self.shared.slots().await?;
        let number = self.fence.duty.number;
        let own = slots.iter().map(|(slot, stamp)| (*slot, *stamp));
        let own: Vec<_> =
            own.filter(|(slot, _)| self.shared.segments.shard_of_slot(*slot) == number).collect();
        let now = self.shared.clock.monotonic();
        for work in self.works.values_mut() {
            work.note(own.iter().copied(), now);
        }
        if let Some(standing) = self.shared.progress.lock().get_mut(&number) {
            standing.behind = self.behind();
        }
        self.merged(Duration::ZERO).await?;
        let idle = self.works.values().all(|work| work.dirty.is_empty());
        let recent = self.looked.is_some_and(|looked| now.saturating_sub(looked) < LOOK);
        if idle && recent {
            return self.idle().await;
        }
        let state = self.shared.segments.ensure(&self.fence).await?;
        self.looked = Some(now);
        self.works.retain(|edition, _| *edition == state.current || *edition == state.building);
        let mut turn = Turn::Idle;
        for edition in [state.current, state.building].into_iter().filter(|edition| *edition != 0) {
            self.works.entry(edition).or_default().note(own.iter().copied(), now);
            if self.advance(edition, &state).await? == Turn::More {
                turn = Turn::More;
            }
        }
        Ok(turn)
    }

    /// Goes on with an edition, as far as it can be read.
    async fn advance(&mut self, edition: u32, state: &segments::Shard) -> Result<Turn, Error> {
        let (shared, number) = (std::sync::Arc::clone(&self.shared), self.fence.duty.number);
        let is_new = edition == state.building;
        let mut turn = Turn::Idle;
        if self.load(edition).await? {
            if !is_new && self.is_made_anew(edition).await? {
                turn = Turn::More;
            }
            if self.batch(edition).await? == Turn::More {
                turn = Turn::More;
            }
        }
        let damage = self.works.get(&edition).and_then(|work| work.damage.clone());
        if let Some(damage) = damage {
            let is_due = is_new || state.building == 0;
            if is_due && shared.segments.replace(&self.fence, edition, &damage, APART).await? {
                tracing::info!(shard = number, edition, "the index is made anew");
                self.looked = None;
                turn = Turn::More;
            }
        } else if is_new && turn == Turn::Idle {
            shared.segments.promote(&self.fence, edition).await?;
            tracing::info!(shard = number, edition, "a new edition of the index answers");
            self.looked = None;
            turn = Turn::More;
        }
        Ok(turn)
    }

    /// Reads the manifest of an edition, if it is not known. Says false if it cannot be read: nothing can be published then.
    async fn load(&mut self, edition: u32) -> Result<bool, Error> {
        let shard = self.fence.duty.number;
        let work = self.works.entry(edition).or_default();
        if work.manifest.is_none() && work.damage.is_none() {
            match self.shared.segments.manifest(shard, edition).await {
                Ok(manifest) => work.manifest = Some(manifest),
                Err(segments::Error::Record(error)) => {
                    work.note_damage((shard, edition), format!("the list of segments: {error}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(work.manifest.is_some())
    }

    /// Has the shard made anew if its files are of another program's format, and says so: until then messages are
    /// scanned.
    async fn is_made_anew(&mut self, edition: u32) -> Result<bool, Error> {
        let (shared, shard) = (std::sync::Arc::clone(&self.shared), self.fence.duty.number);
        let work = self.works.entry(edition).or_default();
        if work.is_current {
            return Ok(false);
        }
        let is_current = work.manifest.as_ref().is_none_or(|known| entries(known).is_current());
        let asked = !is_current && shared.segments.rebuild(shard, FORMAT, 0).await?;
        work.is_current = true;
        if asked {
            tracing::info!(shard, edition, "the index is of another format and is made anew");
            self.looked = None;
        }
        Ok(asked)
    }

    /// Publishes what is due in an edition, as much as a batch takes.
    async fn batch(&mut self, edition: u32) -> Result<Turn, Error> {
        let shared = std::sync::Arc::clone(&self.shared);
        let mut batch = Batch::default();
        // It is never closed. One builder at a time: the others wait.
        let turn = shared.building.acquire().await.ok();
        let mut unfinished = BTreeMap::new();
        while !batch.is_full(shared.options.batch) {
            let Some((slot, since)) = self.works.entry(edition).or_default().next() else { break };
            self.taken = Some(self.taken.map_or(since, |taken| taken.min(since)));
            let due = shared.due(edition, slot).await?;
            if !take(&shared, edition, &mut batch, due).await? {
                unfinished.insert(slot, since);
            }
        }
        let work = self.works.entry(edition).or_default();
        if let Some(account) = batch.damaged {
            work.note_damage((self.fence.duty.number, edition), format!("where {account} stands"));
        }
        work.dirty.extend(unfinished);
        let more = if work.dirty.is_empty() { Turn::Idle } else { Turn::More };
        if batch.is_empty() {
            return Ok(more);
        }
        let Some(before) = work.manifest.take() else { return Ok(more) };
        let fence = &self.fence;
        let publisher = Publisher { shared: &shared, fence, edition, before: &before };
        work.manifest = Some(publisher.batch(batch).await?);
        drop(turn);
        self.begin_merge(false).await;
        while self.segments(edition) > CROWDED {
            self.begin_merge(true).await;
            if self.merged(Duration::MAX).await? == Turn::Idle {
                break;
            }
        }
        Ok(more)
    }

    /// How many segments an edition has.
    fn segments(&self, edition: u32) -> usize {
        let manifest = self.works.get(&edition).and_then(|work| work.manifest.as_ref());
        manifest.map_or(0, |manifest| manifest.segments.len())
    }

    /// With nothing else to do: what is to be merged is, with a look for new mail now and then.
    async fn idle(&mut self) -> Result<Turn, Error> {
        self.begin_merge(false).await;
        if self.merging.is_none() {
            return Ok(Turn::Idle);
        }
        // What merges needs the async threads too.
        self.merged((self.shared.options.interval / 2).max(Duration::from_millis(1))).await
    }

    /// Begins to merge what is to be, if nothing is being merged; while other shards do, it waits or lets it be.
    async fn begin_merge(&mut self, waits: bool) {
        let known = |(edition, work): (&u32, &Work)| Some((*edition, chosen(work.manifest.as_ref()?)?));
        let None = self.merging else { return };
        let Some((edition, of)) = self.works.iter().find_map(known) else { return };
        let turns = std::sync::Arc::clone(&self.shared.merging);
        let turn = if waits { turns.acquire_owned().await.ok() } else { turns.try_acquire_owned().ok() };
        self.merging = turn.map(|turn| Merge::begin(&self.shared, edition, of, turn));
    }

    /// Publishes what was merged, if that is done in so much time. Nothing is left to do where it cannot be.
    async fn merged(&mut self, within: Duration) -> Result<Turn, Error> {
        let Some(merge) = &mut self.merging else { return Ok(Turn::Idle) };
        let Ok(built) = tokio::time::timeout(within, &mut merge.built).await else { return Ok(Turn::More) };
        let Some(merge) = self.merging.take() else { return Ok(Turn::Idle) };
        let shared = std::sync::Arc::clone(&self.shared);
        let built = match built? {
            Err(error @ Error::Damaged(_)) => {
                shared.damaged(self.fence.duty.number, &error).await;
                return Ok(Turn::Idle);
            }
            built => built?,
        };
        let Some(work) = self.works.get_mut(&merge.edition) else { return Ok(Turn::More) };
        let Some(before) = &work.manifest else { return Ok(Turn::More) };
        // What was deleted meanwhile is still in what was made: they are merged again.
        if merge.of.iter().all(|segment| before.segments.contains(segment)) {
            let publisher = Publisher { shared: &shared, fence: &self.fence, edition: merge.edition, before };
            match publisher.merged(&merge.of, built).await {
                // Another edition has taken its place meanwhile: nobody waits for what was made. What is there is read anew.
                Err(Error::Segments(segments::Error::Moved(_))) => {
                    work.manifest = None;
                    self.looked = None;
                }
                published => work.manifest = Some(published?),
            }
        }
        Ok(Turn::More)
    }
}

/// Adds what is due of accounts; says whether that was all. Those that only have a little come first: they do not wait
/// for one that is begun from nothing.
async fn take(shared: &Shared, edition: u32, batch: &mut Batch, mut due: Vec<Due>) -> Result<bool, Error> {
    due.sort_by_key(|due| due.cursor.as_ref().is_none_or(|cursor| cursor.filling.is_some()));
    let mut all = true;
    for one in &due {
        if batch.is_full(shared.options.batch) {
            return Ok(false);
        }
        all &= Follower { shared, edition, batch }.take(one).await?;
    }
    Ok(all)
}
