//! What somebody has besides the password: a device that makes codes (TOTP, RFC 6238), and codes on paper for who has lost it.
//!
//! It is asked for where a user logs in to allow something to a client. Programs cannot ask for it: once it is in force, the
//! account's own password opens nothing to them, and tokens and passwords of applications do.
//!
//! All of it is one row of the account. Whatever a code does to it (it is used up, it was wrong, somebody is let in) is one
//! transaction, so that a code is good once on all nodes together, and whoever tries codes on many nodes at once has no more tries.
//!
//! The page forgets: between password and code it shows a word that names the account and is otherwise random, whose hash is in the
//! row for a few minutes. Only who knows the password can have such words made.

mod code;
#[cfg(test)]
mod tests;

use crate::application::need_in;
use crate::login::{Person, identity_in};
use crate::oauth::{Word, password_in};
use crate::{Accounts, Address, Error, Kind, Secret, What, rows};
use changes::log;
use data_encoding::BASE32_NOPAD;
use kv::Transaction;
use schema::keys::account::SecondFactorKey;
use schema::records::account::{Entering, SecondFactor};
use schema::{AccountId, Key, Record};
use zeroize::Zeroizing;

/// Bytes of a secret: as many as HMAC-SHA-1 gives (RFC 4226 §4, R6).
pub(crate) const SECRET: usize = 20;

/// Codes on paper.
pub const RECOVERY_CODES: usize = 10;

/// How long somebody may take from the password to the code, in milliseconds.
const ENTERING_TIME: i64 = 600_000;

/// So many may be between password and code; the oldest goes for one more.
const ENTERING: usize = 8;

/// So many codes may be wrong at once, and then one in each [`INTERVAL`]: of those who have the password and guess all the time one in
/// forty is in after a year.
const BURST: i64 = 10;

/// In milliseconds.
const INTERVAL: i64 = 3_600_000;

/// What a user needs to set up a device. It is shown this once.
#[derive(Debug)]
pub struct Enrolled {
    /// What the device reads: `otpauth://totp/…`.
    pub uri: Secret,
    /// Codes for who has lost the device, each good once.
    pub recovery: Vec<Secret>,
}

/// How it stands with an account's second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondState {
    /// Since when it is asked for, in milliseconds since the epoch; none: the user has not shown yet that the device has it.
    pub since: Option<i64>,
    /// Codes on paper that are left.
    pub recovery: usize,
}

/// What became of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It is good.
    Yes(Person),
    /// It is not, or was used before.
    Wrong,
    /// Too many were wrong: this one was not looked at.
    Limited,
    /// The word is not good any more: the password has to be shown again.
    Over,
}

impl Accounts {
    /// Makes a secret for a device of a person. It is in force when the device has shown it ([`Accounts::confirm_second`]).
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if one is in force, [`Error::Level`], [`Error::Invalid`] if there is no password besides which it
    /// would be; the store's.
    pub async fn enroll_second(&self, account: AccountId) -> Result<Enrolled, Error> {
        let mut secret = Zeroizing::new(vec![0; SECRET]);
        self.rng().fill(&mut secret);
        let recovery = (0..RECOVERY_CODES).map(|_| self.recovery_code()).collect::<Result<Vec<_>, _>>()?;
        let row = &SecondFactor {
            secret: secret.to_vec(),
            recovery: recovery.iter().filter_map(recovery_hash).collect(),
            ..SecondFactor::default()
        };
        let person = self.db().transact("accounts.enroll_second", |txn| async move {
            let person = rows::account_of_kind(&txn, account, Kind::Person).await?;
            need_in(&txn).await?;
            if password_in(&txn, account).await?.is_none() {
                return Err(Error::Invalid("the account has no password"));
            }
            if second_in(&txn, account).await?.is_some_and(|row| row.since > 0) {
                return Err(Error::AlreadyExists("a second factor".to_owned()));
            }
            txn.set(&SecondFactorKey { account }.encode(), &row.to_bytes());
            Ok(person)
        });
        Ok(Enrolled { uri: uri_of(&person.await?.address, &secret), recovery })
    }

