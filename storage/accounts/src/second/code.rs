//! Codes that a device makes of a secret and the time (RFC 6238, RFC 4226).

use aws_lc_rs::hmac;

/// Seconds of a step (RFC 6238 §4.1).
const STEP: i64 = 30;

/// Digits of a code: what all programs for it show.
pub(super) const DIGITS: usize = 6;

/// Steps before and after the present one whose codes are taken too: clocks differ, and typing takes time (RFC 6238 §5.2).
const AROUND: u64 = 1;

/// The step at a time in milliseconds since the epoch.
pub(super) fn step(now: i64) -> u64 {
    u64::try_from(now / 1000 / STEP).unwrap_or_default()
}

/// The step whose code this is: one around `now`, after `last`. One that was used is none (RFC 6238 §5.2).
pub(super) fn step_of(code: &str, secret: &[u8], now: u64, last: u64) -> Option<u64> {
    let typed: Vec<u8> = code.bytes().filter(|byte| *byte != b' ').take(DIGITS + 1).collect();
    let typed = <[u8; DIGITS]>::try_from(typed).ok()?;
    let steps = now.saturating_sub(AROUND)..=now.saturating_add(AROUND);
    // All are looked at: how long it takes says nothing of which it is.
    steps.fold(None, |found, step| {
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(&code_at(secret, step), &typed).is_ok();
        if same && step > last { Some(step) } else { found }
    })
}

/// RFC 4226 §5.3, with HMAC-SHA-1: what all programs for it know.
pub(super) fn code_at(secret: &[u8], step: u64) -> [u8; DIGITS] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0xf);
    let four = tag.get(offset..offset + 4).and_then(|four| four.try_into().ok()).unwrap_or_default();
    let mut number = u32::from_be_bytes(four) & 0x7fff_ffff;
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226 appendix D.
    #[test]
    fn codes_of_the_rfc() {
        let codes = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583"];
        for (counter, code) in (0..).zip(codes) {
            assert_eq!(code_at(b"12345678901234567890", counter), code.as_bytes());
        }
    }

    /// RFC 6238 appendix B, whose codes have two digits more in front.
    #[test]
    fn codes_at_times_of_the_rfc() {
        for (seconds, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code_at(b"12345678901234567890", step(seconds * 1000)), code.as_bytes()[2..]);
        }
    }

    #[test]
    fn a_code_is_taken_around_its_time_and_once() {
        let secret = b"12345678901234567890";
        let code = String::from_utf8(code_at(secret, 1000).to_vec()).unwrap();
        let at = |now, last| step_of(&code, secret, now, last);
        assert_eq!([999, 1000, 1001].map(|now| at(now, 0)), [Some(1000); 3]);
        assert_eq!([998, 1002].map(|now| at(now, 0)), [None; 2]);
        assert_eq!((at(1000, 999), at(1000, 1000), at(1000, 1001)), (Some(1000), None, None));
        let typed = format!(" {} {} ", &code[..3], &code[3..]);
        assert_eq!(step_of(&typed, secret, 1000, 0), Some(1000));
        for bad in ["", "12345", &format!("{code}0"), "abcdef", "\u{664}\u{664}\u{664}"] {
            assert_eq!(step_of(bad, secret, 1000, 0), None, "{bad}");
        }
    }
}
