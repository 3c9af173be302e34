//! Messages of several parts, well-formed.

use super::{
    Shape,
    maker::{Maker, base64, encoded_word, part, quoted_printable},
};

pub(super) const SHAPES: &[Shape] = &[
    ("multipart-alternative", alternative),
    ("multipart-attachment", attachment),
    ("multipart-related", related),
    ("multipart-all-three", all_three),
    ("multipart-forward", forward),
    ("multipart-forwards-nested", forwards_nested),
    ("multipart-message-only", message_only),
    ("multipart-global", global),
    ("multipart-digest", digest),
    ("multipart-pgp-signed", pgp_signed),
    ("multipart-smime-signed", smime_signed),
    ("multipart-encrypted", encrypted),
    ("multipart-invitation", invitation),
    ("multipart-contact", contact),
    ("multipart-many", many),
    ("multipart-nested", nested),
    ("multipart-empty-parts", empty_parts),
    ("multipart-names-2231", names_2231),
    ("multipart-names-2047", names_2047),
    ("multipart-apple-double", apple_double),
    ("multipart-one-part", one_part),
    ("multipart-preamble-epilogue", preamble_epilogue),
    ("multipart-languages", languages),
    ("multipart-all-fields", all_fields),
    ("multipart-large-attachment", large_attachment),
    ("multipart-form-data", form_data),
];

fn text(m: &mut Maker) -> String {
    let language = m.language();
    match m.below(3) {
        0 => part("text/plain; charset=us-ascii", "", &m.ascii()),
        1 => {
            let text = quoted_printable(m.native(language).as_bytes());
            part("text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable\r\n", &text)
        }
        _ => {
            let text = base64(m.native(language).as_bytes());
            part("text/plain; charset=utf-8", "Content-Transfer-Encoding: base64\r\n", &text)
        }
    }
}

fn html(m: &mut Maker) -> String {
    let language = m.language();
    let page = format!("<html><body><p>{}</p><img src=\"cid:1@x\"></body></html>\r\n", m.native(language));
    let encoded = quoted_printable(page.as_bytes());
    part("text/html; charset=\"utf-8\"", "Content-Transfer-Encoding: quoted-printable\r\n", &encoded)
}

fn file(m: &mut Maker, kind: &str, fields: &str) -> String {
    let octets = m.octets(3000);
    part(kind, &format!("{fields}Content-Transfer-Encoding: base64\r\n"), &base64(&octets))
}

fn image(m: &mut Maker) -> String {
    file(m, "image/png; name=a.png", "Content-ID: <1@x>\r\nContent-Disposition: inline; filename=a.png\r\n")
}

/// A multipart as a part.
fn inner(m: &mut Maker, subtype: &str, parts: &[String]) -> String {
    let (content_type, body) = m.multipart(subtype, parts);
    part(&content_type, "", &body)
}

fn alternative(m: &mut Maker) -> Vec<u8> {
    let parts = [text(m), html(m)];
    m.multipart_message("alternative", &parts)
}

fn attachment(m: &mut Maker) -> Vec<u8> {
    let kind =
        m.pick(&["application/pdf", "application/zip", "audio/mpeg", "text/csv", "application/octet-stream"]);
    let parts =
        [text(m), file(m, kind, "Content-Disposition: attachment; filename=\"a file.bin\"; size=12\r\n")];
    m.multipart_message("mixed", &parts)
}

fn related(m: &mut Maker) -> Vec<u8> {
    let parts = [html(m), image(m), image(m)];
    m.multipart_message("related; type=\"text/html\"; start=\"<0@x>\"", &parts)
}

fn all_three(m: &mut Maker) -> Vec<u8> {
    let page = [html(m), image(m)];
    let related = inner(m, "related", &page);
    let versions = [text(m), related];
    let alternative = inner(m, "alternative", &versions);
    let parts = [alternative, file(m, "application/msword", "Content-Disposition: attachment\r\n"), text(m)];
    m.multipart_message("mixed", &parts)
}

/// A whole message, as text; only of shapes that are valid UTF-8.
fn enclosed(m: &mut Maker) -> String {
    let message = match m.below(3) {
        0 => alternative(m),
        1 => attachment(m),
        _ => (m.header() + "\r\n" + &m.ascii()).into_bytes(),
    };
    String::from_utf8_lossy(&message).into_owned()
}