    /// The device has made a code: from now on it is asked for. Who has come in by the account's own password, and is no page, has to
    /// go. False if the code is wrong, or too many were.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or it is in force; the store's.
    pub async fn confirm_second(&self, account: AccountId, code: &str) -> Result<bool, Error> {
        let now = self.now();
        let confirmed = self.db().transact_versioned("accounts.confirm_second", |txn| async move {
            let row = second_in(&txn, account).await?.filter(|row| row.since == 0);
            let mut row = row.ok_or(Error::NotFound(What::SecondFactor))?;
            let step = row.may_try(now).then(|| code::step_of(code, &row.secret, code::step(now), row.last));
            let good = match step {
                None => return Ok(false),
                Some(None) => row.failed(now),
                Some(Some(step)) => {
                    (row.since, row.last) = (now, step);
                    log::touch_standing_in(&txn, account);
                    true
                }
            };
            txn.set(&SecondFactorKey { account }.encode(), &row.to_bytes());
            Ok::<_, Error>(good)
        });
        let (good, version) = confirmed.await?;
        if good {
            self.tell_standing(account, version);
        }
        Ok(good)
    }

    /// Removes it: the password is enough again. False if there is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove_second(&self, account: AccountId) -> Result<bool, Error> {
        self.db()
            .transact("accounts.remove_second", |txn| async move {
                let there = second_in(&txn, account).await?.is_some();
                txn.clear(&SecondFactorKey { account }.encode());
                Ok(there)
            })
            .await
    }

    /// How it stands; none if there is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn second(&self, account: AccountId) -> Result<Option<SecondState>, Error> {
        let row = self.db().read("accounts.second", |txn| async move { second_in(&txn, account).await });
        Ok(row.await?.map(|row| SecondState {
            since: Some(row.since).filter(|since| *since > 0),
            recovery: row.recovery.len(),
        }))
    }

    /// Somebody has shown the password of this version: the word to be shown with the code. None if no code is asked for, or the
    /// password is another by now.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin_second(&self, account: AccountId, credential: u64) -> Result<Option<Secret>, Error> {
        let (word, now) = (Word::step(account, &**self.rng()), self.now());
        let new = &Entering { hash: word.hash(), credential, expires: now + ENTERING_TIME };
        let begun = self.db().transact("accounts.begin_second", |txn| async move {
            let row = second_in(&txn, account).await?.filter(|row| row.since > 0);
            let Some(mut row) = row else { return Ok(false) };
            if password_in(&txn, account).await? != Some(credential) {
                return Ok(false);
            }
            row.entering.retain(|one| one.expires > now);
            let excess = (row.entering.len() + 1).saturating_sub(ENTERING);
            row.entering.drain(..excess);
            row.entering.push(new.clone());
            txn.set(&SecondFactorKey { account }.encode(), &row.to_bytes());
            Ok::<_, Error>(true)
        });
        Ok(begun.await?.then(|| word.text()))
    }

    /// Somebody shows the word, and a code of the device or from paper. A good one is used up.
    ///
    /// # Errors
    /// The store's.
    pub async fn enter_second(&self, word: &Secret, code: &str) -> Result<Entered, Error> {
        let Some(word) = &Word::parse_step(word) else { return Ok(Entered::Over) };
        let (account, now) = (word.account(), self.now());
        self.db()
            .transact("accounts.enter_second", |txn| async move {
                let Some(mut row) = second_in(&txn, account).await? else { return Ok(Entered::Over) };
                let known = row.entering.iter().position(|one| word.is(&one.hash) && one.expires > now);
                let Some(known) = known else { return Ok(Entered::Over) };
                let (identity, password) =
                    (identity_in(&txn, account).await?, password_in(&txn, account).await?);
                let credential = row.entering.get(known).map(|one| one.credential);
                let (Some(identity), Some(credential)) =
                    (identity, credential.filter(|one| password == Some(*one)))
                else {
                    return Ok(Entered::Over);
                };
                if !row.may_try(now) {
                    return Ok(Entered::Limited);
                }
                let good = row.use_up(code, now);
                if good {
                    row.entering.remove(known);
                }
                txn.set(&SecondFactorKey { account }.encode(), &row.to_bytes());
                let person = Person { identity, credential, second: true };
                Ok(if good { Entered::Yes(person) } else { Entered::Wrong })
            })
            .await
    }

    /// One of the codes on paper: as a password of an application, and shorter: 80 bits, of which few can be tried.
    fn recovery_code(&self) -> Result<Secret, Error> {
        self.digits(RECOVERY_DIGITS)
    }
}

