//! The verbs together: against a small model, and under a faulty store.

use std::collections::BTreeSet;
use std::sync::Arc;

use changes::LocalFeed;
use content_mail::{Limits, summarize};
use kv::Database;
use runtime::{ManualClock, Rng, SeededRng, Timestamp};
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::{AccountId, Flags, Keyword, ModSeq, SystemFlags};

use crate::{
    Error, FlagChange, Gathering, Incoming, MailboxPath, MailboxRef, SortKey, Store, UidSet, moving, verify,
};

const ACCOUNT: AccountId = AccountId(7);

struct Fixture {
    store: Store,
    _dir: tempfile::TempDir,
}

async fn fixture(db: Database) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
    let rng = Arc::new(SeededRng::new(3));
    let options = blob::Options::default();
    let blobs = blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), options).unwrap();
    let store = Store::new(db.clone(), blobs, Arc::new(LocalFeed::new()), clock, rng);
    let provisioned = &store;
    db.transact("test", |txn| async move { provisioned.provision_in(&txn, ACCOUNT).await }).await.unwrap();
    Fixture { store, _dir: dir }
}

impl Fixture {
    async fn mailbox(&self, name: &str) -> MailboxRef {
        let path = MailboxPath::parse(name).unwrap();
        let found = self.store.resolve(ACCOUNT, &path).await.unwrap().unwrap();
        MailboxRef { account: ACCOUNT, mailbox: found.id }
    }

    async fn incoming(&self, text: &str) -> Incoming {
        let bytes = text.replace('\n', "\r\n").into_bytes();
        let summary = Arc::new(summarize(&bytes, &Limits::default()));
        Incoming { staged: self.store.blobs().stage(bytes.into()).await.unwrap(), summary }
    }

    async fn append(&self, at: MailboxRef, text: &str) -> u32 {
        let incoming = self.incoming(text).await;
        self.store.append(at, &incoming, &Flags::none(), 1_700_000_000).await.unwrap().uid
    }

    /// What is remembered of the mailbox is what its rows say.
    async fn listed(&self, at: MailboxRef) {
        let rows = self.store.messages(at, 1..=u32::MAX, 1000).await.unwrap().rows;
        let expected: Vec<_> = rows.iter().map(|row| (row.uid, row.modseq, &row.flags)).collect();
        let listing = self.store.listing(at).await.unwrap().expect("is remembered");
        assert_eq!(listing.range(1..=u32::MAX).collect::<Vec<_>>(), expected);
        let some = expected.into_iter().filter(|row| (3..=4).contains(&row.0));
        assert_eq!(listing.range(3..=4).collect::<Vec<_>>(), some.collect::<Vec<_>>());
    }

    async fn sound(&self) {
        assert_eq!(verify(&self.store, ACCOUNT).await.unwrap(), Vec::<String>::new());
    }
}

fn message(n: u32) -> String {
    format!("From: s{n}@example.org\nSubject: Message {n}\nMessage-ID: <{n}@example.org>\n\nBody {n}\n")
}

fn set(uids: &[u32]) -> UidSet {
    uids.iter().copied().collect()
}

fn seen() -> Flags {
    SystemFlags::SEEN.into()
}

#[tokio::test]
async fn a_message_comes_changes_and_goes() {
    let f = fixture(kv::memory::database()).await;
    let inbox = f.mailbox("INBOX").await;
    for n in 1..=3 {
        assert_eq!(f.append(inbox, &message(n)).await, n);
    }
    let opened = f.store.open(inbox).await.unwrap();
    assert_eq!((opened.status.exists, opened.status.unseen, opened.status.uid_next), (3, 3, 4));
    assert_eq!(opened.uids.iter().collect::<Vec<_>>(), [1, 2, 3]);

    let work = Keyword::new("$Work").unwrap();
    let mut flags = seen();
    flags.keywords.insert(work.clone());
    let stored = f.store.store_flags(inbox, &set(&[2, 9]), &FlagChange::Add(flags), None).await.unwrap();
    assert_eq!(stored.changed.len(), 1);
    assert!(stored.modseq > opened.as_of);
    assert_eq!(f.store.with_keyword(inbox, &work).await.unwrap(), set(&[2]));
    assert_eq!(f.store.with_flag(inbox, SystemFlags::SEEN).await.unwrap(), set(&[1, 3]), "unseen");
    let delta = f.store.since(inbox, opened.as_of).await.unwrap();
    assert_eq!(delta.changed.iter().map(|r| r.uid).collect::<Vec<_>>(), [2]);
    assert_eq!(delta.changed[0].modseq, stored.modseq);
    f.sound().await;

    let deleted = FlagChange::Add(SystemFlags::DELETED.into());
    f.store.store_flags(inbox, &set(&[1, 3]), &deleted, None).await.unwrap();
    let gone = f.store.expunge(inbox, Some(&set(&[3]))).await.unwrap();
    assert_eq!(gone.uids, set(&[3]));
    let delta = f.store.since(inbox, stored.modseq).await.unwrap();
    assert_eq!((delta.vanished, delta.changed.len()), (set(&[3]), 1));
    assert_eq!(f.store.status(inbox).await.unwrap().deleted, 1);
    assert_eq!(f.append(inbox, &message(4)).await, 4, "UIDs are not used again");
    f.sound().await;
}

