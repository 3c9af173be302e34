//! Looks whether bodies fit together with those that hold them, and mends what does not.
//!
//! A body is there for those that hold it: that it is lost is told where it is missed, by the check of its holder or of
//! its own row.

use crate::block::Layout;
use crate::reference::{is_held, layout_of, meta_in};
use crate::{BlobOwner, Error, Store};
use findings::{Finding, Kind, Mended, Report};
use futures::StreamExt;
use kv::Transaction;
use schema::keys::blob::{
    BlobCandidateKey, BlobChunkKey, BlobMetaKey, BlobObjectKey, BlobPieceKey, BlobReferenceKey,
    BlobUnreferencedKey, BlobUploadExpiryKey, BlobUploadKey, CHUNK,
};
use schema::keys::mail::{EmailKey, MembershipKey};
use schema::keys::queue::QueueEntryKey;
use schema::keys::search::ManifestKey;
use schema::records::blob::{BlobMeta, Unreferenced};
use schema::records::mail::EmailRecord;
use schema::records::search::Manifest;
use schema::{BlobHash, Key, Record};

/// Bytes before the payload of a block: a row of one is longer.
const BLOCK_HEADER: usize = 13;
/// Rows of a body that one transaction reads to know it again: no body in the store has more.
const ROWS: usize = 64;

/// What does not fit of a row of the bodies.
pub async fn check_row_in(txn: &Transaction, key: &[u8], value: &[u8]) -> Result<Report, Error> {
    let mut report = Report::of(key);
    if let Ok(BlobMetaKey { hash }) = BlobMetaKey::decode(key) {
        check_meta(txn, hash, value, &mut report).await?;
    } else if let Ok(BlobChunkKey { hash, index }) = BlobChunkKey::decode(key) {
        check_chunk(txn, hash, index, &mut report).await?;
    } else if let Ok(BlobReferenceKey { hash, owner }) = BlobReferenceKey::decode(key) {
        report.bytes::<0>(value);
        check_reference(txn, hash, owner, &mut report).await?;
    } else if let Ok(BlobUnreferencedKey { hash }) = BlobUnreferencedKey::decode(key) {
        let Some(Unreferenced { since }) = report.record(value) else { return Ok(report) };
        let candidate = BlobCandidateKey { since, hash }.encode();
        if txn.get(&candidate).await?.is_none() {
            report.add(Kind::CandidateMissing, candidate, "the collector does not know of the body");
        }
    } else if let Ok(BlobCandidateKey { since, hash }) = BlobCandidateKey::decode(key) {
        report.bytes::<0>(value);
        let row = txn.get(&BlobUnreferencedKey { hash }.encode()).await?;
        // What cannot be read says so itself.
        let known = row.map(|value| Unreferenced::from_bytes(&value).map_or(since, |row| row.since));
        if known != Some(since) {
            report.add_here(
                Kind::CandidateStale,
                "the body is not there, or is known to be without holder since another time",
            );
        }
    } else if let Ok(BlobUploadExpiryKey { expires, account, hash }) = BlobUploadExpiryKey::decode(key) {
        report.bytes::<0>(value);
        let owner = BlobOwner::Upload { account, expires };
        if txn.get(&BlobReferenceKey { hash, owner }.encode()).await?.is_none() {
            report.add_here(Kind::ExpiryStale, "there is no such upload");
        }
    } else if let Ok(BlobUploadKey { account, expires, hash }) = BlobUploadKey::decode(key) {
        report.bytes::<8>(value);
        let owner = BlobOwner::Upload { account, expires };
        if txn.get(&BlobReferenceKey { hash, owner }.encode()).await?.is_none() {
            report.add_here(Kind::ExpiryStale, "there is no such upload");
        }
    } else if let Ok(BlobPieceKey { object, .. }) = BlobPieceKey::decode(key) {
        if txn.get(&BlobObjectKey { object }.encode()).await?.is_none() {
            report.add_here(Kind::PieceStale, "there is no such object");
        }
    } else if BlobObjectKey::decode(key).is_ok() {
        // One that no body names is the sweep's.
        report.bytes::<0>(value);
    } else {
        return Ok(report.unknown());
    }
    Ok(report)
}

