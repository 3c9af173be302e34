//! A store with a bit of everything in it, and clients that follow it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use accounts::{Accounts, DomainSettings, HashCost, NewAccount, Options, Quota, Rights, Secret};
use bytes::Bytes;
use changes::LocalFeed;
use content_mail::{Limits, summarize};
use godwit_verify::{Cursor, Finding, Kind, Mended, Scope, Verifier};
use kv::Database;
use kv::fault::{FaultBackend, Plan};
use leases::{Fence, Leases, Node};
use mail::{FlagChange, Incoming, MailboxPath, MailboxRef, Store, UidSet};
use runtime::{ManualClock, SeededRng, SystemClock, SystemRng, Timestamp};
use schema::keys::blob::BlobOwner;
use schema::keys::queue::slot_of;
use schema::{AccountId, BlobHash, Duty, Flags, Key, Keyword, ModSeq, QueueId, SystemFlags};
use spool::{BodyType, NewEntry, NewRecipient, Notify, Ret, Spool};

pub(crate) const REMOTE: &str = "example.org";

pub(crate) struct World {
    pub(crate) verifier: Verifier,
    pub(crate) accounts: Accounts,
    pub(crate) mail: Store,
    pub(crate) spool: Spool,
    pub(crate) db: Database,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) faults: Arc<FaultBackend>,
    pub(crate) ann: AccountId,
    pub(crate) team: AccountId,
    pub(crate) waiting: QueueId,
    pub(crate) claimed: QueueId,
    /// A body that an upload holds.
    pub(crate) upload: BlobHash,
    /// A body that nobody holds.
    pub(crate) unheld: BlobHash,
    clients: BTreeMap<MailboxRef, (UidSet, ModSeq)>,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn text(n: u32, more: usize) -> Vec<u8> {
    let to = if n == 2 { "References: <1@x>\r\n" } else { "" };
    let subject = if n < 3 { "lunch".to_owned() } else { format!("topic {n}") };
    let head = format!("From: s{n}@example.org\r\nSubject: {subject}\r\nMessage-ID: <{n}@x>\r\n{to}\r\n");
    let mut text = head.into_bytes();
    text.extend((0..more).map(|i| b'a' + ((i * 7 + i / 97) % 23) as u8));
    text.extend(b"\r\n");
    text
}

/// A store without anything in it.
pub(crate) async fn bare(seed: u64) -> World {
    let rng = Arc::new(SeededRng::new(seed));
    let memory = Arc::new(kv::memory::Memory::new());
    let faults = Arc::new(FaultBackend::new(memory, rng.clone(), Plan::NONE));
    let db = Database::new(faults.clone(), SystemClock::shared(), SystemRng::shared());
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
    let options = blob::Options { inline_max: 200_000, compress_inline: false, ..blob::Options::default() };
    let blobs = blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), options).unwrap();
    let feed = Arc::new(LocalFeed::new());
    let mail = Store::new(db.clone(), blobs.clone(), feed, clock.clone(), rng.clone());
    let options = Options { cost: HashCost::CHEAP, ..Options::default() };
    let accounts = Accounts::new(db.clone(), clock.clone(), rng.clone(), options);
    let spool = Spool::new(db.clone(), blobs, clock.clone(), rng);
    let verifier = Verifier::new(accounts.clone(), mail.clone(), spool.clone());
    accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
    World {
        verifier,
        accounts,
        mail,
        spool,
        db,
        clock,
        faults,
        ann: AccountId(0),
        team: AccountId(0),
        waiting: QueueId(0),
        claimed: QueueId(0),
        upload: BlobHash([0; 32]),
        unheld: BlobHash([0; 32]),
        clients: BTreeMap::new(),
        dir,
    }
}

/// A store with a bit of everything.
pub(crate) async fn world() -> World {
    let mut w = bare(1).await;
    w.ann = w.account("ann", accounts::Kind::Person).await;
    w.team = w.account("team", accounts::Kind::Group).await;
    let list = w.account("all", accounts::Kind::List).await;
    w.accounts.add_alias(w.ann, "a@example.test").await.unwrap();
    w.accounts.add_member(w.team, w.ann, Rights::ALL).await.unwrap();
    w.accounts.add_list_member(list, "x@example.org").await.unwrap();
    w.accounts.set_password(w.ann, &Secret::new("secret")).await.unwrap();
    w.allow().await;
    w.fill().await;
    w.waiting = w.enqueue("q.example", 2).await;
    w.claimed = w.enqueue(REMOTE, 1).await;
    let fence = w.own(REMOTE).await.unwrap();
    w.spool.claim(w.claimed, &fence).await.unwrap().unwrap();
    let expires = 1_800_000_000_000 + 3_600_000;
    w.upload = w.hold(b"upload", BlobOwner::Upload { account: w.ann, expires }).await;
    w.unheld = w.hold(b"unheld", BlobOwner::Queue(QueueId(5))).await;
    let (blobs, hash) = (w.mail.blobs(), w.unheld);
    let let_go = w.db.transact("test", |txn| async move {
        blobs.dereference_in(&txn, hash, BlobOwner::Queue(QueueId(5))).await
    });
    let_go.await.unwrap();
    w.watch().await;
    w
}

