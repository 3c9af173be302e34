//! Who publishes, what is held, and what goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use blob::{BlobOwner, Staged};
use bytes::Bytes;
use leases::{Fence, Leases, Node, Standing};
use runtime::{ManualClock, SeededRng, SharedClock, Timestamp};
use schema::keys::mail::LastChangeKey;
use schema::keys::search::{IndexedKey, ManifestKey};
use schema::records::account::LastId;
use schema::records::search::{Body, File};
use schema::{AccountId, Duty, Key, Record, level};

use super::*;

const SHARD: u32 = 3;
const ACCOUNT: AccountId = AccountId(SHARD);

struct World {
    segments: Segments,
    leases: Leases,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

fn node(name: &str, level_max: u32) -> Node {
    Node { name: name.into(), level_min: 1, level_max, ..Node::default() }
}

impl World {
    async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let manual = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let clock: SharedClock = manual.clone();
        let (db, rng) = (kv::memory::database(), Arc::new(SeededRng::new(1)));
        let options = blob::Options { inline_max: 8, ..blob::Options::default() };
        let blobs = blob::Store::open(dir.path(), db.clone(), clock.clone(), rng, options).unwrap();
        let segments = Segments::open(db.clone(), blobs, clock.clone()).await.unwrap();
        World { segments, leases: Leases::new(db, clock), clock: manual, _dir: dir }
    }

    async fn join(&self, name: &str) -> Standing {
        self.leases.join(&node(name, level::SEARCH)).await.unwrap()
    }

    async fn take(&self, by: Standing) -> Fence {
        self.leases.take(by, &[Duty::search(SHARD)]).await.unwrap()[0]
    }

    /// A segment whose one file has these bytes.
    async fn segment(&self, id: u8, bytes: &'static [u8]) -> (Segment, Staged) {
        let staged = self.segments.blobs().stage(Bytes::from_static(bytes)).await.unwrap();
        let files = vec![File { suffix: ".idx".into(), length: staged.size() }];
        let body = Body { hash: staged.hash().0.to_vec(), files };
        (Segment { id: vec![id; 16], documents: 1, bodies: vec![body], ..Segment::default() }, staged)
    }

    async fn publish(
        &self,
        fence: &Fence,
        (edition, before): (u32, &Manifest),
        (segments, staged): (Vec<Segment>, &[Staged]),
        upto: u64,
    ) -> Result<Manifest, Error> {
        let cursor = Indexed { upto, ..Indexed::default() };
        let cursors = BTreeMap::from([(ACCOUNT, Cursor::Grown(cursor))]);
        let what = Publication { edition, before, segments: Some(segments), staged, cursors: &cursors };
        self.segments.publish(fence, &what).await
    }

    async fn holds(&self, staged: &Staged, edition: u32) -> bool {
        let owner = BlobOwner::Index { shard: SHARD, edition };
        self.segments.blobs().holds(staged.hash(), owner).await.unwrap()
    }

    async fn findings(&self) -> Vec<findings::Kind> {
        let read = self.segments.db.read("test", |txn| async move {
            let mut found = Vec::new();
            for (key, value) in txn.range(b"X", b"Y").collect().await? {
                found.extend(check_row_in(&txn, &key, &value).await?.findings);
            }
            Ok::<_, Error>(found)
        });
        read.await.unwrap().iter().map(|finding| finding.kind).collect()
    }
}

/// A writer that was paused, and whose lease others revoked, publishes nothing, whatever it has prepared.
#[tokio::test]
async fn of_two_writers_one_publishes() {
    let w = World::new().await;
    let (a, b) = (w.join("a").await, w.join("b").await);
    let paused = w.take(a).await;
    assert_eq!(w.segments.ensure(&paused).await.unwrap().current, 1);
    let (one, first) = w.segment(1, b"the first file").await;
    let manifest = w
        .publish(&paused, (1, &Manifest::default()), (vec![one.clone()], std::slice::from_ref(&first)), 5)
        .await
        .unwrap();
    assert_eq!(manifest.generation, 1);

    // It has prepared this when it stops.
    let (two, second) = w.segment(2, b"the second file").await;
    let renewals = w.leases.observe(&[a.node]).await.unwrap().renewals[&a.node];
    assert!(w.leases.revoke(a, renewals).await.unwrap());
    let fence = w.take(b).await;
    let (three, third) = w.segment(3, b"the third file").await;
    let after = w.publish(&fence, (1, &manifest), (vec![one.clone(), three], &[third]), 7).await.unwrap();

    let late = w.publish(&paused, (1, &manifest), (vec![one.clone(), two.clone()], &[second]), 9).await;
    assert!(late.unwrap_err().is_fenced());
    assert!(matches!(w.segments.ensure(&paused).await, Err(error) if error.is_fenced()));
    assert!(matches!(w.segments.promote(&paused, 2).await, Err(error) if error.is_fenced()));
    // Nor does one whose fence is good, but who goes by an older manifest.
    let (four, fourth) = w.segment(4, b"the fourth file").await;
    let stale = w.publish(&fence, (1, &manifest), (vec![one, four], &[fourth]), 9).await;
    assert!(matches!(stale, Err(Error::Moved(SHARD))));
    assert_eq!(w.segments.manifest(SHARD, 1).await.unwrap(), after);
    let view = w.segments.view(ACCOUNT).await.unwrap().unwrap();
    assert_eq!(view.cursor.map(|cursor| (cursor.upto, cursor.generation)), Some((7, 2)));
    assert!(w.findings().await.is_empty());
}

