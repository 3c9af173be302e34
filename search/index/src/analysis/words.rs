//! Words as people mean them: without case, width and diacritics, and addresses and host names also as a whole.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::{Unit, is_noise, units};

/// Bytes of an address or a host name that are kept as one word.
const NAME_MAX: usize = 128;

/// Text in lower case and of one width (NFKC), blanks as they are.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        let is_plain = !text.bytes().any(|b| b.is_ascii_uppercase());
        return if is_plain { Cow::Borrowed(text) } else { Cow::Owned(text.to_ascii_lowercase()) };
    }
    Cow::Owned(text.nfkc().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect())
}

/// A word without its diacritics.
pub(crate) fn bare(word: &str) -> Cow<'_, str> {
    if word.is_ascii() {
        return Cow::Borrowed(word);
    }
    let mut out = String::with_capacity(word.len());
    for c in word.nfd().filter(|c| !is_diacritic(*c)) {
        match c {
            'ß' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'ø' => out.push('o'),
            'đ' | 'ð' => out.push('d'),
            'ł' => out.push('l'),
            'ı' => out.push('i'),
            c => out.push(c),
        }
    }
    Cow::Owned(out.nfc().collect())
}

/// Of scripts whose readers leave them out when they search. Marks of Kana and of Indic scripts make other letters.
fn is_diacritic(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

/// Whether there are marks of half width, which [`plain`] text joins with what is before them.
pub(crate) fn has_half_marks(text: &str) -> bool {
    !text.is_ascii() && text.contains(['\u{ff9e}', '\u{ff9f}'])
}

/// Calls `visit` for each word of [`plain`] text, with whether it can be stemmed: words as they are, pairs of
/// characters where a script does not part words, addresses and host names as a whole besides their parts.
pub fn words<'a>(plain: &'a str, visit: &mut dyn FnMut(&'a str, bool)) {
    for piece in plain.split(is_around_names).filter(|piece| piece.contains('.')) {
        names(piece.trim_matches('.'), visit);
    }
    for unit in units(plain) {
        match unit {
            Unit::Word(word) if !is_noise(word) => korean(word, visit),
            Unit::Dense(run) => pairs(run, &mut |pair| visit(pair, false)),
            _ => {}
        }
    }
}

/// Korean writes particles without a blank behind words: there parts of a run have to be found, as in scripts without
/// blanks.
fn korean<'a>(word: &'a str, visit: &mut dyn FnMut(&'a str, bool)) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let inside = is_hangul(first);
        let end = rest.find(|c| is_hangul(c) != inside).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        if inside {
            pairs(run, &mut |pair| visit(pair, false));
        } else {
            visit(run, true);
        }
        rest = behind;
    }
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}')
}

fn is_around_names(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"' | '\'' | '/' | '=')
}

fn names<'a>(piece: &'a str, visit: &mut dyn FnMut(&'a str, bool)) {
    let host = piece.rsplit_once('@').map_or(piece, |(_, host)| host);
    if piece.len() <= NAME_MAX && is_host(host) {
        visit(host, false);
        if host.len() < piece.len() {
            visit(piece, false);
        }
    }
}

fn is_host(text: &str) -> bool {
    let label = |l: &str| !l.is_empty() && l.chars().all(|c| c.is_alphanumeric() || c == '-');
    let top = text.rsplit('.').next().unwrap_or_default();
    text.contains('.') && text.split('.').all(label) && top.len() > 1 && top.chars().all(char::is_alphabetic)
}

/// Neighbouring characters; the last one alone, so that one character is found by what begins with it.
pub(crate) fn pairs<'a>(run: &'a str, visit: &mut dyn FnMut(&'a str)) {
    let mut starts: Vec<usize> = run.char_indices().map(|(at, _)| at).collect();
    starts.push(run.len());
    for at in 0..starts.len().saturating_sub(1) {
        let end = starts[(at + 2).min(starts.len() - 1)];
        visit(&run[starts[at]..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let plain = plain(text);
        let mut out = Vec::new();
        words(&plain, &mut |word, _| out.push(bare(word).into_owned()));
        out
    }

    #[test]
    fn words_without_width_case_and_diacritics() {
        assert_eq!(of("Ｃａｆé ÜBER naïve"), ["cafe", "uber", "naive"]);
        assert_eq!(of("Straße, Ærø Łódź"), ["strasse", "aero", "lodz"]);
        assert_eq!(of("がＡ"), ["が", "a"]);
        assert_eq!(of("日本語"), ["日本", "本語", "語"]);
        assert_eq!(of("서울에 2024년"), ["서울", "울에", "에", "2024", "년"]);
    }

    #[test]
    fn addresses_whole_and_in_parts() {
        let found = of("Write to <Jane.Doe@mail.example.com>.");
        for word in ["jane.doe@mail.example.com", "mail.example.com", "jane", "doe", "example", "com"] {
            assert!(found.iter().any(|w| w == word), "{word} in {found:?}");
        }
        assert_eq!(of("End. 1.2"), ["end", "1", "2"]);
    }
}
