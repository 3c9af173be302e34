//! An entry as the rest of the program sees it, and its translation to records.

use runtime::Timestamp;
use schema::records::queue as records;
use schema::{AccountId, BlobHash, QueueId, RecordError};

/// RET of RFC 3461 §4.3: how much of the message a failure notification returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ret {
    /// Not given: ours to choose.
    #[default]
    Unspecified,
    /// The whole message.
    Full,
    /// Its headers.
    Headers,
}

/// BODY of RFC 6152 §3 and RFC 3030 §3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyType {
    /// Lines of ASCII.
    #[default]
    SevenBit,
    /// Lines of octets.
    EightBitMime,
    /// Any octets: can only be sent by BDAT.
    BinaryMime,
}

/// NOTIFY of RFC 3461 §4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notify(pub u32);

impl Notify {
    /// Of nothing.
    pub const NEVER: Notify = Notify(1);
    /// Of delivery.
    pub const SUCCESS: Notify = Notify(2);
    /// Of failure.
    pub const FAILURE: Notify = Notify(4);
    /// Of delay.
    pub const DELAY: Notify = Notify(8);

    /// Whether the sender wants to hear of it. RFC 3461 §4.1: nothing said means FAILURE, and DELAY is ours to choose.
    #[must_use]
    pub const fn wants(self, of: Notify) -> bool {
        match self.0 {
            0 => of.0 == Notify::FAILURE.0 || of.0 == Notify::DELAY.0,
            bits => bits & Notify::NEVER.0 == 0 && bits & of.0 != 0,
        }
    }
}

/// Where an entry is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In the due index.
    Waiting,
    /// Somebody works on it.
    Claimed,
    /// An operator keeps it.
    Held,
}

/// Where a recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientState {
    /// To be attempted.
    Pending,
    /// The remote host took it.
    Delivered,
    /// It will not be attempted again.
    Failed,
}

/// The answer of a remote host, or our own in its place. What is kept of it is bounded: the host may say a megabyte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// As RFC 5321 §4.2; 0 if no host was reached.
    pub code: u16,
    /// As RFC 3463, such as `5.1.1`; empty if there is none.
    pub enhanced: String,
    /// For people to read.
    pub text: String,
    /// The host's name; empty if none was reached.
    pub host: String,
    /// When.
    pub time: Timestamp,
}

/// A recipient of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path, without brackets.
    pub address: String,
    /// What the sender wants to hear of.
    pub notify: Notify,
    /// ORCPT as `type;address`, decoded.
    pub orcpt: Option<String>,
    /// Where it is.
    pub state: RecipientState,
    /// Attempts begun, and those put off since the destination did not answer others.
    pub attempts: u32,
    /// When the attempt began whose end is not known.
    pub in_doubt: Option<Timestamp>,
    /// What the last attempt ended with.
    pub last: Option<Reply>,
}

/// One message to the recipients of one destination domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: QueueId,
    /// The reverse-path, without brackets; empty for the null sender.
    pub return_path: String,
    /// The destination domain, A-labels in lower case.
    pub domain: String,
    /// The body.
    pub blob: BlobHash,
    /// Octets of the body.
    pub size: u64,
    /// When it was taken.
    pub created: Timestamp,
    /// When trying ends.
    pub expires: Timestamp,
    /// ENVID, decoded.
    pub envid: Option<String>,
    /// RET.
    pub ret: Ret,
    /// Whether it needs SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// BODY.
    pub body: BodyType,
    /// Whether the header has octets over 127.
    pub header_8bit: bool,
    /// Whether what follows the header has.
    pub body_8bit: bool,
    /// Who submitted it, as far as that was kept: from feature level 2 on.
    pub submitter: Option<AccountId>,
    /// The slot it is in.
    pub slot: u16,
    /// When it is due, or was made if it has been since.
    pub due: Timestamp,
    /// Where it is in its life.
    pub state: State,
    /// Whether the sender was told of the delay.
    pub delay_reported: bool,
    /// Whether an operator wants it attempted now, whatever is known of the destination.
    pub urgent: bool,
    /// The recipients, by number.
    pub recipients: Vec<Recipient>,
}

impl Entry {
    /// Most recipients of one entry. Whatever client and server say, a row is under 5 kB (what a command line of 4 kB
    /// holds, and a [`Reply`]), so that all of them fit one transaction with room to spare.
    pub const MAX_RECIPIENTS: usize = 1_000;

