//! From an address to whom its mail goes.

use crate::rows;
use crate::{Account, Accounts, Address, Domain, Error, Kind, normalize_domain};
use kv::Transaction;
use schema::keys::account::ListMemberKey;
use schema::{AccountId, Key};
use std::collections::{BTreeSet, HashMap, HashSet};

/// To how many recipients one address may lead.
pub const MAX_RECIPIENTS: usize = 10_000;

/// How many of them may be ours: the rows of a message for so many fit in one transaction.
pub(crate) const MAX_LOCAL: usize = 2_500;

/// The mailbox that every domain has (RFC 5321 §4.5.1), in any case.
const POSTMASTER: &str = "postmaster";

/// A mailbox owner of ours who gets the mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// A person or group.
    pub account: AccountId,
    /// The address by which it was reached: the one asked for, or a list's member.
    pub address: String,
    /// What followed the separator in it, as it was written.
    pub detail: Option<String>,
}

/// What became of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is ours and takes mail, even if it leads to nobody (an empty list).
    Known,
    /// The domain is ours, the user is not.
    UnknownUser,
    /// The domain is not ours.
    UnknownDomain,
    /// It is ours but does not take part.
    Disabled,
}

/// To whom an address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// Recipients of ours, each account once.
    pub local: Vec<Recipient>,
    /// Addresses elsewhere, each once.
    pub remote: Vec<String>,
    /// What became of the address itself.
    pub status: Status,
}

impl Accounts {
    /// Follows an address, through aliases, details, catch-alls and lists, to whom its mail goes. Loops are cut;
    /// more than [`MAX_RECIPIENTS`] are an error. An address without a domain is in the default one.
    pub async fn expand(&self, address: &str) -> Result<Expansion, Error> {
        self.db().read("accounts.expand", |txn| async move { self.expand_in(&txn, address).await }).await
    }

    /// The same on a transaction's snapshot.
    pub async fn expand_in(&self, txn: &Transaction, address: &str) -> Result<Expansion, Error> {
        let options = self.options();
        let qualified = match &options.default_domain {
            Some(domain) if !address.contains('@') => format!("{address}@{domain}"),
            _ => address.to_owned(),
        };
        let mut walk = Walk::new(txn);
        let mut status = walk.begin(&qualified).await?;
        let local = qualified.rsplit_once('@').map_or(&*qualified, |(local, _)| local);
        if let (Status::UnknownUser, Some(postmaster)) = (status, &options.postmaster)
            && local.eq_ignore_ascii_case(POSTMASTER)
        {
            status = match walk.begin(postmaster).await? {
                Status::UnknownDomain => walk.reach_remote(postmaster.clone())?,
                status => status,
            };
        }
        walk.follow_lists().await?;
        Ok(Expansion { local: walk.local, remote: walk.remote.into_iter().collect(), status })
    }
}

/// An expansion under way.
struct Walk<'a> {
    txn: &'a Transaction,
    domains: HashMap<String, Option<Domain>>,
    local: Vec<Recipient>,
    remote: BTreeSet<String>,
    /// Accounts reached already: cuts loops, and makes every recipient one.
    seen: HashSet<AccountId>,
    lists: Vec<AccountId>,
}

impl<'a> Walk<'a> {
    fn new(txn: &'a Transaction) -> Self {
        Walk {
            txn,
            domains: HashMap::new(),
            local: Vec::new(),
            remote: BTreeSet::new(),
            seen: HashSet::new(),
            lists: Vec::new(),
        }
    }

    /// Goes where the address asked for leads. What a local part may be is each domain's own business, so that ours
    /// are looked at only if the domain is.
    async fn begin(&mut self, text: &str) -> Result<Status, Error> {
        let Some((_, domain)) = text.rsplit_once('@') else { return Ok(Status::UnknownUser) };
        let Ok(domain) = normalize_domain(domain) else { return Ok(Status::UnknownDomain) };
        if self.domain(&domain).await?.is_none() {
            return Ok(Status::UnknownDomain);
        }
        match Address::parse(text) {
            Ok(address) => self.follow(text, &address).await,
            Err(_) => Ok(Status::UnknownUser),
        }
    }

