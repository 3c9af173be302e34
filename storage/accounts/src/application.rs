//! Passwords of applications: many of an account, each made here for one program of its user, shown once, and removed alone.
//!
//! Such a password has 140 bits of random. Nobody guesses it, with or without its hash, so the hash has neither salt nor work: a
//! login by it costs a read of the store and a microsecond, however many come at once. It proves who somebody is to programs
//! (IMAP, submission, Basic); the page on which users allow something to clients does not take it, or who has one could make
//! himself a way in that outlives it.

use crate::login::PASSWORD;
use crate::{Accounts, Error, Kind, Secret, rows};
use changes::log;
use data_encoding::{Encoding, Specification};
use kv::Transaction;
use schema::keys::account::CredentialKey;
use schema::records::account::Credential;
use schema::{AccountId, Key, Record, level};
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// Most passwords of applications of an account: a login reads all of them.
pub const APPLICATIONS: usize = 50;

/// Longest name, in bytes.
const NAME_MAX: usize = 100;

/// Digits of a password: 28 of five bits.
const DIGITS: usize = 28;

/// Digits that stand together, for who types them.
const GROUP: usize = 4;

/// RFC 4648 §6 in lower case: nothing in it is taken for another digit.
static BASE32: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().ok()
});

/// A password of an application, for who looks which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its number among the account's credentials.
    pub number: u32,
    /// What the user calls it.
    pub name: String,
    /// When it was made, in milliseconds since the epoch.
    pub created: i64,
}

/// The hash of a password of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationHash([u8; 32]);

impl ApplicationHash {
    /// Of what somebody has shown; none if it cannot be such a password. Spaces, hyphens and capitals do not matter.
    pub fn of(shown: &Secret) -> Option<Self> {
        let digits = typed(shown, DIGITS)?;
        Some(ApplicationHash(blake3::derive_key("godwit 2026 application password", &digits)))
    }

    /// As stored; none for what is no such hash.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(ApplicationHash)
    }

    /// Whether it is the hash of the same. Takes as long if it is not.
    pub fn is(&self, other: &ApplicationHash) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }
}

impl Accounts {
    /// Makes a password for an application of a person. It is shown this once.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is none, [`Error::TooMany`], [`Error::Level`]; the store's.
    pub async fn add_application(
        &self,
        account: AccountId,
        name: &str,
    ) -> Result<(Application, Secret), Error> {
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(Error::Invalid("a name has 1 to 100 characters"));
        }
        let secret = self.digits(DIGITS)?;
        let hash = ApplicationHash::of(&secret).ok_or(Error::Interrupted)?;
        let number = self.rng().below(u64::from(u32::MAX)).try_into().unwrap_or(0u32).saturating_add(1);
        let created = self.now();
        let (name, hash) = (name.to_owned(), hash.0.to_vec());
        let row =
            &Credential { version: self.rng().u64(), changed: created, hash, name, ..Credential::default() };
        self.db()
            .transact("accounts.add_application", |txn| async move {
                rows::account_of_kind(&txn, account, Kind::Person).await?;
                need_in(&txn).await?;
                let there = in_store(&txn, account).await?;
                if there.len() >= APPLICATIONS {
                    return Err(Error::TooMany(APPLICATIONS));
                }
                if there.iter().any(|one| one.number == number) {
                    return Err(Error::AlreadyExists(format!("{number:08x}")));
                }
                txn.set(&CredentialKey { account, number }.encode(), &row.to_bytes());
                Ok(())
            })
            .await?;
        Ok((Application { number, name: row.name.clone(), created }, secret))
    }

    /// The passwords of applications of an account.
    ///
    /// # Errors
    /// The store's.
    pub async fn applications(&self, account: AccountId) -> Result<Vec<Application>, Error> {
        self.db().read("accounts.applications", |txn| async move { in_store(&txn, account).await }).await
    }

    /// Removes one. Who has come in by it has to go. False if it is not there.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove_application(&self, account: AccountId, number: u32) -> Result<bool, Error> {
        let removed = self.db().transact_versioned("accounts.remove_application", |txn| async move {
            let there = in_store(&txn, account).await?.iter().any(|one| one.number == number);
            if there {
                txn.clear(&CredentialKey { account, number }.encode());
                log::touch_standing_in(&txn, account);
            }
            Ok::<_, Error>(there)
        });
        let (there, version) = removed.await?;
        if there {
            self.tell_standing(account, version);
        }
        Ok(there)
    }

    /// So many random digits, in groups.
    pub(crate) fn digits(&self, count: usize) -> Result<Secret, Error> {
        let mut random = Zeroizing::new(vec![0; count]);
        self.rng().fill(&mut random);
        let base32 = BASE32.as_ref().ok_or(Error::Interrupted)?;
        let digits = Zeroizing::new(base32.encode(&random));
        let digits = digits.as_bytes().get(..count).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(count + count / GROUP));
        for (at, digit) in digits.iter().enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(*digit));
        }
        Ok(Secret::new(std::mem::take(&mut *text)))
    }
}

/// What somebody has typed, if it is so many digits. Spaces, hyphens and capitals do not matter.
pub(crate) fn typed(shown: &Secret, count: usize) -> Option<Zeroizing<Vec<u8>>> {
    let shown = shown.expose().bytes().filter(|byte| !matches!(byte, b' ' | b'-')).take(count + 1);
    let digits = Zeroizing::new(shown.map(|byte| byte.to_ascii_lowercase()).collect::<Vec<u8>>());
    let plain = |byte: &u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(byte);
    (digits.len() == count && digits.iter().all(plain)).then_some(digits)
}

