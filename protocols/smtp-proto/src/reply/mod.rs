//! Replies: a code, an enhanced status code, lines of text (RFC 5321 §4.2, RFC 2034, RFC 3463).

mod parse;
mod render;

use std::borrow::Cow;
use std::fmt;

pub use parse::{ReplyError, ReplyParser};

/// An enhanced status code, `class.subject.detail` (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Enhanced {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// What it is about: 1 addressing, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The detail, at most 999.
    pub detail: u16,
}

impl Enhanced {
    /// A status code.
    #[must_use]
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// Parses a whole string.
    ///
    /// ```abnf
    /// status-code = class "." subject "." detail
    /// class       = "2" / "4" / "5"
    /// subject     = 1*3digit
    /// detail      = 1*3digit
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let code = Self { class, subject: number(parts.next()?)?, detail: number(parts.next()?)? };
        parts.next().is_none().then_some(code)
    }
}

fn number(digits: &str) -> Option<u16> {
    let fits = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if fits { digits.parse().ok() } else { None }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A reply of one or more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// The enhanced status code; replies to EHLO, HELO and 3yz replies have none (RFC 2034 §4).
    pub enhanced: Option<Enhanced>,
    /// The text; never without a line.
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply of one line with an enhanced status code.
    #[must_use]
    pub fn new(code: u16, enhanced: Enhanced, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced: Some(enhanced), lines: vec![text.into()] }
    }

    /// A reply of one line without an enhanced status code.
    #[must_use]
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced: None, lines: vec![text.into()] }
    }

    /// The same reply with another line of text.
    #[must_use]
    pub fn line(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.lines.push(text.into());
        self
    }

    /// The lines of text.
    #[must_use]
    pub fn lines(&self) -> &[Cow<'static, str>] {
        &self.lines
    }

    /// 2yz: done.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz: go on.
    #[must_use]
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4yz: try again later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: do not try again.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced status code, or the vaguest one of the reply's class (RFC 3463 §3.1, X.0.0).
    #[must_use]
    pub fn status(&self) -> Enhanced {
        self.enhanced.unwrap_or_else(|| {
            let class = match self.code / 100 {
                2 | 3 => 2,
                4 => 4,
                _ => 5,
            };
            Enhanced::new(class, 0, 0)
        })
    }
}

impl fmt::Display for Reply {
    /// On one line, as logs and DSNs want it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in &self.lines {
            f.write_str(" ")?;
            line.chars().filter(|c| !c.is_control()).try_for_each(|c| write!(f, "{c}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enhanced_codes() {
        assert_eq!(Enhanced::parse("5.7.28"), Some(Enhanced::new(5, 7, 28)));
        for bad in ["", "5", "5.1", "5.1.1.1", "3.1.1", "5.1000.1", "5..1", "5.1.1 ", "5.+1.1", "5.a.1"] {
            assert_eq!(Enhanced::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_reply_without_a_status_gets_the_vague_one() {
        assert_eq!(Reply::plain(452, "x").status().to_string(), "4.0.0");
        assert_eq!(Reply::plain(250, "x").status().to_string(), "2.0.0");
        assert_eq!(Reply::new(550, Enhanced::new(5, 1, 1), "a").line("b\n").to_string(), "550 5.1.1 a b");
    }
}
