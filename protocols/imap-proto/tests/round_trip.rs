//! What one side writes the other side reads as the same thing.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that can not go on says so

use std::num::NonZeroU32;

use godwit_imap_proto::command::{Body, FetchItem, Partial, Section, SectionText};
use godwit_imap_proto::mailbox::{utf7_decode, utf7_encode};
use godwit_imap_proto::render::{self, FetchWriter};
use godwit_imap_proto::sequence::SequenceSet;
use godwit_imap_proto::{Tag, parse};
use proptest::prelude::*;

fn command(arguments: &[u8]) -> Body {
    parse(&[b"a ", arguments].concat(), false).unwrap().body
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any string without NUL survives being written and read.
    #[test]
    fn strings(value in "[^\0]{0,60}") {
        let mut out = b"LOGIN x ".to_vec();
        render::astring(&mut out, value.as_bytes());
        let Body::Login(login) = command(&out) else { panic!() };
        prop_assert_eq!(login.password.expose(), value.as_bytes());
    }

    /// A string is quoted, a literal or an atom, and nothing ends it early.
    #[test]
    fn strings_can_not_be_broken_out_of(value in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut out = Vec::new();
        render::string(&mut out, &value);
        if out[0] == b'"' {
            prop_assert!(!out.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
        } else {
            let kept = value.iter().filter(|&&b| b != 0).count();
            let header = format!("{{{kept}}}\r\n");
            prop_assert!(out.starts_with(header.as_bytes()));
        }
    }

    #[test]
    fn mailbox_names(name in "[^\\x00-\\x1f\\x7f-\\x9f]{1,40}") {
        let wire = utf7_encode(&name);
        prop_assert!(wire.bytes().all(|b| matches!(b, 0x20..=0x7e)));
        prop_assert_eq!(utf7_decode(wire.as_bytes()), Some(name.clone()));
        for utf8 in [false, true] {
            let mut out = b"a DELETE ".to_vec();
            render::mailbox(&mut out, &name, utf8);
            let Body::Delete(read) = parse(&out, utf8).unwrap().body else { panic!() };
            prop_assert!(read.as_str() == name || name.eq_ignore_ascii_case("inbox"));
        }
    }

    /// Modified UTF-7 has one spelling per name.
    #[test]
    fn utf7_is_canonical(wire in "[ -~&+,-]{0,20}") {
        if let Some(name) = utf7_decode(wire.as_bytes()) {
            prop_assert_eq!(utf7_encode(&name), wire);
        }
    }

    #[test]
    fn sets(numbers in prop::collection::btree_set(1u32..5000, 1..200)) {
        let mut text = Vec::new();
        render::set(&mut text, numbers.iter().copied());
        let set = SequenceSet::from_text(std::str::from_utf8(&text).unwrap()).unwrap();
        let back: Vec<u32> = set.resolve(1).into_iter().flatten().collect();
        prop_assert_eq!(back, numbers.into_iter().collect::<Vec<_>>());
    }

    /// A section is echoed so that it reads as what was asked.
    #[test]
    fn sections(
        part in prop::collection::vec(1u32..100, 0..5),
        kind in 0..6,
        fields in prop::collection::vec("[A-Za-z-]{1,12}", 1..4),
        offset in prop::option::of(0u64..1_000_000),
    ) {
        let text = match kind {
            0 => SectionText::Header,
            1 => SectionText::Text,
            2 if !part.is_empty() => SectionText::Mime,
            3 => SectionText::HeaderFields(fields),
            4 => SectionText::HeaderFieldsNot(fields),
            _ => SectionText::Full,
        };
        let section = Section { part: part.into_iter().filter_map(NonZeroU32::new).collect(), text };
        let partial = offset.map(|offset| Partial { offset, length: 9 });
        let mut out = Vec::new();
        FetchWriter::begin(&mut out, 1).no_section(&section, partial);
        let echoed = std::str::from_utf8(&out).unwrap();
        let asked = echoed.strip_prefix("* 1 FETCH (").unwrap().strip_suffix(" NIL").unwrap();
        let asked = match offset {
            Some(offset) => asked.replace(&format!("<{offset}>"), &format!("<{offset}.9>")),
            None => asked.to_owned(),
        };
        let Body::Fetch(fetch) = command(format!("FETCH 1 {asked}").as_bytes()) else { panic!() };
        prop_assert_eq!(&fetch.items[..], &[FetchItem::BodySection { section, partial, peek: false }][..]);
    }

    /// A status line is one line, whatever is in its text.
    #[test]
    fn status_lines(text in any::<String>()) {
        let mut out = Vec::new();
        let tag = Tag::new(b"a1");
        render::status(&mut out, tag.as_ref(), render::Condition::No, None, &text);
        prop_assert_eq!(out.iter().filter(|&&b| b == b'\n' || b == b'\r' || b == 0).count(), 2);
        prop_assert!(out.ends_with(b"\r\n"));
    }
}
