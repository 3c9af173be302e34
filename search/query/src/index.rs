//! The port through which a full-text index answers.

use futures::future::BoxFuture;
use mail::{MailboxRef, UidSet};
use schema::{AccountId, EmailId};

use crate::Filter;

/// What an index says of a text filter. Messages in neither set do not match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hits {
    /// These match, as they were a moment ago: nobody has to look at them.
    pub sure: UidSet,
    /// These may match, and are to be looked at.
    pub maybe: UidSet,
}

/// What an index says of a text filter for all mailboxes at once. Emails in neither list do not match; both are in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmailHits {
    /// These match: nobody has to look at them.
    pub sure: Vec<EmailId>,
    /// These may match, and are to be looked at.
    pub maybe: Vec<EmailId>,
}

/// How well an email fits the words that are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relevant {
    /// Which.
    pub email: EmailId,
    /// BM25 over the fields, each with its weight.
    pub score: f32,
}

/// Something that knows the words of messages.
pub trait SearchIndex: Send + Sync {
    /// Those of `within` that match, or may match, a text filter ([`Filter::Header`], [`Filter::Body`],
    /// [`Filter::Text`], and these two with hints): every match is in one of the sets. `None`: it can not say, and all
    /// of them are scanned.
    fn candidates<'a>(
        &'a self,
        mailbox: MailboxRef,
        filter: &'a Filter,
        within: &'a UidSet,
    ) -> BoxFuture<'a, Result<Option<Hits>, mail::Error>>;

    /// The emails of an account that fit words best, best first, of equal ones the newest: in any order and field, in any of
    /// their forms, in the text of attachments too. What came a moment ago may be missing. `None`: it can not say.
    fn relevant<'a>(
        &'a self,
        account: AccountId,
        words: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Vec<Relevant>>, mail::Error>>;

    /// The emails of an account that match, or may match, a text filter; so many are wanted to be told of. `None`: it can not
    /// say, and those are scanned.
    fn emails<'a>(
        &'a self,
        account: AccountId,
        filter: &'a Filter,
        of: usize,
    ) -> BoxFuture<'a, Result<Option<EmailHits>, mail::Error>>;
}

/// No index: everything is scanned.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoIndex;

impl SearchIndex for NoIndex {
    fn candidates<'a>(
        &'a self,
        _mailbox: MailboxRef,
        _filter: &'a Filter,
        _within: &'a UidSet,
    ) -> BoxFuture<'a, Result<Option<Hits>, mail::Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn relevant<'a>(
        &'a self,
        _account: AccountId,
        _words: &'a str,
        _limit: usize,
    ) -> BoxFuture<'a, Result<Option<Vec<Relevant>>, mail::Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn emails<'a>(
        &'a self,
        _account: AccountId,
        _filter: &'a Filter,
        _of: usize,
    ) -> BoxFuture<'a, Result<Option<EmailHits>, mail::Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
