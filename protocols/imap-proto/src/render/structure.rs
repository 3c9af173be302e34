//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2).

use super::string::list;
use super::{Envelope, envelope, nstring, number, string};
use crate::limits;

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyPart<'a> {
    /// `text`, `image`, …
    pub media_type: &'a [u8],
    /// `plain`, `png`, …
    pub subtype: &'a [u8],
    /// Parameters of Content-Type.
    pub parameters: Vec<(&'a [u8], &'a [u8])>,
    /// Content-ID
    pub id: Option<&'a [u8]>,
    /// Content-Description
    pub description: Option<&'a [u8]>,
    /// Content-Transfer-Encoding; empty means `7bit`.
    pub encoding: &'a [u8],
    /// Size of the body as encoded, in bytes.
    pub size: u64,
    /// What depends on the media type.
    pub kind: BodyKind<'a>,
    /// Content-MD5
    pub md5: Option<&'a [u8]>,
    /// Content-Disposition
    pub disposition: Option<Disposition<'a>>,
    /// Content-Language
    pub languages: Vec<&'a [u8]>,
    /// Content-Location
    pub location: Option<&'a [u8]>,
}

/// What a part is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyKind<'a> {
    /// Neither of the others.
    Basic,
    /// `text/*`, with its number of lines.
    Text {
        /// Lines of the body as encoded.
        lines: u64,
    },
    /// `message/rfc822` or `message/global`.
    Message {
        /// Envelope of the message within.
        envelope: Box<Envelope<'a>>,
        /// Its structure.
        body: Box<BodyPart<'a>>,
        /// Lines of the body as encoded.
        lines: u64,
    },
    /// `multipart/*`, with its parts.
    Multipart(Vec<BodyPart<'a>>),
}

/// Content-Disposition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition<'a> {
    /// `attachment`, `inline`, …
    pub kind: &'a [u8],
    /// Its parameters.
    pub parameters: Vec<(&'a [u8], &'a [u8])>,
}

/// `body = "(" (body-type-1part / body-type-mpart) ")"` (RFC 9051 §9); `extended`: with the extension data
/// that BODYSTRUCTURE has and BODY has not. Deeper than [`limits::DEPTH`] parts are told as plain bytes.
pub fn body_structure(out: &mut Vec<u8>, part: &BodyPart<'_>, extended: bool) {
    write(out, part, extended, limits::DEPTH);
}

fn write(out: &mut Vec<u8>, part: &BodyPart<'_>, extended: bool, depth: usize) {
    out.push(b'(');
    match &part.kind {
        BodyKind::Multipart(parts) if depth > 0 && !parts.is_empty() => {
            for part in parts {
                write(out, part, extended, depth - 1);
            }
            out.push(b' ');
            string(out, part.subtype);
            if extended {
                // body-ext-mpart = body-fld-param [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc]]]
                out.push(b' ');
                write_parameters(out, &part.parameters);
                write_tail(out, part);
            }
        }
        _ => single(out, part, extended, depth),
    }
    out.push(b')');
}

/// `body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part]`
fn single(out: &mut Vec<u8>, part: &BodyPart<'_>, extended: bool, depth: usize) {
    let too_deep = depth == 0 && !matches!(part.kind, BodyKind::Basic | BodyKind::Text { .. });
    let empty_multipart = matches!(part.kind, BodyKind::Multipart(_));
    let (media_type, subtype): (&[u8], &[u8]) = if too_deep || empty_multipart {
        (b"application", b"octet-stream")
    } else {
        (part.media_type, part.subtype)
    };
    string(out, media_type);
    out.push(b' ');
    string(out, subtype);
    // body-fields = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP body-fld-octets
    out.push(b' ');
    write_parameters(out, &part.parameters);
    out.push(b' ');
    nstring(out, part.id);
    out.push(b' ');
    nstring(out, part.description);
    out.push(b' ');
    string(out, if part.encoding.is_empty() { b"7bit" } else { part.encoding });
    out.push(b' ');
    number(out, part.size);
    match &part.kind {
        BodyKind::Text { lines } => {
            out.push(b' ');
            number(out, *lines);
        }
        BodyKind::Message { envelope: inner, body, lines } if !too_deep => {
            // body-type-msg = media-message SP body-fields SP envelope SP body SP body-fld-lines
            out.push(b' ');
            envelope(out, inner);
            out.push(b' ');
            write(out, body, extended, depth - 1);
            out.push(b' ');
            number(out, *lines);
        }
        _ => {}
    }
    if extended {
        // body-ext-1part = body-fld-md5 [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc]]]
        out.push(b' ');
        nstring(out, part.md5);
        write_tail(out, part);
    }
}

