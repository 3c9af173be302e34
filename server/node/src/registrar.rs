//! Accounts with their mailboxes: where the directory and the mail store meet.

use accounts::{Account, AccountChange, Accounts, Kind, NewAccount, What};
use admin::Registrar;
use futures::future::{BoxFuture, FutureExt};
use kv::Database;
use schema::AccountId;

/// Makes, changes and removes accounts in one transaction each.
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
                    let quota = self.mail.set_quota_in(&txn, id, new.quota.bytes, new.quota.messages);
                    quota.await.map_err(store_error)?;
                }
                Ok(id)
            })
            .await
    }

    async fn change(&self, id: AccountId, change: &AccountChange) -> Result<Account, accounts::Error> {
        let changed = self
            .db
            .transact_versioned("account.update", |txn| async move {
                let account = self.accounts.update_in(&txn, id, change).await?;
                if account.kind != Kind::List {
                    let quota = account.quota;
                    let quota = self.mail.set_quota_in(&txn, id, quota.bytes, quota.messages);
                    quota.await.map_err(store_error)?;
                }
                Ok::<_, accounts::Error>(account)
            })
            .await;
        let (account, version) = changed?;
        if change.enabled.is_some() {
            self.accounts.tell_standing(id, version);
        }
        Ok(account)
    }

    async fn remove(&self, id: AccountId) -> Result<(), accounts::Error> {
        let (account, version) = self
            .db
            .transact_versioned("account.remove", |txn| async move {
                let account = self.accounts.delete_account_in(&txn, id).await?;
                if account.kind != Kind::List {
                    self.mail.remove_in(&txn, id, &account.address);
                }
                Ok::<_, accounts::Error>(account)
            })
            .await?;
        tracing::info!(account = %id, address = account.address, "account removed");
        self.accounts.tell_standing(id, version);
        self.mail.removed(id, version);
        Ok(())
    }
}

/// What the mail store says, in the directory's words.
fn store_error(error: mail::Error) -> accounts::Error {
    match error {
        mail::Error::Kv(error) => accounts::Error::Kv(error),
        mail::Error::NotFound => accounts::Error::NotFound(What::Account),
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
        self.remove(id).boxed()
    }
}
