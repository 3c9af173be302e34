//! A mailbox's path, parsed once at the edge.

use std::fmt;

use crate::Error;

/// A path of names, such as `Work/2026`. The first name `INBOX` is the same in any case (RFC 9051 §5.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxPath(Vec<String>);

impl MailboxPath {
    /// Separates the names.
    pub const SEPARATOR: char = '/';
    /// Most names in a path.
    pub const MAX_DEPTH: usize = 32;
    /// Longest name, in bytes.
    pub const MAX_NAME: usize = 255;

    /// Parses a path; a separator at its end is dropped (RFC 9051 §6.3.4).
    ///
    /// # Errors
    /// [`Error::Invalid`] for empty, overlong or too many names, and for control characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.strip_suffix(Self::SEPARATOR).unwrap_or(text);
        let mut names: Vec<String> = text.split(Self::SEPARATOR).map(str::to_owned).collect();
        if names.len() > Self::MAX_DEPTH {
            return Err(Error::Invalid("the mailbox name has too many levels"));
        }
        if names.iter().any(String::is_empty) {
            return Err(Error::Invalid("a mailbox name must not have empty levels"));
        }
        if names.iter().any(|n| n.len() > Self::MAX_NAME) {
            return Err(Error::Invalid("the mailbox name is too long"));
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(Error::Invalid("a mailbox name must not have control characters"));
        }
        if let Some(first) = names.first_mut().filter(|n| n.eq_ignore_ascii_case("INBOX")) {
            "INBOX".clone_into(first);
        }
        Ok(Self(names))
    }

    /// INBOX.
    pub fn inbox() -> Self {
        Self(vec!["INBOX".to_owned()])
    }

    /// Whether it is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0.len() == 1 && self.0.first().is_some_and(|n| n == "INBOX")
    }

    /// The names from the top down; at least one.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The last name.
    pub fn leaf(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The path above, if there is one.
    pub fn parent(&self) -> Option<MailboxPath> {
        let (_, above) = self.0.split_last()?;
        (!above.is_empty()).then(|| Self(above.to_vec()))
    }

    /// Whether it lies somewhere below `other`.
    pub fn is_below(&self, other: &MailboxPath) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    pub(crate) fn of_names(names: Vec<String>) -> Self {
        Self(names)
    }
}

impl fmt::Display for MailboxPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_parsed() {
        let path = |text: &str| MailboxPath::parse(text).map(|p| p.to_string()).ok();
        assert_eq!(path("inbox").as_deref(), Some("INBOX"));
        assert_eq!(path("Inbox/inbox").as_deref(), Some("INBOX/inbox"));
        assert_eq!(path("a/b/").as_deref(), Some("a/b"));
        for bad in ["", "/", "a//b", "/a", "a\nb", "a\u{7f}"] {
            assert_eq!(path(bad), None, "{bad:?}");
        }
        assert_eq!(path(&"x".repeat(256)), None);
        assert_eq!(path(&"x/".repeat(40)), None);
        let (a, b) = (MailboxPath::parse("a").unwrap(), MailboxPath::parse("a/b").unwrap());
        assert!(b.is_below(&a) && !a.is_below(&a) && b.parent() == Some(a) && b.leaf() == "b");
    }
}
