//! Many writers at once, over a store that loses answers: what each was told is true, and everything fits together.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use changes::LocalFeed;
use content_mail::{Limits, summarize};
use godwit_mail::{Error, FlagChange, Incoming, MailboxPath, MailboxRef, Store, UidSet, verify};
use kv::Database;
use kv::fault::{FaultBackend, Plan};
use runtime::{ManualClock, Rng, SeededRng, SystemClock, SystemRng, Timestamp};
use schema::{AccountId, Flags, Keyword, ModSeq, SystemFlags};

const ACCOUNT: AccountId = AccountId(7);
const OTHER: AccountId = AccountId(8);

struct World {
    store: Store,
    clock: Arc<ManualClock>,
    faults: Option<Arc<FaultBackend>>,
    _dir: tempfile::TempDir,
}

async fn world(seed: u64, faulty: bool) -> World {
    let rng = Arc::new(SeededRng::new(seed));
    let faults = faulty.then(|| {
        let memory = Arc::new(kv::memory::Memory::new());
        Arc::new(FaultBackend::new(memory, rng.clone(), Plan::NONE))
    });
    let db = match &faults {
        Some(faults) => Database::new(faults.clone(), SystemClock::shared(), SystemRng::shared()),
        None => kv::memory::database(),
    };
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
    let blobs =
        blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), blob::Options::default())
            .unwrap();
    let store = Store::new(db.clone(), blobs, Arc::new(LocalFeed::new()), clock.clone(), rng);
    for account in [ACCOUNT, OTHER] {
        let store = &store;
        db.transact("test", |txn| async move { store.provision_in(&txn, account).await }).await.unwrap();
    }
    World { store, clock, faults, _dir: dir }
}

async fn mailbox(store: &Store, account: AccountId, name: &str) -> MailboxRef {
    let found = store.resolve(account, &MailboxPath::parse(name).unwrap()).await.unwrap().unwrap();
    MailboxRef { account, mailbox: found.id }
}

async fn incoming(store: &Store, n: u64) -> Incoming {
    let text = format!(
        "From: s{}@example.org\r\nSubject: Re: topic {}\r\nMessage-ID: <{n}@x>\r\nReferences: <{}@x>\r\n\r\nbody {n}\r\n",
        n % 5,
        n % 3,
        n / 2
    );
    let summary = Arc::new(summarize(text.as_bytes(), &Limits::default()));
    Incoming { staged: store.blobs().stage(text.into_bytes().into()).await.unwrap(), summary }
}

fn keyword(n: u64) -> Flags {
    Flags { keywords: [Keyword::new(&format!("$k{n}")).unwrap()].into(), ..Flags::none() }
}

