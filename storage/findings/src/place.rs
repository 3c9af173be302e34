//! Where a row belongs.

use schema::keys::account::{
    AliasKey, CredentialKey, GrantKey, GroupMemberKey, ListMemberKey, MemberOfKey, PrincipalKey,
};
use schema::keys::job::{EmptyKey, LaterKey, PurgeKey};
use schema::keys::mail::*;
use schema::keys::push::{PushKey, PushRateKey};
use schema::{AccountId, Key, KeyReader, MailboxId, Uid};

/// Where a row belongs, as far as its key says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The account.
    pub account: Option<AccountId>,
    /// The mailbox.
    pub mailbox: Option<MailboxId>,
    /// The message.
    pub uid: Option<Uid>,
}

/// Where a row belongs.
pub fn place_of(key: &[u8]) -> Place {
    match key.first() {
        Some(&TAG) => of_mail(key),
        Some(&schema::keys::job::TAG) => of_job(key),
        Some(&schema::keys::account::TAG) => Place { account: of_principal(key), ..Place::default() },
        _ => Place::default(),
    }
}

fn of_mail(key: &[u8]) -> Place {
    let mut reader = KeyReader::new(key);
    let account = reader.tag(TAG).and_then(|()| reader.uint32()).ok().map(AccountId);
    let mailbox = match reader.peek() {
        Some(tag @ (b'm' | b'M')) => reader.tag(tag).and_then(|()| reader.uint32()).ok().map(MailboxId),
        _ => None,
    };
    let (copy, uid) = match MembershipKey::decode(key) {
        Ok(MembershipKey { mailbox, uid, .. }) => (Some(mailbox), Some(uid)),
        Err(_) => (None, uid_of(key)),
    };
    Place { account, mailbox: mailbox.or(copy), uid }
}

/// The message that a row of a mailbox is about.
fn uid_of(key: &[u8]) -> Option<Uid> {
    MessageKey::decode(key)
        .map(|key| key.uid)
        .or_else(|_| OrderKey::decode(key).map(|key| key.uid))
        .or_else(|_| FlagKey::decode(key).map(|key| key.uid))
        .or_else(|_| ReceivedKey::decode(key).map(|key| key.uid))
        .or_else(|_| SentKey::decode(key).map(|key| key.uid))
        .or_else(|_| SizeKey::decode(key).map(|key| key.uid))
        .or_else(|_| FromKey::decode(key).map(|key| key.uid))
        .or_else(|_| SubjectKey::decode(key).map(|key| key.uid))
        .ok()
}

fn of_job(key: &[u8]) -> Place {
    if let Ok(LaterKey { account, .. }) = LaterKey::decode(key) {
        return Place { account: Some(account), ..Place::default() };
    }
    if let Ok(PurgeKey { account }) = PurgeKey::decode(key) {
        return Place { account: Some(account), ..Place::default() };
    }
    match EmptyKey::decode(key) {
        Ok(EmptyKey { account, mailbox }) => {
            Place { account: Some(account), mailbox: Some(mailbox), uid: None }
        }
        Err(_) => Place::default(),
    }
}

fn of_principal(key: &[u8]) -> Option<AccountId> {
    PrincipalKey::decode(key)
        .map(|key| key.account)
        .or_else(|_| AliasKey::decode(key).map(|key| key.account))
        .or_else(|_| CredentialKey::decode(key).map(|key| key.account))
        .or_else(|_| GroupMemberKey::decode(key).map(|key| key.group))
        .or_else(|_| MemberOfKey::decode(key).map(|key| key.member))
        .or_else(|_| ListMemberKey::decode(key).map(|key| key.list))
        .or_else(|_| PushKey::decode(key).map(|key| key.account))
        .or_else(|_| PushRateKey::decode(key).map(|key| key.account))
        .or_else(|_| GrantKey::decode(key).map(|key| key.account))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_where_they_belong() {
        let (account, mailbox, uid) = (AccountId(300), MailboxId(7), Uid::MIN);
        let whole = Place { account: Some(account), mailbox: Some(mailbox), uid: Some(uid) };
        let email = schema::EmailId(5);
        assert_eq!(place_of(&MessageKey { account, mailbox, uid }.encode()), whole);
        assert_eq!(place_of(&SizeKey { account, mailbox, size: 5, uid }.encode()), whole);
        assert_eq!(place_of(&MembershipKey { account, email, mailbox, uid }.encode()), whole);
        let boxed = Place { uid: None, ..whole };
        assert_eq!(place_of(&CountersKey { account, mailbox }.encode()), boxed);
        assert_eq!(place_of(&MailboxKey { account, mailbox }.encode()), boxed);
        assert_eq!(place_of(&EmptyKey { account, mailbox }.encode()), boxed);
        let bare = Place { mailbox: None, ..boxed };
        assert_eq!(place_of(&EmailKey { account, email }.encode()), bare);
        assert_eq!(place_of(&PrincipalKey { account }.encode()), bare);
        assert_eq!(place_of(&PushKey { account, id: schema::PushId(1) }.encode()), bare);
        for none in [&b""[..], b"Qn", b"A", b"Si"] {
            assert_eq!(place_of(none), Place::default());
        }
    }
}
