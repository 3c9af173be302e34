//! Text of an XML document: what stands between tags, with line breaks where paragraphs end.

use std::io::BufRead;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::limits::TEXT;

/// Elements behind which other text begins.
const BREAKS: [&str; 20] = [
    "p",
    "h",
    "br",
    "cr",
    "tab",
    "s",
    "line-break",
    "row",
    "c",
    "si",
    "tc",
    "table-cell",
    "table-row",
    "title",
    "subject",
    "description",
    "creator",
    "keyword",
    "keywords",
    "category",
];
/// Elements whose text no reader sees: codes of fields, what was deleted, formulas, readings, what programs note.
const UNSEEN: [&str; 16] = [
    "instrText",
    "delText",
    "tracked-changes",
    "f",
    "rPh",
    "binary-data",
    "generator",
    "created",
    "modified",
    "creation-date",
    "editing-duration",
    "editing-cycles",
    "revision",
    "lastPrinted",
    "print-date",
    "document-statistic",
];

/// Appends the text of a document; what is behind an error in it is left out. Nothing is resolved or loaded: of
/// entities only those that XML itself has are known.
pub(crate) fn text(document: impl BufRead, out: &mut String) {
    let mut reader = Reader::from_reader(document);
    reader.config_mut().check_end_names = false;
    let mut buffer = Vec::new();
    // Elements that are open from an unseen one on, and whether the cell has the number of a string, not a value.
    let (mut unseen, mut is_number) = (0usize, false);
    while out.len() < TEXT {
        buffer.clear();
        let Ok(event) = reader.read_event_into(&mut buffer) else { return };
        match event {
            Event::Start(element) => {
                let name = element.local_name();
                let name = name.as_ref();
                is_number = if name == "c" { is_shared(&element) } else { is_number };
                if unseen > 0 || UNSEEN.contains(&name) || (name == "v" && is_number) {
                    unseen += 1;
                }
            }
            Event::End(element) => {
                unseen = unseen.saturating_sub(1);
                blank(element.local_name().as_ref(), out);
            }
            Event::Empty(element) => blank(element.local_name().as_ref(), out),
            Event::Eof => return,
            _ if unseen > 0 => {}
            Event::Text(text) => push(out, &text.xml_content(XmlVersion::Explicit1_0)),
            Event::CData(text) => push(out, &text.xml_content(XmlVersion::Explicit1_0)),
            Event::GeneralRef(reference) => out.extend(character(&reference)),
            _ => {}
        }
    }
}

fn push(out: &mut String, text: &str) {
    let left = TEXT.saturating_sub(out.len());
    out.push_str(&text[..text.floor_char_boundary(left)]);
}

/// Cells of type `s` have the number of a string that stands elsewhere (ECMA-376 part 1 §18.18.11).
fn is_shared(cell: &BytesStart<'_>) -> bool {
    cell.attributes().flatten().any(|attribute| {
        let (key, value): (&str, &str) = (attribute.key.as_ref(), attribute.value.as_ref());
        key == "t" && value == "s"
    })
}

fn blank(name: &str, out: &mut String) {
    if BREAKS.contains(&name) && !out.ends_with('\n') {
        out.push('\n');
    }
}

fn character(reference: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c);
    }
    let name: &str = reference;
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(document: &str) -> String {
        let mut out = String::new();
        text(document.as_bytes(), &mut out);
        out
    }

    #[test]
    fn text_between_tags() {
        let document = "<?xml version='1.0'?><w:document xmlns:w='x'><w:p><w:r><w:t>Gr\u{fc}</w:t></w:r>\
            <w:r><w:t>n &amp; &#x263a;</w:t></w:r></w:p><w:p><w:t>two</w:t></w:p></w:document>";
        assert_eq!(of(document), "Gr\u{fc}n & \u{263a}\ntwo\n");
        assert_eq!(of("<text:p>a<text:s/>b<text:tab/>c<text:line-break/>d</text:p>"), "a\nb\nc\nd\n");
    }

    #[test]
    fn what_no_reader_sees() {
        let row = "<row><c t=\"s\"><v>17</v></c><c><f>SUM(A1)</f><v>48213</v></c>\
            <c t=\"inlineStr\"><is><t>in</t></is></c></row>";
        assert_eq!(of(row).split_whitespace().collect::<Vec<_>>(), ["48213", "in"]);
        assert_eq!(of("<w:r><w:instrText>HYPERLINK <b>x</b></w:instrText><w:t>seen</w:t></w:r>"), "seen");
    }

    #[test]
    fn nothing_is_resolved() {
        let bomb =
            "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b SYSTEM \"file:///etc/passwd\">]><x>1&a;2&b;3</x>";
        assert_eq!(of(bomb), "123");
        let laughs: String =
            (1..10).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
        assert_eq!(of(&format!("<!DOCTYPE x [<!ENTITY l0 \"lol\">{laughs}]><x>ha &l9;</x>")), "ha ");
    }

    #[test]
    fn wrong_and_deep_documents_end() {
        assert_eq!(of("<p>a</p><p>b"), "a\nb");
        assert_eq!(of("<p>a</p></p></p>b"), "a\n");
        assert_eq!(of(&("<a>".repeat(100_000) + "x")), "x");
        assert!(of(&format!("<p>{}</p>b", "a".repeat(TEXT + 9))).len() <= TEXT + 1);
    }
}
