//! Ids. None is ever reused.

use std::fmt::{self, Write as _};
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::level;

/// A text is not an id of the expected kind: the client must send one it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind")]
pub struct InvalidId;

/// An account: a person, a group or a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

/// A domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(pub u32);

/// A mailbox, counted up within its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId(pub u32);

/// An email within its account: milliseconds since the epoch above 20 random bits, so that ids of one
/// account lie in the order of arrival and two nodes need not ask each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailId(pub u64);

/// A thread within its account: the number of the email that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u64);

/// Somebody to send as, within an account; 0 is the account itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId(pub u64);

/// What was given to be sent, within its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmissionId(pub u64);

/// Somewhere to push to, within the account of who subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PushId(pub u64);
/// What a client was allowed by an account's user, within that account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub u64);

/// A queue entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

/// A node of the cluster: a process under a configured name, over all its restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Kinds of work of which each piece is done by one node at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DutyKind {
    /// A slot of the queue of mail to be sent.
    Queue,
    /// A shard of the search index.
    Search,
    /// A job that there is once in the cluster.
    Job,
}

impl DutyKind {
    /// All of them.
    pub const ALL: [DutyKind; 3] = [DutyKind::Queue, DutyKind::Search, DutyKind::Job];

    /// Its byte in keys.
    pub const fn tag(self) -> u8 {
        match self {
            DutyKind::Queue => b'q',
            DutyKind::Search => b's',
            DutyKind::Job => b'j',
        }
    }

    /// The kind that has a byte.
    pub fn from_tag(tag: u8) -> Option<DutyKind> {
        DutyKind::ALL.into_iter().find(|kind| kind.tag() == tag)
    }

    /// The role of nodes that do such work.
    pub const fn role(self) -> &'static str {
        match self {
            DutyKind::Queue => "delivery",
            DutyKind::Search => "search",
            DutyKind::Job => "tasks",
        }
    }
}

/// A piece of work that one node does at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duty {
    /// What kind of work.
    pub kind: DutyKind,
    /// Which of the kind.
    pub number: u32,
}

impl Duty {
    /// Removal of what is kept for a time only.
    pub const RETENTION: Duty = Duty::job(1);
    /// Removal of bodies that nothing refers to.
    pub const BLOB_COLLECTION: Duty = Duty::job(2);
    /// Reports to other domains (DMARC, TLS).
    pub const REPORTS: Duty = Duty::job(3);
    /// Renewal of certificates.
    pub const CERTIFICATE_RENEWAL: Duty = Duty::job(4);
    /// Work left over by others: purges, emptied mailboxes.
    pub const UPKEEP: Duty = Duty::job(5);

    /// Sending what was to be sent later.
    pub const DELAYED_SEND: Duty = Duty::job(6);

    /// Sending the pushes of a slot of accounts.
    pub const fn push(slot: u32) -> Duty {
        Duty::job(64 + slot)
    }

    /// The feature level from which on programs know it; 0 for what all of them do.
    pub const fn level(self) -> u32 {
        match self.kind {
            DutyKind::Search => level::SEARCH,
            DutyKind::Job if self.number >= Duty::DELAYED_SEND.number => level::SEARCH,
            DutyKind::Queue | DutyKind::Job => 0,
        }
    }

    /// A slot of the queue.
    pub const fn queue(slot: u32) -> Duty {
        Duty { kind: DutyKind::Queue, number: slot }
    }

    /// A shard of the search index.
    pub const fn search(shard: u32) -> Duty {
        Duty { kind: DutyKind::Search, number: shard }
    }

    /// A job; its number is never given to another.
    pub const fn job(number: u32) -> Duty {
        Duty { kind: DutyKind::Job, number }
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DutyKind::Queue => write!(f, "queue slot {}", self.number),
            DutyKind::Search => write!(f, "search shard {}", self.number),
            DutyKind::Job => write!(f, "job {}", self.number),
        }
    }
}

