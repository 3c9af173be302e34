//! The node's part in the gossip.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, NodeState, spawn_chitchat,
};
use data_encoding::HEXLOWER;
use parking_lot::Mutex;
use runtime::{CancellationToken, SharedClock, SharedRng, Supervisor, TaskKind};
use schema::NodeId;
use tokio::sync::watch;

use crate::member::{LOAD, STATE, step};
use crate::transport::Sealed;
use crate::{Keyring, Member, Network, Seeds, State, metrics, phi};

/// How often it is looked whether nodes are missing: while none was found, and then.
const SEEK_ALONE: Duration = Duration::from_secs(1);
const SEEK: Duration = Duration::from_secs(5);

/// Missing nodes that are asked at a time.
const ASKED: usize = 8;

/// Why a node cannot gossip.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not this machine's: the operator must free or change it.
    #[error("cannot gossip at {address}: {reason}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        reason: String,
    },
}

/// What a node needs to gossip.
pub struct Config {
    /// Names the cluster: nodes of another are not heard.
    pub cluster: String,
    /// Where to listen; the member's address is what others are told.
    pub listen: SocketAddr,
    /// Between two rounds.
    pub interval: Duration,
}

impl Config {
    /// A round each second.
    pub fn new(cluster: &[u8], listen: SocketAddr) -> Config {
        Config { cluster: HEXLOWER.encode(cluster), listen, interval: Duration::from_secs(1) }
    }
}

/// Who is there, as this node has heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Heard of lately, this node among them.
    pub alive: BTreeMap<NodeId, Member>,
    /// Not heard of for too long.
    pub dead: BTreeMap<NodeId, Member>,
}

/// For how long nothing new was heard of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silence {
    /// How long it lasts.
    pub lasted: Duration,
    /// In multiples of how long it usually does.
    pub phi: f64,
}

/// The last sign of life of a run of a node.
#[derive(Debug, Clone, Copy)]
struct Heard {
    beat: u64,
    /// When it was first seen, in monotonic time.
    at: Duration,
    /// The time between two of them, as a mean in which later ones count more.
    usual: Duration,
}

impl Heard {
    fn again(self, beat: u64, now: Duration) -> Heard {
        if beat <= self.beat {
            return self;
        }
        let passed = now.saturating_sub(self.at).min(phi::LONGEST);
        Heard { beat, at: now, usual: (self.usual * 9 + passed) / 10 }
    }

    fn silence(self, now: Duration) -> Silence {
        let lasted = now.saturating_sub(self.at);
        // Who is heard of more often than all gossip is not suspicious for that.
        let usual = self.usual.max(phi::FIRST);
        Silence { lasted, phi: lasted.as_secs_f64() / usual.as_secs_f64() }
    }
}

/// This node's part in the gossip: a cheap handle.
#[derive(Clone)]
pub struct Membership {
    shared: Arc<Shared>,
}

struct Shared {
    chitchat: ChitchatHandle,
    members: watch::Sender<Arc<Members>>,
    clock: SharedClock,
    /// The last sign of life of each run of each node.
    heard: Mutex<BTreeMap<(NodeId, u64), Heard>>,
    load: Mutex<u32>,
}

impl Membership {
    /// Begins to gossip, until `supervisor` stops.
    ///
    /// # Errors
    /// [`Error::Bind`].
    pub async fn start(
        config: Config,
        me: Member,
        network: Arc<dyn Network>,
        keys: watch::Receiver<Arc<Keyring>>,
        seeds: Seeds,
        supervisor: &Supervisor,
        (clock, rng): (SharedClock, SharedRng),
    ) -> Result<Membership, Error> {
        let transport = Sealed { network, keys, rng: Arc::clone(&rng) };
        let address = config.listen;
        let chitchat = spawn_chitchat(chitchat_config(config, &me), me.facts(), &transport).await;
        let chitchat = chitchat.map_err(|error| Error::Bind { address, reason: format!("{error:#}") })?;
        let members = Members { alive: [(me.node, me.clone())].into(), ..Members::default() };
        let shared = Arc::new(Shared {
            chitchat,
            members: watch::Sender::new(Arc::new(members)),
            clock,
            heard: Mutex::default(),
            load: Mutex::new(me.load),
        });
        let membership = Membership { shared };
        let stop = supervisor.shutdown().stop.clone();
        supervisor.spawn(TaskKind::Background, "membership", membership.clone().listening(stop));
        supervisor.spawn(
            TaskKind::Background,
            "membership.seek",
            membership.clone().seeking(seeds, me.gossip, rng),
        );
        Ok(membership)
    }

