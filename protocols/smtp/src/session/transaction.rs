//! A mail transaction: its envelope, its chunks, its end.

use smtp_proto::data::{Findings, LineCheck};
use smtp_proto::{Enhanced, Mail, Reply};

use super::intake::Intake;
use super::{End, Session};
use crate::{Envelope, Role, Verdict, metric};

/// What MAIL opened.
pub(crate) struct Transaction {
    pub(crate) envelope: Envelope,
    /// What came by BDAT so far.
    pub(crate) chunks: Option<Chunks>,
}

/// A message that comes in chunks.
pub(crate) struct Chunks {
    pub(crate) intake: Intake,
    pub(crate) lines: LineCheck,
}

impl Transaction {
    pub(crate) fn new(mail: Mail) -> Self {
        let envelope = Envelope { from: mail.from, params: mail.params, recipients: Vec::new() };
        Self { envelope, chunks: None }
    }
}

impl Session {
    /// The message is read: refuses it or has it accepted, and answers.
    pub(crate) async fn complete(
        &mut self,
        envelope: Envelope,
        intake: Intake,
        findings: Findings,
    ) -> Result<(), End> {
        let (recipients, octets) = (envelope.recipients.len(), intake.size());
        let outcome = self.judge(envelope, intake, findings).await;
        let (replies, close) = match outcome {
            Ok(replies) => (replies, false),
            Err(Verdict::Close(reply)) => (vec![reply], true),
            Err(Verdict::Refuse(reply)) => (vec![reply], false),
            Err(Verdict::Accept) => (Vec::new(), false),
        };
        // RFC 2033 §4.2: LMTP has a reply for each accepted recipient, in order.
        let wanted = if self.info.role == Role::Lmtp { recipients } else { 1 };
        let common = replies.last().cloned().unwrap_or_else(silence);
        let replies = replies.iter().chain(std::iter::repeat(&common)).take(wanted);
        let mut accepted = false;
        for reply in replies {
            metric::message(self.info.role, reply, octets);
            accepted |= reply.is_positive();
            self.reply(reply);
        }
        if close {
            return Err(End::Said);
        }
        if accepted {
            self.commands = 0;
            self.errors = 0;
            return Ok(());
        }
        self.count_error()
    }

    async fn judge(
        &self,
        envelope: Envelope,
        intake: Intake,
        findings: Findings,
    ) -> Result<Vec<Reply>, Verdict> {
        let (writer, headers) = intake.finish().await.map_err(Verdict::Refuse)?;
        check_lines(findings).map_err(Verdict::Refuse)?;
        // RFC 5321 §6.3: a large count of Received fields is a loop; RFC 3463 X.4.6.
        if headers.received > self.server.config.max_hops {
            return Err(Verdict::Refuse(Reply::new(
                554,
                Enhanced::new(5, 4, 6),
                "Too many hops, this is a loop",
            )));
        }
        match self.server.policy.data(&self.info, &envelope, &headers).await {
            Verdict::Accept => Ok(writer.accept(&self.info, envelope, &headers).await),
            refusal => Err(refusal),
        }
    }

    /// Opens the intake of the current transaction.
    pub(crate) async fn open_intake(&self, envelope: &Envelope) -> Result<Intake, Reply> {
        Intake::open(&self.server, &self.context.clock, &self.info, envelope).await
    }
}

/// RFC 5321 §2.3.8: CR and LF only as CRLF, and no NUL (RFC 5322 §2.2, obsolete since RFC 2822). The message was
/// read to its true end; passed on, another server could read two messages in it.
fn check_lines(findings: Findings) -> Result<(), Reply> {
    if findings.bare_line_end() {
        return Err(Reply::new(550, Enhanced::new(5, 6, 11), "Bare CR or LF in the message"));
    }
    if findings.nul {
        return Err(Reply::new(550, Enhanced::new(5, 6, 0), "NUL in the message"));
    }
    Ok(())
}

/// What is said when the acceptor said nothing.
fn silence() -> Reply {
    Reply::new(451, Enhanced::new(4, 3, 0), "Try again later")
}
