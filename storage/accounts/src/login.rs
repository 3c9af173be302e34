//! Logging in: credentials, and the port that sessions authenticate through.

use crate::groups::shared_with_in;
use crate::oauth::{Bearer, password_in};
use crate::proof::{Admitted, Proof};
use crate::rows::{self, parse_address};
use crate::second::{self, Entered};
use crate::shares::shares_in;
use crate::{
    Account, Accounts, Address, ApplicationHash, Error, Kind, PasswordHash, Secret, SharedAccount,
    SharedGroup,
};
use changes::log;
use futures::future::BoxFuture;
use kv::Transaction;
use schema::keys::account::CredentialKey;
use schema::records::account as records;
use schema::{AccountId, Key, Record};
use std::net::IpAddr;
use std::sync::Arc;

/// The password's number among an account's credentials.
pub(crate) const PASSWORD: u32 = 0;

/// Somebody who wants to log in.
#[derive(Clone, Copy, Debug)]
pub struct AuthRequest<'a> {
    /// The SASL mechanism's name, or `LOGIN` for the IMAP command.
    pub mechanism: &'a str,
    /// As the client sent it.
    pub login: &'a str,
    /// As the client sent it.
    pub password: &'a Secret,
    /// The client's address.
    pub remote: IpAddr,
}

/// Somebody who comes with a token.
#[derive(Clone, Copy, Debug)]
pub struct TokenShown<'a> {
    /// The token.
    pub token: &'a Secret,
    /// Whose the client says that it is, if it says so: a login name.
    pub login: Option<&'a str>,
    /// The client's address.
    pub remote: IpAddr,
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// Its own address.
    pub address: String,
    /// For people to read.
    pub display_name: String,
    /// The groups whose mailboxes it sees.
    pub groups: Vec<SharedGroup>,
    /// What others share with it.
    pub shares: Vec<SharedAccount>,
}

/// A person who has just logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub identity: Identity,
    /// The version of the password that was shown.
    pub credential: u64,
    /// Whether a code was shown besides the password.
    pub second: bool,
}

/// What comes of a password that is right.
#[derive(Clone, Debug)]
pub enum Entry {
    /// That was all.
    Person(Person),
    /// A code is asked for as well, with which this has to be shown.
    Code(Secret),
}

/// Why somebody is not logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// Unknown user or wrong password: which of the two is not told.
    #[error("authentication failed")]
    Invalid,
    /// The password is right but the account takes no part.
    #[error("the account is disabled")]
    Disabled,
    /// The store or the machine is too busy: the client should come back.
    #[error("authentication is not possible at present")]
    TemporarilyUnavailable,
    /// Too many failures: the client should come back much later.
    #[error("too many failed attempts")]
    RateLimited,
}

/// Who says whether somebody is who they say.
pub trait Authenticator: Send + Sync {
    /// Decides. Takes about as long for unknown users as for known ones.
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Admitted, AuthFailure>>;

    /// Decides by a token that was given out (RFC 6750). Where none is given out, none is good.
    fn bearer<'a>(&'a self, _shown: TokenShown<'a>) -> BoxFuture<'a, Result<Bearer, AuthFailure>> {
        Box::pin(async { Err(AuthFailure::Invalid) })
    }

    /// Decides about a person who is there and reads a page: what that allows to clients goes by the password that was shown.
    fn person<'a>(&'a self, _request: AuthRequest<'a>) -> BoxFuture<'a, Result<Entry, AuthFailure>> {
        Box::pin(async { Err(AuthFailure::Invalid) })
    }

    /// Decides about a person who was asked for a code: `word` is what [`Entry::Code`] has said.
    fn code<'a>(
        &'a self,
        _word: &'a Secret,
        _code: &'a str,
        _remote: IpAddr,
    ) -> BoxFuture<'a, Result<Entered, AuthFailure>> {
        Box::pin(async { Err(AuthFailure::Invalid) })
    }

    /// Counts something that anybody may ask for, and that costs, as a failure of the client's address.
    ///
    /// # Errors
    /// [`AuthFailure::RateLimited`].
    fn count(&self, _remote: IpAddr) -> Result<(), AuthFailure> {
        Ok(())
    }

    /// Resolves when who has logged in to the account may not stay: it was disabled or removed, or what was shown is not good any
    /// more. A session holds it as long as it lasts, so it is small.
    fn revoked(&self, account: AccountId, proof: Proof) -> BoxFuture<'static, ()>;
}

/// The account's own password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Another number with every change.
    pub version: u64,
    /// What a password is verified against.
    pub hash: PasswordHash,
}

