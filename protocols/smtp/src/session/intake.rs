//! A message on its way from the wire into the body writer.

use std::sync::Arc;

use runtime::{SharedClock, Timestamp};
use smtp_proto::{Enhanced, Reply};

use super::Server;
use crate::header::HeaderScan;
use crate::{BodyWriter, Envelope, HeaderFacts, Role, SessionInfo, trace};

/// A header is held back up to this size to add what a submitted message lacks; nothing is added to a larger one.
const HELD: usize = 64 << 10;

/// One message that is being read. Once it failed, the rest of it is read and dropped.
pub(crate) struct Intake {
    server: Arc<Server>,
    writer: Result<Box<dyn BodyWriter>, Reply>,
    scan: HeaderScan,
    /// The header of a submitted message, until it is whole.
    held: Option<Vec<u8>>,
    id: u64,
    came: Timestamp,
    size: u64,
}

impl Intake {
    /// Opens a writer for a complete envelope. The Received field is written first; under submission, with the
    /// header.
    pub(crate) async fn open(
        server: &Arc<Server>,
        clock: &SharedClock,
        session: &SessionInfo,
        envelope: &Envelope,
    ) -> Result<Self, Reply> {
        let mut writer = server.acceptor.body(session, envelope).await?;
        let (id, came) = (server.rng.u64(), clock.now());
        let received = trace::received(&server.config, session, envelope, id, came);
        writer.write(received.as_bytes()).await?;
        let held = (session.role == Role::Submission).then(Vec::new);
        let (server, scan) = (Arc::clone(server), HeaderScan::default());
        Ok(Self { server, writer: Ok(writer), scan, held, id, came, size: 0 })
    }

    /// An intake that only drops: what follows a refused BDAT.
    pub(crate) fn refused(server: &Arc<Server>, reply: Reply) -> Self {
        let (server, scan) = (Arc::clone(server), HeaderScan::default());
        Self { server, writer: Err(reply), scan, held: None, id: 0, came: Timestamp::EPOCH, size: 0 }
    }

    /// Octets of the message so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Why the message will be refused, if it will.
    pub(crate) fn failure(&self) -> Option<&Reply> {
        self.writer.as_ref().err()
    }

    /// Refuses the message, unless it is refused already. What was written is dropped now.
    pub(crate) fn fail(&mut self, reply: Reply) {
        if self.writer.is_ok() {
            self.writer = Err(reply);
            self.held = None;
        }
    }

    /// Whether so much came after the limit that reading on is no service to anybody.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.size / 2 > self.server.config.max_message
    }

    /// Adds the next octets of the message.
    pub(crate) async fn push(&mut self, octets: &[u8]) {
        self.size = self.size.saturating_add(octets.len() as u64);
        if self.size > self.server.config.max_message {
            return self.fail(too_large());
        }
        if self.writer.is_err() {
            return;
        }
        self.scan.look(octets);
        match &mut self.held {
            None => self.write(octets).await,
            Some(held) => {
                held.extend_from_slice(octets);
                if self.scan.ended() || held.len() > HELD {
                    self.release().await;
                }
            }
        }
    }

    /// Writes the header that was held back, after the fields it lacks.
    async fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        if held.len() <= HELD || self.scan.ended() {
            let missing = trace::missing(&self.server.config, self.scan.facts(), self.id, self.came);
            self.write(missing.as_bytes()).await;
        }
        self.write(&held).await;
    }

    async fn write(&mut self, octets: &[u8]) {
        if let Ok(writer) = &mut self.writer
            && let Err(reply) = writer.write(octets).await
        {
            self.fail(reply);
        }
    }

    /// The message is whole: its writer and what its header has, or why it is refused.
    pub(crate) async fn finish(mut self) -> Result<(Box<dyn BodyWriter>, HeaderFacts), Reply> {
        self.release().await;
        let facts = self.scan.facts().clone();
        self.writer.map(|writer| (writer, facts))
    }
}

/// RFC 1870 §6.3 and RFC 3463 §3.4.
pub(crate) fn too_large() -> Reply {
    Reply::new(552, Enhanced::new(5, 3, 4), "Message too large")
}
