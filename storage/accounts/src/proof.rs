//! By what somebody has come in, who may stay as long as that stands.

use crate::login::{credentials, identity_in};
use crate::oauth::{grant_in, stands_in};
use crate::{Accounts, Error, Identity};
use kv::Transaction;
use schema::{AccountId, GrantId};

/// What somebody has shown who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A password, which has this version.
    Password(u64),
    /// A token of this grant.
    Token(GrantId),
}

/// Somebody who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Who.
    pub identity: Identity,
    /// By what.
    pub proof: Proof,
    /// When the token that was shown is not good any more, in milliseconds since the epoch; a password has no such time.
    pub until: Option<i64>,
}

impl Accounts {
    /// Who somebody is by now that has come in and stays, with the groups it sees; none once the account is disabled or gone, or
    /// what was shown would not be good any more: another password, a grant that was taken back. A token's time is not looked at.
    ///
    /// # Errors
    /// The store's.
    pub async fn still(&self, account: AccountId, proof: Proof) -> Result<Option<Identity>, Error> {
        self.db()
            .read("accounts.still", |txn| async move {
                let (identity, stands) =
                    futures::try_join!(identity_in(&txn, account), self.proves_in(&txn, account, proof))?;
                Ok(identity.filter(|_| stands))
            })
            .await
    }

    /// Whether what was shown would be good by now.
    pub(crate) async fn proves_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        proof: Proof,
    ) -> Result<bool, Error> {
        match proof {
            Proof::Password(version) => Ok(credentials(txn, account).await?.admit(version)),
            Proof::Token(grant) => {
                let Some(grant) = grant_in(txn, account, grant).await? else { return Ok(false) };
                Ok(grant.expires > self.now() && stands_in(txn, account, &grant).await?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use crate::tests::directory;

    #[tokio::test]
    async fn who_has_come_by_a_password_stays_as_long_as_that_is_the_accounts() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let set = async |text: &str| {
            accounts.set_password(alice, &Secret::new(text)).await.unwrap();
            Proof::Password(accounts.login("alice").await.unwrap().unwrap().credentials[0].version)
        };
        let one = set("one").await;
        let who = accounts.identity(alice).await.unwrap();
        assert!(who.is_some());
        assert_eq!(accounts.still(alice, one).await.unwrap(), who);
        let two = set("two").await;
        assert_eq!(accounts.still(alice, one).await.unwrap(), None);
        assert_eq!(accounts.still(alice, two).await.unwrap(), who);
        assert_eq!(accounts.still(alice, Proof::Token(GrantId(1))).await.unwrap(), None);
        accounts.set_enabled(alice, false).await.unwrap();
        assert_eq!(accounts.still(alice, two).await.unwrap(), None);
    }
}