/// All that is needed to log somebody in, of one moment.
#[derive(Clone, Debug)]
pub struct LoginRecord {
    /// The account; it may be disabled.
    pub account: Account,
    /// The account's own password, if it has one.
    pub credentials: Vec<Credential>,
    /// Whether the account's own password is not enough, and of no use to programs.
    pub second: bool,
    /// Passwords of applications, by their version.
    pub applications: Vec<(u64, ApplicationHash)>,
    /// The groups whose mailboxes it sees.
    pub groups: Vec<SharedGroup>,
    /// What others share with it.
    pub shares: Vec<SharedAccount>,
}

impl Accounts {
    /// The person that a login name (a full address, or a local part in the default domain) stands for.
    pub async fn login(&self, login: &str) -> Result<Option<LoginRecord>, Error> {
        let Some(address) = &self.login_address(login) else { return Ok(None) };
        self.db()
            .read("accounts.login", |txn| async move {
                let Some(target) = rows::target(&txn, address).await? else { return Ok(None) };
                let id = AccountId(target.account);
                let account = rows::account(&txn, id).await?.filter(|account| account.kind == Kind::Person);
                let Some(account) = account else { return Ok(None) };
                let Credentials { own, applications, second } = credentials(&txn, id).await?;
                let (groups, shares) = (shared_with_in(&txn, id).await?, shares_in(&txn, id).await?);
                let credentials = own.into_iter().collect();
                Ok(Some(LoginRecord { account, credentials, second, applications, groups, shares }))
            })
            .await
    }

    /// Who a person that is logged in is by now, with the groups it sees; none once the account is disabled or gone.
    pub async fn identity(&self, id: AccountId) -> Result<Option<Identity>, Error> {
        self.db().read("accounts.identity", |txn| async move { identity_in(&txn, id).await }).await
    }

    /// Sets a person's password. Every later login needs it at once, on every node.
    pub async fn set_password(&self, id: AccountId, password: &Secret) -> Result<(), Error> {
        let hash = self.hash_password(password).await?;
        self.set_password_hash(id, &hash).await
    }

    /// The same, with a hash that was computed already.
    pub async fn set_password_hash(&self, id: AccountId, hash: &PasswordHash) -> Result<(), Error> {
        let set = self.db().transact_versioned("accounts.set_password", |txn| async move {
            rows::account_of_kind(&txn, id, Kind::Person).await?;
            self.set_credential(&txn, id, hash);
            Ok::<_, Error>(())
        });
        let version = set.await?.1;
        self.tell_standing(id, version);
        Ok(())
    }

    /// The same, if the password is still that of a version, which the user has shown. Returns the version of the new one; none if
    /// another has come in its place.
    ///
    /// # Errors
    /// The store's.
    pub async fn replace_password(
        &self,
        id: AccountId,
        shown: u64,
        password: &Secret,
    ) -> Result<Option<u64>, Error> {
        let hash = &self.hash_password(password).await?;
        let replaced = self.db().transact_versioned("accounts.replace_password", |txn| async move {
            rows::account_of_kind(&txn, id, Kind::Person).await?;
            if password_in(&txn, id).await? != Some(shown) {
                return Ok(None);
            }
            Ok::<_, Error>(Some(self.set_credential(&txn, id, hash)))
        });
        let (new, version) = replaced.await?;
        if new.is_some() {
            self.tell_standing(id, version);
        }
        Ok(new)
    }

    /// Hashes a password off the async workers.
    pub async fn hash_password(&self, password: &Secret) -> Result<PasswordHash, Error> {
        let (password, cost, rng) = (password.clone(), self.options().cost, Arc::clone(self.rng()));
        let hash = tokio::task::spawn_blocking(move || PasswordHash::new(&password, cost, &*rng));
        Ok(hash.await.map_err(|_| Error::Interrupted)??)
    }

    /// Returns its version.
    pub(crate) fn set_credential(&self, txn: &Transaction, account: AccountId, hash: &PasswordHash) -> u64 {
        let (version, phc) = (self.rng().u64(), hash.as_str().to_owned());
        let changed = self.now();
        let record = records::Credential { version, phc, changed, ..records::Credential::default() };
        txn.set(&CredentialKey { account, number: PASSWORD }.encode(), &record.to_bytes());
        // Who came in by the former one and stays is looked at again.
        log::touch_standing_in(txn, account);
        version
    }

    /// The address that a login name stands for.
    pub(crate) fn login_address(&self, login: &str) -> Option<Address> {
        match (login.contains('@'), &self.options().default_domain) {
            (true, _) => parse_address(login).ok(),
            (false, Some(domain)) => parse_address(&format!("{login}@{domain}")).ok(),
            (false, None) => None,
        }
    }
}

