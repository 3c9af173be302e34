//! Mailing lists: addresses that lead to other addresses, ours or not.

use crate::rows::{self, parse_address};
use crate::{Accounts, Error, Kind, Page, What};
use schema::keys::account::ListMemberKey;
use schema::{AccountId, Key};

impl Accounts {
    /// Adds an address, of ours or not, to a list.
    pub async fn add_list_member(&self, list: AccountId, address: &str) -> Result<(), Error> {
        let address = &parse_address(address)?.to_string();
        self.db()
            .transact("accounts.add_list_member", |txn| async move {
                rows::account_of_kind(&txn, list, Kind::List).await?;
                txn.set(&ListMemberKey { list, address: address.clone() }.encode(), b"");
                Ok(())
            })
            .await
    }

    /// Takes an address off a list.
    pub async fn remove_list_member(&self, list: AccountId, address: &str) -> Result<(), Error> {
        let key = &ListMemberKey { list, address: parse_address(address)?.to_string() }.encode();
        self.db()
            .transact("accounts.remove_list_member", |txn| async move {
                txn.get(key).await?.ok_or(Error::NotFound(What::Member))?;
                txn.clear(key);
                Ok(())
            })
            .await
    }

    /// A list's members, from behind `after` on.
    pub async fn list_members(
        &self,
        list: AccountId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        let behind = |address: &str| ListMemberKey { list, address: format!("{address}\0") }.encode();
        let rows = self.rows_page(ListMemberKey::range(list), after.map(behind), limit).await?;
        let address = |key: &[u8]| Ok(ListMemberKey::decode(key)?.address);
        Page::of_rows(&rows, limit, |(key, _)| address(key), String::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::directory;

    #[tokio::test]
    async fn addresses_come_and_go() {
        let accounts = directory().await;
        let list = accounts.make(Kind::List, "list@example.test").await;
        for address in ["b@Remote.test", "a@example.test", "c@remote.test"] {
            accounts.add_list_member(list, address).await.unwrap();
        }
        let first = accounts.list_members(list, None, 2).await.unwrap();
        assert_eq!(first.items, ["a@example.test", "b@remote.test"]);
        let second = accounts.list_members(list, first.next.as_deref(), 2).await.unwrap();
        assert_eq!(second, Page { items: vec!["c@remote.test".into()], next: None });
        accounts.remove_list_member(list, "B@remote.test").await.unwrap();
        let again = accounts.remove_list_member(list, "b@remote.test").await;
        assert!(matches!(again, Err(Error::NotFound(What::Member))));
        assert_eq!(accounts.list_members(list, None, 9).await.unwrap().items.len(), 2);
    }

    #[tokio::test]
    async fn only_lists_have_addresses_as_members() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let added = accounts.add_list_member(alice, "b@remote.test").await;
        assert!(matches!(added, Err(Error::WrongKind(Kind::List))));
    }
}
