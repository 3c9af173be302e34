//! What summaries say of emails that queries sort by and filter for. A summary is a row of its own, so nothing is read of it until
//! somebody asks; from then on it is kept, and read of new emails only: it never changes.

use std::collections::HashMap;
use std::sync::Arc;

use content_mail::address::Address;
use content_mail::sort_key;
use schema::{AccountId, EmailId};

use super::Remembered;
use crate::{Error, Head, Store};

/// Octets of a name or an address that decide its place: those that differ only behind them are in the order of arrival.
const TEXT: usize = 256;
/// In place of a text: nothing was read yet.
const UNKNOWN: u32 = u32::MAX;

/// What is known of an email's summary. Texts are numbers, which [`super::Catalog::texts`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// The Date field, in seconds since the epoch; when it came, without one.
    pub sent: i64,
    /// The first of From, and of To: its name or, without one, its address (RFC 8621 §4.4.2).
    pub from: u32,
    /// As `from`.
    pub to: u32,
    /// The base subject (RFC 5256 §2.1), folded.
    pub subject: u32,
    /// Whether a client should show a paper clip.
    pub attached: bool,
}

impl Traits {
    const UNKNOWN: Traits = Traits { sent: 0, from: UNKNOWN, to: UNKNOWN, subject: UNKNOWN, attached: false };

    pub(super) fn is_known(&self) -> bool {
        self.subject != UNKNOWN
    }
}

/// A column of them, in the order of the other columns; empty until somebody asks.
#[derive(Debug, Default)]
pub(super) struct TraitColumn {
    pub(super) rows: Vec<Traits>,
    wanted: bool,
    unknown: usize,
    pub(super) texts: Vec<Arc<str>>,
    /// Octets of all texts.
    length: usize,
    numbers: HashMap<Arc<str>, u32>,
}

impl TraitColumn {
    /// From now on there is one of each row.
    pub(super) fn want(&mut self, length: usize) {
        if !self.wanted {
            self.wanted = true;
            self.grow(length);
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.wanted && self.unknown == 0
    }

    pub(super) fn bytes(&self) -> usize {
        // A text is counted, has a head of two words, and is in a table.
        self.rows.capacity() * size_of::<Traits>() + self.texts.len() * 80 + self.length
    }

    /// Whether most texts are those of emails that went.
    pub(super) fn is_worn(&self) -> bool {
        self.texts.len() > 4 * self.rows.len() + 10_000
    }

    /// There are so many rows; new ones are not known.
    pub(super) fn grow(&mut self, length: usize) {
        if self.wanted {
            self.unknown += length.saturating_sub(self.rows.len());
            self.rows.resize(length, Traits::UNKNOWN);
        }
    }

    pub(super) fn copy(&mut self, from: usize, to: usize) {
        if self.wanted {
            self.set(to, self.rows[from]);
        }
    }

    pub(super) fn forget(&mut self, row: usize) {
        if self.wanted {
            self.set(row, Traits::UNKNOWN);
        }
    }

    pub(super) fn truncate(&mut self, length: usize) {
        if self.wanted {
            self.unknown -= self.rows[length..].iter().filter(|row| !row.is_known()).count();
            self.rows.truncate(length);
        }
    }

    fn set(&mut self, row: usize, traits: Traits) {
        self.unknown += usize::from(!traits.is_known());
        self.unknown -= usize::from(!self.rows[row].is_known());
        self.rows[row] = traits;
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let (number, text) = (u32::try_from(self.texts.len()).unwrap_or(UNKNOWN - 1), Arc::<str>::from(text));
        self.length += text.len();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    pub(super) fn learn(&mut self, row: usize, received: i64, head: Option<&Head>) {
        let name = |list: Option<&[Address]>| list.map(first).unwrap_or_default();
        let (from, to) = (name(head.map(|one| one.from.as_slice())), name(head.map(|one| one.to.as_slice())));
        let traits = Traits {
            sent: head.and_then(|one| one.sent).map_or(received, |ms| ms.div_euclid(1_000)),
            from: self.text(&from),
            to: self.text(&to),
            subject: self.text(&sort_key(head.map_or("", |one| one.base_subject.as_str()))),
            attached: head.is_some_and(|one| one.has_attachment),
        };
        self.set(row, traits);
    }
}

/// RFC 8621 §4.4.2: the name of the first address or, without one, the address.
fn first(list: &[Address]) -> String {
    let Some(first) = content_mail::address::mailboxes(list).next() else { return String::new() };
    let mut text = match first.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => content_mail::decode::words(name).into_owned(),
        None => first.address(),
    };
    text.truncate(text.floor_char_boundary(TEXT));
    text
}

impl Store {
    /// Reads summaries of so many of a catalogue's emails of which it has no [`Traits`] yet; says how many it was. None are left once
    /// it was none.
    ///
    /// # Errors
    /// The store's.
    pub async fn learn_traits(
        &self,
        account: AccountId,
        one: &Remembered,
        most: usize,
    ) -> Result<usize, Error> {
        let unknown = one.unknown_traits(most);
        let ids: Vec<EmailId> = unknown.iter().map(|(_, id)| *id).collect();
        let heads = self.heads(account, &ids).await?;
        if let Some(catalog) = one.catalog.write().as_mut() {
            for ((received, id), head) in unknown.iter().zip(&heads) {
                catalog.columns.learn(*received, *id, head.as_ref());
            }
        }
        Ok(unknown.len())
    }
}

impl Remembered {
    fn unknown_traits(&self, most: usize) -> Vec<(i64, EmailId)> {
        if self.read(|catalog| catalog.columns.traits.is_complete()) {
            return Vec::new();
        }
        if let Some(catalog) = self.catalog.write().as_mut() {
            let length = catalog.columns.len();
            catalog.columns.traits.want(length);
        }
        self.read(|catalog| {
            let columns = &catalog.columns;
            let rows = columns.traits.rows.iter().enumerate().filter(|(_, traits)| !traits.is_known());
            rows.take(most).map(|(row, _)| (columns.received[row], columns.ids[row])).collect()
        })
    }
}
