//! How text is compared: substrings, without regard to case, in Unicode (RFC 9051 §6.4.4, RFC 5051 in spirit).

use std::borrow::Cow;

use content_mail::fold;
use memchr::memmem;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle(String);

impl Needle {
    /// From the text a client gave.
    pub fn new(text: &str) -> Needle {
        Needle(fold(text))
    }

    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether folded text contains it; the empty needle is in everything.
    pub fn is_in(&self, folded: &str) -> bool {
        memmem::find(folded.as_bytes(), self.0.as_bytes()).is_some()
    }

    /// Whether text that is not folded contains it.
    pub fn is_in_text(&self, text: &str) -> bool {
        self.is_in(&fold(text))
    }
}

/// Header text as people read it: encoded words decoded (RFC 2047).
pub fn decoded(text: &str) -> Cow<'_, str> {
    content_mail::decode::words(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_and_blanks_do_not_matter() {
        assert!(Needle::new("GRÜN").is_in_text("ganz grün hier"));
        assert!(Needle::new("ПРИВЕТ").is_in_text("привет"));
        assert!(Needle::new("a b").is_in_text("A\r\n\tB"));
        assert!(Needle::new("").is_in_text(""));
        assert!(Needle::new("ΟΔΟΣ").is_in_text("οδος"));
        assert!(!Needle::new("x").is_in_text("abc"));
    }

    proptest! {
        #[test]
        fn a_text_contains_its_parts(text in "\\PC{0,30}", from in 0usize..30, length in 0usize..10) {
            let part: String = text.chars().skip(from).take(length).collect();
            prop_assert!(Needle::new(part.trim()).is_in_text(&text));
        }
    }
}
