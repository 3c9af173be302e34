//! What holds of leases and claims.

use std::sync::Arc;

use kv::fault::{FaultBackend, Plan};
use kv::memory::Memory;
use kv::{Database, Transaction};
use runtime::{SeededRng, SystemClock};
use schema::{Duty, DutyKind, NodeId};

use crate::{
    Error, FIRST_LEVEL, Fence, GossipKey, Leases, Levels, Node, Secrets, Standing, assert_in,
    assert_standing_in, level_in,
};

fn leases() -> Leases {
    Leases::new(kv::memory::database(), SystemClock::shared())
}

fn node(name: &str) -> Node {
    Node { name: name.into(), level_min: 1, level_max: 2, ..Node::default() }
}

async fn asserts(leases: &Leases, fence: &Fence) -> Result<(), Error> {
    leases
        .database()
        .transact("work", |txn: Transaction| async move {
            assert_in(&txn, fence).await?;
            txn.add_i64(b"Twork", 1);
            Ok(())
        })
        .await
}

async fn take_one(leases: &Leases, by: Standing, duty: Duty) -> Option<Fence> {
    leases.take(by, &[duty]).await.unwrap().pop()
}

#[tokio::test]
async fn ids_and_epochs_are_never_given_out_twice() {
    let leases = leases();
    let a = leases.join(&node("a")).await.unwrap();
    let b = leases.join(&node("b")).await.unwrap();
    assert_eq!((a.node, b.node), (NodeId(1), NodeId(2)));
    leases.leave(b).await.unwrap();
    leases.forget(b.node).await.unwrap();
    let c = leases.join(&node("b")).await.unwrap();
    assert_eq!(c.node, NodeId(3), "the id of a node that was forgotten stays its own");
    let again = leases.join(&node("a")).await.unwrap();
    assert_eq!(again.node, a.node);
    assert!(a.epoch < b.epoch && b.epoch < c.epoch && c.epoch < again.epoch);
}

#[tokio::test]
async fn who_joins_under_a_name_supersedes_the_other() {
    let leases = leases();
    let first = leases.join(&node("a")).await.unwrap();
    let fence = take_one(&leases, first, Duty::queue(1)).await.unwrap();
    let second = leases.join(&node("a")).await.unwrap();
    assert_eq!(leases.renew(first).await, Err(Error::Superseded { node: first.node }));
    assert_eq!(asserts(&leases, &fence).await, Err(Error::Fenced { duty: fence.duty, epoch: fence.epoch }));
    leases.leave(first).await.unwrap();
    leases.renew(second).await.unwrap();
    assert!(take_one(&leases, second, Duty::queue(1)).await.unwrap().epoch > fence.epoch);
}

#[tokio::test]
async fn a_lease_is_revoked_only_if_it_was_not_renewed() {
    let leases = leases();
    let a = leases.join(&node("a")).await.unwrap();
    let seen = leases.observe(&[a.node]).await.unwrap();
    leases.renew(a).await.unwrap();
    assert!(!leases.revoke(a, seen.renewals[&a.node]).await.unwrap());
    let later = leases.observe(&[a.node]).await.unwrap();
    assert_eq!(later.generation, seen.generation, "a renewal changes no generation");
    assert!(leases.revoke(a, later.renewals[&a.node]).await.unwrap());
    assert_eq!(leases.renew(a).await, Err(Error::Revoked { node: a.node, epoch: a.epoch }));
    assert!(!leases.revoke(a, 1).await.unwrap());
    assert!(leases.observe(&[]).await.unwrap().generation > later.generation);
    let back = leases.join(&node("a")).await.unwrap();
    assert!(!leases.revoke(a, 0).await.unwrap(), "another lease is left alone");
    leases.renew(back).await.unwrap();
}

