//! Mailboxes: the tree of an account, and the verbs that change it.

use std::collections::HashMap;
use std::num::NonZeroU32;

use changes::Kinds;
use kv::{Transaction, limits};
use schema::keys::blob::BlobOwner;
use schema::keys::mail::{
    AllocationKey, MailboxKey, MailboxNameKey, MessageKey, RetiredValidityKey, RoleKey, TreeKey,
    mailbox_range,
};
use schema::records::mail::{ChangeKind, ChangeRecord, MailboxRecord};
use schema::{AccountId, Key, MailboxId, Record};

use crate::{Error, MailboxPath, MailboxRef, Store, arrange, counters, emptying, keywords, removal};

/// What a mailbox is for (RFC 6154 §2, RFC 8621 §2 `role`). The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// New mail.
    Inbox = 1,
    /// Kept mail.
    Archive = 2,
    /// Mail being written.
    Drafts = 3,
    /// Spam.
    Junk = 4,
    /// Mail that was sent.
    Sent = 5,
    /// Mail that was thrown away.
    Trash = 6,
    /// All mail.
    All = 7,
    /// Flagged mail.
    Flagged = 8,
    /// Important mail (RFC 8457).
    Important = 9,
}

impl Role {
    pub(crate) const ALL_ROLES: [Role; 9] = [
        Role::Inbox,
        Role::Archive,
        Role::Drafts,
        Role::Junk,
        Role::Sent,
        Role::Trash,
        Role::All,
        Role::Flagged,
        Role::Important,
    ];

    /// The special-use attribute (RFC 6154 §2, RFC 8457 §3); INBOX has none.
    pub fn attribute(self) -> Option<&'static str> {
        Some(match self {
            Role::Inbox => return None,
            Role::Archive => "\\Archive",
            Role::Drafts => "\\Drafts",
            Role::Junk => "\\Junk",
            Role::Sent => "\\Sent",
            Role::Trash => "\\Trash",
            Role::All => "\\All",
            Role::Flagged => "\\Flagged",
            Role::Important => "\\Important",
        })
    }

    /// The role of a special-use attribute, in any case.
    pub fn from_attribute(attribute: &str) -> Option<Role> {
        let is = |role: &Role| role.attribute().is_some_and(|a| a.eq_ignore_ascii_case(attribute));
        Role::ALL_ROLES.into_iter().find(is)
    }

    pub(crate) fn from_number(number: u32) -> Option<Role> {
        Role::ALL_ROLES.into_iter().find(|r| u32::from(*r as u8) == number)
    }
}

/// A mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its id, never used again within the account.
    pub id: MailboxId,
    /// The mailbox it lies in; none at the top.
    pub parent: Option<MailboxId>,
    /// The last name of its path.
    pub name: String,
    /// Its path.
    pub path: MailboxPath,
    /// What it is for.
    pub role: Option<Role>,
    /// Its place among its siblings as its owner wants it (RFC 8621 §2).
    pub sort_order: u32,
    /// UIDVALIDITY (RFC 9051 §2.3.1.1).
    pub uid_validity: NonZeroU32,
}

impl Mailbox {
    /// What it is called by within its account, whatever its name (RFC 8474 §4, RFC 8620 §1.2).
    pub fn object_id(&self) -> String {
        self.id.to_string()
    }
}

/// A mailbox as somebody calls it.
pub(crate) enum Named<'a> {
    /// By its path.
    Path(&'a MailboxPath),
    /// By its id.
    Id(MailboxId),
}

impl Store {
    /// INBOX and the special-use mailboxes of a new account, subscribed.
    ///
    /// # Errors
    /// The store's.
    pub async fn provision_in(&self, txn: &Transaction, account: AccountId) -> Result<(), Error> {
        let names = [
            ("INBOX", Role::Inbox),
            ("Drafts", Role::Drafts),
            ("Sent", Role::Sent),
            ("Junk", Role::Junk),
            ("Trash", Role::Trash),
            ("Archive", Role::Archive),
        ];
        for (name, role) in names {
            let path = MailboxPath::of_names(vec![name.to_owned()]);
            self.create_in(txn, account, &path, Some(role)).await?;
            self.subscribe_in(txn, account, name, true);
        }
        Ok(())
    }

