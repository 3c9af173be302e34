//! Logging in: credentials, and the port that sessions authenticate through.

use crate::groups::shared_with_in;
use crate::rows::{self, parse_address};
use crate::{Account, Accounts, Address, Error, Kind, PasswordHash, Secret, SharedGroup};
use futures::future::BoxFuture;
use kv::Transaction;
use schema::keys::account::CredentialKey;
use schema::records::account as records;
use schema::{AccountId, Key, Record};
use std::net::IpAddr;
use std::sync::Arc;

/// The password's number among an account's credentials.
const PASSWORD: u32 = 0;

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

/// Somebody who is logged in.
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
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Identity, AuthFailure>>;

    /// Decides by a token that was given out (RFC 6750). Where none is given out, none is good.
    fn bearer<'a>(
        &'a self,
        _token: &'a Secret,
        _remote: IpAddr,
    ) -> BoxFuture<'a, Result<Identity, AuthFailure>> {
        Box::pin(async { Err(AuthFailure::Invalid) })
    }

    /// Resolves when who has logged in to the account may not stay: it was disabled or removed. A session holds it as long as it
    /// lasts, so it is small.
    fn revoked(&self, account: AccountId) -> BoxFuture<'static, ()>;
}

/// What proves that somebody is the account's user.
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
    /// Any of these will do.
    pub credentials: Vec<Credential>,
    /// The groups whose mailboxes it sees.
    pub groups: Vec<SharedGroup>,
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
                let credentials = credentials(&txn, id).await?;
                Ok(Some(LoginRecord { account, credentials, groups: shared_with_in(&txn, id).await? }))
            })
            .await
    }

    /// Who a person that is logged in is by now, with the groups it sees; none once the account is disabled or gone.
    pub async fn identity(&self, id: AccountId) -> Result<Option<Identity>, Error> {
        self.db()
            .read("accounts.identity", |txn| async move {
                let account = rows::account(&txn, id).await?;
                let Some(account) = account.filter(|a| a.kind == Kind::Person && a.enabled) else {
                    return Ok(None);
                };
                let groups = shared_with_in(&txn, id).await?;
                let (address, display_name) = (account.address, account.display_name);
                Ok(Some(Identity { account: id, address, display_name, groups }))
            })
            .await
    }

    /// Sets a person's password. Every later login needs it at once, on every node.
    pub async fn set_password(&self, id: AccountId, password: &Secret) -> Result<(), Error> {
        let hash = self.hash_password(password).await?;
        self.set_password_hash(id, &hash).await
    }

    /// The same, with a hash that was computed already.
    pub async fn set_password_hash(&self, id: AccountId, hash: &PasswordHash) -> Result<(), Error> {
        self.db()
            .transact("accounts.set_password", |txn| async move {
                rows::account_of_kind(&txn, id, Kind::Person).await?;
                self.set_credential(&txn, id, hash);
                Ok(())
            })
            .await
    }

    /// Hashes a password off the async workers.
    pub async fn hash_password(&self, password: &Secret) -> Result<PasswordHash, Error> {
        let (password, cost, rng) = (password.clone(), self.options().cost, Arc::clone(self.rng()));
        let hash = tokio::task::spawn_blocking(move || PasswordHash::new(&password, cost, &*rng));
        Ok(hash.await.map_err(|_| Error::Interrupted)??)
    }

    pub(crate) fn set_credential(&self, txn: &Transaction, account: AccountId, hash: &PasswordHash) {
        let (version, phc) = (self.rng().u64(), hash.as_str().to_owned());
        let record = records::Credential { version, phc, changed: self.now() };
        txn.set(&CredentialKey { account, number: PASSWORD }.encode(), &record.to_bytes());
    }

    fn login_address(&self, login: &str) -> Option<Address> {
        match (login.contains('@'), &self.options().default_domain) {
            (true, _) => parse_address(login).ok(),
            (false, Some(domain)) => parse_address(&format!("{login}@{domain}")).ok(),
            (false, None) => None,
        }
    }
}

async fn credentials(txn: &Transaction, account: AccountId) -> Result<Vec<Credential>, Error> {
    let (begin, end) = CredentialKey::range(account);
    let mut credentials = Vec::new();
    for (_, value) in txn.range(&begin, &end).collect().await? {
        let record = records::Credential::from_bytes(&value)?;
        if let Some(hash) = PasswordHash::from_phc(&record.phc) {
            credentials.push(Credential { version: record.version, hash });
        }
    }
    Ok(credentials)
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
