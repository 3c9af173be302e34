//! COPY of more messages than one transaction takes: all or none.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use godwit_mail::{Error, UidSet};
use schema::Key;
use schema::keys::mail::UidNextKey;
use support::{ACCOUNT, OTHER, world};

#[tokio::test]
async fn what_does_not_fit_is_not_begun() {
    let w = world(1).await;
    let (from, to) = (w.create("box").await.0, w.mailbox(OTHER, "Archive").await);
    w.fill(from, 1_100).await;
    w.store.set_quota(OTHER, None, Some(700)).await.unwrap();
    let all: UidSet = (1..=1_100).collect();
    assert!(matches!(w.store.copy_all(from, &all, to).await, Err(Error::OverQuota)));
    let status = w.store.status(to).await.unwrap();
    assert_eq!((status.exists, status.uid_next), (0, 1));
    let some: UidSet = (1..=600).collect();
    assert_eq!(w.store.copy_all(from, &some, to).await.unwrap().pairs.len(), 600);
    w.sound().await;
}

/// What keeps the last page from its end shows only there: the mailbox gives out its last UID.
#[tokio::test]
async fn a_copy_that_fails_is_taken_back() {
    let w = world(2).await;
    let (from, to) = (w.create("box").await.0, w.mailbox(ACCOUNT, "Archive").await);
    w.fill(from, 1_500).await;
    w.append(to, "Subject: kept").await;
    let next = UidNextKey { account: ACCOUNT, mailbox: to.mailbox }.encode();
    let next = &next;
    let set = w.db.transact("test", |txn| async move {
        txn.set(next, &(u32::MAX - 1_300).to_le_bytes());
        Ok::<_, Error>(())
    });
    set.await.unwrap();
    let before = w.store.usage(ACCOUNT).await.unwrap();
    let all: UidSet = (1..=1_500).collect();
    assert!(matches!(w.store.copy_all(from, &all, to).await, Err(Error::LimitReached(_))));
    assert_eq!(w.store.open(to).await.unwrap().uids, [1].into_iter().collect());
    assert_eq!(w.store.usage(ACCOUNT).await.unwrap(), before);

    // A MOVE keeps what it did, and says so.
    let (moved, outcome) = w.store.move_all(from, &all, to).await;
    assert!(matches!(outcome, Err(Error::LimitReached(_))));
    let there = w.store.status(to).await.unwrap().exists - 1;
    assert_eq!(
        (moved.pairs.len() as u32, w.store.status(from).await.unwrap().exists),
        (there, 1_500 - there)
    );
    assert_eq!(w.store.usage(ACCOUNT).await.unwrap(), before);
    w.sound().await;
}
