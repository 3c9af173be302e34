//! Files of the index that are cut short, overwritten or missing, and rows that cannot be read: searches find what a scan
//! finds, and it is made anew.

use std::time::Duration;

use bytes::Bytes;
use godwit_shard::{Scanned, Searcher};
use index::FileCache;
use query::{Filter, Needle};
use schema::keys::blob::BlobChunkKey;
use schema::keys::search::{IndexedKey, ManifestKey, ShardKey};
use schema::{BlobHash, Key, Record};
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

/// Ten minutes after an edition was begun, and more.
const LATER: Duration = Duration::from_secs(3_600);

/// Rows of the index, by what cannot be read then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// The segments of an edition.
    Manifest,
    /// The same, with a file of which the name is none.
    Nameless,
    /// Where Alice stands in an edition.
    Cursor,
    /// Which editions there are.
    Shard,
}

const ROWS: [Row; 4] = [Row::Manifest, Row::Nameless, Row::Cursor, Row::Shard];

impl World {
    async fn garble(&self, row: Row, edition: u32) {
        let (mut key, mut value) = (ManifestKey { shard: SHARD, edition }.encode(), b"\xff\xff\xff".to_vec());
        match row {
            Row::Manifest => {}
            Row::Nameless => {
                let mut manifest = self.segments.manifest(SHARD, edition).await.unwrap();
                manifest.segments[0].bodies[0].hash.pop();
                value = manifest.to_bytes();
            }
            Row::Cursor => key = IndexedKey { shard: SHARD, edition, account: ALICE }.encode(),
            Row::Shard => key = ShardKey { shard: SHARD }.encode(),
        }
        let (key, value) = (&key, &value);
        let written = self.db.transact("test", |txn| async move {
            assert!(txn.get(key).await?.is_some());
            txn.set(key, value);
            Ok::<_, mail::Error>(())
        });
        written.await.unwrap();
    }

    /// The editions there are, and whether they cannot be read: what `godwit search status` shows.
    async fn status(&self) -> (u32, u32, bool) {
        let seen = self.segments.editions().await.unwrap().swap_remove(SHARD as usize);
        let state = seen.state.unwrap_or_default();
        (state.current, state.building, seen.damaged)
    }
}

/// A search finds it, and has the shard made anew.
#[tokio::test]
async fn rows_that_cannot_be_read_are_found_out_by_searches() {
    for (seed, row) in ROWS.into_iter().enumerate() {
        let world = World::new(30 + seed as u64, 1 << 20).await;
        filled(&world, 20).await;
        let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
        settle(&mut shard).await;
        world.clock.advance(LATER);
        world.garble(row, 1).await;
        assert_eq!(world.status().await.2, row != Row::Cursor, "{row:?}");
        let fresh = world.fresh();
        assert_eq!(
            fresh.ask(ALICE, &body("ordinary")).await.unwrap().err(),
            Some(Scanned::Damaged),
            "{row:?}"
        );
        assert_eq!(world.agree_with(&fresh, at, &body("ordinary"), "damaged").await.len(), 20);
        if row == Row::Cursor {
            assert_eq!(fresh.ask(BOB, &body("ordinary")).await.unwrap().unwrap().sure.len(), 20);
        }
        // It looks so often what is wanted of it.
        world.clock.advance(Duration::from_secs(6));
        settle(&mut shard).await;
        assert_eq!(world.status().await, (2, 0, false), "{row:?}");
        world.clock.advance(Duration::from_secs(6));
        for account in [ALICE, BOB] {
            let told = fresh.ask(account, &body("ordinary")).await.unwrap().unwrap();
            assert_eq!((told.sure.len(), told.tail, told.manifest.0), (20, 0, 2), "{row:?}");
        }
        assert_eq!(world.bodies().await.len(), 1);
    }
}