impl World {
    /// Ann allows something to a client; another one waits.
    async fn allow(&self) {
        let says = accounts::oauth::NewClient { method: "none".into(), ..Default::default() };
        self.accounts.register_client(&says).await.unwrap();
        let new = accounts::oauth::NewGrant {
            account: self.ann,
            credential: self.accounts.login("ann@example.test").await.unwrap().unwrap().credentials[0]
                .version,
            client: self.accounts.register_client(&says).await.unwrap().client.id,
            scope: accounts::oauth::Scope::default(),
            redirect_uri: String::new(),
            challenge: [0; 32],
            nonce: String::new(),
            second: false,
        };
        assert!(self.accounts.allow(&new).await.unwrap().is_some());
    }

    pub(crate) async fn account(&self, name: &str, kind: accounts::Kind) -> AccountId {
        let quota = Quota { bytes: Some(1 << 30), messages: None };
        let new = &NewAccount { quota, ..NewAccount::new(kind, &format!("{name}@example.test")) };
        let made = self.db.transact("test", |txn| async move {
            let id = self.accounts.create_account_in(&txn, new).await.unwrap();
            if kind != accounts::Kind::List {
                self.mail.provision_in(&txn, id).await?;
                self.mail.set_quota_in(&txn, id, Some(1 << 30), None).await?;
            }
            Ok::<_, mail::Error>(id)
        });
        made.await.unwrap()
    }

    /// A node takes the slot of a domain, whoever had it.
    pub(crate) async fn own(&self, domain: &str) -> Result<Fence, leases::Error> {
        let leases = Leases::new(self.db.clone(), self.clock.clone());
        let node = Node { name: "n".into(), level_min: 1, level_max: 1, ..Node::default() };
        let standing = leases.join(&node).await?;
        let taken = leases.take(standing, &[Duty::queue(slot_of(domain).into())]).await?;
        taken.first().copied().ok_or(leases::Error::NotLive(standing.node))
    }

    async fn fill(&self) {
        let inbox = self.at("INBOX").await;
        for n in 1..=4 {
            self.append(inbox, text(n, 100 * n as usize)).await;
        }
        self.append(inbox, text(5, 100_000)).await;
        self.append(inbox, text(6, 300_000)).await;
        self.append(inbox, text(7, 10)).await;
        let mut flags: Flags = SystemFlags::SEEN.into();
        flags.keywords.insert(Keyword::new("$Work").unwrap());
        self.flag(inbox, 2, flags).await;
        self.flag(inbox, 7, SystemFlags::DELETED.into()).await;
        self.mail.expunge(inbox, None).await.unwrap();
        self.mail.create(self.ann, &path("Work"), None).await.unwrap();
        self.mail.create(self.ann, &path("Work/Sub"), None).await.unwrap();
        let work = self.at("Work").await;
        self.mail.copy(inbox, &[1, 2].into_iter().collect(), work).await.unwrap();
    }

    async fn flag(&self, at: MailboxRef, uid: u32, flags: Flags) {
        let uids = [uid].into_iter().collect();
        self.mail.store_flags(at, &uids, &FlagChange::Add(flags), None).await.unwrap();
    }

    pub(crate) async fn append(&self, at: MailboxRef, text: Vec<u8>) -> u32 {
        let summary = Arc::new(summarize(&text, &Limits::default()));
        let incoming = Incoming { staged: self.mail.blobs().stage(text.into()).await.unwrap(), summary };
        self.mail.append(at, &incoming, &Flags::none(), 1_700_000_000).await.unwrap().uid
    }

    pub(crate) async fn at(&self, name: &str) -> MailboxRef {
        let found = self.mail.resolve(self.ann, &path(name)).await.unwrap().unwrap();
        MailboxRef { account: self.ann, mailbox: found.id }
    }

    pub(crate) async fn enqueue(&self, domain: &str, recipients: usize) -> QueueId {
        let staged = self.mail.blobs().stage(b"Subject: x\r\n\r\nsent\r\n"[..].into()).await.unwrap();
        let new = &entry(domain, recipients, staged);
        let queued = self.db.transact("test", |txn| async move { self.spool.enqueue_in(&txn, new).await });
        queued.await.unwrap()
    }

    pub(crate) async fn hold(&self, text: &'static [u8], owner: BlobOwner) -> BlobHash {
        let staged = &self.mail.blobs().stage(text.into()).await.unwrap();
        let blobs = self.mail.blobs();
        let held =
            self.db.transact("test", |txn| async move { blobs.reference_in(&txn, staged, owner).await });
        held.await.unwrap();
        staged.hash()
    }

