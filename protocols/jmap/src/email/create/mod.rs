//! `Email/set` create (RFC 8621 §4.6): a message that a client has composed, of properties.

mod blobs;
mod body;
mod header;

use std::collections::BTreeSet;
use std::sync::Arc;

use accounts::Rights;
use content_mail::compose::{self, Piece, Transfer};
use content_mail::{Encoding, Limits, Summarizer};
use jmap_proto::date::parse_utc;
use jmap_proto::{Object, SetError};
use mail::{Appended, Incoming};
use schema::{Flags, MailboxId};
use serde_json::Value;

use super::keywords;
use super::reading::blob_id;
use crate::access::Access;
use crate::call::Call;
use crate::download::Source;
use crate::fail::{Fail, set_error};
use crate::options::{KEYWORDS, MAILBOXES, PIECE};

/// What was made of one: where it is, and what the client does not know of it.
pub(super) type Made = Result<(Appended, Object), SetError>;

/// Makes an email.
pub(super) async fn create(call: &Call, access: &Access, object: &Object) -> Result<Made, Fail> {
    if !access.may_somewhere(Rights::INSERT) {
        return Ok(Err(SetError::forbidden()));
    }
    let draft = match Draft::read(call, object) {
        Ok(draft) => draft,
        Err(error) => return Ok(Err(error)),
    };
    let (sources, root) = match blobs::find(call, access, draft.body).await? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let fields = draft.header.finish(call);
    let rng = &call.services().rng;
    let mut boundary = || format!("{:016x}{:016x}", rng.u64(), rng.u64());
    let incoming = write(call, compose::compose(&fields, &root, &mut boundary), &sources).await?;
    store(call, access, &incoming, &draft.mailboxes, &draft.flags, draft.received).await
}

/// Stores a message, and says of it what a client is told.
pub(super) async fn store(
    call: &Call,
    access: &Access,
    incoming: &Incoming,
    mailboxes: &BTreeSet<MailboxId>,
    flags: &Flags,
    received: i64,
) -> Result<Made, Fail> {
    if let Err(error) = permit(access, mailboxes, flags) {
        return Ok(Err(error));
    }
    let store = &call.services().mail;
    match store.append_in_each(access.account, mailboxes, incoming, flags, received).await {
        Ok(made) => {
            let mut told = Object::new();
            told.insert("id".to_owned(), made.email.to_string().into());
            told.insert("blobId".to_owned(), blob_id(made.email, None).into());
            told.insert("threadId".to_owned(), made.thread.to_string().into());
            told.insert("size".to_owned(), incoming.staged.size().into());
            Ok(Ok((made, told)))
        }
        Err(mail::Error::NotFound) => Ok(Err(SetError::invalid_properties(["mailboxIds"]))),
        Err(error) => Ok(Err(set_error(error, "mailboxIds")?)),
    }
}

/// RFC 8621 §2 `mayAddItems`, in each of the mailboxes. One that is not seen is not there. RFC 4314 §4: flags that may not be
/// stored there are not stored with a new message either.
fn permit(access: &Access, mailboxes: &BTreeSet<MailboxId>, flags: &Flags) -> Result<(), SetError> {
    if !mailboxes.iter().all(|mailbox| access.is_whole() || access.sees(*mailbox)) {
        return Err(SetError::invalid_properties(["mailboxIds"]));
    }
    let needed = super::set::rights_for(flags) | Rights::INSERT;
    let allowed = |mailbox: &MailboxId| {
        access.may_in(*mailbox, if access.is_whole() { Rights::INSERT } else { needed })
    };
    if mailboxes.iter().all(allowed) { Ok(()) } else { Err(SetError::forbidden()) }
}

/// An email as it is asked for.
struct Draft {
    mailboxes: BTreeSet<MailboxId>,
    flags: Flags,
    received: i64,
    header: header::Header,
    body: body::Body,
}

/// Properties that the server sets (RFC 8621 §4.1), or that are asked for in other words.
const NOT_TO_BE_SET: [&str; 7] = ["id", "blobId", "threadId", "size", "hasAttachment", "preview", "headers"];

