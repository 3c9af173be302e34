//! DATA (RFC 5321 §4.1.1.4).

use smtp_proto::data::{Decoder, Step};
use smtp_proto::{BodyType, Enhanced, Reply};

use super::intake::{Intake, too_large};
use super::{End, Session};

impl Session {
    pub(crate) async fn data(&mut self) -> Result<(), End> {
        let Some(transaction) = self.transaction.as_deref() else { return Ok(()) };
        // RFC 3030 §3: BINARYMIME only with BDAT.
        if transaction.envelope.params.body == Some(BodyType::BinaryMime) {
            return self.refuse(&Reply::new(503, Enhanced::new(5, 5, 1), "BINARYMIME needs BDAT"));
        }
        let mut intake = match self.open_intake(&transaction.envelope).await {
            Ok(intake) => intake,
            Err(reply) => {
                self.transaction = None;
                return self.refuse(&reply);
            }
        };
        self.reply(&Reply::plain(354, "End with CRLF.CRLF"));
        let mut decoder = Decoder::new();
        self.stream(&mut decoder, &mut intake).await?;
        match self.transaction.take() {
            Some(transaction) => self.complete(transaction.envelope, intake, decoder.findings()).await,
            None => Ok(()),
        }
    }

    /// Reads up to the true end of the message, whatever became of it on the way.
    async fn stream(&mut self, decoder: &mut Decoder, intake: &mut Intake) -> Result<(), End> {
        let timeouts = self.server.config.timeouts;
        self.wait_at_most(timeouts.block, timeouts.message);
        loop {
            let buffer = self.conn.buffer();
            let mut input = buffer;
            let ended = loop {
                match decoder.next(&mut input) {
                    Step::Piece(piece) => intake.push(piece).await,
                    Step::More => break false,
                    Step::End => break true,
                }
            };
            let used = buffer.len() - input.len();
            self.conn.consume(used);
            if ended {
                return Ok(());
            }
            if intake.is_hopeless() {
                self.reply(&too_large());
                return Err(End::Said);
            }
            self.fill().await?;
        }
    }
}
