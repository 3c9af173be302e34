//! RCPT (RFC 5321 §4.1.1.3).

use smtp_proto::{Enhanced, Mailbox, Rcpt, Reply, SyntaxError};

use super::{End, Session};
use crate::{Recipient, RecipientVerdict};

impl Session {
    pub(crate) async fn rcpt(&mut self, rcpt: Rcpt) -> Result<(), End> {
        let Some(transaction) = self.transaction.as_deref() else { return Ok(()) };
        let envelope = &transaction.envelope;
        if envelope.recipients.len() >= self.server.config.max_recipients {
            // RFC 5321 §4.5.3.1.10: 452, so that the client sends the rest in another transaction.
            // It is no error of the client's, who may have sent them all before it saw the first reply.
            self.reply(&Reply::new(452, Enhanced::new(4, 5, 3), "Too many recipients"));
            return Ok(());
        }
        // RFC 6531 §3.5: such an address needs the SMTPUTF8 of MAIL.
        if !envelope.params.smtputf8 && rcpt.to.mailbox().is_some_and(Mailbox::needs_smtputf8) {
            return self.refuse(&SyntaxError::NeedsSmtpUtf8.reply());
        }
        let verdict = self.server.policy.rcpt(&self.info, envelope, &rcpt).await;
        if self.obey(verdict)?.is_err() {
            return Ok(());
        }
        let Some(transaction) = self.transaction.as_deref_mut() else { return Ok(()) };
        let verdict = self.server.acceptor.recipient(&self.info, &transaction.envelope, &rcpt).await;
        match verdict {
            RecipientVerdict::Local | RecipientVerdict::Relay => {
                transaction.envelope.recipients.push(Recipient { path: rcpt.to, params: rcpt.params });
                self.reply(&verdict.reply());
                Ok(())
            }
            _ => self.refuse(&verdict.reply()),
        }
    }
}