fn forward(m: &mut Maker) -> Vec<u8> {
    let message = enclosed(m);
    let parts = [
        text(m),
        part("message/rfc822", "Content-Disposition: attachment; filename=\"mail.eml\"\r\n", &message),
    ];
    m.multipart_message("mixed", &parts)
}

fn forwards_nested(m: &mut Maker) -> Vec<u8> {
    let mut message = enclosed(m);
    for _ in 0..2 + m.below(8) {
        let parts = [text(m), part("message/rfc822", "", &message)];
        message = String::from_utf8_lossy(&m.multipart_message("mixed", &parts)).into_owned();
    }
    message.into_bytes()
}

fn message_only(m: &mut Maker) -> Vec<u8> {
    let message = enclosed(m);
    (m.mime("message/rfc822", "7bit") + &message).into_bytes()
}

fn global(m: &mut Maker) -> Vec<u8> {
    let language = m.language();
    let message = format!(
        "Subject: {}\r\nFrom: j\u{f6}rg@b\u{fc}cher.test\r\n\r\n{}",
        language.subject,
        m.native(language)
    );
    let parts = [text(m), part("message/global", "Content-Transfer-Encoding: 8bit\r\n", &message)];
    m.multipart_message("mixed", &parts)
}

fn digest(m: &mut Maker) -> Vec<u8> {
    let messages: Vec<String> = (0..1 + m.below(6)).map(|_| format!("\r\n{}", enclosed(m))).collect();
    m.multipart_message("digest", &messages)
}

fn pgp_signed(m: &mut Maker) -> Vec<u8> {
    let signature =
        "-----BEGIN PGP SIGNATURE-----\r\n\r\niQEzBAEBCAAdFiEE\r\n=abcd\r\n-----END PGP SIGNATURE-----\r\n";
    let parts = [
        text(m),
        part(
            "application/pgp-signature; name=\"signature.asc\"",
            "Content-Description: OpenPGP signature\r\n",
            signature,
        ),
    ];
    m.multipart_message("signed; micalg=pgp-sha512;\r\n\tprotocol=\"application/pgp-signature\"", &parts)
}

fn smime_signed(m: &mut Maker) -> Vec<u8> {
    let parts = [
        html(m),
        file(
            m,
            "application/pkcs7-signature; name=smime.p7s",
            "Content-Disposition: attachment; filename=smime.p7s\r\n",
        ),
    ];
    m.multipart_message("signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256", &parts)
}

fn encrypted(m: &mut Maker) -> Vec<u8> {
    let parts =
        [part("application/pgp-encrypted", "", "Version: 1\r\n"), file(m, "application/octet-stream", "")];
    m.multipart_message("encrypted; protocol=\"application/pgp-encrypted\"", &parts)
}

fn invitation(m: &mut Maker) -> Vec<u8> {
    let (number, summary, address) = (m.number, m.sentence(), m.address());
    let calendar = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:{number}@x\r\n\
         DTSTAMP:20240101T000000Z\r\nDTSTART;TZID=Europe/Berlin:20240102T100000\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\n\
         SUMMARY:{summary}\r\nATTENDEE;RSVP=TRUE:mailto:{address}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    let parts = [
        text(m),
        part("text/calendar; charset=utf-8; method=REQUEST", "", &calendar),
        part(
            "application/ics; name=invite.ics",
            "Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n",
            &base64(calendar.as_bytes()),
        ),
    ];
    m.multipart_message("mixed", &parts)
}

fn contact(m: &mut Maker) -> Vec<u8> {
    let card =
        format!("BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ann Example\r\nEMAIL:{}\r\nEND:VCARD\r\n", m.address());
    let parts = [text(m), part("text/vcard; charset=utf-8; name=ann.vcf", "", &card)];
    m.multipart_message("mixed", &parts)
}

fn many(m: &mut Maker) -> Vec<u8> {
    let parts: Vec<String> = (0..50 + m.below(150))
        .map(|n| part(&format!("text/plain; name=\"{n}.txt\""), "", &m.ascii()))
        .collect();
    m.multipart_message("mixed", &parts)
}

