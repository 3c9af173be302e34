//! Header fields in the forms of RFC 8621 §4.1.2.

use content_mail::address::parse_list;
use content_mail::decode::{guess, words};
use content_mail::headers::{Field, fields};
use jmap_proto::date::Date;
use jmap_proto::mail::header::{Form, HeaderProperty};
use serde_json::{Value, json};

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
        Form::Text => words(&field.text()).into_owned().into(),
        Form::Addresses => addresses::plain(&parse_list(&field.text(), ADDRESSES)),
        Form::GroupedAddresses => addresses::grouped(&parse_list(&field.text(), ADDRESSES)),
        Form::MessageIds => bracketed(&field.text(), |id| !id.contains(char::is_whitespace)),
        Form::Urls => bracketed(&field.text(), |_| true),
        Form::Date => date(&field.text()).map_or(Value::Null, Value::from),
    }
}

/// RFC 8621 §4.1.2.1: all between the colon and the line end, without NUL.
fn raw(field: &Field<'_>) -> String {
    let text = guess(field.value).replace('\0', "");
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
}