#[tokio::test]
async fn a_duty_is_taken_by_one() {
    let leases = leases();
    let a = leases.join(&node("a")).await.unwrap();
    let b = leases.join(&node("b")).await.unwrap();
    let duties: Vec<Duty> = (0..250).map(Duty::queue).collect();
    let of_a = leases.take(a, &duties[..150]).await.unwrap();
    let of_b = leases.take(b, &duties).await.unwrap();
    assert_eq!((of_a.len(), of_b.len()), (150, 100));
    assert!(of_a.iter().all(|fence| fence.holder == a) && of_b.iter().all(|fence| fence.holder == b));
    let situation = leases.situation(&[DutyKind::Queue]).await.unwrap();
    assert!(of_a.iter().chain(&of_b).all(|fence| situation.fence(fence.duty) == Some(*fence)));
    assert_eq!(situation.fence(Duty::search(1)), None);
    // A lease that has ended holds nothing.
    leases.leave(a).await.unwrap();
    assert_eq!(leases.situation(&[DutyKind::Queue]).await.unwrap().fence(of_a[0].duty), None);
    assert!(asserts(&leases, &of_a[0]).await.is_err());
    let taken = leases.take(b, &duties).await.unwrap();
    assert_eq!(taken.len(), 150);
    assert!(taken.iter().all(|fence| fence.epoch == 2));
}

#[tokio::test]
async fn what_is_handed_over_or_released_is_the_former_holders_no_longer() {
    let leases = leases();
    let a = leases.join(&node("a")).await.unwrap();
    let b = leases.join(&node("b")).await.unwrap();
    let first = take_one(&leases, a, Duty::RETENTION).await.unwrap();
    asserts(&leases, &first).await.unwrap();
    let second = leases.hand_over(&[first], b.node).await.unwrap().pop().unwrap();
    assert!(asserts(&leases, &first).await.is_err());
    asserts(&leases, &second).await.unwrap();
    assert_eq!(leases.hand_over(&[first], b.node).await.unwrap(), []);
    // Back again under the same lease: the former fence is still void.
    let third = leases.hand_over(&[second], a.node).await.unwrap().pop().unwrap();
    assert!(asserts(&leases, &first).await.is_err());
    leases.release(&[first]).await.unwrap();
    asserts(&leases, &third).await.unwrap();
    leases.release(&[third]).await.unwrap();
    assert!(asserts(&leases, &third).await.is_err());
    assert_eq!(take_one(&leases, b, Duty::RETENTION).await.unwrap().epoch, 5);
}

#[tokio::test]
async fn a_draining_node_takes_nothing_and_keeps_what_it_has() {
    let leases = leases();
    let a = leases.join(&node("a")).await.unwrap();
    let b = leases.join(&node("b")).await.unwrap();
    let fence = take_one(&leases, a, Duty::queue(1)).await.unwrap();
    let other = take_one(&leases, b, Duty::queue(2)).await.unwrap();
    leases.drain(a).await.unwrap();
    assert_eq!(leases.take(a, &[Duty::queue(3)]).await, Err(Error::NotLive(a.node)));
    assert_eq!(leases.hand_over(&[other], a.node).await, Err(Error::NotLive(a.node)));
    asserts(&leases, &fence).await.unwrap();
    leases.renew(a).await.unwrap();
    let standing = leases.database().read("standing", |txn| async move { assert_standing_in(&txn, a).await });
    standing.await.unwrap();
}

#[tokio::test]
async fn the_level_goes_up_when_every_node_supports_it() {
    let leases = leases();
    let old = Node { level_max: 1, ..node("old") };
    let a = leases.join(&old).await.unwrap();
    leases.join(&node("new")).await.unwrap();
    assert_eq!(leases.levels().await.unwrap(), Levels { current: FIRST_LEVEL, supported: 1 });
    assert_eq!(leases.raise_level(2).await, Err(Error::Unsupported { node: a.node, supports: 1 }));
    leases.leave(a).await.unwrap();
    leases.raise_level(2).await.unwrap();
    assert_eq!(leases.join(&old).await, Err(Error::TooOld { level: 2, supports: 1 }));
    assert_eq!(leases.raise_level(2).await, Err(Error::LevelGoesUp(2)));
    let newest = Node { level_min: 3, level_max: 4, ..node("newest") };
    assert_eq!(leases.join(&newest).await, Err(Error::TooNew { level: 2, needs: 3 }));
    let level = leases.database().read("level", |txn| async move { level_in(&txn).await });
    assert_eq!(level.await, Ok(2));
}

