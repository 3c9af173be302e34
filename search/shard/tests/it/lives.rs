//! What an index is worth, and how it goes through deletion, damage, and two writers.

use std::time::Duration;

use bytes::Bytes;
use godwit_shard::{Scanned, Turn};
use leases::Node;
use query::{Error, Filter, Needle, NoIndex};
use schema::keys::search::ManifestKey;
use schema::{AccountId, Key as _, Record as _, level};

use crate::world::{ALICE, BOB, World, settle};

fn message(n: usize, text: &str) -> String {
    let line = "some line of ordinary text that is of no interest\r\n".repeat(20);
    format!("Subject: number {n}\r\n\r\n{line}{text} {n}\r\n")
}

fn body(text: &str) -> Filter {
    Filter::Body(Needle::new(text))
}

async fn filled(world: &World, account: AccountId, count: usize) {
    let at = world.inbox(account).await;
    for n in 0..count {
        world.append(at, message(n, "needle")).await;
    }
}

async fn scanned(world: &World) -> Option<Scanned> {
    world.searcher.ask(ALICE, &body("needle")).await.unwrap().err()
}

/// For an answer of the index no message is read: only the tail is.
#[tokio::test]
async fn what_is_sure_is_not_looked_at() {
    let world = World::new(1, 1 << 20).await;
    filled(&world, ALICE, 300).await;
    let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
    assert_eq!(scanned(&world).await, Some(Scanned::NoIndex));
    settle(&mut shard).await;
    let cheap = async |filter: Filter| world.found(&world.searcher, at, &filter, 60_000).await;
    assert_eq!(cheap(body("needle 7")).await.unwrap().len(), 11);
    assert_eq!(cheap(body("needle")).await.unwrap().len(), 300);
    let all = [body("needle"), Filter::Larger(10), body("haystack").negated()];
    assert_eq!(cheap(Filter::And(all.to_vec())).await.unwrap().len(), 300);
    let by_scan = world.found(&NoIndex, at, &body("needle"), 60_000).await;
    assert!(matches!(by_scan, Err(Error::Budget(_))));
    // Mail is found the moment it is there.
    world.append(at, message(1000, "needle")).await;
    assert_eq!(cheap(body("needle 1000")).await.unwrap().iter().collect::<Vec<_>>(), [301]);
    let told = world.searcher.ask(ALICE, &body("needle 1000")).await.unwrap().unwrap();
    assert_eq!((told.sure.len(), told.maybe.len(), told.tail), (0, 1, 1));
    settle(&mut shard).await;
    let told = world.searcher.ask(ALICE, &body("needle 1000")).await.unwrap().unwrap();
    assert_eq!((told.sure.len(), told.maybe.len(), told.tail), (1, 0, 0));
}

