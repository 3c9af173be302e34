//! Mailboxes are given other places in the tree, one or several at once: what counts is what comes of all (RFC 8620 §5.3).
//!
//! All of it is read and worked out before any of it is written. A change of the tree makes the row of the tree hold the
//! commit's version, so within that transaction the row can be read no longer: who gives places one after the other ends at the
//! second.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::mail::{AllocationKey, MailboxKey, MailboxNameKey, SubscriptionKey, TreeKey};
use schema::records::mail::{ChangeKind, MailboxRecord};
use schema::{AccountId, Key, MailboxId, Record};

use crate::mailbox::{record_in, retire_in, retired, tree_in};
use crate::{Error, Mailbox, MailboxPath, MailboxRef, Store, keywords, pace};

/// Most mailboxes that are taken along, those below included: each is looked at, in one transaction.
const MAX_MOVED: usize = 10_000;

/// Where a mailbox is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewPlace {
    /// What it lies in; none for the top.
    pub(crate) parent: Option<MailboxId>,
    /// Its name there.
    pub(crate) name: String,
}

/// What is subscribed to when a mailbox moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscribed {
    /// The name (RFC 9051 §6.3.6).
    Name,
    /// The mailbox (RFC 8621 §2 `isSubscribed`), and what lay below its name.
    Mailbox,
}

/// A mailbox whose path becomes another.
#[derive(Debug)]
struct Moved<'t> {
    mailbox: &'t Mailbox,
    to: MailboxPath,
}

/// Makes any other change of the tree conflict: what is read of it afterwards is read without conflicts. It comes before anything
/// is changed.
pub(crate) async fn hold_tree_in(txn: &Transaction, account: AccountId) -> Result<(), Error> {
    txn.get(&TreeKey { account }.encode()).await?;
    Ok(())
}

impl Store {
    /// Gives mailboxes other places, all of them or none. [`hold_tree_in`] comes first.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a mailbox or what it is to lie in, [`Error::AlreadyExists`], [`Error::Reserved`] for INBOX and for
    /// mailboxes that would lie in themselves, [`Error::Invalid`] for a name, [`Error::LimitReached`]; else the store's.
    pub(crate) async fn move_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        places: &BTreeMap<MailboxId, NewPlace>,
        subscribed: Subscribed,
    ) -> Result<(), Error> {
        let tree = tree_in(txn, account).await?;
        let moved = plan(&tree, places)?;
        if moved.len() > MAX_MOVED {
            return Err(Error::LimitReached("too many mailboxes lie below this one"));
        }
        let outshone = outshone_in(txn, account, &moved).await?;
        self.move_subscriptions_in(txn, account, &moved, subscribed).await?;
        for one in &moved {
            retire_in(txn, account, &one.mailbox.path, one.mailbox.uid_validity.get());
        }
        for mailbox in outshone {
            validate_anew_in(txn, account, mailbox).await?;
        }
        self.write_places_in(txn, account, places).await
    }

    async fn write_places_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        places: &BTreeMap<MailboxId, NewPlace>,
    ) -> Result<(), Error> {
        let mut records = Vec::with_capacity(places.len());
        for (mailbox, place) in places {
            let record = record_in(txn, MailboxRef { account, mailbox: *mailbox }).await?;
            let parent = record.parent.map(MailboxId);
            // All names are given up before the first one is taken.
            txn.clear(&MailboxNameKey { account, parent, name: record.name.clone() }.encode());
            let place = place.clone();
            let parent = place.parent.map(|parent| parent.0);
            records.push((*mailbox, MailboxRecord { parent, name: place.name, ..record }));
        }
        for (mailbox, record) in records {
            txn.set(&MailboxKey { account, mailbox }.encode(), &record.to_bytes());
            let (parent, name) = (record.parent.map(MailboxId), record.name);
            txn.set(&MailboxNameKey { account, parent, name }.encode(), &mailbox.0.to_le_bytes());
            self.log_tree_in(txn, account, ChangeKind::MailboxUpdated, mailbox);
        }
        Ok(())
    }

    /// Logs those of the mailboxes that are subscribed to where they were and not where they come to be, or the other way round.
    async fn move_subscriptions_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        moved: &[Moved<'_>],
        subscribed: Subscribed,
    ) -> Result<(), Error> {
        let (begin, end) = SubscriptionKey::range(account);
        let mut names = BTreeSet::new();
        for (key, _) in txn.range(&begin, &end).collect().await? {
            names.insert(SubscriptionKey::decode(&key)?.name);
        }
        let after = match subscribed {
            Subscribed::Name => names.clone(),
            Subscribed::Mailbox => carried(&names, moved),
        };
        for one in moved {
            if names.contains(&one.mailbox.path.to_string()) != after.contains(&one.to.to_string()) {
                self.log_tree_in(txn, account, ChangeKind::MailboxUpdated, one.mailbox.id);
            }
        }
        for name in names.symmetric_difference(&after) {
            self.subscribe_in(txn, account, name, after.contains(name));
        }
        Ok(())
    }
}