/// What a verb answered; a store that could not be reached in time is no answer, and anything else is a fault.
fn told<T>(answer: Result<T, Error>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(Error::Kv(_) | Error::Blob(blob::Error::Kv(_))) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Random verbs. Returns the UIDs that this writer was given, in order.
async fn write(store: Store, at: Vec<MailboxRef>, seed: u64, steps: u64) -> Vec<(MailboxRef, u32)> {
    let rng = SeededRng::new(seed);
    let mut given = Vec::new();
    for step in 0..steps {
        let pick = |rng: &SeededRng| at[usize::try_from(rng.u64() % at.len() as u64).unwrap()];
        let (from, to) = (pick(&rng), pick(&rng));
        let some: UidSet = (0..4).map(|_| 1 + u32::try_from(rng.u64() % 15).unwrap()).collect();
        let change = match rng.u64() % 2 {
            0 => FlagChange::Add(keyword(step % 4)),
            _ => FlagChange::Replace((SystemFlags::DELETED | SystemFlags::SEEN).into()),
        };
        match rng.u64() % 9 {
            0..=2 => {
                let message = incoming(&store, seed * 1000 + step).await;
                let appended = told(store.append(from, &message, &keyword(step % 3), 1).await);
                given.extend(appended.map(|appended| (from, appended.uid)));
            }
            3..=5 => drop(told(store.store_flags(from, &some, &change, None).await)),
            6 => drop(told(store.copy(from, &some, to).await)),
            7 => drop(told(store.move_(from, &some, to).await)),
            _ => drop(told(store.expunge(from, None).await)),
        }
    }
    given
}

/// Follows a mailbox by `since` alone, as a session does.
struct Replica {
    uids: UidSet,
    as_of: ModSeq,
}

impl Replica {
    async fn follow(&mut self, store: &Store, at: MailboxRef) {
        let Some(delta) = told(store.since(at, self.as_of).await) else { return };
        assert!(delta.as_of >= self.as_of, "the moment never goes back");
        if delta.resync {
            let Some(opened) = told(store.open(at).await) else { return };
            (self.uids, self.as_of) = (opened.uids, opened.as_of);
            return;
        }
        assert!(delta.changed.iter().all(|row| row.modseq > self.as_of && row.modseq <= delta.as_of));
        assert!(delta.changed.is_sorted_by_key(|row| row.uid));
        let came: UidSet = delta.changed.iter().map(|row| row.uid).collect();
        assert!(came.intersection(&delta.vanished).is_empty(), "what went does not come");
        self.uids = self.uids.union(&came).difference(&delta.vanished);
        self.as_of = delta.as_of;
    }
}

async fn sound(w: &World) {
    if let Some(faults) = &w.faults {
        // Commits that are still under way arrive; what is checked then is read without faults.
        faults.deliver().await;
        faults.set_plan(Plan::NONE);
    }
    for account in [ACCOUNT, OTHER] {
        assert_eq!(verify(&w.store, account).await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_histories_fit_together() {
    for seed in 1..=6 {
        let w = world(seed, seed % 2 == 0).await;
        let inbox = mailbox(&w.store, ACCOUNT, "INBOX").await;
        let at =
            vec![inbox, mailbox(&w.store, ACCOUNT, "Archive").await, mailbox(&w.store, OTHER, "INBOX").await];
        let writers: Vec<_> =
            (0..4u64).map(|n| tokio::spawn(write(w.store.clone(), at.clone(), seed * 10 + n, 25))).collect();
        let mut replica = Replica { uids: UidSet::new(), as_of: ModSeq(0) };
        while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
            replica.follow(&w.store, inbox).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut given = BTreeSet::new();
        for writer in writers {
            for uid in writer.await.unwrap() {
                assert!(given.insert(uid), "no UID is given out twice");
            }
        }
        sound(&w).await;
        replica.follow(&w.store, inbox).await;
        assert_eq!(replica.uids, w.store.open(inbox).await.unwrap().uids, "seed {seed}");
    }
}

#[tokio::test]
async fn deleting_everything_leaves_nothing_behind() {
    let w = world(3, false).await;
    let path = MailboxPath::parse("box").unwrap();
    let made = w.store.create(ACCOUNT, &path, None).await.unwrap();
    let at = MailboxRef { account: ACCOUNT, mailbox: made.id };
    write(w.store.clone(), vec![at], 5, 40).await;
    w.store.delete(ACCOUNT, &path).await.unwrap();
    assert!(matches!(w.store.open(at).await, Err(Error::NotFound)));
    sound(&w).await;
    assert_eq!(w.store.usage(ACCOUNT).await.unwrap().messages, 0);
}

/// Who asks from before the log's floor must start anew; who asks from after it need not.
#[tokio::test]
async fn trimmed_logs_ask_for_a_resync() {
    let w = world(4, false).await;
    let inbox = mailbox(&w.store, ACCOUNT, "INBOX").await;
    for n in 0..3 {
        w.store.append(inbox, &incoming(&w.store, n).await, &Flags::none(), 0).await.unwrap();
    }
    let before = w.store.open(inbox).await.unwrap().as_of;
    let deleted = FlagChange::Add(SystemFlags::DELETED.into());
    w.store.store_flags(inbox, &[2].into_iter().collect(), &deleted, None).await.unwrap();
    let gone = w.store.expunge(inbox, None).await.unwrap();
    assert!(!w.store.trim(ACCOUNT, 1_800_000_000).await.unwrap());
    let delta = w.store.since(inbox, before).await.unwrap();
    assert!(!delta.resync && delta.vanished.contains(2));
    w.clock.advance(Duration::from_secs(60));
    assert!(w.store.trim(ACCOUNT, 1_800_000_030).await.unwrap());
    assert!(w.store.since(inbox, before).await.unwrap().resync);
    assert!(!w.store.since(inbox, gone.modseq).await.unwrap().resync);
    sound(&w).await;
}

/// 16 at once against a quota with room for some: never more than fit.
#[tokio::test]
async fn a_quota_holds_against_many_at_once() {
    let w = world(6, false).await;
    let inbox = mailbox(&w.store, ACCOUNT, "INBOX").await;
    let size = incoming(&w.store, 1).await.staged.size();
    w.store.set_quota(ACCOUNT, Some(size * 5 + size / 2), None).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = w.store.clone();
            tokio::spawn(async move {
                let message = incoming(&store, 1).await;
                store.append(inbox, &message, &Flags::none(), 0).await.is_ok()
            })
        })
        .collect();
    let mut kept = 0;
    for task in tasks {
        kept += u32::from(task.await.unwrap());
    }
    assert_eq!(kept, 5);
    sound(&w).await;
}
