//! A server whose acceptor keeps messages in memory, and a client that sends what it is told.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use accounts::oauth::{Bearer, Scope};
use accounts::{Admitted, AuthFailure, AuthRequest, Authenticator, Identity, Proof, TokenShown};
use futures::future::{BoxFuture, FutureExt, ready};
use godwit_smtp::{
    Acceptor, BodyWriter, Config, Envelope, HeaderFacts, Policy, RecipientVerdict, Role, Server, Service,
    SessionInfo, Verdict,
};
use net::{Protocol, SessionContext, TlsAcceptor};
use runtime::{CancellationToken, ManualClock, SeededRng, Shutdown, Timestamp};
use smtp_proto::{Enhanced, Mail, Rcpt, Reply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A message that was accepted.
pub(crate) struct Message {
    pub envelope: Envelope,
    pub text: String,
    pub octets: Vec<u8>,
    pub headers: HeaderFacts,
}

/// Accepts by the local part: `unknown`, `full`, `later`, `relay` are what they say; `fails` fails at the end.
#[derive(Default)]
pub(crate) struct Memory {
    pub messages: Mutex<Vec<Message>>,
    /// The largest piece that was written at once.
    pub largest: Mutex<usize>,
    /// Whether bodies cannot be opened, or break off after some octets.
    pub breaks_after: Mutex<Option<usize>>,
}

struct Writer {
    memory: Arc<Memory>,
    octets: Vec<u8>,
}

pub(crate) struct Shared(pub Arc<Memory>);

impl Acceptor for Shared {
    fn recipient<'a>(
        &'a self,
        _: &'a SessionInfo,
        _: &'a Envelope,
        rcpt: &'a Rcpt,
    ) -> BoxFuture<'a, RecipientVerdict> {
        ready(match rcpt.to.mailbox().map_or("postmaster", |to| to.local()) {
            "unknown" => RecipientVerdict::UnknownUser,
            "full" => RecipientVerdict::MailboxFull,
            "later" => RecipientVerdict::TryLater,
            "denied" => RecipientVerdict::RelayDenied,
            "relay" => RecipientVerdict::Relay,
            _ => RecipientVerdict::Local,
        })
        .boxed()
    }

    fn body<'a>(
        &'a self,
        _: &'a SessionInfo,
        _: &'a Envelope,
    ) -> BoxFuture<'a, Result<Box<dyn BodyWriter>, Reply>> {
        let full = *self.0.breaks_after.lock().unwrap() == Some(0);
        let writer: Box<dyn BodyWriter> =
            Box::new(Writer { memory: Arc::clone(&self.0), octets: Vec::new() });
        ready(if full { Err(disk_full()) } else { Ok(writer) }).boxed()
    }
}

fn disk_full() -> Reply {
    Reply::new(452, Enhanced::new(4, 3, 1), "Disk full")
}

impl BodyWriter for Writer {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), Reply>> {
        self.octets.extend_from_slice(octets);
        let mut largest = self.memory.largest.lock().unwrap();
        *largest = (*largest).max(octets.len());
        let limit = self.memory.breaks_after.lock().unwrap().unwrap_or(usize::MAX);
        ready(if self.octets.len() > limit { Err(disk_full()) } else { Ok(()) }).boxed()
    }

    fn accept<'a>(
        self: Box<Self>,
        session: &'a SessionInfo,
        envelope: Envelope,
        headers: &'a HeaderFacts,
    ) -> BoxFuture<'a, Vec<Reply>> {
        let reply = |to: &str| match to {
            "fails" => Reply::new(554, Enhanced::new(5, 0, 0), "Failed"),
            _ => Reply::new(250, Enhanced::new(2, 0, 0), "Accepted"),
        };
        let mut replies: Vec<Reply> = envelope
            .recipients
            .iter()
            .map(|recipient| reply(recipient.path.mailbox().map_or("", |to| to.local())))
            .collect();
        if session.role != Role::Lmtp {
            replies.truncate(1);
        }
        let text = String::from_utf8_lossy(&self.octets).into_owned();
        let message = Message { envelope, text, octets: self.octets, headers: headers.clone() };
        self.memory.messages.lock().unwrap().push(message);
        ready(replies).boxed()
    }
}

/// Knows `alice` with the password `secret`.
#[derive(Default)]
pub(crate) struct Passwords {
    /// Cancelled when alice may not stay.
    pub revoked: CancellationToken,
}

impl Authenticator for Passwords {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Admitted, AuthFailure>> {
        ready(match (request.login, request.password.expose()) {
            ("alice@example.test", "secret") => {
                Ok(Admitted { identity: identity(request.login), proof: Proof::Password(1), until: None })
            }
            ("busy", _) => Err(AuthFailure::TemporarilyUnavailable),
            _ => Err(AuthFailure::Invalid),
        })
        .boxed()
    }

    /// Tokens are good for what they are.
    fn bearer<'a>(&'a self, shown: TokenShown<'a>) -> BoxFuture<'a, Result<Bearer, AuthFailure>> {
        let own = shown.login.is_none_or(|login| login == "alice@example.test");
        ready(match shown.token.expose() {
            scope @ ("urn:ietf:params:jmap:submission" | "urn:ietf:params:jmap:mail") if own => Ok(Bearer {
                identity: identity("alice@example.test"),
                grant: schema::GrantId(1),
                scope: Scope::parse(scope),
                expires: UNTIL.millis(),
            }),
            "guess" => Err(AuthFailure::RateLimited),
            _ => Err(AuthFailure::Invalid),
        })
        .boxed()
    }

    fn revoked(&self, _: schema::AccountId, _: Proof) -> BoxFuture<'static, ()> {
        self.revoked.clone().cancelled_owned().boxed()
    }
}