/// The names that are subscribed to when each goes where the mailbox goes that it is of, or lies below.
fn carried(names: &BTreeSet<String>, moved: &[Moved<'_>]) -> BTreeSet<String> {
    let to: HashMap<String, &MailboxPath> =
        moved.iter().map(|one| (one.mailbox.path.to_string(), &one.to)).collect();
    let carry = |name: &String| {
        let mut above = name.as_str();
        loop {
            if let Some(to) = to.get(above) {
                return format!("{to}{}", name.strip_prefix(above).unwrap_or_default());
            }
            let Some((shorter, _)) = above.rsplit_once(MailboxPath::SEPARATOR) else { return name.clone() };
            above = shorter;
        }
    };
    names.iter().map(carry).collect()
}

/// Which mailboxes come to have other paths, if what comes of all is a tree.
fn plan<'t>(tree: &'t [Mailbox], places: &BTreeMap<MailboxId, NewPlace>) -> Result<Vec<Moved<'t>>, Error> {
    let mut after: HashMap<MailboxId, (Option<MailboxId>, &str)> =
        tree.iter().map(|one| (one.id, (one.parent, one.name.as_str()))).collect();
    for (id, place) in places {
        check_name(&place.name)?;
        let known = place.parent.is_none_or(|parent| after.contains_key(&parent));
        let own = after.get_mut(id).filter(|_| known).ok_or(Error::NotFound)?;
        *own = (place.parent, &place.name);
    }
    let mut moved = Vec::new();
    for mailbox in tree {
        let names = names_of(&after, mailbox.id)?;
        if names == mailbox.path.names() {
            continue;
        }
        let to = MailboxPath::of_names(names.into_iter().map(str::to_owned).collect());
        let is_inbox = to.names().len() == 1 && to.leaf().eq_ignore_ascii_case("INBOX");
        if mailbox.path.is_inbox() || is_inbox {
            return Err(Error::Reserved("INBOX keeps its name"));
        }
        moved.push(Moved { mailbox, to });
    }
    for id in places.keys() {
        if after.iter().any(|(other, place)| other != id && after.get(id) == Some(place)) {
            return Err(Error::AlreadyExists);
        }
    }
    Ok(moved)
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.contains(MailboxPath::SEPARATOR) {
        return Err(Error::Invalid("a mailbox name must not have a slash"));
    }
    MailboxPath::parse(name).map(drop)
}

/// The names from the top down to a mailbox (RFC 8621 §2 `parentId`: there is no loop).
fn names_of<'n>(
    places: &HashMap<MailboxId, (Option<MailboxId>, &'n str)>,
    mailbox: MailboxId,
) -> Result<Vec<&'n str>, Error> {
    let (mut names, mut at) = (Vec::new(), Some(mailbox));
    while let Some((above, name)) = at.and_then(|id| places.get(&id)) {
        if names.len() >= places.len() {
            return Err(Error::Reserved("a mailbox cannot be moved below itself"));
        }
        names.push(*name);
        at = *above;
    }
    if names.len() > MailboxPath::MAX_DEPTH {
        return Err(Error::LimitReached("the path is too deep"));
    }
    names.reverse();
    Ok(names)
}

/// Mailboxes whose new path has shown a higher UIDVALIDITY than theirs, that of one that leaves it now included: it never goes
/// down for a name (RFC 9051 §2.3.1.1).
async fn outshone_in(
    txn: &Transaction,
    account: AccountId,
    moved: &[Moved<'_>],
) -> Result<Vec<MailboxId>, Error> {
    let leaves: HashMap<&MailboxPath, u64> =
        moved.iter().map(|one| (&one.mailbox.path, one.mailbox.uid_validity.get().into())).collect();
    let mut outshone = Vec::new();
    for window in moved.chunks(pace::WINDOW) {
        let keys: Vec<Vec<u8>> = window.iter().map(|one| retired(account, &one.to)).collect();
        let shown = try_join_all(keys.iter().map(|key| txn.get(key))).await?;
        for (one, shown) in window.iter().zip(shown) {
            let shown = shown.and_then(|value| value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)));
            if shown.max(leaves.get(&one.to).copied()) > Some(one.mailbox.uid_validity.get().into()) {
                outshone.push(one.mailbox.id);
            }
        }
    }
    Ok(outshone)
}

/// Gives a mailbox a UIDVALIDITY above all that its account has given out.
async fn validate_anew_in(txn: &Transaction, account: AccountId, mailbox: MailboxId) -> Result<(), Error> {
    let mut allocation = keywords::allocation_in(txn, account).await?;
    allocation.uid_validity = allocation.uid_validity.saturating_add(1);
    txn.set(&AllocationKey { account }.encode(), &allocation.to_bytes());
    let record = record_in(txn, MailboxRef { account, mailbox }).await?;
    let record = MailboxRecord { uid_validity: allocation.uid_validity, ..record };
    txn.set(&MailboxKey { account, mailbox }.encode(), &record.to_bytes());
    Ok(())
}
