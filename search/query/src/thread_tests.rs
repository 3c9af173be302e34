//! Threads as nested lists: what RFC 5256 says, and that nobody is lost.

use super::*;
use proptest::prelude::*;

fn message(number: u32, id: &str, references: &[&str], subject: &str) -> ThreadMessage {
    let base = subject.trim_start_matches("Re: ");
    ThreadMessage {
        number,
        message_id: (!id.is_empty()).then(|| id.to_owned()),
        references: references.iter().map(|&r| r.to_owned()).collect(),
        subject: base.to_owned(),
        is_reply: base != subject,
        sent: i64::from(number),
    }
}

/// Threads as nested lists; a missing parent is `-`.
fn shape(threads: &Threads) -> String {
    fn show(threads: &Threads, at: usize) -> String {
        let node = &threads.nodes[at];
        let own = node.number.map_or("-".to_owned(), |n| n.to_string());
        let children: Vec<String> = node.children.iter().map(|&c| show(threads, c)).collect();
        if children.is_empty() { own } else { format!("{own}({})", children.join(" ")) }
    }
    threads.roots.iter().map(|&root| show(threads, root)).collect::<Vec<_>>().join(" ")
}

#[test]
fn answers_hang_below_what_they_answer() {
    let messages = [
        message(1, "a", &[], "x"),
        message(2, "b", &["a"], "Re: x"),
        message(3, "c", &["a", "b"], "Re: x"),
        message(4, "d", &["a"], "Re: x"),
        message(5, "e", &[], "y"),
    ];
    assert_eq!(shape(&references(&messages)), "1(2(3) 4) 5");
}

#[test]
fn missing_parents() {
    // One child: it stands alone. Two: their parent stays, without a message.
    let one = [message(1, "b", &["gone"], "x")];
    assert_eq!(shape(&references(&one)), "1");
    let two = [message(1, "b", &["gone"], "x"), message(2, "c", &["gone"], "y")];
    assert_eq!(shape(&references(&two)), "-(1 2)");
    let chain = [message(1, "a", &[], "x"), message(2, "d", &["a", "b", "c"], "Re: x")];
    assert_eq!(shape(&references(&chain)), "1(2)");
}

/// RFC 5256 §3 REFERENCES, step 5.
#[test]
fn threads_of_one_subject_become_one() {
    let reply = [message(1, "a", &[], "x"), message(2, "b", &[], "Re: x")];
    assert_eq!(shape(&references(&reply)), "1(2)");
    let equals = [message(1, "a", &[], "x"), message(2, "b", &[], "x")];
    assert_eq!(shape(&references(&equals)), "-(1 2)");
    let reply_first = [message(1, "a", &[], "Re: x"), message(2, "b", &[], "x")];
    assert_eq!(shape(&references(&reply_first)), "2(1)");
    let three = [message(1, "a", &[], "x"), message(2, "b", &[], "x"), message(3, "c", &[], "x")];
    assert_eq!(shape(&references(&three)), "-(1 2 3)");
    let no_subject = [message(1, "a", &[], ""), message(2, "b", &[], "")];
    assert_eq!(shape(&references(&no_subject)), "1 2");
}

#[test]
fn loops_and_doubles() {
    let circle = [message(1, "a", &["b"], "x"), message(2, "b", &["a"], "y")];
    assert_eq!(shape(&references(&circle)).matches(['1', '2']).count(), 2);
    let own = [message(1, "a", &["a"], "x")];
    assert_eq!(shape(&references(&own)), "1");
    let double = [message(1, "a", &[], "x"), message(2, "a", &[], "y"), message(3, "c", &["a"], "z")];
    assert_eq!(shape(&references(&double)), "1(3) 2");
}

/// RFC 5256 §3 ORDEREDSUBJECT.
#[test]
fn by_subject() {
    let messages = [message(1, "", &[], "b"), message(2, "", &[], "a"), message(3, "", &[], "Re: b")];
    assert_eq!(shape(&ordered_subject(&messages)), "1(3) 2");
}

#[test]
fn a_hundred_thousand_answers_to_answers() {
    let messages: Vec<ThreadMessage> =
        (1..100_000u32).map(|n| message(n, &n.to_string(), &[&(n - 1).to_string()], "Re: x")).collect();
    let threads = references(&messages);
    assert_eq!(threads.roots.len(), 1);
    let mut depth = 0;
    let mut at = threads.roots[0];
    while let [child] = threads.nodes[at].children[..] {
        (at, depth) = (child, depth + 1);
    }
    assert_eq!(depth, 99_998);
}

proptest! {
    /// Every message is in exactly one place, whatever they refer to.
    #[test]
    fn nobody_is_lost(links in prop::collection::vec((0u8..12, prop::collection::vec(0u8..12, 0..4), 0u8..3), 0..20)) {
        let messages: Vec<ThreadMessage> = links.iter().zip(1..).map(|((id, refs, subject), number)| {
            let refs: Vec<String> = refs.iter().map(u8::to_string).collect();
            let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
            message(number, &id.to_string(), &refs, ["x", "Re: x", "y"][usize::from(*subject)])
        }).collect();
        for algorithm in [ThreadAlgorithm::References, ThreadAlgorithm::OrderedSubject] {
            let threads = thread(algorithm, &messages);
            let mut seen = Vec::new();
            let mut todo = threads.roots.clone();
            while let Some(at) = todo.pop() {
                seen.extend(threads.nodes[at].number);
                todo.extend(&threads.nodes[at].children);
                prop_assert!(seen.len() <= messages.len());
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (1..=u32::try_from(messages.len()).unwrap()).collect::<Vec<_>>());
        }
    }
}