    /// Who is there.
    pub fn members(&self) -> Arc<Members> {
        Arc::clone(&self.shared.members.borrow())
    }

    /// Who is there, and changes of it.
    pub fn changes(&self) -> watch::Receiver<Arc<Members>> {
        self.shared.members.subscribe()
    }

    /// Each node's silence, as of the last look ([`Membership::look`]).
    pub fn silences(&self) -> BTreeMap<NodeId, Silence> {
        let now = self.shared.clock.monotonic();
        let mut silences: BTreeMap<NodeId, Silence> = BTreeMap::new();
        for ((node, _), heard) in self.shared.heard.lock().iter() {
            let silence = heard.silence(now);
            // Of a node's runs the one that was heard of last counts.
            let known = silences.entry(*node).or_insert(silence);
            if silence.lasted < known.lasted {
                *known = silence;
            }
        }
        silences
    }

    /// Takes over what is known by now: for those who look at silences, and want them to the second.
    pub async fn look(&self) {
        self.update().await;
    }

    /// Tells others what this node is about.
    pub async fn set_state(&self, state: State) {
        self.set(STATE, state.name().to_owned()).await;
    }

    /// Tells others how busy this node is, in thousandths; they hear of it in steps.
    pub async fn set_load(&self, load: u32) {
        let told = {
            let mut told = self.shared.load.lock();
            let next = step(*told, load);
            (std::mem::replace(&mut *told, next) != next).then_some(next)
        };
        if let Some(load) = told {
            self.set(LOAD, load.to_string()).await;
        }
    }

    async fn set(&self, key: &str, value: String) {
        let set = |chitchat: &mut chitchat::Chitchat| chitchat.self_node_state().set(key, &value);
        self.shared.chitchat.with_chitchat(set).await;
        self.update().await;
    }

    /// Fails when chitchat has ended before `stop`: others take this node for dead then, though it works on.
    async fn listening(self, stop: CancellationToken) -> Result<(), String> {
        let _ending = Ending(Arc::clone(&self.shared));
        let mut live = self.shared.chitchat.chitchat().lock().await.live_nodes_watcher();
        let ended = self.shared.chitchat.termination_watcher();
        tokio::pin!(ended);
        loop {
            let why = tokio::select! {
                ended = &mut ended => ended.map_or_else(|error| error.to_string(), |()| "stopped".to_owned()),
                changed = live.changed() => match changed {
                    Ok(()) => {
                        self.update().await;
                        continue;
                    }
                    Err(_) => "stopped".to_owned(),
                },
            };
            // A process that ends drops its tasks in any order.
            return if stop.is_cancelled() { Ok(()) } else { Err(format!("gossip has ended: {why}")) };
        }
    }

    /// Takes over what chitchat knows.
    async fn update(&self) {
        let chitchat = self.shared.chitchat.chitchat();
        let chitchat = chitchat.lock().await;
        let read = |ids: &mut dyn Iterator<Item = &ChitchatId>| {
            let mut members: BTreeMap<NodeId, Member> = BTreeMap::new();
            for member in ids.filter_map(|id| member(id, chitchat.node_state(id)?)) {
                // Of a node's runs the last one counts.
                if members.get(&member.node).is_none_or(|known| known.generation < member.generation) {
                    members.insert(member.node, member);
                }
            }
            members
        };
        let alive = read(&mut chitchat.live_nodes());
        let mut dead = read(&mut chitchat.dead_nodes());
        dead.retain(|node, _| !alive.contains_key(node));
        self.hear(&chitchat);
        drop(chitchat);
        metrics::nodes(alive.len(), dead.len());
        let members = Members { alive, dead };
        self.shared.members.send_if_modified(|known| {
            let differs = **known != members;
            if differs {
                *known = Arc::new(members);
            }
            differs
        });
    }

