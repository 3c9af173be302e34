//! Flags and keywords of a message (RFC 9051 §2.3.2).

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};
use std::sync::Arc;

/// The system flags, as a set of bits. The bits are stored: they never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct SystemFlags(u8);

impl SystemFlags {
    /// None.
    pub const NONE: SystemFlags = SystemFlags(0);
    /// `\Seen`
    pub const SEEN: SystemFlags = SystemFlags(1);
    /// `\Answered`
    pub const ANSWERED: SystemFlags = SystemFlags(2);
    /// `\Flagged`
    pub const FLAGGED: SystemFlags = SystemFlags(4);
    /// `\Deleted`
    pub const DELETED: SystemFlags = SystemFlags(8);
    /// `\Draft`
    pub const DRAFT: SystemFlags = SystemFlags(16);
    /// All of them.
    pub const ALL: SystemFlags = SystemFlags(31);

    /// Each flag with its name in IMAP, in the order of its bit.
    pub const NAMES: [(SystemFlags, &'static str); 5] = [
        (SystemFlags::SEEN, "\\Seen"),
        (SystemFlags::ANSWERED, "\\Answered"),
        (SystemFlags::FLAGGED, "\\Flagged"),
        (SystemFlags::DELETED, "\\Deleted"),
        (SystemFlags::DRAFT, "\\Draft"),
    ];

    /// From stored bits; unknown ones are dropped.
    pub const fn from_bits(bits: u8) -> SystemFlags {
        SystemFlags(bits & SystemFlags::ALL.0)
    }

    /// The stored bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: SystemFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether none is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags that are set, one by one.
    pub fn iter(self) -> impl Iterator<Item = SystemFlags> {
        SystemFlags::NAMES.into_iter().map(|(flag, _)| flag).filter(move |&flag| self.contains(flag))
    }
}

impl BitOr for SystemFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for SystemFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for SystemFlags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for SystemFlags {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }
}

/// A text is no keyword: the client must choose another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid keyword")]
pub struct InvalidKeyword;

/// A keyword: an IMAP atom, compared without regard to case, kept in the spelling seen first
/// (RFC 9051 §2.3.2). Cheap to clone.
#[derive(Clone)]
pub struct Keyword(Arc<str>);

impl Keyword {
    /// Longest keyword, in bytes.
    pub const MAX: usize = 255;

    /// Checks that `text` is an atom (RFC 9051 §9: `flag-keyword`) and not too long.
    pub fn new(text: &str) -> Result<Keyword, InvalidKeyword> {
        let atom = |byte: u8| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte);
        if text.is_empty() || text.len() > Keyword::MAX || !text.bytes().all(atom) {
            return Err(InvalidKeyword);
        }
        Ok(Keyword(text.into()))
    }

    /// As spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In lower case: the form by which it is found.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    fn folded_bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded_bytes().cmp(other.folded_bytes())
    }
}

impl Hash for Keyword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded_bytes().for_each(|byte| state.write_u8(byte));
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The flags of one message in one mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Flags {
    /// The system flags.
    pub system: SystemFlags,
    /// The keywords.
    pub keywords: BTreeSet<Keyword>,
}

impl Flags {
    /// No flag at all.
    pub fn none() -> Flags {
        Flags::default()
    }

    /// Whether every flag of `system` is set.
    pub fn has(&self, system: SystemFlags) -> bool {
        self.system.contains(system)
    }

    /// Whether no flag and no keyword is set.
    pub fn is_empty(&self) -> bool {
        self.system.is_empty() && self.keywords.is_empty()
    }

    /// Both sets together.
    pub fn union(&self, other: &Flags) -> Flags {
        let mut keywords = self.keywords.clone();
        keywords.extend(other.keywords.iter().cloned());
        Flags { system: self.system | other.system, keywords }
    }

    /// What is here and not in `other`.
    pub fn difference(&self, other: &Flags) -> Flags {
        let keywords = self.keywords.difference(&other.keywords).cloned().collect();
        Flags { system: self.system & !other.system, keywords }
    }
}

impl From<SystemFlags> for Flags {
    fn from(system: SystemFlags) -> Self {
        Flags { system, keywords: BTreeSet::new() }
    }
}

impl fmt::Display for Flags {
    /// The flags of an IMAP `flag-list` without its parentheses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = SystemFlags::NAMES.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| *name);
        let mut gap = "";
        for name in system.chain(self.keywords.iter().map(Keyword::as_str)) {
            write!(f, "{gap}{name}")?;
            gap = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(system: SystemFlags, keywords: &[&str]) -> Flags {
        Flags { system, keywords: keywords.iter().map(|text| Keyword::new(text).unwrap()).collect() }
    }

    #[test]
    fn keywords_are_atoms() {
        for good in ["$Forwarded", "NonJunk", "a", "work.todo", "[x"] {
            assert_eq!(Keyword::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "\\Seen", "a]", "(x", "x{", "a\"", "50%", "*", "ü", "a\r", &"x".repeat(256)] {
            assert!(Keyword::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keywords_ignore_case_and_keep_the_first_spelling() {
        let mut set = flags(SystemFlags::NONE, &["$Label"]);
        set.keywords.extend(flags(SystemFlags::NONE, &["$LABEL"]).keywords);
        assert_eq!(set.to_string(), "$Label");
    }

    #[test]
    fn sets_add_and_subtract() {
        let a = flags(SystemFlags::SEEN | SystemFlags::DRAFT, &["x"]);
        let b = flags(SystemFlags::DRAFT, &["X", "y"]);
        assert_eq!(a.union(&b).to_string(), "\\Seen \\Draft x y");
        assert_eq!(a.difference(&b).to_string(), "\\Seen");
        assert!(a.difference(&a).is_empty());
        assert_eq!(SystemFlags::from_bits(0xff), SystemFlags::ALL);
    }
}
