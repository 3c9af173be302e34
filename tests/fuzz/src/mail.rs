//! The formats of mail.

use std::ops::Range;

use content_mail::{
    Content, Encoding, Limits, Part, Section, Summarizer, Summary, address, date, decode, headers, subject,
    summarize,
};

/// A message: its structure does not depend on chunks, and holds together.
pub fn message(data: &[u8]) {
    let (all, chunks) = crate::pieces(data);
    let limits = Limits { depth: 10, parts: 100, text_bytes: 4096, header_fields: 100, ..Limits::default() };
    let summary = summarize(all, &limits);
    let mut summarizer = Summarizer::new(limits);
    chunks.for_each(|chunk| summarizer.push(chunk));
    assert_eq!(summarizer.finish(), summary);
    check(all, &summary);
}

fn check(message: &[u8], summary: &Summary) {
    assert_eq!(summary.size, message.len() as u64);
    nested(&summary.structure, &(0..summary.size));
    summary.structure.walk(&mut |part| assert_eq!(part.lines, lines(&message[at(&part.body)]), "{part:?}"));
    assert!(summary.preview.chars().count() <= 256);
    assert!(!summary.preview.contains(['\r', '\n', '\0']));
    for field in &summary.headers {
        assert!(field.name.end < field.value.start && field.value.end <= summary.header_size);
    }
    for path in [&[][..], &[1], &[1, 1], &[2], &[1, 2, 1]] {
        for section in [Section::Body, Section::Header, Section::Text, Section::Mime] {
            let found = summary.structure.find(path, section);
            assert!(found.is_none_or(|range| range.start <= range.end && range.end <= summary.size));
        }
    }
    decode::each_text(message, &summary.structure, &mut |_| true);
}

fn nested(part: &Part, within: &Range<u64>) {
    assert!(within.start <= part.header.start && part.header.start <= part.header.end, "{part:?}");
    assert!(part.header.end == part.body.start && part.body.start <= part.body.end, "{part:?}");
    assert!(part.body.end <= within.end, "{part:?} in {within:?}");
    match &part.content {
        Content::Leaf => {}
        Content::Multipart(children) => {
            assert!(!children.is_empty());
            children.iter().for_each(|child| nested(child, &part.body));
            assert!(children.windows(2).all(|pair| pair[0].body.end <= pair[1].header.start));
        }
        Content::Message(message) => nested(&message.part, &part.body),
    }
}

fn lines(body: &[u8]) -> u64 {
    let ends = body.iter().filter(|b| **b == b'\n').count() as u64;
    ends + u64::from(body.last().is_some_and(|b| *b != b'\n'))
}

fn at(range: &Range<u64>) -> Range<usize> {
    usize::try_from(range.start).expect("in memory")..usize::try_from(range.end).expect("in memory")
}

/// Addresses: a list never fails and keeps its limit; a single one is written as it is read.
pub fn addresses(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let list = address::parse_list(&text, 20);
    assert!(list.len() <= 20 && address::mailboxes(&list).count() <= 20);
    for mailbox in address::mailboxes(&list) {
        let _ = mailbox.address();
    }
    assert!(address::imap(&list).count() >= address::mailboxes(&list).count());
    if let Ok(spec) = address::AddrSpec::parse(&text) {
        let written = spec.to_string();
        assert_eq!(address::AddrSpec::parse(&written).as_ref(), Ok(&spec));
        // The one address of a list is the same one (RFC 5322 §3.4.1), whoever reads it.
        let list = address::parse_list(&format!("<{written}>"), 2);
        let [address::Address::Mailbox(mailbox)] = list.as_slice() else { panic!("one mailbox: {list:?}") };
        assert_eq!((&mailbox.local, &mailbox.domain), (&spec.local, &spec.domain));
    }
    // The envelope's grammar is another crate's; both must take the same addresses (but for lengths).
    let envelope = smtp_proto::Mailbox::parse(&text).map(|mailbox| mailbox.local().to_owned());
    match address::AddrSpec::parse(&text) {
        Err(address::Error::TooLong) => {}
        header => assert_eq!(header.ok().map(|spec| spec.local), envelope),
    }
}

/// Encodings, charsets, encoded words, subjects, dates, header selection.
pub fn decoding(data: &[u8]) {
    let (all, chunks) = crate::pieces(data);
    let chunks: Vec<&[u8]> = chunks.collect();
    for encoding in [Encoding::Base64, Encoding::QuotedPrintable, Encoding::Binary] {
        let mut decoder = decode::Decoder::new(&encoding).expect("a known encoding");
        let mut out = Vec::new();
        chunks.iter().for_each(|chunk| decoder.push(chunk, &mut out));
        decoder.finish(&mut out);
        assert_eq!(out[..], decode::transfer(&encoding, all)[..]);
        assert!(out.len() <= all.len());
    }
    for label in
        ["utf-7", "utf-16", "iso-2022-jp", "gb18030", "shift_jis", "big5", "euc-kr", "koi8-r", "x-none"]
    {
        let _ = decode::charset(label, all);
    }
    let text = String::from_utf8_lossy(all);
    let _ = decode::words(&text);
    let _ = decode::html_to_text(&text);
    let base = subject::base(&text).text;
    assert!(base.trim_matches(' ') == base, "{base:?}");
    let _ = date::parse(&text).map(|ms| date::rfc5322(ms / 1000));
    let _ = headers::select(all, &["subject", "x"], false);
    let both = headers::fields(all).map(|field| field.raw.len()).sum::<usize>();
    assert!(both <= all.len());
}