#[tokio::test]
async fn what_is_replaced_is_let_go_and_deleted_after_the_grace_period() {
    let w = World::new().await;
    let fence = w.take(w.join("a").await).await;
    w.segments.ensure(&fence).await.unwrap();
    let (one, first) = w.segment(1, b"the first file").await;
    let (nothing, staged) = (Manifest::default(), std::slice::from_ref(&first));
    let before = w.publish(&fence, (1, &nothing), (vec![one], staged), 5).await.unwrap();
    let (two, second) = w.segment(2, b"the second file").await;
    w.publish(&fence, (1, &before), (vec![two], std::slice::from_ref(&second)), 5).await.unwrap();
    assert!(!w.holds(&first, 1).await && w.holds(&second, 1).await);
    let blobs = w.segments.blobs();
    assert!(blobs.read(first.hash(), 0..3).await.is_ok(), "who reads the older manifest finds it");
    w.clock.advance(blobs.options().grace + Duration::from_secs(1));
    assert_eq!(blobs.collect(10).await.unwrap().deleted, 1);
    assert!(blobs.read(first.hash(), 0..3).await.is_err() && blobs.read(second.hash(), 0..3).await.is_ok());
}

#[tokio::test]
async fn a_new_edition_takes_the_place_of_the_old_one() {
    let w = World::new().await;
    let fence = w.take(w.join("a").await).await;
    w.segments.ensure(&fence).await.unwrap();
    let (one, first) = w.segment(1, b"the first file").await;
    let staged = std::slice::from_ref(&first);
    w.publish(&fence, (1, &Manifest::default()), (vec![one.clone()], staged), 5).await.unwrap();
    assert!(!w.segments.rebuild(SHARD, "too soon", 1_000).await.unwrap());
    assert!(w.segments.rebuild(SHARD, "asked for", 0).await.unwrap());
    assert!(!w.segments.rebuild(SHARD, "again", 0).await.unwrap(), "it is under way");
    assert!(matches!(w.segments.rebuild(99, "x", 0).await, Err(Error::NoShard(99))));
    w.publish(&fence, (2, &Manifest::default()), (vec![one], staged), 9).await.unwrap();
    let upto = async || w.segments.view(ACCOUNT).await.unwrap().unwrap().cursor.unwrap().upto;
    assert_eq!(upto().await, 5, "the old one answers");
    assert!(w.findings().await.is_empty());
    w.segments.promote(&fence, 2).await.unwrap();
    assert_eq!(upto().await, 9);
    assert!(!w.holds(&first, 1).await && w.holds(&first, 2).await);
    assert!(w.findings().await.is_empty());
    assert!(matches!(w.segments.promote(&fence, 2).await, Err(Error::Moved(SHARD))));
    let seen = &w.segments.editions().await.unwrap()[SHARD as usize];
    assert_eq!((seen.current.segments.len(), seen.building.segments.len()), (1, 0));
    assert_eq!(seen.state.as_ref().map(|state| state.reason.as_str()), Some("asked for"));
}

#[tokio::test]
async fn nothing_is_written_before_every_node_knows_it() {
    let w = World::new().await;
    let old = w.leases.join(&node("old", level::SEARCH - 1)).await.unwrap();
    let a = w.join("a").await;
    let fence = w.take(a).await;
    assert!(matches!(w.segments.ensure(&fence).await, Err(Error::Level(_))));
    assert!(matches!(w.segments.rebuild(SHARD, "x", 0).await, Err(Error::Level(_))));
    assert_eq!(w.segments.view(ACCOUNT).await.unwrap(), None);
    w.leases.leave(old).await.unwrap();
    w.leases.raise_level(level::SEARCH).await.unwrap();
    assert_eq!(w.segments.ensure(&fence).await.unwrap().current, 1);
}

