//! What is published at once: new documents, deleted ones, and cursors.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use content_mail::Summary;
use futures::future::BoxFuture;
use index::{Builder, Built, Document};
use schema::{AccountId, EmailId};
use segments::Cursor;

use crate::Error;
use crate::error::apart;

/// Bytes of memory that a builder may take, and documents that it may have.
const MEMORY: usize = 48 << 20;
const DOCUMENTS: u32 = 10_000;
/// What a message counts besides its bytes.
const OVERHEAD: u64 = 2_048;

/// Reads the text of attachments.
pub trait Attachments: Send + Sync {
    /// Names and texts of what is attached to a message; nothing of what cannot be read. It bounds its own time and
    /// memory.
    fn texts<'a>(&'a self, message: &'a Bytes, summary: &'a Summary) -> BoxFuture<'a, Vec<(String, String)>>;
}

/// Reads none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAttachments;

impl Attachments for NoAttachments {
    fn texts<'a>(&'a self, _: &'a Bytes, _: &'a Summary) -> BoxFuture<'a, Vec<(String, String)>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// What is published at once.
#[derive(Default)]
pub(crate) struct Batch {
    builder: Option<Builder>,
    added: HashSet<(AccountId, EmailId)>,
    bytes: u64,
    /// Emails to be deleted from what was published before.
    pub(crate) gone: Vec<(AccountId, EmailId)>,
    /// Accounts of which everything is to be deleted from it.
    pub(crate) gone_accounts: Vec<AccountId>,
    pub(crate) cursors: BTreeMap<AccountId, Cursor>,
    /// An account that was passed over, for its cursor cannot be read.
    pub(crate) damaged: Option<AccountId>,
}

/// A message to be indexed.
pub(crate) struct Message {
    pub(crate) account: AccountId,
    pub(crate) email: EmailId,
    pub(crate) summary: Arc<Summary>,
    pub(crate) bytes: Bytes,
    pub(crate) files: Vec<(String, String)>,
}

impl Message {
    fn document(&self) -> Document {
        let mut document = Document::of_message(self.account, self.email, &self.summary, &self.bytes);
        for (name, text) in &self.files {
            document.add_file(name, text);
        }
        document
    }
}

impl Batch {
    /// Whether no more is to be added.
    pub(crate) fn is_full(&self, most: u64) -> bool {
        let builder = self.builder.as_ref();
        self.bytes >= most || builder.is_some_and(|b| b.memory() >= MEMORY || b.documents() >= DOCUMENTS)
    }

    pub(crate) fn is_empty(&self) -> bool {
        let nothing_gone = self.gone.is_empty() && self.gone_accounts.is_empty();
        nothing_gone && self.added.is_empty() && self.cursors.is_empty()
    }

    /// Documents in it, and what they count.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.added.len() as u64, self.bytes)
    }

    pub(crate) fn has(&self, account: AccountId, email: EmailId) -> bool {
        self.added.contains(&(account, email))
    }

    /// Adds a message; says false of one whose bytes cannot be taken apart, which is left out.
    pub(crate) async fn add(&mut self, message: Message) -> Result<bool, Error> {
        let (key, size) = ((message.account, message.email), message.bytes.len() as u64);
        let builder = self.builder.take();
        let (builder, added) = apart(move || {
            let mut builder = match builder.map_or_else(Builder::new, Ok) {
                Ok(builder) => builder,
                Err(error) => return (None, Err(Error::Build(error))),
            };
            // What one message can make happen is not to end the work on others.
            let Ok(document) = catch_unwind(AssertUnwindSafe(|| message.document())) else {
                return (Some(builder), Ok(false));
            };
            // A document takes several times as much: what it was made of goes first.
            drop(message);
            let added = builder.add(document).map(|()| true).map_err(Error::Build);
            (Some(builder), added)
        })
        .await?;
        self.builder = builder;
        let added = added?;
        if added {
            self.added.insert(key);
            self.bytes += size + OVERHEAD;
        }
        Ok(added)
    }

    /// The segment of what was added; none if nothing was.
    pub(crate) async fn finish(&mut self) -> Result<Option<Built>, Error> {
        let Some(builder) = self.builder.take() else { return Ok(None) };
        apart(move || builder.finish()).await?.map_err(Error::Build)
    }
}