/// Words are found in any of their forms, those that fit best first.
#[tokio::test]
async fn words_are_ranked() {
    let world = World::new(6, 1 << 20).await;
    let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
    assert_eq!(world.searcher.rank(ALICE, "reporting", 10).await.unwrap(), None);
    world.append(at, message(1, "she is reporting on things that were reported")).await;
    world.append(at, message(2, "nothing of interest here")).await;
    world.append(at, "Subject: the report\r\n\r\nThe report, as reports are written.\r\n".into()).await;
    settle(&mut shard).await;
    let ranked = world.searcher.rank(ALICE, "reporting", 10).await.unwrap().unwrap();
    let emails: Vec<_> = ranked.iter().map(|one| one.email).collect();
    let mut uids = Vec::new();
    for email in emails {
        uids.extend(world.mail.uids_of(at, &[email]).await.unwrap().iter());
    }
    assert_eq!(uids, [3, 1]);
    assert!(ranked[0].score > ranked[1].score);
    // The same through a search of a mailbox; what came just now matches as it is.
    world.append(at, message(4, "reporting")).await;
    let fuzzy = Filter::Fuzzy("reporting".into(), Box::new(body("reporting")));
    let found = world.found(&world.searcher, at, &fuzzy, u64::MAX).await.unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), [1, 3, 4]);
    let others = world.found(&world.searcher, at, &fuzzy.negated(), u64::MAX).await.unwrap();
    assert_eq!(others.iter().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn files_that_are_away_or_damaged_are_done_without_and_made_anew() {
    let world = World::new(2, 1 << 20).await;
    filled(&world, ALICE, 40).await;
    let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
    settle(&mut shard).await;
    assert!(!world.far.objects.names().is_empty(), "the segment is an object");
    world.set_away(true);
    assert_eq!(scanned(&world).await, Some(Scanned::Away));
    assert_eq!(world.agree(at, &body("needle 1"), "away").await.len(), 11);
    // Mail that is to be indexed waits until they are back.
    for n in 100..130 {
        world.append(at, message(n, "needle")).await;
    }
    assert!(shard.turn().await.is_err());
    assert_eq!(world.agree(at, &body("needle 100"), "away").await.len(), 1);
    world.set_away(false);
    settle(&mut shard).await;
    assert_eq!(scanned(&world).await, None);

    for name in world.far.objects.names() {
        world.far.objects.damage(&name, Bytes::from_static(&[0xa5; 64]));
    }
    // Another node, which has read nothing yet; some time after the edition was begun.
    world.clock.advance(Duration::from_secs(3_600));
    let fresh = godwit_shard::Searcher::new(
        world.segments.clone(),
        world.mail.clone(),
        index::FileCache::new(1 << 20),
        world.clock.clone(),
    );
    assert_eq!(fresh.ask(ALICE, &body("needle")).await.unwrap().err(), Some(Scanned::Damaged));
    assert_eq!(world.found(&fresh, at, &body("needle 1"), u64::MAX).await.unwrap().len(), 41);
    assert_ne!(world.segments.editions().await.unwrap()[3].state.as_ref().unwrap().building, 0);
    settle(&mut shard).await;
    world.clock.advance(Duration::from_secs(6));
    assert_eq!(fresh.ask(ALICE, &body("needle")).await.unwrap().unwrap().sure.len(), 70);
}

/// Renames the files of the shard's segments, as those of the first format were named.
async fn of_the_first_format(world: &World) {
    let key = ManifestKey { shard: 3, edition: 1 }.encode();
    let mut manifest = world.segments.manifest(3, 1).await.unwrap();
    manifest.segments[0].bodies[0].files.retain(|file| file.suffix != ".forms");
    for file in &mut manifest.segments[0].bodies[0].files {
        file.suffix = file.suffix.replace(".pieces", ".parts");
    }
    let (key, bytes) = (&key, &manifest.to_bytes());
    let db = world.segments.database();
    let written = db.transact("test.format", |txn| async move {
        txn.set(key, bytes);
        Ok::<_, segments::Error>(())
    });
    written.await.unwrap();
}

#[tokio::test]
async fn an_index_of_another_format_is_made_anew_by_itself() {
    let world = World::new(2, 1 << 20).await;
    filled(&world, ALICE, 40).await;
    let (at, fence) = (world.inbox(ALICE).await, world.take(world.me).await);
    let mut shard = world.indexer.shard(fence);
    settle(&mut shard).await;
    assert_eq!(scanned(&world).await, None);
    of_the_first_format(&world).await;
    // A new program, which has read nothing yet.
    let fresh = godwit_shard::Searcher::new(
        world.segments.clone(),
        world.mail.clone(),
        index::FileCache::new(1 << 20),
        world.clock.clone(),
    );
    assert_eq!(fresh.ask(ALICE, &body("needle")).await.unwrap().err(), Some(Scanned::Damaged));
    assert_eq!(world.found(&fresh, at, &body("needle 1"), u64::MAX).await.unwrap().len(), 11);
    drop(shard);
    let mut shard = world.indexer.shard(fence);
    settle(&mut shard).await;
    let state = world.segments.editions().await.unwrap()[3].state.clone().unwrap();
    assert_eq!((state.current, state.building), (2, 0));
    world.clock.advance(Duration::from_secs(6));
    assert_eq!(fresh.ask(ALICE, &body("needle")).await.unwrap().unwrap().sure.len(), 40);
}

#[tokio::test]
async fn an_account_that_is_removed_leaves_nothing_behind() {
    let world = World::new(3, 1 << 20).await;
    filled(&world, ALICE, 5).await;
    filled(&world, BOB, 5).await;
    let mut shard = world.shard().await;
    settle(&mut shard).await;
    let documents = async || {
        let seen = &world.segments.editions().await.unwrap()[3];
        seen.current.segments.iter().map(|s| s.documents - s.deleted).sum::<u32>()
    };
    assert_eq!(documents().await, 10);
    let removed = &world.mail;
    let gone = world.db.transact("test", |txn| async move {
        removed.remove_in(&txn, BOB, "bob@example.org");
        Ok::<_, segments::Error>(())
    });
    gone.await.unwrap();
    settle(&mut shard).await;
    assert_eq!(documents().await, 5);
    assert_eq!(world.segments.view(BOB).await.unwrap().unwrap().cursor, None);
    assert_eq!(world.searcher.ask(ALICE, &body("needle")).await.unwrap().unwrap().sure.len(), 5);
}

/// A writer that was paused in the middle of its work publishes nothing when it goes on.
#[tokio::test]
async fn who_was_paused_publishes_nothing() {
    let world = World::new(4, 1 << 20).await;
    filled(&world, ALICE, 5).await;
    let node = Node { name: "b".into(), level_min: 1, level_max: level::SEARCH, ..Node::default() };
    let other = world.leases.join(&node).await.unwrap();
    let mut paused = world.shard().await;
    settle(&mut paused).await;
    filled(&world, ALICE, 5).await;
    let seen = world.leases.observe(&[world.me.node]).await.unwrap();
    assert!(world.leases.revoke(world.me, seen.renewals[&world.me.node]).await.unwrap());
    let mut owner = world.indexer.shard(world.take(other).await);
    assert!(paused.turn().await.unwrap_err().is_fenced());
    settle(&mut owner).await;
    let before = world.segments.manifest(3, 1).await.unwrap();
    filled(&world, ALICE, 1).await;
    assert!(paused.turn().await.unwrap_err().is_fenced());
    assert_eq!(world.segments.manifest(3, 1).await.unwrap(), before);
    assert_eq!(world.searcher.ask(ALICE, &body("needle")).await.unwrap().unwrap().sure.len(), 10);
}

/// Many small publications become few segments.
#[tokio::test]
async fn segments_are_merged() {
    let world = World::new(5, 1 << 20).await;
    let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
    for n in 0..30 {
        world.append(at, message(n, "needle")).await;
        settle(&mut shard).await;
    }
    while shard.turn().await.unwrap() == Turn::More {}
    let segments = world.segments.manifest(3, 1).await.unwrap().segments;
    assert!(segments.len() < 12, "{}", segments.len());
    assert_eq!(world.agree(at, &body("needle"), "merged").await.len(), 30);
}

/// As many as come while there is always something else to do.
#[tokio::test]
async fn segments_are_merged_under_delivery_without_an_end() {
    let world = World::new(8, 1 << 20).await;
    let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
    for n in 0..80 {
        world.append(at, message(n, "needle")).await;
        shard.turn().await.unwrap();
    }
    let segments = world.segments.manifest(3, 1).await.unwrap().segments;
    assert!(segments.len() < 40, "{}", segments.len());
    assert_eq!(world.agree(at, &body("needle"), "merged").await.len(), 80);
}

/// A merge goes on beside the work on new mail: what it was begun with is not what is published at its end.
#[tokio::test]
async fn what_is_deleted_while_segments_are_merged_stays_deleted() {
    let world = World::new(9, 1 << 20).await;
    let (at, mut shard) = (world.inbox(ALICE).await, world.shard().await);
    for n in 1..=120 {
        world.append(at, message(n, "needle")).await;
        if n % 2 == 0 {
            world.remove(at, &[n as u32 - 1]).await;
        }
        shard.turn().await.unwrap();
    }
    settle(&mut shard).await;
    let segments = world.segments.manifest(3, 1).await.unwrap().segments;
    let there: u32 = segments.iter().map(|segment| segment.documents - segment.deleted).sum();
    assert_eq!(
        (there, world.searcher.ask(ALICE, &body("needle")).await.unwrap().unwrap().sure.len()),
        (60, 60)
    );
    assert!(segments.len() < 12, "{}", segments.len());
}

/// What was merged of an edition that another has taken the place of meanwhile is for nothing: it is published nowhere, and
/// that is no error.
#[tokio::test]
async fn a_merge_that_another_edition_overtakes_is_let_go() {
    let world = World::new(10, 1 << 20).await;
    let (at, fence) = (world.inbox(ALICE).await, world.take(world.me).await);
    let mut shard = world.indexer.shard(fence);
    // With the eighth of like size they begin to be merged, which is published in a later turn.
    for n in 0..8 {
        world.append(at, message(n, "needle")).await;
        shard.turn().await.unwrap();
    }
    assert_eq!(world.segments.manifest(3, 1).await.unwrap().segments.len(), 8);
    assert!(world.segments.rebuild(3, "asked for", 0).await.unwrap());
    world.segments.promote(&fence, 2).await.unwrap();
    // No time goes by, and no mail comes: nothing but the merge is to be done.
    settle(&mut shard).await;
    for (edition, segments) in [(1, 0), (2, 1)] {
        let known = world.segments.manifest(3, edition).await.unwrap();
        assert_eq!(known.segments.len(), segments, "edition {edition}");
    }
    assert_eq!(world.agree(at, &body("needle"), "overtaken").await.len(), 8);
    assert_eq!(world.searcher.ask(ALICE, &body("needle")).await.unwrap().unwrap().sure.len(), 8);
}

/// It counts from the turn that saw the mail, and is over when that is published.
#[tokio::test]
async fn lag_is_how_long_the_oldest_mail_has_waited() {
    let world = World::new(7, 1).await;
    let mut shard = world.shard().await;
    let lag = || world.indexer.progress()[&3].lag;
    settle(&mut shard).await;
    assert_eq!(lag(), None);
    filled(&world, ALICE, 1).await;
    filled(&world, BOB, 1).await;
    // A batch takes one of them.
    assert_eq!(shard.turn().await.unwrap(), Turn::More);
    world.clock.advance(Duration::from_secs(3));
    assert_eq!(lag(), Some(Duration::from_secs(3)));
    settle(&mut shard).await;
    assert_eq!(lag(), None);
}
