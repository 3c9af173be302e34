//! Accounts: made, found, listed, changed and deleted.

use crate::rows::{self, parse_address};
use crate::{Account, AccountChange, Accounts, Address, Error, Kind, NewAccount, Page};
use crate::{push, standing};
use kv::Transaction;
use schema::keys::account::{AddressKey, AliasKey, GroupMemberKey, LastIdKey, MemberOfKey, principal_range};
use schema::records::account::AddressTarget;
use schema::{AccountId, Key, Record};

impl Accounts {
    /// Makes an account. Its mailboxes are the caller's to make, in the same transaction.
    pub async fn create_account_in(&self, txn: &Transaction, new: &NewAccount) -> Result<AccountId, Error> {
        let address = parse_address(&new.address)?;
        if new.password.is_some() && new.kind != Kind::Person {
            return Err(Error::WrongKind(Kind::Person));
        }
        let id = AccountId(rows::next_id(txn, LastIdKey::Account).await?);
        rows::take_address(txn, &address, id, false).await?;
        let account = Account {
            id,
            kind: new.kind,
            address: address.to_string(),
            display_name: new.display_name.clone(),
            enabled: true,
            quota: new.quota,
            created: self.now(),
        };
        rows::set_account(txn, &account);
        if let Some(hash) = &new.password {
            self.set_credential(txn, id, hash);
        }
        Ok(id)
    }

    /// The same in a transaction of its own: for an account that needs no mailboxes.
    pub async fn create_account(&self, new: &NewAccount) -> Result<AccountId, Error> {
        let create = self
            .db()
            .transact("accounts.create", |txn| async move { self.create_account_in(&txn, new).await });
        create.await
    }

