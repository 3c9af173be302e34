//! What holds for every message: nothing panics, chunks do not matter, ranges nest, sections agree; and on
//! ordinary messages another parser sees the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use content_mail::{
    Content, Limits, Part, Section, Summarizer, Summary, address, decode, headers, subject, summarize,
};
use godwit_content_mail as content_mail;
use mail_parser::MessageParser;
use proptest::prelude::*;

/// Lines that mean something to the scanner, so that random messages have structure.
const LINES: &[&str] = &[
    "",
    "",
    "--a",
    "--a--",
    "--b",
    "--b--",
    "--ab",
    "--ab-- ",
    "--a-",
    "text",
    " folded",
    "\t",
    "From x Mon",
    "Content-Type: multipart/mixed; boundary=a",
    "Content-Type: multipart/digest; boundary=\"b\"",
    "Content-Type: multipart/alternative;",
    " boundary*0=a; boundary*1=b",
    "Content-Type: message/rfc822",
    "Content-Type: text/html; charset=iso-8859-1",
    "Content-Transfer-Encoding: base64",
    "Content-Transfer-Encoding: quoted-printable",
    "Content-Disposition: attachment; filename*=utf-8''%e2%82",
    "Subject: Re: [x] =?utf-8?q?=e2=82?= =?utf-8?b?rA==?=",
    "From: group: a@b, \"c (d\" <e@f>;",
    "Date: Fri, 21 Nov 1997 09:55:06 -0600",
    "References: <a@b> <c@d>",
    "=C3=BC=",
    "SGVsbG8=",
    "gr\u{fc}n",
];

fn message() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        8 => prop::sample::select(LINES).prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    let ending = prop::sample::select(&["\r\n", "\r\n", "\n", "\r", ""][..]);
    prop::collection::vec((line, ending), 0..40)
        .prop_map(|lines| lines.into_iter().flat_map(|(l, e)| [l, e.as_bytes().to_vec()].concat()).collect())
}

fn chunked(message: &[u8], sizes: &[usize], limits: &Limits) -> Summary {
    let mut summarizer = Summarizer::new(limits.clone());
    let (mut rest, mut sizes) = (message, sizes.iter().cycle());
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(sizes.next().copied().unwrap_or(1).clamp(1, rest.len()));
        summarizer.push(chunk);
        rest = after;
    }
    summarizer.finish()
}

/// Everything a part holds lies inside it, in order.
fn check_nesting(part: &Part, within: &std::ops::Range<u64>) {
    assert!(within.start <= part.header.start && part.header.start <= part.header.end, "{part:?}");
    assert!(part.header.end == part.body.start && part.body.start <= part.body.end, "{part:?}");
    assert!(part.body.end <= within.end, "{part:?} in {within:?}");
    match &part.content {
        Content::Leaf => {}
        Content::Multipart(children) => {
            assert!(!children.is_empty());
            children.iter().for_each(|child| check_nesting(child, &part.body));
            assert!(children.windows(2).all(|pair| pair[0].body.end <= pair[1].header.start));
        }
        Content::Message(message) => {
            check_nesting(&message.part, &part.body);
            assert_eq!((message.part.header.start, message.part.body.end), (part.body.start, part.body.end));
        }
    }
}

/// Lines of a body as they are defined: line ends, and a last line without one.
fn count_lines(body: &[u8]) -> u64 {
    let ends = body.iter().filter(|b| **b == b'\n').count() as u64;
    ends + u64::from(body.last().is_some_and(|b| *b != b'\n'))
}

fn at(range: &std::ops::Range<u64>) -> std::ops::Range<usize> {
    usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small")
}

