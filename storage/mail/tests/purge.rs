//! Removed accounts: nothing of them is left, whatever happened meanwhile, and nothing of others is touched.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use content_mail::{Limits, summarize};
use godwit_mail::{Error, FlagChange, Incoming, MailboxPath, MailboxRef, Purge, Step, Store, UidSet};
use kv::fault::Plan;
use runtime::{Rng, SeededRng};
use schema::keys::blob::{BlobOwner, BlobReferenceKey};
use schema::keys::mail::account_range;
use schema::{AccountId, Flags, Key, Keyword, SystemFlags};

mod support;

use support::{ACCOUNT as GONE, OTHER, World, crash_after, world};

async fn mailbox(store: &Store, account: AccountId, name: &str) -> MailboxRef {
    let found = store.resolve(account, &MailboxPath::parse(name).unwrap()).await.unwrap().unwrap();
    MailboxRef { account, mailbox: found.id }
}

async fn incoming(store: &Store, n: u64) -> Incoming {
    let text = format!("Subject: Re: topic {}\r\nMessage-ID: <{n}@x>\r\n\r\nbody {n}\r\n", n % 3);
    let summary = Arc::new(summarize(text.as_bytes(), &Limits::default()));
    Incoming { staged: store.blobs().stage(text.into_bytes().into()).await.unwrap(), summary }
}

fn keyword(n: u64) -> Flags {
    Flags { keywords: [Keyword::new(&format!("$k{n}")).unwrap()].into(), ..Flags::none() }
}

impl World {
    async fn stock(&self, at: MailboxRef, numbers: std::ops::Range<u64>) {
        for n in numbers {
            let message = incoming(&self.store, n).await;
            self.store.append(at, &message, &keyword(n % 3), 1).await.unwrap();
        }
    }

    async fn remove(&self) -> Result<(), Error> {
        let store = &self.store;
        self.db
            .transact("test", |txn| async move {
                store.remove_in(&txn, GONE, "gone@example.test");
                Ok(())
            })
            .await
    }

    /// Purges to the end; returns the steps it took.
    async fn purge(&self) -> usize {
        let mut steps = 1;
        while self.store.purge_step(GONE).await.unwrap() != Step::Finished {
            steps += 1;
        }
        steps
    }

    /// What is left of the account that was removed: its own rows, its job, and its references to bodies.
    async fn left(&self) -> Vec<String> {
        let (begin, end) = account_range(GONE);
        let mut left = self.keys((begin, end)).await;
        left.extend(self.store.purges(None, 10).await.unwrap().into_iter().map(|job| format!("{job:?}")));
        let holds = format!("Email({GONE:?}");
        left.extend(
            self.keys((b"Bh".to_vec(), b"Bi".to_vec())).await.into_iter().filter(|k| k.contains(&holds)),
        );
        left
    }
}