async fn check_meta(
    txn: &Transaction,
    hash: BlobHash,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(meta) = report.record::<BlobMeta>(value) else { return Ok(()) };
    if !is_held(txn, hash).await? {
        // Nobody misses its bytes.
        if txn.get(&BlobUnreferencedKey { hash }.encode()).await?.is_none() {
            report.add_here(Kind::BodyUnheld, "nobody holds the body, and the collector does not know of it");
        }
        return Ok(());
    }
    match rows(&meta) {
        None => report.holds(hash, false),
        Some(count) => {
            let plain = Layout { size: meta.size, block: meta.chunk, stored: Vec::new() };
            for index in 0..count {
                match txn.get(&BlobChunkKey { hash, index }.encode()).await? {
                    None => {
                        report.add_here(Kind::BodyLost, format!("its piece {index} is not there"));
                        return Ok(());
                    }
                    Some(row) if layout_of(&meta).is_none() && row.len() != plain.raw(index) => {
                        report.add_here(
                            Kind::BodyDamaged,
                            format!("its piece {index} does not have its length"),
                        );
                    }
                    Some(row) if row.len() <= BLOCK_HEADER && layout_of(&meta).is_some() => {
                        report.add_here(Kind::BodyDamaged, format!("its piece {index} is too short"));
                    }
                    Some(_) => {}
                }
            }
            report.holds(hash, true);
        }
    }
    Ok(())
}

/// Rows of a body that lies in the store; none if it is an object.
fn rows(meta: &BlobMeta) -> Option<u32> {
    (meta.chunk != 0).then(|| meta.size.div_ceil(u64::from(meta.chunk)) as u32)
}

async fn check_chunk(
    txn: &Transaction,
    hash: BlobHash,
    index: u32,
    report: &mut Report,
) -> Result<(), Error> {
    let stale = match txn.get(&BlobMetaKey { hash }.encode()).await? {
        // Those that hold it say that it is lost.
        None => !is_held(txn, hash).await?,
        Some(value) => {
            BlobMeta::from_bytes(&value).is_ok_and(|meta| rows(&meta).is_none_or(|count| index >= count))
        }
    };
    if stale {
        report.add_here(Kind::PieceStale, "it is a piece of no body");
    }
    Ok(())
}

/// Who is said to hold a body does.
async fn check_reference(
    txn: &Transaction,
    hash: BlobHash,
    owner: BlobOwner,
    report: &mut Report,
) -> Result<(), Error> {
    let holds = match owner {
        BlobOwner::Email(account, email) => match txn.get(&EmailKey { account, email }.encode()).await? {
            Some(value) => EmailRecord::from_bytes(&value).map_or(true, |email| email.blob == hash.0),
            // An email whose record is lost is made again from its messages, and holds it then.
            None => {
                let (begin, end) = MembershipKey::range(account, email);
                txn.range(&begin, &end).first().await?.is_some()
            }
        },
        BlobOwner::Queue(id) => match txn.get(&QueueEntryKey { id }.encode()).await? {
            Some(value) => {
                let entry = schema::records::queue::Entry::from_bytes(&value);
                entry.map_or(true, |entry| entry.blob == hash.0)
            }
            None => false,
        },
        BlobOwner::Index { shard, edition } => {
            match txn.get(&ManifestKey { shard, edition }.encode()).await? {
                Some(value) => Manifest::from_bytes(&value).map_or(true, |manifest| {
                    manifest.segments.iter().flat_map(|s| &s.bodies).any(|body| body.hash == hash.0)
                }),
                None => false,
            }
        }
        BlobOwner::Upload { account, expires } => {
            let expiry = BlobUploadExpiryKey { expires, account, hash }.encode();
            if txn.get(&expiry).await?.is_none() {
                report.add(Kind::ExpiryMissing, expiry, "the upload never ends");
            }
            true
        }
    };
    if !holds {
        report.add_here(Kind::BodyReferenceStale, "who is said to hold the body does not");
    }
    Ok(())
}

