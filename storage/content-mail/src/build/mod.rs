//! What the server itself writes: trace header fields and delivery status notifications.
//!
//! Everything that came from outside passes through [`clean`] or a quoting function before it is written,
//! so that no value can begin a header field or end a line. Times and ids are passed in; the same input
//! gives the same bytes.

mod dsn;
mod trace;

pub use dsn::{Action, Dsn, DsnRecipient, FULL_MAX, HEADER_MAX, Original, dsn};
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

/// Appends a field, folded at blanks where its lines would be longer than 78 characters. `value` has been
/// cleaned.
fn field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push(':');
    let mut column = name.len() + 1;
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        if column + 1 + word.len() > LINE && column > name.len() + 1 {
            out.push_str("\r\n\t");
            column = 8;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out.push_str("\r\n");
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
    }

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(clean("a\r\nBcc: b\0\u{85}", 100), "a  Bcc: b  ");
        assert_eq!(clean("\u{fc}\u{fc}", 3), "\u{fc}");
    }
}