#[tokio::test]
async fn nothing_is_left_and_others_keep_what_is_theirs() {
    let w = world(1).await;
    let (inbox, archive) = (mailbox(&w.store, GONE, "INBOX").await, mailbox(&w.store, GONE, "Archive").await);
    let other = mailbox(&w.store, OTHER, "INBOX").await;
    w.stock(inbox, 0..250).await;
    w.stock(other, 200..260).await;
    let some: UidSet = (1..=40).collect();
    w.store.copy(inbox, &some, archive).await.unwrap();
    w.store.move_(inbox, &some, other).await.unwrap();
    w.store.store_flags(archive, &some, &FlagChange::Add(SystemFlags::DELETED.into()), None).await.unwrap();
    w.store.expunge(archive, None).await.unwrap();
    w.store.create(GONE, &MailboxPath::parse("a/b").unwrap(), None).await.unwrap();
    w.store.subscribe(GONE, "x", true).await.unwrap();
    w.store.set_quota(GONE, Some(1 << 30), None).await.unwrap();
    let before = w.store.usage(OTHER).await.unwrap();

    w.remove().await.unwrap();
    let job = w.store.purges(None, 10).await.unwrap();
    let address = "gone@example.test".to_owned();
    let fresh = Purge { account: GONE, address, removed: 1_800_000_000_000, rows: 0, emails: 0, octets: 0 };
    assert_eq!(job, [fresh]);
    assert!(w.store.purges(Some(GONE), 10).await.unwrap().is_empty());
    let Step::Cleared { rows, mut emails, .. } = w.store.purge_step(GONE).await.unwrap() else {
        panic!("not yet")
    };
    assert_eq!(w.store.purges(None, 10).await.unwrap()[0].rows, rows, "progress is visible");
    loop {
        match w.store.purge_step(GONE).await.unwrap() {
            Step::Cleared { emails: some, .. } => emails += some,
            step => break assert_eq!(step, Step::Finished),
        }
    }
    assert_eq!(emails, 210, "those that were moved away or expunged are not counted");
    assert_eq!(w.left().await, [""; 0]);
    assert_eq!(w.store.purge_step(GONE).await.unwrap(), Step::Absent);

    w.sound().await;
    assert_eq!(w.store.usage(OTHER).await.unwrap(), before);
    w.clock.advance(Duration::from_secs(30 * 86_400));
    while w.store.blobs().collect(1000).await.unwrap().deleted > 0 {}
    let held: BTreeSet<_> =
        w.store.messages(other, 1..=u32::MAX, 1000).await.unwrap().rows.into_iter().map(|r| r.blob).collect();
    for hash in &held {
        assert!(w.store.body(*hash, 0..u64::MAX).await.unwrap().starts_with(b"Subject"));
    }
    let metas = w.keys((b"Bh".to_vec(), b"Bi".to_vec())).await;
    assert_eq!(metas.iter().filter(|k| k.starts_with("BlobMeta")).count(), held.len(), "no other body stays");
}

#[tokio::test]
async fn a_removed_account_takes_nothing() {
    let w = world(2).await;
    let (inbox, other) = (mailbox(&w.store, GONE, "INBOX").await, mailbox(&w.store, OTHER, "INBOX").await);
    w.stock(inbox, 0..3).await;
    w.stock(other, 0..1).await;
    w.remove().await.unwrap();
    // The same before the purge, during it and after it.
    for _ in 0..3 {
        let (store, path) = (&w.store, MailboxPath::parse("new").unwrap());
        let (all, add) = ((1..=9).collect::<UidSet>(), FlagChange::Add(keyword(9)));
        let message = incoming(store, 9).await;
        let refused = [
            store.append(inbox, &message, &Flags::none(), 1).await.err(),
            store.copy(other, &all, inbox).await.err(),
            store.copy(inbox, &all, other).await.err(),
            store.store_flags(inbox, &all, &add, None).await.err(),
            store.expunge(inbox, None).await.err(),
            store.create(GONE, &path, None).await.err(),
            store.rename(GONE, &MailboxPath::parse("Archive").unwrap(), &path).await.err(),
            store.delete(GONE, &MailboxPath::parse("Archive").unwrap()).await.err(),
            store.subscribe(GONE, "x", true).await.err(),
            store.set_quota(GONE, Some(1), None).await.err(),
            store.trim(GONE, i64::MAX).await.err(),
            store.open(inbox).await.err(),
            store.status(inbox).await.err(),
            store.since(inbox, schema::ModSeq(1)).await.err(),
        ];
        for (verb, error) in refused.into_iter().enumerate() {
            assert!(matches!(error, Some(Error::NotFound)), "verb {verb}: {error:?}");
        }
        assert!(!store.exists(GONE).await.unwrap() && store.exists(OTHER).await.unwrap());
        assert_eq!(store.mailboxes(GONE).await.unwrap(), []);
        assert_eq!(store.resolve(GONE, &MailboxPath::inbox()).await.unwrap(), None);
        w.purge_or_find_none().await;
    }
    assert_eq!(w.left().await, [""; 0]);
    w.sound().await;
}

impl World {
    async fn purge_or_find_none(&self) {
        if !self.store.purges(None, 1).await.unwrap().is_empty() {
            self.purge().await;
        }
    }
}

