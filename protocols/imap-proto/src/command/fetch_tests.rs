//! FETCH and STORE: what the grammar takes and what it refuses.

use super::super::body;
use super::*;

fn fetch(text: &str) -> Fetch {
    match body(text) {
        Ok(Body::Fetch(fetch)) => fetch,
        other => panic!("{text}: {other:?}"),
    }
}

fn items(text: &str) -> Vec<FetchItem> {
    fetch(&format!("FETCH 1 {text}")).items
}

fn numbers(path: &[u32]) -> Vec<NonZeroU32> {
    path.iter().map(|&n| NonZeroU32::new(n).unwrap()).collect()
}

fn body_section(part: &[u32], text: SectionText, peek: bool) -> FetchItem {
    FetchItem::BodySection { section: Section { part: numbers(part), text }, partial: None, peek }
}

/// RFC 9051 §6.4.5
#[test]
fn example_of_the_rfc() {
    let f = fetch("FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])");
    assert_eq!(f.set, SequenceSet::from_text("2:4").unwrap());
    let fields = SectionText::HeaderFields(vec!["DATE".into(), "FROM".into()]);
    assert_eq!(f.items, [FetchItem::Flags, body_section(&[], fields, false)]);
}

#[test]
fn words_and_macros() {
    for (word, item) in WORDS {
        assert_eq!(items(&word.to_ascii_lowercase()), [item]);
    }
    assert_eq!(items("BODY"), [FetchItem::Body]);
    assert_eq!(items("FAST"), [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size]);
    assert_eq!(items("all").len(), 4);
    assert_eq!(items("FULL").last(), Some(&FetchItem::Body));
    assert_eq!(items("(FLAGS flags FLAGS)"), [FetchItem::Flags]);
    assert_eq!(items("PREVIEW"), [FetchItem::Preview { lazy: false }]); // RFC 8970 §3.1
    assert_eq!(items("(PREVIEW (LAZY) UID)"), [FetchItem::Preview { lazy: true }, FetchItem::Uid]);
    assert_eq!(items("(PREVIEW UID)").len(), 2);
}

/// RFC 9051 §6.4.5.1
#[test]
fn sections() {
    assert_eq!(items("BODY[]"), [body_section(&[], SectionText::Full, false)]);
    assert_eq!(items("BODY.PEEK[HEADER]"), [body_section(&[], SectionText::Header, true)]);
    assert_eq!(items("BODY[TEXT]"), [body_section(&[], SectionText::Text, false)]);
    assert_eq!(items("BODY[1]"), [body_section(&[1], SectionText::Full, false)]);
    assert_eq!(items("body[4.2.2.1]"), [body_section(&[4, 2, 2, 1], SectionText::Full, false)]);
    assert_eq!(items("BODY[4.2.MIME]"), [body_section(&[4, 2], SectionText::Mime, false)]);
    assert_eq!(items("BODY[3.TEXT]"), [body_section(&[3], SectionText::Text, false)]);
    let not = SectionText::HeaderFieldsNot(vec!["Received".into(), "x y".into()]);
    assert_eq!(items("BODY[3.HEADER.FIELDS.NOT (Received \"x y\")]"), [body_section(&[3], not, false)]);
}

#[test]
fn partials() {
    let partial = Some(Partial { offset: 0, length: 2048 });
    let section = Section::default();
    assert_eq!(items("BODY[]<0.2048>"), [FetchItem::BodySection { section, partial, peek: false }]);
    // RFC 9051 §9: both are number64
    assert!(
        matches!(&items("BODY.PEEK[TEXT]<5000000000.9000000000>")[0], FetchItem::BodySection { partial: Some(p), .. } if p.offset == 5_000_000_000)
    );
}

/// RFC 3516 §4.2
#[test]
fn binary() {
    let part = numbers(&[1, 2]);
    assert_eq!(items("BINARY[1.2]"), [FetchItem::Binary { part: part.clone(), partial: None, peek: false }]);
    let partial = Some(Partial { offset: 1, length: 2 });
    assert_eq!(
        items("BINARY.PEEK[1.2]<1.2>"),
        [FetchItem::Binary { part: part.clone(), partial, peek: true }]
    );
    assert_eq!(items("BINARY.SIZE[1.2]"), [FetchItem::BinarySize { part }]);
    assert_eq!(items("BINARY[]"), [FetchItem::Binary { part: vec![], partial: None, peek: false }]);
}

#[test]
fn seen() {
    let seen: Vec<bool> =
        items("(BODY[] BODY.PEEK[] RFC822 RFC822.TEXT RFC822.HEADER BINARY[1] BINARY.PEEK[1] FLAGS BODY)")
            .iter()
            .map(FetchItem::sets_seen)
            .collect();
    assert_eq!(seen, [true, false, true, true, false, true, false, false, false]);
}

/// RFC 9051 §6.4.9; RFC 7162 §3.1.4.1, §3.2.6.
#[test]
fn uid_and_modifiers() {
    assert_eq!(fetch("UID FETCH 1:* FLAGS").items, [FetchItem::Uid, FetchItem::Flags]);
    assert_eq!(fetch("UID FETCH 1:* (FLAGS UID)").items, [FetchItem::Flags, FetchItem::Uid]);
    let f = fetch("FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)");
    assert_eq!((f.changed_since, f.vanished, f.items.len()), (Some(12_345), false, 2));
    let f = fetch("UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)");
    assert!(f.vanished);
    assert_eq!(f.items.last(), Some(&FetchItem::ModSeq));
}

#[test]
fn refused() {
    for bad in [
        "FETCH 1",
        "FETCH 1 ",
        "FETCH 1 ()",
        "FETCH 1 (ALL)",
        "FETCH 1 FOO",
        "FETCH 1 FLAGS UID",
        "FETCH 1 (FLAGS",
        "FETCH 1 BODY[",
        "FETCH 1 BODY[1.]",
        "FETCH 1 BODY[0]",
        "FETCH 1 BODY[MIME]",
        "FETCH 1 BODY[1.FOO]",
        "FETCH 1 BODY[HEADER.FIELDS ()]",
        "FETCH 1 BODY[HEADER.FIELDS]",
        "FETCH 1 BODY[]<0>",
        "FETCH 1 BODY[]<0.0>",
        "FETCH 1 BODY[]<-1.2>",
        "FETCH 1 BINARY[TEXT]",
        "FETCH 1 BINARY[1.]",
        "FETCH 1 PREVIEW (FOO)",
        "FETCH 1 FLAGS (CHANGEDSINCE)",
        "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
        "UID FETCH 1 FLAGS (VANISHED)",
        "FETCH 1:x FLAGS",
    ] {
        assert!(body(bad).is_err(), "{bad}");
    }
}

#[test]
fn depth_and_number_are_bounded() {
    let deep = format!("FETCH 1 BODY[{}1]", "1.".repeat(5000));
    assert!(matches!(body(&deep), Err(Problem::Limit(_))));
    let many = format!("FETCH 1 ({} UID)", vec!["FLAGS"; 300].join(" "));
    assert!(matches!(body(&many), Err(Problem::Limit(_))));
    for (names, fits) in [(limits::FIELD_NAMES, true), (limits::FIELD_NAMES + 1, false)] {
        for kind in ["FIELDS", "FIELDS.NOT"] {
            let fields = format!("FETCH 1 BODY[HEADER.{kind} ({})]", vec!["a"; names].join(" "));
            assert_eq!(body(&fields).is_ok(), fits, "{kind} {names}");
        }
    }
}
