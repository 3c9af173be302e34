//! Mailboxes exchange their names and what they lie in: what counts is what comes of all (RFC 8620 §5.3, RFC 8621 §2.5).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use godwit_mail::{Error, Mailbox, MailboxEdit};
use kv::fault::Plan;
use runtime::{Rng, SeededRng, SystemClock, SystemRng};
use schema::MailboxId;
use support::{ACCOUNT, World, path, world, world_over};

fn named(name: &str) -> MailboxEdit {
    MailboxEdit { name: Some(name.to_owned()), ..MailboxEdit::default() }
}

fn within(parent: Option<MailboxId>) -> MailboxEdit {
    MailboxEdit { parent: Some(parent), ..MailboxEdit::default() }
}

/// A world on the engine that one machine has.
async fn embedded_world(seed: u64) -> (World, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = kv_embedded::Options::new(SystemClock::shared(), SystemRng::shared());
    let engine = kv_embedded::open(dir.path(), options).unwrap();
    (world_over(seed, engine).await, dir)
}

async fn at(w: &World, name: &str) -> Option<Mailbox> {
    w.store.resolve(ACCOUNT, &path(name)).await.unwrap()
}

async fn exchange(w: &World, edits: &[(MailboxId, MailboxEdit)]) -> Result<(), Error> {
    w.store.edit_mailboxes(ACCOUNT, edits).await
}

#[tokio::test]
async fn names_are_exchanged_with_what_lies_below_and_what_hangs_on_them() {
    let (embedded, _dir) = embedded_world(2).await;
    for w in [world(2).await, embedded] {
        let (a, b) = (w.create("A").await, w.create("B").await);
        let (below, _) = w.create("A/below").await;
        for name in ["A", "A/below", "B/gone", "Archive"] {
            w.store.subscribe(ACCOUNT, name, true).await.unwrap();
        }
        w.append(below, "Subject: x").await;
        let edits = [(a.0.mailbox, named("B")), (b.0.mailbox, named("A"))];
        exchange(&w, &edits).await.unwrap();
        let (now_a, now_b) = (at(&w, "A").await.unwrap(), at(&w, "B").await.unwrap());
        assert_eq!((now_a.id, now_b.id), (b.0.mailbox, a.0.mailbox));
        assert_eq!(at(&w, "B/below").await.unwrap().id, below.mailbox);
        assert!(at(&w, "A/below").await.is_none());
        let subscribed = w.store.subscriptions(ACCOUNT).await.unwrap();
        assert!(["A/gone", "B", "B/below", "Archive"].iter().all(|name| subscribed.contains(*name)));
        assert!(!["A", "A/below", "B/gone"].iter().any(|name| subscribed.contains(*name)));
        // RFC 9051 §2.3.1.1: another mailbox has the name, so its UIDVALIDITY is higher than the one that had it.
        assert!(now_a.uid_validity > a.1.uid_validity && now_b.uid_validity > b.1.uid_validity);
        w.sound().await;
        // Back again, and the names go on from there.
        let edits = [(a.0.mailbox, named("A")), (b.0.mailbox, named("B"))];
        exchange(&w, &edits).await.unwrap();
        assert_eq!(at(&w, "A/below").await.unwrap().id, below.mailbox);
        assert!(at(&w, "A").await.unwrap().uid_validity > now_a.uid_validity);
        assert!(at(&w, "B").await.unwrap().uid_validity >= now_b.uid_validity);
        w.sound().await;
    }
}

#[tokio::test]
async fn three_go_round_and_each_may_change_in_other_ways_as_well() {
    let w = world(4).await;
    let mut all = Vec::new();
    for name in ["A", "B", "C", "A/x", "B/x"] {
        all.push(w.create(name).await.1);
    }
    let ids: Vec<MailboxId> = all.iter().map(|one| one.id).collect();
    let last = MailboxEdit { sort_order: Some(3), subscribed: Some(true), ..named("A") };
    exchange(&w, &[(ids[0], named("B")), (ids[1], named("C")), (ids[2], last)]).await.unwrap();
    for (name, id) in [("B", ids[0]), ("C", ids[1]), ("A", ids[2]), ("B/x", ids[3]), ("C/x", ids[4])] {
        assert_eq!(at(&w, name).await.unwrap().id, id, "{name}");
    }
    assert!(at(&w, "A/x").await.is_none());
    assert_eq!(at(&w, "A").await.unwrap().sort_order, 3);
    assert!(w.store.subscriptions(ACCOUNT).await.unwrap().contains("A"));
    for (was, before) in ["A", "B", "C"].iter().zip(&all) {
        assert!(at(&w, was).await.unwrap().uid_validity > before.uid_validity, "{was}");
    }
    assert!(at(&w, "B/x").await.unwrap().uid_validity > all[4].uid_validity);
    w.sound().await;
}