    /// An account.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, Error> {
        self.db().read("accounts.account", |txn| async move { rows::account(&txn, id).await }).await
    }

    /// The account within a transaction: for its quota and whether it is enabled.
    pub async fn account_in(&self, txn: &Transaction, id: AccountId) -> Result<Option<Account>, Error> {
        rows::account(txn, id).await
    }

    /// The account whose own address or alias this is; neither detail nor catch-all count.
    pub async fn find(&self, address: &str) -> Result<Option<Account>, Error> {
        let Ok(address) = &Address::parse(address) else { return Ok(None) };
        self.db()
            .read("accounts.find", |txn| async move {
                match rows::target(&txn, address).await? {
                    Some(target) => rows::account(&txn, AccountId(target.account)).await,
                    None => Ok(None),
                }
            })
            .await
    }

    /// Accounts by domain and address, from behind the address `after` on.
    pub async fn list(
        &self,
        domain: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Account>, Error> {
        let (mut begin, end) = AddressKey::range(domain);
        if let Some(after) = after {
            begin = rows::address_key(&parse_address(after)?);
            begin.push(0);
        }
        let (begin, end) = (&begin, &end);
        self.db()
            .read("accounts.list", |txn| async move {
                let mut rows = txn.range(begin, end);
                let mut page = Page { items: Vec::new(), next: None };
                while let Some((_, value)) = rows.try_next().await? {
                    let target = AddressTarget::from_bytes(&value)?;
                    if target.alias {
                        continue;
                    }
                    if page.items.len() >= limit {
                        page.next = page.items.last().map(|account: &Account| account.address.clone());
                        break;
                    }
                    page.items.extend(rows::account(&txn, AccountId(target.account)).await?);
                }
                Ok(page)
            })
            .await
    }

    /// Changes an account.
    pub async fn update(&self, id: AccountId, change: &AccountChange) -> Result<Account, Error> {
        let update = self.db().transact_versioned("accounts.update", |txn| async move {
            self.update_in(&txn, id, change).await
        });
        let (account, version) = update.await?;
        if change.enabled.is_some() {
            self.tell_standing(id, version);
        }
        Ok(account)
    }

    /// The same within the caller's transaction. If it may have changed whether the account is enabled, the caller tells of
    /// that after the commit ([`Accounts::tell_standing`]).
    pub async fn update_in(
        &self,
        txn: &Transaction,
        id: AccountId,
        change: &AccountChange,
    ) -> Result<Account, Error> {
        let mut account = rows::known_account(txn, id).await?;
        if let Some(name) = &change.display_name {
            account.display_name.clone_from(name);
        }
        account.quota = change.quota.unwrap_or(account.quota);
        if let Some(enabled) = change.enabled.filter(|enabled| *enabled != account.enabled) {
            account.enabled = enabled;
            standing::touch_in(txn, &account);
        }
        rows::set_account(txn, &account);
        Ok(account)
    }

    /// Lets an account take part, or not: a disabled one gets no mail and nobody logs in to it.
    pub async fn set_enabled(&self, id: AccountId, enabled: bool) -> Result<Account, Error> {
        let change = AccountChange { enabled: Some(enabled), ..AccountChange::default() };
        self.update(id, &change).await
    }

    /// Takes an account out of the directory, with all its addresses, memberships and members, and returns what
    /// it was. Its mailboxes are the caller's to remove, and so is telling of it after the commit
    /// ([`Accounts::tell_standing`]); its id is not given out again. What names one of its
    /// addresses (a list's member, a catch-all) goes on naming that address, whosever it will be.
    pub async fn delete_account_in(&self, txn: &Transaction, id: AccountId) -> Result<Account, Error> {
        let account = rows::known_account(txn, id).await?;
        txn.clear(&rows::address_key(&parse_address(&account.address)?));
        for (key, _) in scan(txn, AliasKey::range(id)).await? {
            let alias = AliasKey::decode(&key)?.address;
            txn.clear(&rows::address_key(&parse_address(&alias)?));
        }
        for (key, _) in scan(txn, MemberOfKey::range(id)).await? {
            let MemberOfKey { member, group } = MemberOfKey::decode(&key)?;
            txn.clear(&GroupMemberKey { group, member }.encode());
        }
        for (key, _) in scan(txn, GroupMemberKey::range(id)).await? {
            let GroupMemberKey { group, member } = GroupMemberKey::decode(&key)?;
            txn.clear(&MemberOfKey { member, group }.encode());
        }
        self.forget_shares_in(txn, id).await?;
        let (begin, end) = principal_range(id);
        txn.clear_range(&begin, &end);
        push::forget_in(txn, id);
        if account.kind == Kind::Person {
            standing::touch_in(txn, &account);
        }
        Ok(account)
    }

    /// The same in a transaction of its own: for an account that has no mailboxes.
    pub async fn delete_account(&self, id: AccountId) -> Result<Account, Error> {
        let delete = self.db().transact_versioned("accounts.delete", |txn| async move {
            self.delete_account_in(&txn, id).await
        });
        let (account, version) = delete.await?;
        self.tell_standing(id, version);
        Ok(account)
    }
}

