//! What kind of file it is, by its type and its name.

/// A kind of file that text can be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Plain text, CSV.
    Plain,
    /// HTML.
    Html,
    /// PDF.
    Pdf,
    /// Office Open XML: docx, xlsx, pptx.
    Office,
    /// OpenDocument: odt, ods, odp, odg.
    OpenDocument,
    /// Rich Text Format.
    Rtf,
}

const OFFICE: &str = "application/vnd.openxmlformats-officedocument.";
const OPEN_DOCUMENT: &str = "application/vnd.oasis.opendocument.";

impl Kind {
    /// By the media type, in lower case, and, where that says nothing, by the name. None for files without text.
    pub fn of(media_type: &str, name: &str) -> Option<Kind> {
        match media_type {
            "text/html" | "application/xhtml+xml" => Some(Kind::Html),
            "text/rtf" | "text/richtext" | "application/rtf" | "application/x-rtf" => Some(Kind::Rtf),
            "application/pdf" | "application/x-pdf" => Some(Kind::Pdf),
            _ if media_type.starts_with("text/") => Some(Kind::Plain),
            _ if media_type.starts_with(OFFICE) => Some(Kind::Office),
            _ if media_type.starts_with(OPEN_DOCUMENT) => Some(Kind::OpenDocument),
            _ if says_nothing(media_type) => Kind::of_name(name),
            _ => None,
        }
    }

    fn of_name(name: &str) -> Option<Kind> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "txt" | "csv" | "md" | "log" => Kind::Plain,
            "htm" | "html" | "xhtml" => Kind::Html,
            "pdf" => Kind::Pdf,
            "docx" | "docm" | "dotx" | "xlsx" | "xlsm" | "pptx" | "pptm" | "ppsx" => Kind::Office,
            "odt" | "ott" | "ods" | "odp" | "odg" => Kind::OpenDocument,
            // Word writes it under its own name, too.
            "rtf" => Kind::Rtf,
            _ => return None,
        })
    }

    const ALL: [Kind; 6] = [Kind::Plain, Kind::Html, Kind::Pdf, Kind::Office, Kind::OpenDocument, Kind::Rtf];

    /// The byte by which the worker is told.
    pub(crate) fn byte(self) -> u8 {
        b'0' + self as u8
    }

    pub(crate) fn of_byte(byte: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Types that are given to files of all kinds.
fn says_nothing(media_type: &str) -> bool {
    let any = [
        "",
        "application/octet-stream",
        "application/binary",
        "application/download",
        "application/force-download",
        "application/x-download",
        "application/zip",
        "application/x-zip-compressed",
        "application/msword",
        "application/msexcel",
        "application/mspowerpoint",
    ];
    any.contains(&media_type) || media_type.starts_with("application/vnd.ms-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_type_and_by_name() {
        assert_eq!(Kind::of("application/pdf", "x"), Some(Kind::Pdf));
        assert_eq!(Kind::of("application/octet-stream", "Plan.DOCX"), Some(Kind::Office));
        assert_eq!(Kind::of("application/msword", "a.docx"), Some(Kind::Office));
        assert_eq!(Kind::of("application/msword", "a.rtf"), Some(Kind::Rtf));
        assert_eq!(Kind::of("application/vnd.oasis.opendocument.text", ""), Some(Kind::OpenDocument));
        assert_eq!(Kind::of("text/csv", "a.csv"), Some(Kind::Plain));
        assert_eq!(Kind::of("text/rtf", ""), Some(Kind::Rtf));
        assert_eq!(Kind::of("image/png", "a.pdf"), None);
        assert_eq!(Kind::of("application/octet-stream", "a.exe"), None);
        assert!(Kind::ALL.into_iter().all(|kind| Kind::of_byte(kind.byte()) == Some(kind)));
    }
}
