//! Numbers and sets of numbers, written without an allocation.

use std::ops::RangeInclusive;

/// `value` in decimal digits.
pub fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// `sequence-set` of ranges that are ascending and apart: `1:3,5` (RFC 9051 §9).
pub fn ranges(out: &mut Vec<u8>, ranges: impl IntoIterator<Item = RangeInclusive<u32>>) {
    let mut first = true;
    for range in ranges {
        if !first {
            out.push(b',');
        }
        first = false;
        number(out, u64::from(*range.start()));
        if range.end() > range.start() {
            out.push(b':');
            number(out, u64::from(*range.end()));
        }
    }
}

/// `sequence-set` of numbers in the order given, runs of ascending neighbours as ranges.
pub fn set(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    let mut numbers = numbers.into_iter().peekable();
    ranges(
        out,
        std::iter::from_fn(move || {
            let start = numbers.next()?;
            let mut end = start;
            while let Some(next) = numbers.next_if(|&next| end.checked_add(1) == Some(next)) {
                end = next;
            }
            Some(start..=end)
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn numbers() {
        for value in [0, 7, 10, 4_294_967_295, u64::MAX] {
            assert_eq!(written(|o| number(o, value)), value.to_string());
        }
    }

    #[test]
    fn sets() {
        let text = |numbers: &[u32]| written(|o| set(o, numbers.iter().copied()));
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[5]), "5");
        assert_eq!(text(&[1, 2, 3, 5, 7, 8]), "1:3,5,7:8");
        assert_eq!(text(&[9, 1, 2]), "9,1:2");
        assert_eq!(text(&[u32::MAX - 1, u32::MAX, 1]), "4294967294:4294967295,1");
    }
}
