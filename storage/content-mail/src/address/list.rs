//! Address lists of header fields, read in one pass from left to right.

use super::{Address, Mailbox};

/// The addresses of an unfolded field value, at most `max` of them; never fails.
pub fn parse_list(value: &str, max: usize) -> Vec<Address> {
    let mut reader = Reader { text: value, at: 0 };
    let mut list = List { out: Vec::new(), group: None, left: max };
    while list.left > 0 && reader.at < value.len() {
        let entry = reader.entry(list.group.is_some());
        list.add(entry);
    }
    list.end_group();
    list.out
}

struct List {
    out: Vec<Address>,
    group: Option<(String, Vec<Mailbox>)>,
    left: usize,
}

impl List {
    fn add(&mut self, entry: Entry) {
        if let Some(mailbox) = entry.mailbox {
            self.left -= 1;
            match &mut self.group {
                Some((_, members)) => members.push(mailbox),
                None => self.out.push(Address::Mailbox(mailbox)),
            }
        }
        match entry.end {
            End::Group(name) => self.group = Some((name, Vec::new())),
            End::Semicolon => self.end_group(),
            End::Comma => {}
        }
    }

    fn end_group(&mut self) {
        if let Some((name, members)) = self.group.take() {
            self.left = self.left.saturating_sub(1);
            self.out.push(Address::Group { name, members });
        }
    }
}

/// What stands between two commas.
struct Entry {
    mailbox: Option<Mailbox>,
    end: End,
}

enum End {
    /// A comma, or the end of the text.
    Comma,
    /// The colon behind a group's name.
    Group(String),
    /// The end of a group.
    Semicolon,
}

/// A word of a phrase or of an address.
#[derive(Default)]
struct Words {
    text: String,
    /// Where the last word begins: "Ann ann@x" has a name although its brackets are missing.
    last: usize,
    blank: bool,
}

impl Words {
    fn push(&mut self, word: &str) {
        if self.blank && !self.text.is_empty() {
            self.text.push(' ');
            self.last = self.text.len();
        }
        self.blank = false;
        self.text.push_str(word);
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Reads up to and over the next comma, semicolon, or group colon.
    fn entry(&mut self, in_group: bool) -> Entry {
        let mut words = Words::default();
        let (mut comment, mut angled) = (None, false);
        let mut mailbox: Option<Mailbox> = None;
        let end = loop {
            match self.peek() {
                None => break End::Comma,
                Some(b',') => break self.skip(End::Comma),
                Some(b';') => break self.skip(End::Semicolon),
                Some(b':') if !in_group && mailbox.is_none() => {
                    break self.skip(End::Group(std::mem::take(&mut words.text)));
                }
                Some(b'<') if !angled => {
                    angled = true;
                    let angle = self.angle();
                    // "a@b <c@d>": what looked like the address is the name of the one in brackets.
                    let name = mailbox.map_or_else(|| std::mem::take(&mut words.text), |name| name.address());
                    mailbox = Some(Mailbox { name: (!name.is_empty()).then_some(name), ..angle });
                }
                Some(b'@') if mailbox.is_none() => {
                    self.at += 1;
                    mailbox = Some(bare(std::mem::take(&mut words), self.domain(b"<>,;:\"")));
                }
                Some(b'(') => {
                    comment = Some(self.comment());
                    words.blank = true;
                }
                Some(b' ' | b'\t') => {
                    self.at += 1;
                    words.blank = true;
                }
                Some(b'"') => words.push(&self.quoted()),
                Some(_) => words.push(self.atom(b" \t\"(<>@,;:")),
            }
        };
        if mailbox.is_none() && !words.text.is_empty() {
            mailbox = Some(Mailbox { local: words.text, ..Mailbox::default() });
        }
        if let Some(mailbox) = mailbox.as_mut().filter(|mailbox| mailbox.name.is_none()) {
            mailbox.name = comment.filter(|comment| !comment.is_empty());
        }
        Entry { mailbox, end }
    }

    fn skip(&mut self, end: End) -> End {
        self.at += 1;
        end
    }

    /// Characters up to the next of `stops`; at least one, so that reading always goes on.
    fn atom(&mut self, stops: &[u8]) -> &'a str {
        let rest = &self.text[self.at..];
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest.bytes().skip(first).position(|b| stops.contains(&b)).map_or(rest.len(), |n| n + first);
        self.at += end;
        &rest[..end]
    }

