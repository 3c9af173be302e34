//! Where to go on.

use std::fmt::{self, Write};
use std::str::FromStr;

use data_encoding::HEXLOWER;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Row by row.
    Rows,
    /// Account by account: what its counters say is counted.
    Counts,
}

/// Where to go on: the pass, and the first key that was not looked at. Its text is for people to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The pass.
    pub pass: Pass,
    /// The key.
    pub key: Vec<u8>,
}

impl Cursor {
    /// The beginning.
    pub const START: Cursor = Cursor { pass: Pass::Rows, key: Vec::new() };
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.pass {
            Pass::Rows => "rows",
            Pass::Counts => "counts",
        })?;
        f.write_char(':')?;
        f.write_str(&HEXLOWER.encode(&self.key))
    }
}

/// A text that is no cursor: whoever gave it must give one that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is `rows:` or `counts:` and a key in hexadecimal digits")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (pass, hex) = text.split_once(':').ok_or(InvalidCursor)?;
        let pass = match pass {
            "rows" => Pass::Rows,
            "counts" => Pass::Counts,
            _ => return Err(InvalidCursor),
        };
        let key = HEXLOWER.decode(hex.as_bytes()).map_err(|_| InvalidCursor)?;
        Ok(Cursor { pass, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_are_shown() {
        for (cursor, text) in
            [(Cursor::START, "rows:"), (Cursor { pass: Pass::Counts, key: b"A\x07".to_vec() }, "counts:4107")]
        {
            assert_eq!(cursor.to_string(), text);
            assert_eq!(text.parse(), Ok(cursor));
        }
        for bad in ["", "rows", "row:41", "rows:4", "rows:4g", "rows:\u{e9}1"] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad}");
        }
    }
}
