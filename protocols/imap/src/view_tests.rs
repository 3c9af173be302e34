//! The view tells the truth, in an order that a client can follow.

use super::*;

fn view(uids: &[u32]) -> View {
    View::new(uids.iter().copied().collect(), ModSeq(1))
}

fn told(view: &mut View, delta: &Delta, expunge: bool) -> String {
    let mut out = Vec::new();
    view.tell(&mut out, delta, expunge, Modes::default());
    String::from_utf8(out).unwrap()
}

#[test]
fn expunges_wait_until_they_may_be_told() {
    let mut view = view(&[3, 5, 8, 9]);
    let delta = Delta { as_of: ModSeq(2), vanished: [5, 9].into_iter().collect(), ..Delta::default() };
    assert_eq!(told(&mut view, &delta, false), "");
    assert_eq!(view.seq_of(8), Some(3), "sequence numbers hold meanwhile");
    assert_eq!(told(&mut view, &Delta::default(), true), "* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n");
    assert_eq!(view.seq_of(8), Some(2));
    assert_eq!(view.as_of(), ModSeq(2));
}

#[test]
fn sets_resolve_within_the_view() {
    let view = view(&[3, 5, 8]);
    let set = |text| SequenceSet::from_text(text).unwrap();
    let saved: UidSet = [5, 7].into_iter().collect();
    let resolve = |text, uid| view.resolve(&set(text), uid, &saved).map(|s| s.iter().collect::<Vec<_>>());
    assert_eq!(resolve("2:*", false), Some(vec![5, 8]));
    assert_eq!(resolve("4", false), None);
    assert_eq!(resolve("4:*", true), Some(vec![5, 8]));
    assert_eq!(resolve("100:*", true), Some(vec![8]), "* is the highest there is");
    assert_eq!(resolve("$", true), Some(vec![5]));
}

/// RFC 9051 §6.4.4: in a search numbers beyond the mailbox match nothing.
#[test]
fn spans_of_a_search() {
    let view = view(&[3, 5, 8]);
    let spanned = |text, uid| {
        let set = view.spanned(&SequenceSet::from_text(text).unwrap(), uid);
        set.intersection(view.uids()).iter().collect::<Vec<_>>()
    };
    assert_eq!(spanned("2:*", false), [5, 8]);
    assert_eq!(spanned("3:9", false), [8]);
    assert_eq!(spanned("4:9,1", false), [3]);
    assert_eq!(spanned("4:6", true), [5]);
    assert_eq!(spanned("100:*", true), [8]);
}

/// Each run on its own would take minutes here.
#[test]
fn every_second_message_of_many_vanishes() {
    const MANY: u32 = 400_000;
    let mut view = View::new(UidSet::from_ranges([1..=2 * MANY]), ModSeq(1));
    let vanished = UidSet::from_ranges((1..=MANY).map(|n| 2 * n..=2 * n));
    let delta = Delta { as_of: ModSeq(2), vanished, ..Delta::default() };
    assert_eq!(told(&mut view, &delta, false), "");
    let modes = Modes { qresync: true, ..Modes::default() };
    let mut out = Vec::new();
    view.tell(&mut out, &Delta::default(), true, modes);
    assert!(out.starts_with(b"* VANISHED 2,4,6,"));
    assert_eq!((view.len(), view.seq_of(3)), (MANY, Some(2)));
}
