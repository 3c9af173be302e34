//! Mailboxes, names, roles, keywords, and what is kept per account.

use findings::{Finding, Kind, Mended, place_of};
use kv::Transaction;
use schema::keys::job::{EmptyKey, PurgeKey};
use schema::keys::mail::*;
use schema::page::{PAGE_UIDS, Page};
use schema::records::mail::{AllocationRecord, ChangeKind, MailboxRecord};
use schema::{AccountId, Key, MailboxId, Record};

use super::super::account::name_of;
use super::super::look::{allocation, is_there, mailbox_at, record};
use super::page_key;
use crate::ingest::touch_in;
use crate::{Error, MailboxPath, MailboxRef, Role, Store, emptying};

impl Store {
    pub(super) async fn mend_tree_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        finding: &Finding,
    ) -> Result<Mended, Error> {
        let key = finding.key.as_slice();
        let mailbox = place_of(key).mailbox;
        match (finding.kind, mailbox) {
            (Kind::LaterMissing, _) => {
                txn.set(key, b"");
                Ok(Mended::done("it was written"))
            }
            (Kind::LaterStale, _) => {
                txn.clear(key);
                Ok(Mended::done("it was cleared"))
            }
            (Kind::JobForLiving, _) => {
                txn.clear(key);
                Ok(Mended::done("the job was cleared"))
            }
            (Kind::RemovalForgotten, Some(mailbox)) => {
                EmptyKey::decode(key)?;
                emptying::begin_in(self, txn, MailboxRef { account, mailbox });
                Ok(Mended::done("a job removes what is left"))
            }
            (Kind::RemovalForgotten, None) => {
                PurgeKey::decode(key)?;
                self.remove_in(txn, account, "");
                Ok(Mended::done("a job removes what is left"))
            }
            (Kind::InboxLost, _) => self.make_inbox_in(txn, account).await,
            (Kind::MailboxLost, Some(mailbox)) => self.make_again_in(txn, account, mailbox).await,
            (Kind::ParentMissing, Some(mailbox)) => self.to_the_top_in(txn, account, mailbox).await,
            (Kind::NameMissing, _) => self.name_again_in(txn, account, finding).await,
            (Kind::RoleMissing, _) => self.role_again_in(txn, account, finding).await,
            (Kind::NameStale | Kind::RoleStale | Kind::KeywordNameStale, _) => {
                txn.clear(key);
                self.log_tree_in(txn, account, ChangeKind::MailboxUpdated, mailbox.unwrap_or(MailboxId(0)));
                Ok(Mended::done("it was cleared"))
            }
            (Kind::AllocationLow, _) => raise_allocation_in(txn, account).await,
            (Kind::KeywordNameMissing, _) => {
                let KeywordKey { id, .. } = KeywordKey::decode(&finding.source)?;
                txn.set(key, &id.to_le_bytes());
                Ok(Mended::done("the name was written"))
            }
            (Kind::KeywordLost, _) => keyword_again_in(txn, account, KeywordKey::decode(key)?.id).await,
            (Kind::HighestLow, Some(mailbox)) => {
                touch_in(txn, MailboxRef { account, mailbox });
                changes::log::touch_in(txn, account);
                Ok(Mended::done("the mailbox counts as changed now"))
            }
            (Kind::LastChangeLow, _) => {
                changes::log::touch_in(txn, account);
                Ok(Mended::done("the account counts as changed now"))
            }
            (Kind::Unreadable, _) => unreadable_in(txn, account, key).await,
            _ => Ok(Mended::kept(finding.kind.remedy())),
        }
    }

    /// An INBOX for an account that has none.
    async fn make_inbox_in(&self, txn: &Transaction, account: AccountId) -> Result<Mended, Error> {
        let name = MailboxNameKey { account, parent: None, name: "INBOX".to_owned() };
        // What has the name is another mailbox, or none.
        if txn.get(&name.encode()).await?.is_some() {
            return Ok(Mended::kept("another mailbox is called INBOX"));
        }
        self.create_in(txn, account, &MailboxPath::inbox(), Some(Role::Inbox)).await?;
        Ok(Mended::done("an empty INBOX was made"))
    }

    /// A mailbox's record, from the name and role that lead to it. Its UIDVALIDITY is a new one: the old is not known.
    async fn make_again_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        mailbox: MailboxId,
    ) -> Result<Mended, Error> {
        let (parent, name) = match name_of(txn, account, mailbox).await? {
            Some(key) => (key.parent, key.name),
            None => (None, free_name_in(txn, account, "Recovered", mailbox).await?),
        };
        let mut role = None;
        for one in Role::ALL_ROLES {
            if mailbox_at(txn, &RoleKey { account, role: one as u8 }).await? == Some(mailbox) {
                role = Some(one);
            }
        }
        let mut last = allocation(txn, account).await?;
        let now = self.now_secs();
        let since_epoch = u32::try_from(now).unwrap_or(u32::MAX - 1);
        last.uid_validity = since_epoch.max(last.uid_validity.saturating_add(1)).max(1);
        last.mailbox = last.mailbox.max(mailbox.0);
        txn.set(&AllocationKey { account }.encode(), &last.to_bytes());
        let record = MailboxRecord {
            sort_order: 0,
            parent: parent.map(|parent| parent.0),
            name: name.clone(),
            role: role.map_or(0, |role| u32::from(role as u8)),
            uid_validity: last.uid_validity,
            created: now,
        };
        self.put_in(txn, account, mailbox, &record, ChangeKind::MailboxCreated);
        Ok(Mended::done(format!("mailbox {} is there again as {name:?}", mailbox.0)))
    }

    /// Writes a mailbox with its name.
    fn put_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        mailbox: MailboxId,
        record: &MailboxRecord,
        change: ChangeKind,
    ) {
        let name =
            MailboxNameKey { account, parent: record.parent.map(MailboxId), name: record.name.clone() };
        txn.set(&MailboxKey { account, mailbox }.encode(), &record.to_bytes());
        txn.set(&name.encode(), &mailbox.0.to_le_bytes());
        self.log_tree_in(txn, account, change, mailbox);
    }

    async fn to_the_top_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        mailbox: MailboxId,
    ) -> Result<Mended, Error> {
        let found = record::<MailboxRecord>(txn, &MailboxKey { account, mailbox }).await?.known();
        let Some(mut record) = found else { return Ok(Mended::Gone) };
        let old = MailboxNameKey { account, parent: record.parent.map(MailboxId), name: record.name.clone() };
        if mailbox_at(txn, &old).await? == Some(mailbox) {
            txn.clear(&old.encode());
        }
        record.parent = None;
        record.name = free_name_in(txn, account, &record.name, mailbox).await?;
        self.put_in(txn, account, mailbox, &record, ChangeKind::MailboxUpdated);
        Ok(Mended::done(format!("the mailbox is {:?} at the top now", record.name)))
    }

    /// Makes a mailbox's name lead to it; another name if it leads to another mailbox that has it.
    async fn name_again_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        finding: &Finding,
    ) -> Result<Mended, Error> {
        let MailboxKey { mailbox, .. } = MailboxKey::decode(&finding.source)?;
        let found = record::<MailboxRecord>(txn, &MailboxKey { account, mailbox }).await?.known();
        let Some(mut record) = found else { return Ok(Mended::Gone) };
        let parent = record.parent.map(MailboxId);
        let name = MailboxNameKey { account, parent, name: record.name.clone() };
        if let Some(other) = mailbox_at(txn, &name).await?
            && is_there(txn, &MailboxKey { account, mailbox: other }).await?
        {
            record.parent = None;
            record.name = free_name_in(txn, account, &record.name, mailbox).await?;
        }
        self.put_in(txn, account, mailbox, &record, ChangeKind::MailboxUpdated);
        Ok(Mended::done(format!("mailbox {} is found as {:?}", mailbox.0, record.name)))
    }

    /// Makes a role lead to the mailbox that has it; if another has it, this one has none.
    async fn role_again_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        finding: &Finding,
    ) -> Result<Mended, Error> {
        let MailboxKey { mailbox, .. } = MailboxKey::decode(&finding.source)?;
        let role = RoleKey::decode(&finding.key)?;
        let found = record::<MailboxRecord>(txn, &MailboxKey { account, mailbox }).await?.known();
        let Some(mut record_here) = found else { return Ok(Mended::Gone) };
        let other = match mailbox_at(txn, &role).await? {
            Some(other) => {
                record::<MailboxRecord>(txn, &MailboxKey { account, mailbox: other }).await?.known()
            }
            None => None,
        };
        if other.is_some_and(|other| other.role == u32::from(role.role)) {
            record_here.role = 0;
            txn.set(&MailboxKey { account, mailbox }.encode(), &record_here.to_bytes());
        } else {
            txn.set(&role.encode(), &mailbox.0.to_le_bytes());
        }
        self.log_tree_in(txn, account, ChangeKind::MailboxUpdated, mailbox);
        Ok(Mended::done("one mailbox has the role"))
    }
}

