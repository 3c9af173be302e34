//! Folded text as a row of units that can be put together again: nothing is left out.
//!
//! Text is cut where its kind of character changes, so a needle inside a text is cut at the same places, but for its
//! first and its last unit, which may be a part of the text's. That makes a substring search a phrase search
//! (RFC 9051 §6.4.4 asks for substrings).

/// Characters of a run of letters and digits that is kept as one term; longer ones are noise.
const WORD_MAX: usize = 40;
/// Characters from which on a run of letters and digits may be noise.
const NOISE_MIN: usize = 8;
/// Digits from which on a number is noise.
const NUMBER_MAX: usize = 10;

/// A piece of folded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit<'a> {
    /// A run of letters and digits of a script that parts its words.
    Word(&'a str),
    /// A run of characters of a script that does not: Chinese, Japanese, Thai and their like.
    Dense(&'a str),
    /// The same other character, `count` times, and whether blanks are around them.
    Mark {
        /// The character.
        mark: char,
        /// How often.
        count: usize,
        /// A blank stands before.
        before: bool,
        /// A blank stands behind.
        after: bool,
    },
    /// A blank that neither two words imply nor a mark tells of: beside a dense run.
    Blank,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Blank,
    Word,
    Dense,
    Mark(char),
}

/// The units of folded text; a blank between two words is implied.
pub fn units(folded: &str) -> Units<'_> {
    Units { text: folded, at: 0, last: None, blank: false }
}

/// Iterator of [`units`].
#[derive(Debug, Clone)]
pub struct Units<'a> {
    text: &'a str,
    at: usize,
    last: Option<Class>,
    blank: bool,
}

impl<'a> Iterator for Units<'a> {
    type Item = Unit<'a>;

    fn next(&mut self) -> Option<Unit<'a>> {
        loop {
            let first = self.text[self.at..].chars().next()?;
            let class = class(first);
            if class == Class::Blank {
                self.blank = true;
                self.at += first.len_utf8();
                continue;
            }
            if self.needs_blank(class) {
                (self.blank, self.last) = (false, None);
                return Some(Unit::Blank);
            }
            return Some(self.take(class));
        }
    }
}

impl<'a> Units<'a> {
    /// Between two words a blank goes without saying, and a mark tells of those around it.
    fn needs_blank(&self, next: Class) -> bool {
        let both = (self.last, next);
        let dense = matches!(
            both,
            (Some(Class::Dense), Class::Word | Class::Dense) | (Some(Class::Word), Class::Dense)
        );
        self.blank && dense
    }

    fn take(&mut self, class_of_run: Class) -> Unit<'a> {
        let rest = &self.text[self.at..];
        let end = end_of_run(rest, class_of_run);
        let (run, behind) = rest.split_at(end);
        self.at += end;
        self.last = Some(class_of_run);
        let before = std::mem::take(&mut self.blank);
        match class_of_run {
            Class::Mark(mark) => {
                let after = behind.starts_with(' ');
                Unit::Mark { mark, count: run.len() / mark.len_utf8(), before, after }
            }
            Class::Dense => Unit::Dense(run),
            _ => Unit::Word(run),
        }
    }
}

/// How many bytes of one class the text begins with. Most are ASCII, and need not be put together to characters.
fn end_of_run(text: &str, class_of_run: Class) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if class_of_run == Class::Word && byte.is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let c =
            if byte.is_ascii() { char::from(*byte) } else { text[at..].chars().next().unwrap_or_default() };
        if class(c) != class_of_run {
            break;
        }
        at += c.len_utf8();
    }
    at
}

#[inline]
fn class(c: char) -> Class {
    match c {
        ' ' => Class::Blank,
        'a'..='z' | '0'..='9' | 'A'..='Z' => Class::Word,
        '\0'..='\x7f' => Class::Mark(c),
        _ => class_beyond_ascii(c),
    }
}

fn class_beyond_ascii(c: char) -> Class {
    match c {
        _ if is_dense(c) => Class::Dense,
        _ if c.is_alphanumeric() || is_joined(c) => Class::Word,
        _ => Class::Mark(c),
    }
}

/// Scripts without blanks between words.
fn is_dense(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}'       // Thai, Lao
        | '\u{f00}'..='\u{fff}'     // Tibetan
        | '\u{1000}'..='\u{109f}'   // Myanmar
        | '\u{1780}'..='\u{17ff}'   // Khmer
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30ff}'   // Kana
        | '\u{3100}'..='\u{312f}' | '\u{31a0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'   // Kana of half width
        | '\u{20000}'..='\u{3ffff}'
    )
}

/// Marks and joiners within words, which are no letters.
fn is_joined(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'..='\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{93c}' | '\u{94d}' | '\u{9bc}' | '\u{9cd}'
        | '\u{a4d}' | '\u{acd}' | '\u{b4d}' | '\u{bcd}' | '\u{c4d}' | '\u{ccd}' | '\u{d4d}' | '\u{ad}'
        | '\u{200c}' | '\u{200d}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
    )
}

/// Whether a run is no word of anybody: base64, ids, hashes, numbers of queues. Each of them would be a term of its own,
/// found once; the index knows their trigrams instead.
pub fn is_noise(run: &str) -> bool {
    let (mut count, mut turns, mut digits) = (0, 0, 0);
    let mut last = None;
    for c in run.chars() {
        let digit = c.is_ascii_digit();
        turns += usize::from(last.is_some_and(|was| was != digit));
        digits += usize::from(digit);
        count += 1;
        last = Some(digit);
    }
    count > WORD_MAX || (count >= NOISE_MIN && turns >= 2) || (count == digits && count >= NUMBER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(mark: char, count: usize, before: bool, after: bool) -> Unit<'static> {
        Unit::Mark { mark, count, before, after }
    }

    #[test]
    fn cut_where_the_kind_changes() {
        let found: Vec<_> = units("ab cd, --x").collect();
        let expected = [
            Unit::Word("ab"),
            Unit::Word("cd"),
            mark(',', 1, false, true),
            mark('-', 2, true, false),
            Unit::Word("x"),
        ];
        assert_eq!(found, expected);
        let found: Vec<_> = units("日本語abc 日本 語 x").collect();
        let expected = [
            Unit::Dense("日本語"),
            Unit::Word("abc"),
            Unit::Blank,
            Unit::Dense("日本"),
            Unit::Blank,
            Unit::Dense("語"),
            Unit::Blank,
            Unit::Word("x"),
        ];
        assert_eq!(found, expected);
        assert_eq!(units(" ").count(), 0);
    }

    #[test]
    fn what_is_noise() {
        for noise in ["h0bnho1o123", "4f2a9c0d1e", "1037000000", &"x".repeat(41)] {
            assert!(is_noise(noise), "{noise}");
        }
        for word in ["mp3", "windows2000", "donaudampfschifffahrtsgesellschaft", "20260101", "win95b"] {
            assert!(!is_noise(word), "{word}");
        }
    }
}
