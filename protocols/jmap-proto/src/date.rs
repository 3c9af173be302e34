//! Dates (RFC 8620 §1.4): RFC 3339 with upper-case letters, and without a fraction that is zero.

use std::fmt::Write;

/// A moment and, as far as it was told, the zone it was told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Milliseconds since the epoch.
    pub millis: i64,
    /// How far the local time is ahead of UTC, in minutes.
    pub offset: i16,
}

impl Date {
    /// Reads a `Date`; none for what is none.
    pub fn parse(text: &str) -> Option<Date> {
        let (moment, offset) = parse(text)?;
        Some(Date { millis: moment.checked_sub(i64::from(offset) * 60_000)?, offset })
    }

    /// As it is written: `2014-10-30T14:12:00+08:00`.
    pub fn render(self) -> String {
        let mut text = local(self.millis + i64::from(self.offset) * 60_000);
        let (sign, minutes) = if self.offset < 0 { ('-', -self.offset) } else { ('+', self.offset) };
        match minutes {
            0 => text.push('Z'),
            _ => {
                let _ = write!(text, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
            }
        }
        text
    }
}

/// Reads a `UTCDate`, in milliseconds since the epoch; none for what is none.
pub fn parse_utc(text: &str) -> Option<i64> {
    text.ends_with('Z').then(|| parse(text).map(|(moment, _)| moment)).flatten()
}

/// A `UTCDate` of milliseconds since the epoch: `2014-10-30T06:12:00Z`.
pub fn render_utc(millis: i64) -> String {
    Date { millis, offset: 0 }.render()
}

/// Local milliseconds, and the offset in minutes.
fn parse(text: &str) -> Option<(i64, i16)> {
    if !text.is_ascii() || text.get(10..11)? != "T" {
        return None;
    }
    let (day, rest) = (text.get(..10)?, text.get(11..)?);
    let [year, month, dom] = split(day, '-')?;
    let zone = rest.find(['Z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone);
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, f)| (time, Some(f)));
    let [hour, minute, second] = split(time, ':')?;
    let leap = second == 60;
    if !(1..=12).contains(&month) || dom < 1 || dom > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 || day.len() != 10 || time.len() != 8 {
        return None;
    }
    let seconds = days(year, month, dom) * 86_400 + hour * 3_600 + minute * 60 + second - i64::from(leap);
    Some((seconds * 1_000 + fraction.map_or(Some(0), fraction_millis)?, offset(zone)?))
}

fn split(text: &str, at: char) -> Option<[i64; 3]> {
    let mut parts = text.split(at).map(digits);
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

/// RFC 8620 §1.4: a fraction that is zero is left out, so one that is there is not.
fn fraction_millis(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 18 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let padded: String = text.chars().chain("000".chars()).take(3).collect();
    padded.parse().ok()
}

fn offset(zone: &str) -> Option<i16> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    if rest.len() != 5 {
        return None;
    }
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    let all = i16::try_from(hours * 60 + minutes).ok().filter(|_| hours < 24 && minutes < 60)?;
    Some(if sign == "-" { -all } else { all })
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the epoch to a day of the proleptic Gregorian calendar; years begin in March here, so that the leap day is
/// their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Date and time of local milliseconds.
fn local(millis: i64) -> String {
    // What is not a year of four digits cannot be written: it is told as the nearest that can.
    let millis = millis.clamp(-62_167_219_200_000, 253_402_300_799_999);
    let (seconds, fraction) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
    let (day, time) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let dom = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year_of_era + carry;
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    let mut text = format!("{year:04}-{month:02}-{dom:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        let digits = format!("{fraction:03}");
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_examples() {
        let date = Date::parse("2014-10-30T14:12:00+08:00").unwrap();
        assert_eq!((date.millis, date.offset), (1_414_649_520_000, 480));
        assert_eq!(date.render(), "2014-10-30T14:12:00+08:00");
        assert_eq!(parse_utc("2014-10-30T06:12:00Z"), Some(1_414_649_520_000));
        assert_eq!(render_utc(1_414_649_520_000), "2014-10-30T06:12:00Z");
    }

    #[test]
    fn edges() {
        for text in [
            "1970-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999Z",
            "2000-02-29T12:00:00.5Z",
        ] {
            assert_eq!(parse_utc(text).map(render_utc).as_deref(), Some(text));
        }
        assert_eq!(parse_utc("2016-12-31T23:59:60Z"), parse_utc("2016-12-31T23:59:59Z"));
        assert_eq!(parse_utc("2016-01-01T00:00:00.1239Z").map(|m| m % 1000), Some(123));
        assert_eq!(render_utc(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn others_are_none() {
        for text in [
            "",
            "2014-10-30",
            "2014-10-30t14:12:00Z",
            "2014-10-30T14:12:00z",
            "2014-10-30 14:12:00Z",
            "2014-02-29T00:00:00Z",
            "2014-13-01T00:00:00Z",
            "2014-10-30T24:00:00Z",
            "2014-10-30T1:12:00Z",
            "2014-10-30T14:12:00",
            "2014-10-30T14:12:00.Z",
            "2014-10-30T14:12:00+8:00",
            "2014-10-30T14:12:00+24:00",
            "+014-10-30T14:12:00Z",
            "2014-10-30T14:12:00Zx",
            "é014-10-30T14:12:00Z",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert_eq!(parse_utc("2014-10-30T14:12:00+00:00"), None);
    }
}
