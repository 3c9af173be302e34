//! Which segments are made one: few at a time, of like size, so that each message is written again seldom. They are made
//! one beside the work on new mail.

use std::sync::Arc;

use futures::future::BoxFuture;
use index::{Built, FileCache, Memory, Reader};
use segments::{Manifest, Segment};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use crate::Error;
use crate::error::apart;
use crate::files::{digits, entries, is_damage};
use crate::indexer::Shared;

/// So many segments of like size become one.
const WIDTH: usize = 8;
/// A segment of so many bytes is merged no more, nor made by merging.
const LARGEST: u64 = 64 << 20;
/// A manifest has room for so many segments.
const MOST: u64 = 96;
/// Segments below this are alike.
const SMALL: u64 = 64 << 10;

/// Bytes of files that a reader keeps which reads them whole.
const ONCE: u64 = 1 << 20;

/// Segments that are being made one.
pub(crate) struct Merge {
    pub(crate) edition: u32,
    /// They, as they were when it began.
    pub(crate) of: Vec<Segment>,
    /// What they are made; none if nothing is left of them.
    pub(crate) built: BoxFuture<'static, Result<Result<Option<Built>, Error>, Error>>,
}

impl Merge {
    /// Begins one, in a turn of the node's.
    pub(crate) fn begin(
        shared: &Shared,
        edition: u32,
        of: Vec<Segment>,
        turn: OwnedSemaphorePermit,
    ) -> Merge {
        let part = Manifest { segments: of.clone(), ..Manifest::default() };
        let (blobs, runtime) = (shared.segments.blobs().clone(), Handle::current());
        let built = apart(move || {
            // Who is not asked for what it made holds up no other.
            let _turn = turn;
            let mut memory = Memory::default();
            memory.add(runtime.block_on(load(&blobs, &part))?);
            let (merging, own) = (entries(&part), FileCache::of_files(ONCE));
            let ids: Vec<String> = merging.segments.iter().map(|segment| segment.id.clone()).collect();
            let reader = Reader::open(merging, Arc::new(memory), &own).map_err(Error::Build)?;
            reader.merge(&ids).map_err(Error::Build)
        });
        Merge { edition, of, built: Box::pin(built) }
    }
}

/// Segments to be merged; none if it is not worth it.
pub(crate) fn chosen(manifest: &Manifest) -> Option<Vec<Segment>> {
    let chosen = choose(&manifest.segments);
    // What is of another format is made anew, not carried on.
    let is_worth_it = !chosen.is_empty() && entries(manifest).is_current();
    let of = manifest.segments.iter().filter(|segment| chosen.contains(&segment.id));
    is_worth_it.then(|| of.cloned().collect())
}

/// All files of a few segments.
async fn load(blobs: &blob::Store, part: &Manifest) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut files = Vec::new();
    for segment in &part.segments {
        let id = digits(&segment.id);
        for body in &segment.bodies {
            let hash = body.hash().map_err(|error| Error::Damaged(error.to_string()))?;
            let bytes = match blobs.read(hash, 0..u64::MAX).await {
                Err(error) if is_damage(&error) => return Err(Error::Damaged(error.to_string())),
                read => read?,
            };
            let mut at = 0;
            for file in &body.files {
                let end = at + usize::try_from(file.length).unwrap_or(usize::MAX);
                let part = bytes.get(at..end).ok_or_else(|| Error::Damaged(file.suffix.clone()))?;
                files.push((format!("{id}{}", file.suffix), part.to_vec()));
                at = end;
            }
        }
    }
    Ok(files)
}

