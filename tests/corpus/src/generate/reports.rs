//! Messages that programs send about messages.

use super::{
    Shape,
    maker::{Maker, part},
};

pub(super) const SHAPES: &[Shape] = &[
    ("report-bounce", bounce),
    ("report-delay", delay),
    ("report-bounce-full", bounce_full),
    ("report-bounce-text", bounce_text),
    ("report-read", read),
    ("report-abuse", abuse),
];

fn original_header(m: &mut Maker) -> String {
    m.header()
}

fn status(m: &mut Maker, action: &str, status: &str) -> String {
    let (address, date) = (m.address(), m.date());
    format!(
        "Reporting-MTA: dns; mx.example.test\r\nX-Postfix-Queue-ID: {:X}\r\nArrival-Date: {date}\r\n\r\n\
         Final-Recipient: rfc822; {address}\r\nOriginal-Recipient: rfc822;{address}\r\nAction: {action}\r\n\
         Status: {status}\r\nRemote-MTA: dns; mx.example.org\r\nDiagnostic-Code: smtp; 550 {status} <{address}>:\r\n    no such user\r\n",
        m.next()
    )
}

/// A multipart/report about these parts.
fn report(m: &mut Maker, kind: &str, parts: &[String]) -> Vec<u8> {
    let (content_type, body) = m.multipart("report", parts);
    let head = m.mime(&format!("{content_type};\r\n\treport-type={kind}"), "");
    format!("Return-Path: <>\r\nAuto-Submitted: auto-replied\r\n{head}{body}").into_bytes()
}

fn bounce(m: &mut Maker) -> Vec<u8> {
    let parts = [
        part("text/plain; charset=us-ascii", "Content-Description: Notification\r\n", &m.ascii()),
        part(
            "message/delivery-status",
            "Content-Description: Delivery report\r\n",
            &status(m, "failed", "5.1.1"),
        ),
        part(
            "text/rfc822-headers",
            "Content-Description: Undelivered Message Headers\r\n",
            &original_header(m),
        ),
    ];
    report(m, "delivery-status", &parts)
}

fn delay(m: &mut Maker) -> Vec<u8> {
    let parts = [
        part("text/plain", "", &m.ascii()),
        part("message/delivery-status", "", &status(m, "delayed", "4.4.1")),
    ];
    report(m, "delivery-status", &parts)
}

fn bounce_full(m: &mut Maker) -> Vec<u8> {
    let original = original_header(m) + "\r\n" + &m.ascii();
    let parts = [
        part("text/plain", "", &m.ascii()),
        part("message/delivery-status", "", &status(m, "failed", "5.2.2")),
        part("message/rfc822", "Content-Description: Undelivered Message\r\n", &original),
    ];
    report(m, "delivery-status", &parts)
}

/// As old servers wrote it: nothing but text.
fn bounce_text(m: &mut Maker) -> Vec<u8> {
    let original = original_header(m) + "\r\n" + &m.ascii();
    let text = format!(
        "Hi. This is the mail program at x.test.\r\n\r\n<{}>:\r\n550 no\r\n\r\n--- Below this line is a copy.\r\n\r\n{original}",
        m.address()
    );
    ("Return-Path: <>\r\n".to_owned() + &m.header() + "\r\n" + &text).into_bytes()
}

fn read(m: &mut Maker) -> Vec<u8> {
    let disposition = format!(
        "Reporting-UA: x.test; Mailer\r\nFinal-Recipient: rfc822;{}\r\nOriginal-Message-ID: {}\r\n\
         Disposition: manual-action/MDN-sent-manually; displayed\r\n",
        m.address(),
        m.message_id()
    );
    let parts =
        [part("text/plain", "", &m.ascii()), part("message/disposition-notification", "", &disposition)];
    report(m, "disposition-notification", &parts)
}

fn abuse(m: &mut Maker) -> Vec<u8> {
    let feedback =
        "Feedback-Type: abuse\r\nUser-Agent: Reporter/1.0\r\nVersion: 1\r\nSource-IP: 192.0.2.1\r\n";
    let original = original_header(m) + "\r\n" + &m.ascii();
    let parts = [
        part("text/plain", "", &m.ascii()),
        part("message/feedback-report", "", feedback),
        part("message/rfc822", "Content-Disposition: inline\r\n", &original),
    ];
    report(m, "feedback-report", &parts)
}
