//! Header fields in the forms of RFC 8621 §4.1.2.

use content_mail::address::parse_list;
use content_mail::decode::words;
use content_mail::headers::{Field, fields};
use jmap_proto::date::Date;
use jmap_proto::mail::header::{Form, HeaderProperty};
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

use super::addresses;

/// Addresses of one field that are told.
const ADDRESSES: usize = 10_000;

/// A header property of a header: what its fields say (RFC 8621 §4.1.3).
pub(crate) fn property(header: &[u8], wanted: &HeaderProperty) -> Value {
    let all: Vec<Field<'_>> = fields(header).filter(|field| field.is(&wanted.field)).collect();
    if wanted.all {
        return Value::Array(all.iter().map(|field| value(field, wanted.form)).collect());
    }
    all.last().map_or(Value::Null, |field| value(field, wanted.form))
}

/// All fields, raw (RFC 8621 §4.1.2 `headers`).
pub(crate) fn all(header: &[u8]) -> Value {
    let one = |field: Field<'_>| json!({"name": String::from_utf8_lossy(field.name), "value": value(&field, Form::Raw)});
    Value::Array(fields(header).map(one).collect())
}

fn value(field: &Field<'_>, form: Form) -> Value {
    match form {
        Form::Raw => raw(field).into(),
        Form::Text => text(&field.text()).into(),
        Form::Addresses => addresses::plain(&parse_list(&field.text(), ADDRESSES)),
        Form::GroupedAddresses => addresses::grouped(&parse_list(&field.text(), ADDRESSES)),
        Form::MessageIds => bracketed(&field.text(), |id| !id.contains(char::is_whitespace)),
        Form::Urls => bracketed(&field.text(), |_| true),
        Form::Date => date(&field.text()).map_or(Value::Null, Value::from),
    }
}

/// RFC 8621 §4.1.2.2: the text of an unfolded field with its encoded words decoded, in NFC. What looks like one but does not stand
/// by itself (RFC 2047 §5 (1)) is none.
pub(crate) fn text(field: &str) -> String {
    if field.is_ascii() && !field.contains("=?") {
        return field.to_owned();
    }
    let (mut out, mut run) = (String::new(), String::new());
    for piece in field.split_inclusive([' ', '\t']) {
        let word = piece.trim_end_matches([' ', '\t']);
        if is_encoded_word(word) || (word.is_empty() && !run.is_empty()) {
            run.push_str(piece);
        } else {
            out.push_str(&words(&run));
            run.clear();
            out.push_str(piece);
        }
    }
    out.push_str(&words(&run));
    out.nfc().collect()
}

/// RFC 2047 §2: `=?charset?encoding?text?=`, and nothing around it.
fn is_encoded_word(word: &str) -> bool {
    word.starts_with("=?") && word.ends_with("?=") && word.matches('?').count() == 4
}

/// RFC 8621 §4.1.2.1: all between the colon and the line end, without NUL; what is no UTF-8 is U+FFFD.
fn raw(field: &Field<'_>) -> String {
    let text = String::from_utf8_lossy(field.value).replace('\0', "");
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    text.to_owned()
}

/// What is in angle brackets (§4.1.2.5, §4.1.2.7); null where nothing is.
fn bracketed(text: &str, fits: impl Fn(&str) -> bool) -> Value {
    let pieces = text.split('<').skip(1).filter_map(|rest| rest.split_once('>'));
    let found: Vec<Value> = pieces
        .map(|(inner, _)| inner.trim())
        .filter(|one| !one.is_empty() && fits(one))
        .map(Value::from)
        .collect();
    if found.is_empty() { Value::Null } else { Value::Array(found) }
}

/// RFC 8621 §4.1.4 `cid`: an id without its brackets, and without what is around them.
pub(crate) fn cid(id: &str) -> &str {
    let inner = id.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(id, |(id, _)| id).trim()
}

/// RFC 8621 §4.1.2.6: the moment, and the zone it was told in.
pub(crate) fn date(text: &str) -> Option<String> {
    let millis = content_mail::date::parse(text)?;
    Some(Date { millis, offset: zone(text) }.render())
}

/// The zone of a Date field, `+hhmm`, in minutes; 0 for names.
fn zone(text: &str) -> i16 {
    let is_zone = |word: &&str| {
        word.len() == 5 && word.starts_with(['+', '-']) && word.bytes().skip(1).all(|b| b.is_ascii_digit())
    };
    let Some(zone) = text.split_ascii_whitespace().find(is_zone) else { return 0 };
    let number: i16 = zone.get(1..).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let minutes = number / 100 * 60 + number % 100;
    if minutes >= 24 * 60 {
        return 0;
    }
    if zone.starts_with('-') { -minutes } else { minutes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"From: =?utf-8?q?J=C3=B6rg?= <j@example.com>\r\nSubject: =?utf-8?b?w6Q=?=\r\n\
        Date: Tue, 1 Jul 2003 10:52:37 +0200\r\nReferences: <a@x>\r\n <b@x>\r\nList-Post: <mailto:l@x> (note)\r\n\
        Subject: second\r\nX-Odd: nothing\r\n\r\n";

    fn told(name: &str) -> Value {
        property(HEADER, &HeaderProperty::parse(name).unwrap().unwrap())
    }

    #[test]
    fn forms() {
        assert_eq!(told("header:From:asAddresses"), json!([{"name": "Jörg", "email": "j@example.com"}]));
        assert_eq!(told("header:from"), json!(" =?utf-8?q?J=C3=B6rg?= <j@example.com>"));
        assert_eq!(told("header:Subject:asText"), json!("second"));
        assert_eq!(told("header:Subject:asText:all"), json!(["ä", "second"]));
        assert_eq!(told("header:Date:asDate"), json!("2003-07-01T10:52:37+02:00"));
        assert_eq!(told("header:References:asMessageIds"), json!(["a@x", "b@x"]));
        assert_eq!(told("header:References"), json!(" <a@x>\r\n <b@x>"));
        assert_eq!(told("header:List-Post:asURLs"), json!(["mailto:l@x"]));
        assert_eq!(told("header:X-Odd:asDate"), Value::Null);
        assert_eq!(told("header:X-None:all"), json!([]));
        assert_eq!(told("header:X-None:asText"), Value::Null);
        assert_eq!(all(HEADER).as_array().map(Vec::len), Some(7));
    }

    /// RFC 2047 §5, §6.2
    #[test]
    fn encoded_words_stand_by_themselves() {
        assert_eq!(text("=?utf-8?q?a?= =?utf-8?q?b?= c  =?utf-8?q?d?="), "ab c  d");
        assert_eq!(text("x=?utf-8?q?a?="), "x=?utf-8?q?a?=");
        assert_eq!(text("\"=?utf-8?q?a?=\""), "\"=?utf-8?q?a?=\"");
        assert_eq!(text("=?utf-8?q?a?==?utf-8?q?b?="), "=?utf-8?q?a?==?utf-8?q?b?=");
        assert_eq!(text("=?utf-8?q?a b?="), "=?utf-8?q?a b?=");
        assert_eq!(text("u\u{308} =?utf-8?q?u=CC=88?="), "\u{fc} \u{fc}", "one character each");
    }
}
