//! Notifications are read back with the crate's own parsers.

use super::*;
use crate::{Content, Limits, Section, Summary, summarize};

const ORIGINAL: &[u8] = b"From: a@x\r\nSubject: hello\r\n\r\nbody\r\n";

fn recipient(address: &str) -> DsnRecipient<'_> {
    DsnRecipient {
        address,
        original: None,
        action: Action::Failed,
        status: "5.1.1",
        diagnostic: Some("550 5.1.1 no such user"),
        remote: Some("mx.y.test"),
        last_attempt: Some(60),
        retry_until: None,
    }
}

fn report<'a>(recipients: &'a [DsnRecipient<'a>], original: Original<'a>) -> Dsn<'a> {
    Dsn {
        reporting: "mx.example.test",
        from: "postmaster@example.test",
        to: "a@x.test",
        message_id: "1.2@mx.example.test",
        date: 120,
        arrival: Some(0),
        envid: Some("QQ314159"),
        recipients,
        original,
    }
}

fn kinds(summary: &Summary) -> Vec<String> {
    let Content::Multipart(children) = &summary.structure.content else { panic!("a report") };
    children.iter().map(|c| format!("{}/{}", c.content_type.kind, c.content_type.subtype)).collect()
}

fn text(message: &[u8], summary: &Summary, path: &[u32]) -> String {
    let range = summary.structure.find(path, Section::Body).expect("the part");
    let at = |n: u64| usize::try_from(n).expect("small");
    String::from_utf8_lossy(&message[at(range.start)..at(range.end)]).into_owned()
}

