//! Devices without a browser (RFC 8628): what they wait for, and what their users say.
//!
//! A row is found by the code that the user types, which the device's own code begins with: no index. Those that wait are few, and go
//! after ten minutes.

use super::bearer::stands_in;
use super::grants::Issued;
use super::token::{Kind, Token, hash, same};
use super::{Scope, clients};
use crate::login::identity_in;
use crate::{Accounts, Error, Person, Secret};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kv::Transaction;
use schema::keys::oauth::{DeviceKey, USER_CODE};
use schema::records::oauth as records;
use schema::{AccountId, GrantId, Key, Record};
use zeroize::Zeroizing;

/// How long a device waits, in milliseconds.
pub const DEVICE_TIME: i64 = 600_000;

/// Between two questions of a device, in seconds; it grows by as much for one that asks too often.
pub const INTERVAL: i64 = 5;

/// Most devices that wait.
pub const DEVICES: usize = 1_000;

/// RFC 8628 §6.1: consonants, which make no words.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

const PREFIX: &str = "gwd_";

/// A device that waits from now on.
#[derive(Debug)]
pub struct Device {
    /// What it shows when it asks.
    pub device_code: Secret,
    /// What its user types.
    pub user_code: String,
}

/// What a user is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// By which client.
    pub client: clients::Client,
    /// What for.
    pub scope: Scope,
    /// What the user has typed, as it is written.
    pub user_code: String,
}

/// What a device hears (RFC 8628 §3.5).
#[derive(Debug)]
pub enum Heard {
    /// Its user has allowed it.
    Issued(Issued),
    /// Nothing yet.
    Pending,
    /// It asks too often.
    SlowDown,
    /// Its user does not want it.
    Denied,
    /// It took too long.
    Expired,
    /// That is no code of its.
    Unknown,
}

/// What the row says.
const WAITS: u32 = 0;
const DENIED: u32 = 1;
const ALLOWED: u32 = 2;

impl Accounts {
    /// A device begins to wait; none if too many do.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin_device(&self, client: &str, scope: &Scope) -> Result<Option<Device>, Error> {
        let mut secret = Zeroizing::new([0; 32]);
        self.rng().fill(&mut *secret);
        let now = self.now();
        let row = &records::Device {
            client: client.to_owned(),
            scope: scope.to_string(),
            secret: hash(&*secret),
            expires: now + DEVICE_TIME,
            interval: INTERVAL,
            ..records::Device::default()
        };
        let code = self.db().transact("oauth.device", |txn| async move {
            let code = self.letters();
            let key = DeviceKey { code }.encode();
            // Taken by one in 25 thousand millions: who is told to come again has a new one.
            if !has_room_in(&txn, now).await? || txn.get(&key).await?.is_some() {
                return Ok::<_, Error>(None);
            }
            txn.set(&key, &row.to_bytes());
            Ok(Some(code))
        });
        Ok(code.await?.map(|code| Device { device_code: text_of(&code, &secret), user_code: shown(&code) }))
    }

    fn letters(&self) -> [u8; USER_CODE] {
        std::array::from_fn(|_| {
            let at = usize::try_from(self.rng().below(LETTERS.len() as u64)).unwrap_or_default();
            LETTERS.get(at).copied().unwrap_or(b'B')
        })
    }

    /// What the user is asked who has typed a code; none if nobody waits for that.
    ///
    /// # Errors
    /// The store's.
    pub async fn question(&self, typed: &str) -> Result<Option<Question>, Error> {
        let Some(code) = read(typed) else { return Ok(None) };
        self.db()
            .read("oauth.question", |txn| async move {
                let row = device_in(&txn, code).await?;
                let row = row.filter(|row| row.state == WAITS && row.expires > self.now());
                let Some(row) = row else { return Ok(None) };
                let client = clients::client_in(&txn, &row.client).await?;
                let scope = Scope::parse(&row.scope);
                Ok(client.map(|client| Question { client, scope, user_code: shown(&code) }))
            })
            .await
    }

    /// The user answers: who it is that allows it; none: no. False if nobody waits any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn answer_device(&self, typed: &str, allows: Option<&Person>) -> Result<bool, Error> {
        let Some(code) = read(typed) else { return Ok(false) };
        self.db()
            .transact("oauth.answer", |txn| async move {
                let row = device_in(&txn, code).await?;
                let row = row.filter(|row| row.state == WAITS && row.expires > self.now());
                let Some(mut row) = row else { return Ok(false) };
                row.state = DENIED;
                if let Some(person) = allows {
                    (row.state, row.account) = (ALLOWED, person.identity.account.0);
                    (row.credential, row.second) = (person.credential, person.second);
                    row.authenticated = self.now();
                }
                txn.set(&DeviceKey { code }.encode(), &row.to_bytes());
                Ok(true)
            })
            .await
    }

    /// What a device hears that asks.
    ///
    /// # Errors
    /// The store's.
    pub async fn ask_device(&self, shown: &Secret, client: &str, refreshes: bool) -> Result<Heard, Error> {
        let Some((code, secret)) = &parse(shown) else { return Ok(Heard::Unknown) };
        let heard = self.db().transact_versioned("oauth.poll", |txn| async move {
            let key = DeviceKey { code: *code }.encode();
            let row = device_in(&txn, *code).await?;
            let row = row.filter(|row| row.client == client && same(&row.secret, &hash(secret)));
            let Some(mut row) = row else { return Ok::<_, Error>((Heard::Unknown, None)) };
            let now = self.now();
            if row.expires <= now || row.state != WAITS {
                txn.clear(&key);
            }
            if row.expires <= now {
                return Ok((Heard::Expired, None));
            }
            match row.state {
                ALLOWED => self.device_grant_in(&txn, &row, refreshes).await,
                WAITS => {
                    // RFC 8628 §3.5: for this and all that follow.
                    let early = now - row.asked < row.interval * 1000;
                    row.interval += if early { INTERVAL } else { 0 };
                    row.asked = now;
                    txn.set(&key, &row.to_bytes());
                    Ok((if early { Heard::SlowDown } else { Heard::Pending }, None))
                }
                _ => Ok((Heard::Denied, None)),
            }
        });
        Ok(self.told(heard.await?))
    }

    async fn device_grant_in(
        &self,
        txn: &Transaction,
        row: &records::Device,
        refreshes: bool,
    ) -> Result<(Heard, Option<AccountId>), Error> {
        let account = AccountId(row.account);
        let mut grant = records::Grant {
            client: row.client.clone(),
            scope: row.scope.clone(),
            created: self.now(),
            credential: row.credential,
            authenticated: row.authenticated,
            second: row.second,
            ..records::Grant::default()
        };
        let person = identity_in(txn, account).await?.is_some();
        if !person || !stands_in(txn, account, &grant).await? || !clients::keep_in(txn, &row.client).await? {
            return Ok((Heard::Denied, None));
        }
        let ended = self.make_room_in(txn, account).await?.then_some(account);
        let id = GrantId(self.rng().u64());
        let access = Token::new(Kind::Access, account, id, &**self.rng());
        let refresh = refreshes.then(|| Token::new(Kind::Refresh, account, id, &**self.rng()));
        grant.family = refresh.as_ref().map_or_else(Vec::new, Token::family);
        Ok((Heard::Issued(self.issue_in(txn, grant, &access, refresh.as_ref(), None)), ended))
    }

    /// Forgets devices that have waited for too long. Returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn expire_devices(&self) -> Result<usize, Error> {
        let now = self.now();
        self.db().transact("oauth.expire_devices", |txn| async move { clear_in(&txn, now).await }).await
    }
}