async fn scan(txn: &Transaction, (begin, end): (Vec<u8>, Vec<u8>)) -> Result<Vec<kv::Row>, Error> {
    Ok(txn.range(&begin, &end).collect().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::directory;
    use crate::{DomainSettings, Quota, Rights, Secret, What};

    #[tokio::test]
    async fn an_account_is_made_and_found() {
        let accounts = directory().await;
        let quota = Quota { bytes: Some(1000), messages: None };
        let new = NewAccount {
            display_name: "Alice".into(),
            quota,
            ..NewAccount::new(Kind::Person, "Alice@Example.test")
        };
        let id = accounts.create_account(&new).await.unwrap();
        let account = accounts.account(id).await.unwrap().unwrap();
        assert_eq!((account.address.as_str(), account.quota), ("alice@example.test", quota));
        assert_eq!(accounts.find("ALICE@example.TEST").await.unwrap(), Some(account));
        assert_eq!(accounts.find("alice+x@example.test").await.unwrap(), None);
        assert_eq!(accounts.find("alice").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_address_belongs_to_one_account() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let again = accounts.create_account(&NewAccount::new(Kind::List, "ALICE@example.test")).await;
        assert!(matches!(again, Err(Error::AlreadyExists(_))));
        let elsewhere = accounts.create_account(&NewAccount::new(Kind::Person, "a@elsewhere.test")).await;
        assert!(matches!(elsewhere, Err(Error::NotFound(What::Domain))));
        let bob = accounts.person("bob@example.test").await;
        assert!(bob > alice, "ids ascend, also after failures");
    }

    #[tokio::test]
    async fn only_persons_have_passwords() {
        let accounts = directory().await;
        let password = Some(accounts.hash_password(&Secret::new("x")).await.unwrap());
        let new = NewAccount { password, ..NewAccount::new(Kind::Group, "g@example.test") };
        assert!(matches!(accounts.create_account(&new).await, Err(Error::WrongKind(Kind::Person))));
    }

    #[tokio::test]
    async fn accounts_are_listed_page_by_page_without_aliases() {
        let accounts = directory().await;
        accounts.create_domain("a.test", DomainSettings::default()).await.unwrap();
        accounts.person("z@a.test").await;
        for name in ["carol", "alice", "bob"] {
            let id = accounts.person(&format!("{name}@example.test")).await;
            accounts.add_alias(id, &format!("{name}.alias@example.test")).await.unwrap();
        }
        let list = async |domain: Option<&str>| {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let page = accounts.list(domain, after.as_deref(), 2).await.unwrap();
                all.extend(page.items.into_iter().map(|account| account.address));
                after = page.next;
                if after.is_none() {
                    break all;
                }
            }
        };
        let here = ["alice@example.test", "bob@example.test", "carol@example.test"];
        assert_eq!(list(Some("example.test")).await, here);
        assert_eq!(list(None).await, ["z@a.test", here[0], here[1], here[2]]);
        assert_eq!(list(Some("b.test")).await, [""; 0]);
    }

    #[tokio::test]
    async fn an_account_is_changed() {
        let accounts = directory().await;
        let id = accounts.person("alice@example.test").await;
        let change = AccountChange { display_name: Some("A".into()), ..AccountChange::default() };
        accounts.update(id, &change).await.unwrap();
        let account = accounts.set_enabled(id, false).await.unwrap();
        assert_eq!((account.display_name.as_str(), account.enabled), ("A", false));
        assert_eq!(accounts.account(id).await.unwrap(), Some(account));
        let unknown = accounts.set_enabled(AccountId(99), true).await;
        assert!(matches!(unknown, Err(Error::NotFound(What::Account))));
    }

    #[tokio::test]
    async fn a_deleted_account_leaves_nothing() {
        let accounts = directory().await;
        let rows = async || {
            let rows =
                accounts.db().read("test", |txn| async move { txn.range(b"Pa", b"Pq").collect().await });
            rows.await.unwrap().len()
        };
        let alice = accounts.person("alice@example.test").await;
        let before = rows().await;
        let group = accounts.make(Kind::Group, "group@example.test").await;
        let bob = accounts.person("bob@example.test").await;
        accounts.add_alias(bob, "robert@example.test").await.unwrap();
        accounts.add_member(group, bob, Rights::ALL).await.unwrap();
        accounts.add_member(group, alice, Rights::ALL).await.unwrap();
        accounts.delete_account(bob).await.unwrap();
        assert_eq!(accounts.members(group, None, 10).await.unwrap().items.len(), 1);
        accounts.delete_account(group).await.unwrap();
        assert_eq!(accounts.shared_with(alice).await.unwrap(), []);
        assert_eq!(rows().await, before);
        assert!(accounts.person("bob@example.test").await > bob, "an id is not used again");
    }
}