#[tokio::test]
async fn a_new_store_begins_at_the_level_of_its_first_node() {
    let leases = leases();
    leases.join(&node("new")).await.unwrap();
    assert_eq!(leases.levels().await.unwrap(), Levels { current: 2, supported: 2 });
    let old = Node { level_max: 1, ..node("old") };
    assert_eq!(leases.join(&old).await, Err(Error::TooOld { level: 2, supports: 1 }));
    // One that is there again, or later, changes nothing.
    let newest = Node { level_max: 3, ..node("newest") };
    leases.join(&newest).await.unwrap();
    assert_eq!(leases.levels().await.unwrap(), Levels { current: 2, supported: 2 });
}

#[tokio::test]
async fn the_first_node_makes_the_secrets_and_all_get_the_same() {
    let leases = leases();
    assert_eq!(leases.secrets().await, Ok(None));
    let made = |id| Secrets { cluster: vec![id], ..Secrets::default() };
    let (one, two) = (made(1), made(2));
    let (a, b) = futures::future::join(leases.secrets_or(&one), leases.secrets_or(&two)).await;
    assert_eq!(a, b);
    let key = GossipKey { id: 2, key: vec![2; 32] };
    let changed = leases.change_secrets(|secrets| secrets.keys.push(key.clone())).await.unwrap();
    assert_eq!(leases.secrets().await, Ok(Some(changed)));
}

#[tokio::test]
async fn nodes_are_known_until_they_are_forgotten() {
    let leases = leases();
    let a = leases.join(&node("a")).await.unwrap();
    let nodes = leases.nodes().await.unwrap();
    assert_eq!((nodes[0].0, &nodes[0].1.name[..], nodes[0].2), (a.node, "a", true));
    assert_eq!(leases.forget(a.node).await, Err(Error::Live(a.node)));
    assert!(!nodes[0].1.left);
    leases.leave(a).await.unwrap();
    let nodes = leases.nodes().await.unwrap();
    assert_eq!((nodes[0].1.left, nodes[0].2), (true, false), "it said goodbye");
    let a = leases.join(&node("a")).await.unwrap();
    assert!(leases.revoke(a, 0).await.unwrap());
    let nodes = leases.nodes().await.unwrap();
    assert_eq!((nodes[0].1.left, nodes[0].2), (false, false), "it did not");
    leases.forget(a.node).await.unwrap();
    assert_eq!(leases.forget(a.node).await, Err(Error::NotFound(a.node)));
    assert_eq!(leases.join(&node("")).await, Err(Error::Name));
}

/// Whatever the store does: of those who take one duty at once, one has it, and of answers that were lost none counts twice.
#[tokio::test(start_paused = true)]
async fn one_of_many_takes_it_on_a_store_that_loses_answers() {
    for seed in 0..100 {
        let rng = Arc::new(SeededRng::new(seed));
        let backend = Arc::new(FaultBackend::new(Arc::new(Memory::new()), rng.clone(), Plan::HARSH));
        let db = Database::new(backend.clone(), SystemClock::shared(), rng);
        let leases = Leases::new(db, SystemClock::shared());
        let joined = futures::future::join_all((0..4).map(|n| {
            let (leases, node) = (leases.clone(), node(&format!("n{n}")));
            async move { leases.join(&node).await.unwrap() }
        }));
        let standings = joined.await;
        let duties: Vec<Duty> = (0..8).map(Duty::search).collect();
        let taken = futures::future::join_all(standings.iter().map(|by| leases.take(*by, &duties))).await;
        let mut fences: Vec<Fence> = taken.into_iter().flat_map(Result::unwrap).collect();
        fences.sort_by_key(|fence| fence.duty);
        assert!(fences.iter().map(|fence| fence.duty).eq(duties.iter().copied()), "seed {seed}: {fences:?}");
        backend.set_plan(Plan::NONE);
        backend.deliver().await;
        let situation = leases.situation(&[DutyKind::Search]).await.unwrap();
        assert!(fences.iter().all(|fence| situation.fence(fence.duty) == Some(*fence)), "seed {seed}");
    }
}