/// Whether one more may wait.
async fn has_room_in(txn: &Transaction, now: i64) -> Result<bool, Error> {
    let (begin, end) = DeviceKey::range();
    let rows = txn.range(&begin, &end).snapshot().limit(DEVICES).collect().await?;
    Ok(rows.len() < DEVICES || clear_in(txn, now).await? > 0)
}

async fn clear_in(txn: &Transaction, now: i64) -> Result<usize, Error> {
    let (begin, end) = DeviceKey::range();
    let mut gone = 0;
    for (key, value) in txn.range(&begin, &end).snapshot().limit(2 * DEVICES).collect().await? {
        if records::Device::from_bytes(&value)?.expires <= now {
            txn.clear(&key);
            gone += 1;
        }
    }
    Ok(gone)
}

async fn device_in(txn: &Transaction, code: [u8; USER_CODE]) -> Result<Option<records::Device>, Error> {
    let value = txn.get(&DeviceKey { code }.encode()).await?;
    Ok(value.map(|value| records::Device::from_bytes(&value)).transpose()?)
}

/// As a user reads it: in two halves.
fn shown(code: &[u8; USER_CODE]) -> String {
    let text: String = code.iter().copied().map(char::from).collect();
    let (one, other) = text.split_at(USER_CODE / 2);
    format!("{one}-{other}")
}

/// What a user has typed, in any case and with whatever between (RFC 8628 §6.1).
fn read(typed: &str) -> Option<[u8; USER_CODE]> {
    if typed.len() > 4 * USER_CODE {
        return None;
    }
    let letters = typed.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_uppercase());
    let code: [u8; USER_CODE] = letters.collect::<Vec<u8>>().try_into().ok()?;
    code.iter().all(|letter| LETTERS.contains(letter)).then_some(code)
}

fn text_of(code: &[u8; USER_CODE], secret: &[u8; 32]) -> Secret {
    let bytes = Zeroizing::new([code.as_slice(), secret].concat());
    let mut text = Zeroizing::new(PREFIX.to_owned());
    URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
    Secret::new(std::mem::take(&mut *text))
}

fn parse(shown: &Secret) -> Option<([u8; USER_CODE], Zeroizing<Vec<u8>>)> {
    let bytes = URL_SAFE_NO_PAD.decode(shown.expose().strip_prefix(PREFIX)?).ok()?;
    let (code, secret) = bytes.split_at_checked(USER_CODE)?;
    (secret.len() == 32).then(|| Some((code.try_into().ok()?, Zeroizing::new(secret.to_vec()))))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        assert_eq!(shown(b"WDJBMJHT"), "WDJB-MJHT");
        for typed in ["WDJB-MJHT", "wdjbmjht", " wdjb mjht ", "WDJB\u{2013}MJHT"] {
            assert_eq!(read(typed), Some(*b"WDJBMJHT"), "{typed}");
        }
        for bad in ["", "WDJB-MJH", "WDJB-MJHTB", "WDJB-MJHA", "WDJB-MJH1", &"-".repeat(50)] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let text = text_of(b"WDJBMJHT", &[7; 32]);
        let (code, secret) = parse(&text).unwrap();
        assert_eq!((code, secret.as_slice()), (*b"WDJBMJHT", &[7; 32][..]));
        assert!(parse(&Secret::new("gwd_")).is_none() && parse(&Secret::new("")).is_none());
    }
}