/// Who writes it finds it as well, and mail that comes meanwhile is found.
#[tokio::test]
async fn rows_that_cannot_be_read_are_found_out_by_who_writes() {
    for (seed, row) in ROWS.into_iter().enumerate() {
        for is_new in [false, true] {
            let world = World::new(40 + seed as u64, 1 << 20).await;
            filled(&world, 20).await;
            let (at, fence) = (world.inbox(ALICE).await, world.take(world.me).await);
            let mut shard = world.indexer.shard(fence);
            settle(&mut shard).await;
            world.clock.advance(LATER);
            world.garble(row, 1).await;
            if is_new {
                shard = world.indexer.shard(fence);
            }
            for account in [ALICE, BOB] {
                let at = world.inbox(account).await;
                world.append(at, "Subject: new\r\n\r\nordinary, and new\r\n".into()).await;
            }
            // What it was about to publish is refused once.
            let turned = shard.turn().await;
            assert!(turned.is_ok() || !is_new, "{row:?}: {turned:?}");
            settle(&mut shard).await;
            let context = format!("{row:?}, {is_new}");
            assert_eq!(world.status().await, (2, 0, false), "{context}");
            world.clock.advance(Duration::from_secs(6));
            let told = world.fresh().ask(ALICE, &body("ordinary")).await.unwrap().unwrap();
            assert_eq!((told.sure.len(), told.tail, told.manifest.0), (21, 0, 2), "{context}");
            assert_eq!(world.agree(at, &body("new"), &context).await.len(), 1);
        }
    }
}

/// An edition that was begun a moment ago is not made anew again and again: what cannot be told by it is scanned.
#[tokio::test]
async fn rows_that_cannot_be_read_so_soon_are_done_without() {
    for (seed, row) in [Row::Manifest, Row::Nameless, Row::Cursor].into_iter().enumerate() {
        let world = World::new(50 + seed as u64, 1 << 20).await;
        filled(&world, 20).await;
        let (at, fence) = (world.inbox(ALICE).await, world.take(world.me).await);
        settle(&mut world.indexer.shard(fence)).await;
        world.garble(row, 1).await;
        let mut shard = world.indexer.shard(fence);
        for n in 0..3 {
            world.clock.advance(Duration::from_secs(60));
            let bobs = world.inbox(BOB).await;
            world.append(bobs, "Subject: new\r\n\r\nordinary, and new\r\n".into()).await;
            settle(&mut shard).await;
            let fresh = world.fresh();
            assert_eq!(
                fresh.ask(ALICE, &body("ordinary")).await.unwrap().err(),
                Some(Scanned::Damaged),
                "{row:?}"
            );
            assert_eq!(world.agree_with(&fresh, at, &body("ordinary"), "damaged").await.len(), 20);
            assert_eq!(world.agree_with(&fresh, bobs, &body("ordinary"), "damaged").await.len(), 21 + n);
            // Others are in the index, as far as there is one.
            let told = fresh.ask(BOB, &body("ordinary")).await.unwrap();
            assert_eq!(told.ok().map(|told| told.tail), (row == Row::Cursor).then_some(0));
            assert_eq!(world.status().await, (1, 0, row != Row::Cursor));
            assert!(world.indexer.progress()[&SHARD].error.is_some());
        }
        world.clock.advance(LATER);
        settle(&mut shard).await;
        assert_eq!(world.status().await, (2, 0, false), "{row:?}");
        assert_eq!(world.indexer.progress()[&SHARD].error, None);
    }
}

/// An edition that is being made is begun once more.
#[tokio::test]
async fn an_edition_in_the_making_whose_rows_cannot_be_read_is_begun_anew() {
    for (seed, row) in ROWS.into_iter().enumerate() {
        // A batch is a few messages.
        let world = World::new(60 + seed as u64, 3_000).await;
        filled(&world, 20).await;
        let (at, fence) = (world.inbox(ALICE).await, world.take(world.me).await);
        let mut shard = world.indexer.shard(fence);
        settle(&mut shard).await;
        world.clock.advance(LATER);
        assert!(world.segments.rebuild(SHARD, "asked for", 0).await.unwrap());
        while world.segments.editions().await.unwrap()[SHARD as usize].building.segments.is_empty() {
            world.clock.advance(Duration::from_secs(6));
            shard.turn().await.unwrap();
        }
        world.garble(row, 2).await;
        let fresh = world.fresh();
        let answered = fresh.ask(ALICE, &body("ordinary")).await.unwrap();
        assert_eq!(answered.is_ok(), row != Row::Shard, "the one before answers: {row:?}");
        assert_eq!(world.agree_with(&fresh, at, &body("ordinary"), "in the making").await.len(), 20);
        let _refused = shard.turn().await;
        shard = world.indexer.shard(fence);
        world.clock.advance(LATER);
        settle(&mut shard).await;
        assert_eq!(world.status().await, (3, 0, false), "{row:?}");
        world.clock.advance(Duration::from_secs(6));
        let told = fresh.ask(ALICE, &body("ordinary")).await.unwrap().unwrap();
        assert_eq!((told.sure.len(), told.manifest.0), (20, 3), "{row:?}");
    }
}
