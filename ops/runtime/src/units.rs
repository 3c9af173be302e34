//! Sizes and durations as people write them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is wrong with a size or duration somebody wrote; the client or operator who wrote it must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is no number where one must be.
    #[error("'{0}' does not start with a number")]
    NoNumber(String),
    /// The unit is not known.
    #[error("unknown unit '{unit}': use one of {known}")]
    UnknownUnit {
        /// As written.
        unit: String,
        /// What would have been understood.
        known: &'static str,
    },
    /// The value does not fit.
    #[error("'{0}' is too large")]
    TooLarge(String),
}

/// A number of bytes. Written `25 MB` (powers of 1000) or `25 MiB` (powers of 1024); no unit means bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

impl ByteSize {
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as an index; saturates where addresses are short.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit, rest) = next_part(text)?;
        let known = "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB";
        let unknown = |unit: &str| UnitError::UnknownUnit { unit: unit.to_owned(), known };
        if !rest.is_empty() {
            return Err(unknown(text.trim()));
        }
        let factor = match unit {
            "" => 1,
            _ => {
                SIZE_UNITS
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                    .ok_or_else(|| unknown(unit))?
                    .1
            }
        };
        number.checked_mul(factor).map(ByteSize).ok_or_else(|| UnitError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZE_UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        let (name, factor) = exact.unwrap_or(&("B", 1));
        write!(f, "{} {name}", self.0 / factor)
    }
}

/// A length of time. Written as numbers with units: `90 s`, `4h`, `1d 12h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

const TIME_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl HumanDuration {
    /// A number of seconds.
    pub const fn from_secs(secs: u64) -> Self {
        HumanDuration(Duration::from_secs(secs))
    }

    /// The length of time.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for HumanDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let too_large = || UnitError::TooLarge(text.to_owned());
        let mut total = 0_u64;
        let mut rest = text;
        loop {
            let (number, unit, after) = next_part(rest)?;
            let factor = TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
            let factor = match (factor, number, unit) {
                (Some(factor), ..) => factor,
                (None, 0, "") => 1,
                _ => {
                    return Err(UnitError::UnknownUnit { unit: unit.to_owned(), known: "ms, s, m, h, d, w" });
                }
            };
            total =
                number.checked_mul(factor).and_then(|part| total.checked_add(part)).ok_or_else(too_large)?;
            rest = after;
            if rest.is_empty() {
                return Ok(HumanDuration(Duration::from_millis(total)));
            }
        }
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        let mut space = "";
        for (name, factor) in TIME_UNITS {
            if left >= factor {
                write!(f, "{space}{}{name}", left / factor)?;
                left %= factor;
                space = " ";
            }
        }
        Ok(())
    }
}

/// The first `number unit` of `text`, and what follows it; spaces around each are skipped.
fn next_part(text: &str) -> Result<(u64, &str, &str), UnitError> {
    let text = text.trim_start();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::NoNumber(text.to_owned()));
    }
    let number = number.parse().map_err(|_| UnitError::TooLarge(text.to_owned()))?;
    let rest = rest.trim_start();
    let letters = rest.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    Ok((number, unit, rest.trim_start()))
}

fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err = UnitError>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("25 MB", 25_000_000), ("25MiB", 25 << 20), ("7", 7), ("1 kb", 1000), ("0", 0)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        assert_eq!(ByteSize(25_000_000).to_string(), "25 MB");
        assert_eq!(ByteSize(1 << 20).to_string(), "1 MiB");
        assert_eq!(ByteSize(1001).to_string(), "1001 B");
        assert_eq!(ByteSize(0).to_string(), "0 B");
    }

    #[test]
    fn durations() {
        for (text, millis) in
            [("4h", 14_400_000), ("1h 30m", 5_400_000), ("250 ms", 250), ("2d", 172_800_000), ("0", 0)]
        {
            assert_eq!(text.parse(), Ok(HumanDuration(Duration::from_millis(millis))), "{text}");
        }
        assert_eq!(HumanDuration::from_secs(5400).to_string(), "1h 30m");
        assert_eq!(HumanDuration::from_secs(0).to_string(), "0s");
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        assert_eq!("MB".parse::<ByteSize>(), Err(UnitError::NoNumber("MB".into())));
        assert!(matches!("5 parsec".parse::<HumanDuration>(), Err(UnitError::UnknownUnit { .. })));
        assert!(matches!("5".parse::<HumanDuration>(), Err(UnitError::UnknownUnit { .. })));
        assert!(matches!("99999999999999999999".parse::<ByteSize>(), Err(UnitError::TooLarge(_))));
        assert!(matches!("99999999999 TB".parse::<ByteSize>(), Err(UnitError::TooLarge(_))));
        assert!("5 MB 3".parse::<ByteSize>().is_err());
        assert!("".parse::<HumanDuration>().is_err());
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for millis in [1, 999, 61_001, 90_000_000] {
            let duration = HumanDuration(Duration::from_millis(millis));
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }
        let json = serde_json::to_string(&ByteSize(5_000_000)).unwrap();
        assert_eq!(json, "\"5 MB\"");
        assert_eq!(serde_json::from_str::<ByteSize>(&json).unwrap(), ByteSize(5_000_000));
    }
}
