//! Messages that break rules, as they are found in real mailboxes and in attacks.

use super::{
    Shape,
    maker::{Maker, part},
};

pub(super) const SHAPES: &[Shape] = &[
    ("broken-bare-lf", bare_lf),
    ("broken-mixed-line-ends", mixed_line_ends),
    ("broken-bare-cr", bare_cr),
    ("broken-nul", nul),
    ("broken-control-characters", control_characters),
    ("broken-8bit-in-7bit", eight_bit_in_seven),
    ("broken-unterminated", unterminated),
    ("broken-no-boundary", no_boundary),
    ("broken-boundary-never-seen", boundary_never_seen),
    ("broken-boundary-prefix", boundary_prefix),
    ("broken-boundary-twice", boundary_twice),
    ("broken-delimiter-in-header", delimiter_in_header),
    ("broken-no-blank-line", no_blank_line),
    ("broken-header-line", header_line),
    ("broken-blank-fold", blank_fold),
    ("broken-header-only", header_only),
    ("broken-no-header", no_header),
    ("broken-mbox-line", mbox_line),
    ("broken-base64", base64),
    ("broken-quoted-printable", quoted_printable),
    ("broken-content-type", content_type),
    ("broken-encoded-words", encoded_words),
    ("broken-addresses", addresses),
    ("broken-date", date),
    ("broken-deep", deep),
    ("broken-encoded-message", encoded_message),
    ("broken-truncated", truncated),
    ("broken-random", random),
];

/// A well-formed message to break.
fn whole(m: &mut Maker) -> String {
    let parts = [part("text/plain", "", &m.ascii()), part("text/html", "", "<p>x</p>\r\n")];
    String::from_utf8_lossy(&m.multipart_message("alternative", &parts)).into_owned()
}

fn bare_lf(m: &mut Maker) -> Vec<u8> {
    whole(m).replace("\r\n", "\n").into_bytes()
}

fn mixed_line_ends(m: &mut Maker) -> Vec<u8> {
    let mut out = String::new();
    for line in whole(m).split("\r\n") {
        out += line;
        out += m.pick(&["\r\n", "\n", "\r\n"]);
    }
    out.into_bytes()
}

fn bare_cr(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii().replace(' ', "\r");
    (m.header() + "\r\n" + &text).into_bytes()
}

fn nul(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii().replace(' ', "\0");
    (m.header() + "X-Nul: a\0b\r\n\r\n" + &text).into_bytes()
}

fn control_characters(m: &mut Maker) -> Vec<u8> {
    let text: String = (1..32).filter(|c| !matches!(c, 10 | 13)).map(char::from).collect();
    (m.header() + &format!("X-Control: {text}\r\n\r\n{text}\x7f\r\n")).into_bytes()
}

fn eight_bit_in_seven(m: &mut Maker) -> Vec<u8> {
    let head = m.mime("text/plain; charset=us-ascii", "7bit");
    let octets: Vec<u8> = m.octets(500).into_iter().filter(|b| *b >= 128).collect();
    [head.as_bytes(), &octets, b"\r\n"].concat()
}

fn unterminated(m: &mut Maker) -> Vec<u8> {
    let message = whole(m);
    let end = message.rfind("\r\n--").unwrap_or(message.len());
    (message[..end].to_owned() + "\r\n").into_bytes()
}

fn no_boundary(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    let kind = m.pick(&["multipart/mixed", "multipart/mixed; boundary=", "multipart/mixed; boundary=\"\""]);
    (m.mime(kind, "") + "--x\r\n\r\n" + &text + "--x--\r\n").into_bytes()
}

fn boundary_never_seen(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    (m.mime("multipart/mixed; boundary=wanted", "") + "--other\r\n\r\n" + &text + "--other--\r\n")
        .into_bytes()
}

fn boundary_prefix(m: &mut Maker) -> Vec<u8> {
    let (first, second) = (m.ascii(), m.ascii());
    let inner = format!("Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\r\n{first}--ab--\r\n");
    (m.mime("multipart/mixed; boundary=a", "") + &format!("--a\r\n{inner}--a\r\n\r\n{second}--a--\r\n"))
        .into_bytes()
}

fn boundary_twice(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    let inner = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{text}--b--\r\n");
    (m.mime("multipart/mixed; boundary=b", "") + &format!("--b\r\n{inner}--b\r\n\r\nlost\r\n--b--\r\n"))
        .into_bytes()
}

fn delimiter_in_header(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    let body =
        format!("--b\r\nContent-Type: text/html\r\n--b\r\n--b\r\n\r\n{text}\r\n--b--\r\n--b\r\nlate\r\n");
    (m.mime("multipart/mixed; boundary=b", "") + &body).into_bytes()
}

