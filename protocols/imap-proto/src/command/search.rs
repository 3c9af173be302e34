//! SEARCH (RFC 9051 §6.4.4) with ESEARCH (RFC 4731), SEARCHRES (RFC 5182), WITHIN (RFC 5032), MODSEQ
//! (RFC 7162 §3.1.5), OBJECTID (RFC 8474 §6), SAVEDATE (RFC 8514 §4.3), FUZZY (RFC 6203).

use std::num::NonZeroU32;

use super::Body;
use crate::cursor::{Cursor, Result};
use crate::datetime::Date;
use crate::flag::Flag;
use crate::sequence::SequenceSet;
use crate::{Problem, limits};

/// Which messages match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Whether the answer is of UIDs.
    pub uid: bool,
    /// What the answer holds; `None`: the old `* SEARCH` answer, or all of it in IMAP4rev2.
    pub returns: Option<SearchReturn>,
    /// The charset of the strings.
    pub charset: Charset,
    /// What a message must match.
    pub key: SearchKey,
}

/// `search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE" / "RELEVANCY"` (RFC 9051 §6.4.4, RFC 4731 §3.1,
/// RFC 5182 §2, RFC 6203 §6)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)] // named as on the wire
pub struct SearchReturn {
    pub min: bool,
    pub max: bool,
    pub all: bool,
    pub count: bool,
    pub save: bool,
    pub relevancy: bool,
}

/// `CHARSET` of a search. Strings are UTF-8 here; with another charset the command is to be answered
/// `NO [BADCHARSET (US-ASCII UTF-8)]` (RFC 9051 §6.4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charset {
    /// None given, US-ASCII or UTF-8.
    Utf8,
    /// One that is not supported, with its name.
    Unsupported(String),
}

/// What a message is asked for. Strings are UTF-8; how they compare is the search's business.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // named as on the wire (RFC 9051 §6.4.4)
pub enum SearchKey {
    All,
    /// All of these; never empty.
    And(Vec<SearchKey>),
    Or(Box<SearchKey>, Box<SearchKey>),
    Not(Box<SearchKey>),
    /// What is much like it matches too (RFC 6203 §3).
    Fuzzy(Box<SearchKey>),
    /// Message sequence numbers, or the saved result.
    Sequence(SequenceSet),
    Uid(SequenceSet),
    /// A flag is set: ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, RECENT, KEYWORD. The UN… keys are `Not` of it.
    Flag(Flag),
    /// Internal date, as a day of it.
    Before(Date),
    On(Date),
    Since(Date),
    /// The Date header, as a day of it.
    SentBefore(Date),
    SentOn(Date),
    SentSince(Date),
    /// The date saved to the mailbox (RFC 8514 §4.3).
    SavedBefore(Date),
    SavedOn(Date),
    SavedSince(Date),
    /// `SAVEDATESUPPORTED` (RFC 8514 §4.3)
    SaveDateSupported,
    /// Seconds of age (RFC 5032 §2).
    Older(NonZeroU32),
    Younger(NonZeroU32),
    Larger(u64),
    Smaller(u64),
    Bcc(String),
    Cc(String),
    From(String),
    To(String),
    Subject(String),
    Body(String),
    /// Header or body.
    Text(String),
    /// A field and a substring; empty: the field is there.
    Header(String, String),
    /// Changed at this mod-sequence or later (RFC 7162 §3.1.5).
    ModSeq(u64),
    EmailId(String),
    ThreadId(String),
}

/// `search = "SEARCH" [search-return-opts] SP search-program`;
/// `search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)` (RFC 9051 §9)
pub(super) fn parse(cursor: &mut Cursor<'_>, uid: bool) -> Result<Body> {
    cursor.space()?;
    let mut returns = None;
    if cursor.eat_word("RETURN") {
        cursor.space()?;
        returns = Some(return_options(cursor)?);
        cursor.space()?;
    }
    let mut charset = Charset::Utf8;
    if cursor.eat_word("CHARSET") {
        cursor.space()?;
        charset = parse_charset(cursor)?;
        cursor.space()?;
    }
    Ok(Body::Search(Search { uid, returns, charset, key: keys(cursor)? }))
}