    /// A quoted string without its quotes.
    fn quoted(&mut self) -> String {
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return out;
                }
                '\\' => out.extend(chars.next().map(|(_, c)| c)),
                c => out.push(c),
            }
        }
        self.at = self.text.len();
        out
    }

    /// A comment with all that is nested in it, without the outer parentheses.
    fn comment(&mut self) -> String {
        let mut out = String::new();
        let mut depth = 0_usize;
        let mut chars = self.text[self.at..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '(' if depth > 0 => out.push(c),
                ')' if depth > 1 => out.push(c),
                ')' => {
                    self.at += at + 1;
                    return out.trim().to_owned();
                }
                '(' => {}
                '\\' => out.extend(chars.next().map(|(_, c)| c)),
                c => out.push(c),
            }
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
        }
        self.at = self.text.len();
        out.trim().to_owned()
    }

    /// `<[route:] local@domain>`; what is missing at its end is taken to be there.
    fn angle(&mut self) -> Mailbox {
        self.at += 1;
        let route = self.route();
        let mut local = Words::default();
        let mut domain = String::new();
        loop {
            match self.peek() {
                None => break,
                Some(b'>') => {
                    self.at += 1;
                    break;
                }
                Some(b'@') => {
                    self.at += 1;
                    if !domain.is_empty() {
                        local.push("@");
                        local.push(&domain);
                    }
                    domain = self.domain(b"<>,;:\"@");
                }
                Some(b'(') => drop(self.comment()),
                Some(b' ' | b'\t') => {
                    self.at += 1;
                    local.blank = true;
                }
                Some(b'"') => local.push(&self.quoted()),
                Some(_) => local.push(self.atom(b" \t\"(>@")),
            }
        }
        Mailbox { name: None, route, local: local.text, domain }
    }

    /// `@a,@b:` (RFC 5322 §4.4 obs-route).
    fn route(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let rest = rest.trim_start_matches([' ', '\t']);
        let end = rest.find([':', '>', '"', '('])?;
        let found = rest.starts_with('@') && rest[end..].starts_with(':');
        found.then(|| {
            self.at = self.text.len() - rest.len() + end + 1;
            rest[..end].chars().filter(|c| !c.is_whitespace()).collect()
        })
    }

    /// A domain, blanks and comments in it left out (RFC 5322 §4.4 obs-domain).
    fn domain(&mut self, stops: &[u8]) -> String {
        let mut out = String::new();
        let mut blank = false;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => {
                    self.at += 1;
                    blank = true;
                }
                b'(' if !out.is_empty() && !out.ends_with('.') => break,
                b'(' => drop(self.comment()),
                b'[' => out.push_str(self.literal()),
                byte if stops.contains(&byte) => break,
                // "a@x . y" is one domain, "a@x y" is not.
                byte if blank && byte != b'.' && !out.is_empty() && !out.ends_with('.') => break,
                _ => {
                    blank = false;
                    out.push_str(self.atom(b" \t([<>,;:\"@"));
                }
            }
        }
        out
    }

    fn literal(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end =
            rest.find([']', '>', ',']).map_or(rest.len(), |n| n + usize::from(rest[n..].starts_with(']')));
        self.at += end;
        &rest[..end]
    }
}

