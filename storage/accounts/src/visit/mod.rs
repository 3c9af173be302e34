//! Visits to the page of an account: somebody has logged in there, and the browser shows a word (a cookie) instead of the password.
//!
//! The word is random, and names the account; the store has its hash, so any node knows it. A visit is over when nothing is done for
//! a while, and at last some hours after it began. It is good only as long as another login would be by the same means: another
//! password ends it, and a second factor that it was come in without.
//!
//! Each form is answered by sending the browser to the page, so that nothing is done twice by who reads that again. What came of it
//! waits in the visit and is told once. There may be a new password in it: it is sealed by a key that is made of the word.

#[cfg(test)]
mod tests;

use crate::application::need_in;
use crate::login::{Person, identity_in};
use crate::oauth::{Word, password_in};
use crate::{Accounts, Error, Secret, second};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kv::Transaction;
use runtime::Rng;
use schema::keys::account::VisitsKey;
use schema::records::account::{Visit, Visits};
use schema::{AccountId, Key, Record};
use zeroize::Zeroizing;

/// How long a visit lasts in which nothing is done, in milliseconds.
pub const VISIT_IDLE: i64 = 900_000;

/// How long a visit lasts whatever is done, in milliseconds.
pub const VISIT_TIME: i64 = 8 * 3_600_000;

/// So many visits of an account are good at a time; the one that ends first goes for one more.
const VISITS: usize = 8;

/// It is not written down more often that something is done, in milliseconds.
const NOTED: i64 = 60_000;

/// Somebody who has logged in to the page of an account.
#[derive(Debug)]
pub struct Visitor {
    /// Who, by the password of which version.
    pub person: Person,
    /// What forms have to show that come from the pages of this visit.
    pub form: Secret,
    /// What came of the last form, if it was not told yet.
    pub told: Option<Secret>,
}

impl Accounts {
    /// Somebody has logged in to the page of the account, which has `told` to say: the word for the browser. None if the password is
    /// another by now, or a code would be asked for.
    ///
    /// # Errors
    /// [`Error::Level`]; the store's.
    pub async fn begin_visit(&self, person: &Person, told: Option<&Secret>) -> Result<Option<Secret>, Error> {
        let (account, now) = (person.identity.account, self.now());
        let word = Word::visit(account, &**self.rng());
        let new = &Visit {
            hash: word.hash(),
            credential: person.credential,
            begun: now,
            expires: now + VISIT_IDLE,
            second: person.second,
            told: told.map_or_else(Vec::new, |told| sealed(&word, told, &**self.rng())),
        };
        let begun = self.db().transact("accounts.begin_visit", |txn| async move {
            need_in(&txn).await?;
            if !stands_in(&txn, account, new).await? {
                return Ok::<_, Error>(false);
            }
            let mut row = visits_in(&txn, account).await?;
            row.visits.retain(|one| one.expires > now);
            row.visits.sort_by_key(|one| one.expires);
            let excess = (row.visits.len() + 1).saturating_sub(VISITS);
            row.visits.drain(..excess);
            row.visits.push(new.clone());
            put(&txn, account, &row);
            Ok(true)
        });
        Ok(begun.await?.then(|| word.text()))
    }

    /// Who comes with this word; none if it is not good, or not any more. What there was to tell is told by that.
    ///
    /// # Errors
    /// The store's.
    pub async fn visitor(&self, word: &Secret) -> Result<Option<Visitor>, Error> {
        let Some(word) = &Word::parse_visit(word) else { return Ok(None) };
        let (account, now) = (word.account(), self.now());
        self.db()
            .transact("accounts.visitor", |txn| async move {
                let mut row = visits_in(&txn, account).await?;
                let Some(visit) = find(&mut row, word, now) else { return Ok(None) };
                let identity = identity_in(&txn, account).await?;
                let Some(identity) = identity.filter(|_| visit.begun + VISIT_TIME > now) else {
                    return Ok(None);
                };
                if !stands_in(&txn, account, visit).await? {
                    return Ok(None);
                }
                let person = Person { identity, credential: visit.credential, second: visit.second };
                let told = std::mem::take(&mut visit.told);
                let later = now + VISIT_IDLE;
                if !told.is_empty() || later - visit.expires >= NOTED {
                    visit.expires = later;
                    put(&txn, account, &row);
                }
                Ok(Some(Visitor { person, form: form_of(word), told: opened(word, &told) }))
            })
            .await
    }

