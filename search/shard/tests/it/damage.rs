//! Files of the index that are cut short, overwritten or missing: searches find what a scan finds, and it is made anew.

use std::time::Duration;

use bytes::Bytes;
use godwit_shard::{Scanned, Searcher};
use index::FileCache;
use query::{Filter, Needle};
use schema::keys::blob::BlobChunkKey;
use schema::keys::search::ManifestKey;
use schema::{BlobHash, Key};
use segments::Manifest;

use crate::world::{ALICE, BOB, SHARD, World, settle};

/// What happens to a file, wherever it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    Cut,
    Overwritten,
    Missing,
}

pub(crate) const ALL: [Damage; 3] = [Damage::Cut, Damage::Overwritten, Damage::Missing];

impl Damage {
    /// What is left.
    fn of(self, bytes: &[u8]) -> Option<Bytes> {
        match self {
            Damage::Cut => Some(Bytes::copy_from_slice(&bytes[..bytes.len() / 2])),
            Damage::Overwritten => {
                let mut bytes = bytes.to_vec();
                bytes.iter_mut().step_by(100).for_each(|byte| *byte ^= 0x40);
                Some(bytes.into())
            }
            Damage::Missing => None,
        }
    }
}

impl World {
    /// Bodies of the editions there are.
    pub(crate) async fn bodies(&self) -> Vec<BlobHash> {
        let state = self.segments.editions().await.unwrap().swap_remove(SHARD as usize);
        let hashes = |manifest: &Manifest| -> Vec<BlobHash> {
            let bodies = manifest.segments.iter().flat_map(|segment| &segment.bodies);
            bodies.map(|body| body.hash().unwrap()).collect()
        };
        [hashes(&state.current), hashes(&state.building)].concat()
    }

    /// Damages a body, an object or rows.
    pub(crate) async fn damage(&self, hash: BlobHash, damage: Damage) {
        let objects = &self.far.objects;
        for name in objects.names().into_iter().filter(|name| name.hash == hash) {
            objects.change(&name, |bytes| damage.of(bytes));
        }
        let (begin, end) =
            (BlobChunkKey { hash, index: 0 }.encode(), BlobChunkKey { hash, index: u32::MAX }.encode());
        let (begin, end) = (&begin, &end);
        let changed = self.db.transact("test", |txn| async move {
            for (key, value) in txn.range(begin, end).collect().await? {
                match damage.of(&value) {
                    Some(left) => txn.set(&key, &left),
                    None => txn.clear(&key),
                }
            }
            Ok::<_, mail::Error>(())
        });
        changed.await.unwrap();
    }

    /// A reader that has read nothing, and keeps next to nothing.
    pub(crate) fn fresh(&self) -> Searcher {
        Searcher::new(self.segments.clone(), self.mail.clone(), FileCache::new(1), self.clock.clone())
    }
}

fn body(text: &str) -> Filter {
    Filter::Body(Needle::new(text))
}

async fn filled(world: &World, messages: usize) {
    for account in [ALICE, BOB] {
        let at = world.inbox(account).await;
        for n in 0..messages {
            let line = format!("line {n} of some ordinary text, and word{n}of{account}\r\n").repeat(9);
            world.append(at, format!("Subject: number {n}\r\n\r\n{line}\r\n")).await;
        }
    }
}

/// As it was, mail for mail: what is made anew has the same files, and is not to be found damaged once more.
#[tokio::test]
async fn damaged_files_are_found_out_and_made_anew() {
    for (seed, damage) in ALL.into_iter().enumerate() {
        for messages in [2, 60] {
            let world = World::new(seed as u64, 1 << 20).await;
            filled(&world, messages).await;
            let mut shard = world.shard().await;
            settle(&mut shard).await;
            let context = format!("{damage:?}, {messages} messages");
            let fresh = world.fresh();
            assert!(fresh.ask(ALICE, &body("ordinary")).await.unwrap().is_ok(), "{context}");
            // Long after the edition was begun.
            world.clock.advance(Duration::from_secs(3_600));
            for hash in world.bodies().await {
                world.damage(hash, damage).await;
            }
            let fresh = world.fresh();
            let at = world.inbox(ALICE).await;
            assert_eq!(
                world.agree_with(&fresh, at, &body("ordinary"), &context).await.len() as usize,
                messages
            );
            world.clock.advance(Duration::from_secs(6));
            let asked = fresh.ask(ALICE, &body("ordinary")).await.unwrap();
            assert_eq!(asked.err(), Some(Scanned::Damaged), "{context}");
            settle(&mut shard).await;
            world.clock.advance(Duration::from_secs(6));
            let told = fresh.ask(ALICE, &body("ordinary")).await.unwrap().unwrap();
            assert_eq!((told.sure.len(), told.manifest.0), (messages, 2), "{context}");
        }
    }
}

