//! What id tokens are signed with (OpenID Connect Core §10.1): of the store, so that any node signs and all publish the same.
//!
//! All keys are one row, which is read whenever one signs. The last one signs. Where there is none yet, or it has signed for long
//! enough, whoever has to sign makes another; of nodes that do so at once one makes it. Of the former its public half stays until
//! nothing that it has signed is good any more; the other one goes at once, so that what signs is never more than one key.

use super::ID_TOKEN_TIME;
use crate::application::need_in;
use crate::{Accounts, Error};
use kv::Transaction;
use schema::keys::oauth::SigningKeysKey;
use schema::records::oauth::{SigningKey, SigningKeys};
use schema::{Key, Record};

/// How long a key signs, in milliseconds.
pub const KEY_TIME: i64 = 90 * 86_400_000;

/// How long a key stays published when it has signed its last, in milliseconds: longer than any id token is good, on a node whose
/// clock is not quite right.
pub const RETIRED_TIME: i64 = ID_TOKEN_TIME + 86_400_000;

/// The keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Signing {
    /// Those that are published, in the order in which they were made.
    pub keys: Vec<SigningKey>,
    /// Whether one has to be made before anything is signed.
    pub due: bool,
}

impl Signing {
    fn of(row: SigningKeys, now: i64) -> Signing {
        let mut keys = row.keys;
        keys.retain(|key| key.until == 0 || key.until > now);
        let signs = keys.last().filter(|key| key.until == 0);
        let due = signs.is_none_or(|key| key.created + KEY_TIME <= now);
        Signing { keys, due }
    }

    /// The one that signs.
    pub fn signer(&self) -> Option<&SigningKey> {
        self.keys.last().filter(|key| !key.pair.is_empty())
    }
}