/// A message's number in its mailbox (RFC 9051 §2.3.1.1): ascending, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The lowest.
    pub const MIN: Uid = Uid(NonZeroU32::MIN);

    /// `None` for zero.
    pub const fn new(value: u32) -> Option<Uid> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Uid(value)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl From<NonZeroU32> for Uid {
    fn from(value: NonZeroU32) -> Self {
        Uid(value)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A modification sequence (RFC 7162 §3.1): the commit version of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ModSeq(pub u64);

impl ModSeq {
    /// The commit version of a versionstamp.
    pub fn of_stamp(stamp: &crate::Stamp) -> ModSeq {
        let mut version = [0; 8];
        version.copy_from_slice(&stamp[..8]);
        ModSeq(u64::from_be_bytes(version))
    }

    /// The lowest stamp of all changes after this one.
    pub fn next_stamp(self) -> crate::Stamp {
        let mut stamp = [0; crate::STAMP_LEN];
        stamp[..8].copy_from_slice(&self.0.saturating_add(1).to_be_bytes());
        stamp
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The BLAKE3 hash that names a body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash(pub [u8; 32]);

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({self})")
    }
}

/// RFC 4648 §7 in lower case: order of texts of one length is order of numbers.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Writes `kind` and the number's base32hex digits, leading zeros left out: `M1h3…`. RFC 8620 §1.2 wants
/// a letter first and nothing but letters, digits, `-` and `_`; RFC 8474 §7 wants the same.
fn render(f: &mut fmt::Formatter<'_>, kind: char, value: u64) -> fmt::Result {
    f.write_char(kind)?;
    let digits = (64 - value.leading_zeros()).div_ceil(5).max(1);
    (0..digits).rev().try_for_each(|at| {
        let digit = (value >> (5 * at)) & 31;
        f.write_char(char::from(ALPHABET[digit as usize]))
    })
}

fn parse(text: &str, kind: char) -> Result<u64, InvalidId> {
    let digits = text.strip_prefix(kind).ok_or(InvalidId)?;
    // One spelling per id: no leading zeros, at most 64 bits.
    if digits.is_empty() || digits.len() > 13 || (digits.len() > 1 && digits.starts_with('0')) {
        return Err(InvalidId);
    }
    digits.bytes().try_fold(0u64, |value, byte| {
        let digit = ALPHABET.iter().position(|&letter| letter == byte).ok_or(InvalidId)?;
        Ok(value.checked_mul(32).ok_or(InvalidId)? | digit as u64)
    })
}

impl fmt::Display for EmailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, 'M', self.0)
    }
}

impl FromStr for EmailId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text, 'M').map(EmailId)
    }
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, 'I', self.0)
    }
}

impl FromStr for IdentityId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text, 'I').map(IdentityId)
    }
}

impl fmt::Display for SubmissionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, 'S', self.0)
    }
}

impl FromStr for SubmissionId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text, 'S').map(SubmissionId)
    }
}

impl fmt::Display for PushId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, 'P', self.0)
    }
}

impl FromStr for PushId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text, 'P').map(PushId)
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, 'T', self.0)
    }
}

impl FromStr for ThreadId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text, 'T').map(ThreadId)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, 'Q', self.0)
    }
}

impl FromStr for QueueId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text, 'Q').map(QueueId)
    }
}

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, 'F', u64::from(self.0))
    }
}

impl FromStr for MailboxId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        u32::try_from(parse(text, 'F')?).map(MailboxId).map_err(|_| InvalidId)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, 'A', u64::from(self.0))
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        u32::try_from(parse(text, 'A')?).map(AccountId).map_err(|_| InvalidId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_come_back() {
        for value in [0, 1, 31, 32, 1_790_000_000_000 << 20, u64::MAX] {
            let text = EmailId(value).to_string();
            assert!(text.len() <= 14, "{text}");
            assert_eq!(text.parse(), Ok(EmailId(value)));
        }
        assert_eq!(MailboxId(7).to_string(), "F7");
        assert_eq!(ThreadId(1023).to_string(), "Tvv");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "M", "T1", "M01", "Mw", "M-1", "Mzzzzzzzzzzzzzz", "Mvvvvvvvvvvvvv"] {
            assert_eq!(text.parse::<EmailId>(), Err(InvalidId), "{text}");
        }
        assert_eq!("F4000000".parse::<MailboxId>(), Err(InvalidId));
    }

    #[test]
    fn a_modseq_is_the_version_of_a_stamp() {
        let stamp = [0, 0, 0, 0, 0, 0, 1, 2, 0, 9];
        assert_eq!(ModSeq::of_stamp(&stamp), ModSeq(258));
        assert_eq!(ModSeq(258).next_stamp(), [0, 0, 0, 0, 0, 0, 1, 3, 0, 0]);
    }
}
