//! Header fields as they are written (RFC 5322 §2.2, §3): folded, in ASCII wherever a form for it exists.

use super::words;
use crate::address::{quote, quote_local};
use crate::date;

/// The longest line that RFC 5322 §2.1.1 wants to see, without its line end.
const LINE: usize = 78;

/// The longest line that RFC 5322 §2.1.1 allows.
const LINE_MAX: usize = 998;

/// Somebody in a list of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The display name.
    pub name: Option<String>,
    /// `local@domain`.
    pub email: String,
}

/// An entry of a list of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// One address.
    Person(Person),
    /// A named group (RFC 5322 §3.4), possibly empty.
    Group(String, Vec<Person>),
}

/// A field that is being written: pieces that are kept together, each on the line if it fits there.
pub(super) struct Lines {
    out: String,
    column: usize,
    first: bool,
}

impl Lines {
    pub(super) fn begin(name: &str) -> Self {
        Lines { out: format!("{name}:"), column: name.len() + 1, first: true }
    }

    /// A piece, behind a blank.
    pub(super) fn piece(&mut self, piece: &str) {
        if !self.first && self.column + 1 + piece.len() > LINE {
            self.out.push_str("\r\n");
            self.column = 0;
        }
        self.out.push(' ');
        self.out.push_str(piece);
        (self.column, self.first) = (self.column + 1 + piece.len(), false);
    }

    pub(super) fn end(mut self) -> String {
        self.out.push_str("\r\n");
        self.out
    }
}

/// A field of text (RFC 5322 §3.6.5); what is not ASCII becomes encoded words (RFC 2047). Control characters are blanks.
pub fn text(name: &str, text: &str) -> String {
    let mut lines = Lines::begin(name);
    words::text(text).iter().for_each(|piece| lines.piece(piece));
    lines.end()
}

/// A field of addresses; none if what stands for an address cannot be one. An address that is not ASCII stays as it is
/// (RFC 6532 §3.2).
pub fn addresses(name: &str, list: &[Entry]) -> Option<String> {
    let mut lines = Lines::begin(name);
    for (index, entry) in list.iter().enumerate() {
        let end = if index + 1 < list.len() { "," } else { "" };
        match entry {
            Entry::Person(one) => person(one, end, &mut lines)?,
            Entry::Group(group, members) => {
                let mut pieces = words::phrase(group);
                let last = pieces.last_mut()?;
                last.push_str(if members.is_empty() { ":;" } else { ":" });
                if members.is_empty() {
                    last.push_str(end);
                }
                pieces.iter().for_each(|piece| lines.piece(piece));
                for (index, member) in members.iter().enumerate() {
                    let closing = format!(";{end}");
                    person(member, if index + 1 < members.len() { "," } else { &closing }, &mut lines)?;
                }
            }
        }
    }
    Some(lines.end())
}

fn person(person: &Person, end: &str, lines: &mut Lines) -> Option<()> {
    let email = address(&person.email)?;
    match person.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        None => lines.piece(&format!("{email}{end}")),
        Some(name) => {
            words::phrase(name).iter().for_each(|piece| lines.piece(piece));
            lines.piece(&format!("<{email}>{end}"));
        }
    }
    Some(())
}

/// An address that can stand in a field, its local part quoted where it must be.
fn address(email: &str) -> Option<String> {
    let email = email.trim();
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let local = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
        // What would have to be quoted is more likely two addresses than a local part of old.
        None if local.contains(|c: char| c.is_whitespace() || "<>()[]:;@\\,\"".contains(c)) => return None,
        None => local.to_owned(),
    };
    let domain_fits = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()\",;\\@".contains(c);
    let fits = !local.is_empty() && !local.chars().any(char::is_control) && domain.chars().all(domain_fits);
    // Room for a bracket and a comma on the longest line.
    let short = local.len() <= LINE_MAX / 4 && domain.len() <= LINE_MAX / 4;
    let local = Some(quote_local(&local)).filter(|_| fits && short)?;
    Some(if domain.is_empty() { local } else { format!("{local}@{domain}") })
}

/// A field of message ids, given without angle brackets (RFC 5322 §3.6.4).
pub fn ids(name: &str, ids: &[String]) -> String {
    let mut lines = Lines::begin(name);
    ids.iter().for_each(|id| lines.piece(&format!("<{id}>")));
    lines.end()
}

/// A field of URLs (RFC 2369 §2), each of at most [`LINE_MAX`] octets.
pub fn urls(name: &str, urls: &[String]) -> String {
    let mut lines = Lines::begin(name);
    for (index, url) in urls.iter().enumerate() {
        lines.piece(&format!("<{url}>{}", if index + 1 < urls.len() { "," } else { "" }));
    }
    lines.end()
}

