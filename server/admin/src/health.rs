//! What the probes say: alive, started, ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use futures::future::BoxFuture;
use runtime::Shutdown;

use crate::Admin;

/// A look at something the node needs: `Err` says what is wrong with it.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How long a probe may take before it counts as failed.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// The node's state as probes see it.
#[derive(Clone)]
pub struct Health {
    started: Arc<AtomicBool>,
    shutdown: Shutdown,
    probes: Arc<[(&'static str, Probe)]>,
    others: Arc<[(&'static str, Probe)]>,
}

impl Health {
    /// A node that has not started yet, with what it needs to be ready, and what it can do without for a while.
    pub fn new(
        shutdown: Shutdown,
        probes: Vec<(&'static str, Probe)>,
        others: Vec<(&'static str, Probe)>,
    ) -> Self {
        Self { started: Arc::default(), shutdown, probes: probes.into(), others: others.into() }
    }

    /// Every listener accepts.
    pub fn started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Cancelled when the node begins to go down.
    pub(crate) fn drain(&self) -> &runtime::CancellationToken {
        &self.shutdown.drain
    }

    fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// What keeps the node from being ready, nothing if it is.
    async fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.has_started() {
            reasons.push("starting".to_owned());
        }
        if self.shutdown.is_announced() {
            reasons.push("draining".to_owned());
        }
        reasons.extend(failing(&self.probes).await);
        reasons
    }
}

/// What is wrong, by the probes that fail.
async fn failing(probes: &[(&'static str, Probe)]) -> Vec<String> {
    let mut reasons = Vec::new();
    for (name, probe) in probes {
        match tokio::time::timeout(PROBE_TIME, probe()).await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => reasons.push(format!("{name}: {reason}")),
            Err(_) => reasons.push(format!("{name}: no answer within {PROBE_TIME:?}")),
        }
    }
    reasons
}

/// What the admin listener says before there is anything to administer: alive, not started, not ready because of what
/// `reason` says.
pub fn waiting(reason: Arc<dyn Fn() -> String + Send + Sync>) -> Router {
    let not_ready = move || std::future::ready((StatusCode::SERVICE_UNAVAILABLE, reason() + "\n"));
    Router::new()
        .route("/livez", get(live))
        .route("/startupz", get(not_ready.clone()))
        .route("/readyz", get(not_ready.clone()))
        .fallback(not_ready)
}

/// The process runs and answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// The node has started once.
pub(crate) async fn startup(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.health.has_started() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

/// The node wants new clients: it has started, does not drain, and its store answers. What else is wrong stands below.
pub(crate) async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    let reasons = admin.health.reasons().await;
    if reasons.is_empty() {
        let lines = [vec!["ok".to_owned()], failing(&admin.health.others).await].concat();
        return (StatusCode::OK, lines.join("\n") + "\n");
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}
