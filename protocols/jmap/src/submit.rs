//! The port by which messages are given to be sent. Who implements it takes them as SMTP submission does: the same checks,
//! the same queue, the same durability.

use accounts::Identity;
use futures::future::BoxFuture;
use runtime::Timestamp;
use schema::records::object::SubmissionRecord;
use schema::{AccountId, BlobHash, ModSeq, SubmissionId};

/// An address of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Without brackets; empty for the null sender.
    pub address: String,
    /// Parameters as SMTP has them, with a blank before each.
    pub parameters: String,
}

/// What is given to be sent.
#[derive(Debug, Clone)]
pub struct NewSubmission {
    /// Whose it is.
    pub account: AccountId,
    /// Its id.
    pub id: SubmissionId,
    /// Who gives it.
    pub user: Identity,
    /// Where notifications go.
    pub from: Path,
    /// Who gets it.
    pub to: Vec<Path>,
    /// The message.
    pub blob: BlobHash,
    /// Octets of it.
    pub size: u64,
    /// Octets of its header.
    pub header_size: u64,
    /// Not to be sent before; none for at once.
    pub not_before: Option<Timestamp>,
    /// What is kept of it: written by the transaction that takes it.
    pub record: SubmissionRecord,
}

/// A disposition notification (RFC 8098) to be sent, from nobody.
#[derive(Debug, Clone)]
pub struct NewNotice {
    /// Whose.
    pub account: AccountId,
    /// Who sends it.
    pub user: Identity,
    /// The addresses of who has asked for it.
    pub to: Vec<String>,
    /// The message.
    pub message: Vec<u8>,
}

/// Why a submission was not taken (RFC 8621 §7.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The envelope says what cannot be; of `mailFrom` or `rcptTo`.
    Envelope(&'static str),
    /// These recipients cannot be.
    Recipients(Vec<String>),
    /// There are more recipients than this.
    TooMany(usize),
    /// The message is larger than this, in octets.
    TooLarge(u64),
    /// The sender is not the user's.
    MailFrom,
    /// Not at present, or not by this user; in words.
    ToSend(String),
}

/// Whether a submission could be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// It is not sent.
    Yes(ModSeq),
    /// It was sent, or is being sent, or taken back before.
    No,
    /// There is no such submission.
    NotFound,
}

/// Takes what is to be sent.
pub trait Submitter: Send + Sync {
    /// Takes a message, now or to be sent later. Returns the commit.
    ///
    /// # Errors
    /// Why it was not taken; the store's.
    fn submit(&self, new: NewSubmission) -> BoxFuture<'_, Result<Result<ModSeq, Refused>, mail::Error>>;

    /// Takes a notification, to be sent now. Nothing is kept of it.
    ///
    /// # Errors
    /// Why it was not taken; the store's.
    fn notify(&self, new: NewNotice) -> BoxFuture<'_, Result<Result<(), Refused>, mail::Error>>;

    /// Takes back what is not sent yet.
    ///
    /// # Errors
    /// The store's.
    fn cancel(&self, account: AccountId, id: SubmissionId) -> BoxFuture<'_, Result<Undone, mail::Error>>;
}