    fn hear(&self, chitchat: &chitchat::Chitchat) {
        let now = self.shared.clock.monotonic();
        let mut heard = self.shared.heard.lock();
        let mut still = BTreeMap::new();
        for (id, state) in chitchat.node_states() {
            let Some(node) = node_of(id) else { continue };
            let (run, beat) = ((node, id.generation_id), state.heartbeat().into());
            let known = heard.get(&run).copied();
            still.insert(
                run,
                known.map_or(Heard { beat, at: now, usual: phi::FIRST }, |known| known.again(beat, now)),
            );
        }
        *heard = still;
    }

    /// Asks those that are not alive to this node and may well be.
    async fn seeking(self, seeds: Seeds, me: SocketAddr, rng: SharedRng) {
        loop {
            self.update().await;
            let members = self.members();
            let alive = |address: &SocketAddr| members.alive.values().any(|member| member.gossip == *address);
            let mut missing: Vec<SocketAddr> = seeds.addresses().await.into_iter().collect();
            missing.retain(|address| *address != me && !alive(address));
            for _ in 0..ASKED.min(missing.len()) {
                let at = usize::try_from(rng.below(missing.len() as u64)).unwrap_or(0);
                // Fails only if chitchat has ended.
                if self.shared.chitchat.gossip(missing.swap_remove(at)).is_err() {
                    return;
                }
            }
            tokio::time::sleep(if members.alive.len() > 1 { SEEK } else { SEEK_ALONE }).await;
        }
    }
}

/// The gossip ends with the task that listens, whoever holds a handle.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.chitchat.abort();
    }
}

impl ownership::Hints for Membership {
    /// A node that gossip has not heard of yet may have joined just now: it counts. One thought dead does not.
    fn weight(&self, node: NodeId) -> u32 {
        let members = self.members();
        match members.alive.get(&node) {
            Some(member) => member.weight(),
            None if members.dead.contains_key(&node) => 0,
            None => 100,
        }
    }
}

fn chitchat_config(config: Config, me: &Member) -> ChitchatConfig {
    ChitchatConfig {
        chitchat_id: ChitchatId::new(me.node.to_string(), me.generation, me.gossip),
        cluster_id: config.cluster,
        gossip_interval: config.interval,
        listen_addr: config.listen,
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig {
            phi_threshold: phi::THRESHOLD,
            sampling_window_size: phi::WINDOW,
            max_interval: phi::LONGEST,
            initial_interval: phi::FIRST,
            dead_node_grace_period: phi::MEMORY,
        },
        marked_for_deletion_grace_period: phi::MEMORY,
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

fn node_of(id: &ChitchatId) -> Option<NodeId> {
    id.node_id.parse().ok().map(NodeId)
}

fn member(id: &ChitchatId, state: &NodeState) -> Option<Member> {
    Member::of_facts((node_of(id)?, id.generation_id, id.gossip_advertise_addr), state.key_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_measured_by_what_is_usual() {
        let at = Duration::from_secs;
        let mut heard = Heard { beat: 1, at: at(0), usual: phi::FIRST };
        for second in 1..=50 {
            heard = heard.again(second, at(second * 3));
            // Looking again without news changes nothing.
            heard = heard.again(second, at(second * 3 + 2));
        }
        assert!((2.9..3.1).contains(&heard.usual.as_secs_f64()), "{heard:?}");
        let silence = heard.silence(at(150 + 12));
        assert_eq!(silence.lasted, at(12));
        assert!((3.9..4.2).contains(&silence.phi), "{silence:?}");
        assert!(heard.silence(at(151)).phi < 1.0);
    }
}