/// A list of what is deleted is a file of its own.
#[tokio::test]
async fn a_damaged_list_of_what_is_deleted_is_found_out() {
    for (seed, damage) in ALL.into_iter().enumerate() {
        let world = World::new(10 + seed as u64, 1 << 20).await;
        filled(&world, 20).await;
        let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
        settle(&mut shard).await;
        let before = world.bodies().await;
        world.remove(at, &[3, 5]).await;
        settle(&mut shard).await;
        let lists: Vec<BlobHash> =
            world.bodies().await.into_iter().filter(|hash| !before.contains(hash)).collect();
        assert!(!lists.is_empty());
        world.clock.advance(Duration::from_secs(3_600));
        for hash in lists {
            world.damage(hash, damage).await;
        }
        let fresh = world.fresh();
        assert_eq!(world.agree_with(&fresh, at, &body("ordinary"), "a list").await.len(), 18, "{damage:?}");
        settle(&mut shard).await;
        world.clock.advance(Duration::from_secs(6));
        let asked = fresh.ask(ALICE, &body("ordinary")).await.unwrap();
        assert_eq!(asked.err(), None, "{damage:?}");
        assert_eq!(world.agree_with(&fresh, at, &body("ordinary"), "a list").await.len(), 18, "{damage:?}");
    }
}

/// Who has it open already meets the damage in the middle of an answer; who writes it goes on with new mail.
#[tokio::test]
async fn damage_under_a_reader_and_a_writer() {
    for (seed, damage) in ALL.into_iter().enumerate() {
        let world = World::new(20 + seed as u64, 1 << 20).await;
        filled(&world, 60).await;
        let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
        settle(&mut shard).await;
        let open = world.fresh();
        assert_eq!(open.ask(ALICE, &body("ordinary")).await.unwrap().unwrap().sure.len(), 60);
        world.clock.advance(Duration::from_secs(3_600));
        for hash in world.bodies().await {
            world.damage(hash, damage).await;
        }
        world.agree_with(&open, at, &body("ordinary"), "open").await;
        world.append(at, "Subject: new\r\n\r\nordinary, and new\r\n".into()).await;
        world.remove(at, &[7]).await;
        assert_eq!(
            world.agree_with(&open, at, &body("ordinary"), "with new mail").await.len(),
            60,
            "{damage:?}"
        );
        settle(&mut shard).await;
        world.clock.advance(Duration::from_secs(6));
        let told = open.ask(ALICE, &body("ordinary")).await.unwrap().unwrap();
        assert_eq!((told.sure.len(), told.tail), (60, 0), "{damage:?}");
        assert_eq!(world.agree_with(&open, at, &body("ordinary"), "anew").await.len(), 60);
    }
}

/// What is published of an edition cannot be read: it is as if there was none.
#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_done_without() {
    let world = World::new(30, 1 << 20).await;
    filled(&world, 5).await;
    let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
    settle(&mut shard).await;
    let key = &ManifestKey { shard: SHARD, edition: 1 }.encode();
    let changed = world.db.transact("test", |txn| async move {
        txn.set(key, b"\xff\xff\xff");
        Ok::<_, mail::Error>(())
    });
    changed.await.unwrap();
    let fresh = world.fresh();
    assert_eq!(fresh.ask(ALICE, &body("ordinary")).await.unwrap().err(), Some(Scanned::Away));
    assert_eq!(world.agree_with(&fresh, at, &body("ordinary"), "a manifest").await.len(), 5);
}
