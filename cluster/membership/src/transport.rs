//! chitchat's messages over sealed datagrams.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable, Serializable};
use runtime::SharedRng;
use tokio::sync::watch;

use crate::metrics;
use crate::network::{DATAGRAM, Datagrams, Network};
use crate::pieces::{Cutter, Pieces};
use crate::seal::{Keyring, Seal};

/// What chitchat opens its socket with.
pub(crate) struct Sealed {
    pub network: Arc<dyn Network>,
    pub keys: watch::Receiver<Arc<Keyring>>,
    pub rng: SharedRng,
}

#[async_trait]
impl Transport for Sealed {
    async fn open(&self, address: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        Ok(Box::new(SealedSocket {
            datagrams: self.network.bind(address).await?,
            seal: Seal::new(self.keys.clone(), &self.rng),
            cutter: Cutter::new()?,
            pieces: Pieces::new()?,
            buffer: vec![0; DATAGRAM + 1],
        }))
    }
}

struct SealedSocket {
    datagrams: Box<dyn Datagrams>,
    seal: Seal,
    cutter: Cutter,
    pieces: Pieces,
    buffer: Vec<u8>,
}

#[async_trait]
impl Socket for SealedSocket {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        for piece in self.cutter.cut(&message.serialize_to_vec()) {
            let Some(datagram) = self.seal.seal(&piece) else { continue };
            metrics::sent(datagram.len());
            self.datagrams.send(to, &datagram).await?;
        }
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            let (len, from) = self.datagrams.receive(&mut self.buffer).await?;
            metrics::received(len);
            let Some((sender, piece)) = self.buffer.get(..len).and_then(|datagram| self.seal.open(datagram))
            else {
                metrics::dropped("seal");
                continue;
            };
            let Some(message) = self.pieces.take(sender, &piece) else { continue };
            match ChitchatMessage::deserialize(&mut &message[..]) {
                Ok(message) => return Ok((from, message)),
                // A node of another version says what this one does not know.
                Err(_) => metrics::dropped("message"),
            }
        }
    }
}
