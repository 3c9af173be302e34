//! SEARCH, ESEARCH, SORT, THREAD and VANISHED responses.

use std::ops::RangeInclusive;

use super::{crlf, number, ranges};
use crate::Tag;

/// `* SEARCH n n … [(MODSEQ m)]` (RFC 3501 §7.2.5, RFC 7162 §3.1.5)
pub fn search(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>, modseq: Option<u64>) {
    numbers_line(out, "* SEARCH", numbers);
    if let Some(modseq) = modseq {
        out.extend_from_slice(b" (MODSEQ ");
        number(out, modseq);
        out.push(b')');
    }
    crlf(out);
}

/// `* SORT n n …` (RFC 5256 §4)
pub fn sort(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    numbers_line(out, "* SORT", numbers);
    crlf(out);
}

fn numbers_line(out: &mut Vec<u8>, name: &str, numbers: impl IntoIterator<Item = u32>) {
    out.extend_from_slice(name.as_bytes());
    for value in numbers {
        out.push(b' ');
        number(out, u64::from(value));
    }
}

/// What an ESEARCH answer tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Esearch<'a> {
    /// The lowest hit.
    pub min: Option<u32>,
    /// The highest hit.
    pub max: Option<u32>,
    /// The number of hits.
    pub count: Option<u32>,
    /// All hits, in order; not told if there are none (RFC 4731 §3.1).
    pub all: Option<&'a [RangeInclusive<u32>]>,
    /// The highest mod-sequence among them (RFC 4731 §3.2).
    pub modseq: Option<u64>,
    /// How well each fits, from 1 to 100, in the order in which they are told (RFC 6203 §4).
    pub relevancy: Option<&'a [u8]>,
}

/// `esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)` (RFC 9051 §9)
pub fn esearch(out: &mut Vec<u8>, tag: &Tag, uid: bool, result: &Esearch<'_>) {
    out.extend_from_slice(b"* ESEARCH (TAG \"");
    out.extend_from_slice(tag.as_str().as_bytes());
    out.extend_from_slice(b"\")");
    if uid {
        out.extend_from_slice(b" UID");
    }
    for (name, value) in [(" MIN ", result.min), (" MAX ", result.max), (" COUNT ", result.count)] {
        if let Some(value) = value {
            out.extend_from_slice(name.as_bytes());
            number(out, u64::from(value));
        }
    }
    if let Some(all) = result.all.filter(|all| !all.is_empty()) {
        out.extend_from_slice(b" ALL ");
        ranges(out, all.iter().cloned());
    }
    if let Some(modseq) = result.modseq {
        out.extend_from_slice(b" MODSEQ ");
        number(out, modseq);
    }
    if let Some(scores) = result.relevancy {
        // `search-return-data =/ "RELEVANCY" SP score-list`; `score-list = "(" [score *(SP score)] ")"` (RFC 6203 §6)
        out.extend_from_slice(b" RELEVANCY (");
        for (at, score) in scores.iter().enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            number(out, u64::from(*score));
        }
        out.push(b')');
    }
    crlf(out);
}

/// `* VANISHED [(EARLIER)] uids` (RFC 7162 §3.2.10); nothing for no UIDs.
pub fn vanished(out: &mut Vec<u8>, earlier: bool, uids: impl IntoIterator<Item = RangeInclusive<u32>>) {
    let mut uids = uids.into_iter().peekable();
    if uids.peek().is_none() {
        return;
    }
    out.extend_from_slice(if earlier { b"* VANISHED (EARLIER) " } else { b"* VANISHED " });
    ranges(out, uids);
    crlf(out);
}

/// A message in a thread and the answers to it; without a number for a parent that is not here. Trees are
/// told as places in a slice: they may be as deep as a mailbox has messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThreadNode {
    /// Its sequence number or UID.
    pub number: Option<u32>,
    /// The places of answers, in order.
    pub children: Vec<usize>,
}

/// `* THREAD (…)(…)` (RFC 5256 §4): the trees that begin at `roots`.
pub fn thread(out: &mut Vec<u8>, nodes: &[ThreadNode], roots: &[usize]) {
    out.extend_from_slice(b"* THREAD");
    if !roots.is_empty() {
        out.push(b' ');
    }
    for &root in roots {
        thread_list(out, nodes, root);
    }
    crlf(out);
}

