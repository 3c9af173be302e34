//! A message under examination: its row is at hand, the rest is read when a filter first asks for it.

use std::sync::Arc;

use bytes::Bytes;
use content_mail::address::{Address, Mailbox};
use content_mail::decode::Shown;
use content_mail::{Envelope, Summary, decode, fold, headers};
use mail::{MailboxRef, MessageRow};
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::task::AbortOnDropHandle;

use crate::budget::SUMMARY;
use crate::haystack::{self, BODY, HEADER};
use crate::text::decoded;
use crate::{BudgetExceeded, Error, Field, Needle, Spending};

/// Bytes of a message that are decoded at once; more of them not on a worker, which others wait for.
const AT_ONCE: usize = 1 << 20;

/// One message.
pub(crate) struct Message<'a> {
    pub(crate) row: &'a MessageRow,
    store: &'a mail::Store,
    at: MailboxRef,
    summary: Option<Arc<Summary>>,
    header: Option<Bytes>,
    body: Option<Bytes>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(store: &'a mail::Store, at: MailboxRef, row: &'a MessageRow) -> Self {
        Self { row, store, at, summary: None, header: None, body: None }
    }

    async fn summary(&mut self, spending: &Spending) -> Result<Arc<Summary>, Error> {
        if let Some(summary) = &self.summary {
            return Ok(Arc::clone(summary));
        }
        spending.pay(SUMMARY).await?;
        let summary = self.store.summary(self.at.account, self.row.email).await?;
        self.summary = Some(Arc::clone(&summary));
        Ok(summary)
    }

    /// The header, to be looked at as a whole: paid for each time, not only when it is read.
    async fn header(&mut self, spending: &Spending) -> Result<Bytes, Error> {
        let size = self.summary(spending).await?.header_size.min(HEADER);
        spending.pay(size).await?;
        if let Some(header) = &self.header {
            return Ok(header.clone());
        }
        let header = self.store.body(self.row.blob, 0..size).await?;
        self.header = Some(header.clone());
        Ok(header)
    }

    /// When it was sent, in seconds since 1970 on the clock of its writer; when it arrived if it does not say.
    pub(crate) async fn sent_there(&mut self, spending: &Spending) -> Result<i64, Error> {
        let summary = self.summary(spending).await?;
        let zone = summary.envelope.date.as_deref().map_or(0, zone_seconds);
        Ok(summary.sent.map_or(self.row.internal_date, |ms| ms.div_euclid(1000) + zone))
    }

    /// Whether a header field contains the text.
    pub(crate) async fn field_has(
        &mut self,
        field: &Field,
        needle: &Needle,
        spending: &Spending,
    ) -> Result<bool, Error> {
        let summary = self.summary(spending).await?;
        let envelope = &summary.envelope;
        spending.pay(field_size(envelope, field)).await?;
        if let Field::Named(name) = field {
            let header = self.header(spending).await?;
            return Ok(headers::fields(&header).filter(|f| f.is(name)).any(|f| text_has(&f.text(), needle)));
        }
        Ok(!haystack::of_envelope(envelope, field, &mut |text| !text_has(text, needle)))
    }

    /// Whether any header field contains the text.
    pub(crate) async fn header_has(&mut self, needle: &Needle, spending: &Spending) -> Result<bool, Error> {
        let header = self.header(spending).await?;
        Ok(headers::fields(&header).any(|f| text_has(&haystack::line(&f), needle)))
    }

    /// Whether a text of the body contains the text, or a hint of it does if they count: paid for each time, not only when
    /// it is read. The look is a task of its own, so that several go on at the same time on all processors.
    pub(crate) async fn body_has(
        &mut self,
        needle: &Needle,
        hints: bool,
        spending: &Spending,
    ) -> Result<bool, Error> {
        let summary = self.summary(spending).await?;
        let size = self.row.size.min(BODY);
        spending.pay(size).await?;
        let (store, blob, known) = (self.store.clone(), self.row.blob, self.body.clone());
        let needle = needle.clone();
        let look = async move {
            let message = match known {
                Some(message) => message,
                None => store.body(blob, 0..size).await?,
            };
            let kept = message.clone();
            let has = move || texts_have(&message, &summary, &needle, hints);
            let has = if kept.len() <= AT_ONCE { has() } else { spawn_blocking(has).await? };
            Ok::<_, LookError>((kept, has))
        };
        match AbortOnDropHandle::new(tokio::spawn(look)).await {
            Ok(Ok((message, has))) => {
                self.body = Some(message);
                Ok(has)
            }
            Ok(Err(LookError::Mail(error))) => Err(error.into()),
            Ok(Err(LookError::Ended(_))) | Err(_) => Err(BudgetExceeded.into()),
        }
    }
}

/// Why a look has no answer.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Mail(#[from] mail::Error),
    #[error(transparent)]
    Ended(#[from] JoinError),
}

/// Bytes that a look at the field costs; a named one is paid for with the header it is looked for in.
fn field_size(envelope: &Envelope, field: &Field) -> u64 {
    let list = match field {
        Field::From => &envelope.from,
        Field::To => &envelope.to,
        Field::Cc => &envelope.cc,
        Field::Bcc => &envelope.bcc,
        Field::Subject => return envelope.subject.as_ref().map_or(0, String::len) as u64,
        Field::Named(_) => return 0,
    };
    let mailbox = |m: &Mailbox| m.name.as_ref().map_or(0, String::len) + m.local.len() + m.domain.len();
    let address = |address: &Address| match address {
        Address::Mailbox(one) => mailbox(one),
        Address::Group { name, members } => name.len() + members.iter().map(mailbox).sum::<usize>(),
    };
    list.iter().map(address).sum::<usize>() as u64
}

fn texts_have(message: &[u8], summary: &Summary, needle: &Needle, hints: bool) -> bool {
    let mut found = false;
    let mut look = |text: &str| {
        found = needle.is_in(&fold(text));
        !found
    };
    if hints {
        decode::each_shown(message, &summary.structure, &mut |shown| match shown {
            Shown::Text(text) | Shown::Hint(text) => look(text),
        });
    } else {
        decode::each_text(message, &summary.structure, &mut look);
    }
    found
}

/// Header text is compared as people read it, and as it is written.
fn text_has(text: &str, needle: &Needle) -> bool {
    needle.is_in_text(&decoded(text)) || needle.is_in_text(text)
}

/// The zone of a Date field, `+hhmm`, in seconds; 0 for names.
fn zone_seconds(date: &str) -> i64 {
    let zone = date.split_whitespace().find(|w| w.len() == 5 && w.starts_with(['+', '-']));
    let Some((sign, digits)) = zone.and_then(|z| z.split_at_checked(1)) else { return 0 };
    let Ok(number) = digits.parse::<i64>() else { return 0 };
    let seconds = (number / 100) * 3600 + (number % 100) * 60;
    if sign == "-" { -seconds } else { seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        assert_eq!(zone_seconds("Sat, 21 Nov 2026 10:01:00 +0130"), 5400);
        assert_eq!(zone_seconds("Sat, 21 Nov 2026 10:01:00 -0800"), -28_800);
        assert_eq!(zone_seconds("21 Nov 2026 10:01:00 GMT"), 0);
    }
}