/// A name at the top that no mailbox has.
async fn free_name_in(
    txn: &Transaction,
    account: AccountId,
    wanted: &str,
    mailbox: MailboxId,
) -> Result<String, Error> {
    let mut name = wanted.to_owned();
    for n in 0_u32.. {
        if n > 0 {
            name = format!("{wanted}-{}-{n}", mailbox.0);
        }
        let key = MailboxNameKey { account, parent: None, name: name.clone() };
        if txn.get(&key.encode()).await?.is_none() {
            break;
        }
    }
    Ok(name)
}

/// Raises the numbers given out last to the highest that are in use.
async fn raise_allocation_in(txn: &Transaction, account: AccountId) -> Result<Mended, Error> {
    let mut last = allocation(txn, account).await?;
    let (begin, end) = MailboxKey::range(account);
    let mut rows = txn.range(&begin, &end);
    while let Some((key, value)) = rows.try_next().await? {
        last.mailbox = last.mailbox.max(MailboxKey::decode(&key)?.mailbox.0);
        if let Ok(record) = MailboxRecord::from_bytes(&value) {
            last.uid_validity = last.uid_validity.max(record.uid_validity);
        }
    }
    let (begin, end) = KeywordKey::range(account);
    if let Some((key, _)) = txn.range(&begin, &end).reverse().first().await? {
        last.keyword = last.keyword.max(KeywordKey::decode(&key)?.id);
    }
    let AllocationRecord { mailbox, keyword, uid_validity, .. } = last;
    txn.set(&AllocationKey { account }.encode(), &last.to_bytes());
    Ok(Mended::done(format!("mailbox {mailbox}, keyword {keyword}, UIDVALIDITY {uid_validity} are the last")))
}

