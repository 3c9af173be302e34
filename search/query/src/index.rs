//! The port through which a full-text index answers.

use futures::future::BoxFuture;
use mail::{MailboxRef, UidSet};

use crate::Filter;

/// Something that knows the words of messages.
pub trait SearchIndex: Send + Sync {
    /// Those of `within` that may match a text filter ([`Filter::Header`], [`Filter::Body`], [`Filter::Text`]):
    /// every match is among them. `None`: it can not say, and all of them are scanned.
    fn candidates<'a>(
        &'a self,
        mailbox: MailboxRef,
        filter: &'a Filter,
        within: &'a UidSet,
    ) -> BoxFuture<'a, Result<Option<UidSet>, mail::Error>>;
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
    ) -> BoxFuture<'a, Result<Option<UidSet>, mail::Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
