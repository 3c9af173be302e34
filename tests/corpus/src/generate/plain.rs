//! Messages of one part.

use super::{
    Shape,
    maker::{Maker, base64, quoted_printable},
    text::LEGACY,
};

pub(super) const SHAPES: &[Shape] = &[
    ("plain-ascii", ascii),
    ("plain-without-mime", without_mime),
    ("plain-utf8-8bit", utf8_8bit),
    ("plain-utf8-qp", utf8_qp),
    ("plain-utf8-base64", utf8_base64),
    ("plain-legacy-8bit", legacy_8bit),
    ("plain-legacy-qp", legacy_qp),
    ("plain-legacy-base64", legacy_base64),
    ("plain-flowed", flowed),
    ("plain-html", html),
    ("plain-html-qp", html_qp),
    ("plain-empty-body", empty_body),
    ("plain-one-character", one_character),
    ("plain-no-final-newline", no_final_newline),
    ("plain-dots", dots),
    ("plain-from-lines", from_lines),
    ("plain-998", line_998),
    ("plain-long-line", long_line),
    ("plain-large", large),
    ("plain-blank-lines", blank_lines),
    ("plain-pdf", pdf),
    ("plain-uuencode", uuencode),
];

fn ascii(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    (m.mime("text/plain; charset=us-ascii", "7bit") + &text).into_bytes()
}

fn without_mime(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    (m.header() + "\r\n" + &text + "\r\n-- \r\nsignature\r\n").into_bytes()
}

fn utf8_8bit(m: &mut Maker) -> Vec<u8> {
    let language = m.language();
    let text = m.native(language);
    let head = m.mime("text/plain; charset=UTF-8", "8bit");
    head.replace("MIME-Version", &format!("Content-Language: {}\r\nMIME-Version", language.tag))
        .into_bytes()
        .into_iter()
        .chain(text.into_bytes())
        .collect()
}

fn utf8_qp(m: &mut Maker) -> Vec<u8> {
    let language = m.language();
    let text = m.native(language);
    (m.mime("text/plain; charset=utf-8", "quoted-printable") + &quoted_printable(text.as_bytes()))
        .into_bytes()
}

fn utf8_base64(m: &mut Maker) -> Vec<u8> {
    let language = m.language();
    let text = m.native(language);
    (m.mime("text/plain; charset=\"utf-8\"", "base64") + &base64(text.as_bytes())).into_bytes()
}

fn legacy_8bit(m: &mut Maker) -> Vec<u8> {
    let (label, _, body) = m.pick(&LEGACY[..LEGACY.len() - 2]);
    let head = m.mime(&format!("text/plain; charset={label}"), "8bit");
    [head.as_bytes(), body, m.ascii().as_bytes()].concat()
}

fn legacy_qp(m: &mut Maker) -> Vec<u8> {
    let (label, _, body) = m.pick(LEGACY);
    let head = m.mime(&format!("text/plain; charset=\"{label}\""), "Quoted-Printable");
    (head + &quoted_printable(body) + &m.ascii()).into_bytes()
}

fn legacy_base64(m: &mut Maker) -> Vec<u8> {
    let (label, _, body) = m.pick(LEGACY);
    (m.mime(&format!("text/plain; charset={label}"), "BASE64") + &base64(&body.repeat(1 + m.below(40))))
        .into_bytes()
}

fn flowed(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii().replace(".\r\n", " \r\n");
    let quoted = format!("> {}\r\n>> {}\r\n{text}", m.sentence(), m.sentence());
    (m.mime("text/plain; charset=utf-8; format=flowed; delsp=no", "7bit") + &quoted).into_bytes()
}

fn page(m: &mut Maker) -> String {
    let (title, text, language) = (m.sentence(), m.sentence(), m.language());
    let native = m.native(language);
    format!(
        "<!DOCTYPE html>\r\n<html><head><meta charset=\"utf-8\"><title>{title}</title>\r\n\
         <style>p {{ color: #333 }} /* <p> */</style></head>\r\n<body><!-- hidden --><p>{text}</p>\r\n\
         <table><tr><td>&lt;1&gt;</td><td>&eacute;&#8364;</td></tr></table><br/><a href=\"http://x.test/?a=1&amp;b\">\
         link</a>\r\n<p>{native}</p><script>if (1 < 2) {{ alert(\"no\") }}</script></body></html>\r\n"
    )
}

fn html(m: &mut Maker) -> Vec<u8> {
    let page = page(m);
    (m.mime("text/html; charset=utf-8", "8bit") + &page).into_bytes()
}

fn html_qp(m: &mut Maker) -> Vec<u8> {
    let page = page(m);
    (m.mime("text/html; charset=utf-8", "quoted-printable") + &quoted_printable(page.as_bytes())).into_bytes()
}

fn empty_body(m: &mut Maker) -> Vec<u8> {
    m.mime("text/plain", "").into_bytes()
}

fn one_character(m: &mut Maker) -> Vec<u8> {
    (m.header() + "\r\n.").replace("\r\n\r\n.", "\r\n\r\nx\r\n").into_bytes()
}

fn no_final_newline(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    (m.header() + "\r\n" + text.trim_end()).into_bytes()
}

fn dots(m: &mut Maker) -> Vec<u8> {
    let text = m.sentence();
    (m.header() + "\r\n.\r\n..\r\n...\r\n. \r\n.x\r\n" + &text + "\r\n.\r\nRCPT TO:<x@y>\r\n.\r\n")
        .into_bytes()
}

fn from_lines(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    (m.header() + "\r\nFrom here on\r\n>From there\r\n\r\nFrom x@y Mon Jan  1 00:00:00 2001\r\n" + &text)
        .into_bytes()
}

fn line_998(m: &mut Maker) -> Vec<u8> {
    let letter = m.pick(&["a", "b", "c", "."]);
    (m.header() + "\r\n" + &letter.repeat(998) + "\r\n" + &letter.repeat(997) + "\r\n").into_bytes()
}

fn long_line(m: &mut Maker) -> Vec<u8> {
    let words = 2000 + m.below(20_000);
    (m.mime("text/plain", "") + &"word ".repeat(words) + "\r\n").into_bytes()
}

fn large(m: &mut Maker) -> Vec<u8> {
    let text: String = (0..200 + m.below(800)).map(|_| m.sentence() + "\r\n").collect();
    (m.mime("text/plain; charset=us-ascii", "") + &text).into_bytes()
}

fn blank_lines(m: &mut Maker) -> Vec<u8> {
    let (blank, text) = ("\r\n".repeat(1 + m.below(50)), m.ascii());
    (m.header() + "\r\n" + &blank + &text + " \t\r\n" + &blank).into_bytes()
}

fn pdf(m: &mut Maker) -> Vec<u8> {
    let octets = m.octets(20_000);
    (m.mime("application/pdf; name=\"a report.pdf\"", "base64") + &base64(&octets)).into_bytes()
}

fn uuencode(m: &mut Maker) -> Vec<u8> {
    let text = m.ascii();
    (m.mime("text/plain", "x-uuencode") + &text + "begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n").into_bytes()
}