fn nested(m: &mut Maker) -> Vec<u8> {
    let mut part = text(m);
    for _ in 0..3 + m.below(20) {
        let parts = [part, text(m)];
        let subtype = m.pick(&["mixed", "alternative", "related", "parallel", "x-own"]);
        part = inner(m, subtype, &parts);
    }
    let parts = [part];
    m.multipart_message("mixed", &parts)
}

fn empty_parts(m: &mut Maker) -> Vec<u8> {
    let parts = [
        "\r\n".to_owned(),
        part("text/plain", "", ""),
        part("application/x-empty", "Content-Transfer-Encoding: base64\r\n", ""),
        text(m),
    ];
    m.multipart_message("mixed", &parts)
}

fn names_2231(m: &mut Maker) -> Vec<u8> {
    let number = m.number;
    let fields = format!(
        "Content-Disposition: attachment;\r\n filename*0*=utf-8'en'%e2%82%ac%20{number};\r\n filename*1*=%20%c3%bc;\r\n filename*2=\".pdf\"\r\n"
    );
    let parts = [text(m), file(m, "application/pdf;\r\n name*=iso-8859-1''%a3%20rates.pdf", &fields)];
    m.multipart_message("mixed", &parts)
}

fn names_2047(m: &mut Maker) -> Vec<u8> {
    let language = m.language();
    let name = encoded_word("utf-8", format!("{}.doc", language.subject).as_bytes());
    let parts = [
        text(m),
        file(
            m,
            &format!("application/msword; name=\"{name}\""),
            &format!("Content-Disposition: attachment; filename=\"{name}\"\r\n"),
        ),
    ];
    m.multipart_message("mixed", &parts)
}

fn apple_double(m: &mut Maker) -> Vec<u8> {
    let files =
        [file(m, "application/applefile; name=\"%photo\"", ""), file(m, "image/jpeg; name=photo", "")];
    let parts = [text(m), inner(m, "appledouble", &files)];
    m.multipart_message("mixed", &parts)
}

fn one_part(m: &mut Maker) -> Vec<u8> {
    let parts = [text(m)];
    m.multipart_message("mixed", &parts)
}

fn preamble_epilogue(m: &mut Maker) -> Vec<u8> {
    let parts = [text(m), html(m)];
    let (content_type, body) = m.multipart("alternative", &parts);
    let (before, after) = (m.ascii(), m.ascii());
    (m.mime(&content_type, "") + &before + &body + "\r\n" + &after + "--not a delimiter\r\n").into_bytes()
}

fn languages(m: &mut Maker) -> Vec<u8> {
    let parts: Vec<String> = (0..3)
        .map(|_| {
            let language = m.language();
            let message = format!("Subject: =?utf-8?B?QQ==?=\r\n\r\n{}", m.native(language));
            part(
                "message/rfc822",
                &format!("Content-Language: {}, en\r\nContent-Translation-Type: original\r\n", language.tag),
                &message,
            )
        })
        .collect();
    m.multipart_message("multilingual", &parts)
}

fn all_fields(m: &mut Maker) -> Vec<u8> {
    let fields = "Content-ID: <part1@x>\r\nContent-Description: =?utf-8?q?gr=C3=BCn?= picture\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n\
        Content-Location: http://www.example.test/\r\n a/b.png\r\nContent-Language: de (German), en\r\nContent-Base: http://x/\r\n\
        Content-Disposition: inline; filename=\"b.png\"; creation-date=\"Mon, 1 Jan 2001 00:00:00 +0000\"\r\n";
    let parts = [text(m), file(m, "image/png; name=\"b.png\"; x-a=1; x-b=\"a b\"", fields)];
    m.multipart_message("related", &parts)
}

fn large_attachment(m: &mut Maker) -> Vec<u8> {
    let octets = m.octets(256).repeat(2000);
    let parts = [text(m), part("video/mp4", "Content-Transfer-Encoding: base64\r\n", &base64(&octets))];
    m.multipart_message("mixed", &parts)
}

fn form_data(m: &mut Maker) -> Vec<u8> {
    let field =
        |name: &str, value: &str| format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}");
    let parts = [field("a", &m.sentence()), field("b", "")];
    m.multipart_message("form-data", &parts)
}