    /// All mailboxes of an account, parents before children.
    ///
    /// # Errors
    /// The store's.
    pub async fn mailboxes(&self, account: AccountId) -> Result<Vec<Mailbox>, Error> {
        self.db.read("mail.mailboxes", |txn| async move { tree_in(&txn, account).await }).await
    }

    /// The mailbox with a path.
    ///
    /// # Errors
    /// The store's.
    pub async fn resolve(&self, account: AccountId, path: &MailboxPath) -> Result<Option<Mailbox>, Error> {
        self.db.read("mail.resolve", |txn| async move { resolve_in(&txn, account, path).await }).await
    }

    /// The mailbox with a role.
    ///
    /// # Errors
    /// The store's.
    pub async fn with_role(&self, account: AccountId, role: Role) -> Result<Option<MailboxId>, Error> {
        self.db.read("mail.role", |txn| async move { with_role_in(&txn, account, role).await }).await
    }

    /// The account's INBOX, within a transaction that delivers to it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the account has no mailboxes; else the store's.
    pub async fn inbox_in(&self, txn: &Transaction, account: AccountId) -> Result<MailboxId, Error> {
        with_role_in(txn, account, Role::Inbox).await?.ok_or(Error::NotFound)
    }

    /// Makes a mailbox, and those above it that are missing (RFC 9051 §6.3.4).
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::LimitReached`]; else the store's.
    pub async fn create(
        &self,
        account: AccountId,
        path: &MailboxPath,
        role: Option<Role>,
    ) -> Result<Mailbox, Error> {
        let (made, version) = self
            .db
            .transact_versioned("mail.create", |txn| async move {
                removal::alive_in(&txn, account).await?;
                self.create_in(&txn, account, path, role).await
            })
            .await?;
        self.tell(account, &[made.id], version, Kinds::MAILBOXES);
        Ok(made)
    }

    pub(crate) async fn create_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        path: &MailboxPath,
        role: Option<Role>,
    ) -> Result<Mailbox, Error> {
        let mut parent = None;
        let names = path.names();
        for (at, name) in names.iter().enumerate() {
            let last = at + 1 == names.len();
            let found = child_in(txn, account, parent, name).await?;
            match (found, last) {
                (Some(_), true) => return Err(Error::AlreadyExists),
                (Some(id), false) => parent = Some(id),
                (None, _) => {
                    let here = MailboxPath::of_names(names.iter().take(at + 1).cloned().collect());
                    let role = role.filter(|_| last);
                    let made = self.make_in(txn, account, parent, &here, role).await?;
                    if last {
                        return Ok(made);
                    }
                    parent = Some(made.id);
                }
            }
        }
        Err(Error::Invalid("a mailbox needs a name"))
    }

    async fn make_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        parent: Option<MailboxId>,
        path: &MailboxPath,
        role: Option<Role>,
    ) -> Result<Mailbox, Error> {
        if let Some(role) = role
            && with_role_in(txn, account, role).await?.is_some()
        {
            return Err(Error::Reserved("another mailbox has this special use"));
        }
        let mut allocation = keywords::allocation_in(txn, account).await?;
        if allocation.mailbox == 0 {
            allocation.thread_secret = self.rng.u64();
        }
        allocation.mailbox = allocation
            .mailbox
            .checked_add(1)
            .ok_or(Error::LimitReached("the account has given out all ids of mailboxes"))?;
        let id = MailboxId(allocation.mailbox);
        let now = self.now_secs();
        let since_epoch = u32::try_from(now).unwrap_or(u32::MAX - 1);
        // Above every one this account has given out, and above what this path ever showed: never down for a name.
        allocation.uid_validity = since_epoch.max(allocation.uid_validity.saturating_add(1)).max(1);
        txn.set(&AllocationKey { account }.encode(), &allocation.to_bytes());
        let record = MailboxRecord {
            parent: parent.map(|p| p.0),
            name: path.leaf().to_owned(),
            role: role.map_or(0, |r| u32::from(r as u8)),
            uid_validity: allocation.uid_validity,
            created: now,
            sort_order: 0,
        };
        txn.set(&MailboxKey { account, mailbox: id }.encode(), &record.to_bytes());
        let name = MailboxNameKey { account, parent, name: record.name.clone() };
        txn.set(&name.encode(), &id.0.to_le_bytes());
        if let Some(role) = role {
            txn.set(&RoleKey { account, role: role as u8 }.encode(), &id.0.to_le_bytes());
        }
        self.log_tree_in(txn, account, ChangeKind::MailboxCreated, id);
        mailbox_of(id, &record, path.clone())
    }

    /// Removes a mailbox and the messages in it: the mailbox at once and as a whole, or not at all; its messages, where
    /// they are many, afterwards ([`crate::emptying`]).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::HasChildren`], [`Error::Reserved`]; else the store's.
    pub async fn delete(&self, account: AccountId, path: &MailboxPath) -> Result<(), Error> {
        if path.is_inbox() {
            return Err(Error::Reserved("INBOX cannot be deleted"));
        }
        self.delete_found(account, &Named::Path(path), true).await
    }

    /// Removes a mailbox; `and_messages` says whether it may have any.
    pub(crate) async fn delete_found(
        &self,
        account: AccountId,
        named: &Named<'_>,
        and_messages: bool,
    ) -> Result<(), Error> {
        let ((at, emptied), version) = self
            .db
            .transact_versioned("mail.delete", |txn| async move {
                let found = match named {
                    Named::Path(path) => resolve_in(&txn, account, path).await?.ok_or(Error::NotFound)?,
                    Named::Id(id) => arrange::by_id_in(&txn, account, *id).await?,
                };
                if found.path.is_inbox() {
                    return Err(Error::Reserved("INBOX cannot be deleted"));
                }
                self.delete_in(&txn, account, found, and_messages).await
            })
            .await?;
        self.tell(account, &[at.mailbox], version, Kinds::MAILBOXES | Kinds::EXPUNGE);
        if !emptied {
            self.empty_at_once(at).await;
        }
        Ok(())
    }

    /// Removes a mailbox, and leaves its messages to a job; says whether there are none.
    async fn delete_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        found: Mailbox,
        and_messages: bool,
    ) -> Result<(MailboxRef, bool), Error> {
        let at = MailboxRef { account, mailbox: found.id };
        // A name key without its name is what those of all children begin with.
        let children = MailboxNameKey { account, parent: Some(found.id), name: String::new() }.encode();
        if txn.scan_prefix(&children).first().await?.is_some() {
            return Err(Error::HasChildren);
        }
        let counters = counters::read_in(txn, at).await?;
        if !and_messages && counters.exists > counters.deleted {
            return Err(Error::HasMessages);
        }
        txn.clear(&MailboxKey { account, mailbox: at.mailbox }.encode());
        txn.clear(&MailboxNameKey { account, parent: found.parent, name: found.name.clone() }.encode());
        retire_in(txn, account, &found.path, found.uid_validity.get());
        if let Some(role) = found.role {
            txn.clear(&RoleKey { account, role: role as u8 }.encode());
        }
        self.unshare_in(txn, at).await?;
        self.log_tree_in(txn, account, ChangeKind::MailboxDestroyed, at.mailbox);
        let (begin, end) = MessageKey::range(account, at.mailbox, 1, u32::MAX);
        let emptied = txn.range(&begin, &end).first().await?.is_none();
        if emptied {
            let (begin, end) = mailbox_range(account, at.mailbox);
            txn.clear_range(&begin, &end);
        } else {
            emptying::begin_in(self, txn, at);
        }
        Ok((at, emptied))
    }

    pub(crate) fn log_tree_in(&self, txn: &Transaction, account: AccountId, kind: ChangeKind, id: MailboxId) {
        let record = ChangeRecord {
            kind: kind as i32,
            at: self.now_secs(),
            mailboxes: vec![id.0],
            ..ChangeRecord::default()
        };
        changes::log::record_in(txn, account, u64::from(id.0), &record);
        txn.set_versionstamped_value(&TreeKey { account }.encode(), &schema::codec::PENDING, 0);
    }
}

