//! The node's site: while its zone or region is not to serve, the node is not ready, and sends its clients away if it is to.
//!
//! It sees that with its leases ([`leases::Situation::sites`]), which also move its duties. It stays, serves whoever comes
//! all the same, and is ready again when the site is online.

use std::sync::Arc;
use std::time::Duration;

use admin::Probe;
use leases::{Situation, Standing};
use net::Gate;
use ownership::Ownership;
use runtime::{Supervisor, TaskKind};
use schema::SiteState;
use tokio::sync::watch;

/// Between two farewells: whoever came meanwhile is asked again to go elsewhere.
const AGAIN: Duration = Duration::from_secs(30);

/// What this node's site is to do, as it saw it last.
#[derive(Clone)]
pub(crate) struct Place(watch::Sender<SiteState>);

impl Default for Place {
    fn default() -> Self {
        Place(watch::Sender::new(SiteState::Online))
    }
}

impl Place {
    /// Says why the node is not ready, if its site does not serve.
    pub(crate) fn probe(&self) -> Probe {
        let state = self.0.clone();
        Arc::new(move || {
            let state = *state.borrow();
            let outcome = if state.serves() { Ok(()) } else { Err(state.name().to_owned()) };
            Box::pin(std::future::ready(outcome))
        })
    }

    /// Follows what the store says, until the drain.
    pub(crate) fn watch(
        &self,
        ownership: &Ownership,
        gate: &Arc<Gate>,
        lb_grace: impl Fn() -> Duration + Send + 'static,
        supervisor: &Supervisor,
    ) {
        let (state, drain) = (self.0.clone(), supervisor.shutdown().drain.clone());
        let (situation, standing) = (ownership.situation(), ownership.standing());
        let told = state.subscribe();
        let gate = Arc::clone(gate);
        supervisor.spawn(TaskKind::Background, "site", async move {
            tokio::select! {
                () = follow(situation, standing, state) => {}
                () = evacuations(told, gate, lb_grace) => {}
                () = drain.cancelled() => {}
            }
        });
    }
}

async fn follow(
    mut situation: watch::Receiver<Arc<Situation>>,
    standing: watch::Receiver<Option<Standing>>,
    state: watch::Sender<SiteState>,
) {
    loop {
        let me = *standing.borrow();
        if let Some(me) = me {
            let seen = situation.borrow_and_update().site_state(me.node);
            state.send_if_modified(|state| {
                let differs = *state != seen;
                if differs {
                    tracing::info!(from = state.name(), to = seen.name(), "this node's site");
                    *state = seen;
                }
                differs
            });
        }
        if situation.changed().await.is_err() {
            return;
        }
    }
}

/// Sends clients away while they are to be sent away: first when balancers have had their time, then again and again.
async fn evacuations(
    mut state: watch::Receiver<SiteState>,
    gate: Arc<Gate>,
    lb_grace: impl Fn() -> Duration,
) {
    while state.wait_for(|state| state.sends_away()).await.is_ok() {
        let mut online = state.clone();
        tokio::select! {
            _ = online.wait_for(|state| !state.sends_away()) => {}
            () = farewells(&gate, lb_grace()) => {}
        }
    }
}

async fn farewells(gate: &Arc<Gate>, lb_grace: Duration) {
    tokio::time::sleep(lb_grace).await;
    loop {
        gate.evacuate().await;
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leases::{Live, Node, SiteSetting};
    use schema::{NodeId, Site, SiteKind};

    const ME: Standing = Standing { node: NodeId(1), epoch: 1 };

    fn seen(state: SiteState) -> Arc<Situation> {
        let node = Node { region: "east".into(), ..Node::default() };
        let live = [(ME.node, Live { epoch: 1, draining: false, node })].into();
        let site = Site { kind: SiteKind::Region, name: "east".into() };
        let setting = SiteSetting { state: state.number(), ..SiteSetting::default() };
        Arc::new(Situation { live, sites: [(site, setting)].into_iter().collect(), ..Situation::default() })
    }

    #[tokio::test]
    async fn readiness_follows_the_store() {
        let place = Place::default();
        assert_eq!(place.probe()().await, Ok(()));
        let (store, standing) =
            (watch::Sender::new(seen(SiteState::Evacuating)), watch::Sender::new(Some(ME)));
        let mut told = place.0.subscribe();
        tokio::spawn(follow(store.subscribe(), standing.subscribe(), place.0.clone()));
        told.wait_for(|state| state.sends_away()).await.unwrap();
        assert_eq!(place.probe()().await, Err("evacuating".to_owned()));
        store.send_replace(seen(SiteState::Standby));
        told.wait_for(|state| *state == SiteState::Standby).await.unwrap();
        assert_eq!(place.probe()().await, Err("standby".to_owned()));
        store.send_replace(Arc::default());
        told.wait_for(|state| state.serves()).await.unwrap();
        assert_eq!(place.probe()().await, Ok(()));
    }
}