#[tokio::test]
async fn unchanged_since_is_obeyed() {
    let f = fixture(kv::memory::database()).await;
    let inbox = f.mailbox("INBOX").await;
    f.append(inbox, &message(1)).await;
    let before = f.store.status(inbox).await.unwrap().highest_modseq;
    let add = FlagChange::Add(seen());
    let first = f.store.store_flags(inbox, &set(&[1]), &add, Some(before)).await.unwrap();
    let remove = FlagChange::Remove(seen());
    let second = f.store.store_flags(inbox, &set(&[1]), &remove, Some(before)).await.unwrap();
    assert_eq!((first.changed.len(), second.modified), (1, vec![1]));
    let idle = f.store.store_flags(inbox, &set(&[1]), &add, None).await.unwrap();
    assert_eq!((idle.changed.len(), idle.unchanged.len(), idle.modseq), (0, 1, ModSeq(0)));
}

#[tokio::test]
async fn a_copy_keeps_its_email_and_bodies_go_with_the_last() {
    let f = fixture(kv::memory::database()).await;
    let (inbox, archive) = (f.mailbox("INBOX").await, f.mailbox("Archive").await);
    f.append(inbox, &message(1)).await;
    let copied = f.store.copy(inbox, &set(&[1]), archive).await.unwrap();
    assert_eq!(copied.pairs, [(1, 1)]);
    let (here, there) =
        (f.store.message(inbox, 1).await.unwrap(), f.store.message(archive, 1).await.unwrap());
    assert_eq!((here.email, here.thread), (there.email, there.thread));
    let moved = f.store.move_(inbox, &set(&[1]), archive).await.unwrap();
    assert_eq!(moved.pairs, [(1, 2)]);
    assert_eq!(f.store.status(inbox).await.unwrap().exists, 0);
    assert_eq!(f.store.body(there.blob, 0..4).await.unwrap(), "From"[..]);
    f.sound().await;
    let deleted = FlagChange::Add(SystemFlags::DELETED.into());
    f.store.store_flags(archive, &set(&[1, 2]), &deleted, None).await.unwrap();
    f.store.expunge(archive, None).await.unwrap();
    f.sound().await;
    assert!(matches!(f.store.summary(ACCOUNT, there.email).await, Err(Error::NotFound)));
    assert_eq!(f.store.usage(ACCOUNT).await.unwrap(), crate::Usage::default());
}

#[tokio::test]
async fn answers_join_their_thread() {
    let f = fixture(kv::memory::database()).await;
    let inbox = f.mailbox("INBOX").await;
    f.append(inbox, &message(1)).await;
    let reply = "Subject: Re: Message 1\nMessage-ID: <r@x>\nIn-Reply-To: <1@example.org>\n\nyes\n";
    f.append(inbox, reply).await;
    f.append(inbox, &reply.replace("Message 1", "Another matter").replace("<r@x>", "<s@x>")).await;
    let rows = f.store.messages(inbox, 1..=9, 10).await.unwrap().rows;
    assert_eq!(rows[0].thread, rows[1].thread);
    assert_ne!(rows[0].thread, rows[2].thread);
    f.sound().await;
}

