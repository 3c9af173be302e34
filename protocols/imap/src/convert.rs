//! Stored summaries as ENVELOPE and BODYSTRUCTURE.

use content_mail as content;
use imap_proto::render::{Address, BodyKind, BodyPart, Disposition, Envelope};

/// The envelope as IMAP tells it (RFC 9051 §7.5.2).
pub(crate) fn envelope(from: &content::Envelope) -> Envelope<'_> {
    Envelope {
        date: bytes(from.date.as_ref()),
        subject: bytes(from.subject.as_ref()),
        from: addresses(&from.from),
        sender: addresses(&from.sender),
        reply_to: addresses(&from.reply_to),
        to: addresses(&from.to),
        cc: addresses(&from.cc),
        bcc: addresses(&from.bcc),
        in_reply_to: bytes(from.in_reply_to.as_ref()),
        message_id: bytes(from.message_id.as_ref()),
    }
}

fn addresses(list: &[content::Address]) -> Vec<Address<'_>> {
    content::address::imap(list)
        .map(|[name, _route, mailbox, host]| Address {
            name: name.map(str::as_bytes),
            mailbox: mailbox.map(str::as_bytes),
            host: host.map(str::as_bytes),
        })
        .collect()
}

fn bytes(text: Option<&String>) -> Option<&[u8]> {
    text.map(String::as_bytes)
}

/// The structure as IMAP tells it (RFC 9051 §7.5.2). As deep as the parser's limit on nesting allows.
pub(crate) fn structure(part: &content::Part) -> BodyPart<'_> {
    let kind = match &part.content {
        content::Content::Multipart(children) => {
            BodyKind::Multipart(children.iter().map(structure).collect())
        }
        content::Content::Message(message) => BodyKind::Message {
            envelope: Box::new(envelope(&message.envelope)),
            body: Box::new(structure(&message.part)),
            lines: part.lines,
        },
        content::Content::Leaf if part.content_type.kind == "text" => BodyKind::Text { lines: part.lines },
        content::Content::Leaf => BodyKind::Basic,
    };
    BodyPart {
        media_type: part.content_type.kind.as_bytes(),
        subtype: part.content_type.subtype.as_bytes(),
        parameters: parameters(&part.content_type.params),
        id: bytes(part.id.as_ref()),
        description: bytes(part.description.as_ref()),
        encoding: part.encoding.as_str().as_bytes(),
        size: part.size(),
        kind,
        md5: bytes(part.md5.as_ref()),
        disposition: part.disposition.as_ref().map(|disposition| Disposition {
            kind: disposition.kind.as_bytes(),
            parameters: parameters(&disposition.params),
        }),
        languages: part.language.iter().map(String::as_bytes).collect(),
        location: bytes(part.location.as_ref()),
    }
}

fn parameters(params: &[(String, String)]) -> Vec<(&[u8], &[u8])> {
    params.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use imap_proto::render;

    fn rendered(message: &str) -> String {
        let summary = content::summarize(message.as_bytes(), &content::Limits::default());
        let mut out = Vec::new();
        render::body_structure(&mut out, &structure(&summary.structure), false);
        out.push(b' ');
        render::envelope(&mut out, &envelope(&summary.envelope));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_in_a_multipart() {
        let text = rendered(
            "From: A <a@b.c>\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n\
             --q\r\n\r\nhi\r\n--q\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nz\r\n--q--\r\n",
        );
        let expected = "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 1)\
             (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 15 (NIL \"y\" NIL NIL NIL NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 1) 3) \"mixed\") \
             (NIL \"x\" ((\"A\" NIL \"a\" \"b.c\")) ((\"A\" NIL \"a\" \"b.c\")) ((\"A\" NIL \"a\" \"b.c\")) NIL NIL NIL NIL NIL)";
        assert_eq!(text, expected);
    }
}
