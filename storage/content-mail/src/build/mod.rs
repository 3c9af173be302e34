//! What the server itself writes: trace header fields, delivery status and disposition notifications.
//!
//! Everything that came from outside passes through [`clean`] or a quoting function before it is written,
//! so that no value can begin a header field or end a line. Times and ids are passed in; the same input
//! gives the same bytes.

mod dsn;
mod mdn;
mod trace;

pub use dsn::{Action, Dsn, DsnRecipient, FULL_MAX, HEADER_MAX, Original, dsn};
pub use mdn::{MDN_FIELDS, Mdn, is_extension};
pub use trace::{Received, delivered_to, received, return_path};

/// The text without control characters, each a blank, and at most `max` bytes long: safe in any header field
/// and in any SMTP reply.
pub fn clean(text: &str, max: usize) -> String {
    let mut out: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    crate::fields::truncate(&mut out, max);
    out
}

/// The longest line that RFC 5322 §2.1.1 wants to see, without its line end.
const LINE: usize = 78;

/// The longest word that is written in one piece: with it no line is over the 998 octets of RFC 5322 §2.1.1.
const WORD: usize = 900;

/// Appends a field, folded at blanks where its lines would be longer than 78 characters. `value` has been
/// cleaned.
fn field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push(':');
    wrap(out, name.len() + 1, value, "\t");
    out.push_str("\r\n");
}

/// Appends words behind `column` characters of the line. What would be longer than 78 characters goes on in a line
/// that begins with `indent`, eight characters wide; the first word does not.
fn wrap(out: &mut String, mut column: usize, text: &str, indent: &str) {
    let mut first = true;
    for word in text.split(' ').flat_map(pieces) {
        if column + 1 + word.len() > LINE && !first {
            out.push_str("\r\n");
            out.push_str(indent);
            column = 8;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
        first = false;
    }
}

/// A word in pieces that fit a line; none of an empty one.
fn pieces(mut word: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = word.split_at(word.floor_char_boundary(WORD));
        word = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_folded() {
        let mut out = String::new();
        field(&mut out, "X-Long", &"word ".repeat(40));
        assert!(out.lines().all(|line| line.len() <= LINE));
        assert_eq!(out.replace("\r\n\t", " ").matches("word").count(), 40);
        let mut out = String::new();
        field(&mut out, "X", &"y".repeat(200));
        assert_eq!(out.lines().count(), 1);
        let mut out = String::new();
        field(&mut out, "X", &"\u{fc}".repeat(1000));
        assert_eq!(out.lines().map(str::len).collect::<Vec<_>>(), [3 + WORD, 1 + WORD, 1 + 200]);
    }

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(clean("a\r\nBcc: b\0\u{85}", 100), "a  Bcc: b  ");
        assert_eq!(clean("\u{fc}\u{fc}", 3), "\u{fc}");
    }
}
