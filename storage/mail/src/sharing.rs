//! Access control lists: what others may do with a mailbox (RFC 4314, RFC 9670 §4).
//!
//! A right is two rows, one found by the mailbox and one by whoever has it, written by one transaction. The same transaction notes in
//! the account's log what has changed and for whom, in the log of whoever has the rights that a notification came (RFC 9670 §3), and
//! that their standing is another: so whoever is connected is told, whichever protocol the change came by.

use std::collections::BTreeMap;

use changes::{Kinds, log};
use kv::{Transaction, Versionstamp};
use schema::keys::account::PrincipalKey;
use schema::keys::mail::{ObjectKey, ObjectKind};
use schema::keys::share::{ShareKey, SharedKey};
use schema::records::account::{Principal, Share};
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::records::object::{PersonRecord, ShareNotificationRecord};
use schema::{AccountId, Key, MailboxId, Record, Rights};

use crate::objects::{ObjectChange, write_object_in};
use crate::{Error, MailboxRef, Store, mailbox, removal};

/// Those who may use a mailbox, at most.
const MOST_OF_MAILBOX: usize = 200;
/// Mailboxes of others that somebody may use, at most.
const MOST_OF_PRINCIPAL: usize = 1_000;
/// Notifications that an account has at most: the oldest make room.
pub const SHARE_NOTIFICATIONS: usize = 500;

/// The number of a person among kinds of principals, as stored.
const PERSON: u32 = 1;

/// Access control lists of an account's mailboxes.
pub type Lists = BTreeMap<MailboxId, BTreeMap<AccountId, Rights>>;

/// How an access control list is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareEdit {
    /// Who changes it.
    pub by: AccountId,
    /// Whether those who are not named lose their rights.
    pub whole: bool,
    /// The rights that are to be; none for those who are to have no right.
    pub rights: BTreeMap<AccountId, Rights>,
}

/// The rights of one of those named in a list.
struct Grant {
    principal: AccountId,
    old: Rights,
    new: Rights,
}

impl Store {
    /// The access control lists of all mailboxes of an account.
    ///
    /// # Errors
    /// The store's.
    pub async fn lists(&self, account: AccountId) -> Result<Lists, Error> {
        self.db
            .read("mail.lists", |txn| async move {
                let (begin, end) = ShareKey::of_owner(account);
                let mut lists = Lists::new();
                for (key, value) in txn.range(&begin, &end).snapshot().collect().await? {
                    let ShareKey { mailbox, principal, .. } = ShareKey::decode(&key)?;
                    let rights = Rights::from_bits(Share::from_bytes(&value)?.rights);
                    lists.entry(mailbox).or_default().insert(principal, rights);
                }
                Ok(lists)
            })
            .await
    }

    /// Notes whether somebody wants to see a mailbox that another shares (RFC 8621 §2).
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not shared with them; else the store's.
    pub async fn subscribe_shared(
        &self,
        principal: AccountId,
        at: MailboxRef,
        on: bool,
    ) -> Result<(), Error> {
        let ((), version) = self
            .db
            .transact_versioned("mail.subscribe_shared", |txn| async move {
                mailbox::record_in(&txn, at).await?;
                let key = SharedKey { principal, owner: at.account, mailbox: at.mailbox };
                let value = txn.get(&key.encode()).await?.ok_or(Error::NotFound)?;
                let share = Share::from_bytes(&value)?;
                txn.set(&key.encode(), &Share { subscribed: on, ..share.clone() }.to_bytes());
                let rights = Rights::from_bits(share.rights);
                self.log_share_in(&txn, at, &Grant { principal, old: rights, new: rights });
                Ok::<_, Error>(())
            })
            .await?;
        self.tell(at.account, &[at.mailbox], version, Kinds::SUBSCRIPTIONS);
        self.tell_standing(&[principal], version);
        Ok(())
    }

    /// After a commit that changed the rights of these: tells them.
    pub(crate) fn tell_standing(&self, principals: &[AccountId], version: Versionstamp) {
        for principal in principals {
            self.tell(*principal, &[], version, Kinds::STANDING);
            self.tell_objects(*principal, version);
        }
    }

    /// Changes the list of a mailbox. Returns whose rights are others now. That the mailbox was made or changed is the caller's to log.
    ///
    /// # Errors
    /// [`Error::Invalid`] for who cannot have rights, [`Error::LimitReached`], [`Error::NotFound`]; else the store's.
    pub(crate) async fn share_in(
        &self,
        txn: &Transaction,
        at: MailboxRef,
        edit: &ShareEdit,
    ) -> Result<Vec<AccountId>, Error> {
        let name = mailbox::record_in(txn, at).await?.name;
        let before = list_in(txn, at).await?;
        let mut wanted = edit.rights.clone();
        if edit.whole {
            for principal in before.keys() {
                wanted.entry(*principal).or_default();
            }
        }
        let old = |principal: &AccountId| before.get(principal).copied().unwrap_or_default();
        wanted.retain(|principal, rights| old(principal) != *rights);
        let gained = wanted.keys().filter(|principal| !before.contains_key(principal)).count();
        let lost = wanted.values().filter(|rights| **rights == Rights::NONE).count();
        if before.len() + gained > MOST_OF_MAILBOX + lost {
            return Err(Error::LimitReached("the mailbox is shared with too many"));
        }
        for (principal, new) in &wanted {
            let grant = Grant { principal: *principal, old: old(principal), new: *new };
            self.grant_in(txn, at, &grant).await?;
            if edit.by != *principal {
                self.notify_in(txn, at, &grant, (edit.by, &name)).await?;
            }
        }
        Ok(wanted.into_keys().collect())
    }