/// Whose a body is that an email holds.
pub(crate) fn owner(account: AccountId, email: schema::EmailId) -> BlobOwner {
    BlobOwner::Email(account, email)
}

pub(crate) fn mailbox_of(id: MailboxId, record: &MailboxRecord, path: MailboxPath) -> Result<Mailbox, Error> {
    let uid_validity =
        NonZeroU32::new(record.uid_validity).ok_or(schema::RecordError::Value("uid_validity"))?;
    let role = Role::from_number(record.role);
    Ok(Mailbox {
        id,
        parent: record.parent.map(MailboxId),
        name: record.name.clone(),
        path,
        role,
        sort_order: record.sort_order,
        uid_validity,
    })
}

async fn child_in(
    txn: &Transaction,
    account: AccountId,
    parent: Option<MailboxId>,
    name: &str,
) -> Result<Option<MailboxId>, Error> {
    let value = txn.get(&MailboxNameKey { account, parent, name: name.to_owned() }.encode()).await?;
    Ok(value.and_then(|v| id_of(&v)))
}

pub(crate) fn id_of(value: &[u8]) -> Option<MailboxId> {
    value.first_chunk().map(|b| MailboxId(u32::from_le_bytes(*b)))
}

pub(crate) async fn with_role_in(
    txn: &Transaction,
    account: AccountId,
    role: Role,
) -> Result<Option<MailboxId>, Error> {
    let value = txn.get(&RoleKey { account, role: role as u8 }.encode()).await?;
    Ok(value.and_then(|v| id_of(&v)))
}

