//! BDAT: a chunk of the message (RFC 3030 §2).
//!
//! ```abnf
//! bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ] CR LF
//! chunk-size = 1*DIGIT
//! end-marker = "LAST"
//! ```

use std::fmt::Write as _;

use crate::SyntaxError;

/// The BDAT command. Exactly `size` octets follow its CRLF, whatever the reply will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bdat {
    /// Octets in the chunk.
    pub size: u64,
    /// Whether the message ends with it.
    pub last: bool,
}

pub(crate) fn parse(arguments: &str) -> Result<Bdat, SyntaxError> {
    let mut words = arguments.split(' ').filter(|word| !word.is_empty());
    let digits = words.next().unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SyntaxError::Arguments);
    }
    // A size beyond 64 bits cannot be skipped by counting either: it is an error of syntax.
    let size = digits.parse().map_err(|_| SyntaxError::Arguments)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(SyntaxError::Arguments),
    };
    if words.next().is_some() { Err(SyntaxError::Arguments) } else { Ok(Bdat { size, last }) }
}

pub(crate) fn render(bdat: Bdat, line: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(line, "BDAT {}{}", bdat.size, if bdat.last { " LAST" } else { "" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;

    #[test]
    fn known_answers() {
        // RFC 3030 §4.2.
        for (line, size, last) in [
            ("BDAT 100000", 100_000, false),
            ("BDAT 324", 324, false),
            ("BDAT 0 LAST", 0, true),
            ("bdat 86  last", 86, true),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(Command::Bdat(Bdat { size, last })));
        }
        for bad in [
            "BDAT x",
            "BDAT -1",
            "BDAT +1",
            "BDAT 1 FIRST",
            "BDAT 1 LAST x",
            "BDAT LAST",
            "BDAT 99999999999999999999",
            "BDAT 1LAST",
        ] {
            assert_eq!(Command::parse(bad.as_bytes()), Err(SyntaxError::Arguments), "{bad}");
        }
    }

    #[test]
    fn renders() {
        let mut out = Vec::new();
        Command::Bdat(Bdat { size: 7, last: true }).render(&mut out);
        assert_eq!(out, b"BDAT 7 LAST\r\n");
    }
}