/// `body-fld-param = "(" string SP string *(SP string SP string) ")" / nil`
fn write_parameters(out: &mut Vec<u8>, parameters: &[(&[u8], &[u8])]) {
    if parameters.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    list(out, parameters, |out, (name, value)| {
        string(out, name);
        out.push(b' ');
        string(out, value);
    });
}

/// `SP body-fld-dsp SP body-fld-lang SP body-fld-loc`
fn write_tail(out: &mut Vec<u8>, part: &BodyPart<'_>) {
    match &part.disposition {
        Some(disposition) => {
            out.extend_from_slice(b" (");
            string(out, disposition.kind);
            out.push(b' ');
            write_parameters(out, &disposition.parameters);
            out.push(b')');
        }
        None => out.extend_from_slice(b" NIL"),
    }
    out.push(b' ');
    match &part.languages[..] {
        [] => out.extend_from_slice(b"NIL"),
        [one] => string(out, one),
        many => list(out, many, |out, language| string(out, language)),
    }
    out.push(b' ');
    nstring(out, part.location);
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    fn text(subtype: &'static str, size: u64, lines: u64) -> BodyPart<'static> {
        BodyPart {
            media_type: b"TEXT",
            subtype: subtype.as_bytes(),
            parameters: vec![(b"CHARSET", b"US-ASCII")],
            id: None,
            description: None,
            encoding: b"7BIT",
            size,
            kind: BodyKind::Text { lines },
            md5: None,
            disposition: None,
            languages: vec![],
            location: None,
        }
    }

    fn multipart(parts: Vec<BodyPart<'static>>) -> BodyPart<'static> {
        BodyPart { subtype: b"MIXED", parameters: vec![], kind: BodyKind::Multipart(parts), ..text("", 0, 0) }
    }

    /// RFC 9051 §7.5.2
    #[test]
    fn examples_of_the_rfc() {
        let simple = "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 2279 48)";
        assert_eq!(written(|o| body_structure(o, &text("PLAIN", 2279, 48), false)), simple);
        let mut second = text("PLAIN", 4554, 73);
        second.parameters.push((b"NAME", b"cc.diff"));
        second.id = Some(b"<960723163407.20117h@cac.washington.edu>");
        second.description = Some(b"Compiler diff");
        second.encoding = b"BASE64";
        let mixed = multipart(vec![text("PLAIN", 1152, 23), second]);
        assert_eq!(
            written(|o| body_structure(o, &mixed, false)),
            "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1152 23)\
             (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\" \"NAME\" \"cc.diff\") \
             \"<960723163407.20117h@cac.washington.edu>\" \"Compiler diff\" \"BASE64\" 4554 73) \"MIXED\")"
        );
    }

    #[test]
    fn extension_data() {
        let mut part = text("PLAIN", 1, 1);
        let expected = "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1 1 NIL NIL NIL NIL)";
        assert_eq!(written(|o| body_structure(o, &part, true)), expected);
        part.disposition = Some(Disposition { kind: b"attachment", parameters: vec![(b"filename", b"a")] });
        part.languages = vec![b"de", b"en"];
        part.location = Some(b"http://x");
        part.md5 = Some(b"md5");
        let text = written(|o| body_structure(o, &multipart(vec![part]), true));
        let tail = "\"md5\" (\"attachment\" (\"filename\" \"a\")) (\"de\" \"en\") \"http://x\") \"MIXED\" NIL NIL NIL NIL)";
        assert!(text.ends_with(tail), "{text}");
    }

    #[test]
    fn a_message_within() {
        let (envelope, body) = (Box::default(), Box::new(text("PLAIN", 5, 1)));
        let part = BodyPart {
            media_type: b"message",
            subtype: b"rfc822",
            parameters: vec![],
            encoding: b"",
            kind: BodyKind::Message { envelope, body, lines: 9 },
            ..text("", 100, 0)
        };
        assert_eq!(
            written(|o| body_structure(o, &part, false)),
            "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 100 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) \
             (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 5 1) 9)"
        );
    }

    #[test]
    fn depth_is_bounded_and_no_multipart_is_empty() {
        let mut part = multipart(vec![]);
        for _ in 0..300 {
            part = multipart(vec![part]);
        }
        let text = written(|o| body_structure(o, &part, true));
        assert_eq!(text.matches("octet-stream").count(), 1);
        assert_eq!(text.matches('(').count(), text.matches(')').count());
        assert!(written(|o| body_structure(o, &multipart(vec![]), false)).contains("\"octet-stream\""));
    }
}
