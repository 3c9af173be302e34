//! The nodes: as the store has them, and as gossip has heard of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admin::cluster::{Duties, Member, State};
use leases::{Live, Node};
use membership::{Members, Silence};
use schema::NodeId;

use super::{Observer, millis};

/// What is known of nodes from other places than the store.
struct Heard {
    members: Arc<Members>,
    silences: BTreeMap<NodeId, Silence>,
    unrenewed: BTreeMap<NodeId, Duration>,
    round_trips: BTreeMap<NodeId, Duration>,
}

impl Observer {
    /// The nodes, but for those that left with a goodbye.
    pub(super) fn members(&self, duties: &Duties) -> Vec<Member> {
        let mesh = &self.0.sights.mesh;
        let situation = Arc::clone(&mesh.ownership.situation().borrow());
        let gossip = mesh.membership.as_ref();
        let heard = Heard {
            members: gossip.map(membership::Membership::members).unwrap_or_default(),
            silences: gossip.map(membership::Membership::silences).unwrap_or_default(),
            unrenewed: mesh.ownership.unrenewed_others(),
            round_trips: mesh.rpc.as_ref().map(rpc::Rpc::round_trips).unwrap_or_default(),
        };
        let known = self.0.samples.lock().nodes.clone();
        let of_live = situation.live.iter().map(|(id, live)| (*id, (&live.node, Some(live), true)));
        let mut nodes: BTreeMap<NodeId, (&Node, Option<&Live>, bool)> =
            known.iter().map(|(id, node, had)| (*id, (node, None, *had))).collect();
        nodes.extend(of_live);
        let seen = nodes.into_iter().filter_map(|(id, (node, live, had))| {
            let state = state(node, live, had, heard.members.alive.get(&id));
            let site = situation.sites.state_of(node);
            (state != State::Left)
                .then(|| Member { site: site.name().to_owned(), ..member(id, node, state, &heard, duties) })
        });
        seen.collect()
    }
}

/// What a node is about. `had`: whether it had a lease when its record was read.
fn state(node: &Node, live: Option<&Live>, had: bool, gossip: Option<&membership::Member>) -> State {
    match live {
        Some(live) if live.draining => State::Draining,
        Some(_) => match gossip.map(|member| member.state) {
            Some(membership::State::Joining) => State::Joining,
            Some(membership::State::Draining | membership::State::Leaving) => State::Draining,
            _ => State::Online,
        },
        None if node.left => State::Left,
        // It has lost its lease since its record was read, which says in a moment how.
        None if had => State::Draining,
        None => State::Down,
    }
}

fn member(id: NodeId, node: &Node, state: State, heard: &Heard, duties: &Duties) -> Member {
    let told = heard.members.alive.get(&id).or_else(|| heard.members.dead.get(&id));
    let dead = heard.members.dead.contains_key(&id);
    let silence = heard.silences.get(&id);
    Member {
        id: id.0,
        name: node.name.clone(),
        zone: node.zone.clone(),
        region: node.region.clone(),
        version: node.version.clone(),
        levels: [node.level_min, node.level_max],
        roles: node.roles.clone(),
        state,
        site: String::new(),
        alive: told.map(|_| !dead),
        phi: silence.map(|silence| silence.phi),
        silence: silence.map(|silence| millis(silence.lasted)),
        unrenewed: heard.unrenewed.get(&id).map(|time| millis(*time)),
        load: told.map(|member| member.load),
        round_trip: heard.round_trips.get(&id).map(|time| time.as_secs_f64() * 1000.0),
        duties: duties.held.iter().find(|held| held.node == id.0).map_or(0, |held| held.duties),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_without_a_goodbye_is_down() {
        let node = |left| Node { left, ..Node::default() };
        let live = |draining| Live { epoch: 1, draining, node: node(false) };
        assert_eq!(state(&node(false), Some(&live(false)), true, None), State::Online);
        assert_eq!(state(&node(false), Some(&live(true)), true, None), State::Draining);
        assert_eq!(state(&node(true), None, false, None), State::Left);
        assert_eq!(state(&node(false), None, false, None), State::Down);
        assert_eq!(state(&node(false), None, true, None), State::Draining, "nobody knows yet");
    }
}
