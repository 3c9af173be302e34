//! What is the same whatever the object store: a day of bodies, and every fault on the way.

use crate::world::World;
use bytes::Bytes;
use futures::TryStreamExt;
use godwit_blob::Error;
use servers::Fault;
use std::time::Duration;

/// More than two parts of an upload in parts.
const LARGE: usize = 13 << 20;
/// A request's time for who waits for what works, and for who waits for what does not.
pub(crate) const PATIENT: Duration = Duration::from_secs(15);
pub(crate) const IMPATIENT: Duration = Duration::from_millis(1_500);
/// The breaker's longest pause.
const PAUSE: Duration = Duration::from_secs(15);

/// Bodies of all sizes come in, are read in ranges and as streams, and go.
pub(crate) async fn a_day(world: &World) {
    let store = &world.store;
    for (len, id) in [10_001, 90_000, 90_001, 700_000, LARGE].into_iter().zip(0..) {
        let body = world.body(len);
        let staged = world.stage(&body).await.unwrap();
        assert!(staged.inline().is_none());
        assert_eq!(store.read_staged(&staged, 5..50).await.unwrap(), body[5..50]);
        world.hold(&staged, id).await.unwrap();
        assert_eq!(store.read(staged.hash(), 0..u64::MAX).await.unwrap(), body);
        let (from, to) = (len - 10_000, len - 100);
        assert_eq!(store.read(staged.hash(), from as u64..to as u64).await.unwrap(), body[from..to]);
        let pieces: Vec<Bytes> = store.stream(staged.hash(), 0..u64::MAX).try_collect().await.unwrap();
        assert_eq!(pieces.concat(), body);
        world.let_go(&staged, id).await;
    }
    let abandoned = world.stage(&world.body(20_000)).await.unwrap();
    world.past_grace();
    assert_eq!(store.collect(100).await.unwrap().deleted, 5);
    let swept = || async { store.sweep(abandoned.hash().0[0]).await.unwrap().swept };
    assert_eq!((swept().await, swept().await), (1, 0));
}

/// Nothing is acknowledged that is not durable, and what was is read or said to be away; then it goes on.
pub(crate) async fn every_fault(world: &World) {
    let body = world.body(400_000);
    let staged = world.stage(&body).await.unwrap();
    world.hold(&staged, 1).await.unwrap();
    for fault in [Fault::Refuse, Fault::Stall] {
        away(world, fault, &body).await;
        back(world, &body).await;
    }
    for fault in [Fault::Slow(Duration::from_millis(1)), Fault::Cut] {
        hindered(world, fault, &body).await;
    }
    garbled(world, &body).await;
    back(world, &body).await;
    requests(world).await;
}

async fn away(world: &World, fault: Fault, body: &Bytes) {
    let (store, hash) = (&world.store, blob_hash(body));
    world.proxy.set(fault);
    let mut said = Vec::new();
    for _ in 0..3 {
        match store.read(hash, 0..u64::MAX).await {
            Err(error @ (Error::Io { .. } | Error::Unavailable)) => said.push(error.to_string()),
            other => panic!("{fault:?}: {other:?}"),
        }
    }
    let large = world.stage(&world.body(50_000)).await;
    assert!(matches!(large, Err(Error::Io { .. } | Error::Unavailable)), "{fault:?}: {large:?}");
    // The breaker is open: the server is not even asked.
    let connections = world.proxy.connections();
    assert!(matches!(store.read(hash, 0..1).await, Err(Error::Unavailable)), "{fault:?}: {said:?}");
    assert_eq!(world.proxy.connections(), connections, "{fault:?}");
    // Small bodies have nothing to do with it.
    let small = world.stage(&world.body(10_000)).await.unwrap();
    world.hold(&small, 2).await.unwrap();
    assert_eq!(store.read(small.hash(), 0..u64::MAX).await.unwrap().len(), 10_000);
    world.let_go(&small, 2).await;
}

async fn back(world: &World, body: &Bytes) {
    world.proxy.set(Fault::None);
    world.clock.advance(PAUSE);
    assert_eq!(world.store.read(blob_hash(body), 0..u64::MAX).await.unwrap(), body);
    world.stage(&world.body(50_000)).await.unwrap();
}

/// Slow is not away: it takes its time. A read that is cut goes on where it was.
async fn hindered(world: &World, fault: Fault, body: &Bytes) {
    world.proxy.set(fault);
    for _ in 0..3 {
        match world.store.read(blob_hash(body), 0..u64::MAX).await {
            Ok(read) => assert_eq!(read, body),
            Err(error) => assert!(fault == Fault::Cut, "{error}"),
        }
    }
    world.proxy.set(Fault::None);
    world.clock.advance(PAUSE);
    let staged = world.stage(&world.body(50_000)).await.unwrap();
    assert_eq!(world.store.read_staged(&staged, 0..u64::MAX).await.unwrap().len(), 50_000);
}

/// Wrong bytes are never handed on, whole or in part.
async fn garbled(world: &World, body: &Bytes) {
    world.proxy.set(Fault::Garble);
    let hash = blob_hash(body);
    for range in [0..u64::MAX, 0..100_000, 200_000..350_000] {
        let read = world.store.read(hash, range.clone()).await;
        assert!(matches!(read, Err(Error::Corrupt { .. })), "{range:?}: {read:?}");
    }
    let streamed: Result<Vec<Bytes>, Error> = world.store.stream(hash, 0..u64::MAX).try_collect().await;
    assert!(matches!(streamed, Err(Error::Corrupt { .. })));
}

/// An upload that is cut short is no object.
async fn requests(world: &World) {
    for len in [50_000, LARGE] {
        world.proxy.set(Fault::CutRequests);
        let body = world.body(len);
        let cut = world.stage(&body).await;
        assert!(matches!(cut, Err(Error::Io { .. } | Error::Unavailable)), "{cut:?}");
        world.proxy.set(Fault::None);
        world.clock.advance(PAUSE);
        let staged = world.stage(&body).await.unwrap();
        world.hold(&staged, 3).await.unwrap();
        assert_eq!(world.store.read(staged.hash(), 0..u64::MAX).await.unwrap(), body);
    }
}

pub(crate) fn blob_hash(body: &Bytes) -> schema::BlobHash {
    schema::BlobHash(*blake3::hash(body).as_bytes())
}