/// Fails unless all nodes know what came with [`level::LOGINS`]: asked in the transaction that writes it, so that none can have
/// joined meanwhile that does not.
pub(crate) async fn need_in(txn: &Transaction) -> Result<(), Error> {
    match leases::level_in(txn).await? {
        level if level < level::LOGINS => Err(Error::Level(level)),
        _ => Ok(()),
    }
}

async fn in_store(txn: &Transaction, account: AccountId) -> Result<Vec<Application>, Error> {
    let (begin, end) = CredentialKey::range(account);
    let mut found = Vec::new();
    for (key, value) in txn.range(&begin, &end).collect().await? {
        let number = CredentialKey::decode(&key)?.number;
        if number != PASSWORD {
            let row = Credential::from_bytes(&value)?;
            found.push(Application { number, name: row.name, created: row.changed });
        }
    }
    found.sort_by_key(|one| (one.created, one.number));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{directory, raise};
    use crate::{Proof, What};

    async fn admitted(accounts: &Accounts, shown: &Secret) -> Option<Proof> {
        let record = accounts.login("alice").await.unwrap().unwrap();
        let hash = ApplicationHash::of(shown)?;
        let found = record.applications.iter().find(|(_, known)| known.is(&hash));
        found.map(|(version, _)| Proof::Password(*version))
    }

    #[tokio::test]
    async fn each_application_has_its_own() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let refused = accounts.add_application(alice, "phone").await;
        assert!(matches!(refused, Err(Error::Level(1))), "an older node would refuse it");
        raise(&accounts).await;
        accounts.set_password(alice, &Secret::new("own")).await.unwrap();
        let (phone, first) = accounts.add_application(alice, "phone").await.unwrap();
        let (laptop, second) = accounts.add_application(alice, "laptop").await.unwrap();
        assert_eq!(accounts.applications(alice).await.unwrap().len(), 2);
        assert_eq!((phone.name.as_str(), laptop.name.as_str()), ("phone", "laptop"));
        let (one, other) =
            (admitted(&accounts, &first).await.unwrap(), admitted(&accounts, &second).await.unwrap());
        assert!(one != other);
        assert!(accounts.still(alice, one).await.unwrap().is_some());
        assert!(accounts.remove_application(alice, phone.number).await.unwrap());
        assert!(!accounts.remove_application(alice, phone.number).await.unwrap());
        assert_eq!(accounts.applications(alice).await.unwrap(), [laptop]);
        assert_eq!(admitted(&accounts, &first).await, None);
        assert_eq!(accounts.still(alice, one).await.unwrap(), None);
        assert!(accounts.still(alice, other).await.unwrap().is_some());
        // Its own password is none of them, and does not go with them.
        assert!(!accounts.remove_application(alice, PASSWORD).await.unwrap());
        assert_eq!(accounts.login("alice").await.unwrap().unwrap().credentials.len(), 1);
        accounts.set_password(alice, &Secret::new("other")).await.unwrap();
        assert!(accounts.still(alice, other).await.unwrap().is_some());
        accounts.delete_account(alice).await.unwrap();
        assert_eq!(accounts.applications(alice).await.unwrap(), []);
        assert_eq!(accounts.still(alice, other).await.unwrap(), None);
    }

    #[tokio::test]
    async fn one_is_shown_in_groups_and_taken_however_it_is_typed() {
        let accounts = directory().await;
        let secret = accounts.digits(DIGITS).unwrap();
        let text = secret.expose();
        assert_eq!((text.len(), text.split('-').count()), (34, 7), "{text}");
        let hash = ApplicationHash::of(&secret).unwrap();
        for typed in [text.replace('-', ""), text.replace('-', " "), text.to_uppercase(), format!(" {text} ")]
        {
            assert!(ApplicationHash::of(&Secret::new(typed)).unwrap().is(&hash));
        }
        let other = accounts.digits(DIGITS).unwrap();
        assert!(!ApplicationHash::of(&other).unwrap().is(&hash));
        for none in ["", "secret", &text[1..], &format!("{text}a"), &text.replace('-', "1"), &"ä".repeat(28)]
        {
            assert_eq!(ApplicationHash::of(&Secret::new(none)), None, "{none}");
        }
    }

    #[tokio::test]
    async fn there_are_so_many_and_each_has_a_name() {
        let accounts = directory().await;
        raise(&accounts).await;
        let alice = accounts.person("alice@example.test").await;
        for bad in ["", "a\nb", &"x".repeat(101)] {
            assert!(matches!(accounts.add_application(alice, bad).await, Err(Error::Invalid(_))), "{bad}");
        }
        for n in 0..APPLICATIONS {
            accounts.add_application(alice, &n.to_string()).await.unwrap();
        }
        let one_more = accounts.add_application(alice, "x").await;
        assert!(matches!(one_more, Err(Error::TooMany(APPLICATIONS))));
        let group = accounts.make(Kind::Group, "group@example.test").await;
        let refused = accounts.add_application(group, "x").await;
        assert!(matches!(refused, Err(Error::WrongKind(Kind::Person))));
        let nobody = accounts.add_application(AccountId(99), "x").await;
        assert!(matches!(nobody, Err(Error::NotFound(What::Account))));
    }
}
