//! Messages whose header is what matters.

use super::{
    Shape,
    maker::{Maker, encoded_word, q_word},
    text::LEGACY,
};

pub(super) const SHAPES: &[Shape] = &[
    ("header-encoded-utf8", encoded_utf8),
    ("header-encoded-legacy", encoded_legacy),
    ("header-raw-utf8", raw_utf8),
    ("header-raw-latin1", raw_latin1),
    ("header-groups", groups),
    ("header-comments", comments),
    ("header-obsolete", obsolete),
    ("header-many-recipients", many_recipients),
    ("header-signed-chain", signed_chain),
    ("header-long-references", long_references),
    ("header-list-thread", list_thread),
    ("header-newsletter", newsletter),
    ("header-spam", spam),
    ("header-empty-fields", empty_fields),
    ("header-twice", twice),
    ("header-folded-everywhere", folded_everywhere),
    ("header-flood", flood),
    ("header-long-field", long_field),
    ("header-resent", resent),
    ("header-automatic", automatic),
];

/// A message of these fields, then the usual ones, then text.
fn with(m: &mut Maker, fields: &str) -> Vec<u8> {
    let (head, text) = (m.header(), m.ascii());
    format!("{fields}{head}\r\n{text}").into_bytes()
}

/// As [`with`], but the usual subject gives way to the fields'.
fn instead(m: &mut Maker, field: &str, value: &str) -> Vec<u8> {
    let (head, text) = (m.header(), m.ascii());
    let lines: String =
        head.split_inclusive("\r\n").filter(|l| !l.starts_with(field) && !l.starts_with(' ')).collect();
    format!("{field}: {value}\r\n{lines}\r\n{text}").into_bytes()
}

fn encoded_utf8(m: &mut Maker) -> Vec<u8> {
    let language = m.language();
    let subject = language.subject;
    // Words are cut between characters, as they must be.
    let cut = subject.char_indices().nth(subject.chars().count() / 2).map_or(0, |(at, _)| at);
    let (first, second) = subject.as_bytes().split_at(cut);
    let value = match m.below(3) {
        0 => format!("{}\r\n {}", encoded_word("utf-8", first), encoded_word("UTF-8", second)),
        1 => format!("Re: {}", q_word("utf-8", subject.as_bytes())),
        _ => format!("Fwd: [list] {} {}", q_word("utf-8", first), encoded_word("utf-8", second)),
    };
    instead(m, "Subject", &value)
}

fn encoded_legacy(m: &mut Maker) -> Vec<u8> {
    let (label, subject, _) = m.pick(LEGACY);
    let value = if m.below(2) == 0 { encoded_word(label, subject) } else { q_word(label, subject) };
    let name = q_word("iso-8859-1", b"J\xf6rg M\xfcller");
    let address = m.address();
    with(m, &format!("Subject: {value}\r\nReply-To: {name} <{address}>\r\n"))
}

fn raw_utf8(m: &mut Maker) -> Vec<u8> {
    let language = m.language();
    let value = format!("{} {}", language.subject, m.number);
    let name = language.lines[0].replace([',', ':', ';'], "");
    let mut message = instead(m, "Subject", &value);
    message.splice(0..0, format!("Bcc: \"{name}\" <用户@例子.test>\r\n").into_bytes());
    message
}

fn raw_latin1(m: &mut Maker) -> Vec<u8> {
    let (_, subject, body) = LEGACY[m.below(8)];
    let head = m.header();
    [b"X-Original-Subject: ", subject, b"\r\n", head.as_bytes(), b"\r\n", body].concat()
}

fn groups(m: &mut Maker) -> Vec<u8> {
    let members: Vec<String> = (0..m.below(4)).map(|_| m.mailbox()).collect();
    let cc = format!("Friends: {};, {}", members.join(", "), m.mailbox());
    with(m, &format!("Cc: {cc}\r\nBcc: undisclosed-recipients:;\r\n"))
}

fn comments(m: &mut Maker) -> Vec<u8> {
    let address = m.address();
    with(
        m,
        &format!(
            "Sender: (a (nested \\( comment)) Pete (really) <{address}> (end)\r\nReply-To: \"q\\\"uoted, name\" <{address}>\r\n"
        ),
    )
}

fn obsolete(m: &mut Maker) -> Vec<u8> {
    let address = m.address();
    with(m, &format!("Reply-To  : <@a.test,@b.test:{address}>,,  Joe Q. Public <joe . q@x  . test>\r\n"))
}

fn many_recipients(m: &mut Maker) -> Vec<u8> {
    let list: Vec<String> = (0..50 + m.below(500)).map(|_| m.mailbox()).collect();
    with(m, &format!("Cc: {}\r\n", list.join(",\r\n\t")))
}

