//! MAIL (RFC 5321 §4.1.1.2).

use smtp_proto::{Enhanced, Mail, Reply};

use super::intake::too_large;
use super::{End, Session, Transaction};

impl Session {
    pub(crate) async fn mail(&mut self, mail: Mail) -> Result<(), End> {
        // RFC 1870 §6.1: what is announced too large is refused now.
        if mail.params.size.is_some_and(|size| size > self.server.config.max_message) {
            return self.refuse(&too_large());
        }
        let verdict = self.server.policy.mail_from(&self.info, &mail).await;
        if self.obey(verdict)?.is_err() {
            return Ok(());
        }
        self.transaction = Some(Box::new(Transaction::new(mail)));
        self.reply(&Reply::new(250, Enhanced::new(2, 1, 0), "Sender ok"));
        Ok(())
    }
}