pub(crate) async fn identity_in(txn: &Transaction, id: AccountId) -> Result<Option<Identity>, Error> {
    let account = rows::account(txn, id).await?;
    let Some(account) = account.filter(|a| a.kind == Kind::Person && a.enabled) else { return Ok(None) };
    let (groups, shares) = (shared_with_in(txn, id).await?, shares_in(txn, id).await?);
    let (address, display_name) = (account.address, account.display_name);
    Ok(Some(Identity { account: id, address, display_name, groups, shares }))
}

/// What of an account may be shown at a login.
#[derive(Default)]
pub(crate) struct Credentials {
    /// Its own password.
    pub(crate) own: Option<Credential>,
    /// Passwords of applications, by their version.
    pub(crate) applications: Vec<(u64, ApplicationHash)>,
    /// Whether its own password is not enough.
    pub(crate) second: bool,
}

impl Credentials {
    /// Whether one of them has this version, and lets a program in by itself.
    pub(crate) fn admit(&self, version: u64) -> bool {
        let own = self.own.as_ref().is_some_and(|own| own.version == version);
        (own && !self.second) || self.applications.iter().any(|(one, _)| *one == version)
    }
}

pub(crate) async fn credentials(txn: &Transaction, account: AccountId) -> Result<Credentials, Error> {
    let (begin, end) = CredentialKey::range(account);
    let rows = async { Ok::<_, Error>(txn.range(&begin, &end).collect().await?) };
    let (rows, second) = futures::try_join!(rows, second::in_force_in(txn, account))?;
    let mut found = Credentials { second, ..Credentials::default() };
    for (key, value) in rows {
        let (number, record) =
            (CredentialKey::decode(&key)?.number, records::Credential::from_bytes(&value)?);
        if number != PASSWORD {
            let hash = ApplicationHash::from_bytes(&record.hash);
            found.applications.extend(hash.map(|hash| (record.version, hash)));
        } else if let Some(hash) = PasswordHash::from_phc(&record.phc) {
            found.own = Some(Credential { version: record.version, hash });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::directory;

    #[tokio::test]
    async fn a_login_name_is_an_address_or_a_local_part() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        accounts.add_alias(alice, "a.smith@example.test").await.unwrap();
        accounts.set_password(alice, &Secret::new("secret")).await.unwrap();
        for login in ["alice", "Alice", "alice@example.test", "ALICE@EXAMPLE.TEST", "a.smith"] {
            let record = accounts.login(login).await.unwrap().unwrap();
            assert_eq!(record.account.id, alice, "{login}");
            assert!(record.credentials[0].hash.verify(&Secret::new("secret")));
        }
        for login in ["", "@", "bob", "alice@elsewhere.test", "alice+x", "a\0b", "alice@"] {
            assert!(accounts.login(login).await.unwrap().is_none(), "{login}");
        }
    }

    #[tokio::test]
    async fn a_new_password_has_another_version() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        assert!(accounts.login("alice").await.unwrap().unwrap().credentials.is_empty());
        accounts.set_password(alice, &Secret::new("one")).await.unwrap();
        let one = accounts.login("alice").await.unwrap().unwrap().credentials;
        accounts.set_password(alice, &Secret::new("one")).await.unwrap();
        let two = accounts.login("alice").await.unwrap().unwrap().credentials;
        assert_eq!((one.len(), two.len()), (1, 1));
        assert_ne!(one[0].version, two[0].version);
    }

    #[tokio::test]
    async fn who_is_logged_in_is_looked_up_again() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let group = accounts.make(Kind::Group, "group@example.test").await;
        let identity = async || accounts.identity(alice).await.unwrap();
        assert_eq!(identity().await.unwrap().groups, []);
        accounts.add_member(group, alice, crate::Rights::READ).await.unwrap();
        let now = identity().await.unwrap();
        assert_eq!((now.address.as_str(), now.groups[0].account), ("alice@example.test", group));
        assert_eq!(accounts.identity(group).await.unwrap(), None);
        accounts.set_enabled(alice, false).await.unwrap();
        assert_eq!(identity().await, None);
        accounts.set_enabled(alice, true).await.unwrap();
        accounts.delete_account(alice).await.unwrap();
        assert_eq!(identity().await, None);
    }

    #[tokio::test]
    async fn only_persons_log_in() {
        let accounts = directory().await;
        let group = accounts.make(Kind::Group, "group@example.test").await;
        assert!(accounts.login("group").await.unwrap().is_none());
        let set = accounts.set_password(group, &Secret::new("x")).await;
        assert!(matches!(set, Err(Error::WrongKind(Kind::Person))));
    }
}
