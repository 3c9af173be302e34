//! An account may have any number of mailboxes, and all are seen.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use godwit_mail::{Error, MailboxEdit};
use schema::keys::mail::{MailboxKey, MailboxNameKey};
use schema::records::mail::MailboxRecord;
use schema::{Key, MailboxId, Record};
use support::{ACCOUNT, World, path, world};

/// Mailboxes below another, written as they are by CREATE, many at once.
async fn create_below(w: &World, parent: MailboxId, count: u32) {
    for first in (0..count).step_by(5_000) {
        let written = w.db.transact("test", |txn| async move {
            for n in first..count.min(first + 5_000) {
                let (account, mailbox, name) = (ACCOUNT, MailboxId(1_000 + n), n.to_string());
                let record = MailboxRecord {
                    sort_order: 0,
                    parent: Some(parent.0),
                    name: name.clone(),
                    uid_validity: 1,
                    ..MailboxRecord::default()
                };
                txn.set(&MailboxKey { account, mailbox }.encode(), &record.to_bytes());
                txn.set(
                    &MailboxNameKey { account, parent: Some(parent), name }.encode(),
                    &mailbox.0.to_le_bytes(),
                );
            }
            Ok::<_, Error>(())
        });
        written.await.unwrap();
    }
}

#[tokio::test]
async fn all_mailboxes_are_listed_and_a_rename_of_too_many_is_refused() {
    let w = world(1).await;
    let before = w.store.mailboxes(ACCOUNT).await.unwrap().len();
    let (parent, _) = w.create("many").await;
    create_below(&w, parent.mailbox, 60_000).await;
    let all = w.store.mailboxes(ACCOUNT).await.unwrap();
    assert_eq!(all.len(), before + 60_001);
    assert!(all.is_sorted_by(|a, b| a.path <= b.path));
    assert!(matches!(
        w.store.rename(ACCOUNT, &path("many"), &path("other")).await,
        Err(Error::LimitReached(_))
    ));
    w.store.rename(ACCOUNT, &path("many/59999"), &path("many/last")).await.unwrap();
    assert_eq!(w.store.resolve(ACCOUNT, &path("many/last")).await.unwrap().unwrap().id, MailboxId(60_999));
}

fn named(name: &str) -> MailboxEdit {
    MailboxEdit { name: Some(name.to_owned()), ..MailboxEdit::default() }
}

fn within(parent: Option<MailboxId>) -> MailboxEdit {
    MailboxEdit { parent: Some(parent), ..MailboxEdit::default() }
}

#[tokio::test]
async fn names_are_exchanged_with_what_lies_below_and_what_hangs_on_them() {
    let w = world(2).await;
    let (a, b) = (w.create("A").await, w.create("B").await);
    let (below, _) = w.create("A/below").await;
    for name in ["A", "A/below", "B/gone"] {
        w.store.subscribe(ACCOUNT, name, true).await.unwrap();
    }
    w.append(below, "Subject: x").await;
    let validity = [a.1.uid_validity, b.1.uid_validity];
    let edits = [(a.0.mailbox, named("B")), (b.0.mailbox, named("A"))];
    w.store.edit_mailboxes(ACCOUNT, &edits).await.unwrap();
    let at = |name: &'static str| {
        let store = w.store.clone();
        async move { store.resolve(ACCOUNT, &path(name)).await.unwrap() }
    };
    let (now_b, now_a) = (at("B").await.unwrap(), at("A").await.unwrap());
    assert_eq!((now_b.id, now_a.id), (a.0.mailbox, b.0.mailbox));
    assert_eq!(at("B/below").await.unwrap().id, below.mailbox);
    assert!(at("A/below").await.is_none());
    let subscribed: Vec<String> = w.store.subscriptions(ACCOUNT).await.unwrap().into_iter().collect();
    assert_eq!(subscribed, ["A/gone", "B", "B/below"]);
    // RFC 9051 §2.3.1.1: for neither name it goes down.
    assert!(now_a.uid_validity >= validity[0] && now_b.uid_validity >= validity[1]);
    w.sound().await;
    // Back again: nothing is left of where they lay meanwhile.
    let edits = [(a.0.mailbox, named("A")), (b.0.mailbox, named("B"))];
    w.store.edit_mailboxes(ACCOUNT, &edits).await.unwrap();
    assert_eq!(at("A/below").await.unwrap().id, below.mailbox);
    assert!(at("A").await.unwrap().uid_validity >= now_a.uid_validity);
    w.sound().await;
}

#[tokio::test]
async fn what_lies_in_another_takes_its_place_and_circles_are_not_made() {
    let w = world(3).await;
    let ((top, _), (inner, _)) = (w.create("top").await, w.create("top/inner").await);
    let (last, _) = w.create("top/inner/last").await;
    let before = w.store.mailboxes(ACCOUNT).await.unwrap();
    let circle = [(top.mailbox, within(Some(last.mailbox))), (inner.mailbox, named("other"))];
    assert!(matches!(w.store.edit_mailboxes(ACCOUNT, &circle).await, Err(Error::Reserved(_))));
    let inbox = w.mailbox(ACCOUNT, "INBOX").await;
    let edits = [(inbox.mailbox, named("top")), (top.mailbox, named("x"))];
    assert!(matches!(w.store.edit_mailboxes(ACCOUNT, &edits).await, Err(Error::Reserved(_))));
    assert_eq!(w.store.mailboxes(ACCOUNT).await.unwrap(), before, "nothing was done");
    // In whatever order they are given.
    let edits = [(top.mailbox, within(Some(inner.mailbox))), (inner.mailbox, within(None))];
    w.store.edit_mailboxes(ACCOUNT, &edits).await.unwrap();
    for (name, id) in [("inner/top", top), ("inner/last", last)] {
        assert_eq!(w.mailbox(ACCOUNT, name).await, id);
    }
    let edits = [(top.mailbox, within(None)), (inner.mailbox, within(Some(top.mailbox)))];
    w.store.edit_mailboxes(ACCOUNT, &edits).await.unwrap();
    assert_eq!(w.mailbox(ACCOUNT, "top/inner/last").await, last);
    w.sound().await;
}