/// Whatever a session, or several, may do to an account.
async fn write(store: Store, at: MailboxRef, to: MailboxRef, seed: u64) {
    let rng = SeededRng::new(seed);
    for step in 0..40 {
        let some: UidSet = (0..4).map(|_| 1 + u32::try_from(rng.below(15)).unwrap()).collect();
        let outcome = match rng.below(8) {
            0..=2 => {
                let message = incoming(&store, rng.below(20)).await;
                store.append(at, &message, &keyword(step % 5), 1).await.map(drop)
            }
            3 => store.store_flags(at, &some, &FlagChange::Add(keyword(step % 7)), None).await.map(drop),
            4 => store.copy(at, &some, to).await.map(drop),
            5 => store.copy(to, &some, at).await.map(drop),
            6 => {
                let path = MailboxPath::parse(&format!("m{seed}-{step}")).unwrap();
                store.create(at.account, &path, None).await.map(drop)
            }
            _ => store.subscribe(at.account, &format!("s{step}"), true).await,
        };
        match outcome {
            Ok(()) | Err(Error::NotFound | Error::Kv(_) | Error::Blob(blob::Error::Kv(_))) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_survives_its_crashes_and_those_who_write_meanwhile() {
    let (mut crashes, mut unknown) = (0, 0);
    for seed in 1..=12 {
        let w = world(seed).await;
        let (inbox, other) =
            (mailbox(&w.store, GONE, "INBOX").await, mailbox(&w.store, OTHER, "INBOX").await);
        w.stock(inbox, 0..10).await;
        w.stock(other, 5..15).await;
        w.faults.set_plan(Plan::HARSH);
        let writers: Vec<_> =
            (0..4).map(|n| tokio::spawn(write(w.store.clone(), inbox, other, seed * 10 + n))).collect();
        let rng = SeededRng::new(seed);
        tokio::time::sleep(Duration::from_millis(rng.below(300))).await;
        while w.remove().await.is_err() {}
        loop {
            match crash_after(rng.below(60), w.store.purge_step(GONE)).await {
                Some(Ok(Step::Finished | Step::Absent)) => break,
                Some(Ok(Step::Cleared { .. }) | Err(Error::Kv(_) | Error::Blob(_))) => {}
                Some(Err(error)) => panic!("{error}"),
                None => crashes += 1,
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
        w.calm().await;
        assert_eq!(w.left().await, [""; 0], "seed {seed}");
        w.sound().await;
        unknown +=
            w.faults.injected().iter().filter(|(k, _)| k.starts_with("unknown")).map(|(_, n)| n).sum::<u64>();
    }
    assert!(crashes > 20 && unknown > 20, "{crashes} crashes, {unknown} unknown outcomes");
}

/// An account can only be purged once, but two nodes may be at it.
#[tokio::test(start_paused = true)]
async fn two_nodes_purge_together() {
    let w = world(5).await;
    w.stock(mailbox(&w.store, GONE, "INBOX").await, 0..150).await;
    w.remove().await.unwrap();
    w.faults.set_plan(Plan::STALLS);
    let node = |store: Store| async move {
        let mut emails = 0;
        loop {
            match store.purge_step(GONE).await.unwrap() {
                Step::Cleared { emails: some, .. } => emails += some,
                Step::Finished => return (emails, true),
                Step::Absent => return (emails, false),
            }
        }
    };
    let (one, two) = (tokio::spawn(node(w.store.clone())), tokio::spawn(node(w.store.clone())));
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_eq!((one.0 + two.0, one.1 ^ two.1), (150, true), "each email once, one end");
    w.calm().await;
    assert_eq!(w.left().await, [""; 0]);
}

#[test]
fn owners_are_shown_as_they_are_looked_for() {
    let owner = BlobOwner::Email(GONE, schema::EmailId(1));
    let key = BlobReferenceKey { hash: schema::BlobHash([0; 32]), owner };
    assert!(schema::explain(&key.encode()).contains(&format!("Email({GONE:?}")));
}
