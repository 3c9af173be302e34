//! Which language a text is in, and what its words have in common.

use std::collections::HashMap;
use std::sync::LazyLock;

use content_mail::fold;
use foldhash::fast::RandomState;
use frostem::{Algorithm, Stemmer};
use whatlang::Lang;

use super::stop;

/// Bytes of a text in which stop words are counted.
const SAMPLE: usize = 4096;
/// Bytes of it that are compared with all languages where stop words do not tell, which costs by the byte.
const COMPARED: usize = 1024;

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
        Language::of_folded(&fold(&text[..text.floor_char_boundary(SAMPLE)]))
    }

    /// That of a text that is folded already.
    pub(crate) fn of_folded(folded: &str) -> Option<Language> {
        if let Some(language) = told_by_stop_words(&folded[..folded.floor_char_boundary(SAMPLE)]) {
            return Some(language);
        }
        let info = whatlang::detect(&folded[..folded.floor_char_boundary(COMPARED)])
            .filter(whatlang::Info::is_reliable)?;
        LANGUAGES.iter().position(|(_, lang, _)| *lang == info.lang()).map(Language)
    }

    /// All that are known.
    pub fn all() -> impl Iterator<Item = Language> {
        (0..LANGUAGES.len()).map(Language)
    }

    /// Its code (ISO 639-1).
    pub fn code(self) -> &'static str {
        LANGUAGES[self.0].0
    }

    /// Its code as a number that is never 0.
    pub(crate) fn number(self) -> u64 {
        self.code().bytes().fold(0, |number, byte| number << 8 | u64::from(byte))
    }

    /// By its [`Language::number`].
    pub(crate) fn from_number(number: u64) -> Option<Language> {
        Language::all().find(|language| language.number() == number)
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

/// Stop words that a text has at least before they alone tell its language.
const ENOUGH: usize = 8;

/// Languages by a word.
type ByWord = HashMap<&'static str, Vec<Language>, RandomState>;

/// The languages in which a word says nothing by itself.
static STOP_WORDS: LazyLock<ByWord> = LazyLock::new(|| {
    let mut all = ByWord::default();
    for language in Language::all() {
        for word in stop::words(language.code()) {
            let known = all.entry(*word).or_default();
            if !known.contains(&language) {
                known.push(language);
            }
        }
    }
    all
});

/// The language of which a text has many stop words, and twice as many as of any other: most texts are told at a
/// fraction of what it costs to compare them with all languages.
fn told_by_stop_words(folded: &str) -> Option<Language> {
    let mut counts = [0; LANGUAGES.len()];
    for word in folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        for language in STOP_WORDS.get(word).into_iter().flatten() {
            counts[language.0] += 1;
        }
    }
    let best = (0..counts.len()).max_by_key(|at| counts[*at])?;
    let second = (0..counts.len()).filter(|at| *at != best).map(|at| counts[at]).max()?;
    (counts[best] >= ENOUGH && counts[best] >= 2 * second).then_some(Language(best))
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
        let long =
            "the cat and the dog are in the house and it is good that they have not left it ".repeat(3);
        assert_eq!(told_by_stop_words(&long).map(Language::code), Some("en"));
        assert_eq!(
            told_by_stop_words("og det er en til som de med for at han var"),
            None,
            "Danish or Norwegian"
        );
    }

    #[test]
    fn enough_languages_with_stems_and_stop_words() {
        assert!(Language::all().count() >= 18);
        let with_stop_words = Language::all().filter(|l| !stop::words(l.code()).is_empty()).count();
        assert!(with_stop_words >= 18, "{with_stop_words}");
        for language in Language::all() {
            assert!(!language.stemmer().stem("connections").is_empty(), "{}", language.code());
            assert_eq!(Language::from_number(language.number()), Some(language));
        }
        assert!(Language::all().any(|l| l.code() == "en" && l.is_stop_word("the")));
        assert_eq!(Language::from_number(0), None);
    }
}
