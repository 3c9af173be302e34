//! Looks whether the rows of the index fit together, and mends what does not: an index can always be made anew.

use blob::BlobOwner;
use findings::{Finding, Kind, Mended, Report};
use kv::Transaction;
use schema::keys::blob::{BlobMetaKey, BlobReferenceKey};
use schema::keys::search::{IndexedKey, ManifestKey, ShardKey, ShardsKey};
use schema::keys::system::CHANGE_SLOTS;
use schema::records::search::Shards;
use schema::{Key, Record};

use crate::edition::{legible, shard_in, with_another};
use crate::{Error, Indexed, Manifest, Shard, publish};

/// What does not fit of a row of the index.
///
/// # Errors
/// The store's.
pub async fn check_row_in(txn: &Transaction, key: &[u8], value: &[u8]) -> Result<Report, Error> {
    let mut report = Report::of(key);
    if ShardsKey::decode(key).is_ok() {
        let shards = report.record::<Shards>(value);
        if shards.is_some_and(|shards| shards.count == 0 || !CHANGE_SLOTS.is_multiple_of(shards.count)) {
            report.add_here(Kind::Unreadable, "accounts cannot be spread over so many shards");
        }
    } else if ShardKey::decode(key).is_ok() {
        report.record::<Shard>(value);
    } else if let Ok(IndexedKey { shard, edition, .. }) = IndexedKey::decode(key) {
        if report.record::<Indexed>(value).is_some() {
            check_edition(txn, shard, edition, &mut report).await?;
        }
    } else if let Ok(ManifestKey { shard, edition }) = ManifestKey::decode(key) {
        let Some(manifest) = report.record::<Manifest>(value) else { return Ok(report) };
        if check_edition(txn, shard, edition, &mut report).await? {
            check_bodies(txn, shard, edition, &manifest, &mut report).await?;
        }
    } else {
        return Ok(report.unknown());
    }
    Ok(report)
}

/// Whether the row's edition is there.
async fn check_edition(
    txn: &Transaction,
    shard: u32,
    edition: u32,
    report: &mut Report,
) -> Result<bool, Error> {
    let (known, is_damaged) = legible(shard_in(txn, shard).await)?;
    // What cannot be read says so itself.
    if is_damaged {
        return Ok(false);
    }
    let known = known.unwrap_or_default();
    let there = edition != 0 && (known.current == edition || known.building == edition);
    if !there {
        report.add_here(Kind::SearchStale, format!("shard {shard} has no edition {edition}"));
    }
    Ok(there)
}

async fn check_bodies(
    txn: &Transaction,
    shard: u32,
    edition: u32,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), Error> {
    let Ok(hashes) = publish::bodies(&manifest.segments) else {
        report.add_here(Kind::SearchDamaged, "a file of it has no name");
        return Ok(());
    };
    for hash in hashes {
        let reference = BlobReferenceKey { hash, owner: BlobOwner::Index { shard, edition } }.encode();
        let held = txn.get(&reference).await?.is_some();
        if !held || txn.get(&BlobMetaKey { hash }.encode()).await?.is_none() {
            report.add_here(Kind::SearchDamaged, format!("its file {hash} is not there, or not held"));
            return Ok(());
        }
    }
    Ok(())
}

/// Mends a finding of the index, if it still stands.
///
/// # Errors
/// The store's.
pub async fn mend_in(txn: &Transaction, blobs: &blob::Store, finding: &Finding) -> Result<Mended, Error> {
    let Some(value) = txn.get(&finding.source).await? else { return Ok(Mended::Gone) };
    if !check_row_in(txn, &finding.source, &value).await?.confirms(finding) {
        return Ok(Mended::Gone);
    }
    let edition = ManifestKey::decode(&finding.source);
    match (finding.kind, edition) {
        (Kind::SearchStale, Ok(ManifestKey { shard, edition })) => {
            txn.clear(&finding.source);
            let held = Manifest::from_bytes(&value).ok().and_then(|m| publish::bodies(&m.segments).ok());
            for hash in held.unwrap_or_default() {
                blobs.dereference_in(txn, hash, BlobOwner::Index { shard, edition }).await?;
            }
            Ok(Mended::done("it was cleared, and its files were let go"))
        }
        (Kind::SearchStale, Err(_)) => {
            txn.clear(&finding.source);
            Ok(Mended::done("it was cleared"))
        }
        (Kind::SearchDamaged, Ok(ManifestKey { shard, .. })) => anew_in(txn, shard).await,
        (Kind::Unreadable, _) => mend_unreadable(txn, finding).await,
        _ => Ok(Mended::kept(finding.kind.remedy())),
    }
}

/// Has the index of the shard made anew.
///
/// # Errors
/// The store's.
pub async fn anew_in(txn: &Transaction, shard: u32) -> Result<Mended, Error> {
    let Some(known) = legible(shard_in(txn, shard).await)?.0 else { return Ok(Mended::Gone) };
    if known.building == 0 {
        let next = with_another(&known, "a file was not there", known.begun);
        txn.set(&ShardKey { shard }.encode(), &next.to_bytes());
    }
    Ok(Mended::done("the index is made anew"))
}

/// A cursor that cannot be read is one that is not there; a manifest that cannot be read is made anew.
async fn mend_unreadable(txn: &Transaction, finding: &Finding) -> Result<Mended, Error> {
    if IndexedKey::decode(&finding.source).is_ok() {
        txn.clear(&finding.source);
        return Ok(Mended::done("it was cleared: the account is indexed anew"));
    }
    match ManifestKey::decode(&finding.source) {
        Ok(ManifestKey { shard, .. }) => {
            txn.clear(&finding.source);
            anew_in(txn, shard).await
        }
        Err(_) => Ok(Mended::kept(finding.kind.remedy())),
    }
}
