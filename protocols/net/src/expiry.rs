//! When a certificate ends to be good: the one thing in it that an operator has to be told.

use rustls::sign::CertifiedKey;

/// When the first certificate of a chain ends to be good, in seconds since the epoch. None if it does not say.
pub fn expiry(key: &CertifiedKey) -> Option<i64> {
    not_after(key.cert.first()?)
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// RFC 5280 §4.1: Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version, serialNumber, signature, issuer,
/// validity SEQUENCE { notBefore, notAfter }, … }, … }
fn not_after(certificate: &[u8]) -> Option<i64> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    for _ in ["serialNumber", "signature", "issuer"] {
        rest = element(rest)?.2;
    }
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    read_time(tag, std::str::from_utf8(time).ok()?)
}

fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag, content and what follows of one element of DER.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        // More than four octets of length are more than any certificate has.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// RFC 5280 §4.1.2.5: `YYMMDDHHMMSSZ`, where years from 50 on are of the last century, or `YYYYMMDDHHMMSSZ`.
fn read_time(tag: u8, text: &str) -> Option<i64> {
    let (year, rest) = text.split_at_checked(if tag == GENERALIZED_TIME { 4 } else { 2 })?;
    let year: i64 = year.parse().ok()?;
    let year = match (tag, year) {
        (GENERALIZED_TIME, year) => year,
        (UTC_TIME, 50..) => 1900 + year,
        (UTC_TIME, _) => 2000 + year,
        _ => return None,
    };
    let number = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (number(0)?, number(2)?);
    if rest.get(10..) != Some("Z") || !(1..=12).contains(&month) {
        return None;
    }
    Some(((days(year, month, day) * 24 + number(4)?) * 60 + number(6)?) * 60 + number(8)?)
}

/// Days from the epoch to a date of the Gregorian calendar. Years begin in March, so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Certificates;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_a_date_are_read() {
        assert_eq!(read_time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(read_time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(read_time(GENERALIZED_TIME, "20240229120000Z"), Some(1_709_208_000));
        for bad in ["20240229120000", "20241329120000Z", "2024x229120000Z", "20", "", "2024022912000ä"] {
            assert_eq!(read_time(GENERALIZED_TIME, bad), None, "{bad}");
        }
    }

    #[test]
    fn the_end_of_a_real_certificate_is_found() {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (chain, private) = (directory.path().join("c.pem"), directory.path().join("k.pem"));
        for (year, seconds) in [(2030, 1_893_456_000), (2060, 2_840_140_800)] {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            std::fs::write(&chain, params.self_signed(&key).unwrap().pem()).unwrap();
            std::fs::write(&private, key.serialize_pem()).unwrap();
            assert_eq!(expiry(&Certificates::load(&chain, &private).unwrap()), Some(seconds));
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            not_after(&bytes);
        }

        #[test]
        fn days_follow_each_other(year in 1950_i64..2200, month in 1_i64..=12) {
            let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let length = days(next.0, next.1, 1) - days(year, month, 1);
            prop_assert!((28..=31).contains(&length));
        }
    }
}
