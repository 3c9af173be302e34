//! A store behind a network: verbs over many messages come to an end, page by page, whatever a read takes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use godwit_mail::{FlagChange, MailboxRef, UidSet};
use schema::{Flags, Keyword, ModSeq, SystemFlags};
use support::{ACCOUNT, OTHER, World, path, world};

fn all(count: u32) -> UidSet {
    (1..=count).collect()
}

/// Changes flags to the end; the pages it took.
async fn store(w: &World, at: MailboxRef, uids: &UidSet, change: &FlagChange) -> usize {
    let (mut left, mut pages) = (uids.clone(), 1);
    while let Some(next) = w.store.store_flags(at, &left, change, None).await.unwrap().next {
        left = left.intersection(&UidSet::from_ranges([next..=u32::MAX]));
        pages += 1;
    }
    pages
}

/// Every session that has the mailbox open asks this when somebody marked all of it as read.
#[tokio::test(start_paused = true)]
async fn many_changes_are_told() {
    let w = world(1).await;
    let (at, _) = w.create("box").await;
    w.fill(at, 6_000).await;
    let before = w.store.open(at).await.unwrap().as_of;
    store(&w, at, &all(6_000), &FlagChange::Add(SystemFlags::SEEN.into())).await;
    w.store.store_flags(at, &all(1), &FlagChange::Add(SystemFlags::DELETED.into()), None).await.unwrap();
    w.store.expunge(at, None).await.unwrap();

    w.faults.set_read_time(Duration::from_millis(1));
    let delta = w.store.since(at, before).await.unwrap();
    assert!(!delta.resync && delta.vanished == all(1));
    assert_eq!(delta.changed.iter().map(|row| row.uid).collect::<UidSet>(), all(6_000).difference(&all(1)));
    assert_eq!(delta.as_of, w.store.status(at).await.unwrap().highest_modseq);
    let whole = w.store.since(at, ModSeq(0)).await.unwrap();
    assert_eq!(whole.changed.len(), 5_999);
}

#[tokio::test(start_paused = true)]
async fn a_page_ends_in_time() {
    let w = world(2).await;
    let (at, _) = w.create("box").await;
    w.fill(at, 2_000).await;
    let keywords = ["$a", "$b", "$c"].map(|name| Keyword::new(name).unwrap());
    let flags = Flags { keywords: keywords.into(), ..SystemFlags::DELETED.into() };

    w.faults.set_read_time(Duration::from_millis(3));
    assert_eq!(store(&w, at, &all(2_000), &FlagChange::Add(flags)).await, 1);
    // So slow that a transaction takes some hundred messages, and of those that go with their emails, some twenties.
    w.faults.set_read_time(Duration::from_millis(200));
    assert!(store(&w, at, &all(2_000), &FlagChange::Add(SystemFlags::SEEN.into())).await > 1);
    let other = w.mailbox(OTHER, "Archive").await;
    let copied = w.store.copy_all(at, &all(100), other).await.unwrap();
    assert_eq!(copied.pairs.len(), 100);
    let mut pages = 0;
    let archive = w.mailbox(OTHER, "Archive").await;
    w.store
        .store_flags(archive, &all(100), &FlagChange::Add(SystemFlags::DELETED.into()), None)
        .await
        .unwrap();
    loop {
        pages += 1;
        if w.store.expunge(archive, None).await.unwrap().next.is_none() {
            break;
        }
    }
    assert!(pages > 1);
    w.store.delete(ACCOUNT, &path("box")).await.unwrap();
    w.faults.set_read_time(Duration::ZERO);
    w.finish().await;
    w.sound().await;
    assert_eq!(
        w.store.usage(ACCOUNT).await.unwrap().messages + w.store.usage(OTHER).await.unwrap().messages,
        0
    );
}