fn check(message: &[u8], limits: &Limits) -> Summary {
    let summary = summarize(message, limits);
    assert_eq!(summary.size, message.len() as u64);
    check_nesting(&summary.structure, &(0..summary.size));
    assert_eq!((summary.structure.header.start, summary.structure.body.end), (0, summary.size));
    summary.structure.walk(&mut |part| {
        assert_eq!(part.lines, count_lines(&message[at(&part.body)]), "{part:?}");
    });
    assert!(summary.preview.chars().count() <= 256);
    for field in &summary.headers {
        let span = field.span();
        assert!(field.name.end < field.value.start && span.end <= summary.header_size);
        // A message may end at the colon of its last field.
        assert!(at(&span).end == message.len() || message[at(&span)].ends_with(b"\n"), "{field:?}");
    }
    let found =
        headers::fields(&message[..at(&(0..summary.header_size)).end]).map(|field| field.raw.len() as u64);
    let listed = summary.headers.iter().map(|field| field.span().end - field.span().start);
    if summary.headers.len() < limits.header_fields {
        assert!(found.eq(listed));
    }
    summary
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_message_has_a_sane_structure(message in message()) {
        let summary = check(&message, &Limits::default());
        let mut parts = 0;
        decode::each_text(&message, &summary.structure, &mut |_| { parts += 1; true });
    }

    #[test]
    fn every_byte_sequence_has_one(message in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&message, &Limits::default());
    }

    #[test]
    fn every_part_of_a_message_is_one(message in message(), end in any::<prop::sample::Index>()) {
        check(&message[..end.index(message.len() + 1)], &Limits::default());
    }

    #[test]
    fn chunks_do_not_matter(message in message(), sizes in prop::collection::vec(1_usize..9, 1..5)) {
        let limits = Limits::default();
        prop_assert_eq!(chunked(&message, &sizes, &limits), summarize(&message, &limits));
    }

    #[test]
    fn small_limits_are_kept(message in message(), depth in 0_usize..3, parts in 1_usize..5, text in 0_usize..60) {
        let limits = Limits { depth, parts, text_bytes: text, header_fields: 2, ..Limits::default() };
        let summary = check(&message, &limits);
        let mut count = 0;
        summary.structure.walk(&mut |_| count += 1);
        // An empty multipart has a part although no more may be opened.
        prop_assert!(count <= parts + depth, "{} parts", count);
        prop_assert!(summary.headers.len() <= 2);
    }

    #[test]
    fn addresses_and_words_take_anything(text in "[\\x00-\\x7f\u{fc}\u{20ac}<>@,;:()\" =?]{0,80}") {
        let list = address::parse_list(&text, 10);
        prop_assert!(address::mailboxes(&list).count() <= 10);
        let _ = address::imap(&list).count();
        let _ = subject::base(&text);
        if let Ok(spec) = address::AddrSpec::parse(&text) {
            prop_assert_eq!(address::AddrSpec::parse(&spec.to_string()), Ok(spec));
        }
        let _ = decode::words(&text);
    }

    #[test]
    fn what_was_written_as_an_address_is_read(local in "[a-z \"\\\\.@,]{1,10}", name in "[a-z \"\\\\.@,()<>]{0,10}") {
        let spec = address::AddrSpec { local: local.clone(), domain: "x.test".into() };
        let list = address::parse_list(&format!("{} <{spec}>", address::quote(&name)), 10);
        let [address::Address::Mailbox(mailbox)] = list.as_slice() else { panic!("one address: {list:?}") };
        prop_assert_eq!((mailbox.local.as_str(), mailbox.domain.as_str()), (local.as_str(), "x.test"));
        prop_assert_eq!(mailbox.name.clone().unwrap_or_default(), name);
    }

    #[test]
    fn transfer_decoding_does_not_depend_on_chunks(
        body in "[A-Za-z0-9+/= \t\r\n]{0,80}",
        size in 1_usize..5,
        base64 in any::<bool>(),
    ) {
        let encoding = if base64 { content_mail::Encoding::Base64 } else { content_mail::Encoding::QuotedPrintable };
        let mut decoder = decode::Decoder::new(&encoding).expect("known");
        let mut out = Vec::new();
        body.as_bytes().chunks(size).for_each(|chunk| decoder.push(chunk, &mut out));
        decoder.finish(&mut out);
        prop_assert_eq!(&out[..], &decode::transfer(&encoding, body.as_bytes())[..]);
    }

    #[test]
    fn ordinary_messages_look_the_same_to_another_parser(message in ordinary(3)) {
        let ours = check(message.as_bytes(), &Limits::default());
        let theirs = MessageParser::new().parse(message.as_bytes()).expect("a message");
        let mut seen = Vec::new();
        ours.structure.walk(&mut |part| {
            seen.push([part.header.start, part.body.start, part.body.end].map(|n| u32::try_from(n).expect("small")));
        });
        let other: Vec<_> =
            theirs.parts().map(|part| [part.offset_header(), part.offset_body(), part.offset_end()]).collect();
        prop_assert_eq!(seen, other);
        prop_assert_eq!(theirs.root().subject().map(str::to_owned), ours.envelope.subject.clone());
        prop_assert_eq!(theirs.root().date().map(|date| date.to_timestamp() * 1000), ours.sent);
    }
}

/// A well-formed message with parts nested up to `depth` levels.
fn ordinary(depth: u32) -> impl Strategy<Value = String> {
    let leaf = ("(text/plain|text/html|image/png|application/pdf)", "[a-z ]{1,30}(\r\n[a-z ]{0,30}){0,3}")
        .prop_map(|(kind, text)| format!("Content-Type: {kind}\r\n\r\n{text}"));
    let leaf = prop_oneof![
        4 => leaf.clone(),
        1 => leaf.prop_map(|inner| format!("Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n{inner}")),
    ];
    let part = leaf.prop_recursive(depth, 16, 4, |inner| {
        (prop::collection::vec(inner, 1..4), "[A-Z]{4}", "(mixed|alternative|related)").prop_map(
            |(parts, boundary, kind)| {
                let mut text = format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n");
                parts.iter().for_each(|part| text += &format!("--{boundary}\r\n{part}\r\n"));
                text + &format!("--{boundary}--\r\n")
            },
        )
    });
    ("[A-Za-z]{1,20}", 0_i64..4_000_000_000, part).prop_map(|(subject, seconds, part)| {
        let date = content_mail::date::rfc5322(seconds);
        format!("From: a@x\r\nSubject: {subject}\r\nDate: {date}\r\n{part}")
    })
}

/// Sections of any path are inside the message, and parts' bodies agree with the tree.
#[test]
fn sections_of_any_path() {
    let message = b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nX: y\n\nz\n--a--\n";
    let summary = check(message, &Limits::default());
    for path in [vec![], vec![0], vec![1], vec![1, 1], vec![1, 1, 1], vec![2], vec![u32::MAX]] {
        for section in [Section::Body, Section::Header, Section::Text, Section::Mime] {
            if let Some(range) = summary.structure.find(&path, section) {
                assert!(range.start <= range.end && range.end <= summary.size);
            }
        }
    }
}