#[tokio::test]
async fn accounts_that_changed_are_due() {
    let w = World::new().await;
    let fence = w.take(w.join("a").await).await;
    w.segments.ensure(&fence).await.unwrap();
    let change = async |there: bool| {
        let changed = w.segments.db.transact("test", |txn| async move {
            txn.set(&LastIdKey::Account.encode(), &LastId { id: 5 }.to_bytes());
            let stamp = kv::Versionstamp::new(7, 0);
            let key = LastChangeKey { account: ACCOUNT }.encode();
            if there {
                txn.set(&key, stamp.as_bytes());
            } else {
                txn.clear(&key);
            }
            Ok::<_, Error>(())
        });
        changed.await.unwrap();
    };
    use schema::keys::account::LastIdKey;
    let due = async || w.segments.due(1, ACCOUNT.0).await.unwrap();
    assert!(due().await.is_empty());
    change(true).await;
    assert_eq!(due().await[0].state, Some(schema::ModSeq(7)));
    let cursors = |cursor| BTreeMap::from([(ACCOUNT, cursor)]);
    let move_to = async |cursor: Cursor| {
        let (before, cursors) = (Manifest::default(), cursors(cursor));
        let what =
            Publication { edition: 1, before: &before, segments: None, staged: &[], cursors: &cursors };
        w.segments.publish(&fence, &what).await.unwrap();
    };
    move_to(Cursor::Moved(Indexed { upto: 6, ..Indexed::default() })).await;
    assert_eq!(due().await.len(), 1);
    move_to(Cursor::Moved(Indexed { upto: 7, ..Indexed::default() })).await;
    assert!(due().await.is_empty());
    let filling = Some(Filling::default());
    move_to(Cursor::Moved(Indexed { upto: 7, filling, ..Indexed::default() })).await;
    assert_eq!(due().await.len(), 1);
    change(false).await;
    assert_eq!(due().await[0].state, None, "it is gone, and something of it is left");
    move_to(Cursor::Gone).await;
    assert!(due().await.is_empty());
}

#[tokio::test]
async fn what_belongs_to_no_edition_and_what_is_lost_is_found_and_mended() {
    use findings::Kind;
    let w = World::new().await;
    let fence = w.take(w.join("a").await).await;
    w.segments.ensure(&fence).await.unwrap();
    let (one, first) = w.segment(1, b"the first file").await;
    w.publish(&fence, (1, &Manifest::default()), (vec![one.clone()], &[first]), 5).await.unwrap();
    let odd = Manifest { segments: vec![one], ..Manifest::default() };
    let hash = odd.segments[0].bodies[0].hash().unwrap();
    let damage = w.segments.db.transact("test", |txn| {
        let odd = odd.to_bytes();
        async move {
            txn.set(&ManifestKey { shard: SHARD, edition: 9 }.encode(), &odd);
            let indexed = Indexed::default().to_bytes();
            txn.set(&IndexedKey { shard: SHARD, edition: 9, account: ACCOUNT }.encode(), &indexed);
            txn.set(&IndexedKey { shard: SHARD, edition: 1, account: AccountId(19) }.encode(), b"\x01\xff");
            let owner = BlobOwner::Index { shard: SHARD, edition: 1 };
            txn.clear(&schema::keys::blob::BlobReferenceKey { hash, owner }.encode());
            Ok::<_, Error>(())
        }
    });
    damage.await.unwrap();
    let kinds = w.findings().await;
    assert_eq!(kinds, [Kind::Unreadable, Kind::SearchStale, Kind::SearchDamaged, Kind::SearchStale]);
    let rows = w.segments.db.read("test", |txn| async move { txn.range(b"X", b"Y").collect().await });
    for (key, value) in rows.await.unwrap() {
        let (db, blobs) = (&w.segments.db, w.segments.blobs());
        let (key, value) = (&key, &value);
        let mended = db.transact("test", |txn| async move {
            for finding in check_row_in(&txn, key, value).await?.findings {
                mend_in(&txn, blobs, &finding).await?;
            }
            Ok::<_, Error>(())
        });
        mended.await.unwrap();
    }
    assert_eq!(w.findings().await, [Kind::SearchDamaged], "until the new edition answers");
    assert_eq!(w.segments.ensure(&fence).await.unwrap().building, 2);
}
