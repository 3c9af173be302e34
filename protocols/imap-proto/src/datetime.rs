//! Dates: days for SEARCH, moments for APPEND and INTERNALDATE.

use crate::Problem;
use crate::cursor::{Cursor, Result};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day of the Gregorian calendar, as SEARCH names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    days: i32,
}

impl Date {
    /// The day, if the calendar has it.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Date> {
        if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        Some(Date { days: days_from_civil(year, month, day) })
    }

    /// Days since 1970-01-01.
    pub fn days_since_epoch(self) -> i32 {
        self.days
    }

    /// `date = date-text / DQUOTE date-text DQUOTE`; `date-text = date-day "-" date-month "-" date-year`
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Date> {
        let quoted = cursor.eat(b'"');
        let day = digits(cursor, 1, 2)?;
        let date = month_and_year(cursor, day)?;
        if quoted {
            cursor.expect(b'"', INVALID_DATE)?;
        }
        Ok(date)
    }
}

const INVALID_DATE: &str = "invalid date";

/// A moment with the zone it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix_seconds: i64,
    /// The zone's distance from UTC, in minutes.
    pub zone_minutes: i32,
}

impl DateTime {
    /// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`;
    /// `date-day-fixed = (SP DIGIT) / 2DIGIT`; `time = 2DIGIT ":" 2DIGIT ":" 2DIGIT`;
    /// `zone = ("+" / "-") 4DIGIT` (RFC 9051 §9).
    ///
    /// Deviation: a day of one digit without the space before it is taken too, some clients write it.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<DateTime> {
        cursor.expect(b'"', INVALID_DATE)?;
        cursor.eat(b' ');
        let day = digits(cursor, 1, 2)?;
        let date = month_and_year(cursor, day)?;
        cursor.expect(b' ', INVALID_DATE)?;
        let hour = digits(cursor, 2, 2)?;
        cursor.expect(b':', INVALID_DATE)?;
        let minute = digits(cursor, 2, 2)?;
        cursor.expect(b':', INVALID_DATE)?;
        let second = digits(cursor, 2, 2)?;
        // RFC 5322 §3.3: a leap second is 60.
        if hour > 23 || minute > 59 || second > 60 {
            return Err(Problem::Syntax(INVALID_DATE));
        }
        cursor.expect(b' ', INVALID_DATE)?;
        let zone_minutes = zone(cursor)?;
        cursor.expect(b'"', INVALID_DATE)?;
        let clock = i64::from(hour * 3600 + minute * 60 + second);
        let unix_seconds = i64::from(date.days) * 86_400 + clock - i64::from(zone_minutes) * 60;
        Ok(DateTime { unix_seconds, zone_minutes })
    }
}

fn month_and_year(cursor: &mut Cursor<'_>, day: u32) -> Result<Date> {
    let invalid = Problem::Syntax(INVALID_DATE);
    cursor.expect(b'-', INVALID_DATE)?;
    let month = MONTHS.iter().position(|month| cursor.eat_prefix(month)).ok_or(invalid)?;
    cursor.expect(b'-', INVALID_DATE)?;
    let year = digits(cursor, 4, 4)?;
    let (year, month) = (i32::try_from(year).ok(), u32::try_from(month + 1).ok());
    year.zip(month).and_then(|(year, month)| Date::new(year, month, day)).ok_or(invalid)
}

fn zone(cursor: &mut Cursor<'_>) -> Result<i32> {
    let sign = if cursor.eat(b'+') {
        1
    } else {
        cursor.expect(b'-', INVALID_DATE)?;
        -1
    };
    let (hours, minutes) = (digits(cursor, 2, 2)?, digits(cursor, 2, 2)?);
    if hours > 23 || minutes > 59 {
        return Err(Problem::Syntax(INVALID_DATE));
    }
    i32::try_from(hours * 60 + minutes).map(|zone| sign * zone).map_err(|_| Problem::Syntax(INVALID_DATE))
}

fn digits(cursor: &mut Cursor<'_>, least: usize, most: usize) -> Result<u32> {
    let run = cursor.rest().iter().take(most).take_while(|b| b.is_ascii_digit()).count();
    if run < least {
        return Err(Problem::Syntax(INVALID_DATE));
    }
    let value = cursor.rest()[..run].iter().fold(0, |value, b| value * 10 + u32::from(b - b'0'));
    cursor.skip(run);
    Ok(value)
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01, counting years from March so that the leap day comes last.
fn days_from_civil(year: i32, month: u32, day: u32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year.cast_signed();
    era * 146_097 + day_of_era - 719_468
}

/// Year, month (1 to 12) and day of a day since 1970-01-01.
pub(crate) fn civil_from_days(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, usize::try_from(month).unwrap_or(1), day)
}

pub(crate) fn month_name(month: usize) -> &'static str {
    MONTHS.get(month.wrapping_sub(1)).copied().unwrap_or("Jan")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Result<DateTime> {
        DateTime::parse(&mut Cursor::new(text.as_bytes(), false))
    }

    #[test]
    fn moments() {
        let at = moment("\"17-Jul-1996 02:44:25 -0700\"").unwrap();
        assert_eq!(at, DateTime { unix_seconds: 837_596_665, zone_minutes: -420 });
        assert_eq!(moment("\" 1-Jan-1970 00:00:00 +0000\"").unwrap().unix_seconds, 0);
        assert_eq!(moment("\"1-jan-1970 00:00:01 +0000\"").unwrap().unix_seconds, 1);
        assert_eq!(moment("\"29-Feb-2000 23:59:60 +0130\"").unwrap().unix_seconds, 951_868_800 - 5400);
    }

    #[test]
    fn refused_moments() {
        for bad in [
            "17-Jul-1996 02:44:25 -0700",
            "\"17-Jul-1996 02:44:25\"",
            "\"32-Jul-1996 02:44:25 -0700\"",
            "\"29-Feb-1900 02:44:25 -0700\"",
            "\"17-Jux-1996 02:44:25 -0700\"",
            "\"17-Jul-1996 24:44:25 -0700\"",
            "\"17-Jul-1996 02:44:25 -2400\"",
            "\"17-Jul-96 02:44:25 -0700\"",
        ] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn days() {
        let day =
            |text: &str| Date::parse(&mut Cursor::new(text.as_bytes(), false)).map(Date::days_since_epoch);
        assert_eq!(day("1-Jan-1970").unwrap(), 0);
        assert_eq!(day("\"01-Feb-1994\"").unwrap(), 8797);
        assert!(day("31-Apr-2020").is_err());
        assert!(day("\"1-Jan-1970").is_err());
    }

    #[test]
    fn calendar_round_trip() {
        for days in (-800_000..2_932_896).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            let month = u32::try_from(month).unwrap();
            let back = days_from_civil(i32::try_from(year).unwrap(), month, u32::try_from(day).unwrap());
            assert_eq!(i64::from(back), days);
        }
    }
}
