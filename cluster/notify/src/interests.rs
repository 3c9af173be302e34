//! Which nodes are interested in which accounts: what a home remembers.

use std::collections::HashMap;
use std::time::Duration;

use schema::{AccountId, NodeId};
use smallvec::SmallVec;

/// Interests, each until a moment in monotonic time.
#[derive(Default)]
pub(crate) struct Interests {
    accounts: HashMap<AccountId, SmallVec<[(NodeId, Duration); 1]>>,
    /// Of all accounts.
    count: usize,
}

impl Interests {
    /// Notes that a node is interested. Returns false if that would be more than `most`.
    pub(crate) fn add(&mut self, account: AccountId, node: NodeId, until: Duration, most: usize) -> bool {
        let nodes = self.accounts.get_mut(&account);
        if let Some(known) = nodes.and_then(|nodes| nodes.iter_mut().find(|(known, _)| *known == node)) {
            known.1 = known.1.max(until);
            return true;
        }
        if self.count >= most {
            return false;
        }
        self.accounts.entry(account).or_default().push((node, until));
        self.count += 1;
        true
    }

    /// Who is interested.
    pub(crate) fn of(&self, account: AccountId, now: Duration) -> impl Iterator<Item = NodeId> + '_ {
        let nodes = self.accounts.get(&account).into_iter().flatten();
        nodes.filter(move |(_, until)| *until > now).map(|(node, _)| *node)
    }

    /// Forgets what is over.
    pub(crate) fn sweep(&mut self, now: Duration) {
        self.accounts.retain(|_, nodes| {
            nodes.retain(|(_, until)| *until > now);
            !nodes.is_empty()
        });
        self.count = self.accounts.values().map(SmallVec::len).sum();
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: AccountId = AccountId(1);
    const B: AccountId = AccountId(2);

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn of(interests: &Interests, account: AccountId, now: u64) -> Vec<u32> {
        interests.of(account, at(now)).map(|node| node.0).collect()
    }

    #[test]
    fn interest_lasts_until_its_end_and_can_be_renewed() {
        let mut interests = Interests::default();
        for (account, node, until) in [(A, 1, 10), (A, 2, 20), (B, 1, 10), (A, 1, 30), (A, 2, 15)] {
            assert!(interests.add(account, NodeId(node), at(until), 10));
        }
        assert_eq!((of(&interests, A, 5), of(&interests, B, 5), interests.len()), (vec![1, 2], vec![1], 3));
        assert_eq!((of(&interests, A, 20), of(&interests, B, 20)), (vec![1], vec![]));
        interests.sweep(at(20));
        assert_eq!((interests.len(), interests.accounts.len()), (1, 1));
    }

    #[test]
    fn there_is_an_end() {
        let mut interests = Interests::default();
        let add = |interests: &mut Interests, node| interests.add(A, NodeId(node), at(10), 2);
        assert!(add(&mut interests, 1) && add(&mut interests, 2) && !add(&mut interests, 3));
        assert!(add(&mut interests, 1), "that one is there");
        interests.sweep(at(10));
        assert!(add(&mut interests, 3));
    }
}