fn signed_chain(m: &mut Maker) -> Vec<u8> {
    let mut fields = format!("Return-Path: <{}>\r\nDelivered-To: {}\r\n", m.address(), m.address());
    for hop in 0..1 + m.below(8) {
        let (id, date) = (m.next(), m.date());
        fields += &format!(
            "Received: from mx{hop}.example.test (mx{hop}.example.test [192.0.2.{hop}])\r\n\
             \t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n\
             \tby mail.example.org (Postfix) with ESMTPS id {id:X}\r\n\tfor <x@example.org>; {date}\r\n"
        );
    }
    let signature: Vec<String> = (0..5).map(|_| format!("{:016x}{:016x}", m.next(), m.next())).collect();
    fields += &format!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.test; s=2024;\r\n\
         \th=from:to:subject:date:message-id;\r\n\tbh={}=;\r\n\tb={}==\r\n\
         Authentication-Results: mx.example.org; dkim=pass header.d=example.test;\r\n\tspf=pass; dmarc=pass\r\n",
        signature[0],
        signature.join("\r\n\t ")
    );
    with(m, &fields)
}

fn long_references(m: &mut Maker) -> Vec<u8> {
    let ids: Vec<String> = (0..20 + m.below(400)).map(|_| m.message_id()).collect();
    let last = ids.last().cloned().unwrap_or_default();
    with(m, &format!("References: {}\r\nIn-Reply-To: {last}\r\n", ids.join("\r\n ")))
}

/// Traffic of a list: messages of one thread refer to each other.
fn list_thread(m: &mut Maker) -> Vec<u8> {
    let (thread, position) = (m.number / 5 % 20, m.below(6));
    let id = |n: usize| format!("<thread{thread}.{n}@lists.example.org>");
    let references: Vec<String> = (0..position).map(id).collect();
    let mut fields = format!(
        "List-Id: Talk about {thread} <talk.lists.example.org>\r\nList-Post: <mailto:talk@lists.example.org>\r\n\
         List-Unsubscribe: <https://lists.example.org/u>, <mailto:talk-leave@lists.example.org>\r\n\
         Precedence: list\r\nSender: talk-bounces@lists.example.org\r\nX-BeenThere: talk@lists.example.org\r\n"
    );
    if position > 0 {
        fields +=
            &format!("In-Reply-To: {}\r\nReferences: {}\r\n", id(position - 1), references.join("\r\n\t"));
    }
    let prefix = if position > 0 { "Re: " } else { "" };
    let mut message = with(m, &fields);
    message.splice(0..0, format!("Subject: {prefix}[talk] thread number {thread}\r\n").into_bytes());
    message
}

fn newsletter(m: &mut Maker) -> Vec<u8> {
    let number = m.number;
    with(
        m,
        &format!(
            "List-Unsubscribe: <https://n.example.com/u/{number}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
             Precedence: bulk\r\nX-Mailer: Newsletter (v{number})\r\nFeedback-ID: {number}:campaign:x\r\n"
        ),
    )
}

fn spam(m: &mut Maker) -> Vec<u8> {
    let number = m.next();
    instead(m, "Subject", &format!("V1AGRA !!! $$$ {number} ***FREE***        ht7x"))
}

fn empty_fields(m: &mut Maker) -> Vec<u8> {
    with(
        m,
        "Cc:\r\nBcc: \r\nReply-To: <>\r\nSender:\r\nReferences:\r\nIn-Reply-To: \r\nKeywords:\t\r\nComments:\r\n \r\n",
    )
}

fn twice(m: &mut Maker) -> Vec<u8> {
    let fields: String = (0..3).map(|_| format!("To: {}\r\n", m.mailbox())).collect();
    with(m, &format!("Subject: the first subject\r\n{fields}Received: a\r\nReceived: b\r\n"))
}

fn folded_everywhere(m: &mut Maker) -> Vec<u8> {
    let words: Vec<String> = (0..m.below(30)).map(|_| m.sentence()).collect();
    with(m, &format!("Subject:\r\n {}\r\nCc:\r\n\ta@x.test\r\n\t,\r\n  b@x.test\r\n", words.join("\r\n\t")))
}

fn flood(m: &mut Maker) -> Vec<u8> {
    let fields: String = (0..1000 + m.below(1000)).map(|n| format!("X-Flood-{n}: {n}\r\n")).collect();
    with(m, &fields)
}

fn long_field(m: &mut Maker) -> Vec<u8> {
    let count = 1000 + m.below(3000);
    let value = "a very long value that was folded ".repeat(count).replace("that ", "that\r\n ");
    with(m, &format!("X-Long: {value}\r\n"))
}

fn resent(m: &mut Maker) -> Vec<u8> {
    let fields = format!(
        "Resent-From: {}\r\nResent-To: {}\r\nResent-Date: {}\r\nResent-Message-ID: {}\r\n",
        m.mailbox(),
        m.mailbox(),
        m.date(),
        m.message_id()
    );
    with(m, &fields)
}

fn automatic(m: &mut Maker) -> Vec<u8> {
    let id = m.message_id();
    let kind = m.pick(&["auto-replied", "auto-generated; type=vacation", "no"]);
    with(m, &format!("Auto-Submitted: {kind}\r\nX-Auto-Response-Suppress: All\r\nIn-Reply-To: {id}\r\n"))
}
