//! Structure of whole messages: offsets, sizes, numbering, and what is done with broken ones.

use super::*;
use crate::Section;

fn scan(message: &str) -> Summary {
    summarize(message.as_bytes(), &Limits::default())
}

/// The bytes of a section.
fn section<'a>(message: &'a str, summary: &Summary, path: &[u32], section: Section) -> Option<&'a str> {
    let range = summary.structure.find(path, section)?;
    let at = |n: u64| usize::try_from(n).expect("a small offset");
    Some(&message[at(range.start)..at(range.end)])
}

fn body<'a>(message: &'a str, summary: &Summary, path: &[u32]) -> &'a str {
    section(message, summary, path, Section::Body).expect("a part")
}

/// `kind/subtype` of every part, nested ones in brackets.
fn shape(part: &Part) -> String {
    let kind = format!("{}/{}", part.content_type.kind, part.content_type.subtype);
    match &part.content {
        Content::Leaf => kind,
        Content::Multipart(children) => {
            format!("{kind}[{}]", children.iter().map(shape).collect::<Vec<_>>().join(" "))
        }
        Content::Message(message) => format!("{kind}({})", shape(&message.part)),
    }
}

#[test]
fn rfc_2046_section_5_1_1() {
    let message = "From: Nathaniel Borenstein <nsb@bellcore.com>\r\n\
        Subject: Sample message\r\nMIME-Version: 1.0\r\n\
        Content-type: multipart/mixed; boundary=\"simple boundary\"\r\n\r\n\
        This is the preamble.\r\n\
        --simple boundary\r\n\r\n\
        This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.\r\n\
        --simple boundary\r\nContent-type: text/plain; charset=us-ascii\r\n\r\n\
        This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n\r\n\
        --simple boundary--\r\n\r\nThis is the epilogue.\r\n";
    let summary = scan(message);
    assert_eq!(shape(&summary.structure), "multipart/mixed[text/plain text/plain]");
    let first = "This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.";
    assert_eq!(body(message, &summary, &[1]), first);
    assert_eq!(section(message, &summary, &[1], Section::Mime), Some("\r\n"));
    assert!(body(message, &summary, &[2]).ends_with("It DOES end with a linebreak.\r\n"));
    let mime = "Content-type: text/plain; charset=us-ascii\r\n\r\n";
    assert_eq!(section(message, &summary, &[2], Section::Mime), Some(mime));
    let lines: Vec<u64> = [1, 2].iter().map(|n| summary.structure.at(&[*n]).expect("part").lines).collect();
    assert_eq!(lines, [2, 2]);
    assert_eq!(body(message, &summary, &[]), message);
    assert!(
        section(message, &summary, &[], Section::Text).expect("text").starts_with("This is the preamble")
    );
    assert_eq!(summary.header_size + summary.structure.size(), summary.size);
}

#[test]
fn rfc_9051_section_6_4_5_numbering() {
    let inner = "Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n\
        --i\r\n\r\nplain\r\n--i\r\nContent-Type: text/html\r\n\r\n<b>\r\n--i--\r\n";
    let message = format!(
        "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\none\r\n\
         --o\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n\
         --o\r\nContent-Type: message/rfc822\r\n\r\n{inner}--o--\r\n"
    );
    let summary = scan(&message);
    let expected = "multipart/mixed[text/plain application/octet-stream \
                    message/rfc822(multipart/alternative[text/plain text/html])]";
    assert_eq!(shape(&summary.structure), expected);
    let inner = inner.strip_suffix("\r\n").expect("ends with the delimiter's line end");
    assert_eq!(body(&message, &summary, &[3]), inner);
    assert_eq!(body(&message, &summary, &[3, 1]), "plain");
    assert_eq!(body(&message, &summary, &[3, 2]), "<b>");
    let (header, text) = inner.split_once("\r\n\r\n").expect("header and text");
    let header = format!("{header}\r\n\r\n");
    assert_eq!(section(&message, &summary, &[3], Section::Header), Some(header.as_str()));
    assert_eq!(section(&message, &summary, &[3], Section::Text), Some(text));
    let part = summary.structure.at(&[3]).expect("the enclosed message");
    let Content::Message(nested) = &part.content else { panic!("a message") };
    assert_eq!(nested.envelope.subject.as_deref(), Some("inner"));
    assert_eq!(part.lines, 11);
}

#[test]
fn all_fields_of_a_part() {
    let summary = scan(
        "Content-Type: image/PNG; name=\"a b.png\"\nContent-Transfer-Encoding: BASE64\nContent-ID: <1@x>\n\
         Content-Description: a\n  picture\nContent-MD5: Q2hlY2s=\nContent-Language: en, de (German)\n\
         Content-Location: http://x.test/\n a.png\nContent-Disposition: Inline; filename*=utf-8''%e2%82%ac.png\n\nAAAA\n",
    );
    let part = &summary.structure;
    assert!(part.content_type.is("image", "png"));
    assert_eq!(part.encoding.as_str(), "base64");
    assert_eq!(part.id.as_deref(), Some("<1@x>"));
    assert_eq!(part.description.as_deref(), Some("a  picture"));
    assert_eq!(part.md5.as_deref(), Some("Q2hlY2s="));
    assert_eq!(part.language, ["en", "de"]);
    assert_eq!(part.location.as_deref(), Some("http://x.test/a.png"));
    assert_eq!(part.filename().as_deref(), Some("\u{20ac}.png"));
    assert_eq!((part.size(), part.lines), (5, 1));
}