impl Accounts {
    /// What id tokens are signed with; none as long as a node may be there that knows nothing of it: until the level is
    /// [`schema::level::LOGINS`].
    ///
    /// # Errors
    /// The store's.
    pub async fn signing_keys(&self) -> Result<Option<Signing>, Error> {
        self.db()
            .read("oauth.signing_keys", |txn| async move {
                match need_in(&txn).await {
                    Ok(()) => Ok(Some(Signing::of(keys_in(&txn).await?, self.now()))),
                    Err(Error::Level(_)) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await
    }

    /// Has `made` sign from now on, in place of the key of the id `former`; none: of none. If another has come in its place
    /// already, that stays; where all were withdrawn meanwhile, it takes their place. Returns the keys as they are then.
    ///
    /// # Errors
    /// [`Error::Level`]; the store's.
    pub async fn sign_with(&self, made: &SigningKey, former: Option<&str>) -> Result<Signing, Error> {
        let now = self.now();
        self.db()
            .transact("oauth.sign_with", |txn| async move {
                need_in(&txn).await?;
                let mut row = keys_in(&txn).await?;
                if row.keys.last().is_none_or(|key| Some(key.id.as_str()) == former) {
                    row.keys.retain(|key| key.until == 0 || key.until > now);
                    for key in row.keys.iter_mut().filter(|key| key.until == 0) {
                        (key.until, key.pair) = (now + RETIRED_TIME, Vec::new());
                    }
                    row.keys.push(SigningKey { created: now, until: 0, ..made.clone() });
                    txn.set(&SigningKeysKey.encode(), &row.to_bytes());
                }
                Ok(Signing::of(row, now))
            })
            .await
    }

    /// Withdraws all keys, of which one has leaked: none of them is published from now on, so nothing that they have signed
    /// is believed by who looks. Says whether there were any.
    ///
    /// # Errors
    /// The store's.
    pub async fn withdraw_signing_keys(&self) -> Result<bool, Error> {
        self.db()
            .transact("oauth.withdraw_signing_keys", |txn| async move {
                let there = !keys_in(&txn).await?.keys.is_empty();
                txn.clear(&SigningKeysKey.encode());
                Ok(there)
            })
            .await
    }
}

async fn keys_in(txn: &Transaction) -> Result<SigningKeys, Error> {
    let value = txn.get(&SigningKeysKey.encode()).await?;
    Ok(value.map(|value| SigningKeys::from_bytes(&value)).transpose()?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{directory, raise};
    use crate::{HashCost, Options};
    use runtime::{ManualClock, SeededRng, Timestamp};
    use std::sync::Arc;
    use std::time::Duration;

    fn made(id: &str) -> SigningKey {
        SigningKey { id: id.into(), pair: b"secret".to_vec(), public: id.into(), ..SigningKey::default() }
    }

    fn ids(signing: &Signing) -> Vec<&str> {
        signing.keys.iter().map(|key| key.id.as_str()).collect()
    }

    /// Two nodes of one store.
    async fn nodes() -> (Accounts, Accounts, Arc<ManualClock>) {
        let db = directory().await.db().clone();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let options = Options { cost: HashCost::CHEAP, ..Options::default() };
        let node = |seed| {
            let rng = Arc::new(SeededRng::new(seed));
            Accounts::new(db.clone(), clock.clone(), rng, options.clone())
        };
        (node(1), node(2), clock)
    }

    #[tokio::test]
    async fn all_nodes_have_the_key_of_the_first() {
        let (one, other, _) = nodes().await;
        assert_eq!(one.signing_keys().await.unwrap(), None, "an older node would not publish it");
        assert!(matches!(one.sign_with(&made("a"), None).await, Err(Error::Level(1))));
        raise(&one).await;
        assert_eq!(one.signing_keys().await.unwrap(), Some(Signing { keys: vec![], due: true }));
        let (a, b) = (&made("a"), &made("b"));
        let (first, second) = futures::join!(one.sign_with(a, None), other.sign_with(b, None));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.keys.len(), &first), (1, &second));
        for node in [&one, &other] {
            let found = node.signing_keys().await.unwrap().unwrap();
            assert_eq!((found.due, &found), (false, &first));
            assert_eq!(found.signer().unwrap().pair, b"secret");
        }
        assert!(!format!("{first:?}").contains("115, 101"), "{first:?}");
    }

    #[tokio::test]
    async fn a_key_that_signs_no_more_is_published_as_long_as_what_it_has_signed_is_good() {
        let (one, other, clock) = nodes().await;
        raise(&one).await;
        one.sign_with(&made("a"), None).await.unwrap();
        let ahead = |millis: i64| clock.advance(Duration::from_millis(millis.try_into().unwrap()));
        ahead(KEY_TIME - 1);
        assert!(!one.signing_keys().await.unwrap().unwrap().due);
        ahead(1);
        assert!(one.signing_keys().await.unwrap().unwrap().due);
        let next = other.sign_with(&made("b"), Some("a")).await.unwrap();
        assert_eq!((ids(&next), next.due), (vec!["a", "b"], false));
        assert_eq!((next.keys[0].pair.len(), next.keys[0].public.as_slice()), (0, &b"a"[..]));
        // Who has found the former one too old as well finds another in its place.
        let same = one.sign_with(&made("c"), Some("a")).await.unwrap();
        assert_eq!((ids(&same), same.signer().unwrap().id.as_str()), (vec!["a", "b"], "b"));
        ahead(RETIRED_TIME - 1);
        assert_eq!(ids(&one.signing_keys().await.unwrap().unwrap()), ["a", "b"]);
        ahead(1);
        assert_eq!(ids(&one.signing_keys().await.unwrap().unwrap()), ["b"]);
        let last = one.sign_with(&made("d"), Some("b")).await.unwrap();
        assert_eq!(ids(&last), ["b", "d"]);
    }

    #[tokio::test]
    async fn keys_that_leaked_are_withdrawn() {
        let (one, other, _) = nodes().await;
        assert!(!one.withdraw_signing_keys().await.unwrap());
        raise(&one).await;
        one.sign_with(&made("a"), None).await.unwrap();
        assert!(other.withdraw_signing_keys().await.unwrap());
        assert_eq!(one.signing_keys().await.unwrap(), Some(Signing { keys: vec![], due: true }));
        // A node that meant to take the former one's place takes it all the same.
        let next = one.sign_with(&made("b"), Some("a")).await.unwrap();
        assert_eq!((ids(&next), next.due), (vec!["b"], false));
    }
}