    /// Goes where an address of ours leads; says what became of it. Lists are only noted down.
    async fn follow(&mut self, text: &str, address: &Address) -> Result<Status, Error> {
        let Some(domain) = self.domain(&address.domain).await? else { return Ok(Status::UnknownDomain) };
        if let Some((account, detail)) = self.resolve(text, address, &domain).await? {
            return self.reach(&account, address, detail);
        }
        let Some(catch_all) = &domain.settings.catch_all else { return Ok(Status::UnknownUser) };
        let target = rows::parse_address(catch_all)?;
        match self.domain(&target.domain).await? {
            None => self.reach_remote(catch_all.clone()),
            // Not to that domain's own catch-all, so that this ends.
            Some(domain) => match self.resolve(catch_all, &target, &domain).await? {
                Some((account, detail)) => self.reach(&account, address, detail),
                None => Ok(Status::UnknownUser),
            },
        }
    }

    async fn follow_lists(&mut self) -> Result<(), Error> {
        while let Some(list) = self.lists.pop() {
            let (begin, end) = ListMemberKey::range(list);
            let mut rows = self.txn.range(&begin, &end);
            while let Some((key, _)) = rows.try_next().await? {
                let text = ListMemberKey::decode(&key)?.address;
                let address = rows::parse_address(&text)?;
                // Members that are unknown or disabled by now are passed over.
                if self.follow(&text, &address).await? == Status::UnknownDomain {
                    self.reach_remote(text)?;
                }
            }
        }
        Ok(())
    }

    /// The account of an address, or of its user if it has a detail.
    async fn resolve(
        &self,
        text: &str,
        address: &Address,
        domain: &Domain,
    ) -> Result<Option<(Account, Option<String>)>, Error> {
        let mut found = rows::target(self.txn, address).await?.map(|target| (target, None));
        let split = domain.settings.separator.and_then(|separator| {
            let (base, detail) = address.split_detail(separator)?;
            Some((base, written_detail(text, separator).unwrap_or(detail).to_owned()))
        });
        if let (None, Some((base, detail))) = (&found, split) {
            found = rows::target(self.txn, &base).await?.map(|target| (target, Some(detail)));
        }
        let Some((target, detail)) = found else { return Ok(None) };
        let account = rows::account(self.txn, AccountId(target.account)).await?;
        Ok(account.map(|account| (account, detail)))
    }

    fn reach(
        &mut self,
        account: &Account,
        address: &Address,
        detail: Option<String>,
    ) -> Result<Status, Error> {
        if !account.enabled {
            return Ok(Status::Disabled);
        }
        if !self.seen.insert(account.id) {
            return Ok(Status::Known);
        }
        if account.kind == Kind::List {
            self.lists.push(account.id);
        } else {
            self.local.push(Recipient { account: account.id, address: address.to_string(), detail });
        }
        self.bounded()
    }

    fn reach_remote(&mut self, address: String) -> Result<Status, Error> {
        self.remote.insert(address);
        self.bounded()
    }

    fn bounded(&self) -> Result<Status, Error> {
        let reached = self.seen.len() + self.remote.len();
        if self.local.len() > MAX_LOCAL {
            Err(Error::TooManyRecipients(MAX_LOCAL))
        } else if reached > MAX_RECIPIENTS {
            Err(Error::TooManyRecipients(MAX_RECIPIENTS))
        } else {
            Ok(Status::Known)
        }
    }

    async fn domain(&mut self, name: &str) -> Result<Option<Domain>, Error> {
        if let Some(known) = self.domains.get(name) {
            return Ok(known.clone());
        }
        let domain = rows::domain(self.txn, name).await?;
        self.domains.insert(name.to_owned(), domain.clone());
        Ok(domain)
    }
}

