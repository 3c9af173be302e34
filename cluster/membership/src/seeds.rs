//! Whom to ask first, and whom to ask again.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use leases::Leases;

/// Where other nodes may be found.
#[derive(Clone, Default)]
pub struct Seeds {
    /// `address:port` or `name:port`, as configured; none is needed where there is a store.
    pub configured: Vec<String>,
    /// The store, which knows the nodes that have a lease.
    pub store: Option<Leases>,
}

impl Seeds {
    /// All addresses there are at present. What cannot be asked is left out.
    pub(crate) async fn addresses(&self) -> BTreeSet<SocketAddr> {
        let mut addresses = BTreeSet::new();
        for seed in &self.configured {
            match tokio::net::lookup_host(seed).await {
                Ok(found) => addresses.extend(found),
                Err(error) => tracing::warn!(seed, %error, "seed not found"),
            }
        }
        if let Some(leases) = &self.store {
            match leases.situation(&[]).await {
                Ok(situation) => {
                    let known = situation.live.values().filter_map(|live| live.node.gossip.parse().ok());
                    addresses.extend(known.collect::<Vec<SocketAddr>>());
                }
                Err(error) => tracing::warn!(%error, "nodes not read from the store"),
            }
        }
        addresses
    }
}
