//! Who is pushed to (RFC 8620 §7.2): subscriptions of a person, which end with the credentials that they were made by.
//!
//! One node at a time sends the pushes of a slot of accounts. Each change writes the version key of its slot, so that it finds
//! out by one read whether there is anything new.

use crate::login::identity_in;
use crate::oauth::password_in;
use crate::{Accounts, Error, Proof, What};
use kv::{Transaction, Versionstamp};
use schema::codec::PENDING;
use schema::keys::push::{PushKey, PushRateKey, PushSecretKey, PushSlotKey, push_slot};
use schema::records::push::{PushRate, PushRecord, PushSecret};
use schema::{AccountId, GrantId, Key, PushId, Record};

/// Subscriptions of a person.
pub const PUSHES: usize = 16;
/// Subscriptions that a person may make within [`RATE_TIME`]: each of them calls somebody.
const RATE: usize = 10;
/// In milliseconds.
const RATE_TIME: i64 = 60_000;
/// Rows read at once.
const PAGE: usize = 500;

/// Whether somebody has subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribed {
    /// Under this id.
    Yes(PushId),
    /// There are as many as there may be.
    TooMany,
    /// There were many in a short time.
    TooOften,
}

/// What becomes of a subscription.
type Edit<'a, T> = &'a (dyn Fn(Option<PushRecord>) -> (T, Option<Option<PushRecord>>) + Send + Sync);

impl Accounts {
    /// The subscriptions of a person. Those whose credentials are gone, or whose time is over, are none.
    ///
    /// # Errors
    /// The store's.
    pub async fn pushes(&self, account: AccountId) -> Result<Vec<(PushId, PushRecord)>, Error> {
        self.db()
            .read("accounts.pushes", |txn| async move {
                let mut all = Vec::new();
                for (id, record) in rows_in(&txn, account).await? {
                    if self.admits_in(&txn, account, &record).await? {
                        all.push((id, record));
                    }
                }
                Ok(all)
            })
            .await
    }

    /// Subscribes, for who has come by `proof`, which the subscription ends with. What is over makes room.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the account is disabled or gone; the store's.
    pub async fn subscribe_push(
        &self,
        account: AccountId,
        proof: Proof,
        record: &PushRecord,
    ) -> Result<Subscribed, Error> {
        let now = self.now();
        self.db()
            .transact("accounts.subscribe_push", |txn| async move {
                identity_in(&txn, account).await?.ok_or(Error::NotFound(What::Account))?;
                let mut count = 0;
                for (id, record) in rows_in(&txn, account).await? {
                    if self.admits_in(&txn, account, &record).await? {
                        count += 1;
                    } else {
                        txn.clear(&PushKey { account, id }.encode());
                    }
                }
                if count >= PUSHES {
                    return Ok(Subscribed::TooMany);
                }
                if !counted_in(&txn, account, now).await? {
                    return Ok(Subscribed::TooOften);
                }
                let id = PushId(self.rng().u64() >> 1);
                let (credentials, grant) = match proof {
                    Proof::Password(version) => (vec![version], None),
                    Proof::Token(grant) => {
                        (password_in(&txn, account).await?.into_iter().collect(), Some(grant.0))
                    }
                };
                let record = PushRecord { credentials, grant, ..record.clone() };
                txn.set(&PushKey { account, id }.encode(), &record.to_bytes());
                touch_in(&txn, account);
                Ok::<_, Error>(Subscribed::Yes(id))
            })
            .await
    }

