//! The text of bodies, for search and previews.

use std::borrow::Cow;

use super::hints::each_hint;
use super::{charset, guess, html_to_text, transfer};
use crate::{Content, Encoding, Part};

/// The text of a part from its encoded body: decoded, in UTF-8, without markup. Empty for what is no text.
pub fn body_text(part: &Part, body: &[u8]) -> String {
    without_markup(part, marked_up(part, body))
}

/// The text of a part as it was written; empty for what is no text.
fn marked_up(part: &Part, body: &[u8]) -> String {
    if part.content_type.kind != "text" {
        return String::new();
    }
    let decoded = transfer(&part.encoding, body);
    let text = match part.charset() {
        Some(label) => charset(label, &decoded),
        None => guess(&decoded),
    };
    text.into_owned()
}

fn is_html(part: &Part) -> bool {
    part.content_type.is("text", "html")
}

fn without_markup(part: &Part, text: String) -> String {
    if is_html(part) { html_to_text(&text) } else { text }
}

/// A text of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown<'a> {
    /// What is there to be read.
    Text(&'a str),
    /// What HTML says besides: an attribute that is meant for people (RFC 8621 §4.4.1).
    Hint(&'a str),
}

/// Calls `visit` with the text of every text part of a message, enclosed messages' parts included, until it
/// returns false. `message` is the whole message, `part` its root or any part of it.
pub fn each_text(message: &[u8], part: &Part, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    each_leaf(message, part, &mut |leaf| match leaf {
        Leaf::Header(text) => visit(&text),
        Leaf::Part(part, text) => {
            let text = without_markup(part, text);
            text.is_empty() || visit(&text)
        }
    })
}

/// The same with the hints of HTML, each behind the text that it is in.
pub fn each_shown(message: &[u8], part: &Part, visit: &mut dyn FnMut(Shown<'_>) -> bool) -> bool {
    each_leaf(message, part, &mut |leaf| match leaf {
        Leaf::Header(text) => visit(Shown::Text(&text)),
        Leaf::Part(part, text) if is_html(part) => {
            let shown = html_to_text(&text);
            (shown.is_empty() || visit(Shown::Text(&shown)))
                && each_hint(&text, &mut |hint| visit(Shown::Hint(hint)))
        }
        Leaf::Part(_, text) => text.is_empty() || visit(Shown::Text(&text)),
    })
}

/// What a message is made of.
enum Leaf<'a> {
    /// The header of an enclosed message.
    Header(String),
    /// A part that is not taken apart, as it was written.
    Part(&'a Part, String),
}

fn each_leaf(message: &[u8], part: &Part, visit: &mut dyn FnMut(Leaf<'_>) -> bool) -> bool {
    match &part.content {
        Content::Leaf => visit(Leaf::Part(part, marked_up(part, slice(message, part)))),
        Content::Multipart(children) => children.iter().all(|child| each_leaf(message, child, visit)),
        Content::Message(nested) => {
            let header = usize_range(message, nested.part.header.start, nested.part.header.end);
            let header: Cow<'_, str> = guess(header);
            (header.is_empty() || visit(Leaf::Header(super::words(&header).into_owned())))
                && each_leaf(message, &nested.part, visit)
        }
    }
}

fn slice<'a>(message: &'a [u8], part: &Part) -> &'a [u8] {
    // An encoding nobody knows hides its text.
    if matches!(part.encoding, Encoding::Other(_)) {
        return &[];
    }
    usize_range(message, part.body.start, part.body.end)
}

fn usize_range(message: &[u8], start: u64, end: u64) -> &[u8] {
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    range.and_then(|(start, end)| message.get(start..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, summarize};

    fn texts(message: &str) -> Vec<String> {
        let summary = summarize(message.as_bytes(), &Limits::default());
        let mut out = Vec::new();
        each_text(message.as_bytes(), &summary.structure, &mut |text| {
            out.push(text.trim().to_owned());
            true
        });
        out
    }

    #[test]
    fn text_of_every_part() {
        let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            <p>gr=C3=BCn</p><script>no()</script>\r\n\
            --b\r\nContent-Type: application/pdf\r\n\r\nbinary\r\n\
            --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?inn=C3=A9r?=\r\n\r\nquoted\r\n\
            --b--\r\n";
        let found = texts(message);
        assert_eq!(
            found,
            vec!["gr\u{fc}n".to_owned(), "Subject: inn\u{e9}r".to_owned(), "quoted".to_owned()]
        );
    }

    /// RFC 8621 §4.4.1
    #[test]
    fn of_html_what_people_read_is_text() {
        let html = "<html><head><title>titled</title><style>p{color:red}</style><script>x()</script></head>\
            <body><!-- commented --><style>b{}</style><p class=\"marked\" title=\"hinted\">read<img alt=\"a &gt; b\"></p>";
        let message = format!("Content-Type: text/html\r\n\r\n{html}");
        assert_eq!(texts(&message), ["read"]);
        let summary = summarize(message.as_bytes(), &Limits::default());
        let mut all = Vec::new();
        each_shown(message.as_bytes(), &summary.structure, &mut |shown| {
            all.push(match shown {
                Shown::Text(text) => text.trim().to_owned(),
                Shown::Hint(hint) => format!("({hint})"),
            });
            true
        });
        assert_eq!(all, ["read", "(hinted)", "(a > b)"]);
    }

    #[test]
    fn a_visitor_that_has_enough_ends_it() {
        let message = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n";
        let summary = summarize(message, &Limits::default());
        let mut seen = 0;
        let all = each_text(message, &summary.structure, &mut |_| {
            seen += 1;
            false
        });
        assert!(!all && seen == 1);
    }
}