/// `thread-list = "(" (thread-members / thread-nested) ")"`;
/// `thread-members = nz-number *(SP nz-number) [SP thread-nested]`; `thread-nested = 2*thread-list`
fn thread_list(out: &mut Vec<u8>, nodes: &[ThreadNode], root: usize) {
    enum Step {
        Open(usize),
        Close,
    }
    let mut steps = vec![Step::Open(root)];
    while let Some(step) = steps.pop() {
        let Step::Open(mut place) = step else {
            out.push(b')');
            continue;
        };
        out.push(b'(');
        steps.push(Step::Close);
        let mut first = true;
        while let Some(node) = nodes.get(place) {
            if let Some(value) = node.number {
                if !first {
                    out.push(b' ');
                }
                number(out, u64::from(value));
                first = false;
            }
            match node.children[..] {
                [] => break,
                [only] => place = only,
                ref many => {
                    if !first {
                        out.push(b' ');
                    }
                    steps.extend(many.iter().rev().copied().map(Step::Open));
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn plain() {
        assert_eq!(written(|o| search(o, [2, 84, 882], None)), "* SEARCH 2 84 882\r\n"); // RFC 3501 §7.2.5
        assert_eq!(written(|o| search(o, [], None)), "* SEARCH\r\n");
        // RFC 7162 §3.1.5
        assert_eq!(written(|o| search(o, [2, 5], Some(917_162_500))), "* SEARCH 2 5 (MODSEQ 917162500)\r\n");
        assert_eq!(written(|o| sort(o, [2, 84, 882])), "* SORT 2 84 882\r\n"); // RFC 5256 §3
    }

    /// RFC 9051 §6.4.4, RFC 4731 §3.1.
    #[test]
    fn extended() {
        let tag = Tag::new(b"A282").unwrap();
        let text = |uid, result: &Esearch<'_>| written(|o| esearch(o, &tag, uid, result));
        let hits = Esearch { min: Some(2), count: Some(3), ..Esearch::default() };
        assert_eq!(text(false, &hits), "* ESEARCH (TAG \"A282\") MIN 2 COUNT 3\r\n");
        let all = [2..=2, 10..=11];
        let hits = Esearch { all: Some(&all), modseq: Some(9), ..Esearch::default() };
        assert_eq!(text(true, &hits), "* ESEARCH (TAG \"A282\") UID ALL 2,10:11 MODSEQ 9\r\n");
        let hits = Esearch { all: Some(&all), relevancy: Some(&[4, 99, 42]), ..Esearch::default() };
        assert_eq!(text(false, &hits), "* ESEARCH (TAG \"A282\") ALL 2,10:11 RELEVANCY (4 99 42)\r\n");
        let none = Esearch { count: Some(0), all: Some(&[]), ..Esearch::default() };
        assert_eq!(text(true, &none), "* ESEARCH (TAG \"A282\") UID COUNT 0\r\n");
    }

    /// RFC 7162 §3.2.10
    #[test]
    fn gone() {
        assert_eq!(written(|o| vanished(o, true, [41..=41, 43..=116])), "* VANISHED (EARLIER) 41,43:116\r\n");
        assert_eq!(written(|o| vanished(o, false, [405..=405])), "* VANISHED 405\r\n");
        assert_eq!(written(|o| vanished(o, false, [])), "");
    }

    /// RFC 5256 §4
    #[test]
    fn threads() {
        let node = |number: u32, children: &[usize]| ThreadNode {
            number: (number > 0).then_some(number),
            children: children.to_vec(),
        };
        let nodes = [
            node(2, &[]),
            node(3, &[2]),
            node(6, &[3, 5]),
            node(4, &[4]),
            node(23, &[]),
            node(44, &[6]),
            node(7, &[7]),
            node(96, &[]),
            node(0, &[0, 4]),
        ];
        let text = |roots: &[usize]| written(|o| thread(o, &nodes, roots));
        assert_eq!(text(&[0, 1]), "* THREAD (2)(3 6 (4 23)(44 7 96))\r\n");
        assert_eq!(text(&[8]), "* THREAD ((2)(23))\r\n");
        assert_eq!(text(&[]), "* THREAD\r\n");
    }
}
