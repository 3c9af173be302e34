//! PDF.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pdf_extract::{
    ConvertToFmt, Document, MediaBox, OutputDev, OutputError, PlainTextOutput, Transform, output_doc,
    output_doc_page,
};

use crate::limits::{PAGES_AFTER, TEXT};
use crate::worker::{cpu_time, is_spent};

/// The text of the pages; none where the file is no PDF that can be read, or is encrypted with a password.
pub(crate) fn text(file: &[u8]) -> Option<String> {
    let mut document = Document::load_mem(file).ok()?;
    if document.is_encrypted() {
        document.decrypt("").ok()?;
    }
    let pages = u32::try_from(document.get_pages().len()).ok()?;
    let mut text = Text { text: String::new(), since: cpu_time(), is_full: false };
    let mut last = try_pages(&mut text, |output| output_doc(&document, output));
    // Whatever is wrong with a page, others may be right.
    let end = pages.min(last.saturating_add(PAGES_AFTER));
    while last < end && !text.is_full {
        last += 1;
        try_pages(&mut text, |output| output_doc_page(&document, output, last));
    }
    Some(text.text)
}

/// Reads pages and gives the last one that was begun. The reader panics at what it does not expect.
fn try_pages(text: &mut Text, read: impl FnOnce(&mut dyn OutputDev) -> Result<(), OutputError>) -> u32 {
    let mut pages = Pages { output: PlainTextOutput::new(text), page: 0 };
    let _ = catch_unwind(AssertUnwindSafe(|| read(&mut pages)));
    let page = pages.page;
    text.text.push('\n');
    page
}

/// Takes text until there is enough of it, or enough time went into it.
struct Text {
    text: String,
    since: Duration,
    is_full: bool,
}

/// Bytes of text between two looks at the clock.
const STEP: usize = 1024;

impl fmt::Write for &mut Text {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let looks = self.text.len() / STEP != (self.text.len() + piece.len()) / STEP;
        self.is_full |= self.text.len() >= TEXT || (looks && is_spent(self.since));
        if self.is_full {
            return Err(fmt::Error);
        }
        self.text.push_str(piece);
        Ok(())
    }
}

impl ConvertToFmt for &mut Text {
    type Writer = Self;

    fn convert(self) -> Self {
        self
    }
}

/// Knows which page it is at.
struct Pages<'a> {
    output: PlainTextOutput<&'a mut Text>,
    page: u32,
}

type Box4 = (f64, f64, f64, f64);

impl OutputDev for Pages<'_> {
    fn begin_page(&mut self, page: u32, media: &MediaBox, art: Option<Box4>) -> Result<(), OutputError> {
        self.page = page;
        self.output.begin_page(page, media, art)
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        // If the next one can not even begin, it is that one which is wrong.
        self.page += 1;
        self.output.end_page()?;
        // The next page may begin where this one ends: words of two pages are two.
        self.output.output_character(&Transform::identity(), 0.0, 0.0, 0.0, "\n")
    }

    fn output_character(
        &mut self,
        place: &Transform,
        width: f64,
        spacing: f64,
        size: f64,
        character: &str,
    ) -> Result<(), OutputError> {
        self.output.output_character(place, width, spacing, size, character)
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        self.output.begin_word()
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        self.output.end_word()
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        self.output.end_line()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{line, pdf};

    fn words(file: &[u8]) -> Vec<String> {
        text(file).unwrap().split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn pages() {
        let one = line("Expedition to Antarctica");
        assert_eq!(words(&pdf(&[&one])), ["Expedition", "to", "Antarctica"]);
        let two = "BT /F1 12 Tf 72 700 Td (second) Tj 0 -40 Td (Caf\\351) Tj ET";
        assert_eq!(words(&pdf(&[&one, two])).last().unwrap(), "Caf\u{e9}");
        assert_eq!(text(b"%PDF-1.4 and nothing"), None);
    }

    #[test]
    fn a_page_that_can_not_be_read_costs_itself() {
        let good = line("good");
        // A font that is not there.
        let bad = "BT /F1 12 Tf 72 700 Td (begun) Tj /F9 12 Tf (lost) Tj ET";
        assert_eq!(words(&pdf(&[&good, bad, &good, bad, &good])), ["good", "begun", "good", "begun", "good"]);
    }
}
