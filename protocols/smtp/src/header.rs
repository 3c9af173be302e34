//! What a session must know of a message while it streams by: hops, loops, what a submitted message lacks, and
//! whether it is more than ASCII. The header is not parsed beyond field names.

use memchr::memchr;

/// What the header of a message has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderFacts {
    /// How many Received fields.
    pub received: usize,
    /// The values of Delivered-To fields, trimmed; at most 64.
    pub delivered_to: Vec<String>,
    /// Whether there is a Date.
    pub has_date: bool,
    /// Whether there is a Message-ID.
    pub has_message_id: bool,
    /// Whether a machine or a list has sent it, so that no machine answers (RFC 3834 §2).
    pub automatic: bool,
    /// Whether the header has octets over 127.
    pub header_8bit: bool,
    /// Whether what follows it has.
    pub body_8bit: bool,
}

/// Delivered-To fields that are kept.
const DELIVERED_TO: usize = 64;

/// Octets of a line that are looked at.
const LINE: usize = 998;

/// Looks at a header as it streams by.
#[derive(Debug, Default)]
pub(crate) struct HeaderScan {
    facts: HeaderFacts,
    line: Vec<u8>,
    ended: bool,
}

impl HeaderScan {
    /// Whether the header is over.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// What is known so far.
    pub(crate) fn facts(&self) -> &HeaderFacts {
        &self.facts
    }

    /// Looks at the next octets of the message.
    pub(crate) fn look(&mut self, mut octets: &[u8]) {
        while !self.ended && !octets.is_empty() {
            let end = memchr(b'\n', octets).map_or(octets.len(), |lf| lf + 1);
            let (piece, rest) = octets.split_at(end);
            self.facts.header_8bit |= !piece.is_ascii();
            let room = LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
            octets = rest;
        }
        self.facts.body_8bit |= !octets.is_ascii();
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = line.trim_ascii_end();
        if text.is_empty() {
            self.ended = true;
            return;
        }
        // A folded line goes on with the field before it (RFC 5322 §2.2.3).
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            match memchr(b':', text) {
                Some(colon) => self.field(text[..colon].trim_ascii_end(), &text[colon + 1..]),
                // What is no field is the body's first line, the empty line left out.
                None => self.ended = true,
            }
        }
        self.line = line;
        self.line.clear();
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        let facts = &mut self.facts;
        match name.first().map(u8::to_ascii_lowercase) {
            Some(b'r') if is("Received") => facts.received += 1,
            Some(b'd') if is("Date") => facts.has_date = true,
            Some(b'd') if is("Delivered-To") && facts.delivered_to.len() < DELIVERED_TO => {
                facts.delivered_to.push(String::from_utf8_lossy(value.trim_ascii()).into_owned());
            }
            Some(b'm') if is("Message-ID") => facts.has_message_id = true,
            Some(b'a') if is("Auto-Submitted") => facts.automatic |= !begins(value, "no"),
            Some(b'p') if is("Precedence") => {
                facts.automatic |= ["bulk", "junk", "list"].iter().any(|one| begins(value, one));
            }
            Some(b'l') if name.len() > 5 && name[..5].eq_ignore_ascii_case(b"list-") => {
                facts.automatic = true;
            }
            _ => {}
        }
    }
}

/// Whether a value is this word, whatever follows it.
fn begins(value: &[u8], word: &str) -> bool {
    let value = value.trim_ascii_start();
    let end = value.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'-').unwrap_or(value.len());
    value[..end].eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3834 §2
    #[test]
    fn machines_and_lists_are_seen() {
        for (header, automatic) in [
            ("Auto-Submitted: auto-replied", true),
            ("auto-submitted: No (really)", false),
            ("List-Id: <a.example.org>", true),
            ("Precedence: bulk", true),
            ("Precedence: first-class", false),
            ("Listing: x", false),
            ("Subject: list-id: x", false),
        ] {
            let mut scan = HeaderScan::default();
            scan.look(format!("{header}\r\n\r\n").as_bytes());
            assert_eq!(scan.facts().automatic, automatic, "{header}");
        }
    }
    use proptest::prelude::*;

    fn scan(message: &[u8], step: usize) -> HeaderScan {
        let mut scan = HeaderScan::default();
        message.chunks(step).for_each(|piece| scan.look(piece));
        scan
    }

    const MESSAGE: &[u8] = b"Received: a\r\n b\r\nreceived : c\r\nDelivered-To:  a@b \r\nDATE: x\r\n\
        Message-Id:\r\nFrom: a\r\n\r\nReceived: no\r\n";

    #[test]
    fn known_answers() {
        for step in 1..40 {
            let scan = scan(MESSAGE, step);
            assert!(scan.ended());
            let facts = scan.facts();
            assert_eq!(facts.received, 2);
            assert!(facts.has_date && facts.has_message_id);
            assert_eq!(facts.delivered_to, ["a@b"]);
        }
    }

    #[test]
    fn octets_over_127_are_found_on_both_sides_of_the_empty_line() {
        for step in 1..20 {
            let eight = |message: &str| {
                let scan = scan(message.as_bytes(), step);
                (scan.facts().header_8bit, scan.facts().body_8bit)
            };
            assert_eq!(eight("Subject: u\r\n\r\nu\r\n"), (false, false));
            assert_eq!(eight("Subject: \u{fc}\r\n\r\nu\r\n"), (true, false));
            assert_eq!(eight("Subject: u\r\n\r\nu\r\n\u{fc}"), (false, true));
        }
    }

    #[test]
    fn the_header_ends_where_the_fields_end() {
        assert!(scan(b"Subject: x\r\nno field\r\nReceived: a\r\n", 7).facts().received == 0);
        assert!(!scan(b"Subject: x\r\n", 3).ended());
        assert!(scan(b"\r\n", 1).ended());
    }

    #[test]
    fn a_flood_costs_no_memory() {
        let message = b"Delivered-To: a\r\n".repeat(1000);
        assert_eq!(scan(&message, 100).facts().delivered_to.len(), DELIVERED_TO);
        let line = [b"Delivered-To: ".to_vec(), vec![b'x'; 1 << 20], b"\r\n\r\n".to_vec()].concat();
        assert!(scan(&line, 4096).facts().delivered_to[0].len() <= LINE);
    }

    proptest! {
        #[test]
        fn never_panics(message in proptest::collection::vec(prop::sample::select(b"ad:\r\n \0\xfc".to_vec()), 0..60)) {
            let (whole, octets) = (scan(&message, 100), scan(&message, 1));
            prop_assert_eq!(octets.facts(), whole.facts());
        }
    }
}
