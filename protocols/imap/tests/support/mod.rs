//! A server in this process over the reference store, and a client that only sends and looks.

#![allow(unreachable_pub, missing_docs)] // a module of one test binary

use std::sync::Arc;
use std::time::Duration;

use accounts::oauth::Bearer;
use accounts::{
    Accounts, Admitted, AuthFailure, AuthRequest, Authenticator, DomainSettings, HashCost, Kind, NewAccount,
    Proof, Rights, Secret, TokenShown,
};
use futures::future::BoxFuture;
use godwit_imap::{Imap, Options, Services};
use net::{Protocol, SessionContext};
use runtime::{ManualClock, SeededRng, SharedClock, SharedRng, Shutdown, Timestamp};
use schema::AccountId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A multipart message with something binary in it.
pub const MESSAGE: &str = "From: Bob <bob@example.org>\r\nSubject: Gr=?x?=ne Dinge\r\n\
    Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\nHello\r\n--q\r\n\
    Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBiDQo=\r\n--q--\r\n";

pub const ALICE: AccountId = AccountId(7);
pub const SALES: AccountId = AccountId(9);
pub const BOARD: AccountId = AccountId(11);
const ARCHIVE: AccountId = AccountId(13);
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets alice in.
struct Door(Accounts);

impl Authenticator for Door {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Admitted, AuthFailure>> {
        let right = request.login == "alice" && request.password.expose() == "secret";
        Box::pin(async move {
            let identity = self.0.identity(ALICE).await.unwrap().filter(|_| right);
            let record = self.0.login("alice@example.test").await.unwrap();
            let version = record.map_or(0, |record| record.credentials[0].version);
            let proof = Proof::Password(version);
            identity.map(|identity| Admitted { identity, proof, until: None }).ok_or(AuthFailure::Invalid)
        })
    }

    fn bearer<'a>(&'a self, shown: TokenShown<'a>) -> BoxFuture<'a, Result<Bearer, AuthFailure>> {
        Box::pin(async move {
            let looked = self.0.bearer(shown.token, shown.login).await.unwrap();
            looked.good().ok_or(AuthFailure::Invalid)
        })
    }

    /// Sessions of this protocol look for themselves.
    fn revoked(&self, _: AccountId, _: Proof) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Alice, and the groups she sees.
async fn directory(accounts: &Accounts) {
    accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
    let groups = [
        (SALES, "Sales", Rights::ALL),
        (BOARD, "Board", Rights::LOOKUP | Rights::READ),
        (ARCHIVE, "Archive", Rights::LOOKUP),
    ];
    // Ids are given out one after the other.
    for id in 1..=ARCHIVE.0 {
        let group = groups.iter().find(|(group, ..)| group.0 == id);
        let kind = if group.is_some() { Kind::Group } else { Kind::Person };
        let name = if id == ALICE.0 { "alice".to_owned() } else { format!("n{id}") };
        let mut new = NewAccount::new(kind, &format!("{name}@example.test"));
        new.display_name = group.map(|(_, name, _)| (*name).to_owned()).unwrap_or_default();
        assert_eq!(accounts.create_account(&new).await.unwrap().0, id);
    }
    for (group, _, rights) in groups {
        accounts.add_member(group, ALICE, rights).await.unwrap();
    }
    accounts.set_password(ALICE, &Secret::new("secret")).await.unwrap();
}

/// The server.
pub struct World {
    imap: Imap,
    pub mail: mail::Store,
    pub accounts: Accounts,
    /// The directory as another node has it.
    pub directory_elsewhere: Accounts,
    /// The mail as another node on the same store has it: sessions here get no hints of what it does.
    pub elsewhere: mail::Store,
    pub poll: changes::Poll,
    clock: SharedClock,
    pub shutdown: Shutdown,
    dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let rng: SharedRng = Arc::new(SeededRng::new(3));
        let db = kv::memory::database();
        let blobs =
            blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), blob::Options::default())
                .unwrap();
        let feed = changes::LocalFeed::new();
        let mail =
            mail::Store::new(db.clone(), blobs.clone(), Arc::new(feed.clone()), clock.clone(), rng.clone());
        for account in [ALICE, SALES, BOARD, ARCHIVE] {
            let mail = &mail;
            db.transact("test", |txn| async move { mail.provision_in(&txn, account).await }).await.unwrap();
        }
        let sink = Arc::new(changes::LocalFeed::new());
        let elsewhere =
            mail::Store::new(db.clone(), blobs.clone(), sink, clock.clone(), Arc::new(SeededRng::new(4)));
        let poll = changes::Poll::new(db.clone(), feed.clone());
        let directory_elsewhere = Accounts::new(
            db,
            clock.clone(),
            rng,
            accounts::Options { cost: HashCost::CHEAP, ..accounts::Options::default() },
        );
        let accounts = directory_elsewhere.telling(Arc::new(feed.clone()));
        directory(&accounts).await;
        let services = Services {
            mail: mail.clone(),
            blobs,
            accounts: accounts.clone(),
            authenticator: Arc::new(Door(accounts.clone())),
            feed: Arc::new(feed),
            index: Arc::new(query::NoIndex),
            clock: clock.clone(),
        };
        let imap = Imap::new(
            services,
            Options { token_metadata: "https://mail.example.test/m".into(), ..Options::default() },
        );
        World {
            imap,
            mail,
            accounts,
            directory_elsewhere,
            elsewhere,
            poll,
            clock,
            shutdown: Shutdown::new(),
            dir,
        }
    }

    /// Alice's INBOX.
    pub async fn inbox(&self) -> mail::MailboxRef {
        let found = self.mail.with_role(ALICE, mail::Role::Inbox).await.unwrap();
        mail::MailboxRef { account: ALICE, mailbox: found.unwrap() }
    }

    /// Removes alice's account.
    pub async fn remove_alice(&self, mail: &mail::Store) {
        let removed = mail.database().transact_versioned("test", |txn| async move {
            mail.remove_in(&txn, ALICE, "alice@example.test");
            Ok::<_, mail::Error>(())
        });
        let ((), version) = removed.await.unwrap();
        mail.removed(ALICE, version);
    }

    /// Purges alice's account to the end.
    pub async fn purge_alice(&self) {
        while self.mail.purge_step(ALICE).await.unwrap() != mail::Step::Finished {}
    }

    pub async fn connect(&self) -> Client {
        let (connection, stream) = net::testing::pair().await.unwrap();
        let context =
            SessionContext { id: 1, shutdown: self.shutdown.clone(), clock: self.clock.clone(), tls: None };
        tokio::spawn(self.imap.serve(connection, context));
        let mut client = Client { stream, seen: Vec::new(), tag: 0, greeting: String::new() };
        client.greeting = client.until("\r\n").await;
        client
    }

    /// Bytes of a session's task, besides what it has on the heap.
    pub async fn session_size(&self) -> usize {
        let (connection, _stream) = net::testing::pair().await.unwrap();
        let context =
            SessionContext { id: 1, shutdown: self.shutdown.clone(), clock: self.clock.clone(), tls: None };
        std::mem::size_of_val(&*self.imap.serve(connection, context))
    }

    /// The files in which larger bodies lie.
    pub fn bodies(&self) -> Vec<std::path::PathBuf> {
        let entries = |folder: std::path::PathBuf| {
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        entries(self.dir.path().join("blobs")).into_iter().flat_map(entries).flat_map(entries).collect()
    }

    pub async fn login(&self) -> Client {
        let mut client = self.connect().await;
        client.ok("LOGIN alice secret").await;
        client
    }

    pub async fn selected(&self, mailbox: &str) -> Client {
        let mut client = self.login().await;
        client.ok(&format!("SELECT {mailbox}")).await;
        client
    }
}

