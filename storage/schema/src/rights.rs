//! Access rights to mailboxes: the letters of RFC 4314 §2.1.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

/// The letters in the order in which they are shown; a letter's place is its bit, which is stored.
const LETTERS: [char; 11] = ['l', 'r', 's', 'w', 'i', 'p', 'k', 'x', 't', 'e', 'a'];

/// A set of rights.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rights(u32);

impl Rights {
    /// No right.
    pub const NONE: Rights = Rights(0);
    /// `l`: the mailbox is seen in lists.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: it can be selected, fetched and searched.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: `\Seen` is kept.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: flags other than `\Seen` and `\Deleted` can be stored.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: messages can be appended and copied into it.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: mail can be sent to its submission address.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: mailboxes can be created below it.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: it can be deleted or renamed.
    pub const DELETE_MAILBOX: Rights = Rights(1 << 7);
    /// `t`: `\Deleted` can be stored.
    pub const DELETE_MESSAGES: Rights = Rights(1 << 8);
    /// `e`: it can be expunged.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: its rights can be changed.
    pub const ADMINISTER: Rights = Rights(1 << 10);
    /// Every right.
    pub const ALL: Rights = Rights((1 << LETTERS.len()) - 1);

    /// Reads letters; the obsolete `c` and `d` mean what RFC 4314 §2.1.1 makes of them: `kx` and `te`.
    /// Nothing for any other letter.
    pub fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Rights::NONE, |all, letter| match letter {
            'c' => Some(all | Rights::CREATE | Rights::DELETE_MAILBOX),
            'd' => Some(all | Rights::DELETE_MESSAGES | Rights::EXPUNGE),
            _ => LETTERS.iter().position(|l| *l == letter).map(|bit| all | Rights(1 << bit)),
        })
    }

    /// These and others.
    #[must_use]
    pub const fn with(self, others: Rights) -> Rights {
        Rights(self.0 | others.0)
    }

    /// Whether all of `others` are among these.
    pub fn contain(self, others: Rights) -> bool {
        self & others == others
    }

    /// As stored.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// From what is stored; bits that this version does not know are dropped.
    pub fn from_bits(bits: u32) -> Self {
        Rights(bits) & Rights::ALL
    }
}

impl BitOr for Rights {
    type Output = Rights;
    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Rights;
    fn bitand(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

impl Sub for Rights {
    type Output = Rights;
    fn sub(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = |bit: usize| self.0 & (1 << bit) != 0;
        let mut letters = LETTERS.iter().enumerate().filter(|(bit, _)| held(*bit));
        letters.try_for_each(|(_, letter)| write!(f, "{letter}"))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_read_back() {
        assert_eq!(Rights::ALL.to_string(), "lrswipkxtea");
        assert_eq!(Rights::parse("lrswipkxtea"), Some(Rights::ALL));
        assert_eq!(Rights::parse("rl").unwrap().to_string(), "lr");
        assert_eq!(Rights::parse(""), Some(Rights::NONE));
        assert_eq!(Rights::parse("lq"), None);
        assert_eq!(format!("{:?}", Rights::READ), "Rights(r)");
    }

    #[test]
    fn obsolete_letters_mean_their_successors() {
        assert_eq!(Rights::parse("cd").unwrap().to_string(), "kxte");
    }

    #[test]
    fn stored_bits_never_change() {
        assert_eq!(Rights::ADMINISTER.bits(), 0x400);
        assert_eq!(Rights::parse("lrs").unwrap().bits(), 7);
        assert_eq!(Rights::from_bits(0xffff_ffff), Rights::ALL);
    }

    #[test]
    fn sets_are_sets() {
        let read = Rights::LOOKUP | Rights::READ;
        assert!(Rights::ALL.contain(read) && !read.contain(Rights::ALL));
        assert_eq!((Rights::ALL - read) & read, Rights::NONE);
    }
}
