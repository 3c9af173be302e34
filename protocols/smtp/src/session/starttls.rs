//! STARTTLS (RFC 3207).

use smtp_proto::{Enhanced, Framer, Reply};

use super::{End, Session};

impl Session {
    pub(crate) async fn start_tls(&mut self) -> Result<(), End> {
        if self.conn.is_tls() {
            return self.refuse(&Reply::new(503, Enhanced::new(5, 5, 1), "TLS is on already"));
        }
        let Some(acceptor) = self.context.tls.clone() else {
            // RFC 3207 §4: 454, TLS not available due to temporary reason; here it is not announced either.
            return self.refuse(&Reply::new(454, Enhanced::new(4, 7, 0), "TLS not available"));
        };
        // A command behind STARTTLS in one packet was put there by somebody who wants it to run after the
        // handshake (command injection): RFC 3207 §4.2 has it discarded, and nobody honest is sent away.
        if !self.conn.buffer().is_empty() {
            self.reply(&Reply::new(501, Enhanced::new(5, 5, 4), "No command may follow STARTTLS"));
            return Err(End::Said);
        }
        self.reply(&Reply::new(220, Enhanced::new(2, 0, 0), "Go on with TLS"));
        match self.conn.start_tls(&acceptor).await {
            Ok(0) => {}
            Ok(_) | Err(_) => return Err(End::Gone),
        }
        // RFC 3207 §4.2: "the server MUST discard any knowledge obtained from the client".
        self.info.tls = self.conn.tls_info();
        self.info.hello = None;
        self.info.extended = false;
        self.info.identity = None;
        self.transaction = None;
        self.framer = Framer::new();
        Ok(())
    }
}
