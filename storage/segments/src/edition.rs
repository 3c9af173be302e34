//! Editions: which one answers, and which one is being made.

use kv::Transaction;
use leases::{Fence, assert_in, level_in};
use schema::keys::search::{IndexedKey, ManifestKey, ShardKey, ShardsKey};
use schema::records::search::Shards;
use schema::{AccountId, BlobHash, Key, Record, level};

use crate::{Error, Indexed, Manifest, Segments, Shard, publish, shards_in};

/// Why the first edition of a shard was begun.
const FIRST: &str = "there was none";

/// What a query has to know, of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The edition that answers.
    pub edition: u32,
    /// Up to where the account is in it; none if nothing of it was indexed.
    pub cursor: Option<Indexed>,
}

/// A shard as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Edition {
    /// Which shard.
    pub shard: u32,
    /// What there is of it; none if nothing was ever published.
    pub state: Option<Shard>,
    /// The manifest that answers.
    pub current: Manifest,
    /// That of the edition that is being made.
    pub building: Manifest,
    /// Something of it cannot be read, and is shown as if it was not there.
    pub damaged: bool,
}

impl Segments {
    /// What there is of a shard; begins its first edition, and one in the place of all that there were if they are not known any
    /// more. For who holds the fence.
    ///
    /// # Errors
    /// [`Error::Level`] while older nodes may be there, [`Error::Lease`] if the shard is another's; else the store's.
    pub async fn ensure(&self, fence: &Fence) -> Result<Shard, Error> {
        let (shard, own, begun) = (fence.duty.number, self.shards, self.clock.now().millis());
        self.db
            .transact("segments.ensure", |txn| async move {
                assert_in(&txn, fence).await?;
                let (former, reason) = match shard_in(&txn, shard).await {
                    Ok(Some(known)) => return Ok(known),
                    Ok(None) => (0, FIRST.to_owned()),
                    Err(Error::Record(error)) => (self.drop_all_in(&txn, shard).await?, error.to_string()),
                    Err(error) => return Err(error),
                };
                need_in(&txn).await?;
                match shards_in(&txn).await? {
                    None => txn.set(&ShardsKey.encode(), &Shards { count: own }.to_bytes()),
                    Some(stored) if stored == own => {}
                    Some(stored) => return Err(Error::Shards { stored, own }),
                }
                let current = former.saturating_add(1);
                let first = Shard { current, last: current, begun, reason, ..Shard::default() };
                txn.set(&ShardKey { shard }.encode(), &first.to_bytes());
                Ok(first)
            })
            .await
    }

    /// The manifest of an edition; an empty one before it was published.
    ///
    /// # Errors
    /// The store's.
    pub async fn manifest(&self, shard: u32, edition: u32) -> Result<Manifest, Error> {
        self.db
            .read("segments.manifest", |txn| async move {
                Ok(manifest_in(&txn, shard, edition).await?.unwrap_or_default())
            })
            .await
    }

    /// What a query of an account has to know; none if no index was ever begun.
    ///
    /// # Errors
    /// The store's.
    pub async fn view(&self, account: AccountId) -> Result<Option<View>, Error> {
        let shard = self.shard_of(account);
        self.db
            .read("segments.view", |txn| async move {
                let value = txn.get_snapshot(&ShardKey { shard }.encode()).await?;
                let Some(value) = value else { return Ok(None) };
                let edition = Shard::from_bytes(&value)?.current;
                let cursor = txn.get_snapshot(&IndexedKey { shard, edition, account }.encode()).await?;
                let cursor = cursor.map(|value| Indexed::from_bytes(&value)).transpose()?;
                Ok(Some(View { edition, cursor }))
            })
            .await
    }

    /// Asks for a new edition of a shard, to be made in the background while the old one answers. Says whether it was
    /// not under way already. Nothing happens within `apart` milliseconds of the beginning of the latest edition.
    ///
    /// # Errors
    /// [`Error::NoShard`], [`Error::Level`]; else the store's.
    pub async fn rebuild(&self, shard: u32, reason: &str, apart: i64) -> Result<bool, Error> {
        if shard >= self.shards {
            return Err(Error::NoShard(shard));
        }
        let now = self.clock.now().millis();
        self.db
            .transact("segments.rebuild", |txn| async move {
                need_in(&txn).await?;
                // Where it cannot be read, who writes the shard begins it anew.
                let (known, _) = legible(shard_in(&txn, shard).await)?;
                let Some(known) = known else { return Ok(false) };
                if known.building != 0 || now.saturating_sub(known.begun) < apart {
                    return Ok(false);
                }
                txn.set(&ShardKey { shard }.encode(), &with_another(&known, reason, now).to_bytes());
                Ok(true)
            })
            .await
    }

    /// Asks for another edition in the place of one of which something cannot be read: as [`Segments::rebuild`] if it answers; if
    /// it is being made, it goes. For who holds the fence.
    ///
    /// # Errors
    /// [`Error::Lease`] if the shard is another's, [`Error::Level`]; else the store's.
    pub async fn replace(
        &self,
        fence: &Fence,
        edition: u32,
        reason: &str,
        apart: i64,
    ) -> Result<bool, Error> {
        let (shard, now) = (fence.duty.number, self.clock.now().millis());
        self.db
            .transact("segments.replace", |txn| async move {
                assert_in(&txn, fence).await?;
                need_in(&txn).await?;
                let known = shard_in(&txn, shard).await?.ok_or(Error::Moved(shard))?;
                let answers = known.current == edition && known.building == 0;
                let is_in_time = now.saturating_sub(known.begun) >= apart;
                if !is_in_time || !(answers || known.building == edition) {
                    return Ok(false);
                }
                if !answers {
                    self.drop_in(&txn, shard, edition).await?;
                }
                txn.set(&ShardKey { shard }.encode(), &with_another(&known, reason, now).to_bytes());
                Ok(true)
            })
            .await
    }

