//! A node whose store is not there yet: the probes say why, and it is tried again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kv::Database;
use net::{Gate, Limits};
use runtime::{CancellationToken, SharedClock, SharedRng};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::{http, store, systemd};

/// The pause between two attempts.
const RETRY: Duration = Duration::from_secs(2);

/// Opens the store of a node that serves.
///
/// One that is on this machine, or that nobody could ask about, is an error at once. For one on other machines the
/// node stays, not ready, until the store can be opened or a signal ends it.
pub(crate) async fn for_store(
    config: &Config,
    clock: &SharedClock,
    rng: &SharedRng,
) -> anyhow::Result<Database> {
    let open = || store::open(&config.store, &config.data, clock, rng);
    let error = match open().await {
        Err(error) if waits(config, &config.data) => error,
        outcome => return outcome,
    };
    let (reason, told) = watch::channel(format!("store: {error:#}"));
    let gate = Gate::new(Limits { exempt: net::Network::loopback(), ..Limits::default() });
    let (stop, mut probes) = (CancellationToken::new(), JoinSet::new());
    for address in &config.listeners.admin {
        let socket = TcpListener::bind(address).await;
        let socket = socket.with_context(|| format!("cannot listen on {address} for admin"))?;
        let told = told.clone();
        let router = admin::waiting(Arc::new(move || told.borrow().clone()));
        probes.spawn(http::serve(socket, router, Arc::clone(&gate), stop.clone()));
    }
    tracing::error!(reason = %*told.borrow(), "the store cannot be opened; trying again");
    systemd::say(systemd::Word::Waiting(&told.borrow()));
    let db = loop {
        tokio::time::sleep(RETRY).await;
        match open().await {
            Ok(db) => break db,
            Err(error) => {
                let text = format!("store: {error:#}");
                if reason.send_if_modified(|last| std::mem::replace(last, text.clone()) != text) {
                    systemd::say(systemd::Word::Waiting(&text));
                    tracing::error!(reason = text, "the store cannot be opened; trying again");
                }
            }
        }
    };
    // The admin listeners come back with everything on them.
    stop.cancel();
    while probes.join_next().await.is_some() {}
    Ok(db)
}

fn waits(config: &Config, data: &Path) -> bool {
    !config.listeners.admin.is_empty() && store::is_remote(&config.store, data)
}
