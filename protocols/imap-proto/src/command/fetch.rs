//! FETCH (RFC 9051 §6.4.5) with BINARY (RFC 3516), CONDSTORE and QRESYNC (RFC 7162), OBJECTID (RFC 8474),
//! PREVIEW (RFC 8970), SAVEDATE (RFC 8514).

use std::num::NonZeroU32;

use super::Body;
use crate::cursor::{Cursor, Result};
use crate::sequence::SequenceSet;
use crate::{Problem, limits};

/// What to tell of which messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Whether `set` is of UIDs (and UID is among the items, RFC 9051 §6.4.9).
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// What, without repetition.
    pub items: Vec<FetchItem>,
    /// Only messages changed after this mod-sequence (RFC 7162 §3.1.4.1).
    pub changed_since: Option<u64>,
    /// Also the UIDs gone since then (RFC 7162 §3.2.6).
    pub vanished: bool,
}

/// A data item.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // named as on the wire (RFC 9051 §6.4.5)
pub enum FetchItem {
    Uid,
    Flags,
    InternalDate,
    Rfc822Size,
    Envelope,
    /// `BODY`: the structure without extension data.
    Body,
    BodyStructure,
    /// `BODY[section]<partial>`, `BODY.PEEK[section]<partial>`
    BodySection {
        section: Section,
        partial: Option<Partial>,
        peek: bool,
    },
    /// `RFC822`: as `BODY[]` (RFC 3501 §6.4.5)
    Rfc822,
    /// `RFC822.HEADER`: as `BODY.PEEK[HEADER]` (RFC 3501 §6.4.5)
    Rfc822Header,
    /// `RFC822.TEXT`: as `BODY[TEXT]` (RFC 3501 §6.4.5)
    Rfc822Text,
    /// `BINARY[part]<partial>`, `BINARY.PEEK[part]<partial>` (RFC 3516 §4.2)
    Binary {
        part: Vec<NonZeroU32>,
        partial: Option<Partial>,
        peek: bool,
    },
    /// `BINARY.SIZE[part]` (RFC 3516 §4.2)
    BinarySize {
        part: Vec<NonZeroU32>,
    },
    ModSeq,
    EmailId,
    ThreadId,
    /// `PREVIEW` or `PREVIEW (LAZY)` (RFC 8970 §3.1); it is always at hand, so LAZY changes nothing.
    Preview {
        lazy: bool,
    },
    SaveDate,
}

impl FetchItem {
    /// Whether fetching it sets `\Seen` (RFC 9051 §6.4.5, RFC 3516 §4.2).
    pub fn sets_seen(&self) -> bool {
        match self {
            FetchItem::BodySection { peek, .. } | FetchItem::Binary { peek, .. } => !peek,
            FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
            _ => false,
        }
    }
}

/// A piece of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// The part's path; empty for the message itself.
    pub part: Vec<NonZeroU32>,
    /// What of it.
    pub text: SectionText,
}

/// What of a part is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SectionText {
    /// All of it.
    #[default]
    Full,
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS (…)`: names as written.
    HeaderFields(Vec<String>),
    /// `HEADER.FIELDS.NOT (…)`: names as written.
    HeaderFieldsNot(Vec<String>),
    /// `TEXT`
    Text,
    /// `MIME`: the part's own header.
    Mime,
}

/// `<offset.length>`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// The first byte.
    pub offset: u64,
    /// How many bytes at most, above 0.
    pub length: u64,
}

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att
/// *(SP fetch-att) ")") [fetch-modifiers]`
pub(super) fn parse(cursor: &mut Cursor<'_>, uid: bool) -> Result<Body> {
    cursor.space()?;
    let set = SequenceSet::parse(cursor)?;
    cursor.space()?;
    let mut items = Vec::new();
    if cursor.peek() == Some(b'(') {
        let mut count = 0;
        cursor.list(false, |cursor| {
            count += 1;
            push(&mut items, item(cursor)?, count)
        })?;
    } else if let Some(expanded) = macro_items(cursor) {
        items = expanded;
    } else {
        items.push(item(cursor)?);
    }
    let mut fetch = Fetch { uid, set, items, changed_since: None, vanished: false };
    if cursor.eat(b' ') && cursor.peek().is_some() {
        modifiers(cursor, &mut fetch)?;
    }
    // RFC 9051 §6.4.9: the UID is told even if it was not asked for.
    if uid && !fetch.items.contains(&FetchItem::Uid) {
        fetch.items.insert(0, FetchItem::Uid);
    }
    // RFC 7162 §3.1.4.1: CHANGEDSINCE implies MODSEQ.
    if fetch.changed_since.is_some() && !fetch.items.contains(&FetchItem::ModSeq) {
        fetch.items.push(FetchItem::ModSeq);
    }
    Ok(Body::Fetch(fetch))
}

