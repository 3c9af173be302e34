//! How long lists of numbers are written, some of which follow one another closely and others do not.
//!
//! A byte that says how many low bits of each gap are written as they are; then of each gap one more than what is left of it,
//! in as many zeros as that has bits below its highest one, and these from that one on, and the low bits (an exponential
//! Golomb code). Gaps are numbers between two that are written; bits are filled from the lowest on.

use crate::bytes::{BITS, Packed, bits};

/// Low bits of gaps, at most.
const MOST_LOW: u8 = 31;
/// Bits below the highest one of what is left of a gap, at most.
const MOST_REST: u32 = 32;

/// Writes numbers that ascend.
pub(crate) fn put_numbers(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32> + Clone) {
    let gaps = numbers.scan(0, |next, number| {
        let gap = u64::from(number) - *next;
        *next = u64::from(number) + 1;
        Some(gap)
    });
    let low = shortest(gaps.clone());
    let mut packed = Packed::behind(vec![low]);
    let mut is_empty = true;
    for gap in gaps {
        is_empty = false;
        let rest = (gap >> low) + 1;
        let below = rest.ilog2() as u8;
        // Zeros, a one, and what is below it.
        let (code, bits) = ((1 | (rest & ((1 << below) - 1)) << 1) << below, 2 * below + 1);
        let lowest = gap & ((1 << low) - 1);
        if bits + low <= BITS {
            packed.put(code | lowest << bits, bits + low);
        } else {
            packed.put(0, below);
            packed.put(code >> below, below + 1);
            packed.put(lowest, low);
        }
    }
    if !is_empty {
        out.append(&mut packed.ended());
    }
}

/// With how many low bits about the fewest bits are written.
fn shortest(gaps: impl Iterator<Item = u64>) -> u8 {
    let mut lengths = [0u64; 33];
    gaps.for_each(|gap| lengths[(u64::BITS - gap.leading_zeros()) as usize] += 1);
    let longest = lengths.iter().rposition(|count| *count > 0).unwrap_or_default();
    let cost = |low: u64| -> u64 {
        let bits = |length: u64| 2 * length.saturating_sub(low) + 1 + low;
        lengths[..=longest].iter().zip(0..).map(|(count, length)| count * bits(length)).sum()
    };
    let low = (0..=longest as u64).min_by_key(|low| cost(*low)).unwrap_or_default();
    MOST_LOW.min(low as u8)
}

/// What [`put_numbers`] wrote; none where that is something else.
pub(crate) fn take_numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let Some((low, bytes)) = bytes.split_first() else { return Some(Vec::new()) };
    let low = Some(*low).filter(|low| *low <= MOST_LOW)?;
    let (mut out, mut at, mut next) = (Vec::new(), 0, 0);
    loop {
        let mut ahead = bits(bytes, at, BITS);
        if ahead == 0 {
            // Zeros fill the last byte.
            return (at + 8 > 8 * bytes.len()).then_some(out);
        }
        let below = Some(ahead.trailing_zeros()).filter(|below| *below <= MOST_REST)? as u8;
        ahead >>= below + 1;
        at += usize::from(below) + 1;
        if 2 * below + 1 + low > BITS {
            ahead = bits(bytes, at, BITS);
        }
        let rest = 1 << below | ahead & ((1 << below) - 1);
        at += usize::from(below);
        ahead = if 2 * below + 1 + low > BITS { bits(bytes, at, BITS) } else { ahead >> below };
        let gap = (rest - 1) << low | ahead & ((1 << low) - 1);
        at += usize::from(low);
        if at > 8 * bytes.len() {
            return None;
        }
        let number = Some(next + gap).filter(|number| *number <= u64::from(u32::MAX))?;
        out.push(number);
        next = number + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_written() {
        let random = |at: u32| at.wrapping_mul(2_654_435_769).rotate_left(13).wrapping_mul(2_246_822_519);
        let mut lists = vec![vec![], vec![0], vec![7], vec![u32::MAX], vec![0, u32::MAX], (5..500).collect()];
        lists.push(vec![0, 1, 2, 3, 1_000_000, 1_000_001, u32::MAX - 1, u32::MAX]);
        for few in 0..32 {
            let mut list: Vec<u32> = (0..300).map(|at| random(at) >> few).collect();
            list.sort_unstable();
            list.dedup();
            lists.push(list);
        }
        for list in lists {
            let mut bytes = Vec::new();
            put_numbers(&mut bytes, list.iter().copied());
            let expected: Vec<u64> = list.iter().map(|number| u64::from(*number)).collect();
            assert_eq!(take_numbers(&bytes), Some(expected));
            if let Some(cut) = bytes.len().checked_sub(1).and_then(|end| bytes.get(..end)) {
                assert!(take_numbers(cut).is_none_or(|numbers| numbers.len() < list.len()), "{list:?}");
            }
        }
        let mut bytes = Vec::new();
        put_numbers(&mut bytes, 100..1_100);
        assert!(
            bytes.len() < 1_000 / 8 + 8,
            "a bit for each that follows the one before: {} bytes",
            bytes.len()
        );
    }

    #[test]
    fn what_is_no_list() {
        for bytes in
            [&[32, 1][..], &[0, 0, 0], &[31, 0x10, 0], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &[31, 0, 0xff]]
        {
            assert_eq!(take_numbers(bytes), None, "{bytes:?}");
        }
        // Whatever it is, there is an end to it.
        for seed in 0..2_000u32 {
            let bytes: Vec<u8> = (0..seed % 40).map(|at| (seed.wrapping_mul(at + 77) >> 5) as u8).collect();
            let numbers = take_numbers(&bytes).unwrap_or_default();
            assert!(numbers.is_sorted() && numbers.last().is_none_or(|last| *last <= u64::from(u32::MAX)));
        }
    }
}