/// Digits of a code on paper.
const RECOVERY_DIGITS: usize = 16;

/// The hash of a code on paper; none for what cannot be one.
fn recovery_hash(shown: &Secret) -> Option<Vec<u8>> {
    let digits = crate::application::typed(shown, RECOVERY_DIGITS)?;
    Some(blake3::derive_key("godwit 2026 recovery code", &digits).to_vec())
}

/// What a transaction does to the row.
trait Trying {
    /// Whether a code may be looked at.
    fn may_try(&self, now: i64) -> bool;
    /// Notes that one was wrong; false.
    fn failed(&mut self, now: i64) -> bool;
    /// Takes a code, of the device or from paper.
    fn use_up(&mut self, code: &str, now: i64) -> bool;
}

impl Trying for SecondFactor {
    fn may_try(&self, now: i64) -> bool {
        let left = self.tried - now;
        // Beyond all tries it was noted by a clock that was wrong: that locks nobody out.
        left <= (BURST - 1) * INTERVAL || left > BURST * INTERVAL
    }

    fn failed(&mut self, now: i64) -> bool {
        self.tried = self.tried.clamp(now, now + BURST * INTERVAL) + INTERVAL;
        false
    }

    fn use_up(&mut self, code: &str, now: i64) -> bool {
        if let Some(step) = code::step_of(code, &self.secret, code::step(now), self.last) {
            self.last = step;
            return true;
        }
        let hash = recovery_hash(&Secret::new(code));
        let paper = hash.and_then(|hash| self.recovery.iter().position(|one| *one == hash));
        match paper {
            Some(at) => {
                self.recovery.remove(at);
                true
            }
            None => self.failed(now),
        }
    }
}

/// `otpauth://totp/ISSUER:ACCOUNT?secret=…&issuer=…`, as programs for it read it.
fn uri_of(address: &str, secret: &[u8]) -> Secret {
    let issuer = Address::parse(address).map(|address| address.domain).unwrap_or_default();
    let mut uri = Zeroizing::new(format!("otpauth://totp/{issuer}:{}?secret=", encoded(address)));
    BASE32_NOPAD.encode_append(secret, &mut uri);
    uri.push_str(&format!("&issuer={issuer}&algorithm=SHA1&digits={}&period=30", code::DIGITS));
    Secret::new(std::mem::take(&mut *uri))
}

/// RFC 3986 §2.1
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// What a device shows at a time.
pub(crate) fn code_of(secret: &[u8], now: i64) -> String {
    code::code_at(secret, code::step(now)).iter().map(|digit| char::from(*digit)).collect()
}

async fn second_in(txn: &Transaction, account: AccountId) -> Result<Option<SecondFactor>, Error> {
    let value = txn.get(&SecondFactorKey { account }.encode()).await?;
    Ok(value.map(|value| SecondFactor::from_bytes(&value)).transpose()?)
}

/// Whether a code is asked for besides the account's own password.
pub(crate) async fn in_force_in(txn: &Transaction, account: AccountId) -> Result<bool, Error> {
    Ok(second_in(txn, account).await?.is_some_and(|row| row.since > 0))
}
