//! A whole server without sockets on its front: directory, mailboxes, queue, acceptor, runner.

use std::sync::Arc;
use std::time::Duration;

use accounts::{Accounts, DomainSettings, HashCost, Kind, NewAccount};
use godwit_delivery::outbound::client::{ClientOptions, ClientTimeouts, Tcp};
use godwit_delivery::outbound::resolver::{Resolver, SystemResolver};
use godwit_delivery::outbound::route::Routing;
use godwit_delivery::outbound::schedule::Schedule;
use godwit_delivery::outbound::{Runner, RunnerOptions};
use godwit_delivery::{CombinerLimits, Delivery, Options, Services};
use leases::Leases;
use mail::{MailboxPath, MailboxRef};
use ownership::{Ownership, Timings, Unhinted};
use runtime::{SeededRng, Shutdown, Supervisor, SystemClock, TaskKind};
use schema::AccountId;
use smtp::{Acceptor, Envelope, HeaderFacts, Recipient, RecipientVerdict, Role, SessionInfo};
use smtp_proto::{ClientName, Command, Rcpt, Reply};
use spool::Spool;

pub struct World {
    pub accounts: Accounts,
    pub mail: mail::Store,
    pub spool: Spool,
    pub delivery: Delivery,
    pub supervisor: Supervisor,
    leases: Leases,
    pub folder: tempfile::TempDir,
}

impl World {
    /// With alice, bob and carol at example.test.
    pub async fn new() -> Self {
        Self::over(kv::memory::database()).await
    }

