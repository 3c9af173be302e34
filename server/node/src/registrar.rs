//! Accounts with their mailboxes: where the directory and the mail store meet.

use accounts::{Account, AccountChange, Accounts, Kind, NewAccount};
use admin::Registrar;
use futures::future::{BoxFuture, FutureExt};
use kv::Database;
use schema::AccountId;

/// Makes and removes accounts in one transaction each.
pub(crate) struct AccountsWithMail {
    pub(crate) db: Database,
    pub(crate) accounts: Accounts,
    pub(crate) mail: mail::Store,
}

impl AccountsWithMail {
    async fn make(&self, new: &NewAccount) -> Result<AccountId, accounts::Error> {
        self.db
            .transact("account.create", |txn| async move {
                let id = self.accounts.create_account_in(&txn, new).await?;
                if new.kind != Kind::List {
                    self.mail.provision_in(&txn, id).await.map_err(store_error)?;
                    self.mail.set_quota_in(&txn, id, new.quota.bytes, new.quota.messages);
                }
                Ok(id)
            })
            .await
    }
}

impl AccountsWithMail {
    /// The directory first: should the second step fail, asking again mends it, since it sets and does not add.
    async fn change(&self, id: AccountId, change: &AccountChange) -> Result<Account, accounts::Error> {
        let account = self.accounts.update(id, change).await?;
        let quota = account.quota;
        self.mail.set_quota(id, quota.bytes, quota.messages).await.map_err(store_error)?;
        Ok(account)
    }
}

/// A new account's mailboxes can only meet the store's errors.
fn store_error(error: mail::Error) -> accounts::Error {
    match error {
        mail::Error::Kv(error) => accounts::Error::Kv(error),
        other => accounts::Error::Kv(kv::Error::fatal(other.to_string())),
    }
}

impl Registrar for AccountsWithMail {
    fn create<'a>(&'a self, new: &'a NewAccount) -> BoxFuture<'a, Result<AccountId, accounts::Error>> {
        self.make(new).boxed()
    }

    fn update<'a>(
        &'a self,
        id: AccountId,
        change: &'a AccountChange,
    ) -> BoxFuture<'a, Result<Account, accounts::Error>> {
        self.change(id, change).boxed()
    }

    fn delete(&self, id: AccountId) -> BoxFuture<'_, Result<(), accounts::Error>> {
        self.accounts.delete_account(id).boxed()
    }
}
