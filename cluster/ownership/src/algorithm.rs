//! From what is seen to what is to be done: no store, no clock, no task.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leases::{Fence, Situation, Standing};
use schema::{Duty, DutyKind, NodeId};

use crate::{Timings, hash};

/// How many nodes may take a vacant duty in turn.
const PLACES: usize = 3;

/// A duty that this node works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub fence: Fence,
    /// Since when, in monotonic time.
    pub since: Duration,
    /// Since when its worker has been asked to end.
    pub ending: Option<Duration>,
    /// Whether its worker has ended.
    pub done: bool,
}

/// What is seen.
pub(crate) struct Board<'a> {
    pub me: Standing,
    pub now: Duration,
    pub timings: &'a Timings,
    pub situation: &'a Situation,
    /// The duties that this node works on when they are its own.
    pub charges: &'a BTreeSet<Duty>,
    /// What members say they can do; absent counts as dead.
    pub weights: &'a BTreeMap<NodeId, u32>,
    pub held: &'a BTreeMap<Duty, Held>,
    /// Since when duties have been seen vacant.
    pub vacant: &'a BTreeMap<Duty, Duration>,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// No longer this node's: stop at once.
    pub lose: Vec<Duty>,
    /// The worker has ended by itself: begin again.
    pub again: Vec<Duty>,
    /// Ask the worker to end.
    pub end: Vec<Duty>,
    /// Give to the other; to anybody if there is none.
    pub give: Vec<(Fence, Option<NodeId>)>,
    /// Begin to work on what is this node's already.
    pub adopt: Vec<Fence>,
    /// Take what nobody has.
    pub take: Vec<Duty>,
    /// Since when each duty has been seen vacant.
    pub vacant: BTreeMap<Duty, Duration>,
}

impl Plan {
    /// Whether the next look has to plan again even if nothing changes in the store.
    pub(crate) fn is_waiting(&self, board: &Board<'_>) -> bool {
        !self.vacant.is_empty()
            || board.held.values().any(|held| held.ending.is_some())
            || !self.end.is_empty()
    }
}

pub(crate) fn plan(board: &Board<'_>) -> Plan {
    let mut plan = Plan::default();
    for (duty, held) in board.held {
        let lost = board.situation.fence(*duty) != Some(held.fence) || !board.charges.contains(duty);
        if lost {
            plan.lose.push(*duty);
        } else if held.done && held.ending.is_none() {
            plan.again.push(*duty);
        }
    }
    let mut alike: BTreeMap<(DutyKind, u32), Vec<(NodeId, u32)>> = BTreeMap::new();
    for duty in board.charges {
        let candidates = alike.entry((duty.kind, duty.level())).or_insert_with(|| candidates(board, *duty));
        let ranked = hash::rank(*duty, candidates, PLACES);
        match board.situation.fence(*duty) {
            Some(fence) if fence.holder == board.me => mine(board, fence, &ranked, &mut plan),
            Some(_) => {}
            None => vacant(board, *duty, &ranked, &mut plan),
        }
    }
    plan
}

/// The nodes that may get a duty, and others of its kind and level, with their weights. While a cluster is upgraded there are
/// programs that do not know it: they would neither work on it nor ever give it away.
fn candidates(board: &Board<'_>, duty: Duty) -> Vec<(NodeId, u32)> {
    let live = board.situation.live.iter().filter(|(_, live)| {
        let roles = &live.node.roles;
        let site = board.situation.sites.state_of(&live.node);
        let able = roles.is_empty() || roles.iter().any(|role| role == duty.kind.role());
        !live.draining && site.serves() && able && live.node.level_max >= duty.level()
    });
    // This node knows that it is there, whatever others say of it.
    let weight = |node: NodeId| match board.weights.get(&node).copied().unwrap_or(0) {
        0 if node == board.me.node => 1,
        weight => weight,
    };
    live.map(|(node, _)| (*node, weight(*node))).collect()
}

fn mine(board: &Board<'_>, fence: Fence, ranked: &[NodeId], plan: &mut Plan) {
    let best = ranked.first().copied().filter(|best| *best != board.me.node);
    let me = board.situation.live.get(&board.me.node);
    // As a node that drains does one of a site that does not serve, but it stays.
    let draining =
        me.is_some_and(|live| live.draining || !board.situation.sites.state_of(&live.node).serves());
    let Some(held) = board.held.get(&fence.duty).filter(|held| held.fence == fence) else {
        // A former tenure of it is lost in this very plan; the worker that begins has another fence.
        if draining {
            plan.give.push((fence, best));
        } else {
            plan.adopt.push(fence);
        }
        return;
    };
    match held.ending {
        Some(_) if held.done => plan.give.push((fence, best)),
        Some(asked) if board.now.saturating_sub(asked) >= board.timings.grace => {
            plan.give.push((fence, best));
        }
        Some(_) => {}
        None if draining => plan.end.push(fence.duty),
        None if best.is_some() && board.now.saturating_sub(held.since) >= board.timings.settle => {
            plan.end.push(fence.duty);
        }
        None => {}
    }
}

