//! Aliases: further addresses of an account.

use crate::rows::{self, parse_address};
use crate::{Accounts, Error, Page, What};
use schema::keys::account::AliasKey;
use schema::{AccountId, Key};

impl Accounts {
    /// Gives an account a further address, in a domain of ours.
    pub async fn add_alias(&self, id: AccountId, address: &str) -> Result<(), Error> {
        let address = &parse_address(address)?;
        self.db()
            .transact("accounts.add_alias", |txn| async move {
                rows::known_account(&txn, id).await?;
                rows::take_address(&txn, address, id, true).await?;
                txn.set(&AliasKey { account: id, address: address.to_string() }.encode(), b"");
                Ok(())
            })
            .await
    }

    /// Takes an alias away from whoever has it.
    pub async fn remove_alias(&self, address: &str) -> Result<(), Error> {
        let address = &parse_address(address)?;
        self.db()
            .transact("accounts.remove_alias", |txn| async move {
                let target = rows::target(&txn, address).await?.filter(|target| target.alias);
                let account = AccountId(target.ok_or(Error::NotFound(What::Address))?.account);
                txn.clear(&rows::address_key(address));
                txn.clear(&AliasKey { account, address: address.to_string() }.encode());
                Ok(())
            })
            .await
    }

    /// An account's aliases, from behind `after` on.
    pub async fn aliases(
        &self,
        account: AccountId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        let behind = |address: &str| AliasKey { account, address: format!("{address}\0") }.encode();
        let rows = self.rows_page(AliasKey::range(account), after.map(behind), limit).await?;
        let address = |key: &[u8]| Ok(AliasKey::decode(key)?.address);
        Page::of_rows(&rows, limit, |(key, _)| address(key), String::clone)
    }

    /// One row more than `limit`, so that it is known whether there are more.
    pub(crate) async fn rows_page(
        &self,
        (first, end): (Vec<u8>, Vec<u8>),
        begin: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<kv::Row>, Error> {
        let (begin, end) = (&begin.unwrap_or(first), &end);
        let page = self.db().read("accounts.page", |txn| async move {
            Ok::<_, Error>(txn.range(begin, end).limit(limit + 1).collect().await?)
        });
        page.await
    }
}

impl<T> Page<T> {
    /// A page of at most `limit` from rows of which one more were asked for.
    pub(crate) fn of_rows(
        rows: &[kv::Row],
        limit: usize,
        item: impl Fn(&kv::Row) -> Result<T, Error>,
        cursor: impl Fn(&T) -> String,
    ) -> Result<Self, Error> {
        let items: Vec<T> = rows.iter().take(limit).map(item).collect::<Result<_, _>>()?;
        let next = items.last().filter(|_| rows.len() > limit).map(cursor);
        Ok(Page { items, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::directory;

    #[tokio::test]
    async fn an_alias_leads_to_its_account() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        accounts.add_alias(alice, "A.Smith@example.test").await.unwrap();
        assert_eq!(accounts.find("a.smith@example.test").await.unwrap().unwrap().id, alice);
        let again = accounts.add_alias(alice, "a.smith@example.test").await;
        assert!(matches!(again, Err(Error::AlreadyExists(_))));
        let unknown = accounts.add_alias(AccountId(99), "x@example.test").await;
        assert!(matches!(unknown, Err(Error::NotFound(What::Account))));

        accounts.remove_alias("a.smith@example.test").await.unwrap();
        assert_eq!(accounts.find("a.smith@example.test").await.unwrap(), None);
        assert_eq!(accounts.aliases(alice, None, 10).await.unwrap().items, [""; 0]);
    }

    #[tokio::test]
    async fn an_accounts_own_address_is_no_alias() {
        let accounts = directory().await;
        accounts.person("alice@example.test").await;
        for address in ["alice@example.test", "nobody@example.test"] {
            let removed = accounts.remove_alias(address).await;
            assert!(matches!(removed, Err(Error::NotFound(What::Address))));
        }
    }

    #[tokio::test]
    async fn aliases_are_listed_page_by_page() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        for name in ["c", "a", "b"] {
            accounts.add_alias(alice, &format!("{name}@example.test")).await.unwrap();
        }
        let first = accounts.aliases(alice, None, 2).await.unwrap();
        assert_eq!(first.items, ["a@example.test", "b@example.test"]);
        let second = accounts.aliases(alice, first.next.as_deref(), 2).await.unwrap();
        assert_eq!(second, Page { items: vec!["c@example.test".into()], next: None });
    }
}
