//! Damage to bodies and to what is known of them.

use std::path::Path;

use godwit_verify::{Kind, Scope};
use schema::keys::blob::*;
use schema::records::blob::Unreferenced;
use schema::{BlobHash, Key, QueueId, Record};

use crate::damage::{kept, mended};
use crate::world::{World, world};

async fn body(w: &World, uid: u32) -> (BlobHash, BlobOwner) {
    let row = w.mail.message(w.at("INBOX").await, uid).await.unwrap();
    (row.blob, BlobOwner::Email(w.ann, row.email))
}

#[tokio::test]
async fn references_are_mended() {
    let mut w = world().await;
    let (hash, owner) = body(&w, 3).await;
    w.clear(&BlobReferenceKey { hash, owner }).await;
    mended(&mut w, &[Kind::BodyReferenceMissing, Kind::BodyUnheld]).await;
    w.set(&BlobReferenceKey { hash, owner: BlobOwner::Queue(QueueId(9)) }, b"").await;
    mended(&mut w, &[Kind::BodyReferenceStale]).await;
    let entry = BlobOwner::Queue(w.waiting);
    let (sent, _) = (w.spool.get(w.waiting).await.unwrap().blob, ());
    w.clear(&BlobReferenceKey { hash: sent, owner: entry }).await;
    mended(&mut w, &[Kind::BodyReferenceMissing]).await;
    let (other, _) = body(&w, 4).await;
    w.set(&BlobReferenceKey { hash: other, owner }, b"").await;
    mended(&mut w, &[Kind::BodyReferenceStale]).await;
}

#[tokio::test]
async fn uploads_end() {
    let mut w = world().await;
    let rows = w.range(BlobReferenceKey::range(w.upload)).await;
    let BlobReferenceKey { hash, owner: BlobOwner::Upload { account, expires } } =
        BlobReferenceKey::decode(&rows[0].0).unwrap()
    else {
        panic!("no upload");
    };
    let expiry = BlobUploadExpiryKey { expires, account, hash };
    w.clear(&expiry).await;
    mended(&mut w, &[Kind::ExpiryMissing]).await;
    w.set(&BlobUploadExpiryKey { expires: 5, ..expiry }, b"").await;
    mended(&mut w, &[Kind::ExpiryStale]).await;
}

#[tokio::test]
async fn the_collector_knows_what_nobody_holds() {
    let mut w = world().await;
    let hash = w.unheld;
    let known = BlobUnreferencedKey { hash };
    let Unreferenced { since } = Unreferenced::from_bytes(&w.get(&known.encode()).await.unwrap()).unwrap();
    w.clear(&BlobCandidateKey { since, hash }).await;
    mended(&mut w, &[Kind::CandidateMissing]).await;
    w.set(&BlobCandidateKey { since: 5, hash }, b"").await;
    mended(&mut w, &[Kind::CandidateStale]).await;
    w.clear(&known).await;
    mended(&mut w, &[Kind::BodyUnheld, Kind::CandidateStale]).await;
    w.clock.advance(w.mail.blobs().options().grace * 2);
    w.mail.blobs().collect(10).await.unwrap();
    assert_eq!(w.range(body_range(hash)).await, [], "it is deleted in time");
}

#[tokio::test]
async fn pieces_of_nothing_are_cleared() {
    let mut w = world().await;
    let (hash, _) = body(&w, 3).await;
    w.set(&BlobChunkKey { hash, index: 1 }, b"x").await;
    mended(&mut w, &[Kind::PieceStale]).await;
    w.set(&BlobChunkKey { hash: BlobHash([9; 32]), index: 0 }, b"x").await;
    mended(&mut w, &[Kind::PieceStale]).await;
    w.set(&BlobPieceKey { object: (hash, 5, 5), index: 0 }, b"x").await;
    mended(&mut w, &[Kind::PieceStale]).await;
}

/// Bodies in one piece, in two, and of an entry of the queue.
#[tokio::test]
async fn a_body_whose_pieces_are_there_is_known_again() {
    let mut w = world().await;
    for uid in [3, 5] {
        let (hash, _) = body(&w, uid).await;
        w.clear(&BlobMetaKey { hash }).await;
        mended(&mut w, &[Kind::BodyLost]).await;
    }
    let hash = w.spool.get(w.waiting).await.unwrap().blob;
    w.clear(&BlobMetaKey { hash }).await;
    mended(&mut w, &[Kind::BodyLost]).await;
}

#[tokio::test]
async fn damaged_bytes_are_found_and_kept() {
    let w = world().await;
    let (hash, _) = body(&w, 5).await;
    let key = BlobChunkKey { hash, index: 1 };
    let mut bytes = w.get(&key.encode()).await.unwrap().to_vec();
    bytes[7] ^= 1;
    w.set(&key, &bytes).await;
    assert_eq!(w.kinds().await, [].into(), "it is not read");
    for account in [None, Some(w.ann)] {
        let found = w.found(&Scope { account, bodies: true }).await;
        assert_eq!(found.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::BodyDamaged], "{found:#?}");
    }
    w.set(&key, &bytes[1..]).await;
    kept(&w, &[Kind::BodyDamaged]).await;
}

fn files(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[tokio::test]
async fn objects_are_looked_for() {
    let w = world().await;
    let mut found = Vec::new();
    files(w.dir.path(), &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
    let bytes = std::fs::read(&found[0]).unwrap();
    let mut wrong = bytes.clone();
    wrong[100] ^= 1;
    std::fs::write(&found[0], &wrong).unwrap();
    assert_eq!(w.kinds().await, [].into());
    let whole = w.found(&Scope { account: None, bodies: true }).await;
    assert_eq!(whole.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::BodyDamaged]);
    std::fs::write(&found[0], &bytes[..bytes.len() - 1]).unwrap();
    kept(&w, &[Kind::BodyDamaged]).await;
    std::fs::remove_file(&found[0]).unwrap();
    kept(&w, &[Kind::BodyLost]).await;
    std::fs::write(&found[0], &bytes).unwrap();
    assert_eq!(w.kinds().await, [].into());
}
