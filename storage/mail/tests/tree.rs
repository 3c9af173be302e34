//! An account may have any number of mailboxes, and all are seen.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use godwit_mail::Error;
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
