//! Whose data a call is about, and what the user may do with it.
//!
//! An account is the user's own, or a group's, and then all of it is seen; or it is another's who shares some mailboxes, and then
//! there is nothing else in it: an email is where the user may read, its keywords are those that it has there, a thread has the
//! emails that are seen. A method that knows of this asks [`Call::viewer`]; all others ask [`Call::reader`] and are refused such
//! an account, so that a method shows nothing of it because nobody thought of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use accounts::{Identity, Rights, SharedMailboxes};
use jmap_proto::{Id, MethodError};
use mail::Email;
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::{AccountId, MailboxId};

use crate::call::Call;
use crate::log;

/// Without these nothing of a mailbox is seen but its name.
const SEEN: [Rights; 2] = [Rights::LOOKUP, Rights::READ];

/// An account and the user's rights in it.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) account: AccountId,
    /// Who asks.
    pub(crate) user: AccountId,
    /// Rights in each mailbox.
    pub(crate) rights: Rights,
    /// Further rights in some mailboxes.
    shared: Arc<SharedMailboxes>,
}

/// What somebody may do with an account: everything with the own one, with a group's as far as that allows (RFC 4314
/// §2.1), with another's mailboxes as far as those are shared; none for an account of which nothing is seen.
pub(crate) fn of(identity: &Identity, account: AccountId) -> Option<Access> {
    let group = identity.groups.iter().find(|group| group.account == account);
    let rights = match group.map(|group| group.rights) {
        _ if identity.account == account => Rights::ALL,
        Some(rights) if rights.contain(Rights::LOOKUP) => rights,
        _ => Rights::NONE,
    };
    let share = identity.shares.iter().find(|share| share.account == account);
    let shared = share.map(|share| Arc::clone(&share.mailboxes)).unwrap_or_default();
    let access = Access { account, user: identity.account, rights, shared };
    (rights != Rights::NONE || access.is_seen()).then_some(access)
}

/// Every account of which somebody sees something, the own one first.
pub(crate) fn all(identity: &Identity) -> impl Iterator<Item = Access> {
    let groups = identity.groups.iter().map(|group| group.account);
    let shares = identity.shares.iter().map(|share| share.account);
    let others: BTreeSet<AccountId> = groups.chain(shares).collect();
    let all = std::iter::once(identity.account).chain(others);
    all.filter_map(move |account| of(identity, account)).filter(Access::is_seen)
}

/// Those of them that the user has to do with. RFC 9670 §1.4: of what others share a session tells, and is told of by pushes, only
/// accounts where the user has subscribed to something; principals tell of the rest.
pub(crate) fn wanted(identity: &Identity) -> impl Iterator<Item = Access> {
    all(identity).filter(Access::is_wanted)
}

impl Access {
    /// Whether these rights are held in each mailbox.
    pub(crate) fn may(&self, rights: Rights) -> bool {
        self.rights.contain(rights)
    }

    /// The rights in a mailbox.
    pub(crate) fn rights_in(&self, mailbox: MailboxId) -> Rights {
        let shared = self.shared.get(&mailbox).map(|shared| shared.rights);
        self.rights | shared.unwrap_or_default()
    }

    /// Whether these rights are held in a mailbox.
    pub(crate) fn may_in(&self, mailbox: MailboxId, rights: Rights) -> bool {
        self.rights_in(mailbox).contain(rights)
    }

    /// Whether these rights are held in some mailbox.
    pub(crate) fn may_somewhere(&self, rights: Rights) -> bool {
        self.may(rights) || self.shared.keys().any(|mailbox| self.may_in(*mailbox, rights))
    }

    /// Whether all of the account is seen.
    pub(crate) fn is_whole(&self) -> bool {
        self.may(Rights::LOOKUP | Rights::READ)
    }

    /// Whether something of the account is seen.
    pub(crate) fn is_seen(&self) -> bool {
        self.is_whole() || self.shared.keys().any(|mailbox| self.sees(*mailbox))
    }

    /// Whether a mailbox is seen.
    pub(crate) fn sees(&self, mailbox: MailboxId) -> bool {
        self.may_in(mailbox, Rights::LOOKUP)
    }

    /// Whether it is seen what is in a mailbox.
    pub(crate) fn reads(&self, mailbox: MailboxId) -> bool {
        SEEN.iter().all(|right| self.may_in(mailbox, *right))
    }

    /// The mailboxes of which it is seen what is in them; none for all.
    pub(crate) fn within(&self) -> Option<BTreeSet<MailboxId>> {
        (!self.is_whole()).then(|| self.shared.keys().copied().filter(|id| self.reads(*id)).collect())
    }

