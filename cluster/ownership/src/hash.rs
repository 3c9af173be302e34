//! Weighted rendezvous hashing: each node draws a time for each duty, and the first one should have it.
//!
//! A node's draw depends on nothing but itself, its weight and the duty. So a node that comes or goes moves only what it gets
//! or had, and a weight that changes moves duties only to or from its node.

use schema::{Duty, NodeId};

/// The nodes in the order in which they should have a duty, at most `places` of them. A weight of 0 takes no part.
pub fn rank(duty: Duty, candidates: &[(NodeId, u32)], places: usize) -> Vec<NodeId> {
    let subject = (u64::from(duty.kind.tag()) << 32) | u64::from(duty.number);
    first(subject, candidates.iter().copied(), places)
}

/// The nodes that `me` watches, of these: all others if they are few, else those that have it among their `watchers`.
pub fn watched(me: NodeId, nodes: &[NodeId], watchers: usize, few: usize) -> Vec<NodeId> {
    let others = nodes.iter().copied().filter(|node| *node != me);
    if nodes.len() <= few {
        return others.collect();
    }
    let watches = |node: &NodeId| {
        let candidates = nodes.iter().filter(|other| *other != node).map(|other| (*other, 1));
        first(WATCHING | u64::from(node.0), candidates, watchers).contains(&me)
    };
    others.filter(watches).collect()
}

/// Sets the draws for watching apart from those for duties.
const WATCHING: u64 = 1 << 63;

fn first(subject: u64, candidates: impl Iterator<Item = (NodeId, u32)>, places: usize) -> Vec<NodeId> {
    let mut drawn: Vec<(f64, NodeId)> = Vec::with_capacity(places + 1);
    for (node, weight) in candidates.filter(|(_, weight)| *weight > 0) {
        let time = draw(subject, node, weight);
        let at = drawn.partition_point(|(other, id)| other.total_cmp(&time).then(id.cmp(&node)).is_lt());
        if at < places {
            drawn.insert(at, (time, node));
            drawn.truncate(places);
        }
    }
    drawn.into_iter().map(|(_, node)| node).collect()
}

/// When the node would get there: exponentially distributed, so that the chance to be first is the share of the weight.
fn draw(subject: u64, node: NodeId, weight: u32) -> f64 {
    let hash = mix(mix(subject ^ GOLDEN).wrapping_add(u64::from(node.0).wrapping_mul(GOLDEN)));
    // 53 bits, in the middle of their step: never 0 and never 1.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -uniform.ln() / f64::from(weight)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: each bit of the input moves each of the output.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn owners(candidates: &[(NodeId, u32)], duties: u32) -> Vec<Option<NodeId>> {
        (0..duties).map(|n| rank(Duty::queue(n), candidates, 1).first().copied()).collect()
    }

    fn counts(owners: &[Option<NodeId>]) -> BTreeMap<NodeId, usize> {
        let mut counts = BTreeMap::new();
        owners.iter().flatten().for_each(|node| *counts.entry(*node).or_default() += 1);
        counts
    }

    #[test]
    fn it_never_changes() {
        // Nodes of two versions must agree, or duties go to and fro.
        let candidates: Vec<_> = (1..=5).map(|n| (NodeId(n), 100)).collect();
        let ids = |duty| rank(duty, &candidates, 5).iter().map(|node| node.0).collect::<Vec<_>>();
        let all = [ids(Duty::queue(0)), ids(Duty::search(17)), ids(Duty::RETENTION)];
        assert_eq!(all, [[3, 2, 4, 1, 5], [4, 1, 2, 5, 3], [2, 1, 4, 5, 3]]);
    }

    #[test]
    fn shares_are_as_the_weights() {
        let equal: Vec<_> = (1..=10).map(|n| (NodeId(n), 100)).collect();
        for (node, count) in counts(&owners(&equal, 4096)) {
            // 410 expected, standard deviation 19.
            assert!((320..=500).contains(&count), "{node}: {count}");
        }
        let weighted = [(NodeId(1), 100), (NodeId(2), 200), (NodeId(3), 100)];
        let shares = counts(&owners(&weighted, 4096));
        assert!((1920..=2176).contains(&shares[&NodeId(2)]), "{shares:?}");
        assert_eq!(rank(Duty::queue(1), &[(NodeId(1), 0)], 3), []);
    }

    #[test]
    fn each_node_is_watched_by_some_and_watches_few() {
        let nodes: Vec<NodeId> = (1..=200).map(NodeId).collect();
        let mut watchers = BTreeMap::new();
        for me in &nodes {
            let watched = watched(*me, &nodes, 5, 16);
            assert!(watched.len() < 20 && !watched.contains(me));
            watched.iter().for_each(|node| *watchers.entry(*node).or_insert(0) += 1);
        }
        assert!(watchers.len() == 200 && watchers.values().all(|count| *count == 5));
        assert_eq!(watched(NodeId(1), &nodes[..3], 5, 16), &nodes[1..3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_change_moves_only_what_it_must(
            ids in proptest::collection::btree_set(1u32..500, 2..20), weight in 1u32..400, which: prop::sample::Index,
        ) {
            let all: Vec<_> = ids.iter().map(|id| (NodeId(*id), 100)).collect();
            let (changed, _) = all[which.index(all.len())];
            let without: Vec<_> = all.iter().copied().filter(|(node, _)| *node != changed).collect();
            let (before, after) = (owners(&without, 512), owners(&all, 512));
            // A join moves duties to the node that joins, and a leave, read backwards, those of the node that leaves.
            for (from, to) in before.iter().zip(&after).filter(|(from, to)| from != to) {
                prop_assert_eq!(*to, Some(changed), "from {:?}", from);
            }
            let reweighted: Vec<_> =
                all.iter().map(|(node, w)| (*node, if *node == changed { weight } else { *w })).collect();
            for (from, to) in after.iter().zip(&owners(&reweighted, 512)).filter(|(from, to)| from != to) {
                prop_assert_eq!(*if weight > 100 { to } else { from }, Some(changed));
            }
        }
    }
}