#[tokio::test]
async fn what_lies_in_another_takes_its_place_and_circles_are_not_made() {
    let w = world(3).await;
    let ((top, _), (inner, _)) = (w.create("top").await, w.create("top/inner").await);
    let (last, _) = w.create("top/inner/last").await;
    let (other, _) = w.create("other").await;
    let before = w.store.mailboxes(ACCOUNT).await.unwrap();
    let inbox = w.mailbox(ACCOUNT, "INBOX").await;
    for (edits, why) in [
        ([(top.mailbox, within(Some(last.mailbox))), (inner.mailbox, named("x"))], "a circle"),
        (
            [(top.mailbox, within(Some(other.mailbox))), (other.mailbox, within(Some(last.mailbox)))],
            "one of two",
        ),
        ([(top.mailbox, within(Some(top.mailbox))), (other.mailbox, named("x"))], "in itself"),
        ([(inbox.mailbox, named("top")), (top.mailbox, named("x"))], "INBOX keeps its name"),
        ([(top.mailbox, named("inbox")), (other.mailbox, named("top"))], "there is one INBOX"),
    ] {
        assert!(matches!(exchange(&w, &edits).await, Err(Error::Reserved(_))), "{why}");
    }
    let taken = [(top.mailbox, named("Archive")), (other.mailbox, named("top"))];
    assert!(matches!(exchange(&w, &taken).await, Err(Error::AlreadyExists)));
    let twice = [(top.mailbox, named("x")), (other.mailbox, named("x"))];
    assert!(matches!(exchange(&w, &twice).await, Err(Error::AlreadyExists)));
    let nowhere = [(top.mailbox, within(Some(MailboxId(999)))), (other.mailbox, named("top"))];
    assert!(matches!(exchange(&w, &nowhere).await, Err(Error::NotFound)));
    for bad in ["", "a/b", "a\nb", &"x".repeat(256)] {
        assert!(
            matches!(exchange(&w, &[(top.mailbox, named(bad))]).await, Err(Error::Invalid(_))),
            "{bad:?}"
        );
    }
    assert_eq!(w.store.mailboxes(ACCOUNT).await.unwrap(), before, "nothing was done");
    // In whatever order they are given.
    let edits = [(top.mailbox, within(Some(inner.mailbox))), (inner.mailbox, within(None))];
    exchange(&w, &edits).await.unwrap();
    for (name, id) in [("inner/top", top), ("inner/last", last)] {
        assert_eq!(w.mailbox(ACCOUNT, name).await, id);
    }
    let edits = [(top.mailbox, within(None)), (inner.mailbox, within(Some(top.mailbox)))];
    exchange(&w, &edits).await.unwrap();
    assert_eq!(w.mailbox(ACCOUNT, "top/inner/last").await, last);
    w.sound().await;
}

/// What each path ever showed: the same UIDVALIDITY is never of two mailboxes, and it never goes down.
#[derive(Default)]
struct Shown(BTreeMap<String, (u32, MailboxId)>);

impl Shown {
    fn see(&mut self, tree: &[Mailbox]) {
        for one in tree {
            let now = (one.uid_validity.get(), one.id);
            let last = *self.0.entry(one.path.to_string()).or_insert(now);
            assert!(now.0 > last.0 || now == last, "{} showed {last:?} and shows {now:?}", one.path);
            self.0.insert(one.path.to_string(), now);
        }
    }
}

type Places = BTreeMap<MailboxId, (Option<MailboxId>, String)>;

/// What a tree is when some of it is given other places, if it is one then.
fn rearranged(tree: &[Mailbox], edits: &[(MailboxId, MailboxEdit)]) -> Option<Places> {
    let mut places: Places = tree.iter().map(|one| (one.id, (one.parent, one.name.clone()))).collect();
    for (id, edit) in edits {
        let place = places.get_mut(id).unwrap();
        place.0 = edit.parent.unwrap_or(place.0);
        place.1 = edit.name.clone().unwrap_or(place.1.clone());
    }
    let distinct: BTreeSet<_> = places.values().collect();
    let ends = |id: &MailboxId| {
        let mut above = places[id].0;
        for _ in 0..places.len() {
            above = above.and_then(|id| places[&id].0);
        }
        above.is_none()
    };
    let is_tree = distinct.len() == places.len() && places.keys().all(ends);
    is_tree.then_some(places)
}