    /// Gives a new mailbox the list of the one that it lies in, so that whoever sees that one sees what is made in it.
    pub(crate) async fn inherit_in(
        &self,
        txn: &Transaction,
        at: MailboxRef,
        parent: MailboxId,
        by: AccountId,
    ) -> Result<Vec<AccountId>, Error> {
        let rights = list_in(txn, MailboxRef { mailbox: parent, ..at }).await?;
        self.share_in(txn, at, &ShareEdit { by, whole: true, rights }).await
    }

    /// Nobody has a right to a mailbox any more: it goes.
    pub(crate) async fn unshare_in(&self, txn: &Transaction, at: MailboxRef) -> Result<(), Error> {
        for (principal, old) in list_in(txn, at).await? {
            self.grant_in(txn, at, &Grant { principal, old, new: Rights::NONE }).await?;
        }
        Ok(())
    }

    async fn grant_in(&self, txn: &Transaction, at: MailboxRef, grant: &Grant) -> Result<(), Error> {
        let key = ShareKey { owner: at.account, mailbox: at.mailbox, principal: grant.principal };
        let (own, other) = (key.encode(), key.other().encode());
        if grant.new == Rights::NONE {
            txn.clear(&own);
            txn.clear(&other);
        } else {
            may_have_in(txn, at.account, grant).await?;
            let known = txn.get(&other).await?.map(|value| Share::from_bytes(&value)).transpose()?;
            let share = Share { rights: grant.new.bits(), subscribed: false };
            txn.set(&own, &share.to_bytes());
            let subscribed = known.is_some_and(|known| known.subscribed);
            txn.set(&other, &Share { subscribed, ..share }.to_bytes());
        }
        self.log_share_in(txn, at, grant);
        log::touch_standing_in(txn, grant.principal);
        Ok(())
    }

    fn log_share_in(&self, txn: &Transaction, at: MailboxRef, grant: &Grant) {
        let objects = vec![grant.principal.0.into(), grant.old.bits().into(), grant.new.bits().into()];
        let record = ChangeRecord {
            kind: ChangeKind::MailboxShared as i32,
            at: self.now_secs(),
            mailboxes: vec![at.mailbox.0],
            objects,
            ..ChangeRecord::default()
        };
        // Above all ids of mailboxes, which the entries of the mailboxes themselves have.
        let discriminator = u64::from(grant.principal.0) << 32 | u64::from(at.mailbox.0);
        log::record_in(txn, at.account, discriminator, &record);
    }

    /// RFC 9670 §3: tells whose rights have changed, if they are there to be told.
    async fn notify_in(
        &self,
        txn: &Transaction,
        at: MailboxRef,
        grant: &Grant,
        (by, name): (AccountId, &str),
    ) -> Result<(), Error> {
        let (account, kind) = (grant.principal, ObjectKind::ShareNotification);
        if !removal::is_alive_in(txn, account).await? {
            return Ok(());
        }
        let (begin, end) = ObjectKey::range(account, kind);
        let known = txn.range(&begin, &end).collect().await?;
        let surplus = (known.len() + 1).saturating_sub(SHARE_NOTIFICATIONS);
        for (key, _) in known.iter().take(surplus) {
            let gone = ObjectChange::<ShareNotificationRecord>::Destroyed;
            write_object_in(txn, (account, kind, ObjectKey::decode(key)?.id), &gone, self.now_secs());
        }
        let record = ShareNotificationRecord {
            created: self.clock.now().millis(),
            changed_by: by.0,
            changer: person_in(txn, by).await?,
            owner: at.account.0,
            mailbox: at.mailbox.0,
            name: name.to_owned(),
            old_rights: grant.old.bits(),
            new_rights: grant.new.bits(),
        };
        let made = ObjectChange::Created(&record);
        write_object_in(txn, (account, kind, self.new_object_id()), &made, self.now_secs());
        Ok(())
    }
}

/// The list of a mailbox, read so that another change of it conflicts.
async fn list_in(txn: &Transaction, at: MailboxRef) -> Result<BTreeMap<AccountId, Rights>, Error> {
    let (begin, end) = ShareKey::of_mailbox(at.account, at.mailbox);
    let rows = txn.range(&begin, &end).collect().await?;
    let one = |(key, value): &kv::Row| {
        Ok((ShareKey::decode(key)?.principal, Rights::from_bits(Share::from_bytes(value)?.rights)))
    };
    rows.iter().map(one).collect()
}

/// Fails for who cannot have rights: nobody, who is no person, the owner, who has too many. Conflicts with their removal.
async fn may_have_in(txn: &Transaction, owner: AccountId, grant: &Grant) -> Result<(), Error> {
    const NOBODY: Error = Error::Invalid("there is no such person to share with");
    let principal = grant.principal;
    let value = txn.get(&PrincipalKey { account: principal }.encode()).await?.ok_or(NOBODY)?;
    if Principal::from_bytes(&value)?.kind != PERSON || principal == owner {
        return Err(NOBODY);
    }
    if !removal::is_alive_in(txn, principal).await? {
        return Err(NOBODY);
    }
    if grant.old == Rights::NONE {
        let (begin, end) = SharedKey::of_principal(principal);
        if txn.range(&begin, &end).limit(MOST_OF_PRINCIPAL).collect().await?.len() >= MOST_OF_PRINCIPAL {
            return Err(Error::LimitReached("too much is shared with them"));
        }
    }
    Ok(())
}

async fn person_in(txn: &Transaction, account: AccountId) -> Result<Option<PersonRecord>, Error> {
    let value = txn.get(&PrincipalKey { account }.encode()).await?;
    let principal = value.map(|value| Principal::from_bytes(&value)).transpose()?;
    Ok(principal.map(|one| PersonRecord {
        name: Some(one.display_name).filter(|name| !name.is_empty()),
        email: one.address,
    }))
}