    /// RFC 8620 §7.2: a subscription ends with its time, or with the credentials that it was made by.
    async fn admits_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        record: &PushRecord,
    ) -> Result<bool, Error> {
        Ok(record.expires > self.now() && self.proves_in(txn, account, proof_of(record)).await?)
    }

    /// Changes a subscription as `edit` says of what is there: none to leave it, `Some(None)` to remove it. Returns what
    /// `edit` returned. Who sends its pushes finds out, if `tell`.
    ///
    /// # Errors
    /// The store's.
    pub async fn edit_push<T: Send>(
        &self,
        (account, id): (AccountId, PushId),
        tell: bool,
        edit: Edit<'_, T>,
    ) -> Result<T, Error> {
        self.db()
            .transact("accounts.edit_push", |txn| async move {
                let key = PushKey { account, id }.encode();
                let before = txn.get(&key).await?.map(|value| PushRecord::from_bytes(&value)).transpose()?;
                let was = before.is_some();
                let (out, after) = edit(before);
                match after {
                    Some(Some(record)) => txn.set(&key, &record.to_bytes()),
                    Some(None) if was => txn.clear(&key),
                    Some(None) | None => return Ok::<_, Error>(out),
                }
                if tell {
                    touch_in(&txn, account);
                }
                Ok(out)
            })
            .await
    }

    /// The last change in a slot; none if there was never any.
    ///
    /// # Errors
    /// The store's.
    pub async fn push_version(&self, slot: u32) -> Result<Option<Versionstamp>, Error> {
        let key = &PushSlotKey { slot }.encode();
        let read = self
            .db()
            .read("accounts.push_version", |txn| async move { Ok::<_, Error>(txn.get_snapshot(key).await?) });
        Ok(read.await?.as_deref().and_then(Versionstamp::from_slice))
    }

    /// Some of a slot's subscriptions, from behind a place on. Read to the end they need not be of one moment: what changes
    /// meanwhile shows in the slot's version.
    ///
    /// # Errors
    /// The store's.
    pub async fn push_page(
        &self,
        slot: u32,
        after: Option<PushKey>,
    ) -> Result<Vec<(PushKey, PushRecord)>, Error> {
        let (mut begin, end) = PushKey::of_slot(slot);
        if let Some(after) = after {
            begin = [&after.encode()[..], &[0]].concat();
        }
        let (begin, end) = (&begin, &end);
        self.db()
            .read("accounts.push_page", |txn| async move {
                let rows = txn.range(begin, end).snapshot().limit(PAGE).collect().await?;
                rows.iter()
                    .map(|(key, value)| Ok((PushKey::decode(key)?, PushRecord::from_bytes(value)?)))
                    .collect()
            })
            .await
    }

    /// What pushes are signed with: what is in the store, or else `made`, which is in it from then on. Of nodes that begin at
    /// once one makes it, and all get the same.
    ///
    /// # Errors
    /// The store's.
    pub async fn push_secret_or(&self, made: &PushSecret) -> Result<PushSecret, Error> {
        self.db()
            .transact("accounts.push_secret", |txn| async move {
                let key = PushSecretKey.encode();
                if let Some(value) = txn.get(&key).await? {
                    return Ok(PushSecret::from_bytes(&value)?);
                }
                txn.set(&key, &made.to_bytes());
                Ok::<_, Error>(made.clone())
            })
            .await
    }
}

/// All of an account are gone with it.
pub(crate) fn forget_in(txn: &Transaction, account: AccountId) {
    let (begin, end) = PushKey::of_account(account);
    txn.clear_range(&begin, &end);
    txn.clear(&PushRateKey { account }.encode());
    touch_in(txn, account);
}

fn touch_in(txn: &Transaction, account: AccountId) {
    // A blind write: nobody conflicts on what so many write.
    txn.set_versionstamped_value(&PushSlotKey { slot: push_slot(account) }.encode(), &PENDING, 0);
}

/// By what a subscription was made.
pub fn proof_of(record: &PushRecord) -> Proof {
    match record.grant {
        Some(grant) => Proof::Token(GrantId(grant)),
        // There is one; none is good that has no version.
        None => Proof::Password(record.credentials.first().copied().unwrap_or_default()),
    }
}

async fn rows_in(txn: &Transaction, account: AccountId) -> Result<Vec<(PushId, PushRecord)>, Error> {
    let (begin, end) = PushKey::of_account(account);
    let rows = txn.range(&begin, &end).collect().await?;
    rows.iter().map(|(key, value)| Ok((PushKey::decode(key)?.id, PushRecord::from_bytes(value)?))).collect()
}

