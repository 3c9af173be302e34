//! How sets of documents of a segment are written, in about as many bits as they tell something.
//!
//! A byte that says how, and a bit for each document; or those that are in the set, or those that are not, as gaps in a
//! Rice code: a byte that says how many low bits each gap has, then of each gap the rest as so many zeros and a one, and its
//! low bits. Gaps are documents between two that are written; bits are filled from the lowest on.

use tantivy::DocId;

use crate::bytes::{BITS, Packed, bits};
use crate::exact::Docs;
use crate::fields::Section;

/// The section of which sets are kept, of letters and of neighbours.
pub(crate) const SECTION: Section = Section::Body;
/// Smaller segments have none: they are soon merged, and their lists are short.
pub(crate) const LEAST: u32 = 1_024;

const BY_BITS: u8 = 0;
const THOSE: u8 = 1;
const OTHERS: u8 = 2;

/// Low bits of gaps, at most.
const MOST_LOW: u8 = 31;

/// Writes a set in the shortest way.
pub(crate) fn put_set(documents: u32, set: &Docs, out: &mut Vec<u8>) {
    let others = || {
        let mut others = Docs::all(documents);
        others.take_away(set);
        others
    };
    let (how, gaps) = if set.len() <= documents / 2 {
        (THOSE, coded(documents, set))
    } else {
        (OTHERS, coded(documents, &others()))
    };
    if gaps.len() < set.bytes() {
        out.push(how);
        out.extend_from_slice(&gaps);
    } else {
        out.push(BY_BITS);
        set.put(out);
    }
}

/// What [`put_set`] wrote; none where that is something else.
pub(crate) fn take_set(documents: u32, bytes: &[u8]) -> Option<Docs> {
    let (how, rest) = bytes.split_first()?;
    match *how {
        BY_BITS => Docs::take(documents, rest),
        THOSE => decoded(documents, rest),
        OTHERS => {
            let mut set = Docs::all(documents);
            set.take_away(&decoded(documents, rest)?);
            Some(set)
        }
        _ => None,
    }
}

fn coded(documents: u32, set: &Docs) -> Vec<u8> {
    // Low bits cost least where they are as many as the mean gap has, less about a half.
    let mean = u64::from(documents) / u64::from(set.len().max(1));
    let low = u8::try_from((mean * 7 / 10).max(1).ilog2()).unwrap_or(MOST_LOW).min(MOST_LOW);
    let mut out = Packed::behind(vec![low]);
    let mut next = 0;
    set.each(|doc| {
        let gap = u64::from(doc - next);
        next = doc + 1;
        for _ in 0..gap >> low {
            out.put(0, 1);
        }
        out.put(1 | (gap & ((1 << low) - 1)) << 1, low + 1);
    });
    out.ended()
}

fn decoded(documents: u32, bytes: &[u8]) -> Option<Docs> {
    let (low, bytes) = bytes.split_first().filter(|(low, _)| **low <= MOST_LOW)?;
    let (mut set, mut at, mut next) = (Docs::none(documents), 0, 0u64);
    loop {
        let (mut rest, mut ahead) = (0, bits(bytes, at, BITS));
        while ahead == 0 {
            at += usize::from(BITS);
            rest += u64::from(BITS);
            // Zeros fill the last byte.
            if at >= 8 * bytes.len() {
                return Some(set);
            }
            ahead = bits(bytes, at, BITS);
        }
        let zeros = ahead.trailing_zeros();
        at += zeros as usize + 1;
        next += (rest + u64::from(zeros)) << low | bits(bytes, at, *low);
        at += usize::from(*low);
        set.insert(DocId::try_from(next).ok().filter(|doc| *doc < documents)?);
        next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(documents: u32, has: impl Fn(u32) -> bool) -> Docs {
        let mut set = Docs::none(documents);
        (0..documents).filter(|doc| has(*doc)).for_each(|doc| set.insert(doc));
        set
    }

    #[test]
    fn sets_are_read_as_written() {
        for documents in [1, 7, 64, 1_000, 20_011] {
            let random =
                |doc: u32| doc.wrapping_mul(2_654_435_769).rotate_left(13).wrapping_mul(2_246_822_519) >> 16;
            let mut sets = vec![Docs::none(documents), Docs::all(documents)];
            sets.push(set(documents, |doc| doc + 1 == documents));
            sets.push(set(documents, |doc| doc != documents / 2));
            // One far behind the others: more zeros than are read at once.
            sets.push(set(documents, |doc| doc < documents / 20 || doc + 1 == documents));
            for share in [1, 100, 3_000, 20_000, 32_768, 45_000, 65_000] {
                sets.push(set(documents, |doc| random(doc) < share));
            }
            for set in &sets {
                let mut bytes = Vec::new();
                put_set(documents, set, &mut bytes);
                assert_eq!(take_set(documents, &bytes).as_ref(), Some(set), "{} of {documents}", set.len());
                assert!(bytes.len() <= set.bytes() + 2);
            }
        }
        let mut bytes = Vec::new();
        put_set(64_000, &set(64_000, |doc| doc % 16 == 0), &mut bytes);
        assert!(bytes.len() < 64_000 / 16 * 5 / 8 + 16, "{} bytes", bytes.len());
    }

    #[test]
    fn what_is_no_set() {
        assert_eq!(take_set(100, &[]), None);
        assert_eq!(take_set(100, &[7, 1]), None);
        assert_eq!(take_set(100, &[BY_BITS, 0]), None);
        let mut beyond = vec![BY_BITS];
        beyond.extend_from_slice(&[0xff; 16]);
        assert_eq!(take_set(100, &beyond), None, "bits of no documents");
        assert_eq!(take_set(100, &[THOSE]), None);
        assert_eq!(take_set(100, &[THOSE, 32, 1]), None);
        assert_eq!(take_set(100, &[THOSE, 31, 1, 0xff, 0xff, 0xff, 0xff]), None, "no document");
        assert_eq!(take_set(8, &[THOSE, 0, 0xff, 1]), None, "more than there are");
        for length in 0..200 {
            assert_eq!(take_set(100, &[vec![THOSE, 3], vec![0; length]].concat()), Some(Docs::none(100)));
        }
    }
}
