//! What others share with somebody: mailboxes of theirs, each with rights of its own (RFC 4314, RFC 9670).
//!
//! The lists are changed where mailboxes are (`mail`); here is who somebody is by them, and what becomes of them with an account.

use crate::rows;
use crate::{Accounts, Error, Rights};
use changes::log;
use findings::{Finding, Kind, Mended, Report};
use kv::Transaction;
use schema::keys::account::PrincipalKey;
use schema::keys::mail::{MailboxKey, RoleKey};
use schema::keys::share::{ShareKey, SharedKey};
use schema::records::account::Share;
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::{AccountId, Key, MailboxId, Record};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A mailbox of another that somebody may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedMailbox {
    /// What may be done with it.
    pub rights: Rights,
    /// Whether they want to see it.
    pub subscribed: bool,
}

/// The mailboxes of an account that somebody may use.
pub type SharedMailboxes = BTreeMap<MailboxId, SharedMailbox>;

/// An account some of whose mailboxes somebody may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedAccount {
    /// The account.
    pub account: AccountId,
    /// Its own address.
    pub address: String,
    /// For people to read.
    pub display_name: String,
    /// Which mailboxes, and how; one at least.
    pub mailboxes: Arc<SharedMailboxes>,
}

/// What others share with a person. Accounts that take no part share nothing, nor do those that are gone.
pub(crate) async fn shares_in(txn: &Transaction, principal: AccountId) -> Result<Vec<SharedAccount>, Error> {
    let (begin, end) = SharedKey::of_principal(principal);
    let mut by_owner: BTreeMap<AccountId, SharedMailboxes> = BTreeMap::new();
    for (key, value) in txn.range(&begin, &end).collect().await? {
        let (key, share) = (SharedKey::decode(&key)?, Share::from_bytes(&value)?);
        let shared = SharedMailbox { rights: Rights::from_bits(share.rights), subscribed: share.subscribed };
        by_owner.entry(key.owner).or_default().insert(key.mailbox, shared);
    }
    let mut all = Vec::with_capacity(by_owner.len());
    for (account, mailboxes) in by_owner {
        if let Some(owner) = rows::account(txn, account).await?.filter(|owner| owner.enabled) {
            let (address, display_name) = (owner.address, owner.display_name);
            all.push(SharedAccount { account, address, display_name, mailboxes: Arc::new(mailboxes) });
        }
    }
    Ok(all)
}

impl Accounts {
    /// An account goes: nobody has a right to its mailboxes, nor it to those of others. Its own rows go with the account.
    pub(crate) async fn forget_shares_in(&self, txn: &Transaction, account: AccountId) -> Result<(), Error> {
        let (begin, end) = ShareKey::of_owner(account);
        for (key, _) in txn.range(&begin, &end).collect().await? {
            let share = ShareKey::decode(&key)?;
            txn.clear(&share.other().encode());
            log::touch_standing_in(txn, share.principal);
        }
        let (begin, end) = SharedKey::of_principal(account);
        for (key, value) in txn.range(&begin, &end).collect().await? {
            let shared = SharedKey::decode(&key)?;
            txn.clear(&shared.other().encode());
            self.log_lost_in(txn, shared, Share::from_bytes(&value)?.rights).await?;
        }
        Ok(())
    }

    /// Notes in the owner's log that somebody has no right any more, if there is somebody to read it.
    async fn log_lost_in(&self, txn: &Transaction, shared: SharedKey, rights: u32) -> Result<(), Error> {
        if !has_mailbox(txn, shared.owner, shared.mailbox).await? {
            return Ok(());
        }
        let entry = |kind: ChangeKind, objects: Vec<u64>| ChangeRecord {
            kind: kind as i32,
            at: self.now().div_euclid(1_000),
            mailboxes: vec![shared.mailbox.0],
            objects,
            ..ChangeRecord::default()
        };
        let lost = entry(ChangeKind::MailboxShared, vec![shared.principal.0.into(), rights.into(), 0]);
        let discriminator = u64::from(shared.principal.0) << 32 | u64::from(shared.mailbox.0);
        log::record_in(txn, shared.owner, discriminator, &lost);
        let updated = entry(ChangeKind::MailboxUpdated, Vec::new());
        log::record_in(txn, shared.owner, shared.mailbox.0.into(), &updated);
        Ok(())
    }
}

/// Whether there is such a mailbox, of an account that was not removed.
async fn has_mailbox(txn: &Transaction, account: AccountId, mailbox: MailboxId) -> Result<bool, Error> {
    /// The role of an INBOX, as stored.
    const INBOX: u8 = 1;
    Ok(txn.get(&RoleKey { account, role: INBOX }.encode()).await?.is_some()
        && txn.get(&MailboxKey { account, mailbox }.encode()).await?.is_some())
}

/// Both halves say the same rights, of a mailbox and of somebody who are there.
pub(crate) async fn check_in(
    txn: &Transaction,
    (key, is_owners): (ShareKey, bool),
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(share) = report.record::<Share>(value) else { return Ok(()) };
    let whose = if is_owners { key.principal } else { key.owner };
    if txn.get(&PrincipalKey { account: whose }.encode()).await?.is_none() {
        report.add_here(Kind::ShareUneven, format!("there is no account {whose}"));
    } else if !has_mailbox(txn, key.owner, key.mailbox).await? {
        report.add_here(Kind::ShareUneven, "there is no such mailbox");
    } else {
        let other = if is_owners { key.other().encode() } else { key.encode() };
        let rights = txn.get(&other).await?.map(|value| Share::from_bytes(&value));
        match rights {
            None if is_owners => report.add(Kind::ShareUneven, other, "who may use it does not know"),
            None => report.add_here(Kind::ShareUneven, "the mailbox's list does not have it"),
            Some(Ok(other_half)) if other_half.rights != share.rights && !is_owners => {
                report.add_here(Kind::ShareUneven, "the mailbox's list says other rights");
            }
            // What cannot be read says so itself.
            Some(_) => {}
        }
    }
    Ok(())
}

/// Nobody gets a right by it: a half that the owner's list does not have is cleared, and rights are those of the list.
pub(crate) async fn mend_in(txn: &Transaction, finding: &Finding) -> Result<Mended, Error> {
    if finding.key != finding.source {
        let Some(value) = txn.get(&finding.source).await? else { return Ok(Mended::Gone) };
        let share = Share { subscribed: false, ..Share::from_bytes(&value)? };
        txn.set(&finding.key, &share.to_bytes());
        return Ok(Mended::done("the other half was written"));
    }
    let list = SharedKey::decode(&finding.key).ok().map(|key| (key, key.other()));
    let Some((shared, list)) = list else {
        txn.clear(&finding.key);
        return Ok(Mended::done("it was cleared"));
    };
    log::touch_standing_in(txn, shared.principal);
    let there = has_mailbox(txn, shared.owner, shared.mailbox).await?
        && txn.get(&PrincipalKey { account: shared.owner }.encode()).await?.is_some();
    match txn.get(&list.encode()).await? {
        Some(value) if there => {
            txn.set(&finding.key, &Share { subscribed: false, ..Share::from_bytes(&value)? }.to_bytes());
            Ok(Mended::done("the rights are those of the list"))
        }
        _ => {
            txn.clear(&finding.key);
            Ok(Mended::done("it was cleared"))
        }
    }
}
