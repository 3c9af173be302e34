//! The text of bodies, for search and previews.

use std::borrow::Cow;

use super::{charset, guess, html_to_text, transfer};
use crate::{Content, Encoding, Part};

/// The text of a part from its encoded body: decoded, in UTF-8, without markup. Empty for what is no text.
pub fn body_text(part: &Part, body: &[u8]) -> String {
    if part.content_type.kind != "text" {
        return String::new();
    }
    let decoded = transfer(&part.encoding, body);
    let text = match part.charset() {
        Some(label) => charset(label, &decoded),
        None => guess(&decoded),
    };
    match part.content_type.subtype.as_str() {
        "html" => html_to_text(&text),
        _ => text.into_owned(),
    }
}

/// Calls `visit` with the text of every text part of a message, enclosed messages' parts included, until it
/// returns false. `message` is the whole message, `part` its root or any part of it.
pub fn each_text(message: &[u8], part: &Part, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    match &part.content {
        Content::Leaf => {
            let text = body_text(part, slice(message, part));
            text.is_empty() || visit(&text)
        }
        Content::Multipart(children) => children.iter().all(|child| each_text(message, child, visit)),
        Content::Message(nested) => {
            let header = usize_range(message, nested.part.header.start, nested.part.header.end);
            let header: Cow<'_, str> = guess(header);
            (header.is_empty() || visit(&super::words(&header))) && each_text(message, &nested.part, visit)
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
