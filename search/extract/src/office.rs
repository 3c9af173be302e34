//! Office Open XML and OpenDocument: archives of XML documents.

use std::io::{BufReader, Cursor, Read};

use zip::ZipArchive;

use crate::limits::{MEMBERS, PARTS, RATIO, TEXT, UNPACKED};
use crate::{Kind, xml};

/// The text of the file's documents; none where it is no archive, or one that unpacks to too much.
pub(crate) fn text(kind: Kind, file: &[u8]) -> Option<String> {
    let mut archive = ZipArchive::new(Cursor::new(file)).ok()?;
    if archive.len() > MEMBERS {
        return None;
    }
    let mut names: Vec<String> = archive
        .file_names()
        .filter_map(|name| name.ok().map(std::borrow::Cow::into_owned))
        .filter(|name| is_text(kind, name))
        .collect();
    names.sort_by_key(|name| (number(name), name.clone()));
    // What an archive says of its sizes may be a lie: what is unpacked is counted.
    let mut left = UNPACKED.min((file.len() as u64).saturating_mul(RATIO).saturating_add(1 << 20));
    let mut out = String::new();
    for name in names.iter().take(PARTS) {
        let Ok(member) = archive.by_name(name) else { continue };
        let mut counted = member.take(left);
        xml::text(BufReader::new(&mut counted), &mut out);
        left = counted.limit();
        if left == 0 || out.len() >= TEXT {
            break;
        }
        out.push('\n');
    }
    Some(out)
}

/// How names of members begin of which there may be several.
const NUMBERED: [&str; 8] = [
    "word/header",
    "word/footer",
    "ppt/slides/slide",
    "ppt/notesSlides/notesSlide",
    "ppt/comments/comment",
    "xl/worksheets/sheet",
    "xl/comments",
    "xl/drawings/drawing",
];

/// Members that have what people wrote.
fn is_text(kind: Kind, name: &str) -> bool {
    let numbered = |prefix: &str| name.starts_with(prefix) && name.ends_with(".xml");
    match kind {
        Kind::OpenDocument => ["content.xml", "meta.xml"].contains(&name),
        _ => {
            [
                "word/document.xml",
                "word/footnotes.xml",
                "word/endnotes.xml",
                "word/comments.xml",
                "xl/sharedStrings.xml",
                "docProps/core.xml",
            ]
            .contains(&name)
                || NUMBERED.iter().any(|prefix| numbered(prefix))
        }
    }
}

/// The number at the end of the name, so that slide 10 is behind slide 9.
fn number(name: &str) -> u32 {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::archive;

    #[test]
    fn documents_sheets_and_slides() {
        let docx = archive(&[
            ("[Content_Types].xml", b"<x>no</x>"),
            ("word/document.xml", b"<w:p><w:t>Contract</w:t></w:p>"),
            ("word/header1.xml", b"<w:p><w:t>Secret</w:t></w:p>"),
        ]);
        let found = text(Kind::Office, &docx).unwrap();
        assert!(found.contains("Contract") && found.contains("Secret") && !found.contains("no"), "{found}");
        let xlsx = archive(&[("xl/sharedStrings.xml", b"<si><t>one</t></si><si><t>two</t></si>")]);
        assert_eq!(text(Kind::Office, &xlsx).unwrap().split_whitespace().collect::<Vec<_>>(), ["one", "two"]);
        let pptx = archive(&[
            ("ppt/slides/slide10.xml", b"<a:p><a:t>last</a:t></a:p>"),
            ("ppt/slides/slide9.xml", b"<a:p><a:t>first</a:t></a:p>"),
        ]);
        assert_eq!(
            text(Kind::Office, &pptx).unwrap().split_whitespace().collect::<Vec<_>>(),
            ["first", "last"]
        );
        let odt = archive(&[("content.xml", "<text:p>Gr\u{fc}\u{df}e</text:p>".as_bytes())]);
        assert_eq!(text(Kind::OpenDocument, &odt).unwrap().trim(), "Gr\u{fc}\u{df}e");
    }

    #[test]
    fn archives_that_unpack_to_too_much_are_cut() {
        let bomb = archive(&[("content.xml", &[b' '; 40 << 20])]);
        assert!(bomb.len() < 1 << 20);
        let found = text(Kind::OpenDocument, &bomb).unwrap();
        assert!(found.len() <= TEXT + 1, "{}", found.len());
        assert_eq!(text(Kind::Office, b"no archive"), None);
    }
}
