//! Mailboxes by their ids: made, changed and removed as RFC 8621 §2.5 has it.

use std::collections::BTreeMap;

use changes::Kinds;
use kv::Transaction;
use schema::keys::mail::{MailboxKey, RoleKey};
use schema::records::mail::ChangeKind;
use schema::{AccountId, Key, MailboxId, Record};

use crate::mailbox::{Named, mailbox_of, record_in, with_role_in};
use crate::moving::{NewPlace, Subscribed, hold_tree_in};
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
        self.edit_mailboxes(account, &[(id, edit.clone())]).await
    }

    /// Changes several at once, of which one may take the name, the place or the role that another gives up: what counts is
    /// what comes of all.
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
                self.arrange_in(&txn, account, edits).await?;
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

    /// Gives mailboxes the names that they are to have, and puts them where they are to lie.
    async fn arrange_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        edits: &[(MailboxId, MailboxEdit)],
    ) -> Result<(), Error> {
        let mut places = BTreeMap::new();
        for (id, edit) in edits.iter().filter(|(_, edit)| edit.parent.is_some() || edit.name.is_some()) {
            let old = record_in(txn, MailboxRef { account, mailbox: *id }).await?;
            let parent = edit.parent.unwrap_or(old.parent.map(MailboxId));
            let name = edit.name.clone().unwrap_or(old.name);
            places.insert(*id, NewPlace { parent, name });
        }
        if places.is_empty() {
            return Ok(());
        }
        hold_tree_in(txn, account).await?;
        self.move_in(txn, account, &places, Subscribed::Mailbox).await
    }

    /// Takes from a mailbox the role that it is about to lose, so that another may have it.
    async fn give_up_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        id: MailboxId,
        edit: &MailboxEdit,
    ) -> Result<(), Error> {
        let Some(role) = edit.role else { return Ok(()) };
        let record = record_in(txn, MailboxRef { account, mailbox: id }).await?;
        if Role::from_number(record.role) == role {
            return Ok(());
        }
        let interim = MailboxEdit { role: Some(None), ..MailboxEdit::default() };
        self.rewrite_mailbox_in(txn, account, id, &interim).await
    }

    /// Changes what is neither its name nor its place.
    async fn edit_mailbox_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        id: MailboxId,
        edit: &MailboxEdit,
    ) -> Result<Vec<AccountId>, Error> {
        if let Some(on) = edit.subscribed {
            let path = by_id_in(txn, account, id).await?.path;
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