fn vacant(board: &Board<'_>, duty: Duty, ranked: &[NodeId], plan: &mut Plan) {
    let since = board.vacant.get(&duty).copied().unwrap_or(board.now);
    plan.vacant.insert(duty, since);
    let Some(place) = ranked.iter().position(|node| *node == board.me.node) else { return };
    let turn = board.timings.rank * u32::try_from(place).unwrap_or(u32::MAX);
    if board.now.saturating_sub(since) >= turn {
        plan.take.push(duty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leases::{Claim, Live, Node};
    use schema::{Site, SiteKind, SiteState, level};

    const ME: Standing = Standing { node: NodeId(1), epoch: 10 };
    const OTHER: Standing = Standing { node: NodeId(2), epoch: 20 };
    const SECOND: Duration = Duration::from_secs(1);

    struct Scene {
        situation: Situation,
        charges: BTreeSet<Duty>,
        held: BTreeMap<Duty, Held>,
        vacant: BTreeMap<Duty, Duration>,
        weights: BTreeMap<NodeId, u32>,
    }

    fn weights(mine: u32, theirs: u32) -> BTreeMap<NodeId, u32> {
        [(ME.node, mine), (OTHER.node, theirs)].into()
    }

    /// Two live nodes and duties for both; `mine` should be ours, `theirs` the other's.
    fn scene() -> (Scene, Duty, Duty) {
        let live = [ME, OTHER].map(|standing| {
            (standing.node, Live { epoch: standing.epoch, draining: false, node: Node::default() })
        });
        let charges: BTreeSet<Duty> = (0..16).map(Duty::queue).collect();
        let first = |node| {
            let both = [(ME.node, 100), (OTHER.node, 100)];
            charges.iter().copied().find(|duty| hash::rank(*duty, &both, 1) == [node]).unwrap()
        };
        let (mine, theirs) = (first(ME.node), first(OTHER.node));
        let situation =
            Situation { generation: 1, live: live.into(), claims: BTreeMap::new(), ..Situation::default() };
        let scene = Scene {
            situation,
            charges: [mine, theirs].into(),
            held: BTreeMap::new(),
            vacant: BTreeMap::new(),
            weights: weights(100, 100),
        };
        (scene, mine, theirs)
    }

    impl Scene {
        fn claim(&mut self, duty: Duty, holder: Standing) -> Fence {
            let claim = Claim { epoch: 5, node: holder.node.0, lease: holder.epoch };
            self.situation.claims.insert(duty, claim);
            Fence { duty, epoch: 5, holder }
        }

        fn hold(&mut self, duty: Duty, since: Duration) -> Fence {
            let fence = self.claim(duty, ME);
            self.held.insert(duty, Held { fence, since, ending: None, done: false });
            fence
        }

        fn plan(&self, now: Duration) -> Plan {
            plan(&Board {
                me: ME,
                now,
                timings: &Timings::default(),
                situation: &self.situation,
                charges: &self.charges,
                weights: &self.weights,
                held: &self.held,
                vacant: &self.vacant,
            })
        }
    }

    #[test]
    fn a_vacant_duty_is_taken_by_rank() {
        let (mut scene, mine, theirs) = scene();
        let at_once = scene.plan(SECOND * 100);
        assert_eq!(at_once.take, [mine]);
        assert_eq!(at_once.vacant.len(), 2);
        scene.vacant = at_once.vacant;
        assert_eq!(scene.plan(SECOND * 101).take.len(), 2, "the first in rank did not come");
        scene.charges = [theirs].into();
        scene.vacant.clear();
        scene.weights = weights(100, 0);
        assert_eq!(scene.plan(SECOND).take, [theirs], "the first is thought dead");
        scene.weights = weights(0, 0);
        assert_eq!(scene.plan(SECOND).take, [theirs], "who is thought dead itself knows better");
    }

    #[test]
    fn what_another_has_is_left_alone_until_its_lease_ends() {
        let (mut scene, mine, theirs) = scene();
        scene.claim(mine, OTHER);
        scene.claim(theirs, OTHER);
        assert_eq!(scene.plan(SECOND * 9), Plan::default());
        scene.situation.live.remove(&OTHER.node);
        assert_eq!(scene.plan(SECOND * 9).take.len(), 2);
        scene.situation.live.remove(&ME.node);
        assert_eq!(scene.plan(SECOND * 99).take, [], "without a lease nothing is taken");
    }

    #[test]
    fn what_is_ours_is_adopted_and_what_is_not_is_lost() {
        let (mut scene, mine, _) = scene();
        let fence = scene.claim(mine, ME);
        assert_eq!(scene.plan(SECOND).adopt, [fence]);
        scene.hold(mine, SECOND);
        assert_eq!(scene.plan(SECOND * 9).adopt, []);
        let newer = Claim { epoch: 7, node: ME.node.0, lease: ME.epoch };
        scene.situation.claims.insert(mine, newer);
        let plan = scene.plan(SECOND * 9);
        assert_eq!((plan.lose, plan.adopt.len()), (vec![mine], 1), "it went and came back");
        scene.claim(mine, OTHER);
        assert_eq!(scene.plan(SECOND * 9).lose, [mine]);
    }

    #[test]
    fn what_should_be_anothers_is_handed_over_when_it_has_settled() {
        let (mut scene, mine, theirs) = scene();
        scene.hold(mine, SECOND);
        let fence = scene.hold(theirs, SECOND);
        assert_eq!(scene.plan(SECOND * 5).end, []);
        assert_eq!(scene.plan(SECOND * 6).end, [theirs]);
        scene.held.get_mut(&theirs).unwrap().ending = Some(SECOND * 6);
        assert_eq!(scene.plan(SECOND * 7).give, []);
        assert_eq!(scene.plan(SECOND * 11).give, [(fence, Some(OTHER.node))], "grace is over");
        scene.held.get_mut(&theirs).unwrap().done = true;
        assert_eq!(scene.plan(SECOND * 7).give, [(fence, Some(OTHER.node))]);
        scene.situation.live.remove(&OTHER.node);
        assert_eq!(scene.plan(SECOND * 7).give, [(fence, None)], "the other went meanwhile");
    }

    #[test]
    fn a_node_that_drains_hands_over_all_at_once() {
        let (mut scene, mine, theirs) = scene();
        scene.hold(mine, SECOND);
        let fence = scene.claim(theirs, ME);
        scene.situation.live.get_mut(&ME.node).unwrap().draining = true;
        let plan = scene.plan(SECOND);
        assert_eq!((plan.end, plan.give), (vec![mine], vec![(fence, Some(OTHER.node))]));
        scene.situation.claims.clear();
        assert_eq!(scene.plan(SECOND * 99).take, []);
    }

    #[test]
    fn a_node_whose_site_does_not_serve_hands_over_and_gets_it_back() {
        let (mut scene, mine, theirs) = scene();
        scene.hold(mine, SECOND);
        let fence = scene.claim(theirs, ME);
        scene.situation.live.get_mut(&ME.node).unwrap().node.zone = "a".into();
        let site = Site { kind: SiteKind::Zone, name: "a".into() };
        let setting = leases::SiteSetting { state: SiteState::Standby.number(), ..Default::default() };
        scene.situation.sites = [(site, setting)].into_iter().collect();
        let plan = scene.plan(SECOND);
        assert_eq!((plan.end, plan.give), (vec![mine], vec![(fence, Some(OTHER.node))]));
        scene.situation.claims.clear();
        assert_eq!(scene.plan(SECOND * 99).take, [], "others take it");
        scene.situation.sites = leases::Sites::default();
        assert_eq!(scene.plan(SECOND * 99).take, [mine]);
    }

    #[test]
    fn a_worker_that_ended_by_itself_begins_again_and_roles_count() {
        let (mut scene, mine, theirs) = scene();
        scene.hold(mine, SECOND);
        scene.held.get_mut(&mine).unwrap().done = true;
        assert_eq!(scene.plan(SECOND).again, [mine]);
        scene.situation.live.get_mut(&OTHER.node).unwrap().node.roles = vec!["search".into()];
        assert_eq!(scene.plan(SECOND).take, [theirs], "the other does not deliver");
    }

    #[test]
    fn who_does_not_know_a_duty_gets_none() {
        let (mut scene, ..) = scene();
        let new = Duty::push(0);
        scene.charges = [new].into();
        for (mine, theirs, taken) in
            [(level::SEARCH, 2, vec![new]), (2, 2, vec![]), (2, level::SEARCH, vec![])]
        {
            scene.situation.live.get_mut(&ME.node).unwrap().node.level_max = mine;
            scene.situation.live.get_mut(&OTHER.node).unwrap().node.level_max = theirs;
            assert_eq!(scene.plan(SECOND * 99).take, taken, "{mine} {theirs}");
        }
    }
}
