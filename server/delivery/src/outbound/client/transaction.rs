//! One message over a connection.

use std::future::Future;

use bytes::Bytes;
use futures::{Stream as Pieces, StreamExt};
use smtp_proto::data::{BareLines, Encoder};
use smtp_proto::{
    Bdat, BodyType, Command, Enhanced, Mail, MailParams, Mailbox, Rcpt, RcptParams, Reply, ReversePath,
};

use super::super::failure::brief;
use super::{Client, Failure, broken};

/// A message to send.
pub struct Outgoing<'a> {
    /// Where notifications go.
    pub from: &'a ReversePath,
    /// What MAIL said when the message came in.
    pub params: &'a MailParams,
    /// Who gets it.
    pub recipients: &'a [Rcpt],
    /// Octets of the message.
    pub size: u64,
    /// Whether the header has octets over 127.
    pub header_8bit: bool,
    /// Whether the body has.
    pub body_8bit: bool,
}

/// What became of one recipient.
pub type RecipientReply = Result<Reply, Failure>;

/// What a reply to RCPT refuses.
const RECIPIENT: &str = "the recipient";

/// Octets that are sent at once.
const BLOCK: usize = 64 << 10;

impl Client {
    /// Sends a message: an outcome for each recipient. `before_dot` runs when all but the end of the message is
    /// written; if it fails, the connection is cut and the server drops the message.
    ///
    /// # Errors
    ///
    /// What failed for all recipients. The connection is of no use then, unless the failure has a diagnostic (the
    /// server spoke, and [`Client::reset`] may save it).
    pub async fn send<S, F>(
        &mut self,
        message: &Outgoing<'_>,
        body: S,
        before_dot: F,
    ) -> Result<Vec<RecipientReply>, Failure>
    where
        S: Pieces<Item = Result<Bytes, Failure>> + Send + Unpin,
        F: Future<Output = Result<(), Failure>> + Send,
    {
        self.transactions += 1;
        let host = self.target.host.clone();
        let sent = self.try_send(message, body, before_dot).await;
        let at = |outcome: RecipientReply| outcome.map_err(|failure| failure.at(&host));
        sent.map(|outcomes| outcomes.into_iter().map(at).collect()).map_err(|failure| failure.at(&host))
    }

