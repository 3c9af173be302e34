//! Connections that are kept for the next message to the same destination.

use parking_lot::Mutex;

use super::client::Client;

/// Connections that are kept at once.
const KEPT: usize = 8;
/// Messages over one connection.
const PER_CONNECTION: u32 = 100;

struct Kept {
    domain: String,
    client: Client,
}

/// The connections that a slot keeps.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Kept>>);

impl Pool {
    pub(super) fn take(&self, domain: &str) -> Option<Client> {
        let mut kept = self.0.lock();
        let at = kept.iter().position(|kept| kept.domain == domain)?;
        Some(kept.remove(at).client)
    }

    /// Whether a connection is kept that leads there.
    pub(super) fn has(&self, domain: &str) -> bool {
        self.0.lock().iter().any(|kept| kept.domain == domain)
    }

    /// Keeps a connection, and gives back one that is to be closed for it.
    pub(super) fn keep(&self, domain: &str, client: Client) -> Option<Client> {
        if client.transactions() >= PER_CONNECTION {
            return Some(client);
        }
        let mut kept = self.0.lock();
        kept.push(Kept { domain: domain.to_owned(), client });
        // The one that waited longest.
        (kept.len() > KEPT).then(|| kept.remove(0).client)
    }

    /// Closes all.
    pub(super) async fn close(&self) {
        let kept = std::mem::take(&mut *self.0.lock());
        futures::future::join_all(kept.into_iter().map(|kept| kept.client.quit())).await;
    }
}