/// Counts one more, if there may be.
async fn counted_in(txn: &Transaction, account: AccountId, now: i64) -> Result<bool, Error> {
    let key = PushRateKey { account }.encode();
    let rate = txn.get(&key).await?.map(|value| PushRate::from_bytes(&value)).transpose()?;
    let mut rate = rate.unwrap_or_default();
    // A clock that was set back does not lock anybody out.
    rate.at.retain(|at| (now - RATE_TIME..=now).contains(at));
    if rate.at.len() >= RATE {
        return Ok(false);
    }
    rate.at.push(now);
    txn.set(&key, &rate.to_bytes());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{NewClient, NewGrant, Scope};
    use crate::tests::directory;
    use crate::{PasswordHash, Secret};
    use runtime::SeededRng;

    fn record(accounts: &Accounts) -> PushRecord {
        PushRecord { device: "d".into(), expires: accounts.now() + 1, ..PushRecord::default() }
    }

    fn hash(password: &str) -> PasswordHash {
        PasswordHash::new(&Secret::new(password), crate::HashCost::CHEAP, &SeededRng::new(1)).unwrap()
    }

    async fn proof(accounts: &Accounts, account: AccountId) -> Proof {
        let address = accounts.account(account).await.unwrap().unwrap().address;
        Proof::Password(accounts.login(&address).await.unwrap().unwrap().credentials[0].version)
    }

    async fn alice(accounts: &Accounts) -> AccountId {
        let alice = accounts.person("alice@example.test").await;
        accounts.set_password_hash(alice, &hash("one")).await.unwrap();
        alice
    }

    async fn subscribe(accounts: &Accounts, account: AccountId) -> Subscribed {
        accounts.subscribe_push(account, proof(accounts, account).await, &record(accounts)).await.unwrap()
    }

    async fn rows(accounts: &Accounts, account: AccountId) -> usize {
        accounts.push_page(push_slot(account), None).await.unwrap().len()
    }

    #[tokio::test]
    async fn a_subscription_ends_with_its_credentials_and_its_account() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let slot = push_slot(alice);
        assert_eq!(accounts.push_version(slot).await.unwrap(), None);
        accounts.set_password_hash(alice, &hash("one")).await.unwrap();
        let Subscribed::Yes(id) = subscribe(&accounts, alice).await else { panic!("refused") };
        let first = accounts.push_version(slot).await.unwrap();
        assert!(first.is_some());
        assert_eq!(accounts.pushes(alice).await.unwrap()[0].0, id);
        accounts.set_password_hash(alice, &hash("two")).await.unwrap();
        assert_eq!(accounts.pushes(alice).await.unwrap(), []);
        assert_eq!(rows(&accounts, alice).await, 1, "it is there until somebody looks");
        let Subscribed::Yes(_) = subscribe(&accounts, alice).await else { panic!("refused") };
        assert_eq!(rows(&accounts, alice).await, 1);
        accounts.set_enabled(alice, false).await.unwrap();
        let refused = accounts.subscribe_push(alice, Proof::Password(1), &record(&accounts)).await;
        assert!(matches!(refused, Err(Error::NotFound(What::Account))));
        accounts.delete_account(alice).await.unwrap();
        assert_eq!(rows(&accounts, alice).await, 0);
        assert!(accounts.push_version(slot).await.unwrap() > first);
    }

    #[tokio::test]
    async fn a_subscription_ends_with_the_grant_that_it_was_made_by() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        accounts.set_password_hash(alice, &hash("one")).await.unwrap();
        let client = accounts.register_client(&NewClient::default()).await.unwrap().client.id;
        let new = NewGrant {
            account: alice,
            credential: accounts.login("alice").await.unwrap().unwrap().credentials[0].version,
            client,
            scope: Scope::default(),
            redirect_uri: "a:/".into(),
            challenge: [0; 32],
            nonce: String::new(),
            second: false,
        };
        accounts.allow(&new).await.unwrap().unwrap();
        let grant = accounts.grants(alice).await.unwrap()[0].id;
        accounts.subscribe_push(alice, Proof::Token(grant), &record(&accounts)).await.unwrap();
        assert_eq!(accounts.pushes(alice).await.unwrap()[0].1.grant, Some(grant.0));
        accounts.take_back(alice, grant).await.unwrap();
        assert_eq!(accounts.pushes(alice).await.unwrap(), []);
    }

    #[tokio::test]
    async fn there_are_so_many_and_not_more_in_a_minute() {
        let accounts = directory().await;
        let alice = alice(&accounts).await;
        for _ in 0..RATE {
            assert!(matches!(subscribe(&accounts, alice).await, Subscribed::Yes(_)));
        }
        assert_eq!(subscribe(&accounts, alice).await, Subscribed::TooOften);
        let forget = async || {
            let key = PushRateKey { account: alice }.encode();
            let key = &key;
            let done = accounts.db().transact("test", |txn| async move {
                txn.clear(key);
                Ok::<_, Error>(())
            });
            done.await.unwrap();
        };
        forget().await;
        for _ in RATE..PUSHES {
            assert!(matches!(subscribe(&accounts, alice).await, Subscribed::Yes(_)));
        }
        assert_eq!(subscribe(&accounts, alice).await, Subscribed::TooMany);
    }

    #[tokio::test]
    async fn a_subscription_is_changed() {
        let accounts = directory().await;
        let alice = alice(&accounts).await;
        let Subscribed::Yes(id) = subscribe(&accounts, alice).await else { panic!("refused") };
        let slot = push_slot(alice);
        let first = accounts.push_version(slot).await.unwrap();
        let told = |record: Option<PushRecord>| {
            let told = record.map(|record| PushRecord { told: "1".into(), ..record });
            (told.is_some(), told.map(Some))
        };
        assert!(accounts.edit_push((alice, id), false, &told).await.unwrap());
        assert_eq!(accounts.push_version(slot).await.unwrap(), first, "nobody is told");
        assert_eq!(accounts.pushes(alice).await.unwrap()[0].1.told, "1");
        let gone = |record: Option<PushRecord>| (record.is_some(), Some(None));
        assert!(accounts.edit_push((alice, id), true, &gone).await.unwrap());
        assert!(accounts.push_version(slot).await.unwrap() > first);
        assert!(!accounts.edit_push((alice, id), true, &told).await.unwrap());
        assert_eq!(rows(&accounts, alice).await, 0);
    }

    #[tokio::test]
    async fn the_secret_is_made_once() {
        let accounts = directory().await;
        let one = PushSecret { pair: vec![1] };
        assert_eq!(accounts.push_secret_or(&one).await.unwrap(), one);
        assert_eq!(accounts.push_secret_or(&PushSecret { pair: vec![2] }).await.unwrap(), one);
    }
}