/// A detail in the letters in which it was written: mailbox names tell cases apart (RFC 5233 §4).
fn written_detail(text: &str, separator: char) -> Option<&str> {
    let (local, _) = text.rsplit_once('@')?;
    let (_, detail) = local.split_once(separator)?;
    (!local.starts_with('"')).then_some(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{directory, directory_with};
    use crate::{DomainChange, DomainSettings, HashCost, Options};

    fn to(account: AccountId, address: &str) -> Recipient {
        Recipient { account, address: address.into(), detail: None }
    }

    async fn status(accounts: &Accounts, address: &str) -> Status {
        accounts.expand(address).await.unwrap().status
    }

    #[tokio::test]
    async fn an_address_leads_to_its_account() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        accounts.add_alias(alice, "a@example.test").await.unwrap();
        for (asked, reached) in [
            ("Alice@Example.test", "alice@example.test"),
            ("a@example.test", "a@example.test"),
            ("alice", "alice@example.test"),
        ] {
            let expansion = accounts.expand(asked).await.unwrap();
            let local = vec![to(alice, reached)];
            assert_eq!(expansion, Expansion { local, remote: vec![], status: Status::Known });
        }
    }

    #[tokio::test]
    async fn strangers_are_told_apart() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        assert_eq!(status(&accounts, "bob@example.test").await, Status::UnknownUser);
        assert_eq!(status(&accounts, "bob@elsewhere.test").await, Status::UnknownDomain);
        assert_eq!(status(&accounts, "bob@[127.0.0.1]").await, Status::UnknownDomain);
        assert_eq!(status(&accounts, "a b@example.test").await, Status::UnknownUser);
        // What another domain's local parts are like is its own business.
        let long = "a".repeat(crate::LOCAL_MAX + 1);
        for local in [long.as_str(), "a b", "a..b", "\"a"] {
            assert_eq!(status(&accounts, &format!("{local}@elsewhere.test")).await, Status::UnknownDomain);
            assert_eq!(status(&accounts, &format!("{local}@example.test")).await, Status::UnknownUser);
        }
        assert_eq!(status(&accounts, "no address [").await, Status::UnknownUser);
        accounts.set_enabled(alice, false).await.unwrap();
        let expansion = accounts.expand("alice@example.test").await.unwrap();
        assert_eq!((expansion.status, expansion.local), (Status::Disabled, vec![]));
    }

    #[tokio::test]
    async fn every_domain_has_a_postmaster() {
        let named = |postmaster: &str| Options {
            postmaster: Some(postmaster.into()),
            default_domain: None,
            cost: HashCost::CHEAP,
        };
        for (postmaster, local) in [("alice@example.test", 1), ("ops@elsewhere.test", 0)] {
            let accounts = directory_with(named(postmaster)).await;
            let alice = accounts.person("alice@example.test").await;
            for asked in ["postmaster", "Postmaster@example.test"] {
                let expansion = accounts.expand(asked).await.unwrap();
                assert_eq!((expansion.status, expansion.local.len()), (Status::Known, local), "{asked}");
                assert_eq!(expansion.remote.len(), 1 - local);
            }
            assert_eq!(status(&accounts, "postmaster@elsewhere.test").await, Status::UnknownDomain);
            accounts.add_alias(alice, "postmaster@example.test").await.unwrap();
            let own = accounts.expand("postmaster@example.test").await.unwrap().local;
            assert_eq!(own, [to(alice, "postmaster@example.test")]);
        }
        assert_eq!(status(&directory().await, "postmaster@example.test").await, Status::UnknownUser);
    }

    #[tokio::test]
    async fn a_detail_is_kept_as_written() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let detail = async |address: &str| accounts.expand(address).await.unwrap().local[0].detail.clone();
        assert_eq!(detail("ALICE+Lists.X@example.test").await.as_deref(), Some("Lists.X"));
        assert_eq!(detail("alice+@example.test").await.as_deref(), Some(""));
        let exact = accounts.person("alice+vip@example.test").await;
        assert_ne!(exact, alice);
        assert_eq!(accounts.expand("alice+vip@example.test").await.unwrap().local[0].account, exact);
        let off = DomainChange { separator: Some(None), ..DomainChange::default() };
        accounts.update_domain("example.test", off).await.unwrap();
        assert_eq!(status(&accounts, "alice+x@example.test").await, Status::UnknownUser);
    }

    #[tokio::test]
    async fn a_catch_all_takes_what_is_left() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let catch = async |address: &str| {
            let change = DomainChange { catch_all: Some(Some(address.into())), ..DomainChange::default() };
            accounts.update_domain("example.test", change).await.unwrap();
            accounts.expand("nobody@example.test").await.unwrap()
        };
        assert_eq!(catch("alice+caught@example.test").await.local[0].account, alice);
        assert_eq!(catch("alice@example.test").await.local, [to(alice, "nobody@example.test")]);
        assert_eq!(catch("x@elsewhere.test").await.remote, ["x@elsewhere.test"]);
        assert_eq!(catch("nobody2@example.test").await.status, Status::UnknownUser, "not for ever");
        // Domains that catch for each other.
        let settings =
            DomainSettings { catch_all: Some("y@example.test".into()), ..DomainSettings::default() };
        accounts.create_domain("other.test", settings).await.unwrap();
        assert_eq!(catch("x@other.test").await.status, Status::UnknownUser);
    }

    #[tokio::test]
    async fn lists_are_nested_and_loops_are_cut() {
        let accounts = directory().await;
        let alice = accounts.person("alice@example.test").await;
        let bob = accounts.person("bob@example.test").await;
        let group = accounts.make(Kind::Group, "group@example.test").await;
        let outer = accounts.make(Kind::List, "outer@example.test").await;
        let inner = accounts.make(Kind::List, "inner@example.test").await;
        for (list, member) in [
            (outer, "inner@example.test"),
            (outer, "outer@example.test"),
            (outer, "alice@example.test"),
            (outer, "alice+x@example.test"),
            (outer, "gone@example.test"),
            (outer, "x@remote.test"),
            (inner, "outer@example.test"),
            (inner, "group@example.test"),
            (inner, "bob@example.test"),
            (inner, "x@remote.test"),
        ] {
            accounts.add_list_member(list, member).await.unwrap();
        }
        let expansion = accounts.expand("outer@example.test").await.unwrap();
        let mut reached: Vec<_> = expansion.local.iter().map(|r| r.account).collect();
        reached.sort();
        assert_eq!(reached, [alice, bob, group]);
        assert_eq!(expansion.remote, ["x@remote.test"]);
        accounts.set_enabled(inner, false).await.unwrap();
        assert_eq!(accounts.expand("outer@example.test").await.unwrap().local.len(), 1);
    }

    #[tokio::test]
    async fn an_empty_list_is_known() {
        let accounts = directory().await;
        accounts.make(Kind::List, "list@example.test").await;
        let expansion = accounts.expand("list@example.test").await.unwrap();
        assert_eq!(expansion, Expansion { local: vec![], remote: vec![], status: Status::Known });
    }

    #[tokio::test]
    async fn a_list_is_bounded() {
        let accounts = &directory().await;
        let list = accounts.make(Kind::List, "list@example.test").await;
        let fill = accounts.db().transact("test", |txn| async move {
            for i in 0..=MAX_RECIPIENTS {
                txn.set(&ListMemberKey { list, address: format!("u{i}@remote.test") }.encode(), b"");
            }
            Ok::<_, Error>(())
        });
        fill.await.unwrap();
        let expansion = accounts.expand("list@example.test").await;
        assert!(matches!(expansion, Err(Error::TooManyRecipients(MAX_RECIPIENTS))));
    }
}