/// Their ids.
fn choose(segments: &[Segment]) -> Vec<Vec<u8>> {
    let all: u64 = segments.iter().map(bytes).sum();
    let largest = LARGEST.max(all / MOST * 2);
    // Half of it is deleted: it is worth being written again alone.
    let wasted =
        segments.iter().find(|s| s.deleted > 0 && u64::from(s.deleted) * 2 >= u64::from(s.documents));
    if let Some(wasted) = wasted {
        return vec![wasted.id.clone()];
    }
    let mut tiers: std::collections::BTreeMap<u32, Vec<&Segment>> = std::collections::BTreeMap::new();
    for segment in segments.iter().filter(|segment| live(segment) < largest) {
        tiers.entry(tier(live(segment))).or_default().push(segment);
    }
    let Some(mut tier) = tiers.into_values().find(|tier| tier.len() >= WIDTH) else { return Vec::new() };
    tier.sort_by_key(|segment| live(segment));
    let mut sum = 0;
    let fits = tier.iter().take_while(|segment| {
        sum += live(segment);
        sum <= largest
    });
    let chosen: Vec<Vec<u8>> = fits.take(WIDTH).map(|segment| segment.id.clone()).collect();
    if chosen.len() > 1 { chosen } else { Vec::new() }
}

fn bytes(segment: &Segment) -> u64 {
    segment.bodies.iter().flat_map(|body| &body.files).map(|file| file.length).sum()
}

/// Bytes without what is deleted.
fn live(segment: &Segment) -> u64 {
    let documents = u64::from(segment.documents.max(1));
    bytes(segment) / documents * (documents - u64::from(segment.deleted).min(documents))
}

fn tier(bytes: u64) -> u32 {
    (bytes.max(SMALL) / SMALL).ilog2() / 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use segments::{Body, File};

    fn segment(id: u8, bytes: u64, deleted: u32) -> Segment {
        let files = vec![File { suffix: ".idx".into(), length: bytes }];
        let bodies = vec![Body { hash: vec![id; 32], files }];
        Segment { id: vec![id; 16], documents: 10, deleted, bodies, ..Segment::default() }
    }

    #[test]
    fn eight_of_like_size_become_one() {
        let small: Vec<Segment> = (0..7).map(|id| segment(id, 1000, 0)).collect();
        assert!(choose(&small).is_empty());
        let mut all = small.clone();
        all.push(segment(7, 50 << 20, 0));
        assert!(choose(&all).is_empty(), "a large one is not written again for small ones");
        all.push(segment(8, 2000, 0));
        assert_eq!(choose(&all).len(), 8);
        assert!(!choose(&all).contains(&vec![7; 16]));
    }

    #[test]
    fn what_is_merged_is_bounded() {
        let large: Vec<Segment> = (0..9).map(|id| segment(id, 30 << 20, 0)).collect();
        assert_eq!(choose(&large).len(), 2);
        let largest: Vec<Segment> = (0..9).map(|id| segment(id, 60 << 20, 0)).collect();
        assert!(choose(&largest).is_empty());
    }

    #[test]
    fn what_is_half_deleted_is_written_again() {
        let all = [segment(1, 70 << 20, 0), segment(2, 70 << 20, 5), segment(3, 100, 4)];
        assert_eq!(choose(&all), [vec![2; 16]]);
    }

    /// Each message is written again as often as there are tiers, not as often as there are segments.
    #[test]
    fn a_long_stream_of_segments_costs_a_few_writes_each() {
        let (mut all, mut written, mut next): (Vec<Segment>, u64, u32) = (Vec::new(), 0, 0);
        for _ in 0..1000 {
            next += 1;
            all.push(Segment { id: next.to_be_bytes().to_vec(), ..segment(0, 20_000, 0) });
            loop {
                let chosen = choose(&all);
                if chosen.is_empty() {
                    break;
                }
                let sum: u64 = all.iter().filter(|s| chosen.contains(&s.id)).map(bytes).sum();
                all.retain(|s| !chosen.contains(&s.id));
                next += 1;
                all.push(Segment { id: next.to_be_bytes().to_vec(), ..segment(0, sum, 0) });
                written += sum;
            }
        }
        assert!(written / 20_000 < 6 * 1000, "{written}");
        assert!(all.len() < 40, "{}", all.len());
    }
}