#[test]
fn envelope_and_threads() {
    let summary = scan(
        "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nFrom: Ann <ann@x>\r\nTo: a@y,\r\n b@y\r\nTo: c@y\r\n\
         Subject: Re: [l] =?utf-8?q?caf=C3=A9?=\r\nMessage-ID: <3@x>\r\nIn-Reply-To: <2@x>\r\n\
         References: <1@x>\r\n\t<2@x>\r\n\r\n",
    );
    let envelope = &summary.envelope;
    assert_eq!(envelope.subject.as_deref(), Some("Re: [l] =?utf-8?q?caf=C3=A9?="));
    assert_eq!(envelope.sender, envelope.from);
    assert_eq!(envelope.reply_to, envelope.from);
    assert_eq!(envelope.to.len(), 3);
    assert_eq!(envelope.message_id.as_deref(), Some("<3@x>"));
    assert_eq!(summary.sent, Some(880_127_706_000));
    assert_eq!((summary.base_subject.as_str(), summary.is_reply_or_forward), ("caf\u{e9}", true));
    assert_eq!(summary.message_ids.references, ["1@x", "2@x"]);
    assert_eq!(summary.message_ids.in_reply_to, ["2@x"]);
    assert_eq!(summary.headers.len(), 8);
    assert_eq!(summary.headers[1].span(), 39..58);
}

#[test]
fn nothing_and_little() {
    let empty = scan("");
    assert_eq!((empty.size, empty.header_size), (0, 0));
    assert_eq!(shape(&empty.structure), "text/plain");
    let header = scan("Subject: x");
    assert_eq!((header.header_size, header.structure.size()), (10, 0));
    let blank = scan("\r\nbody");
    assert_eq!((blank.header_size, blank.structure.size(), blank.structure.lines), (2, 4, 1));
    assert_eq!(scan("\n").header_size, 1);
}

#[test]
fn headers_without_an_end() {
    let message = "From me Mon Jan 1\nSubject: x\nThis is no field.\n\nmore\n";
    let summary = scan(message);
    assert_eq!(section(message, &summary, &[], Section::Text), Some("This is no field.\n\nmore\n"));
    assert_eq!(summary.envelope.subject.as_deref(), Some("x"));
    let message = "Content-Type: multipart/mixed; boundary=b\n--b\nno header\n--b--\n";
    let summary = scan(message);
    assert_eq!(body(message, &summary, &[1]), "no header");
    assert_eq!(section(message, &summary, &[1], Section::Mime), Some(""));
}

#[test]
fn delimiters_where_headers_end() {
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n--b\r\n\r\n\
        --b\r\n--b--\r\n";
    let summary = scan(message);
    assert_eq!(shape(&summary.structure), "multipart/mixed[text/html text/plain text/plain]");
    assert_eq!(section(message, &summary, &[1], Section::Mime), Some("Content-Type: text/html"));
    for part in 1..=3 {
        assert_eq!(body(message, &summary, &[part]), "");
    }
}

#[test]
fn unterminated_multiparts_end_with_what_encloses_them() {
    let message = "Content-Type: multipart/mixed; boundary=a\n\n--a\n\
        Content-Type: multipart/alternative; boundary=ab\n\n--ab\n\none\n--ab\n\ntwo\n--a\n\nthree";
    let summary = scan(message);
    let expected = "multipart/mixed[multipart/alternative[text/plain text/plain] text/plain]";
    assert_eq!(shape(&summary.structure), expected);
    assert_eq!(body(message, &summary, &[1, 2]), "two");
    assert_eq!(body(message, &summary, &[2]), "three");
    assert_eq!(summary.structure.at(&[2]).map(|part| part.lines), Some(1));
}

#[test]
fn a_delimiter_is_a_whole_line() {
    let message = "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b \t\n\n--bc\n --b\n--b-\n--b--x\n--b--  \nend\n--b\n";
    let summary = scan(message);
    assert_eq!(body(message, &summary, &[1]), "--bc\n --b\n--b-\n--b--x");
    assert_eq!(shape(&summary.structure), "multipart/mixed[text/plain]");
}

#[test]
fn multiparts_without_parts_have_one() {
    for head in ["multipart/mixed; boundary=b", "multipart/mixed", "multipart/mixed; boundary=\"\""] {
        let message = format!("Content-Type: {head}\n\nno parts\n");
        let summary = scan(&message);
        assert_eq!(shape(&summary.structure), "multipart/mixed[text/plain]");
        assert_eq!(body(&message, &summary, &[1]), "no parts\n");
    }
    assert_eq!(
        shape(&scan("Content-Type: multipart/mixed; boundary=b").structure),
        "multipart/mixed[text/plain]"
    );
    assert_eq!(shape(&scan("Content-Type: message/rfc822").structure), "message/rfc822(text/plain)");
}