#[tokio::test]
async fn mailboxes_are_made_renamed_and_deleted() {
    let f = fixture(kv::memory::database()).await;
    let path = |text| MailboxPath::parse(text).unwrap();
    let first = f.store.create(ACCOUNT, &path("a/b/c"), None).await.unwrap();
    assert!(matches!(f.store.create(ACCOUNT, &path("a/b"), None).await, Err(Error::AlreadyExists)));
    assert!(matches!(f.store.delete(ACCOUNT, &path("a/b")).await, Err(Error::HasChildren)));
    f.append(MailboxRef { account: ACCOUNT, mailbox: first.id }, &message(1)).await;
    f.store.rename(ACCOUNT, &path("a"), &path("x/y")).await.unwrap();
    let names: Vec<String> =
        f.store.mailboxes(ACCOUNT).await.unwrap().iter().map(|m| m.path.to_string()).collect();
    assert!(names.contains(&"x/y/b/c".to_owned()) && !names.contains(&"a".to_owned()), "{names:?}");
    assert!(matches!(f.store.rename(ACCOUNT, &path("x"), &path("x/z")).await, Err(Error::Reserved(_))));
    f.store.delete(ACCOUNT, &path("x/y/b/c")).await.unwrap();
    let again = f.store.create(ACCOUNT, &path("x/y/b/c"), None).await.unwrap();
    assert!(again.uid_validity > first.uid_validity && again.id != first.id);
    f.sound().await;
}

/// UIDVALIDITY of every path never goes down, whatever is renamed and deleted, also for mailboxes below.
#[tokio::test]
async fn a_path_never_shows_a_lower_uid_validity() {
    let f = fixture(kv::memory::database()).await;
    let path = |text| MailboxPath::parse(text).unwrap();
    f.store.create(ACCOUNT, &path("old/x"), None).await.unwrap();
    f.store.create(ACCOUNT, &path("new/x"), None).await.unwrap();
    let of = |text: &'static str| {
        let (store, path) = (f.store.clone(), path(text));
        async move { store.resolve(ACCOUNT, &path).await.unwrap().unwrap().uid_validity }
    };
    let before = (of("new").await, of("new/x").await);
    f.store.delete(ACCOUNT, &path("new/x")).await.unwrap();
    f.store.delete(ACCOUNT, &path("new")).await.unwrap();
    f.store.rename(ACCOUNT, &path("old"), &path("new")).await.unwrap();
    assert!(of("new").await > before.0 && of("new/x").await > before.1);
    let kept = of("new/x").await;
    f.store.rename(ACCOUNT, &path("new"), &path("fresh")).await.unwrap();
    assert_eq!(of("fresh/x").await, kept);
    f.sound().await;
}

/// Why all that moves is worked out before anything is written: of a tree that is changed the row cannot be read.
#[tokio::test]
async fn the_tree_is_held_before_it_is_changed() {
    let f = fixture(kv::memory::database()).await;
    let path = MailboxPath::parse("a").unwrap();
    let (store, path) = (&f.store, &path);
    let held = f.store.database().transact("test", |txn| async move {
        moving::hold_tree_in(&txn, ACCOUNT).await?;
        store.create_in(&txn, ACCOUNT, path, None).await?;
        Ok::<_, Error>(moving::hold_tree_in(&txn, ACCOUNT).await.is_err())
    });
    assert!(held.await.unwrap());
}

#[tokio::test]
async fn renaming_the_inbox_moves_its_messages() {
    let f = fixture(kv::memory::database()).await;
    let inbox = f.mailbox("INBOX").await;
    for n in 0..3 {
        f.append(inbox, &message(n)).await;
    }
    let to = MailboxPath::parse("2026/spring").unwrap();
    f.store.rename(ACCOUNT, &MailboxPath::parse("inbox").unwrap(), &to).await.unwrap();
    assert_eq!(f.store.status(inbox).await.unwrap().exists, 0);
    assert_eq!(f.store.status(f.mailbox("2026/spring").await).await.unwrap().exists, 3);
    f.sound().await;
}

#[tokio::test]
async fn quota_is_kept() {
    let f = fixture(kv::memory::database()).await;
    let inbox = f.mailbox("INBOX").await;
    let incoming = f.incoming(&message(1)).await;
    let size = incoming.staged.size();
    f.store.set_quota(ACCOUNT, Some(size * 2 + 1), None).await.unwrap();
    for _ in 0..2 {
        f.store.append(inbox, &incoming, &Flags::none(), 0).await.unwrap();
    }
    let third = f.store.append(inbox, &incoming, &Flags::none(), 0).await;
    assert!(matches!(third, Err(Error::OverQuota)));
    f.sound().await;
}