/// Some mailboxes, each with another name or another place; INBOX and its like stay.
fn any_edits(rng: &SeededRng, tree: &[Mailbox]) -> Vec<(MailboxId, MailboxEdit)> {
    let below = |most: usize| usize::try_from(rng.below(most as u64)).unwrap();
    let free: Vec<&Mailbox> = tree.iter().filter(|one| one.role.is_none()).collect();
    let mut edits = BTreeMap::new();
    for _ in 0..=below(4) {
        let mut edit = MailboxEdit::default();
        if below(3) > 0 {
            edit.name = Some(["a", "b", "c", "Junk"][below(4)].to_owned());
        }
        if below(3) > 0 {
            edit.parent = Some((below(3) > 0).then(|| free[below(free.len())].id));
        }
        edits.insert(free[below(free.len())].id, edit);
    }
    edits.into_iter().collect()
}

async fn rearrange(w: &World, seed: u64, steps: usize) {
    let rng = SeededRng::new(seed);
    for name in ["a", "b", "c", "a/a", "a/b", "b/a", "b/a/c"] {
        w.create(name).await;
    }
    let (mut shown, mut done) = (Shown::default(), 0);
    for step in 0..steps {
        let tree = w.store.mailboxes(ACCOUNT).await.unwrap();
        shown.see(&tree);
        if rng.below(4) == 0 {
            // IMAP's verbs between, which leave names behind.
            let name = tree[usize::try_from(rng.below(tree.len() as u64)).unwrap()].path.clone();
            if !name.is_inbox() && w.store.delete(ACCOUNT, &name).await.is_err() {
                drop(w.store.rename(ACCOUNT, &name, &path("c/d")).await);
            }
            drop(w.store.create(ACCOUNT, &name, None).await);
            continue;
        }
        let edits = any_edits(&rng, &tree);
        let wanted = rearranged(&tree, &edits);
        let outcome = exchange(w, &edits).await;
        assert_eq!(outcome.is_ok(), wanted.is_some(), "step {step}: {edits:?} {outcome:?}");
        let after = w.store.mailboxes(ACCOUNT).await.unwrap();
        let places: Places = after.iter().map(|one| (one.id, (one.parent, one.name.clone()))).collect();
        assert_eq!(places.len(), after.len());
        match wanted {
            Some(wanted) => assert_eq!(places, wanted, "step {step}"),
            None => assert_eq!(after, tree, "step {step}"),
        }
        for one in &after {
            assert_eq!(at(w, &one.path.to_string()).await.as_ref(), Some(one), "by its name");
        }
        done += usize::from(outcome.is_ok());
    }
    shown.see(&w.store.mailboxes(ACCOUNT).await.unwrap());
    assert!(done > steps / 8, "{done} of {steps}");
    w.sound().await;
}

#[tokio::test(start_paused = true)]
async fn any_arrangement_that_is_a_tree_can_be_had() {
    for seed in 0..4 {
        let w = world(seed).await;
        w.faults.set_plan(Plan { unavailable: 0, too_old: 0, ..Plan::HARSH });
        rearrange(&w, seed, 60).await;
    }
}

#[tokio::test]
async fn any_arrangement_that_is_a_tree_can_be_had_on_one_machine() {
    let (w, _dir) = embedded_world(1).await;
    rearrange(&w, 100, 60).await;
}

/// Who changes the tree at the same time waits, or finds it as it is then.
#[tokio::test(start_paused = true)]
async fn two_who_exchange_at_once_do_it_one_after_the_other() {
    for seed in 0..10 {
        let w = world(seed).await;
        w.faults.set_plan(Plan::STALLS);
        let mut ids = Vec::new();
        for name in ["a", "b", "c"] {
            ids.push(w.create(name).await.0.mailbox);
        }
        let mut shown = Shown::default();
        shown.see(&w.store.mailboxes(ACCOUNT).await.unwrap());
        let one = [(ids[0], named("b")), (ids[1], named("a"))];
        let two = [(ids[1], named("c")), (ids[2], named("b"))];
        let (one, two) = tokio::join!(exchange(&w, &one), exchange(&w, &two));
        // Whoever comes second finds that a third has the name.
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        w.calm().await;
        let tree = w.store.mailboxes(ACCOUNT).await.unwrap();
        assert_eq!(tree.iter().filter(|one| ids.contains(&one.id)).count(), 3);
        shown.see(&tree);
        w.sound().await;
    }
}