/// A field of a date: seconds since the epoch, and the zone in minutes ahead of UTC.
pub fn date(name: &str, seconds: i64, offset: i16) -> String {
    format!("{name}: {}\r\n", date::rfc5322_in(seconds, offset))
}

/// A field as it is given (RFC 8621 §4.1.2.1): from behind the colon up to the line end, folds within. None for what would
/// be no field: octets that are not ASCII, a line end that is no fold, a line that is empty or too long.
pub fn raw(name: &str, value: &str) -> Option<String> {
    let allowed = |b: u8| matches!(b, b'\t' | b' '..=b'~');
    let mut lines = value.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let folds =
        lines.all(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty() && line.len() <= LINE_MAX);
    let fits = value.split("\r\n").all(|line| line.bytes().all(allowed));
    if !folds || !fits || name.len() + 1 + first.len() > LINE_MAX {
        return None;
    }
    let blank = if first.is_empty() || first.starts_with([' ', '\t']) { "" } else { " " };
    Some(format!("{name}:{blank}{value}\r\n"))
}

/// A display name that is ASCII.
pub(super) fn quoted(name: &str) -> String {
    quote(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{mailboxes, parse_list};
    use crate::decode;

    fn one(name: Option<&str>, email: &str) -> Entry {
        Entry::Person(Person { name: name.map(str::to_owned), email: email.to_owned() })
    }

    /// The name and the address that a reader finds.
    fn read(field: &str) -> Vec<(Option<String>, String)> {
        let field = crate::headers::fields(field.as_bytes()).next().unwrap().text();
        let list = parse_list(&field, 100);
        mailboxes(&list)
            .map(|one| (one.name.as_deref().map(|name| decode::words(name).into_owned()), one.address()))
            .collect()
    }

    #[test]
    fn addresses_are_read_back() {
        for (name, email) in [
            (None, "a@example.com"),
            (Some("Joe Q. Public"), "joe@example.com"),
            (Some("O'Neil, \"Sam\" \\o/"), "sam@example.com"),
            (
                Some(
                    "J\u{f6}rg M\u{fc}ller von und zu Irgendwo in den tiefen W\u{e4}ldern, mit sehr langem Namen",
                ),
                "j@example.com",
            ),
            (Some("a =?utf-8?q?b?= c"), "x@example.com"),
            (None, "\"two words\"@example.com"),
            (Some("\u{7530}\u{4e2d}"), "\u{7530}@example.com"),
        ] {
            let field = addresses("To", &[one(name, email), one(None, "z@example.com")]).unwrap();
            assert!(field.lines().all(|line| line.len() <= LINE), "{field}");
            assert_eq!(read(&field)[0], (name.map(str::to_owned), email.to_owned()), "{field}");
        }
        for bad in ["", "a@b@c d", "a\r\nBcc: x@y", "a@b>", "a@b,c@d", "@b"] {
            assert_eq!(addresses("To", &[one(None, bad)]), None, "{bad:?}");
        }
        let many: Vec<Entry> =
            (0..50).map(|n| one(Some("Somebody"), &format!("user{n}@example.com"))).collect();
        let field = addresses("Cc", &many).unwrap();
        assert!(field.lines().all(|line| line.len() <= LINE));
        assert_eq!(read(&field).len(), 50);
    }

    #[test]
    fn groups_are_written() {
        let members = vec![
            Person { name: None, email: "a@b".into() },
            Person { name: Some("C".into()), email: "c@d".into() },
        ];
        let list = [
            Entry::Group("My friends".into(), members),
            Entry::Group("None".into(), Vec::new()),
            one(None, "e@f"),
        ];
        assert_eq!(
            addresses("To", &list).unwrap(),
            "To: My friends: a@b, C <c@d>; , None:;, e@f\r\n".replace("; ,", ";,")
        );
    }

    #[test]
    fn raw_values_stay_within_their_field() {
        assert_eq!(raw("X", " a\r\n b").as_deref(), Some("X: a\r\n b\r\n"));
        assert_eq!(raw("X", "a").as_deref(), Some("X: a\r\n"));
        for bad in ["a\r\nBcc: b", "a\nb", "a\r\n", "a\r\n  ", "\u{e4}", "a\rb", "a\0"] {
            assert_eq!(raw("X", bad), None, "{bad:?}");
        }
        assert_eq!(raw("X", &"y".repeat(1000)), None);
    }

    #[test]
    fn ids_and_urls() {
        let some = ["a@b".to_owned(), "c@d".to_owned()];
        assert_eq!(ids("References", &some), "References: <a@b> <c@d>\r\n");
        assert_eq!(urls("List-Post", &some), "List-Post: <a@b>, <c@d>\r\n");
        assert_eq!(date("Date", 0, 90), "Date: Thu, 01 Jan 1970 01:30:00 +0130\r\n");
    }
}