/// An item asked for twice is told once; comparing is only worth it among few.
fn push(items: &mut Vec<FetchItem>, item: FetchItem, count: usize) -> Result<()> {
    const MOST: usize = 256;
    if count > MOST {
        return Err(Problem::Limit("too many FETCH items"));
    }
    if !items.contains(&item) {
        items.push(item);
    }
    Ok(())
}

/// `ALL`, `FAST`, `FULL`: alone, not in a list (RFC 9051 §6.4.5).
fn macro_items(cursor: &mut Cursor<'_>) -> Option<Vec<FetchItem>> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size};
    let fast = vec![Flags, InternalDate, Rfc822Size];
    if cursor.eat_word("FAST") {
        Some(fast)
    } else if cursor.eat_word("ALL") {
        Some([fast, vec![Envelope]].concat())
    } else if cursor.eat_word("FULL") {
        Some([fast, vec![Envelope, Body]].concat())
    } else {
        None
    }
}

/// `fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"` (RFC 4466 §6);
/// `chgsince-fetch-mod = "CHANGEDSINCE" SP mod-sequence-value`, `rexpunges-fetch-mod = "VANISHED"` (RFC 7162 §7)
fn modifiers(cursor: &mut Cursor<'_>, fetch: &mut Fetch) -> Result<()> {
    cursor.list(false, |cursor| {
        if cursor.eat_word("CHANGEDSINCE") {
            cursor.space()?;
            // Deviation: 0 means "everything", some clients send it at first.
            fetch.changed_since = Some(cursor.number64()?);
        } else if cursor.eat_word("VANISHED") {
            fetch.vanished = true;
        } else {
            return Err(Problem::Syntax("unknown FETCH modifier"));
        }
        Ok(())
    })?;
    // RFC 7162 §3.2.6: VANISHED is for UID FETCH with CHANGEDSINCE alone.
    if fetch.vanished && !(fetch.uid && fetch.changed_since.is_some()) {
        return Err(Problem::Syntax("VANISHED needs UID FETCH with CHANGEDSINCE"));
    }
    Ok(())
}

/// Items that are a word and nothing more.
const WORDS: [(&str, FetchItem); 13] = [
    ("UID", FetchItem::Uid),
    ("FLAGS", FetchItem::Flags),
    ("INTERNALDATE", FetchItem::InternalDate),
    ("RFC822.SIZE", FetchItem::Rfc822Size),
    ("ENVELOPE", FetchItem::Envelope),
    ("BODYSTRUCTURE", FetchItem::BodyStructure),
    ("RFC822.HEADER", FetchItem::Rfc822Header),
    ("RFC822.TEXT", FetchItem::Rfc822Text),
    ("RFC822", FetchItem::Rfc822),
    ("MODSEQ", FetchItem::ModSeq),
    ("EMAILID", FetchItem::EmailId),
    ("THREADID", FetchItem::ThreadId),
    ("SAVEDATE", FetchItem::SaveDate),
];

/// `fetch-att` (RFC 9051 §9)
fn item(cursor: &mut Cursor<'_>) -> Result<FetchItem> {
    if let Some((_, item)) = WORDS.iter().find(|(word, _)| cursor.eat_word(word)) {
        return Ok(item.clone());
    }
    if cursor.eat_prefix("BINARY.SIZE[") {
        return Ok(FetchItem::BinarySize { part: binary_part(cursor)? });
    }
    for (name, peek) in [("BINARY[", false), ("BINARY.PEEK[", true)] {
        if cursor.eat_prefix(name) {
            let part = binary_part(cursor)?;
            return Ok(FetchItem::Binary { part, partial: partial(cursor)?, peek });
        }
    }
    for (name, peek) in [("BODY[", false), ("BODY.PEEK[", true)] {
        if cursor.eat_prefix(name) {
            let section = section(cursor)?;
            return Ok(FetchItem::BodySection { section, partial: partial(cursor)?, peek });
        }
    }
    if cursor.eat_word("BODY") {
        return Ok(FetchItem::Body);
    }
    if cursor.eat_word("PREVIEW") {
        return preview(cursor);
    }
    Err(Problem::Syntax("unknown FETCH item"))
}