    /// The shared mailboxes that the user wants to see (RFC 8621 §2); of a whole account its own list says so.
    pub(crate) fn is_subscribed(&self, mailbox: MailboxId) -> bool {
        self.shared.get(&mailbox).is_some_and(|shared| shared.subscribed)
    }

    /// Whether the account is the user's own, or a group's, or something of it is subscribed to.
    fn is_wanted(&self) -> bool {
        self.is_whole() || self.shared.keys().any(|id| self.sees(*id) && self.is_subscribed(*id))
    }

    /// Whether nothing in the account can be changed.
    pub(crate) fn only_reads(&self) -> bool {
        let changing = [
            Rights::SEEN,
            Rights::WRITE,
            Rights::INSERT,
            Rights::CREATE,
            Rights::DELETE_MAILBOX,
            Rights::DELETE_MESSAGES,
            Rights::ADMINISTER,
        ];
        !changing.into_iter().any(|right| self.may_somewhere(right))
    }

    /// An email as it is to the user: with the copies that may be read. None if there is none that is seen.
    pub(crate) fn email(&self, mut email: Email) -> Option<Email> {
        if !self.is_whole() {
            email.copies.retain(|copy| self.reads(copy.mailbox));
        }
        email.is_seen().then_some(email)
    }

    /// Whether an entry of the log tells something of what the user sees.
    pub(crate) fn hears(&self, entry: &ChangeRecord) -> bool {
        if log::kind(entry) == Some(ChangeKind::MailboxShared) {
            // Those who have rights learn nothing of those of others; who may change them is told as the mailbox is.
            return self.share_of(entry).is_some();
        }
        self.is_whole() || entry.mailboxes.iter().any(|id| self.sees(MailboxId(*id)))
    }

    /// The user's rights before and after, of an entry that is about them.
    pub(crate) fn share_of(&self, entry: &ChangeRecord) -> Option<(Rights, Rights)> {
        let shared = log::kind(entry) == Some(ChangeKind::MailboxShared);
        let [principal, old, new] = entry.objects.as_slice() else { return None };
        let rights = |bits: &u64| Rights::from_bits(u32::try_from(*bits).unwrap_or_default()) | self.rights;
        (shared && *principal == u64::from(self.user.0)).then(|| (rights(old), rights(new)))
    }

    /// Whether it cannot be told what an entry has done to emails that the user sees: what may be read is other than it was, or
    /// several emails are named and not all of the mailboxes are seen, so that which of them were is not known.
    pub(crate) fn is_unclear(&self, entry: &ChangeRecord) -> bool {
        if let Some((old, new)) = self.share_of(entry) {
            let reads = |rights: Rights| SEEN.iter().all(|right| rights.contain(*right));
            return reads(old) != reads(new);
        }
        !self.is_whole()
            && entry.emails.len() > 1
            && entry.mailboxes.iter().any(|id| self.reads(MailboxId(*id)))
            && entry.mailboxes.iter().any(|id| !self.reads(MailboxId(*id)))
    }

    /// Whether an entry tells of emails in mailboxes that the user may read.
    pub(crate) fn hears_of_emails(&self, entry: &ChangeRecord) -> bool {
        self.is_whole() || entry.mailboxes.iter().any(|id| self.reads(MailboxId(*id)))
    }
}

impl Call {
    /// The account, to be read, of which perhaps only some mailboxes are seen: what is told has to go by [`Access`].
    ///
    /// # Errors
    /// [`MethodError::AccountNotFound`], [`MethodError::Forbidden`].
    pub(crate) fn viewer(&self, account: &Id) -> Result<Access, MethodError> {
        let account = account.as_str().parse().map_err(|_| MethodError::AccountNotFound)?;
        let access = of(&self.identity, account).ok_or(MethodError::AccountNotFound)?;
        if access.is_seen() { Ok(access) } else { Err(MethodError::Forbidden) }
    }

    /// The same, to be changed. What of it may be changed is still to be looked at.
    ///
    /// # Errors
    /// As [`Call::viewer`], and [`MethodError::AccountReadOnly`].
    pub(crate) fn editor(&self, account: &Id) -> Result<Access, MethodError> {
        let access = self.viewer(account)?;
        if access.only_reads() { Err(MethodError::AccountReadOnly) } else { Ok(access) }
    }

