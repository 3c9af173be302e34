//! Mailboxes by their ids: made, changed and removed as RFC 8621 §2.5 has it.

use changes::Kinds;
use kv::Transaction;
use schema::keys::mail::{MailboxKey, RoleKey, SubscriptionKey};
use schema::records::mail::ChangeKind;
use schema::{AccountId, Key, MailboxId, Record};

use crate::mailbox::{Named, mailbox_of, record_in, with_role_in};
use crate::{Error, Mailbox, MailboxPath, MailboxRef, Role, ShareEdit, Store, removal};

/// A mailbox that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMailbox {
    /// What it lies in; none for the top.
    pub parent: Option<MailboxId>,
    /// Its name there.
    pub name: String,
    /// What it is for.
    pub role: Option<Role>,
    /// Its place among its siblings.
    pub sort_order: u32,
    /// Whether its owner wants to see it.
    pub subscribed: bool,
    /// Who else may use it.
    pub shares: Option<ShareEdit>,
    /// Who makes it, if that is not the owner: those who may use the mailbox that it lies in may use it as well.
    pub made_by: Option<AccountId>,
}

/// What of a mailbox is to be another; none for what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxEdit {
    /// What it lies in.
    pub parent: Option<Option<MailboxId>>,
    /// Its name there.
    pub name: Option<String>,
    /// What it is for.
    pub role: Option<Option<Role>>,
    /// Its place among its siblings.
    pub sort_order: Option<u32>,
    /// Whether its owner wants to see it.
    pub subscribed: Option<bool>,
    /// Who else may use it.
    pub shares: Option<ShareEdit>,
}

impl Store {
    /// Makes a mailbox.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the parent, [`Error::AlreadyExists`], [`Error::Reserved`] for a role that another mailbox
    /// has, [`Error::Invalid`] for a name; else the store's.
    pub async fn make_mailbox(&self, account: AccountId, new: &NewMailbox) -> Result<Mailbox, Error> {
        let ((made, told), version) = self
            .db
            .transact_versioned("mail.make", |txn| async move {
                removal::alive_in(&txn, account).await?;
                let path = path_in(&txn, account, new.parent, &new.name).await?;
                let made = self.create_in(&txn, account, &path, new.role).await?;
                self.subscribe_in(&txn, account, &path.to_string(), new.subscribed);
                let edit = MailboxEdit { sort_order: Some(new.sort_order), ..MailboxEdit::default() };
                self.rewrite_mailbox_in(&txn, account, made.id, &edit).await?;
                let at = MailboxRef { account, mailbox: made.id };
                let told = match (&new.shares, new.made_by, new.parent) {
                    (Some(edit), _, _) => self.share_in(&txn, at, edit).await?,
                    (None, Some(by), Some(parent)) => self.inherit_in(&txn, at, parent, by).await?,
                    (None, _, _) => Vec::new(),
                };
                Ok::<_, Error>((by_id_in(&txn, account, made.id).await?, told))
            })
            .await?;
        self.tell(account, &[made.id], version, Kinds::MAILBOXES | Kinds::SUBSCRIPTIONS);
        self.tell_standing(&told, version);
        Ok(made)
    }

    /// Changes a mailbox. Those below it, and its subscription, go where it goes.
    ///
    /// # Errors
    /// As [`Store::make_mailbox`]; [`Error::Reserved`] as well for INBOX, which stays what it is, and for a mailbox that
    /// is to lie below itself.
    pub async fn edit_mailbox(
        &self,
        account: AccountId,
        id: MailboxId,
        edit: &MailboxEdit,
    ) -> Result<(), Error> {
        let (told, version) = self
            .db
            .transact_versioned("mail.edit_mailbox", |txn| async move {
                self.edit_mailbox_in(&txn, account, id, edit).await
            })
            .await?;
        self.tell(account, &[id], version, Kinds::MAILBOXES | Kinds::SUBSCRIPTIONS);
        self.tell_standing(&told, version);
        Ok(())
    }

    /// Changes several at once, of which one may take the role that another gives up.
    ///
    /// # Errors
    /// As [`Store::edit_mailbox`], and nothing is done.
    pub async fn edit_mailboxes(
        &self,
        account: AccountId,
        edits: &[(MailboxId, MailboxEdit)],
    ) -> Result<(), Error> {
        let (told, version) = self
            .db
            .transact_versioned("mail.edit_mailboxes", |txn| async move {
                for (id, edit) in edits {
                    self.give_up_in(&txn, account, *id, edit).await?;
                }
                let mut told = Vec::new();
                for (id, edit) in edits {
                    told.extend(self.edit_mailbox_in(&txn, account, *id, edit).await?);
                }
                Ok::<_, Error>(told)
            })
            .await?;
        let ids: Vec<MailboxId> = edits.iter().map(|(id, _)| *id).collect();
        self.tell(account, &ids, version, Kinds::MAILBOXES | Kinds::SUBSCRIPTIONS);
        self.tell_standing(&told, version);
        Ok(())
    }

