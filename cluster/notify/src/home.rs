//! Which node keeps the interest in an account.

use std::collections::BTreeMap;

use membership::{Members, State};
use schema::{AccountId, NodeId};

/// A run of a node: another one remembers nothing of what the former was told.
pub(crate) type Run = (NodeId, u64);

/// The account's home: of the nodes that are alive and stay, the one that a hash puts first. All that see the same nodes
/// find the same, and of a node that comes or goes only its own share moves.
pub fn home(account: AccountId, members: &Members) -> Option<NodeId> {
    run(account, &members.alive).map(|(node, _)| node)
}

pub(crate) fn run(account: AccountId, alive: &BTreeMap<NodeId, membership::Member>) -> Option<Run> {
    let stays = alive.values().filter(|member| member.state != State::Leaving);
    let best = stays.max_by_key(|member| (mix(account, member.node), member.node));
    best.map(|member| (member.node, member.generation))
}

/// Mixes well (the finalizer of splitmix64), and is the same on every node and in every version.
fn mix(account: AccountId, node: NodeId) -> u64 {
    let mut z = (u64::from(account.0) << 32 | u64::from(node.0)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn members(nodes: impl IntoIterator<Item = u32>) -> Members {
        let address = ([127, 0, 0, 1], 1).into();
        let member = |number| membership::Member::new(NodeId(number), 1, address);
        let alive = nodes.into_iter().map(|number| (NodeId(number), member(number)));
        Members { alive: alive.collect(), ..Members::default() }
    }

    const ACCOUNTS: u32 = 10_000;

    #[test]
    fn homes_are_spread_and_few_move() {
        let (four, five) = (members(1..=4), members(1..=5));
        let mut shares = BTreeMap::<NodeId, u32>::new();
        let mut moved = 0;
        for account in (0..ACCOUNTS).map(AccountId) {
            let (before, after) = (home(account, &four).unwrap(), home(account, &five).unwrap());
            *shares.entry(after).or_default() += 1;
            moved += u32::from(before != after);
            assert!(before == after || after == NodeId(5));
        }
        assert!(shares.len() == 5 && shares.values().all(|n| (1_800..2_200).contains(n)), "{shares:?}");
        assert!((1_800..2_200).contains(&moved), "{moved}");
    }

    #[test]
    fn who_leaves_is_nobodys_home() {
        let mut members = members(1..=2);
        members.alive.get_mut(&NodeId(1)).unwrap().state = State::Leaving;
        assert!((0..100).all(|account| home(AccountId(account), &members) == Some(NodeId(2))));
        assert_eq!(home(AccountId(1), &Members::default()), None);
    }

    #[test]
    fn all_versions_agree() {
        let members = members(1..=5);
        let homes: Vec<u32> = (0..10).map(|account| home(AccountId(account), &members).unwrap().0).collect();
        assert_eq!(homes, GOLDEN);
    }

    const GOLDEN: [u32; 10] = [2, 2, 3, 4, 1, 3, 1, 3, 4, 5];
}