    async fn try_send<S, F>(
        &mut self,
        message: &Outgoing<'_>,
        body: S,
        before_dot: F,
    ) -> Result<Vec<RecipientReply>, Failure>
    where
        S: Pieces<Item = Result<Bytes, Failure>> + Send + Unpin,
        F: Future<Output = Result<(), Failure>> + Send,
    {
        let mail = self.mail(message)?;
        let binary = mail.params.body == Some(BodyType::BinaryMime);
        let smtputf8 = self.capabilities.smtputf8;
        let able = |rcpt: &&Rcpt| smtputf8 || !needs_smtputf8(rcpt);
        let recipients: Vec<&Rcpt> = message.recipients.iter().filter(able).collect();
        if recipients.is_empty() {
            return Err(no_smtputf8());
        }
        let mut replies = self.envelope(mail, &recipients).await?.into_iter();
        let reply = |rcpt| if able(&rcpt) { replies.next() } else { Some(Err(no_smtputf8())) };
        let mut outcomes: Vec<RecipientReply> = message.recipients.iter().filter_map(reply).collect();
        if outcomes.iter().all(Result::is_err) {
            self.reset().await?;
            return Ok(outcomes);
        }
        let reply = if binary {
            self.chunk(message.size, body, before_dot).await?
        } else {
            self.data(body, before_dot).await?
        };
        let of_message = outcome("the message", &reply);
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
            outcome.clone_from(&of_message);
        }
        Ok(outcomes)
    }

    /// The MAIL command this server understands, or why it cannot have the message.
    fn mail(&self, message: &Outgoing<'_>) -> Result<Mail, Failure> {
        let server = &self.capabilities;
        let asked = message.params;
        // RFC 6531 §3.4: an address that needs it needs it whether or not MAIL said so when the message came in, as
        // one of a list does, or one that a notification goes to. A header that came without is no UTF-8 to us.
        let needed = message.from.mailbox().is_some_and(Mailbox::needs_smtputf8)
            || (asked.smtputf8 && message.header_8bit);
        if needed && !server.smtputf8 {
            return Err(no_smtputf8());
        }
        let smtputf8 =
            server.smtputf8 && (needed || asked.smtputf8 || message.recipients.iter().any(needs_smtputf8));
        if server.max_size.is_some_and(|max| message.size > max) {
            // RFC 1870 §6.1, RFC 3463 X.3.4.
            return Err(Failure::permanent(
                Enhanced::new(5, 3, 4),
                "message too large for the remote server",
            ));
        }
        let params = MailParams {
            size: server.size.then_some(message.size),
            body: self.body_type(message)?,
            smtputf8,
            ret: asked.ret.filter(|_| server.dsn),
            envid: asked.envid.clone().filter(|_| server.dsn),
            auth: None,
        };
        Ok(Mail { from: message.from.clone(), params })
    }

    /// RFC 6152 §3, RFC 3030 §3: a body that the server does not take would have to be converted; it goes back.
    fn body_type(&self, message: &Outgoing<'_>) -> Result<Option<BodyType>, Failure> {
        let server = &self.capabilities;
        let unconverted = |text| Err(Failure::permanent(Enhanced::new(5, 6, 3), text));
        match message.params.body {
            Some(BodyType::BinaryMime) if server.binary_mime && server.chunking => {
                Ok(Some(BodyType::BinaryMime))
            }
            Some(BodyType::BinaryMime) => unconverted("remote server has no BINARYMIME"),
            Some(BodyType::EightBitMime) if server.eight_bit_mime => Ok(Some(BodyType::EightBitMime)),
            Some(BodyType::EightBitMime) if message.body_8bit => unconverted("remote server has no 8BITMIME"),
            // Undeclared octets over 127 are sent as they came: they came without a declaration.
            None if message.body_8bit && server.eight_bit_mime => Ok(Some(BodyType::EightBitMime)),
            _ => Ok(None),
        }
    }

    /// MAIL and RCPT, in one packet if the server can (RFC 2920).
    async fn envelope(&mut self, mail: Mail, recipients: &[&Rcpt]) -> Result<Vec<RecipientReply>, Failure> {
        let dsn = self.capabilities.dsn;
        let commands = recipients.iter().map(|rcpt| {
            let params = if dsn { rcpt.params.clone() } else { RcptParams::default() };
            Command::Rcpt(Rcpt { to: rcpt.to.clone(), params })
        });
        if !self.capabilities.pipelining {
            super::expect("MAIL", &self.command(&Command::Mail(mail)).await?)?;
            let mut outcomes = Vec::with_capacity(recipients.len());
            for command in commands {
                outcomes.push(outcome(RECIPIENT, &self.command(&command).await?));
            }
            return Ok(outcomes);
        }
        self.queue(&Command::Mail(mail));
        commands.for_each(|command| self.queue(&command));
        self.flush().await?;
        let first = self.read_reply(self.timeouts.command).await?;
        let mut outcomes = Vec::with_capacity(recipients.len());
        for _ in recipients {
            outcomes.push(outcome(RECIPIENT, &self.read_reply(self.timeouts.command).await?));
        }
        super::expect("MAIL", &first)?;
        Ok(outcomes)
    }

    async fn data<S, F>(&mut self, mut body: S, before_dot: F) -> Result<Reply, Failure>
    where
        S: Pieces<Item = Result<Bytes, Failure>> + Send + Unpin,
        F: Future<Output = Result<(), Failure>> + Send,
    {
        self.queue(&Command::Data);
        self.flush().await?;
        let go = self.read_reply(self.timeouts.data).await?;
        if !go.is_intermediate() {
            return if go.is_positive() { Err(broken("2yz reply to DATA".to_owned())) } else { Ok(go) };
        }
        let mut encoder = Encoder::new(BareLines::Refuse);
        while let Some(piece) = body.next().await {
            encoder.encode(&piece?, self.stream.out()).map_err(|_| unsendable())?;
            if self.stream.out().len() >= BLOCK {
                self.flush().await?;
            }
        }
        self.flush().await?;
        before_dot.await?;
        encoder.finish(self.stream.out()).map_err(|_| unsendable())?;
        self.flush().await?;
        self.read_reply(self.timeouts.dot).await
    }

    /// RFC 3030 §2: the message as one chunk; what stands for the final dot is its last octet.
    async fn chunk<S, F>(&mut self, size: u64, mut body: S, before_dot: F) -> Result<Reply, Failure>
    where
        S: Pieces<Item = Result<Bytes, Failure>> + Send + Unpin,
        F: Future<Output = Result<(), Failure>> + Send,
    {
        self.queue(&Command::Bdat(Bdat { size, last: true }));
        let mut left = size;
        let mut last = Bytes::new();
        while let Some(piece) = body.next().await {
            let piece = piece?;
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| broken("body changed its size".to_owned()))?;
            self.stream.out().extend_from_slice(&std::mem::replace(&mut last, piece));
            if self.stream.out().len() >= BLOCK {
                self.flush().await?;
            }
        }
        if left > 0 {
            return Err(broken("body changed its size".to_owned()));
        }
        before_dot.await?;
        self.stream.out().extend_from_slice(&last);
        self.flush().await?;
        self.read_reply(self.timeouts.dot).await
    }

    /// Ends a transaction that was not finished, so that the connection can have another.
    ///
    /// # Errors
    ///
    /// The connection is of no use.
    pub async fn reset(&mut self) -> Result<(), Failure> {
        super::expect("RSET", &self.command(&Command::Rset).await?)
    }
}

/// What a reply means for a recipient; of a positive one, its beginning.
fn outcome(stage: &str, reply: &Reply) -> RecipientReply {
    if !reply.is_positive() {
        return Err(Failure::reply(stage, reply));
    }
    let text = brief(reply.lines().join(" "));
    Ok(match reply.enhanced {
        Some(enhanced) => Reply::new(reply.code, enhanced, text),
        None => Reply::plain(reply.code, text),
    })
}

fn needs_smtputf8(rcpt: &Rcpt) -> bool {
    rcpt.to.mailbox().is_some_and(Mailbox::needs_smtputf8)
}

/// RFC 6531 §3.5, §3.7.4: 5.6.7.
fn no_smtputf8() -> Failure {
    Failure::permanent(Enhanced::new(5, 6, 7), "remote server has no SMTPUTF8")
}

/// Only a message that came by BDAT as BINARYMIME can have bare line ends; as text it would be two messages to
/// some servers.
fn unsendable() -> Failure {
    Failure::permanent(Enhanced::new(5, 6, 11), "message has bare CR or LF")
}