#[tokio::test]
async fn mailboxes_are_sorted_by_their_indexes() {
    let f = fixture(kv::memory::database()).await;
    let inbox = f.mailbox("INBOX").await;
    for (subject, from) in [("Zebra", "ann"), ("Re: apple", "Zoe"), ("mango", "bob")] {
        f.append(inbox, &format!("From: {from}@x\nSubject: {subject}\n\n{}\n", "x".repeat(subject.len())))
            .await;
    }
    for (by, expected) in [
        (SortKey::Subject, &[&[2][..], &[3], &[1]][..]),
        (SortKey::From, &[&[1], &[3], &[2]]),
        (SortKey::Received, &[&[1, 2, 3]]),
    ] {
        let order = f.store.sorted(inbox, by).await.unwrap();
        assert_eq!(order.runs().map(|run| run.uids).collect::<Vec<_>>(), expected);
        assert!(order.runs().all(|run| !run.cut));
    }
}

#[tokio::test]
async fn structures_read_back_as_they_were() {
    let f = fixture(kv::memory::database()).await;
    let inbox = f.mailbox("INBOX").await;
    let text = "From: A <a@x>\nSender: b@x\nTo: g: c@x, d@x;\nSubject: =?utf-8?q?=C3=BC?=\nMessage-ID: <m@x>\nReferences: <p@x>\n\
        Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\nhi\n--b\n\
        Content-Disposition: attachment; filename=x.pdf\nContent-Transfer-Encoding: x-odd\n\ndata\n--b--\n";
    let incoming = f.incoming(text).await;
    let appended = f.store.append(inbox, &incoming, &Flags::none(), 0).await.unwrap();
    assert_eq!(*f.store.summary(ACCOUNT, appended.email).await.unwrap(), *incoming.summary);
}

#[tokio::test]
async fn an_expunge_of_two_copies_logs_all_it_did() {
    let f = fixture(kv::memory::database()).await;
    let (inbox, archive) = (f.mailbox("INBOX").await, f.mailbox("Archive").await);
    for n in 1..=20 {
        f.append(inbox, &message(n)).await;
    }
    let rows = f.store.messages(inbox, 1..=20, 20).await.unwrap().rows;
    let lowest = set(&[rows.iter().min_by_key(|row| row.email).unwrap().uid]);
    f.store.copy(inbox, &lowest, inbox).await.unwrap();
    f.store.copy(inbox, &(1..=20).collect::<UidSet>().difference(&lowest), archive).await.unwrap();
    let deleted = FlagChange::Add(SystemFlags::DELETED.into());
    f.store.store_flags(inbox, &(1..=21).collect(), &deleted, None).await.unwrap();
    let before = f.store.open(inbox).await.unwrap().as_of;
    f.store.expunge(inbox, None).await.unwrap();
    let log = changes::log::read(f.store.database(), ACCOUNT, before, 100).await.unwrap();
    // The lowest leaves its first copy, with those that stay in the archive, and then its last: two entries that begin with the
    // same email, none lost.
    let mut emails: Vec<usize> = log.entries.iter().map(|(_, record)| record.emails.len()).collect();
    emails.sort_unstable();
    assert_eq!(emails, [1, 20]);
    let first = |(_, record): &(_, ChangeRecord)| record.emails.first().copied();
    assert_eq!(log.entries.iter().filter_map(first).collect::<BTreeSet<_>>().len(), 1);
    f.sound().await;
}

#[tokio::test]
async fn copies_that_go_at_once_let_their_email_go_once() {
    let f = fixture(kv::memory::database()).await;
    let inbox = f.mailbox("INBOX").await;
    // The same body thrice: two copies of one email, and another email.
    let first = f.append(inbox, &message(1)).await;
    f.append(inbox, &message(1)).await;
    f.store.copy(inbox, &set(&[first]), inbox).await.unwrap();
    let deleted = FlagChange::Add(SystemFlags::DELETED.into());
    f.store.store_flags(inbox, &set(&[1, 2, 3]), &deleted, None).await.unwrap();
    let before = f.store.open(inbox).await.unwrap().as_of;
    assert_eq!(f.store.expunge(inbox, None).await.unwrap().uids, set(&[1, 2, 3]));
    let log = changes::log::read(f.store.database(), ACCOUNT, before, 100).await.unwrap();
    let [(_, destroyed)] = &log.entries[..] else { panic!("{:?}", log.entries) };
    assert_eq!((destroyed.kind(), destroyed.emails.len()), (ChangeKind::EmailDestroyed, 2));
    assert_eq!(destroyed.threads_ended_or_begun, destroyed.threads);
    f.sound().await;
}

