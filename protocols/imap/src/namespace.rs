//! Which mailbox a name means: one of the user's own, or one that a group shares, below `Shared/`.

use accounts::{Identity, Rights};
use imap_proto::mailbox::MailboxName;
use imap_proto::render::Code;
use mail::{Mailbox, MailboxPath, MailboxRef};
use schema::AccountId;

use crate::reply::{Reply, Stop};
use crate::session::Session;

/// The prefix of mailboxes that groups share (RFC 2342 §3, RFC 9051 §6.3.10).
pub(crate) const SHARED: &str = "Shared/";

/// Where a name leads, whether or not a mailbox is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) account: AccountId,
    /// The path within the account.
    pub(crate) path: String,
    /// Whether the account is the user's own.
    pub(crate) own: bool,
}

/// A group the user sees, and what its mailboxes are named by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) account: AccountId,
    /// `Shared/name/`
    pub(crate) prefix: String,
}

/// A mailbox that exists.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) mailbox: MailboxRef,
    pub(crate) row: Mailbox,
}

/// What a group is called in a mailbox's name: as people call it, or by its address.
fn group_name(group: &accounts::SharedGroup) -> String {
    let name = if group.display_name.is_empty() { &group.address } else { &group.display_name };
    name.replace('/', "_")
}

/// The groups of somebody, as prefixes.
pub(crate) fn shares(identity: &Identity) -> Vec<Share> {
    let seen = identity.groups.iter().filter(|group| group.rights.contain(Rights::LOOKUP));
    let name = |group: &accounts::SharedGroup| {
        let name = group_name(group);
        // Two groups of one name are told apart by their addresses.
        let namesakes = identity.groups.iter().filter(|other| group_name(other) == name).count();
        if namesakes > 1 { group.address.replace('/', "_") } else { name }
    };
    seen.map(|group| Share { account: group.account, prefix: format!("{SHARED}{}/", name(group)) }).collect()
}

/// Where a name leads; `None` for names that lead nowhere, such as `Shared` itself.
pub(crate) fn place(identity: &Identity, name: &str) -> Option<Place> {
    if !format!("{name}/").starts_with(SHARED) {
        return Some(Place { account: identity.account, path: name.to_owned(), own: true });
    }
    shares(identity).into_iter().find_map(|share| {
        let path = name.strip_prefix(&share.prefix)?;
        Some(Place { account: share.account, path: path.to_owned(), own: false })
    })
}

impl Session {
    pub(crate) fn identity(&self) -> Result<&Identity, Stop> {
        self.state.user().map(|user| &user.identity).ok_or_else(|| Reply::bad("log in first").into())
    }

    /// Looks up again who the user is by now, for rights that were given or taken after the login. Ends the session
    /// if the account takes no part any more, or may not read the mailbox that is open.
    pub(crate) async fn look_up_user(&mut self) -> Result<(), Stop> {
        let Some(user) = self.state.user() else { return Ok(()) };
        if self.standing.is_over() {
            self.bye("the token is not good any more");
            return Err(Stop::Answered);
        }
        let found = self.services().accounts.still(user.identity.account, user.proof).await;
        self.standing.looked(found.is_err());
        let Some(now) = found? else {
            self.bye("this login is not good any more");
            return Err(Stop::Answered);
        };
        if let Some(user) = self.state.user_mut().filter(|user| user.identity != now) {
            user.identity = now;
        }
        let open = self.state.selected().map(|selected| selected.mailbox.account);
        if open.is_some_and(|account| !self.rights(account).contain(Rights::READ)) {
            self.bye("this mailbox is not yours to read any more");
            return Err(Stop::Answered);
        }
        Ok(())
    }

    /// Whether the mailbox that is open belongs to a group.
    pub(crate) fn is_in_shared(&self) -> bool {
        match (self.state.user(), self.state.selected()) {
            (Some(user), Some(selected)) => selected.mailbox.account != user.identity.account,
            _ => false,
        }
    }

    /// MAILBOXID (RFC 8474 §4), which no two mailboxes that the user sees share: ids of mailboxes count within an
    /// account, so those of others bear the account's id too.
    pub(crate) fn object_id(&self, account: AccountId, mailbox: &Mailbox) -> String {
        let own = self.state.user().is_some_and(|user| user.identity.account == account);
        if own { mailbox.object_id() } else { format!("{account}-{}", mailbox.object_id()) }
    }

    /// What the user may do with the mailboxes of an account: everything with its own, as far as the group
    /// allows with others (RFC 4314 §2.1).
    pub(crate) fn rights(&self, account: AccountId) -> Rights {
        let Some(identity) = self.state.user().map(|user| &user.identity) else { return Rights::NONE };
        if identity.account == account {
            return Rights::ALL;
        }
        let group = identity.groups.iter().find(|group| group.account == account);
        group.map_or(Rights::NONE, |group| group.rights)
    }

    /// NO [NOPERM] without these rights (RFC 5530 §3).
    pub(crate) fn need(&self, account: AccountId, rights: Rights) -> Result<(), Stop> {
        if self.rights(account).contain(rights) {
            return Ok(());
        }
        Err(Reply::no("you may not do that here").with(Code::NoPerm).into())
    }

    /// Where a name leads, for commands that make or change names.
    pub(crate) fn place(&self, name: &MailboxName) -> Result<Place, Stop> {
        let nowhere = || Reply::no("names below Shared/ are those of groups").with(Code::Cannot);
        let place = place(self.identity()?, name.as_str()).ok_or_else(nowhere)?;
        self.need(place.account, Rights::CREATE)?;
        Ok(place)
    }

    /// The mailbox of this name, if there is one.
    pub(crate) async fn find(&self, name: &MailboxName) -> Result<Option<Found>, Stop> {
        let Some(place) = place(self.identity()?, name.as_str()) else { return Ok(None) };
        let Ok(path) = MailboxPath::parse(&place.path) else { return Ok(None) };
        let row = self.services().mail.resolve(place.account, &path).await?;
        Ok(row.map(|row| Found { mailbox: MailboxRef { account: place.account, mailbox: row.id }, row }))
    }

    /// The mailbox of this name; NO [NONEXISTENT] without one (RFC 5530 §3).
    pub(crate) async fn existing(&self, name: &MailboxName) -> Result<Found, Stop> {
        let missing = || Reply::no("there is no such mailbox").with(Code::NonExistent);
        self.find(name).await?.ok_or_else(|| missing().into())
    }

    /// The mailbox messages are to be put into; NO [TRYCREATE] without one (RFC 9051 §7.1).
    pub(crate) async fn target(&self, name: &MailboxName) -> Result<Found, Stop> {
        let missing = || Reply::no("there is no such mailbox").with(Code::TryCreate);
        let found = self.find(name).await?.ok_or_else(missing)?;
        self.need(found.mailbox.account, Rights::INSERT)?;
        Ok(found)
    }
}
