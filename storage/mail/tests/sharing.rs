//! Mailboxes that are shared: rights in two rows, what the logs say of them, and edits by who sees some mailboxes.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use godwit_mail::{
    EmailEdit, Error, FlagChange, Lists, MailboxEdit, MailboxRef, NewMailbox, Place, Refusal,
    SHARE_NOTIFICATIONS, ShareEdit,
};
use schema::keys::account::{PrincipalKey, principal_range};
use schema::keys::mail::ObjectKind;
use schema::keys::share::{ShareKey, SharedKey};
use schema::records::account::{Principal, Share};
use schema::records::mail::ChangeKind;
use schema::records::object::ShareNotificationRecord;
use schema::{AccountId, Flags, Key, MailboxId, Record, Rights, SystemFlags};
use support::{ACCOUNT, OTHER, World, world};

fn rights(letters: &str) -> Rights {
    Rights::parse(letters).unwrap()
}

/// Both accounts are persons of the directory.
async fn people(w: &World) {
    for (account, name) in [(ACCOUNT, "alice"), (OTHER, "bob")] {
        let address = format!("{name}@example.test");
        let principal = Principal { kind: 1, address, display_name: name.into(), ..Principal::default() };
        let set = w.db.transact("test", |txn| {
            let principal = principal.clone();
            async move {
                txn.set(&PrincipalKey { account }.encode(), &principal.to_bytes());
                Ok::<_, Error>(())
            }
        });
        set.await.unwrap();
    }
}

async fn share(w: &World, at: MailboxRef, principal: AccountId, letters: &str) -> Result<(), Error> {
    let rights = BTreeMap::from([(principal, rights(letters))]);
    let shares = Some(ShareEdit { by: ACCOUNT, whole: false, rights });
    w.store.edit_mailbox(at.account, at.mailbox, &MailboxEdit { shares, ..MailboxEdit::default() }).await
}

async fn notifications(w: &World) -> Vec<(u64, ShareNotificationRecord)> {
    w.store.objects(OTHER, ObjectKind::ShareNotification, 10_000).await.unwrap()
}

/// Bob's half.
async fn shared(w: &World) -> Vec<(MailboxId, Share)> {
    let (begin, end) = &SharedKey::of_principal(OTHER);
    let rows = w.db.read("test", |txn| async move { Ok::<_, Error>(txn.range(begin, end).collect().await?) });
    let one =
        |(key, value): &kv::Row| (SharedKey::decode(key).unwrap().mailbox, Share::from_bytes(value).unwrap());
    rows.await.unwrap().iter().map(one).collect()
}

#[tokio::test]
async fn rights_are_given_and_taken_with_all_that_tells_of_them() {
    let w = world(1).await;
    people(&w).await;
    let (at, _) = w.create("Plans").await;
    let before = w.store.state(ACCOUNT).await.unwrap();
    share(&w, at, OTHER, "lr").await.unwrap();
    share(&w, at, OTHER, "lr").await.unwrap();
    w.store.subscribe_shared(OTHER, at, true).await.unwrap();
    share(&w, at, OTHER, "lrs").await.unwrap();
    assert_eq!(w.store.lists(ACCOUNT).await.unwrap()[&at.mailbox], BTreeMap::from([(OTHER, rights("lrs"))]));
    let kept = Share { rights: rights("lrs").bits(), subscribed: true };
    assert_eq!(shared(&w).await, [(at.mailbox, kept)], "whether it is wanted stays");
    share(&w, at, OTHER, "").await.unwrap();
    assert_eq!((shared(&w).await, w.store.lists(ACCOUNT).await.unwrap()), (vec![], Lists::new()));
    let told: Vec<(u32, u32)> =
        notifications(&w).await.iter().map(|(_, one)| (one.old_rights, one.new_rights)).collect();
    let [lr, lrs] = [rights("lr").bits(), rights("lrs").bits()];
    assert_eq!(told, [(0, lr), (lr, lrs), (lrs, 0)], "what changes nothing is not told");
    let (_, first) = notifications(&w).await.remove(0);
    let changer = first.changer.clone().unwrap();
    assert_eq!((first.changed_by, changer.email.as_str()), (ACCOUNT.0, "alice@example.test"));
    assert_eq!((first.owner, first.mailbox, first.name.as_str()), (ACCOUNT.0, at.mailbox.0, "Plans"));
    let log = changes::log::read(&w.db, ACCOUNT, before, 100).await.unwrap().entries;
    let shares = log.iter().filter(|(_, entry)| entry.kind == ChangeKind::MailboxShared as i32);
    let objects: Vec<Vec<u64>> = shares.map(|(_, entry)| entry.objects.clone()).collect();
    let one = |old: u32, new: u32| vec![u64::from(OTHER.0), old.into(), new.into()];
    assert_eq!(objects, [one(0, lr), one(lr, lr), one(lr, lrs), one(lrs, 0)]);
    let gone = w.store.subscribe_shared(OTHER, at, true).await;
    assert!(matches!(gone, Err(Error::NotFound)));
    w.sound().await;
}