/// Any verbs in any order over a store that loses answers: what is stored stays sound, and a replica kept up by
/// `since` alone converges.
#[tokio::test(start_paused = true)]
async fn random_histories_stay_sound() {
    for seed in 0..6 {
        let rng = Arc::new(SeededRng::new(seed));
        let memory = Arc::new(kv::memory::Memory::new());
        let faulty = Arc::new(kv::fault::FaultBackend::new(memory, rng.clone(), kv::fault::Plan::HARSH));
        let db = Database::new(faulty, runtime::SystemClock::shared(), runtime::SystemRng::shared());
        let f = fixture(db).await;
        history(&f, &rng).await;
        f.sound().await;
    }
}

async fn history(f: &Fixture, rng: &SeededRng) {
    let at = [f.mailbox("INBOX").await, f.mailbox("Archive").await];
    let mut replica = (UidSet::new(), ModSeq(0));
    for step in 0..60 {
        let from = at[usize::try_from(rng.below(2)).unwrap()];
        let to = at[usize::try_from(rng.below(2)).unwrap()];
        let some: UidSet = (0..3).map(|_| 1 + u32::try_from(rng.below(12)).unwrap()).collect();
        match rng.below(6) {
            0 | 1 => drop(f.append(from, &message(step)).await),
            2 => drop(
                f.store
                    .store_flags(from, &some, &FlagChange::Add(SystemFlags::DELETED.into()), None)
                    .await
                    .unwrap(),
            ),
            3 => drop(f.store.copy(from, &some, to).await.unwrap()),
            4 => drop(f.store.move_(from, &some, to).await.unwrap()),
            _ => drop(f.store.expunge(from, None).await.unwrap()),
        }
        if rng.below(3) == 0 {
            let page = 1 + usize::try_from(rng.below(4)).unwrap();
            let delta = f.store.since_by(at[0], replica.1, page).await.unwrap();
            assert!(delta.changed.is_sorted_by_key(|row| row.uid));
            assert!(delta.changed.iter().all(|row| !delta.vanished.contains(row.uid)));
            assert!(delta.as_of >= replica.1);
            replica.0.extend(delta.changed.iter().map(|r| r.uid));
            for uid in delta.vanished.iter() {
                replica.0.remove(uid);
            }
            replica.1 = delta.as_of;
            assert_eq!(replica.0, f.store.open(at[0]).await.unwrap().uids, "step {step}");
        }
    }
}

/// A listing equals the rows after every change, whoever made it, and also if changes came while it was gathered.
#[tokio::test]
async fn a_listing_is_never_stale() {
    let f = fixture(kv::memory::database()).await;
    let inbox = f.mailbox("INBOX").await;
    assert!(f.store.listing(inbox).await.unwrap().is_none(), "nothing is remembered yet");
    for n in 1..=6 {
        f.append(inbox, &message(n)).await;
    }
    let mut gathering = Gathering::new(inbox, f.store.open(inbox).await.unwrap().as_of);
    gathering.add(&f.store.messages(inbox, 1..=3, 10).await.unwrap().rows);
    let all = UidSet::from_ranges([1..=100]);
    let (add, remove) = (FlagChange::Add(seen()), FlagChange::Remove(seen()));
    let deleted = FlagChange::Add(SystemFlags::DELETED.into());
    f.store.store_flags(inbox, &set(&[2, 4]), &add, None).await.unwrap();
    f.store.store_flags(inbox, &set(&[1, 5]), &deleted, None).await.unwrap();
    f.store.expunge(inbox, None).await.unwrap();
    f.append(inbox, &message(7)).await;
    gathering.add(&f.store.messages(inbox, 4..=6, 10).await.unwrap().rows);
    f.store.remember(gathering);
    f.listed(inbox).await;
    for change in [&add, &remove, &FlagChange::Replace(Flags::none()), &deleted] {
        f.store.store_flags(inbox, &set(&[3, 7]), change, None).await.unwrap();
        f.listed(inbox).await;
    }
    f.store.expunge(inbox, Some(&all)).await.unwrap();
    f.append(inbox, &message(8)).await;
    f.listed(inbox).await;
}