    /// The edition that was being made answers from now on, and the former one goes: its files after their grace
    /// period. For who holds the fence and has seen that every account is in it.
    ///
    /// # Errors
    /// [`Error::Moved`] if it is not being made any more, [`Error::Lease`] if the shard is another's; else the store's.
    pub async fn promote(&self, fence: &Fence, edition: u32) -> Result<(), Error> {
        let shard = fence.duty.number;
        self.db
            .transact("segments.promote", |txn| async move {
                assert_in(&txn, fence).await?;
                let known = shard_in(&txn, shard).await?.filter(|known| known.building == edition);
                let known = known.ok_or(Error::Moved(shard))?;
                self.drop_in(&txn, shard, known.current).await?;
                let manifest = manifest_in(&txn, shard, edition).await?.unwrap_or_default();
                let (current, generation) = (edition, manifest.generation);
                let next = Shard { current, generation, building: 0, ..known };
                txn.set(&ShardKey { shard }.encode(), &next.to_bytes());
                Ok(())
            })
            .await
    }

    /// Takes an edition away.
    async fn drop_in(&self, txn: &Transaction, shard: u32, edition: u32) -> Result<(), Error> {
        let (begin, end) = IndexedKey::range(shard, edition);
        txn.clear_range(&begin, &end);
        let key = ManifestKey { shard, edition }.encode();
        // One that cannot be read holds what it holds: whoever looks through the store finds it.
        let manifest = txn.get(&key).await?.and_then(|value| Manifest::from_bytes(&value).ok());
        txn.clear(&key);
        let held = manifest.and_then(|manifest| publish::bodies(&manifest.segments).ok());
        for hash in held.unwrap_or_default() {
            self.let_go_in(txn, shard, edition, hash).await?;
        }
        Ok(())
    }

    /// Takes all editions of a shard away. Returns the number of the latest.
    async fn drop_all_in(&self, txn: &Transaction, shard: u32) -> Result<u32, Error> {
        let (begin, end) = IndexedKey::of_shard(shard);
        let latest = txn.range(&begin, &end).reverse().first().await?;
        let latest = latest.and_then(|(key, _)| IndexedKey::decode(&key).ok());
        let mut last = latest.map_or(0, |key| key.edition);
        txn.clear_range(&begin, &end);
        let (begin, end) = ManifestKey::of_shard(shard);
        for (key, _) in txn.range(&begin, &end).collect().await? {
            let edition = ManifestKey::decode(&key)?.edition;
            self.drop_in(txn, shard, edition).await?;
            last = last.max(edition);
        }
        Ok(last)
    }

    pub(crate) async fn let_go_in(
        &self,
        txn: &Transaction,
        shard: u32,
        edition: u32,
        hash: BlobHash,
    ) -> Result<(), Error> {
        let owner = blob::BlobOwner::Index { shard, edition };
        Ok(self.blobs.dereference_in(txn, hash, owner).await?)
    }

    /// All shards, for people to look at.
    ///
    /// # Errors
    /// The store's.
    pub async fn editions(&self) -> Result<Vec<Edition>, Error> {
        let mut all = Vec::new();
        for shard in 0..self.shards {
            let read = self.db.read("segments.editions", |txn| async move {
                let (state, one) = legible(shard_in(&txn, shard).await)?;
                let known = state.clone().unwrap_or_default();
                let (current, two) = legible(manifest_in(&txn, shard, known.current).await)?;
                let (building, three) = legible(manifest_in(&txn, shard, known.building).await)?;
                let (current, building) = (current.unwrap_or_default(), building.unwrap_or_default());
                Ok::<_, Error>(Edition { shard, state, current, building, damaged: one || two || three })
            });
            all.push(read.await?);
        }
        Ok(all)
    }
}

/// What is read, without what cannot be, and whether there was such.
pub(crate) fn legible<T>(read: Result<Option<T>, Error>) -> Result<(Option<T>, bool), Error> {
    match read {
        Err(Error::Record(_)) => Ok((None, true)),
        read => Ok((read?, false)),
    }
}

/// A shard of which another edition is being made.
pub(crate) fn with_another(known: &Shard, reason: &str, begun: i64) -> Shard {
    let next = known.last.saturating_add(1);
    Shard { building: next, last: next, begun, reason: reason.to_owned(), ..known.clone() }
}

/// Fails unless every node knows of an index.
pub(crate) async fn need_in(txn: &Transaction) -> Result<(), Error> {
    let level = level_in(txn).await?;
    if level < level::SEARCH { Err(Error::Level(level)) } else { Ok(()) }
}

pub(crate) async fn shard_in(txn: &Transaction, shard: u32) -> Result<Option<Shard>, Error> {
    let value = txn.get(&ShardKey { shard }.encode()).await?;
    Ok(value.map(|value| Shard::from_bytes(&value)).transpose()?)
}

pub(crate) async fn manifest_in(
    txn: &Transaction,
    shard: u32,
    edition: u32,
) -> Result<Option<Manifest>, Error> {
    let value = txn.get(&ManifestKey { shard, edition }.encode()).await?;
    let manifest = value.map(|value| Manifest::from_bytes(&value)).transpose()?;
    if let Some(manifest) = &manifest {
        // One that names files by what is no name cannot be read either.
        publish::bodies(&manifest.segments)?;
    }
    Ok(manifest)
}