/// An address without brackets: its last word is the local part, what stands before it is its name. Dots
/// tie words together (RFC 5322 §4.4 obs-local-part).
fn bare(mut words: Words, domain: String) -> Mailbox {
    if words.last > 0
        && (words.text[..words.last].ends_with(". ") || words.text[words.last..].starts_with('.'))
    {
        words.text.retain(|c| c != ' ');
        words.last = 0;
    }
    let local = words.text.split_off(words.last);
    let name = words.text.trim_end();
    Mailbox { name: (!name.is_empty()).then(|| name.to_owned()), route: None, local, domain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(name: &str, local: &str, domain: &str) -> Mailbox {
        let name = (!name.is_empty()).then(|| name.to_owned());
        Mailbox { name, route: None, local: local.into(), domain: domain.into() }
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, &str)]) {
        let expected: Vec<Address> =
            expected.iter().map(|(n, l, d)| Address::Mailbox(mailbox(n, l, d))).collect();
        assert_eq!(parse_list(text, 100), expected, "{text}");
    }

    #[test]
    fn rfc_5322_appendix_a_1() {
        check("John Doe <jdoe@machine.example>", &[("John Doe", "jdoe", "machine.example")]);
        check(
            "\"Joe Q. Public\" <john.q.public@example.com>",
            &[("Joe Q. Public", "john.q.public", "example.com")],
        );
        check(
            "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            &[("Mary Smith", "mary", "x.test"), ("", "jdoe", "example.org"), ("Who?", "one", "y.test")],
        );
        check(
            "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
            &[("", "boss", "nil.test"), ("Giant; \"Big\" Box", "sysservices", "example.net")],
        );
    }

    #[test]
    fn rfc_5322_appendix_a_1_3_groups() {
        let list = parse_list("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;", 100);
        let members = vec![
            mailbox("Ed Jones", "c", "a.test"),
            mailbox("", "joe", "where.test"),
            mailbox("John", "jdoe", "one.test"),
        ];
        assert_eq!(list, vec![Address::Group { name: "A Group".into(), members }]);
        let list = parse_list("Undisclosed recipients:;", 100);
        assert_eq!(list, vec![Address::Group { name: "Undisclosed recipients".into(), members: vec![] }]);
        assert_eq!(parse_list("open: a@x", 9).len(), 1);
    }

    #[test]
    fn rfc_5322_appendix_a_5_comments() {
        check(
            "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            &[("Pete", "pete", "silly.test")],
        );
        check("Chris Jones <c@(Chris's host.)public.example>", &[("Chris Jones", "c", "public.example")]);
        check("jdoe@example.org (Joe (the) Doe)", &[("Joe (the) Doe", "jdoe", "example.org")]);
    }

    #[test]
    fn rfc_5322_appendix_a_6_obsolete_forms() {
        check(
            "Joe Q. Public <john.q.public@example.com>",
            &[("Joe Q. Public", "john.q.public", "example.com")],
        );
        check("jdoe@test   . example", &[("", "jdoe", "test.example")]);
        check(", ,a@x,,b@y,", &[("", "a", "x"), ("", "b", "y")]);
        let list = parse_list("Mary <@node.test,@other.test:mary@example.net>", 9);
        let expected = Mailbox {
            route: Some("@node.test,@other.test".into()),
            ..mailbox("Mary", "mary", "example.net")
        };
        assert_eq!(list, vec![Address::Mailbox(expected)]);
    }

    #[test]
    fn internationalized() {
        check("J\u{f6}rg <j\u{f6}rg@b\u{fc}cher.test>", &[("J\u{f6}rg", "j\u{f6}rg", "b\u{fc}cher.test")]);
        check("=?utf-8?q?J=C3=B6rg?= <a@x>", &[("=?utf-8?q?J=C3=B6rg?=", "a", "x")]);
    }

    #[test]
    fn as_they_are_really_sent() {
        check("Ann ann@x.test", &[("Ann", "ann", "x.test")]);
        check("Ann <ann@x.test", &[("Ann", "ann", "x.test")]);
        check("ann", &[("", "ann", "")]);
        check("<>", &[("", "", "")]);
        check("\"a@b\" <c@d>", &[("a@b", "c", "d")]);
        check("a@b <c@d>", &[("a@b", "c", "d")]);
        check("\"quoted local\"@x", &[("", "quoted local", "x")]);
        check("a@[192.0.2.1], b@y", &[("", "a", "[192.0.2.1]"), ("", "b", "y")]);
        check("Ann <ann@x> trailing, b@y", &[("Ann", "ann", "x"), ("", "b", "y")]);
        check("Ann <a@b@x>", &[("Ann", "a@b", "x")]);
    }

    #[test]
    fn hostile_lists_take_linear_time_and_stop() {
        let deep = "(".repeat(200_000);
        assert_eq!(parse_list(&deep, 10), vec![]);
        assert_eq!(parse_list(&"a@x,".repeat(100_000), 10).len(), 10);
        assert_eq!(parse_list(&"a:;".repeat(100_000), 10).len(), 10);
        assert_eq!(parse_list(&"<".repeat(100_000), 10).len(), 1);
        assert_eq!(parse_list(&"@".repeat(100_000), 10).len(), 1);
        assert!(parse_list("", 10).is_empty());
    }
}