    /// The same over a store.
    pub async fn over(db: kv::Database) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, rng) = (SystemClock::shared(), Arc::new(SeededRng::new(7)));
        let blobs = blob::Store::open(
            folder.path(),
            db.clone(),
            clock.clone(),
            rng.clone(),
            blob::Options { inline_max: 20_000, ..blob::Options::default() },
        );
        let blobs = blobs.unwrap();
        let options = accounts::Options {
            default_domain: Some("example.test".into()),
            cost: HashCost::CHEAP,
            ..accounts::Options::default()
        };
        let accounts = Accounts::new(db.clone(), clock.clone(), rng.clone(), options);
        accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
        let feed = Arc::new(changes::LocalFeed::new());
        let mail = mail::Store::new(db.clone(), blobs.clone(), feed, clock.clone(), rng.clone());
        let spool = Spool::new(db.clone(), blobs, clock.clone(), rng.clone());
        let leases = Leases::new(db.clone(), clock.clone());
        let services =
            Services { db, accounts: accounts.clone(), mail: mail.clone(), spool: spool.clone(), clock, rng };
        let supervisor = Supervisor::new(Shutdown::new());
        let options = Options { hostname: "mx.example.test".into(), lifetime: Duration::from_secs(3600) };
        let delivery = Delivery::new(services, options, CombinerLimits::default(), supervisor.clone());
        let world = Self { accounts, mail, spool, delivery, supervisor, leases, folder };
        for name in ["alice", "bob", "carol"] {
            world.person(name).await;
        }
        world
    }

    pub async fn person(&self, name: &str) -> AccountId {
        let new = NewAccount::new(Kind::Person, &format!("{name}@example.test"));
        let id = self.accounts.create_account(&new).await.unwrap();
        let (mail, db) = (&self.mail, self.mail.database());
        db.transact("test", |txn| async move { mail.provision_in(&txn, id).await }).await.unwrap();
        id
    }

    /// Removes a person, as the node does.
    pub async fn remove(&self, id: AccountId) {
        let (accounts, mail) = (&self.accounts, &self.mail);
        let removed = mail.database().transact("test", |txn| async move {
            let account = accounts.delete_account_in(&txn, id).await?;
            mail.remove_in(&txn, id, &account.address);
            Ok::<_, accounts::Error>(())
        });
        removed.await.unwrap();
    }

    pub async fn list(&self, name: &str, members: &[&str]) {
        let new = NewAccount::new(Kind::List, &format!("{name}@example.test"));
        let id = self.accounts.create_account(&new).await.unwrap();
        for member in members {
            self.accounts.add_list_member(id, member).await.unwrap();
        }
    }

    pub async fn account(&self, name: &str) -> AccountId {
        self.accounts.find(&format!("{name}@example.test")).await.unwrap().unwrap().id
    }

    /// The messages in somebody's INBOX, whole.
    pub async fn inbox(&self, name: &str) -> Vec<String> {
        let account = self.account(name).await;
        let mailbox = self.mail.resolve(account, &MailboxPath::inbox()).await.unwrap().unwrap().id;
        let at = MailboxRef { account, mailbox };
        let rows = self.mail.messages(at, 1..=u32::MAX, 1000).await.unwrap().rows;
        let mut messages = Vec::new();
        for (n, row) in rows.iter().enumerate() {
            assert_eq!(row.uid as usize, n + 1, "UIDs have no gaps");
            let octets = self.mail.body(row.blob, 0..u64::MAX).await.unwrap();
            assert_eq!(octets.len() as u64, row.size);
            messages.push(String::from_utf8_lossy(&octets).into_owned());
        }
        assert_eq!(mail::verify(&self.mail, account).await.unwrap(), Vec::<String>::new());
        messages
    }

    pub async fn queued(&self) -> Vec<spool::Entry> {
        self.spool.list(None, 1000).await.unwrap().entries
    }

    /// Sends a message through the acceptor: from, recipients with parameters, text. The replies of RCPT that
    /// refuse, then those of the end.
    pub async fn send(&self, role: Role, mail: &str, rcpt: &[&str], text: &str) -> Vec<String> {
        self.send_with(role, mail, rcpt, text, &HeaderFacts::default()).await
    }

    pub async fn send_with(
        &self,
        role: Role,
        mail: &str,
        rcpt: &[&str],
        text: &str,
        headers: &HeaderFacts,
    ) -> Vec<String> {
        self.send_while(role, mail, rcpt, text, headers, std::future::ready(())).await
    }

    /// The same; `meanwhile` happens after the recipients were taken and before the last octet.
    pub async fn send_while(
        &self,
        role: Role,
        mail: &str,
        rcpt: &[&str],
        text: &str,
        headers: &HeaderFacts,
        meanwhile: impl Future<Output = ()>,
    ) -> Vec<String> {
        let session = session(role);
        let Command::Mail(mail) = Command::parse(format!("MAIL FROM:{mail}").as_bytes()).unwrap() else {
            panic!("no MAIL");
        };
        let mut envelope = Envelope { from: mail.from, params: mail.params, recipients: Vec::new() };
        let mut replies = Vec::new();
        for line in rcpt {
            let rcpt = rcpt_of(line);
            match self.delivery.recipient(&session, &envelope, &rcpt).await {
                RecipientVerdict::Local | RecipientVerdict::Relay => {
                    envelope.recipients.push(Recipient { path: rcpt.to, params: rcpt.params });
                }
                refused => replies.push(show(&refused.reply())),
            }
        }
        if envelope.recipients.is_empty() {
            return replies;
        }
        let mut writer = self.delivery.body(&session, &envelope).await.unwrap();
        meanwhile.await;
        for piece in text.as_bytes().chunks(1000) {
            writer.write(piece).await.unwrap();
        }
        replies.extend(writer.accept(&session, envelope, headers).await.iter().map(show));
        replies
    }

    /// How many bodies lie outside of the store.
    pub fn objects(&self) -> usize {
        let mut folders = vec![self.folder.path().join("blobs")];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files += 1 }
            }
        }
        files
    }

    /// Starts the runner; all mail goes to this address, and is tried again soon.
    pub fn run(&self, relay: std::net::SocketAddr) {
        let relay = Some((relay.ip().to_string(), relay.port()));
        let resolver = Arc::new(SystemResolver::new().unwrap());
        self.run_with(Routing { relay, ..Routing::default() }, resolver, Duration::from_millis(20));
    }

    /// Starts the runner.
    pub fn run_with(&self, routing: Routing, resolver: Arc<dyn Resolver>, wait: Duration) {
        let options = RunnerOptions {
            client: ClientOptions {
                hostname: ClientName::new("mx.example.test").unwrap(),
                tls: None,
                timeouts: ClientTimeouts::default(),
                network: Arc::new(Tcp),
            },
            routing,
            schedule: Schedule { waits: vec![wait], ..Schedule::development() },
        };
        let charge = Runner::new(&self.delivery, resolver, options).charge(&self.supervisor);
        let node =
            leases::Node { name: "test".into(), level_min: 1, level_max: 1, ..leases::Node::default() };
        let (leases, clock) = (self.leases.clone(), SystemClock::shared());
        let ownership = Ownership::new(leases, node, Arc::new(Unhinted), clock, Timings::default());
        let stop = self.supervisor.shutdown().drain.clone();
        self.supervisor.spawn(TaskKind::Critical, "ownership", async move {
            ownership.join().await?;
            ownership.run(vec![charge], stop).await
        });
    }

    /// Waits until the queue is empty.
    pub async fn drained(&self) {
        self.until(|| async { self.queued().await.is_empty() }).await;
    }

    /// Waits for a condition.
    pub async fn until<F: std::future::Future<Output = bool>>(&self, condition: impl Fn() -> F) {
        let wait = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it comes to pass");
    }
}

fn show(reply: &Reply) -> String {
    format!("{} {}", reply.code, reply.status())
}

fn session(role: Role) -> SessionInfo {
    SessionInfo {
        role,
        peer: "192.0.2.7:1234".parse().unwrap(),
        local: "192.0.2.1:25".parse().unwrap(),
        hello: ClientName::new("client.example"),
        extended: true,
        tls: None,
        identity: None,
    }
}

fn rcpt_of(line: &str) -> Rcpt {
    match Command::parse(format!("RCPT TO:{line}").as_bytes()).unwrap() {
        Command::Rcpt(rcpt) => rcpt,
        other => panic!("{other:?}"),
    }
}