    pub(crate) fn read(
        id: QueueId,
        entry: records::Entry,
        recipients: Vec<records::Recipient>,
    ) -> Result<Self, RecordError> {
        let blob = entry.blob.as_slice().try_into().map_err(|_| RecordError::Value("blob"))?;
        Ok(Self {
            id,
            return_path: entry.return_path,
            domain: entry.domain,
            blob: BlobHash(blob),
            size: entry.size,
            created: Timestamp(entry.created),
            expires: Timestamp(entry.expires),
            envid: entry.envid,
            ret: match entry.ret {
                1 => Ret::Full,
                2 => Ret::Headers,
                _ => Ret::Unspecified,
            },
            smtputf8: entry.smtputf8,
            body: match entry.body {
                1 => BodyType::EightBitMime,
                2 => BodyType::BinaryMime,
                _ => BodyType::SevenBit,
            },
            header_8bit: entry.header_8bit,
            body_8bit: entry.body_8bit,
            submitter: (entry.submitter != 0).then_some(AccountId(entry.submitter)),
            slot: u16::try_from(entry.slot).map_err(|_| RecordError::Value("slot"))?,
            due: if entry.due == AT_ONCE.millis() { made_at(id) } else { Timestamp(entry.due) },
            state: state_of(entry.state),
            delay_reported: entry.delay_reported,
            urgent: entry.urgent,
            recipients: recipients.into_iter().map(Recipient::from).collect(),
        })
    }

    /// Numbers of the recipients that are still to be attempted.
    pub fn pending(&self) -> impl Iterator<Item = usize> + '_ {
        let pending = |r: &Recipient| r.state == RecipientState::Pending;
        self.recipients.iter().enumerate().filter(move |(_, r)| pending(r)).map(|(n, _)| n)
    }
}

/// When entries are due that are to be attempted for the first time, and at once.
pub(crate) const AT_ONCE: Timestamp = Timestamp::EPOCH;

/// When an entry was made, which its id says.
pub(crate) fn made_at(id: QueueId) -> Timestamp {
    Timestamp(i64::try_from(id.0 >> 20).unwrap_or(i64::MAX))
}

pub(crate) const WAITING: u32 = 0;
pub(crate) const CLAIMED: u32 = 1;
pub(crate) const HELD: u32 = 2;

fn state_of(state: u32) -> State {
    match state {
        CLAIMED => State::Claimed,
        HELD => State::Held,
        _ => State::Waiting,
    }
}

pub(crate) const PENDING: u32 = 0;
pub(crate) const DELIVERED: u32 = 1;
pub(crate) const FAILED: u32 = 2;

impl From<records::Recipient> for Recipient {
    fn from(record: records::Recipient) -> Self {
        Self {
            address: record.address,
            notify: Notify(record.notify),
            orcpt: record.orcpt,
            state: match record.state {
                DELIVERED => RecipientState::Delivered,
                FAILED => RecipientState::Failed,
                _ => RecipientState::Pending,
            },
            attempts: record.attempts,
            in_doubt: (record.in_doubt != 0).then_some(Timestamp(record.in_doubt)),
            last: record.last.map(Reply::from),
        }
    }
}

impl From<records::Reply> for Reply {
    fn from(record: records::Reply) -> Self {
        Self {
            code: u16::try_from(record.code).unwrap_or(0),
            enhanced: record.enhanced,
            text: record.text,
            host: record.host,
            time: Timestamp(record.time),
        }
    }
}

impl Reply {
    /// Octets of the text that are kept.
    pub const TEXT_MAX: usize = 500;
    /// Octets of the host's name that are kept: RFC 5321 §4.5.3.1.2.
    pub const HOST_MAX: usize = 255;
    /// Octets of the enhanced code that are kept: three numbers of three digits.
    pub const ENHANCED_MAX: usize = 11;
}

impl From<&Reply> for records::Reply {
    fn from(reply: &Reply) -> Self {
        Self {
            code: reply.code.into(),
            enhanced: beginning(&reply.enhanced, Reply::ENHANCED_MAX),
            text: beginning(&reply.text, Reply::TEXT_MAX),
            host: beginning(&reply.host, Reply::HOST_MAX),
            time: reply.time.millis(),
        }
    }
}

/// At most so many octets of a text, up to the end of a character.
fn beginning(text: &str, octets: usize) -> String {
    text[..text.floor_char_boundary(octets)].to_owned()
}