#[tokio::test]
async fn rights_are_for_others_who_are_there() {
    let w = world(2).await;
    people(&w).await;
    let (at, _) = w.create("Plans").await;
    for nobody in [ACCOUNT, AccountId(99)] {
        assert!(matches!(share(&w, at, nobody, "lr").await, Err(Error::Invalid(_))), "{nobody}");
    }
    let rights = BTreeMap::from([(OTHER, rights("lr")), (AccountId(99), rights("lr"))]);
    let shares = Some(ShareEdit { by: ACCOUNT, whole: true, rights });
    let edit = MailboxEdit { shares, name: Some("Renamed".into()), ..MailboxEdit::default() };
    assert!(w.store.edit_mailbox(ACCOUNT, at.mailbox, &edit).await.is_err());
    assert!(shared(&w).await.is_empty() && notifications(&w).await.is_empty(), "all or nothing");
    w.mailbox(ACCOUNT, "Plans").await;
    let missing = MailboxRef { account: ACCOUNT, mailbox: MailboxId(999) };
    assert!(matches!(share(&w, missing, OTHER, "lr").await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_mailbox_that_goes_is_shared_no_more() {
    let w = world(3).await;
    people(&w).await;
    let (at, _) = w.create("Plans").await;
    w.append(at, "Subject: a").await;
    share(&w, at, OTHER, "lr").await.unwrap();
    let before = w.store.state(ACCOUNT).await.unwrap();
    w.store.remove_mailbox(ACCOUNT, at.mailbox, true).await.unwrap();
    assert!(shared(&w).await.is_empty());
    let keys = w.keys(principal_range(ACCOUNT)).await;
    assert!(keys.iter().all(|key| !key.contains(ShareKey::NAME)), "{keys:?}");
    let log = changes::log::read(&w.db, ACCOUNT, before, 100).await.unwrap().entries;
    let told = log.iter().any(|(_, entry)| entry.kind == ChangeKind::MailboxShared as i32);
    assert!(told, "who saw it is told that it is gone");
    w.sound().await;
}

#[tokio::test]
async fn what_others_make_is_seen_by_who_sees_what_it_lies_in() {
    let w = world(4).await;
    people(&w).await;
    let (at, _) = w.create("Plans").await;
    share(&w, at, OTHER, "lrk").await.unwrap();
    let new = |made_by| NewMailbox {
        parent: Some(at.mailbox),
        name: format!("by {made_by:?}"),
        role: None,
        sort_order: 0,
        subscribed: false,
        shares: None,
        made_by,
    };
    let made = w.store.make_mailbox(ACCOUNT, &new(Some(OTHER))).await.unwrap();
    w.store.make_mailbox(ACCOUNT, &new(None)).await.unwrap();
    let seen: Vec<MailboxId> = shared(&w).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(seen, [at.mailbox, made.id], "what the owner makes is the owner's");
    assert_eq!(notifications(&w).await.len(), 1, "nobody is told what they did");
}

#[tokio::test]
async fn notifications_are_bounded_in_number_and_age() {
    let w = world(5).await;
    people(&w).await;
    let (at, _) = w.create("Plans").await;
    for n in 0..=SHARE_NOTIFICATIONS {
        w.clock.advance(Duration::from_millis(1));
        share(&w, at, OTHER, if n % 2 == 0 { "lr" } else { "lrs" }).await.unwrap();
    }
    let all = notifications(&w).await;
    assert_eq!(all.len(), SHARE_NOTIFICATIONS);
    assert_eq!(all[0].1.new_rights, rights("lrs").bits(), "the oldest made room");
    let now = 1_800_000_000;
    w.store.trim(OTHER, now - 1).await.unwrap();
    assert_eq!(notifications(&w).await.len(), SHARE_NOTIFICATIONS);
    w.store.trim(OTHER, now + 2).await.unwrap();
    assert!(notifications(&w).await.is_empty());
}

#[tokio::test]
async fn who_sees_some_mailboxes_changes_what_is_there() {
    let w = world(6).await;
    let [inbox, junk, archive] = [
        w.mailbox(ACCOUNT, "INBOX").await,
        w.mailbox(ACCOUNT, "Junk").await,
        w.mailbox(ACCOUNT, "Archive").await,
    ];
    let uid = w.append(inbox, "Subject: a").await;
    let email = w.store.message(inbox, uid).await.unwrap().email;
    let ids = |some: &[MailboxRef]| some.iter().map(|at| at.mailbox).collect::<BTreeSet<MailboxId>>();
    let edit = async |flags, place, within: &[MailboxRef]| {
        let edit = EmailEdit { email, flags, place, within: Some(ids(within)) };
        w.store.edit_emails(ACCOUNT, &[edit]).await.unwrap().outcomes.remove(0)
    };
    let seen = Flags { system: SystemFlags::SEEN, ..Flags::none() };
    assert_eq!(edit(Some(FlagChange::Add(seen.clone())), Place::Same, &[junk]).await, Err(Refusal::NotFound));
    let add = Place::Change { add: ids(&[junk]), remove: BTreeSet::new() };
    assert_eq!(edit(None, add, &[inbox, junk]).await, Ok(()));
    assert_eq!(edit(Some(FlagChange::Add(seen)), Place::Same, &[junk]).await, Ok(()));
    let now = w.store.emails(ACCOUNT, &[email]).await.unwrap().remove(0);
    let flags: BTreeMap<MailboxId, bool> =
        now.copies.iter().map(|copy| (copy.mailbox, copy.flags.has(SystemFlags::SEEN))).collect();
    assert_eq!(flags, BTreeMap::from([(inbox.mailbox, false), (junk.mailbox, true)]));
    // Where it is already, though that is not meant, it is once.
    let only = Place::Only(ids(&[inbox, archive]));
    assert_eq!(edit(None, only, &[junk, archive]).await, Ok(()));
    let now = w.store.emails(ACCOUNT, &[email]).await.unwrap().remove(0);
    assert_eq!((now.copies.len(), now.mailboxes()), (2, ids(&[inbox, archive])));
    assert_eq!(edit(None, Place::Nowhere, &[junk, archive]).await, Ok(()));
    let now = w.store.emails(ACCOUNT, &[email]).await.unwrap().remove(0);
    assert_eq!(now.mailboxes(), ids(&[inbox]), "it is where nobody meant");
    w.sound().await;
}

#[tokio::test]
async fn a_catalogue_of_some_mailboxes_has_nothing_of_others() {
    let w = world(7).await;
    let [inbox, junk] = [w.mailbox(ACCOUNT, "INBOX").await, w.mailbox(ACCOUNT, "Junk").await];
    let both = w.append(inbox, "Subject: a\r\nMessage-ID: <1@x>").await;
    w.append(inbox, "Subject: Re: a\r\nReferences: <1@x>\r\nMessage-ID: <2@x>").await;
    w.store.copy(inbox, &[both].into_iter().collect(), junk).await.unwrap();
    let catalog = w.store.catalog(ACCOUNT).await.unwrap();
    let some = catalog.read(|all| {
        assert_eq!((all.len(), all.thread_count()), (2, 1));
        all.only(|mailbox| mailbox == junk.mailbox)
    });
    let email = w.store.message(inbox, both).await.unwrap().email;
    assert_eq!((some.ids(), some.thread_count()), (&[email][..], 1));
    assert_eq!(
        (some.all().in_mailbox(inbox.mailbox).count(), some.all().in_mailbox(junk.mailbox).count()),
        (0, 1)
    );
    assert_eq!(catalog.read(|all| all.only(|_| false).len()), 0);
    assert_eq!(some.as_of(), w.store.state(ACCOUNT).await.unwrap());
}
