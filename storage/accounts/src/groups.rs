//! Groups: accounts whose mailboxes their members see.

use crate::rows;
use crate::{Accounts, Error, Kind, Page, Rights, What};
use changes::log;
use kv::Transaction;
use schema::keys::account::{GroupMemberKey, MemberOfKey};
use schema::records::account::Membership;
use schema::{AccountId, Key, Record};

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The member.
    pub account: AccountId,
    /// Its own address.
    pub address: String,
    /// What it may do with the group's mailboxes.
    pub rights: Rights,
}

/// A group whose mailboxes somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedGroup {
    /// The group.
    pub account: AccountId,
    /// Its own address.
    pub address: String,
    /// For people to read.
    pub display_name: String,
    /// What may be done with its mailboxes.
    pub rights: Rights,
}

impl Accounts {
    /// Makes a person a member of a group, or changes what it may do.
    pub async fn add_member(&self, group: AccountId, member: AccountId, rights: Rights) -> Result<(), Error> {
        let added = self
            .db()
            .transact_versioned("accounts.add_member", |txn| async move {
                rows::account_of_kind(&txn, group, Kind::Group).await?;
                rows::account_of_kind(&txn, member, Kind::Person).await?;
                let record = Membership { rights: rights.bits() };
                txn.set(&GroupMemberKey { group, member }.encode(), &record.to_bytes());
                txn.set(&MemberOfKey { member, group }.encode(), b"");
                log::touch_standing_in(&txn, member);
                Ok::<_, Error>(())
            })
            .await?;
        self.tell_standing(member, added.1);
        Ok(())
    }

    /// Ends a membership.
    pub async fn remove_member(&self, group: AccountId, member: AccountId) -> Result<(), Error> {
        let removed = self
            .db()
            .transact_versioned("accounts.remove_member", |txn| async move {
                rights_in(&txn, group, member).await?.ok_or(Error::NotFound(What::Member))?;
                txn.clear(&GroupMemberKey { group, member }.encode());
                txn.clear(&MemberOfKey { member, group }.encode());
                log::touch_standing_in(&txn, member);
                Ok::<_, Error>(())
            })
            .await?;
        self.tell_standing(member, removed.1);
        Ok(())
    }

    /// A group's members, from behind the account id `after` on.
    pub async fn members(
        &self,
        group: AccountId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Member>, Error> {
        let after: Option<AccountId> =
            after.map(|id| id.parse().map_err(|_| Error::Invalid("not the cursor of a page"))).transpose()?;
        let behind = |id: AccountId| {
            let mut key = GroupMemberKey { group, member: id }.encode();
            key.push(0);
            key
        };
        let rows = self.rows_page(GroupMemberKey::range(group), after.map(behind), limit).await?;
        let member = |(key, value): &kv::Row| {
            let account = GroupMemberKey::decode(key)?.member;
            let rights = Rights::from_bits(Membership::from_bytes(value)?.rights);
            Ok(Member { account, address: String::new(), rights })
        };
        let mut page = Page::of_rows(&rows, limit, member, |member| member.account.to_string())?;
        for member in &mut page.items {
            member.address = self.account(member.account).await?.map(|a| a.address).unwrap_or_default();
        }
        Ok(page)
    }

    /// What a member may do with a group's mailboxes; nothing if it is none.
    pub async fn rights(&self, group: AccountId, member: AccountId) -> Result<Rights, Error> {
        let rights =
            self.db().read("accounts.rights", |txn| async move { rights_in(&txn, group, member).await });
        Ok(rights.await?.unwrap_or(Rights::NONE))
    }

    /// The enabled groups that an account is a member of: it sees their mailboxes as far as its rights go.
    pub async fn shared_with(&self, member: AccountId) -> Result<Vec<SharedGroup>, Error> {
        self.db().read("accounts.shared_with", |txn| async move { shared_with_in(&txn, member).await }).await
    }
}

async fn rights_in(txn: &Transaction, group: AccountId, member: AccountId) -> Result<Option<Rights>, Error> {
    let value = txn.get(&GroupMemberKey { group, member }.encode()).await?;
    let record = value.map(|value| Membership::from_bytes(&value)).transpose()?;
    Ok(record.map(|record| Rights::from_bits(record.rights)))
}

pub(crate) async fn shared_with_in(txn: &Transaction, member: AccountId) -> Result<Vec<SharedGroup>, Error> {
    let (begin, end) = MemberOfKey::range(member);
    let mut groups = Vec::new();
    for (key, _) in txn.range(&begin, &end).collect().await? {
        let group = MemberOfKey::decode(&key)?.group;
        let account = rows::account(txn, group).await?.filter(|account| account.enabled);
        if let (Some(account), Some(rights)) = (account, rights_in(txn, group, member).await?) {
            let (address, display_name) = (account.address, account.display_name);
            groups.push(SharedGroup { account: group, address, display_name, rights });
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::directory;

    #[tokio::test]
    async fn a_member_sees_the_group_as_far_as_its_rights_go() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let sales = accounts.make(Kind::Group, "sales@example.test").await;
        let read = Rights::parse("lr").unwrap();
        assert_eq!(accounts.rights(sales, alice).await.unwrap(), Rights::NONE);
        accounts.add_member(sales, alice, read).await.unwrap();
        let shared = accounts.shared_with(alice).await.unwrap();
        assert_eq!((shared.len(), shared[0].account, shared[0].rights), (1, sales, read));
        assert_eq!(shared[0].address, "sales@example.test");

        accounts.add_member(sales, alice, Rights::ALL).await.unwrap();
        assert_eq!(accounts.rights(sales, alice).await.unwrap(), Rights::ALL);
        accounts.set_enabled(sales, false).await.unwrap();
        assert_eq!(accounts.shared_with(alice).await.unwrap(), []);
        accounts.set_enabled(sales, true).await.unwrap();
        accounts.remove_member(sales, alice).await.unwrap();
        assert_eq!(accounts.shared_with(alice).await.unwrap(), []);
        let again = accounts.remove_member(sales, alice).await;
        assert!(matches!(again, Err(Error::NotFound(What::Member))));
    }

    #[tokio::test]
    async fn only_persons_are_members_of_groups_only() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let sales = accounts.make(Kind::Group, "sales@example.test").await;
        let to_person = accounts.add_member(alice, alice, Rights::ALL).await;
        assert!(matches!(to_person, Err(Error::WrongKind(Kind::Group))));
        let group = accounts.add_member(sales, sales, Rights::ALL).await;
        assert!(matches!(group, Err(Error::WrongKind(Kind::Person))));
    }

    #[tokio::test]
    async fn members_are_listed_page_by_page() {
        let accounts = directory().await;
        let sales = accounts.make(Kind::Group, "sales@example.test").await;
        for name in ["a", "b", "c"] {
            let member = accounts.person(&format!("{name}@example.test")).await;
            accounts.add_member(sales, member, Rights::READ).await.unwrap();
        }
        let first = accounts.members(sales, None, 2).await.unwrap();
        assert_eq!(first.items[1].address, "b@example.test");
        let second = accounts.members(sales, first.next.as_deref(), 2).await.unwrap();
        assert_eq!((second.items.len(), second.next), (1, None));
        assert_eq!(second.items[0].address, "c@example.test");
    }
}
