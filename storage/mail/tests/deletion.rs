//! A mailbox is deleted as a whole or not at all, and what is left of it goes whoever crashes meanwhile.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use godwit_mail::{Error, FlagChange, Step, UidSet, Usage};
use kv::fault::Plan;
use runtime::{Rng, SeededRng};
use schema::keys::mail::mailbox_range;
use schema::{Flags, ModSeq, SystemFlags};
use support::{ACCOUNT, OTHER, crash_after, path, world};

#[tokio::test(start_paused = true)]
async fn a_mailbox_is_deleted_as_a_whole_or_not_at_all() {
    let (mut whole, mut begun, mut left) = (0, 0, 0);
    for seed in 0..40 {
        let w = world(seed).await;
        let (at, _) = w.create("box").await;
        w.fill(at, 230).await;
        w.faults.set_plan(if seed % 2 == 0 { Plan::STALLS } else { Plan::HARSH });
        // Some crashes come before the decision, some after it.
        let polls = SeededRng::new(seed).below(if seed % 4 < 2 { 12 } else { 400 });
        drop(crash_after(polls, w.store.delete(ACCOUNT, &path("box"))).await);
        w.calm().await;
        match w.store.status(at).await {
            Ok(status) => {
                assert_eq!(status.exists, 230, "seed {seed}: nothing went before all could");
                whole += 1;
            }
            Err(Error::NotFound) => {
                assert_eq!(w.store.resolve(ACCOUNT, &path("box")).await.unwrap(), None);
                begun += 1;
                w.sound().await;
                left += w.finish().await;
                assert_eq!(w.keys(mailbox_range(ACCOUNT, at.mailbox)).await, [""; 0]);
                assert_eq!(w.store.usage(ACCOUNT).await.unwrap(), Usage::default());
            }
            Err(error) => panic!("{error}"),
        }
        w.sound().await;
    }
    assert!(whole > 3 && begun > 3 && left > 100, "{whole} whole, {begun} begun, {left} left behind");
}

#[tokio::test]
async fn a_large_mailbox_is_gone_at_once_and_its_name_is_free() {
    let w = world(1).await;
    let inbox = w.mailbox(ACCOUNT, "INBOX").await;
    let (at, made) = w.create("box").await;
    w.fill(at, 1_000).await;
    w.store.copy(at, &[1, 2].into_iter().collect(), inbox).await.unwrap();
    let moment = w.store.open(at).await.unwrap().as_of;
    w.store.delete(ACCOUNT, &path("box")).await.unwrap();
    assert_eq!(w.store.emptying(None, 9).await.unwrap(), [at], "too many to go at once");
    assert_eq!(w.store.emptying(Some(at), 9).await.unwrap(), []);
    w.sound().await;

    let all: UidSet = (1..=1_000).collect();
    let add = FlagChange::Add(SystemFlags::SEEN.into());
    let incoming = w.incoming("Subject: late").await;
    let refused = [
        w.store.append(at, &incoming, &Flags::none(), 1).await.err(),
        w.store.copy(at, &all, inbox).await.err(),
        w.store.copy(inbox, &all, at).await.err(),
        w.store.move_(at, &all, inbox).await.err(),
        w.store.store_flags(at, &all, &add, None).await.err(),
        w.store.expunge(at, None).await.err(),
        w.store.open(at).await.err(),
        w.store.status(at).await.err(),
        w.store.since(at, moment).await.err(),
        w.store.since(at, ModSeq(0)).await.err(),
    ];
    for (verb, error) in refused.into_iter().enumerate() {
        assert!(matches!(error, Some(Error::NotFound)), "verb {verb}: {error:?}");
    }

    let (again, second) = w.create("box").await;
    w.append(again, "Subject: new").await;
    assert!(second.uid_validity > made.uid_validity && again != at);
    let before = w.store.usage(ACCOUNT).await.unwrap().messages;
    let gone = w.finish().await;
    assert_eq!(w.store.usage(ACCOUNT).await.unwrap().messages, before - gone);
    assert_eq!(before - gone, 3, "the new message, and the copies elsewhere");
    assert_eq!(w.store.empty_step(at).await.unwrap(), Step::Absent);
    w.sound().await;
}

/// Two nodes work at one job; and a job ends when its account is removed, whose purge does the rest.
#[tokio::test(start_paused = true)]
async fn a_job_is_shared_and_ends_with_its_account() {
    let w = world(2).await;
    for end in [false, true] {
        let (at, _) = w.create("box").await;
        w.fill(at, 1_000).await;
        w.store.delete(ACCOUNT, &path("box")).await.unwrap();
        let left = w.store.usage(ACCOUNT).await.unwrap().messages;
        if end {
            let store = &w.store;
            let removed = w.db.transact("test", |txn| async move {
                store.remove_in(&txn, ACCOUNT, "gone@example.test");
                Ok::<_, Error>(())
            });
            removed.await.unwrap();
            assert_eq!(w.store.empty_step(at).await.unwrap(), Step::Finished);
            assert_eq!(w.store.emptying(None, 9).await.unwrap(), []);
            while w.store.purge_step(ACCOUNT).await.unwrap() != Step::Finished {}
            assert_eq!(w.keys(schema::keys::mail::account_range(ACCOUNT)).await, [""; 0]);
        } else {
            w.faults.set_plan(Plan::STALLS);
            let node = |store: godwit_mail::Store| async move {
                let mut messages = 0;
                while let Step::Cleared { emails, .. } = store.empty_step(at).await.unwrap() {
                    messages += emails;
                }
                messages
            };
            let (one, two) = (tokio::spawn(node(w.store.clone())), tokio::spawn(node(w.store.clone())));
            assert_eq!(one.await.unwrap() + two.await.unwrap(), left, "each message once");
            w.calm().await;
            w.sound().await;
        }
    }
    assert!(w.store.exists(OTHER).await.unwrap());
}
