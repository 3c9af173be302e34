//! Dates of header fields: read with every obsolete form, written in one.

use mail_parser::DateTime;

const MS: i64 = 1000;
const DAY: i64 = 86_400;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A Date field's text (RFC 5322 §3.3, obsolete forms of §4.3) in milliseconds since the epoch.
pub fn parse(text: &str) -> Option<i64> {
    let mut date = DateTime::parse_rfc822(text)?;
    // RFC 5322 §4.3: a year of three digits counts from 1900, also where it was written as 0102.
    if (100..1000).contains(&date.year) {
        date.year += 1900;
    }
    let offset = i64::from(date.tz_hour) * 60 + i64::from(date.tz_minute);
    // RFC 5322 §3.3: the zone is a number of hours and minutes; nonsense there does not make a date.
    (date.is_valid() && date.tz_minute < 60 && offset < 24 * 60).then(|| date.to_timestamp() * MS)
}

/// A time in seconds since the epoch as RFC 5322 §3.3 writes it, in UTC: `Thu, 01 Jan 1970 00:00:00 +0000`.
pub fn rfc5322(seconds: i64) -> String {
    rfc5322_in(seconds, 0)
}

/// The same in a zone that is so many minutes ahead of UTC.
pub fn rfc5322_in(seconds: i64, offset: i16) -> String {
    // Years have four digits, zones two for hours.
    let offset = offset.clamp(-5_999, 5_999);
    let seconds = (seconds + i64::from(offset) * 60).clamp(-62_135_596_800, 253_402_300_799);
    let (sign, minutes) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    let zone = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let name = DAYS[usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0) % 12];
    format!("{name}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} {zone}")
}

/// Year, month and day of a number of days since the epoch, in the Gregorian calendar: counted in years
/// that begin in March, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_5322_appendix_a() {
        assert_eq!(parse("Fri, 21 Nov 1997 09:55:06 -0600"), Some(880_127_706_000));
        assert_eq!(parse("Tue, 1 Jul 2003 10:52:37 +0200"), Some(1_057_049_557_000));
        assert_eq!(parse("Thu, 13 Feb 1969 23:32 -0330"), Some(-27_723_480_000));
        assert_eq!(parse("21 Nov 97 09:55:06 GMT"), Some(880_106_106_000));
        assert_eq!(parse("Thu, 22 Aug 0102 12:07:35 +0800"), parse("22 Aug 2002 04:07:35 GMT"));
        assert_eq!(parse("21 Nov 197 09:55:06 GMT"), parse("21 Nov 2097 09:55:06 GMT"));
    }

    #[test]
    fn no_dates() {
        for text in ["", "yesterday", "99 Nov 1997 09:55:06 -0600", "1 Jan 2000 25:00:00 +0000"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn written_dates_are_read_back() {
        assert_eq!(rfc5322(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc5322(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        for seconds in [0, 1, 951_868_799, 880_127_706, 4_102_444_800, -1] {
            assert_eq!(parse(&rfc5322(seconds)), Some(seconds * 1000), "{}", rfc5322(seconds));
        }
        assert!(rfc5322(i64::MAX).starts_with("Fri, 31 Dec 9999"));
    }
}