/// Sends lines and looks for lines.
pub struct Client {
    stream: TcpStream,
    seen: Vec<u8>,
    tag: u32,
    pub greeting: String,
}

impl Client {
    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// All that came up to the end of the line in which `text` is.
    pub async fn until(&mut self, text: &str) -> String {
        loop {
            let found = memchr::memmem::find(&self.seen, text.as_bytes());
            let end = found.and_then(|at| {
                let from = at + text.len().saturating_sub(2);
                memchr::memmem::find(&self.seen[from..], b"\r\n").map(|end| from + end + 2)
            });
            if let Some(end) = end {
                let rest = self.seen.split_off(end);
                return String::from_utf8(std::mem::replace(&mut self.seen, rest)).unwrap();
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.seen)).await;
            match read {
                Ok(Ok(1..)) => {}
                other => panic!("{other:?} before {text:?}: {}", String::from_utf8_lossy(&self.seen)),
            }
        }
    }

    /// Sends `text` and reads up to the line that begins with `end`.
    pub async fn raw(&mut self, text: &str, end: &str) -> String {
        self.send(text).await;
        let mut answer = String::new();
        loop {
            answer.push_str(&self.until("\r\n").await);
            if answer.lines().next_back().is_some_and(|line| line.starts_with(end)) {
                return answer;
            }
        }
    }

    async fn command(&mut self, text: &str) -> String {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.raw(&format!("{tag}{text}\r\n"), &tag).await
    }

    pub async fn ok(&mut self, text: &str) -> String {
        let answer = self.command(text).await;
        let last = answer.lines().next_back().unwrap_or_default();
        assert!(last.contains(" OK "), "{text}: {answer}");
        answer
    }

    pub async fn fails(&mut self, text: &str, how: &str) {
        let answer = self.command(text).await;
        let last = answer.lines().next_back().unwrap_or_default();
        assert!(last.contains(how), "{text}: {answer}");
    }

    pub async fn append(&mut self, arguments: &str, message: &str) -> String {
        self.ok(&format!("APPEND {arguments} {{{}+}}\r\n{message}", message.len())).await
    }

    /// The connection ends, with nothing more said.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    }
}
