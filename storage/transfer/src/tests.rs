//! Copies as a whole: random writers, faults, every point of being cut short, the hand-over.

use crate::{
    Bodies, Copy, Direct, Error, Options, Pieces, Report, Source, Standing, abandon, admit, standing,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use kv::contract::wrap;
use kv::fault::Plan;
use kv::{Database, RangePage, Row};
use runtime::{Rng, SeededRng, SharedClock, SharedRng, SystemClock, SystemRng};
use schema::keys::system::{IncarnationKey, TransferPieceKey};
use schema::records::system::{Incarnation, TransferPiece};
use schema::{Key, QueueId, Record};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

async fn write(db: &Database, rows: &[(Vec<u8>, Option<Vec<u8>>)]) {
    let written = db.transact("test", |txn| async move {
        for (key, value) in rows {
            match value {
                Some(value) => txn.set(key, value),
                None => txn.clear(key),
            }
        }
        Ok::<_, Error>(())
    });
    written.await.unwrap();
}

/// Some random writes and clears of ranges in all families.
async fn meddle(db: &Database, rng: &SeededRng, count: u64) {
    const FAMILIES: &[&[u8]] =
        &[b"", b"A\x01", b"A\x02", b"Bc", b"Bx", b"J", b"Pp", b"Q", b"Sv", b"Z", b"\xfe"];
    for _ in 0..count {
        let family = FAMILIES[rng.below(FAMILIES.len() as u64) as usize];
        let key = [family, &rng.below(2_000).to_be_bytes()[6..]].concat();
        let value = vec![rng.below(9) as u8; rng.below(900) as usize];
        match rng.below(20) {
            0 => {
                let end = [&key[..], &[0xff]].concat();
                let cleared = db.transact("test", |txn| {
                    let (begin, end) = (key.clone(), end.clone());
                    async move {
                        txn.clear_range(&begin[..begin.len() - 1], &end);
                        Ok::<_, Error>(())
                    }
                });
                cleared.await.unwrap();
            }
            1..4 => write(db, &[(key, None)]).await,
            _ => write(db, &[(key, Some(value))]).await,
        }
    }
}

/// A store with an incarnation and some rows.
async fn source(seed: u64, count: u64) -> Database {
    let db = kv::memory::database();
    let incarnation = Incarnation { number: 100 + seed, created: 1 };
    write(&db, &[(IncarnationKey.encode(), Some(incarnation.to_bytes()))]).await;
    write(&db, &[(b"Itoken".to_vec(), Some(b"of this store".to_vec()))]).await;
    meddle(&db, &SeededRng::new(seed), count).await;
    db
}

/// All rows that a copy has to have.
async fn rows(db: &Database) -> Vec<Row> {
    let mut all = Vec::new();
    for (begin, end) in crate::ranges::copied(false) {
        let (begin, end) = (&begin, &end);
        let part = db.read("test", |txn| async move { txn.range(begin, end).collect().await });
        all.extend(part.await.unwrap());
    }
    all
}

fn clock_and_rng() -> (SharedClock, SharedRng) {
    (SystemClock::shared(), SystemRng::shared())
}

async fn begin(from: Arc<dyn Source>, to: &Database, bodies: Option<Bodies>) -> Result<Arc<Copy>, Error> {
    let (clock, rng) = clock_and_rng();
    Copy::begin(from, to, bodies, Options { workers: 3, ..Options::default() }, clock, rng).await
}

async fn copy(from: &Database, to: &Database) -> Arc<Copy> {
    begin(Arc::new(Direct::new(from)), to, None).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn passes_come_nearer_and_the_last_one_is_right() {
    for seed in 0..20 {
        let rng = SeededRng::new(1_000 + seed);
        let (from, to) = (source(seed, 800).await, kv::memory::database());
        let running = copy(&from, &to).await;
        assert!(matches!(standing(&to).await.unwrap(), Standing::Unfinished(_)));
        for _ in 0..3 {
            // Somebody writes while it copies.
            let (report, ()) = tokio::join!(running.pass(), meddle(&from, &rng, 50));
            let report = report.unwrap();
            assert!(report.rows > 0);
            meddle(&from, &rng, 20).await;
        }
        let few = running.pass().await.unwrap();
        assert!(few.changes() < 150, "{few:?}");
        assert_eq!(running.pass().await.unwrap().changes(), 0, "nothing has changed");
        assert_eq!(rows(&to).await, rows(&from).await);
        meddle(&from, &rng, 30).await;
        let finished = running.finish(&from, "the other", None).await.unwrap();
        assert_eq!(rows(&to).await, rows(&from).await, "seed {seed}");
        assert!(finished.pass.equal > 0);
        admit(&to).await.unwrap();
        assert!(matches!(admit(&from).await, Err(Error::Sealed { heir }) if heir == "the other"));
        // What the destination commits now is above all that the rows carry.
        let next = to.transact_versioned("test", |txn| async move {
            txn.set(b"k", b"v");
            Ok::<_, Error>(())
        });
        assert!(next.await.unwrap().1.version() > finished.version);
        assert!(finished.version >= 800);
    }
}

#[tokio::test(start_paused = true)]
async fn faults_of_either_store_do_no_harm() {
    for seed in 0..25 {
        let rng = SeededRng::new(2_000 + seed);
        let (from, to) = (source(seed, 300).await, kv::memory::database());
        let (from_, _a) = wrap(&from, Plan::HARSH, seed);
        let (to_, _b) = wrap(&to, Plan::HARSH, seed + 1);
        let running = copy(&from_, &to_).await;
        running.pass().await.unwrap();
        meddle(&from, &rng, 40).await;
        running.pass().await.unwrap();
        // Where the source has faults nobody can tell whether it is still.
        running.finish(&from, "the other", None).await.unwrap();
        assert_eq!(rows(&to).await, rows(&from).await, "seed {seed}");
    }
}

/// A store whose pages are smaller than what is asked for, however much that is.
#[tokio::test(start_paused = true)]
async fn short_pages_are_put_together() {
    let (from, to) = (source(12, 800).await, kv::memory::database());
    let (short, _faults) = wrap(&to, Plan { short_page: 1_000, ..Plan::NONE }, 1);
    let running = copy(&from, &short).await;
    running.pass().await.unwrap();
    meddle(&from, &SeededRng::new(13), 20).await;
    let second = running.pass().await.unwrap();
    assert!(second.changes() < 50, "only what has changed is written: {second:?}");
    running.finish(&from, "the other", None).await.unwrap();
    assert_eq!(rows(&to).await, rows(&from).await);
}

/// Gives so many pages, and then fails.
struct Failing {
    inner: Direct,
    left: AtomicUsize,
}

impl Source for Failing {
    fn page<'a>(&'a self, begin: &'a [u8], end: &'a [u8]) -> BoxFuture<'a, Result<RangePage, Error>> {
        Box::pin(async move {
            let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            left.map_err(|_| Error::Source("injected".to_owned()))?;
            self.inner.page(begin, end).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_wherever_it_was_cut_short() {
    let from = source(1, 400).await;
    let rng = SeededRng::new(3_000);
    let mut cut = 0;
    for pages in 2..200 {
        let to = kv::memory::database();
        let failing = |pages| Arc::new(Failing { inner: Direct::new(&from), left: AtomicUsize::new(pages) });
        let first = begin(failing(pages), &to, None).await.unwrap();
        let outcome = first.pass().await;
        cut += usize::from(outcome.is_err());
        assert!(matches!(outcome, Ok(_) | Err(Error::Source(_))));
        meddle(&from, &rng, 2).await;
        // Another process, cut short in its turn.
        let second = begin(failing(pages), &to, None).await.unwrap();
        let _ = second.pass().await;
        assert!(matches!(first.pass().await, Err(Error::TakenOver)), "of two the first stops");
        let last = copy(&from, &to).await;
        let passed = last.has_passed();
        let report = last.pass().await.unwrap();
        assert_eq!(report.pass, if passed { report.pass } else { 1 }, "it goes on with the first pass");
        let finished = last.finish(&from, "the other", None).await;
        finished.unwrap();
        assert_eq!(rows(&to).await, rows(&from).await, "cut after {pages} pages");
        abandon(&from, &kv::memory::database(), &SystemClock::new()).await.unwrap();
        if outcome.is_ok() {
            break;
        }
    }
    assert!(cut > 50, "{cut}");
}

/// As a process that is killed: between any two commits of the destination.
#[tokio::test(start_paused = true)]
async fn it_goes_on_wherever_it_was_killed() {
    let from = source(7, 150).await;
    let mut killed = 0;
    for turns in (0..1_200).step_by(13) {
        let to = kv::memory::database();
        let (slow, _faults) = wrap(&to, Plan::STALLS, turns);
        let whole = async {
            let running = copy(&from, &slow).await;
            running.pass().await?;
            running.finish(&from, "the other", None).await
        };
        let turns_over = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = turns_over => killed += 1,
            finished = whole => drop(finished.unwrap()),
        }
        // Workers that were killed are gone before another process begins.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let again = begin(Arc::new(Direct::new(&from)), &to, None).await;
        match again {
            Ok(again) => drop(again.finish(&from, "the other", None).await.unwrap()),
            Err(e) => assert!(matches!(e, Error::Finished), "{e}"),
        }
        admit(&to).await.unwrap();
        assert_eq!(rows(&to).await, rows(&from).await, "killed after {turns} turns");
        abandon(&from, &kv::memory::database(), &SystemClock::new()).await.unwrap();
    }
    assert!(killed > 10, "{killed}");
}

#[tokio::test(start_paused = true)]
async fn pieces_know_what_has_changed() {
    let (from, to) = (source(3, 600).await, kv::memory::database());
    let running = copy(&from, &to).await;
    let first = running.pass().await.unwrap();
    assert_eq!((first.pass, first.cleared), (1, 0));
    assert_eq!(first.written, first.rows);
    write(&from, &[(b"A\x01new".to_vec(), Some(b"1".to_vec())), (b"Z\0\0".to_vec(), None)]).await;
    let second = running.pass().await.unwrap();
    assert!((1..=2).contains(&second.changes()), "{second:?}");
    assert_eq!(rows(&to).await, rows(&from).await);
    // A piece that has grown beyond a page is cut.
    let many: Vec<_> =
        (0..9_000u32).map(|n| ([b"A\x01m", &n.to_be_bytes()[..]].concat(), Some(vec![1]))).collect();
    for batch in many.chunks(1_000) {
        write(&from, batch).await;
    }
    assert_eq!(running.pass().await.unwrap().written, 9_000);
    assert_eq!(rows(&to).await, rows(&from).await);
    // And one that has lost nearly everything is cleared.
    let none: Vec<_> = many.iter().map(|(key, _)| (key.clone(), None)).collect();
    for batch in none.chunks(1_000) {
        write(&from, batch).await;
    }
    assert!(running.pass().await.unwrap().cleared > 0);
    assert_eq!(rows(&to).await, rows(&from).await);
}

#[tokio::test(start_paused = true)]
async fn the_last_pass_does_not_trust_what_was_noted() {
    let (from, to) = (source(4, 100).await, kv::memory::database());
    let running = copy(&from, &to).await;
    running.pass().await.unwrap();
    // Somebody else's hand in the destination.
    write(&to, &[(b"A\x01strange".to_vec(), Some(b"1".to_vec())), (b"Si".to_vec(), Some(b"1".to_vec()))])
        .await;
    assert_eq!(running.pass().await.unwrap().changes(), 0, "digests are the source's");
    let finished = running.finish(&from, "the other", None).await.unwrap();
    assert_eq!(finished.pass.changes(), 2);
    assert_eq!(rows(&to).await, rows(&from).await);
    let left = to.read("test", |txn| async move { txn.scan_prefix(b"St").collect().await });
    assert_eq!(left.await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_written_to_is_not_finished() {
    let (from, to) = (source(5, 200).await, kv::memory::database());
    let running = copy(&from, &to).await;
    running.pass().await.unwrap();
    let (slow, _faults) = wrap(&to, Plan::STALLS, 1);
    let running = copy(&from, &slow).await;
    let writer = async {
        while admit(&from).await.is_ok() {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        write(&from, &[(b"A\x01late".to_vec(), Some(b"1".to_vec()))]).await;
    };
    let (finished, ()) = tokio::join!(running.finish(&from, "the other", None), writer);
    assert!(matches!(finished, Err(Error::Disturbed)), "{finished:?}");
    assert!(matches!(admit(&to).await, Err(Error::Unfinished)));
    running.finish(&from, "the other", None).await.unwrap();
    assert_eq!(rows(&to).await, rows(&from).await);
}

#[tokio::test(start_paused = true)]
async fn a_destination_is_empty_or_a_copy_of_the_same() {
    let (from, other, to) = (source(6, 50).await, source(7, 50).await, kv::memory::database());
    let refused = async |from: &Database, to: &Database| {
        begin(Arc::new(Direct::new(from)), to, None).await.err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(refused(&kv::memory::database(), &to).await.contains("nothing to copy"));
    assert!(refused(&from, &other).await.contains("not empty"));
    let running = copy(&from, &to).await;
    running.pass().await.unwrap();
    assert!(refused(&other, &to).await.contains("another store"));
    let bodies = || {
        let place = || ("x".to_owned(), Arc::new(Pieces::new(Arc::new(Direct::new(&from)))) as Arc<_>);
        Bodies::new(place(), place(), "/nowhere".into())
    };
    assert_eq!(refused(&from, &to).await, "");
    let running = copy(&from, &to).await;
    running.finish(&from, "the other", None).await.unwrap();
    assert!(refused(&from, &to).await.contains("finished already"));
    // And back: exactly one may be served at each time.
    abandon(&from, &to, &SystemClock::new()).await.unwrap();
    admit(&from).await.unwrap();
    assert!(matches!(admit(&to).await, Err(Error::Unfinished)));
    assert!(matches!(abandon(&other, &to, &SystemClock::new()).await, Err(Error::OtherSource)));
    meddle(&from, &SeededRng::new(9), 50).await;
    let again = begin(Arc::new(Direct::new(&from)), &to, Some(bodies())).await.unwrap();
    again.pass().await.unwrap();
    assert_eq!(rows(&to).await, rows(&from).await, "nothing was noted, and it is not empty");
    assert!(refused(&from, &to).await.contains("begun with bodies"));
}

/// Bodies of all sizes from chunks in one store to objects elsewhere.
#[tokio::test]
async fn bodies_go_before_the_rows_that_name_them() {
    let (clock, rng) = clock_and_rng();
    let dir = tempfile::tempdir().unwrap();
    let options = blob::Options { inline_max: 1_000, ..blob::Options::default() };
    let open = |place: &blob::Place, name: &str, db: &Database| {
        let (clock, rng) = (clock.clone(), rng.clone());
        blob::Store::open_at(place, &dir.path().join(name), db.clone(), clock, rng, options.clone()).unwrap()
    };
    let (from, to) = (source(8, 20).await, kv::memory::database());
    let store = open(&blob::Place::Chunks, "a", &from);
    let mut hashes = Vec::new();
    for (n, len) in [0usize, 10, 1_000, 1_001, 89_999, 300_000, 1_500_000].into_iter().enumerate() {
        let mut bytes = vec![0; len];
        SeededRng::new(n as u64).fill(&mut bytes);
        let staged = &store.stage(bytes.into()).await.unwrap();
        let store = &store;
        let held = from.transact("test", |txn| async move {
            store.reference_in(&txn, staged, blob::BlobOwner::Queue(QueueId(n as u64))).await
        });
        held.await.unwrap();
        hashes.push(staged.hash());
    }
    let objects = |place: &blob::Place, name: &str, db: &Database| {
        let dir = dir.path().join(name);
        let objects = place.objects(&dir, db, &clock, options.timeout).unwrap();
        (place.identity(&dir), objects)
    };
    let direct: Arc<dyn Source> = Arc::new(Direct::new(&from));
    let pieces = (blob::Place::Chunks.identity(dir.path()), Arc::new(Pieces::new(direct.clone())) as Arc<_>);
    let files = objects(&blob::Place::Files, "b", &to);
    let bodies = Bodies::new(pieces, files, dir.path().join("b/spill"));
    let running = begin(direct, &to, Some(bodies)).await.unwrap();
    let report = running.pass().await.unwrap();
    assert_eq!(report.bodies, 4);
    assert!(report.body_bytes > 1_890_000);
    let reader = open(&blob::Place::Files, "b", &to);
    let finished = running.finish(&from, "the other", Some(&reader)).await.unwrap();
    let verified = finished.bodies.unwrap();
    assert_eq!((verified.bodies, verified.faults), (7, 0));
    for hash in &hashes {
        let there = reader.read(*hash, 0..u64::MAX).await.unwrap();
        assert_eq!(there, store.read(*hash, 0..u64::MAX).await.unwrap());
    }
    assert!(rows(&to).await.iter().all(|(key, _)| !key.starts_with(b"Bo") && !key.starts_with(b"Bn")));
    lost_bodies_are_named(&dir, &from, &hashes).await;
}

/// A source that has lost a body: the copy ends, or takes it over as it is.
async fn lost_bodies_are_named(dir: &tempfile::TempDir, from: &Database, hashes: &[schema::BlobHash]) {
    let (clock, rng) = clock_and_rng();
    let lost = hashes[5];
    let (begin_, end) = (&[&b"Bo"[..], &lost.0].concat(), &[&b"Bo"[..], &lost.0, &[0xff; 17]].concat());
    let cleared = from.transact("test", |txn| async move {
        txn.clear_range(begin_, end);
        Ok::<_, Error>(())
    });
    cleared.await.unwrap();
    let to = kv::memory::database();
    let direct: Arc<dyn Source> = Arc::new(Direct::new(from));
    let pieces = ("chunks".to_owned(), Arc::new(Pieces::new(direct.clone())) as Arc<_>);
    let place = dir.path().join("c");
    let files = blob::Place::Files.objects(&place, &to, &clock, std::time::Duration::from_secs(9)).unwrap();
    let bodies = Bodies::new(pieces, ("files".to_owned(), files), place.join("spill"));
    let running = begin(direct.clone(), &to, Some(bodies.clone())).await.unwrap();
    assert!(matches!(running.pass().await, Err(Error::Lost { hash, .. }) if hash == lost));
    let lenient = Options { accept_damaged: true, ..Options::default() };
    let running = Copy::begin(direct, &to, Some(bodies), lenient, clock.clone(), rng.clone()).await.unwrap();
    assert_eq!(running.pass().await.unwrap().damaged, 1);
    let reader = blob::Store::open(&place, to.clone(), clock, rng, blob::Options::default()).unwrap();
    let finished = running.finish(from, "the other", Some(&reader)).await.unwrap();
    let verified = finished.bodies.unwrap();
    assert_eq!((verified.bodies, verified.faults), (7, 1));
    assert!(verified.first_fault.unwrap().contains(&lost.to_string()));
}

#[tokio::test(start_paused = true)]
async fn what_was_noted_covers_the_key_space_without_gaps() {
    let (from, to) = (source(9, 500).await, kv::memory::database());
    let running = copy(&from, &to).await;
    for _ in 0..3 {
        running.pass().await.unwrap();
        meddle(&from, &SeededRng::new(11), 100).await;
    }
    let (begin, end) = &TransferPieceKey::range();
    let noted = to.read("test", |txn| async move { txn.range(begin, end).collect().await }).await.unwrap();
    let pieces: Vec<(Bytes, Bytes)> = noted
        .iter()
        .map(|(key, value)| {
            let begin = TransferPieceKey::decode(key).unwrap().begin;
            (begin.into(), TransferPiece::from_bytes(value).unwrap().end.into())
        })
        .collect();
    for (begin, end) in crate::ranges::copied(false) {
        let mut at = begin.clone();
        for (from, to) in pieces.iter().filter(|piece| begin <= piece.0 && piece.0 < end) {
            assert_eq!(*from, at);
            at = to.clone();
        }
        assert_eq!(at, end);
    }
    assert_eq!(running.report(), Report { pass: 3, ..running.report() });
}