pub(crate) async fn resolve_in(
    txn: &Transaction,
    account: AccountId,
    path: &MailboxPath,
) -> Result<Option<Mailbox>, Error> {
    if !removal::is_alive_in(txn, account).await? {
        return Ok(None);
    }
    let mut at = None;
    for name in path.names() {
        match child_in(txn, account, at, name).await? {
            Some(id) => at = Some(id),
            None => return Ok(None),
        }
    }
    let Some(id) = at else { return Ok(None) };
    let record = record_in(txn, MailboxRef { account, mailbox: id }).await?;
    Ok(Some(mailbox_of(id, &record, path.clone())?))
}

/// A mailbox's record, read so that its deletion conflicts, and the removal of its account.
pub(crate) async fn record_in(txn: &Transaction, at: MailboxRef) -> Result<MailboxRecord, Error> {
    let key = MailboxKey { account: at.account, mailbox: at.mailbox }.encode();
    let value = txn.get(&key).await?.ok_or(Error::NotFound)?;
    Ok(MailboxRecord::from_bytes(&value)?)
}

pub(crate) async fn tree_in(txn: &Transaction, account: AccountId) -> Result<Vec<Mailbox>, Error> {
    let (begin, end) = MailboxKey::range(account);
    let mut records = HashMap::new();
    let mut rows = txn.range(&begin, &end).snapshot().page_bytes(limits::PAGE_BYTES);
    while let Some((key, value)) = rows.try_next().await? {
        records.insert(MailboxKey::decode(&key)?.mailbox, MailboxRecord::from_bytes(&value)?);
    }
    let mut tree = Vec::with_capacity(records.len());
    for (id, record) in &records {
        if let Some(path) = path_of(&records, record) {
            tree.push(mailbox_of(*id, record, path)?);
        }
    }
    tree.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(tree)
}

/// The path of a record, walked up through its parents.
fn path_of(records: &HashMap<MailboxId, MailboxRecord>, record: &MailboxRecord) -> Option<MailboxPath> {
    let mut names = vec![record.name.clone()];
    let mut parent = record.parent;
    while let Some(id) = parent {
        if names.len() > MailboxPath::MAX_DEPTH * 2 {
            return None;
        }
        let above = records.get(&MailboxId(id))?;
        names.push(above.name.clone());
        parent = above.parent;
    }
    names.reverse();
    Some(MailboxPath::of_names(names))
}

/// What a path showed when its last mailbox left it.
pub(crate) fn retired(account: AccountId, path: &MailboxPath) -> Vec<u8> {
    let mut hash = [0; 8];
    hash.copy_from_slice(&blake3::hash(path.to_string().as_bytes()).as_bytes()[..8]);
    RetiredValidityKey { account, hash }.encode()
}

/// Notes the UIDVALIDITY that a path showed.
pub(crate) fn retire_in(txn: &Transaction, account: AccountId, path: &MailboxPath, uid_validity: u32) {
    txn.max_u64(&retired(account, path), uid_validity.into());
}