impl Draft {
    fn read(call: &Call, object: &Object) -> Result<Self, SetError> {
        let mut wrong: BTreeSet<String> = BTreeSet::new();
        let mut header = header::Header::default();
        for (name, value) in object {
            match name.as_str() {
                "mailboxIds" | "keywords" | "receivedAt" => {}
                name if body::PROPERTIES.contains(&name) => {}
                name if NOT_TO_BE_SET.contains(&name) || !header.read_of_email(name, value) => {
                    wrong.insert(name.to_owned());
                }
                _ => {}
            }
        }
        let body = body::Body::read(object, header.names());
        let body = body.map_err(|names| wrong.extend(names)).ok();
        let mailboxes = keywords::mailboxes(call, object.get("mailboxIds").unwrap_or(&Value::Null));
        let mailboxes = mailboxes.map_err(|_| wrong.insert("mailboxIds".to_owned())).ok();
        let flags = object.get("keywords").filter(|value| !value.is_null());
        let flags = flags.map_or(Ok(Flags::none()), keywords::of_object);
        let flags = flags.map_err(|_| wrong.insert("keywords".to_owned())).ok();
        let received = received(call, object).ok_or_else(|| wrong.insert("receivedAt".to_owned())).ok();
        let (Some(body), Some(mailboxes), Some(flags), Some(received), true) =
            (body, mailboxes, flags, received, wrong.is_empty())
        else {
            return Err(SetError::invalid_properties(wrong.iter().map(String::as_str)));
        };
        few(&mailboxes, &flags)?;
        Ok(Draft { mailboxes, flags, received, header, body })
    }
}

/// RFC 8621 §4.6: `tooManyMailboxes`, `tooManyKeywords`.
pub(super) fn few(mailboxes: &BTreeSet<MailboxId>, flags: &Flags) -> Result<(), SetError> {
    if mailboxes.len() > MAILBOXES {
        return Err(SetError::new("tooManyMailboxes"));
    }
    if flags.keywords.len() > KEYWORDS {
        return Err(SetError::new("tooManyKeywords"));
    }
    Ok(())
}

/// When it came: now, unless the client knows better.
fn received(call: &Call, object: &Object) -> Option<i64> {
    match object.get("receivedAt").filter(|value| !value.is_null()) {
        None => Some(call.services().clock.now().secs()),
        Some(value) => Some(parse_utc(value.as_str()?)?.div_euclid(1_000)),
    }
}

/// Writes a message from its pieces, and reads it as it is written.
async fn write(call: &Call, pieces: Vec<Piece>, sources: &[Source]) -> Result<Incoming, Fail> {
    let mut writer =
        Writer { writer: call.services().blobs.writer(), summarizer: Summarizer::new(Limits::default()) };
    for piece in pieces {
        match piece {
            Piece::Octets(octets) => writer.push(&octets).await?,
            Piece::Stored { number, encoding } => {
                let Some(source) = sources.get(number) else { continue };
                stored(call, source, &encoding, &mut writer).await?;
            }
        }
    }
    let staged = writer.writer.finish().await.map_err(mail::Error::from)?;
    Ok(Incoming { staged, summary: Arc::new(writer.summarizer.finish()) })
}

async fn stored(call: &Call, source: &Source, encoding: &Encoding, writer: &mut Writer) -> Result<(), Fail> {
    let (mut transfer, mut at, mut out) = (Transfer::new(encoding), 0, Vec::new());
    while at < source.size {
        let piece = source.read(call.services(), at..source.size.min(at + PIECE)).await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        transfer.push(&piece, &mut out);
        writer.push(&out).await?;
        out.clear();
    }
    transfer.finish(&mut out);
    writer.push(&out).await
}

struct Writer {
    writer: blob::Writer,
    summarizer: Summarizer,
}

impl Writer {
    async fn push(&mut self, octets: &[u8]) -> Result<(), Fail> {
        self.summarizer.push(octets);
        Ok(self.writer.write(octets).await.map_err(mail::Error::from)?)
    }
}