    /// Keeps what the page has to say when it is shown next; in place of what it had to say.
    ///
    /// # Errors
    /// The store's.
    pub async fn tell_visitor(&self, word: &Secret, told: &Secret) -> Result<(), Error> {
        let Some(word) = &Word::parse_visit(word) else { return Ok(()) };
        let (account, now, told) = (word.account(), self.now(), &sealed(word, told, &**self.rng()));
        self.db()
            .transact("accounts.tell_visitor", |txn| async move {
                let mut row = visits_in(&txn, account).await?;
                if let Some(visit) = find(&mut row, word, now) {
                    visit.told.clone_from(told);
                    put(&txn, account, &row);
                }
                Ok(())
            })
            .await
    }

    /// Somebody leaves: the word is not good any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_visit(&self, word: &Secret) -> Result<(), Error> {
        let Some(word) = &Word::parse_visit(word) else { return Ok(()) };
        let account = word.account();
        self.db()
            .transact("accounts.end_visit", |txn| async move {
                keep_in(&txn, account, |one| !word.is(&one.hash)).await
            })
            .await
    }
}

/// Whether somebody could come in by the same means.
async fn stands_in(txn: &Transaction, account: AccountId, visit: &Visit) -> Result<bool, Error> {
    let (password, second) = (password_in(txn, account).await?, second::in_force_in(txn, account).await?);
    Ok(password == Some(visit.credential) && (visit.second || !second))
}

async fn visits_in(txn: &Transaction, account: AccountId) -> Result<Visits, Error> {
    let value = txn.get(&VisitsKey { account }.encode()).await?;
    Ok(value.map(|value| Visits::from_bytes(&value)).transpose()?.unwrap_or_default())
}

fn find<'a>(row: &'a mut Visits, word: &Word, now: i64) -> Option<&'a mut Visit> {
    row.visits.iter_mut().find(|one| word.is(&one.hash) && one.expires > now)
}

fn put(txn: &Transaction, account: AccountId, row: &Visits) {
    let key = VisitsKey { account }.encode();
    match row.visits.is_empty() {
        true => txn.clear(&key),
        false => txn.set(&key, &row.to_bytes()),
    }
}

async fn keep_in(txn: &Transaction, account: AccountId, keep: impl Fn(&Visit) -> bool) -> Result<(), Error> {
    let mut row = visits_in(txn, account).await?;
    let before = row.visits.len();
    row.visits.retain(keep);
    if row.visits.len() < before {
        put(txn, account, &row);
    }
    Ok(())
}

/// Clears visits that are over.
pub(crate) async fn expire_in(txn: &Transaction, account: AccountId, now: i64) -> Result<(), Error> {
    keep_in(txn, account, |one| one.expires > now).await
}

/// The word shows that a form is sent by the browser, this that it comes from a page of ours: nobody makes the one of the other.
fn form_of(word: &Word) -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(*word.derived("godwit 2026 form of a visit")))
}

fn key_of(word: &Word) -> Option<LessSafeKey> {
    let key = word.derived("godwit 2026 what is told in a visit");
    UnboundKey::new(&AES_256_GCM_SIV, &*key).ok().map(LessSafeKey::new)
}

/// Nonce and ciphertext; nothing, if there is no sealing.
fn sealed(word: &Word, text: &Secret, rng: &dyn Rng) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    rng.fill(&mut nonce);
    let mut sealed = text.expose().as_bytes().to_vec();
    let done = key_of(word).and_then(|key| {
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()
    });
    done.map_or_else(Vec::new, |()| [&nonce[..], &sealed].concat())
}

fn opened(word: &Word, sealed: &[u8]) -> Option<Secret> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let text = key_of(word)?.open_in_place(nonce, Aad::empty(), &mut text).ok()?;
    std::str::from_utf8(text).ok().map(Secret::new)
}
