//! What an account has besides mail: identities, submissions, the automatic reply. Few, small, and each in the change log.

use changes::Kinds;
use kv::{Transaction, Versionstamp};
use schema::keys::mail::{ObjectKey, ObjectKind};
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::{AccountId, Key, ModSeq, Record};

use crate::{Error, Store, removal};

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectChange<'a, R> {
    /// It comes into being, or becomes this.
    Created(&'a R),
    /// It becomes this.
    Updated(&'a R),
    /// It goes.
    Destroyed,
}

/// Changes an object within a transaction, and notes it in the log. `now` is in seconds since the epoch.
pub fn write_object_in<R: Record>(
    txn: &Transaction,
    (account, kind, id): (AccountId, ObjectKind, u64),
    change: &ObjectChange<'_, R>,
    now: i64,
) {
    let key = ObjectKey { account, kind, id }.encode();
    let what = match change {
        ObjectChange::Created(record) => {
            txn.set(&key, &record.to_bytes());
            ChangeKind::ObjectCreated
        }
        ObjectChange::Updated(record) => {
            txn.set(&key, &record.to_bytes());
            ChangeKind::ObjectUpdated
        }
        ObjectChange::Destroyed => {
            txn.clear(&key);
            ChangeKind::ObjectDestroyed
        }
    };
    log_object_in(txn, (account, kind, id), what, id, now);
}

/// Notes in the log what happened to an object. `by` tells the entry from others of this commit about the same object.
pub(crate) fn log_object_in(
    txn: &Transaction,
    (account, kind, id): (AccountId, ObjectKind, u64),
    what: ChangeKind,
    by: u64,
    now: i64,
) {
    // Ids of emails and objects are of different times, or random.
    let discriminator = by ^ (u64::from(kind.tag()) << 56);
    changes::log::record_in(txn, account, discriminator, &ChangeRecord::of_object(what, (kind, id), now));
}

impl Store {
    /// All objects of a kind, by id; at most `limit`.
    ///
    /// # Errors
    /// The store's.
    pub async fn objects<R: Record>(
        &self,
        account: AccountId,
        kind: ObjectKind,
        limit: usize,
    ) -> Result<Vec<(u64, R)>, Error> {
        self.db
            .read("mail.objects", |txn| async move {
                let (begin, end) = ObjectKey::range(account, kind);
                let rows = txn.range(&begin, &end).snapshot().limit(limit).collect().await?;
                rows.iter()
                    .map(|(key, value)| Ok((ObjectKey::decode(key)?.id, R::from_bytes(value)?)))
                    .collect()
            })
            .await
    }

    /// One object.
    ///
    /// # Errors
    /// The store's.
    pub async fn object_in<R: Record>(
        &self,
        txn: &Transaction,
        account: AccountId,
        kind: ObjectKind,
        id: u64,
    ) -> Result<Option<R>, Error> {
        let value = txn.get(&ObjectKey { account, kind, id }.encode()).await?;
        Ok(value.map(|value| R::from_bytes(&value)).transpose()?)
    }

    /// Makes an object, one more than there are: no more than `most` of its kind. Returns its id and the commit.
    ///
    /// # Errors
    /// [`Error::LimitReached`], [`Error::NotFound`] if the account is gone; else the store's.
    pub async fn make_object<R: Record>(
        &self,
        account: AccountId,
        kind: ObjectKind,
        record: &R,
        most: usize,
    ) -> Result<(u64, ModSeq), Error> {
        let (id, version) = self
            .db
            .transact_versioned("mail.object", |txn| async move {
                removal::alive_in(&txn, account).await?;
                let (begin, end) = ObjectKey::range(account, kind);
                if txn.range(&begin, &end).limit(most).collect().await?.len() >= most {
                    return Err(Error::LimitReached("there are too many of them"));
                }
                let id = self.new_object_id();
                write_object_in(&txn, (account, kind, id), &ObjectChange::Created(record), self.now_secs());
                Ok(id)
            })
            .await?;
        self.tell_objects(account, version);
        Ok((id, ModSeq(version.version())))
    }

    /// An id that no object has: time and randomness.
    pub fn new_object_id(&self) -> u64 {
        let millis = u64::try_from(self.clock.now().millis()).unwrap_or(0);
        (millis << 20) | self.rng.below(1 << 20)
    }

    /// Changes an object as `edit` says of what is there: none to leave it, `Some(None)` to remove it. Returns what `edit`
    /// returned, and the commit if something was changed. A submission goes by [`Store::remove_submission`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if the account is gone; else the store's.
    pub async fn edit_object<R: Record, T: Send>(
        &self,
        account: AccountId,
        kind: ObjectKind,
        id: u64,
        edit: &(dyn Fn(Option<R>) -> (T, Option<Option<R>>) + Send + Sync),
    ) -> Result<(T, Option<ModSeq>), Error> {
        let ((out, changed), version) = self
            .db
            .transact_versioned("mail.object", |txn| async move {
                removal::alive_in(&txn, account).await?;
                let before: Option<R> = self.object_in(&txn, account, kind, id).await?;
                let was = before.is_some();
                let (out, after) = edit(before);
                let Some(after) = after else { return Ok((out, false)) };
                let change = match &after {
                    None => ObjectChange::Destroyed,
                    Some(record) if was => ObjectChange::Updated(record),
                    Some(record) => ObjectChange::Created(record),
                };
                write_object_in(&txn, (account, kind, id), &change, self.now_secs());
                Ok::<_, Error>((out, true))
            })
            .await?;
        if changed {
            self.tell_objects(account, version);
        }
        Ok((out, changed.then(|| ModSeq(version.version()))))
    }

    /// After a commit that changed objects: tells who waits.
    pub fn tell_objects(&self, account: AccountId, version: Versionstamp) {
        self.tell(account, &[], version, Kinds::OBJECTS);
    }
}