/// `charset = atom / quoted` (RFC 9051 §9)
pub(super) fn parse_charset(cursor: &mut Cursor<'_>) -> Result<Charset> {
    let name = cursor.astring_text()?;
    let known = ["US-ASCII", "UTF-8", "ASCII"].iter().any(|known| known.eq_ignore_ascii_case(&name));
    Ok(if known { Charset::Utf8 } else { Charset::Unsupported(name) })
}

/// `search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"`
pub(super) fn return_options(cursor: &mut Cursor<'_>) -> Result<SearchReturn> {
    let mut returns = SearchReturn::default();
    let mut any = false;
    cursor.list(true, |cursor| {
        any = true;
        let option = cursor.atom()?;
        match option.to_ascii_uppercase().as_str() {
            "MIN" => returns.min = true,
            "MAX" => returns.max = true,
            "ALL" => returns.all = true,
            "COUNT" => returns.count = true,
            "SAVE" => returns.save = true,
            "RELEVANCY" => returns.relevancy = true, // RFC 6203 §4
            _ => return Err(Problem::Syntax("unknown RETURN option")),
        }
        Ok(())
    })?;
    // RFC 4731 §3.1: an empty list is ALL.
    returns.all |= !any;
    Ok(returns)
}

/// `search-key *(SP search-key)`: all must match. No more than [`limits::SEARCH_KEYS`] at all depths together.
pub(super) fn keys(cursor: &mut Cursor<'_>) -> Result<SearchKey> {
    let mut left = limits::SEARCH_KEYS;
    let mut all = vec![key(cursor, &mut left)?];
    while cursor.eat(b' ') && cursor.peek().is_some() {
        all.push(key(cursor, &mut left)?);
    }
    Ok(and(all))
}

fn and(mut all: Vec<SearchKey>) -> SearchKey {
    match all.len() {
        1 => all.swap_remove(0),
        _ => SearchKey::And(all),
    }
}

/// `search-key` (RFC 9051 §9), no deeper than [`limits::DEPTH`]; `left`: how many there may be yet.
fn key(cursor: &mut Cursor<'_>, left: &mut usize) -> Result<SearchKey> {
    *left = left.checked_sub(1).ok_or(Problem::Limit("too many search keys"))?;
    match cursor.peek() {
        Some(b'(') => cursor.nested(|cursor| cursor.list(false, |cursor| key(cursor, left)).map(and)),
        Some(b'0'..=b'9' | b'*' | b'$') => SequenceSet::parse(cursor).map(SearchKey::Sequence),
        _ => {
            let word = cursor.atom()?.to_ascii_uppercase();
            if let Some(flag) = flag_key(&word) {
                return Ok(flag);
            }
            match word.as_str() {
                "ALL" => Ok(SearchKey::All),
                "NOT" => {
                    cursor.space()?;
                    cursor.nested(|cursor| key(cursor, left)).map(|inner| SearchKey::Not(Box::new(inner)))
                }
                // `search-key =/ "FUZZY" SP search-key` (RFC 6203 §6)
                "FUZZY" => {
                    cursor.space()?;
                    cursor.nested(|cursor| key(cursor, left)).map(|inner| SearchKey::Fuzzy(Box::new(inner)))
                }
                "OR" => cursor.nested(|cursor| {
                    cursor.space()?;
                    let first = key(cursor, left)?;
                    cursor.space()?;
                    Ok(SearchKey::Or(Box::new(first), Box::new(key(cursor, left)?)))
                }),
                "SAVEDATESUPPORTED" => Ok(SearchKey::SaveDateSupported),
                _ => {
                    cursor.space()?;
                    key_with_argument(cursor, &word)
                }
            }
        }
    }
}

/// Keys that ask for a flag, or for its absence (RFC 9051 §6.4.4, RFC 3501 §6.4.4).
fn flag_key(word: &str) -> Option<SearchKey> {
    if word == "NEW" {
        // RFC 3501 §6.4.4: "(RECENT UNSEEN)"
        let unseen = SearchKey::Not(Box::new(SearchKey::Flag(Flag::Seen)));
        return Some(SearchKey::And(vec![SearchKey::Flag(Flag::Recent), unseen]));
    }
    let (name, not) = match word.strip_prefix("UN") {
        Some(rest) => (rest, true),
        None if word == "OLD" => ("RECENT", true),
        None => (word, false),
    };
    let flag = match name {
        "ANSWERED" => Flag::Answered,
        "DELETED" => Flag::Deleted,
        "DRAFT" => Flag::Draft,
        "FLAGGED" => Flag::Flagged,
        "SEEN" => Flag::Seen,
        "RECENT" if word != "UNRECENT" => Flag::Recent,
        _ => return None,
    };
    let key = SearchKey::Flag(flag);
    Some(if not { SearchKey::Not(Box::new(key)) } else { key })
}

