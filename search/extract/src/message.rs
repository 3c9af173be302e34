//! The attachments of a message.

use content_mail::{Content, Encoding, Part, decode};

use crate::limits::{INPUT, MESSAGE_FILES, MESSAGE_TEXT};
use crate::{Error, Extractor, Kind};

impl Extractor {
    /// The texts of a message's attachments, those of enclosed messages included, at most [`MESSAGE_TEXT`] bytes of
    /// [`MESSAGE_FILES`] files. `part` is the root of `message`, the whole of it, or any part of it. Parts of type text
    /// are left out: they are searched as they are ([`decode::each_text`]).
    ///
    /// # Errors
    /// When the machine does not let one be read now.
    pub async fn attachments(&self, message: &[u8], part: &Part) -> Result<Vec<String>, Error> {
        let mut files = Vec::new();
        collect(part, &mut files);
        let (mut texts, mut left) = (Vec::new(), MESSAGE_TEXT);
        for (kind, part) in files.into_iter().take(MESSAGE_FILES) {
            let Some(body) = body(message, part) else { continue };
            let file = decode::transfer(&part.encoding, body);
            let Some(mut text) = self.text(kind, &file).await? else { continue };
            text.truncate(text.floor_char_boundary(left));
            left -= text.len();
            if !text.trim().is_empty() {
                texts.push(text);
            }
            if left == 0 {
                break;
            }
        }
        Ok(texts)
    }
}

/// Parts that have a text of their own, in their order.
fn collect<'a>(part: &'a Part, out: &mut Vec<(Kind, &'a Part)>) {
    match &part.content {
        Content::Leaf => out.extend(kind(part).map(|kind| (kind, part))),
        Content::Multipart(children) => children.iter().for_each(|child| collect(child, out)),
        Content::Message(nested) => collect(&nested.part, out),
    }
}

fn kind(part: &Part) -> Option<Kind> {
    let media_type = format!("{}/{}", part.content_type.kind, part.content_type.subtype);
    let kind = Kind::of(&media_type, name(part).unwrap_or_default())?;
    // What is written of RTF is not what is read of it.
    (part.content_type.kind != "text" || kind == Kind::Rtf).then_some(kind)
}

fn name(part: &Part) -> Option<&str> {
    let of =
        |params: &'_ [(String, String)], wanted: &str| params.iter().position(|(name, _)| name == wanted);
    let disposition = part.disposition.as_ref().map_or(&[][..], |d| &d.params);
    if let Some(at) = of(disposition, "filename") {
        return Some(&disposition[at].1);
    }
    of(&part.content_type.params, "name").map(|at| part.content_type.params[at].1.as_str())
}

/// The encoded body; none where its encoding is unknown, or it is too large whatever the encoding.
fn body<'a>(message: &'a [u8], part: &Part) -> Option<&'a [u8]> {
    if matches!(part.encoding, Encoding::Other(_)) {
        return None;
    }
    let range = usize::try_from(part.body.start).ok()?..usize::try_from(part.body.end).ok()?;
    message.get(range).filter(|body| body.len() / 2 <= INPUT)
}

#[cfg(test)]
mod tests {
    use content_mail::{Limits, summarize};

    use super::*;

    #[test]
    fn which_parts_are_read() {
        let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n\
            --b\r\nContent-Type: application/octet-stream; name=\"=?utf-8?q?a=2Edocx?=\"\r\n\
            Content-Disposition: attachment; filename=plan.docx\r\n\r\nPK\r\n\
            --b\r\nContent-Type: text/rtf\r\n\r\n{\\rtf1 a}\r\n\
            --b\r\nContent-Type: image/png; name=a.pdf\r\n\r\nx\r\n\
            --b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n\
            --b--\r\n";
        let summary = summarize(message.as_bytes(), &Limits::default());
        let mut files = Vec::new();
        collect(&summary.structure, &mut files);
        let found: Vec<_> = files
            .iter()
            .map(|(kind, part)| (*kind, body(message.as_bytes(), part).unwrap_or_default()))
            .collect();
        let expected: [(Kind, &[u8]); 3] =
            [(Kind::Office, b"PK"), (Kind::Rtf, b"{\\rtf1 a}"), (Kind::Pdf, b"%PDF")];
        assert_eq!(found, expected);
    }
}