    /// The account, to be read, all of which is seen.
    ///
    /// # Errors
    /// As [`Call::viewer`], and [`MethodError::AccountNotSupportedByMethod`] where that is not so (RFC 8620 §3.6.2).
    pub(crate) fn reader(&self, account: &Id) -> Result<Access, MethodError> {
        let access = self.viewer(account)?;
        if access.is_whole() { Ok(access) } else { Err(MethodError::AccountNotSupportedByMethod) }
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// As [`Call::reader`], and [`MethodError::AccountReadOnly`].
    pub(crate) fn writer(&self, account: &Id) -> Result<Access, MethodError> {
        let access = self.reader(account)?;
        if access.only_reads() { Err(MethodError::AccountReadOnly) } else { Ok(access) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use accounts::{SharedAccount, SharedGroup, SharedMailbox};

    pub(crate) fn identity(group: Rights, shared: &[(u32, Rights)]) -> Identity {
        let one = |(id, rights): &(u32, Rights)| {
            (MailboxId(*id), SharedMailbox { rights: *rights, subscribed: true })
        };
        let (address, display_name) = ("team@example.test".to_owned(), "Team".to_owned());
        let group = SharedGroup { account: AccountId(9), address, display_name, rights: group };
        let share = SharedAccount {
            account: AccountId(2),
            address: "bob@example.test".into(),
            display_name: "Bob".into(),
            mailboxes: Arc::new(shared.iter().map(one).collect()),
        };
        Identity {
            account: AccountId(1),
            address: "alice@example.test".into(),
            display_name: String::new(),
            groups: vec![group],
            shares: if shared.is_empty() { Vec::new() } else { vec![share] },
        }
    }

    fn rights(letters: &str) -> Rights {
        Rights::parse(letters).unwrap()
    }

    #[test]
    fn of_another_account_there_is_what_is_shared() {
        let identity = identity(rights("lr"), &[(1, rights("lr")), (2, rights("l")), (3, rights("rw"))]);
        let own = of(&identity, AccountId(1)).unwrap();
        assert!(own.is_whole() && own.reads(MailboxId(77)) && own.within().is_none());
        let bob = of(&identity, AccountId(2)).unwrap();
        assert!(!bob.is_whole() && !bob.may(Rights::READ) && bob.may_somewhere(Rights::WRITE));
        assert_eq!(bob.within(), Some(BTreeSet::from([MailboxId(1)])), "one needs l and r");
        assert!(bob.sees(MailboxId(2)) && !bob.sees(MailboxId(3)) && !bob.sees(MailboxId(4)));
        assert!(of(&identity, AccountId(9)).unwrap().is_whole() && of(&identity, AccountId(3)).is_none());
        assert_eq!(all(&identity).map(|access| access.account.0).collect::<Vec<_>>(), [1, 2, 9]);
        let nothing = self::identity(Rights::NONE, &[(3, rights("rw"))]);
        assert_eq!(all(&nothing).count(), 1, "nothing is looked up there");
    }

    #[test]
    fn entries_tell_of_what_is_seen() {
        let bob = of(&identity(Rights::NONE, &[(1, rights("lr"))]), AccountId(2)).unwrap();
        let entry = |kind: ChangeKind, mailboxes: &[u32], emails: &[u64], objects: &[u64]| ChangeRecord {
            kind: kind as i32,
            mailboxes: mailboxes.to_vec(),
            emails: emails.to_vec(),
            objects: objects.to_vec(),
            ..ChangeRecord::default()
        };
        let updated =
            |mailboxes: &[u32], emails: &[u64]| entry(ChangeKind::EmailUpdated, mailboxes, emails, &[]);
        assert!(bob.hears(&updated(&[1, 5], &[7])) && !bob.hears(&updated(&[5], &[7])));
        assert!(!bob.hears(&entry(ChangeKind::ObjectCreated, &[], &[], &[3])), "no objects");
        assert!(!bob.is_unclear(&updated(&[1, 5], &[7])), "it is one email");
        assert!(bob.is_unclear(&updated(&[1, 5], &[7, 8])) && !bob.is_unclear(&updated(&[1], &[7, 8])));
        let bits = |letters: &str| u64::from(rights(letters).bits());
        let shared = |who: u64, old, new| entry(ChangeKind::MailboxShared, &[1], &[], &[who, old, new]);
        let mine = shared(1, 0, bits("lr"));
        assert_eq!(bob.share_of(&mine), Some((Rights::NONE, rights("lr"))));
        assert!(bob.hears(&mine) && bob.is_unclear(&mine));
        assert!(!bob.hears(&shared(3, 0, bits("lr"))), "what others may do is not told");
        assert!(!bob.is_unclear(&shared(1, bits("lr"), bits("lrw"))));
    }
}