fn key_with_argument(cursor: &mut Cursor<'_>, word: &str) -> Result<SearchKey> {
    use SearchKey as K;
    let text: Option<fn(String) -> K> = match word {
        "BCC" => Some(K::Bcc),
        "CC" => Some(K::Cc),
        "FROM" => Some(K::From),
        "TO" => Some(K::To),
        "SUBJECT" => Some(K::Subject),
        "BODY" => Some(K::Body),
        "TEXT" => Some(K::Text),
        _ => None,
    };
    if let Some(make) = text {
        return cursor.astring_text().map(make);
    }
    let date: Option<fn(Date) -> K> = match word {
        "BEFORE" => Some(K::Before),
        "ON" => Some(K::On),
        "SINCE" => Some(K::Since),
        "SENTBEFORE" => Some(K::SentBefore),
        "SENTON" => Some(K::SentOn),
        "SENTSINCE" => Some(K::SentSince),
        "SAVEDBEFORE" => Some(K::SavedBefore),
        "SAVEDON" => Some(K::SavedOn),
        "SAVEDSINCE" => Some(K::SavedSince),
        _ => None,
    };
    if let Some(make) = date {
        return Date::parse(cursor).map(make);
    }
    match word {
        "KEYWORD" => Flag::parse_keyword(cursor).map(|name| K::Flag(Flag::Keyword(name))),
        "UNKEYWORD" => Flag::parse_keyword(cursor).map(|name| K::Not(Box::new(K::Flag(Flag::Keyword(name))))),
        "HEADER" => {
            let field = cursor.astring_text()?;
            cursor.space()?;
            Ok(K::Header(field, cursor.astring_text()?))
        }
        "UID" => SequenceSet::parse(cursor).map(K::Uid),
        "LARGER" => cursor.number64().map(K::Larger),
        "SMALLER" => cursor.number64().map(K::Smaller),
        "OLDER" => cursor.nz_number().map(K::Older), // RFC 5032 §4
        "YOUNGER" => cursor.nz_number().map(K::Younger),
        "MODSEQ" => modseq(cursor).map(K::ModSeq),
        "EMAILID" => object_id(cursor).map(K::EmailId),
        "THREADID" => object_id(cursor).map(K::ThreadId),
        _ => Err(Problem::Syntax("unknown SEARCH key")),
    }
}

/// `search-modsequence = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer`;
/// `search-modseq-ext = SP entry-name SP entry-type-req`: the entry is a flag and its kind; mod-sequences
/// are kept per message, so that it changes nothing (RFC 7162 §3.1.5, §7).
fn modseq(cursor: &mut Cursor<'_>) -> Result<u64> {
    if cursor.peek() == Some(b'"') {
        cursor.string()?;
        cursor.space()?;
        if !["priv", "shared", "all"].iter().any(|kind| cursor.eat_word(kind)) {
            return Err(Problem::Syntax("expected priv, shared or all"));
        }
        cursor.space()?;
    }
    cursor.number64()
}

impl SearchKey {
    /// Whether some of it is fuzzy.
    pub fn is_fuzzy(&self) -> bool {
        match self {
            SearchKey::Fuzzy(_) => true,
            SearchKey::And(keys) => keys.iter().any(SearchKey::is_fuzzy),
            SearchKey::Or(a, b) => a.is_fuzzy() || b.is_fuzzy(),
            SearchKey::Not(inner) => inner.is_fuzzy(),
            _ => false,
        }
    }
}

/// `objectid = 1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474 §7)
fn object_id(cursor: &mut Cursor<'_>) -> Result<String> {
    let id = cursor.astring_text()?;
    let valid = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if id.is_empty() || id.len() > 255 || !valid { Err(Problem::Syntax("invalid object id")) } else { Ok(id) }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
