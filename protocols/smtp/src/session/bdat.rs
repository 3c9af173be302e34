//! BDAT (RFC 3030 §2).

use smtp_proto::data::{Chunk, Findings, LineCheck};
use smtp_proto::{Bdat, BodyType, Enhanced, Reply};

use super::intake::{Intake, too_large};
use super::transaction::Chunks;
use super::{End, Session};

impl Session {
    pub(crate) async fn bdat(&mut self, bdat: Bdat) -> Result<(), End> {
        let Some(mut transaction) = self.transaction.take() else { return Ok(()) };
        let mut chunks = match transaction.chunks.take() {
            Some(chunks) => chunks,
            None => {
                let intake = self.open_intake(&transaction.envelope).await;
                let intake = intake.unwrap_or_else(|reply| Intake::refused(&self.server, reply));
                Chunks { intake, lines: LineCheck::default() }
            }
        };
        if chunks.intake.size().saturating_add(bdat.size) > self.server.config.max_message {
            chunks.intake.fail(too_large());
        }
        let binary = transaction.envelope.params.body == Some(BodyType::BinaryMime);
        // The transaction is open while its chunk comes: a drain waits for it.
        self.transaction = Some(transaction);
        self.take_chunk(bdat, &mut chunks).await?;
        if bdat.last {
            // RFC 3030 §3: under BINARYMIME octets are octets.
            let findings = if binary { Findings::default() } else { chunks.lines.finish() };
            let Some(transaction) = self.transaction.take() else { return Ok(()) };
            return self.complete(transaction.envelope, chunks.intake, findings).await;
        }
        let reply = match chunks.intake.failure() {
            // RFC 3030 §2: after a failure the client sends RSET; further chunks are refused the same way.
            Some(failure) => failure.clone(),
            None => Reply::new(250, Enhanced::new(2, 0, 0), format!("{} octets received", bdat.size)),
        };
        if let Some(transaction) = &mut self.transaction {
            transaction.chunks = Some(chunks);
        }
        if reply.is_positive() {
            self.reply(&reply);
            return Ok(());
        }
        self.refuse(&reply)
    }

    /// RFC 3030 §2: the octets of a refused chunk are read and dropped before the reply.
    pub(crate) async fn refuse_chunk(&mut self, bdat: Bdat, reply: Reply) -> Result<(), End> {
        let intake = Intake::refused(&self.server, reply.clone());
        let mut chunks = Chunks { intake, lines: LineCheck::default() };
        Box::pin(self.take_chunk(bdat, &mut chunks)).await?;
        self.refuse(&reply)
    }

    async fn take_chunk(&mut self, bdat: Bdat, chunks: &mut Chunks) -> Result<(), End> {
        let timeouts = self.server.config.timeouts;
        self.wait_at_most(timeouts.block, timeouts.message);
        // Nobody waits for the end of a chunk that is far too large.
        if bdat.size / 2 > self.server.config.max_message {
            self.reply(&too_large());
            return Err(End::Said);
        }
        let mut chunk = Chunk::new(bdat);
        loop {
            let buffer = self.conn.buffer();
            let mut input = buffer;
            let piece = chunk.take(&mut input);
            if !piece.is_empty() {
                chunks.lines.look(piece);
                chunks.intake.push(piece).await;
            }
            let used = buffer.len() - input.len();
            self.conn.consume(used);
            if chunk.is_done() {
                return Ok(());
            }
            if chunks.intake.is_hopeless() {
                self.reply(&too_large());
                return Err(End::Said);
            }
            self.fill().await?;
        }
    }
}