/// `fetch-att =/ "PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]`; `preview-mod = "LAZY"` (RFC 8970 §6)
fn preview(cursor: &mut Cursor<'_>) -> Result<FetchItem> {
    if !cursor.eat_prefix(" (LAZY") {
        return Ok(FetchItem::Preview { lazy: false });
    }
    cursor.expect(b')', "unknown PREVIEW modifier")?;
    Ok(FetchItem::Preview { lazy: true })
}

/// `section-binary = "[" [section-part] "]"` (RFC 3516 §7), behind its bracket.
fn binary_part(cursor: &mut Cursor<'_>) -> Result<Vec<NonZeroU32>> {
    let (part, dot) = section_part(cursor)?;
    if dot {
        return Err(Problem::Syntax("invalid section"));
    }
    cursor.expect(b']', "expected ]")?;
    Ok(part)
}

/// `section = "[" [section-spec] "]"`; `section-spec = section-msgtext / (section-part ["." section-text])`;
/// `section-text = section-msgtext / "MIME"` (RFC 9051 §9), behind its bracket.
fn section(cursor: &mut Cursor<'_>) -> Result<Section> {
    let (part, dot) = section_part(cursor)?;
    let text = if (part.is_empty() || dot) && cursor.peek() != Some(b']') {
        section_text(cursor)?
    } else if dot {
        return Err(Problem::Syntax("invalid section"));
    } else {
        SectionText::Full
    };
    // RFC 9051 §6.4.5.1: MIME is of a part, never of the message itself.
    if text == SectionText::Mime && part.is_empty() {
        return Err(Problem::Syntax("MIME needs a part number"));
    }
    cursor.expect(b']', "expected ]")?;
    Ok(Section { part, text })
}

/// `section-part = nz-number *("." nz-number)`; also whether a "." follows.
fn section_part(cursor: &mut Cursor<'_>) -> Result<(Vec<NonZeroU32>, bool)> {
    let mut part = Vec::new();
    while cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
        if part.len() >= limits::SECTION_DEPTH {
            return Err(Problem::Limit("section is too deep"));
        }
        part.push(cursor.nz_number()?);
        if !cursor.eat(b'.') {
            return Ok((part, false));
        }
    }
    let dot = !part.is_empty();
    Ok((part, dot))
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`; `header-fld-name = astring`
fn header_list(cursor: &mut Cursor<'_>) -> Result<Vec<String>> {
    let names = cursor.list(false, Cursor::astring_text)?;
    if names.len() > limits::FIELD_NAMES { Err(Problem::Limit("too many field names")) } else { Ok(names) }
}

/// `section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"`
fn section_text(cursor: &mut Cursor<'_>) -> Result<SectionText> {
    if cursor.eat_prefix("HEADER.FIELDS.NOT ") {
        return header_list(cursor).map(SectionText::HeaderFieldsNot);
    }
    if cursor.eat_prefix("HEADER.FIELDS ") {
        return header_list(cursor).map(SectionText::HeaderFields);
    }
    let words = [("HEADER", SectionText::Header), ("TEXT", SectionText::Text), ("MIME", SectionText::Mime)];
    let found = words.into_iter().find(|(word, _)| cursor.eat_word(word));
    found.map(|(_, text)| text).ok_or(Problem::Syntax("unknown section"))
}

/// `partial = "<" number64 "." nz-number64 ">"`
fn partial(cursor: &mut Cursor<'_>) -> Result<Option<Partial>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let offset = cursor.number64()?;
    cursor.expect(b'.', "expected <offset.length>")?;
    let length = cursor.number64()?;
    cursor.expect(b'>', "expected <offset.length>")?;
    if length == 0 {
        return Err(Problem::Syntax("length must be above 0"));
    }
    Ok(Some(Partial { offset, length }))
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