impl Store {
    /// Whether the bytes of a body are there: to its end, or all of them and as they were. `source` is the row that
    /// wants it. An object store that is away is an error, not a loss.
    pub async fn probe(&self, hash: BlobHash, source: &[u8], whole: bool) -> Result<Option<Finding>, Error> {
        let found = match self.look(hash, whole).await {
            Ok(()) => return Ok(None),
            Err(Error::Corrupt { what, .. }) if what == "its object is not there" => {
                (Kind::BodyLost, what.to_owned())
            }
            Err(Error::Corrupt { what, .. }) => (Kind::BodyDamaged, what.to_owned()),
            // It was let go meanwhile, or whoever misses it says so.
            Err(Error::NotFound(_)) if !self.is_known(hash).await? => return Ok(None),
            Err(Error::NotFound(_)) => (Kind::BodyLost, "a piece of it is not there".to_owned()),
            Err(error @ Error::Io { .. }) if error.is_cut() => (Kind::BodyDamaged, error.to_string()),
            Err(error) => return Err(error),
        };
        let key = BlobMetaKey { hash }.encode();
        Ok(Some(Finding { kind: found.0, key, source: source.to_vec(), detail: found.1 }))
    }

    async fn look(&self, hash: BlobHash, whole: bool) -> Result<(), Error> {
        if whole {
            let mut pieces = Box::pin(self.stream(hash, 0..u64::MAX));
            while let Some(piece) = pieces.next().await {
                piece?;
            }
            return Ok(());
        }
        let size = self.size(hash).await?;
        self.read(hash, size.saturating_sub(1)..size).await.map(drop)
    }

    async fn is_known(&self, hash: BlobHash) -> Result<bool, Error> {
        let known = self.db().read("verify.body", move |txn| async move { meta_in(&txn, hash).await });
        Ok(known.await?.is_some())
    }

    /// Mends a finding of a row of the bodies, if it still stands.
    pub async fn mend(&self, finding: &Finding) -> Result<Mended, Error> {
        self.db()
            .transact("verify.mend", |txn| async move {
                let Some(value) = txn.get(&finding.source).await? else { return Ok(Mended::Gone) };
                if !check_row_in(&txn, &finding.source, &value).await?.confirms(finding) {
                    return Ok(Mended::Gone);
                }
                self.mend_in(&txn, finding).await
            })
            .await
    }

    async fn mend_in(&self, txn: &Transaction, finding: &Finding) -> Result<Mended, Error> {
        let key = finding.key.as_slice();
        Ok(match finding.kind {
            Kind::CandidateMissing | Kind::ExpiryMissing => {
                txn.set(key, b"");
                Mended::done("it was written")
            }
            Kind::CandidateStale | Kind::ExpiryStale | Kind::PieceStale => {
                txn.clear(key);
                Mended::done("it was cleared")
            }
            Kind::BodyReferenceStale => {
                let BlobReferenceKey { hash, owner } = BlobReferenceKey::decode(key)?;
                self.dereference_in(txn, hash, owner).await?;
                Mended::done("the body was let go")
            }
            Kind::BodyUnheld => {
                self.nominate(txn, BlobMetaKey::decode(key)?.hash).await?;
                Mended::done("the collector knows of the body")
            }
            _ => Mended::kept(finding.kind.remedy()),
        })
    }

    /// Makes the meta row of a body again whose pieces lie in the store as they are; says whether it could.
    pub async fn recover(&self, hash: BlobHash) -> Result<bool, Error> {
        self.db()
            .transact("verify.recover", |txn| async move {
                if meta_in(&txn, hash).await?.is_some() {
                    return Ok(false);
                }
                let (mut hasher, mut size) = (blake3::Hasher::new(), 0);
                for index in 0..ROWS as u32 {
                    let Some(row) = txn.get(&BlobChunkKey { hash, index }.encode()).await? else { break };
                    hasher.update(&row);
                    size += row.len() as u64;
                }
                if hasher.finalize() != hash.0 {
                    return Ok(false);
                }
                let meta = BlobMeta { size, chunk: CHUNK as u32, ..BlobMeta::default() };
                txn.set(&BlobMetaKey { hash }.encode(), &meta.to_bytes());
                Ok(true)
            })
            .await
    }

    /// Some of those that hold a body.
    pub async fn holders(&self, hash: BlobHash) -> Result<Vec<BlobOwner>, Error> {
        let (begin, end) = BlobReferenceKey::range(hash);
        let (begin, end) = (&begin, &end);
        let rows = self.db().read("verify.holders", |txn| async move {
            Ok::<_, Error>(txn.range(begin, end).limit(ROWS).collect().await?)
        });
        rows.await?.iter().map(|(key, _)| Ok(BlobReferenceKey::decode(key)?.owner)).collect()
    }
}