    /// Rows as nobody but a broken disk writes them.
    pub(crate) async fn write(&self, rows: &[(Vec<u8>, Option<Vec<u8>>)]) {
        let written = self.db.transact("test", |txn| async move {
            for (key, value) in rows {
                match value {
                    Some(value) => txn.set(key, value),
                    None => txn.clear(key),
                }
            }
            Ok::<_, kv::Error>(())
        });
        written.await.unwrap();
    }

    pub(crate) async fn set(&self, key: &impl Key, value: &[u8]) {
        self.write(&[(key.encode(), Some(value.to_vec()))]).await;
    }

    pub(crate) async fn clear(&self, key: &impl Key) {
        assert!(self.get(&key.encode()).await.is_some(), "there is nothing to damage");
        self.write(&[(key.encode(), None)]).await;
    }

    pub(crate) async fn clear_range(&self, (begin, end): (Vec<u8>, Vec<u8>)) {
        let rows: Vec<_> =
            self.range((begin, end)).await.into_iter().map(|(k, _)| (k.to_vec(), None)).collect();
        assert!(!rows.is_empty(), "there is nothing to damage");
        self.write(&rows).await;
    }

    pub(crate) async fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.db.read("test", |txn| async move { txn.get(key).await }).await.unwrap()
    }

    pub(crate) async fn range(&self, (begin, end): (Vec<u8>, Vec<u8>)) -> Vec<(Bytes, Bytes)> {
        let (begin, end) = (&begin, &end);
        self.db.read("test", |txn| async move { txn.range(begin, end).collect().await }).await.unwrap()
    }

    pub(crate) async fn found(&self, scope: &Scope) -> Vec<Finding> {
        self.verifier.all(scope).await.unwrap()
    }

    pub(crate) async fn kinds(&self) -> BTreeSet<Kind> {
        self.found(&Scope::default()).await.into_iter().map(|finding| finding.kind).collect()
    }

    /// Mends what is found until nothing more can be; what was done, and what is left.
    pub(crate) async fn repair(&self, drop_lost: bool) -> (Vec<String>, Vec<Finding>) {
        let mut done = Vec::new();
        for _ in 0..6 {
            let mut found = self.found(&Scope::default()).await;
            found.sort_by_key(|finding| finding.kind.turn());
            let before = done.len();
            for finding in &found {
                if let Mended::Done(what) = self.verifier.mend(finding, drop_lost).await.unwrap() {
                    done.push(format!("{}: {what}", finding.kind.code()));
                }
            }
            if done.len() == before {
                return (done, found);
            }
        }
        panic!("it never ends: {done:#?}");
    }

    /// Clients open every mailbox.
    pub(crate) async fn watch(&mut self) {
        for mailbox in self.mail.mailboxes(self.ann).await.unwrap() {
            let at = MailboxRef { account: self.ann, mailbox: mailbox.id };
            let opened = self.mail.open(at).await.unwrap();
            self.clients.insert(at, (opened.uids, opened.as_of));
        }
    }

    /// Clients that ask for what changed see what is there.
    pub(crate) async fn clients_are_right(&mut self) {
        let there = self.mail.mailboxes(self.ann).await.unwrap();
        for (at, (uids, as_of)) in &mut self.clients {
            if !there.iter().any(|mailbox| mailbox.id == at.mailbox) {
                continue;
            }
            let delta = self.mail.since(*at, *as_of).await.unwrap();
            assert!(!delta.resync);
            let came: UidSet = delta.changed.iter().map(|row| row.uid).collect();
            *uids = uids.union(&came).difference(&delta.vanished);
            *as_of = delta.as_of;
            let rows = self.mail.messages(*at, 1..=u32::MAX, 10_000).await.unwrap().rows;
            let stored: UidSet = rows.iter().map(|row| row.uid).collect();
            assert_eq!(*uids, stored, "{at:?}");
            let opened = self.mail.open(*at).await.unwrap();
            assert_eq!((opened.uids, opened.status.exists as usize), (stored, rows.len()));
        }
    }

    /// A cursor leads through all of it, and one may stop anywhere.
    pub(crate) async fn pages(&self, scope: &Scope) -> Vec<Cursor> {
        let (mut cursors, mut next) = (Vec::new(), Some(Cursor::START));
        while let Some(from) = next {
            next = self.verifier.page(scope, &from).await.unwrap().next;
            cursors.push(from);
        }
        cursors
    }
}

pub(crate) fn path(text: &str) -> MailboxPath {
    MailboxPath::parse(text).unwrap()
}

pub(crate) fn entry(domain: &str, recipients: usize, staged: blob::Staged) -> NewEntry {
    let recipient =
        |n| NewRecipient { address: format!("r{n}@{domain}"), notify: Notify::default(), orcpt: None };
    NewEntry {
        return_path: "ann@example.test".into(),
        domain: domain.into(),
        staged,
        recipients: (0..recipients).map(recipient).collect(),
        envid: None,
        ret: Ret::Headers,
        smtputf8: false,
        body: BodyType::EightBitMime,
        header_8bit: false,
        body_8bit: false,
        submitter: None,
        lifetime: Duration::from_secs(432_000),
        not_before: None,
    }
}