    /// Takes from a mailbox what it is about to lose, for the time of the transaction.
    async fn give_up_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        id: MailboxId,
        edit: &MailboxEdit,
    ) -> Result<(), Error> {
        let interim = MailboxEdit { role: edit.role.map(|_| None), ..MailboxEdit::default() };
        self.edit_mailbox_in(txn, account, id, &interim).await?;
        Ok(())
    }

    async fn edit_mailbox_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        id: MailboxId,
        edit: &MailboxEdit,
    ) -> Result<Vec<AccountId>, Error> {
        let old = by_id_in(txn, account, id).await?;
        let parent = edit.parent.unwrap_or(old.parent);
        let name = edit.name.as_deref().unwrap_or(&old.name);
        let mut path = old.path.clone();
        if parent != old.parent || name != old.name {
            if old.path.is_inbox() {
                return Err(Error::Reserved("INBOX keeps its name"));
            }
            path = path_in(txn, account, parent, name).await?;
            if path.is_below(&old.path) || path.is_inbox() {
                return Err(Error::Reserved("a mailbox cannot be moved below itself, nor be another INBOX"));
            }
            self.rename_in(txn, account, &old.path, &path).await?;
            carry_subscriptions_in(txn, account, &old.path, &path).await?;
        }
        if let Some(on) = edit.subscribed {
            self.subscribe_in(txn, account, &path.to_string(), on);
        }
        self.rewrite_mailbox_in(txn, account, id, edit).await?;
        self.log_tree_in(txn, account, ChangeKind::MailboxUpdated, id);
        match &edit.shares {
            Some(edit) => self.share_in(txn, MailboxRef { account, mailbox: id }, edit).await,
            None => Ok(Vec::new()),
        }
    }

    /// Changes what is in its record alone.
    async fn rewrite_mailbox_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        id: MailboxId,
        edit: &MailboxEdit,
    ) -> Result<(), Error> {
        let mut record = record_in(txn, MailboxRef { account, mailbox: id }).await?;
        let before = record.clone();
        if let Some(role) = edit.role {
            let old = Role::from_number(record.role);
            if role != old {
                move_role_in(txn, account, id, old, role).await?;
            }
            record.role = role.map_or(0, |role| u32::from(role as u8));
        }
        record.sort_order = edit.sort_order.unwrap_or(record.sort_order);
        if record != before {
            txn.set(&MailboxKey { account, mailbox: id }.encode(), &record.to_bytes());
        }
        Ok(())
    }

    /// Removes a mailbox by its id; `and_messages` says whether it may have any.
    ///
    /// # Errors
    /// As [`Store::delete`], and [`Error::HasMessages`].
    pub async fn remove_mailbox(
        &self,
        account: AccountId,
        id: MailboxId,
        and_messages: bool,
    ) -> Result<(), Error> {
        self.delete_found(account, &Named::Id(id), and_messages).await
    }
}

/// A mailbox by its id, with its path.
pub(crate) async fn by_id_in(txn: &Transaction, account: AccountId, id: MailboxId) -> Result<Mailbox, Error> {
    let record = record_in(txn, MailboxRef { account, mailbox: id }).await?;
    let (mut names, mut parent) = (vec![record.name.clone()], record.parent);
    while let Some(above) = parent {
        if names.len() > MailboxPath::MAX_DEPTH {
            return Err(Error::LimitReached("the path is too deep"));
        }
        let record = record_in(txn, MailboxRef { account, mailbox: MailboxId(above) }).await?;
        names.push(record.name);
        parent = record.parent;
    }
    names.reverse();
    mailbox_of(id, &record, MailboxPath::of_names(names))
}

/// The path of a name below a mailbox, checked as all paths are.
async fn path_in(
    txn: &Transaction,
    account: AccountId,
    parent: Option<MailboxId>,
    name: &str,
) -> Result<MailboxPath, Error> {
    if name.contains(MailboxPath::SEPARATOR) {
        return Err(Error::Invalid("a mailbox name must not have a slash"));
    }
    match parent {
        None => MailboxPath::parse(name),
        Some(parent) => {
            let above = by_id_in(txn, account, parent).await?.path;
            MailboxPath::parse(&format!("{above}{}{name}", MailboxPath::SEPARATOR))
        }
    }
}

async fn move_role_in(
    txn: &Transaction,
    account: AccountId,
    id: MailboxId,
    old: Option<Role>,
    new: Option<Role>,
) -> Result<(), Error> {
    if old == Some(Role::Inbox) || new == Some(Role::Inbox) {
        return Err(Error::Reserved("INBOX is what it is"));
    }
    if let Some(role) = new {
        if with_role_in(txn, account, role).await?.is_some() {
            return Err(Error::Reserved("another mailbox has this role"));
        }
        txn.set(&RoleKey { account, role: role as u8 }.encode(), &id.0.to_le_bytes());
    }
    if let Some(role) = old {
        txn.clear(&RoleKey { account, role: role as u8 }.encode());
    }
    Ok(())
}

/// Whoever subscribed to a mailbox sees it under its new path, and those below it.
async fn carry_subscriptions_in(
    txn: &Transaction,
    account: AccountId,
    from: &MailboxPath,
    to: &MailboxPath,
) -> Result<(), Error> {
    let (begin, end) = SubscriptionKey::range(account);
    let (from, to) = (from.to_string(), to.to_string());
    for (key, _) in txn.range(&begin, &end).collect().await? {
        let name = SubscriptionKey::decode(&key)?.name;
        let below = name.strip_prefix(&from);
        let Some(rest) = below.filter(|rest| rest.is_empty() || rest.starts_with('/')) else { continue };
        txn.clear(&key);
        txn.set(&SubscriptionKey { account, name: format!("{to}{rest}") }.encode(), b"");
    }
    Ok(())
}