#[test]
fn digests_hold_messages() {
    let message = "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\n1\n\
        --b\nContent-Type: text/plain\n\ntwo\n--b\n\n--b--\n";
    let expected = "multipart/digest[message/rfc822(text/plain) text/plain message/rfc822(text/plain)]";
    assert_eq!(shape(&scan(message).structure), expected);
}

#[test]
fn encoded_messages_are_opaque() {
    let message =
        "Content-Type: message/rfc822; name=a.eml\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAo=\n";
    let part = scan(message).structure;
    assert_eq!(shape(&part), "application/octet-stream");
    assert_eq!(part.content_type.param("name"), Some("a.eml"));
}

#[test]
fn attachments() {
    let has = |text: &str| scan(text).has_attachment;
    let mixed = |part: &str| {
        has(&format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n{part}\n--b--\n"))
    };
    assert!(!has("Subject: x\n\ny"));
    assert!(has("Content-Type: application/pdf\n\ny"));
    assert!(mixed("Content-Type: image/png\n\nx"));
    assert!(mixed("Content-Type: text/plain\nContent-Disposition: attachment\n\nx"));
    assert!(mixed("Content-Type: message/rfc822\n\nSubject: x\n\nx"));
    assert!(!mixed("Content-Type: application/pgp-signature\n\nx"));
    assert!(!mixed("Content-Type: image/png\nContent-ID: <1>\nContent-Disposition: inline\n\nx"));
    assert!(!has(
        "Content-Type: multipart/related; boundary=b\n\n--b\n\nx\n--b\nContent-Type: image/png\n\nx\n--b--"
    ));
}

mod limits {
    use super::*;

    fn nested(depth: usize) -> String {
        let mut message = String::new();
        for level in 0..depth {
            message += &format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n");
        }
        message + "\nbottom\n"
    }

    fn depth(part: &Part) -> usize {
        1 + match &part.content {
            Content::Leaf => 0,
            Content::Multipart(children) => children.iter().map(depth).max().unwrap_or(0),
            Content::Message(message) => depth(&message.part),
        }
    }

    #[test]
    fn what_is_too_deep_is_opaque() {
        let limits = Limits::default();
        assert_eq!(depth(&scan(&nested(limits.depth)).structure), limits.depth + 1);
        let summary = scan(&nested(10_000));
        assert_eq!(depth(&summary.structure), limits.depth + 1);
        let deepest = summary.structure.at(&vec![1; limits.depth]).expect("the deepest part");
        assert!(deepest.content_type.is("application", "octet-stream"));
        assert_eq!(deepest.body.end, summary.size);
        let messages = "Content-Type: message/rfc822\n\n".repeat(10_000);
        assert_eq!(depth(&scan(&messages).structure), limits.depth + 1);
        let unended = "Content-Type: message/rfc822\n".repeat(10_000);
        assert!(depth(&scan(&unended).structure) <= 2);
    }

    #[test]
    fn too_many_parts_stay_in_the_last() {
        let message =
            format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(1_000_000));
        let summary = scan(&message);
        let mut count = 0;
        summary.structure.walk(&mut |_| count += 1);
        assert_eq!(count, Limits::default().parts);
        let last = u32::try_from(count - 1).expect("a small number");
        let last = summary.structure.at(&[last]).expect("the last part");
        assert_eq!(last.body.end, summary.size);
    }

    #[test]
    fn strings_are_bounded_in_all() {
        let name = "n".repeat(1000);
        let part = format!("--b\nContent-Type: a/b; name={name}\nContent-Description: {name}\n\nx\n");
        let message = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", part.repeat(5000));
        let limits = Limits::default();
        let mut total = 0;
        scan(&message).structure.walk(&mut |part| {
            total += part.description.as_ref().map_or(0, String::len);
            total += part.content_type.param("name").map_or(0, str::len);
        });
        assert!(total > limits.text_bytes / 2 && total <= limits.text_bytes);
        let to = format!("To: {}\n\n", "someone@example.test,\n ".repeat(100_000));
        assert!(scan(&to).envelope.cost() <= limits.text_bytes);
    }

    #[test]
    fn a_flood_of_header_is_not_kept() {
        let limits = Limits { header_fields: 100, header_bytes: 10_000, ..Limits::default() };
        let mut summarizer = Summarizer::new(limits.clone());
        for _ in 0..100_000 {
            summarizer.push(b"X-Flood: yes\r\n folded\r\n");
        }
        assert!(summarizer.scanner.block.iter().count() <= 100);
        summarizer.push(b"\r\nbody");
        let summary = summarizer.finish();
        assert_eq!((summary.headers.len(), summary.header_size), (100, 2_300_002));
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut summarizer = Summarizer::new(Limits::default());
        summarizer.push(b"Subject: ");
        for _ in 0..1000 {
            summarizer.push(&[b'x'; 10_000]);
        }
        let summary = summarizer.finish();
        assert_eq!(summary.header_size, 10_000_009);
        assert_eq!(summary.envelope.subject.map(|s| s.len()), Some(Limits::default().string_bytes));
    }
}