/// A keyword's row, by the name that leads to it.
async fn keyword_again_in(txn: &Transaction, account: AccountId, id: u32) -> Result<Mended, Error> {
    let (begin, end) = KeywordNameKey::range(account);
    let mut rows = txn.range(&begin, &end);
    let mut name = format!("$lost-{id}");
    let mut known = false;
    while let Some((key, value)) = rows.try_next().await? {
        if value.as_ref() == id.to_le_bytes() {
            name = KeywordNameKey::decode(&key)?.folded;
            known = true;
        }
    }
    if !known {
        txn.set(&KeywordNameKey { account, folded: name.clone() }.encode(), &id.to_le_bytes());
    }
    txn.set(&KeywordKey { account, id }.encode(), name.as_bytes());
    Ok(Mended::done(format!("keyword {id} is {name} now")))
}

/// What can be written anew when it cannot be read.
async fn unreadable_in(txn: &Transaction, account: AccountId, key: &[u8]) -> Result<Mended, Error> {
    if let Ok(PageKey { mailbox, page, .. }) = PageKey::decode(key) {
        let first = page.saturating_mul(PAGE_UIDS);
        let (begin, end) = MessageKey::range(account, mailbox, first, first.saturating_add(PAGE_UIDS - 1));
        let mut there = Page::default();
        for (row, _) in txn.range(&begin, &end).collect().await? {
            let uid = MessageKey::decode(&row)?.uid;
            if page_key(MailboxRef { account, mailbox }, uid).page == page {
                there.insert((uid.get() % PAGE_UIDS) as u16);
            }
        }
        txn.set(key, &there.to_bytes());
    } else if let Ok(HighestKey { mailbox, .. }) = HighestKey::decode(key) {
        touch_in(txn, MailboxRef { account, mailbox });
    } else if LastChangeKey::decode(key).is_ok() {
        changes::log::touch_in(txn, account);
    } else if TreeKey::decode(key).is_ok() {
        txn.set_versionstamped_value(key, &schema::codec::PENDING, 0);
    } else {
        return Ok(Mended::kept("nothing says what it was"));
    }
    Ok(Mended::done("it was written anew"))
}
