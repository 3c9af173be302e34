//! What a session asks of the server it runs in.

use std::net::SocketAddr;

use accounts::Identity;
use futures::future::{BoxFuture, FutureExt, ready};
use net::TlsInfo;
use smtp_proto::{ClientName, Enhanced, ForwardPath, Mail, MailParams, Rcpt, RcptParams, Reply, ReversePath};

use crate::{HeaderFacts, Role};

/// What is known of a session.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// What the listener is for.
    pub role: Role,
    /// The client's address, behind a PROXY header if there was one.
    pub peer: SocketAddr,
    /// Our address.
    pub local: SocketAddr,
    /// The client's name, once it said one.
    pub hello: Option<ClientName>,
    /// Whether it said EHLO or LHLO.
    pub extended: bool,
    /// What protects the connection.
    pub tls: Option<TlsInfo>,
    /// Who the client is, once it authenticated.
    pub identity: Option<Identity>,
}

/// The envelope of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where notifications go.
    pub from: ReversePath,
    /// What else MAIL said.
    pub params: MailParams,
    /// Who gets it, in the order of RCPT; only those that were accepted.
    pub recipients: Vec<Recipient>,
}

/// One recipient of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub path: ForwardPath,
    /// What else RCPT said.
    pub params: RcptParams,
}

/// A policy's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Accept,
    /// It may not; the reply says why and whether to try again (4yz or 5yz).
    Refuse(Reply),
    /// It may not, and the connection is closed after the reply.
    Close(Reply),
}

/// May this client, this sender, this recipient, this content pass?
///
/// Each question accepts unless it is answered otherwise.
pub trait Policy: Send + Sync {
    /// A client connected.
    fn connect<'a>(&'a self, _session: &'a SessionInfo) -> BoxFuture<'a, Verdict> {
        ready(Verdict::Accept).boxed()
    }

    /// It said its name.
    fn hello<'a>(&'a self, _session: &'a SessionInfo) -> BoxFuture<'a, Verdict> {
        ready(Verdict::Accept).boxed()
    }

    /// It named a sender. A submission service checks here that the identity may use the address.
    fn mail_from<'a>(&'a self, _session: &'a SessionInfo, _mail: &'a Mail) -> BoxFuture<'a, Verdict> {
        ready(Verdict::Accept).boxed()
    }

    /// It named a recipient; `envelope` has those before it.
    fn rcpt<'a>(
        &'a self,
        _session: &'a SessionInfo,
        _envelope: &'a Envelope,
        _rcpt: &'a Rcpt,
    ) -> BoxFuture<'a, Verdict> {
        ready(Verdict::Accept).boxed()
    }

    /// The message was read; it is refused as a whole or passes.
    fn data<'a>(
        &'a self,
        _session: &'a SessionInfo,
        _envelope: &'a Envelope,
        _headers: &'a HeaderFacts,
    ) -> BoxFuture<'a, Verdict> {
        ready(Verdict::Accept).boxed()
    }
}

/// The policy that lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenPolicy;

impl Policy for OpenPolicy {}

/// What the acceptor says of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientVerdict {
    /// It is delivered here.
    Local,
    /// It is sent on.
    Relay,
    /// Nobody has this address here.
    UnknownUser,
    /// This client may not send there through us.
    RelayDenied,
    /// The account does not take mail at present.
    Disabled,
    /// There is no room.
    MailboxFull,
    /// It cannot be told at present.
    TryLater,
}

impl RecipientVerdict {
    /// The reply to RCPT.
    #[must_use]
    pub fn reply(self) -> Reply {
        // RFC 5321 §4.2.2; the enhanced codes are RFC 3463 §3.2, §3.3, §3.8.
        match self {
            Self::Local | Self::Relay => Reply::new(250, Enhanced::new(2, 1, 5), "Recipient ok"),
            Self::UnknownUser => Reply::new(550, Enhanced::new(5, 1, 1), "No such user here"),
            Self::RelayDenied => Reply::new(550, Enhanced::new(5, 7, 1), "Relaying denied"),
            Self::Disabled => Reply::new(550, Enhanced::new(5, 2, 1), "Mailbox disabled"),
            Self::MailboxFull => Reply::new(452, Enhanced::new(4, 2, 2), "Mailbox full"),
            Self::TryLater => Reply::new(451, Enhanced::new(4, 3, 0), "Try again later"),
        }
    }
}

/// Takes messages and makes them durable.
pub trait Acceptor: Send + Sync {
    /// Where a recipient's mail would go; `envelope` has sender and recipients before it.
    fn recipient<'a>(
        &'a self,
        session: &'a SessionInfo,
        envelope: &'a Envelope,
        rcpt: &'a Rcpt,
    ) -> BoxFuture<'a, RecipientVerdict>;

    /// Opens a writer for the message of a complete envelope. The reply of an error is the client's.
    fn body<'a>(
        &'a self,
        session: &'a SessionInfo,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, Result<Box<dyn BodyWriter>, Reply>>;
}

/// Takes one message. Dropped before [`BodyWriter::accept`], it leaves nothing behind.
pub trait BodyWriter: Send + Sync {
    /// Adds the next octets of the message, trace fields included. The reply of an error is the client's, once
    /// the message's end was read.
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), Reply>>;

    /// The message is whole: makes it durable. Under [`Role::Lmtp`] there is a reply for each recipient of the
    /// envelope (RFC 2033 §4.2), otherwise one.
    fn accept<'a>(
        self: Box<Self>,
        session: &'a SessionInfo,
        envelope: Envelope,
        headers: &'a HeaderFacts,
    ) -> BoxFuture<'a, Vec<Reply>>;
}