fn no_blank_line(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    (m.header() + &text + "\r\n" + &text).into_bytes()
}

fn header_line(m: &mut Maker) -> Vec<u8> {
    let (head, text) = (m.header(), m.ascii());
    format!("{head}this line is no field\r\nX-After: 1\r\n\r\n{text}").into_bytes()
}

fn blank_fold(m: &mut Maker) -> Vec<u8> {
    let (head, text) = (m.header(), m.ascii());
    format!("{head}X-Fold: a\r\n \r\n\t\r\n b\r\n\r\n{text}").into_bytes()
}

fn header_only(m: &mut Maker) -> Vec<u8> {
    m.header().into_bytes()
}

fn no_header(m: &mut Maker) -> Vec<u8> {
    ("\r\n".to_owned() + &m.ascii()).into_bytes()
}

fn mbox_line(m: &mut Maker) -> Vec<u8> {
    let (address, head, text) = (m.address(), m.header(), m.ascii());
    format!("From {address} Mon Jan  1 00:00:00 2001\r\n{head}\r\n{text}").into_bytes()
}

fn base64(m: &mut Maker) -> Vec<u8> {
    let body = m.pick(&[
        "SGVs\r\nbG8",
        "SGVsbG8=SGVsbG8=",
        "S G V s b G 8 =",
        "====",
        "SGV*&^sbG8=\r\n-- \r\nfooter of a list\r\n",
    ]);
    (m.mime("text/plain; charset=utf-8", "base64") + body + "\r\n").into_bytes()
}

fn quoted_printable(m: &mut Maker) -> Vec<u8> {
    let body = m.pick(&["=ZZ =4 ==3D =", "end=", "caf=e9 =C3\r\n=A9", "a  \t\r\n= \r\nb"]);
    (m.mime("text/plain; charset=utf-8", "quoted-printable") + body + "\r\n").into_bytes()
}

fn content_type(m: &mut Maker) -> Vec<u8> {
    let kind = m.pick(&[
        "text",
        "text/",
        "/plain",
        "text/plain charset=utf-8",
        ";;;",
        "text/plain; charset",
        "\"text/html\"",
        "text/plain; charset=\"utf-8",
    ]);
    let text = m.ascii();
    (m.mime(kind, "7-bit") + &text).into_bytes()
}

fn encoded_words(m: &mut Maker) -> Vec<u8> {
    let word = m.pick(&[
        "=?utf-8?Q?open",
        "=?utf-8?X?a?=",
        "=?utf-8?B?4oI=?= =?utf-8?B?rA==?=",
        "=?utf-8?Q?a b=0D=0ABcc: x?=",
        "=??Q??=",
    ]);
    let (head, text) = (m.header(), m.ascii());
    format!("Subject: {word}\r\n{head}\r\n{text}").into_bytes()
}

fn addresses(m: &mut Maker) -> Vec<u8> {
    let list = m.pick(&[
        "<<a@b>>",
        "\"open <a@b>",
        "a@b@c",
        "(((((",
        "Team: a@b",
        "a b c",
        "a@[1.2.3",
        "@",
        ";,;,:",
        "\"\\",
    ]);
    let (head, text) = (m.header(), m.ascii());
    format!("Cc: {list}\r\nReply-To: {list}\r\n{head}\r\n{text}").into_bytes()
}

fn date(m: &mut Maker) -> Vec<u8> {
    let date = m.pick(&[
        "yesterday",
        "Mon, 32 Foo 2001 25:61:61 +9999",
        "",
        "1/2/03",
        "Thu, 1 Jan 70 00:00 EST",
        "2024-01-01T00:00:00Z",
    ]);
    let text = m.ascii();
    format!("Date: {date}\r\nFrom: a@x.test\r\n\r\n{text}").into_bytes()
}

fn deep(m: &mut Maker) -> Vec<u8> {
    let levels = 30 + m.below(200);
    let mut out = m.header();
    for level in 0..levels {
        out += &format!("Content-Type: multipart/mixed; boundary=\"b{level}\"\r\n\r\n--b{level}\r\n");
    }
    (out + "\r\nbottom\r\n").into_bytes()
}

fn encoded_message(m: &mut Maker) -> Vec<u8> {
    let inner = super::maker::base64(whole(m).as_bytes());
    (m.mime("message/rfc822", "base64") + &inner).into_bytes()
}

fn truncated(m: &mut Maker) -> Vec<u8> {
    let message = whole(m).into_bytes();
    let end = m.below(message.len());
    message[..end].to_vec()
}

fn random(m: &mut Maker) -> Vec<u8> {
    m.octets(2000)
}