#[test]
fn rfc_3464_appendix_e_1() {
    let recipients =
        [DsnRecipient { original: Some("rfc822;louisl@larry.slip.umd.edu"), ..recipient("b@y.test") }];
    let message = dsn(&report(&recipients, Original::Header(ORIGINAL)));
    let summary = summarize(&message, &Limits::default());
    assert!(summary.structure.content_type.is("multipart", "report"));
    assert_eq!(summary.structure.content_type.param("report-type"), Some("delivery-status"));
    assert_eq!(kinds(&summary), ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
    let expected = "Original-Envelope-Id: QQ314159\r\nReporting-MTA: dns; mx.example.test\r\n\
        Arrival-Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n\r\n\
        Original-Recipient: rfc822;louisl@larry.slip.umd.edu\r\nFinal-Recipient: rfc822; b@y.test\r\n\
        Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.y.test\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 no such user\r\nLast-Attempt-Date: Thu, 01 Jan 1970 00:01:00 +0000\r\n";
    assert_eq!(text(&message, &summary, &[2]), expected);
    assert_eq!(text(&message, &summary, &[3]), "From: a@x\r\nSubject: hello\r\n");
    assert!(text(&message, &summary, &[1]).contains("<b@y.test>: could not be delivered"));
    assert!(!summary.has_attachment);
    assert_eq!(message, dsn(&report(&recipients, Original::Header(ORIGINAL))));
}

#[test]
fn all_of_the_message_where_it_was_asked_for() {
    let recipients = [recipient("b@y.test")];
    let message = dsn(&report(&recipients, Original::Full(ORIGINAL)));
    let summary = summarize(&message, &Limits::default());
    assert_eq!(kinds(&summary)[2], "message/rfc822");
    assert_eq!(text(&message, &summary, &[3]).as_bytes(), ORIGINAL);
    let mut large = ORIGINAL.to_vec();
    large.resize(FULL_MAX + 1, b'x');
    let message = dsn(&report(&recipients, Original::Full(&large)));
    assert!(message.len() < 10_000);
}

#[test]
fn delayed_and_delivered() {
    let delayed = [DsnRecipient {
        action: Action::Delayed,
        status: "",
        retry_until: Some(86_400),
        ..recipient("b@y.test")
    }];
    let message = String::from_utf8(dsn(&report(&delayed, Original::Header(ORIGINAL)))).expect("UTF-8");
    assert!(message.contains("Action: delayed\r\nStatus: 4.0.0\r\n"));
    assert!(message.contains("Will-Retry-Until: Fri, 02 Jan 1970 00:00:00 +0000\r\n"));
    assert!(message.contains("Subject: Delayed mail"));
    let delivered = [DsnRecipient {
        action: Action::Delivered,
        status: "2.1.5",
        diagnostic: None,
        remote: None,
        ..recipient("b@y.test")
    }];
    let message = String::from_utf8(dsn(&report(&delivered, Original::Header(ORIGINAL)))).expect("UTF-8");
    assert!(message.contains("Action: delivered\r\nStatus: 2.1.5\r\n"));
}

#[test]
fn rfc_6533_addresses() {
    let recipients = [recipient("j\u{f6}rg@b\u{fc}cher.test")];
    let message = dsn(&report(&recipients, Original::Header("Subject: gr\u{fc}n\r\n\r\n".as_bytes())));
    let summary = summarize(&message, &Limits::default());
    assert_eq!(kinds(&summary), ["text/plain", "message/global-delivery-status", "message/global-headers"]);
    assert!(text(&message, &summary, &[2]).contains("Final-Recipient: utf-8; j\u{f6}rg@b\u{fc}cher.test"));
}

#[test]
fn nothing_breaks_out() {
    let evil = "x\r\nBcc: victim@z\r\n\r\n--=_dsn_12mxexampletest--";
    let recipients = [DsnRecipient {
        original: Some(evil),
        status: evil,
        diagnostic: Some(evil),
        remote: Some(evil),
        ..recipient(evil)
    }];
    let dsn_report = Dsn {
        to: evil,
        from: evil,
        envid: Some(evil),
        reporting: evil,
        ..report(&recipients, Original::Full(ORIGINAL))
    };
    let message = dsn(&dsn_report);
    let summary = summarize(&message, &Limits::default());
    assert_eq!(summary.headers.len(), 8);
    assert_eq!(kinds(&summary), ["text/plain", "message/delivery-status", "message/rfc822"]);
    assert!(summary.envelope.bcc.is_empty());
    assert!(!String::from_utf8_lossy(&message).contains("\nBcc"));
}

#[test]
fn a_returned_boundary_is_avoided() {
    let original = b"Subject: x\r\n\r\n--=_dsn_12mxexampletest\r\n--=_dsn_12mxexampletest--\r\n";
    let recipients = [recipient("b@y.test")];
    let message = dsn(&report(&recipients, Original::Full(original)));
    let summary = summarize(&message, &Limits::default());
    assert_eq!(text(&message, &summary, &[3]).as_bytes(), original);
}

/// RFC 5322 §2.1.1: no line over 998 octets, whatever was said by whom.
#[test]
fn lines_are_never_too_long() {
    let (words, word) = ("no such user ".repeat(200), "x".repeat(5000));
    for said in [&words, &word] {
        let recipients = [DsnRecipient {
            original: Some(said),
            diagnostic: Some(said),
            remote: Some(said),
            ..recipient(said)
        }];
        let report = Dsn { envid: Some(said), to: said, ..report(&recipients, Original::Header(ORIGINAL)) };
        let message = dsn(&report);
        let longest = message.split(|b| *b == b'\n').map(<[u8]>::len).max();
        assert!(longest <= Some(999), "{longest:?}");
        assert_eq!(kinds(&summarize(&message, &Limits::default())).len(), 3);
    }
    let said = "550-5.7.1 our policy is described at length elsewhere and has to be read by you first";
    let recipients = [DsnRecipient { diagnostic: Some(said), ..recipient("b@y.test") }];
    let message = dsn(&report(&recipients, Original::Header(ORIGINAL)));
    let text = text(&message, &summarize(&message, &Limits::default()), &[1]);
    let expected = "<b@y.test>: could not be delivered\r\n\
        \x20   mx.y.test said: 550-5.7.1 our policy is described at length elsewhere and\r\n\
        \x20       has to be read by you first\r\n";
    assert!(text.ends_with(expected), "{text}");
}