/// When tokens end.
pub(crate) const UNTIL: Timestamp = Timestamp::from_secs(3_600);

/// Somebody who is logged in.
fn identity(login: &str) -> Identity {
    let address = login.to_owned();
    Identity {
        account: schema::AccountId(1),
        address,
        display_name: String::new(),
        groups: Vec::new(),
        shares: Vec::new(),
    }
}

/// Lets an authenticated client send as itself only, and refuses what seems to have been there before.
pub(crate) struct OwnAddress;

impl Policy for OwnAddress {
    fn mail_from<'a>(&'a self, session: &'a SessionInfo, mail: &'a Mail) -> BoxFuture<'a, Verdict> {
        let own = session.identity.as_ref().map(|identity| identity.address.clone());
        let sender = mail.from.mailbox().map(ToString::to_string);
        let refused = Reply::new(553, Enhanced::new(5, 7, 1), "Not your address");
        ready(if own.is_none() || own == sender { Verdict::Accept } else { Verdict::Refuse(refused) }).boxed()
    }

    fn data<'a>(
        &'a self,
        _: &'a SessionInfo,
        _: &'a Envelope,
        headers: &'a HeaderFacts,
    ) -> BoxFuture<'a, Verdict> {
        let spam = Reply::new(550, Enhanced::new(5, 7, 1), "Spam");
        ready(if headers.delivered_to.iter().any(|to| to == "spam") {
            Verdict::Refuse(spam)
        } else {
            Verdict::Accept
        })
        .boxed()
    }
}

/// A server for one test.
pub(crate) struct Fixture {
    pub memory: Arc<Memory>,
    pub shutdown: Shutdown,
    pub config: Config,
    pub clock: Arc<ManualClock>,
    pub passwords: Arc<Passwords>,
    pub tls: Option<TlsAcceptor>,
    folder: tempfile::TempDir,
}

impl Fixture {
    pub fn new(role: Role) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = Some(net::testing::acceptor(folder.path(), &[]).unwrap());
        let config = Config {
            token_metadata: "https://mx.example.test/m".into(),
            ..Config::new(role, "mx.example.test")
        };
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
        Self {
            memory: Arc::default(),
            shutdown: Shutdown::new(),
            config,
            clock,
            passwords: Arc::default(),
            tls,
            folder,
        }
    }

    /// A client that has read the greeting.
    pub async fn connect(&self) -> Client<TcpStream> {
        let (connection, stream) = net::testing::pair().await.unwrap();
        let service = Service::new(Server {
            config: self.config.clone(),
            policy: Arc::new(OwnAddress),
            acceptor: Arc::new(Shared(Arc::clone(&self.memory))),
            authenticator: Some(self.passwords.clone()),
            rng: Arc::new(SeededRng::new(1)),
        });
        let context = SessionContext {
            id: 1,
            shutdown: self.shutdown.clone(),
            clock: self.clock.clone(),
            tls: self.tls.clone(),
        };
        tokio::spawn(service.serve(connection, context));
        let mut client = Client { stream, input: Vec::new() };
        let greeting = client.reply().await;
        assert!(greeting.starts_with("220 mx.example.test "), "{greeting}");
        client
    }

    /// A client that has said hello.
    pub async fn ready(&self) -> Client<TcpStream> {
        let mut client = self.connect().await;
        let hello = if self.config.role == Role::Lmtp { "LHLO" } else { "EHLO" };
        client.expect(&format!("{hello} client.example"), "250").await;
        client
    }

    /// The certificate its TLS shows.
    pub fn certificate(&self) -> rustls::pki_types::CertificateDer<'static> {
        use rustls::pki_types::pem::PemObject;
        let paths = net::self_signed(self.folder.path(), &[]).unwrap();
        rustls::pki_types::CertificateDer::from_pem_file(paths.certificate).unwrap()
    }

    pub fn texts(&self) -> Vec<String> {
        self.memory.messages.lock().unwrap().iter().map(|message| message.text.clone()).collect()
    }
}

/// A client that is deliberately dumb.
pub(crate) struct Client<S> {
    pub stream: S,
    input: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, input: Vec::new() }
    }

    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next whole reply with its CRLFs; empty at the end.
    pub async fn reply(&mut self) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.input).into_owned();
            let mut end = 0;
            for line in text.split_inclusive("\r\n") {
                end += line.len();
                if line.ends_with("\r\n") && line.as_bytes().get(3) != Some(&b'-') {
                    self.input.drain(..end);
                    return text[..end].to_owned();
                }
            }
            let read = self.stream.read_buf(&mut self.input);
            let read = tokio::time::timeout(Duration::from_secs(20), read).await.expect("a reply in time");
            if read.unwrap_or(0) == 0 {
                return String::from_utf8_lossy(&std::mem::take(&mut self.input)).into_owned();
            }
        }
    }

    /// Sends a line and checks the start of the reply.
    pub async fn expect(&mut self, line: &str, start: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.expect_reply(line, start).await
    }

    pub async fn expect_reply(&mut self, what: &str, start: &str) -> String {
        let reply = self.reply().await;
        assert!(
            reply.starts_with(start) && (!reply.is_empty() || start.is_empty()),
            "{what}: {reply:?} is not {start}"
        );
        reply
    }

    pub async fn expect_end(&mut self) {
        assert_eq!(self.reply().await, "", "the server closes");
    }

    /// Sends a message to `to` in one go.
    pub async fn message(&mut self, to: &str, text: &str, start: &str) -> String {
        self.expect("MAIL FROM:<sender@example.org>", "250").await;
        self.expect(&format!("RCPT TO:<{to}@example.test>"), "250").await;
        self.expect("DATA", "354").await;
        self.send(text).await;
        self.expect("\r\n.", start).await
    }
}
