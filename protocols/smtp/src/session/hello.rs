//! EHLO, HELO, LHLO (RFC 5321 §4.1.1.1, RFC 2033 §4.1).

use smtp_proto::{ClientName, Reply};

use super::keywords::{Offer, lines};
use super::{End, Session};

impl Session {
    /// RFC 5321 §4.1.4: a hello ends a transaction as RSET does.
    pub(crate) async fn hello(&mut self, name: ClientName, extended: bool) -> Result<(), End> {
        self.transaction = None;
        self.info.hello = Some(name);
        self.info.extended = extended;
        let verdict = self.server.policy.hello(&self.info).await;
        if self.obey(verdict)?.is_err() {
            self.info.hello = None;
            return Ok(());
        }
        let mut reply = Reply::plain(250, format!("{} at your service", self.server.config.hostname));
        if extended {
            let mechanisms = self.mechanisms();
            let offer = Offer {
                config: &self.server.config,
                session: &self.info,
                tls_available: self.context.tls.is_some(),
                mechanisms,
            };
            reply = lines(&offer).fold(reply, Reply::line);
        }
        self.reply(&reply);
        Ok(())
    }
}
