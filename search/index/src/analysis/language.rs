//! Which language a text is in, and what its words have in common.

use frostem::{Algorithm, Stemmer};
use whatlang::Lang;

use super::stop;

/// Bytes of a text from which its language is told.
const SAMPLE: usize = 4096;

/// A language whose words are stemmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(usize);

/// Code (ISO 639-1), detected as, stemmed by.
const LANGUAGES: &[(&str, Lang, Algorithm)] = &[
    ("ar", Lang::Ara, Algorithm::Arabic),
    ("ca", Lang::Cat, Algorithm::Catalan),
    ("cs", Lang::Ces, Algorithm::Czech),
    ("da", Lang::Dan, Algorithm::Danish),
    ("de", Lang::Deu, Algorithm::German),
    ("el", Lang::Ell, Algorithm::Greek),
    ("en", Lang::Eng, Algorithm::English),
    ("es", Lang::Spa, Algorithm::Spanish),
    ("et", Lang::Est, Algorithm::Estonian),
    ("fa", Lang::Pes, Algorithm::Persian),
    ("fi", Lang::Fin, Algorithm::Finnish),
    ("fr", Lang::Fra, Algorithm::French),
    ("hi", Lang::Hin, Algorithm::Hindi),
    ("hu", Lang::Hun, Algorithm::Hungarian),
    ("hy", Lang::Hye, Algorithm::Armenian),
    ("id", Lang::Ind, Algorithm::Indonesian),
    ("it", Lang::Ita, Algorithm::Italian),
    ("lt", Lang::Lit, Algorithm::Lithuanian),
    ("ne", Lang::Nep, Algorithm::Nepali),
    ("nl", Lang::Nld, Algorithm::Dutch),
    ("no", Lang::Nob, Algorithm::Norwegian),
    ("pl", Lang::Pol, Algorithm::Polish),
    ("pt", Lang::Por, Algorithm::Portuguese),
    ("ro", Lang::Ron, Algorithm::Romanian),
    ("ru", Lang::Rus, Algorithm::Russian),
    ("sr", Lang::Srp, Algorithm::Serbian),
    ("sv", Lang::Swe, Algorithm::Swedish),
    ("ta", Lang::Tam, Algorithm::Tamil),
    ("tr", Lang::Tur, Algorithm::Turkish),
    ("uk", Lang::Ukr, Algorithm::Ukrainian),
    ("yi", Lang::Yid, Algorithm::Yiddish),
];

impl Language {
    /// The language of a text, where it is sure enough to be of use and known here.
    pub fn of(text: &str) -> Option<Language> {
        let sample = &text[..text.floor_char_boundary(SAMPLE)];
        let info = whatlang::detect(sample).filter(whatlang::Info::is_reliable)?;
        LANGUAGES.iter().position(|(_, lang, _)| *lang == info.lang()).map(Language)
    }

    /// By its code (ISO 639-1).
    pub fn from_code(code: &str) -> Option<Language> {
        LANGUAGES.iter().position(|(known, _, _)| *known == code).map(Language)
    }

    /// All that are known.
    pub fn all() -> impl Iterator<Item = Language> {
        (0..LANGUAGES.len()).map(Language)
    }

    /// Its code (ISO 639-1).
    pub fn code(self) -> &'static str {
        LANGUAGES[self.0].0
    }

    /// What cuts the endings off its words.
    pub(crate) fn stemmer(self) -> Stemmer {
        Stemmer::new(LANGUAGES[self.0].2)
    }

    /// Whether the word, in lower case, says nothing by itself.
    pub fn is_stop_word(self, word: &str) -> bool {
        stop::words(self.code()).contains(&word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_apart() {
        let told = [
            ("en", "The report that you have asked for is attached to this message, please read it."),
            (
                "de",
                "Der Bericht, um den Sie gebeten haben, liegt dieser Nachricht bei; bitte lesen Sie ihn bald.",
            ),
            ("ru", "Отчёт, который вы просили, приложен к этому письму, пожалуйста прочитайте его."),
            (
                "fr",
                "Le rapport que vous avez demandé est joint à ce message, merci de le lire avant la réunion.",
            ),
            ("el", "Η αναφορά που ζητήσατε επισυνάπτεται σε αυτό το μήνυμα."),
        ];
        for (code, text) in told {
            assert_eq!(Language::of(text).map(Language::code), Some(code), "{text}");
        }
        assert_eq!(Language::of("12345"), None);
    }

    #[test]
    fn enough_languages_with_stems_and_stop_words() {
        assert!(Language::all().count() >= 18);
        let with_stop_words = Language::all().filter(|l| !stop::words(l.code()).is_empty()).count();
        assert!(with_stop_words >= 18, "{with_stop_words}");
        for language in Language::all() {
            assert!(!language.stemmer().stem("connections").is_empty(), "{}", language.code());
            assert_eq!(Language::from_code(language.code()), Some(language));
        }
        assert!(Language::from_code("en").is_some_and(|l| l.is_stop_word("the")));
    }
}
