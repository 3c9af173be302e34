//! Pieces of text with what was found marked in them (RFC 8621 §5): made of the text, not of the index.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::analysis::{Language, bare, plain};

/// Octets of a preview at most (RFC 8621 §5), marks and escapes included.
pub const SNIPPET_MAX: usize = 255;
/// Bytes of text before the first mark at most.
const LEAD: usize = 60;
/// Bytes of a text in which something to show is looked for.
const TEXT_MAX: usize = 1 << 20;

/// The whole text with the words marked, escaped for HTML; nothing if no word is in it. For subjects.
pub fn marked(text: &str, words: &str) -> Option<String> {
    let marks = marks(text, words);
    if marks.is_empty() {
        return None;
    }
    Some(render(text, 0..text.len(), &marks, usize::MAX))
}

/// The part of the text in which most of the words are, marked and escaped for HTML, in at most [`SNIPPET_MAX`]
/// octets; nothing if no word is in it.
pub fn snippet(text: &str, words: &str) -> Option<String> {
    let text = &text[..text.floor_char_boundary(TEXT_MAX)];
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let marks = marks(&line, words);
    let first = best(&marks)?;
    let from = start(&line, marks[first].start);
    Some(render(&line, from..line.len(), &marks[first..], SNIPPET_MAX))
}

/// Where words of the text stand that have a stem or a plain form in common with those looked for.
fn marks(text: &str, wanted: &str) -> Vec<Range<usize>> {
    let language = Language::of(text);
    let wanted: HashSet<String> = runs(wanted).map(|run| form(&wanted[run], language)).collect();
    let is_wanted = |run: &Range<usize>| {
        let form = form(&text[run.clone()], language);
        wanted.contains(&form)
    };
    let mut marks: Vec<Range<usize>> = runs(text).filter(is_wanted).collect();
    for word in wanted.iter().filter(|word| word.chars().any(is_dense)) {
        marks.extend(text.match_indices(word.as_str()).map(|(at, found)| at..at + found.len()));
    }
    marks.sort_by_key(|mark| (mark.start, mark.end));
    marks.dedup_by(|next, last| next.start < last.end);
    marks
}

/// Scripts that do not part words, or not from what belongs to them: a word may be anywhere in a run.
fn is_dense(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{ac00}'..='\u{d7a3}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

fn form(word: &str, language: Option<Language>) -> String {
    let plain = plain(word);
    let stem = match language {
        Some(language) => Cow::Owned(language.stemmer().stem(&plain).into_owned()),
        None => plain,
    };
    bare(&stem).into_owned()
}

/// Runs of letters and digits.
fn runs(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + text[at..].find(char::is_alphanumeric)?;
        let rest = &text[begin..];
        let length = rest.find(|c: char| !c.is_alphanumeric() && !is_joined(c)).unwrap_or(rest.len());
        at = begin + length;
        Some(begin..at)
    })
}

fn is_joined(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200c}' | '\u{200d}' | '\u{64b}'..='\u{65f}' | '\u{93c}' | '\u{94d}')
}

/// The mark from which on most others are near.
fn best(marks: &[Range<usize>]) -> Option<usize> {
    let near =
        |at: usize| marks[at..].iter().take_while(|m| m.end < marks[at].start + SNIPPET_MAX / 2).count();
    (0..marks.len().min(1000)).max_by_key(|at| (near(*at), std::cmp::Reverse(*at)))
}

/// Some words before the mark, beginning with a whole one.
fn start(line: &str, mark: usize) -> usize {
    let from = line.ceil_char_boundary(mark.saturating_sub(LEAD));
    if from == 0 {
        return 0;
    }
    line[from..mark].find(' ').map_or(mark, |blank| from + blank + 1)
}

const OPEN: &str = "<mark>";
const CLOSE: &str = "</mark>";

/// Escaped text with marks; ends before it is longer than `most`, and never within a mark or an escape.
fn render(text: &str, range: Range<usize>, marks: &[Range<usize>], most: usize) -> String {
    let mut out = String::new();
    let mut at = range.start;
    for mark in marks.iter().filter(|mark| mark.start >= range.start) {
        if !plainly(&mut out, &text[at..mark.start], most) {
            return out;
        }
        let word = escaped(&text[mark.clone()]);
        if out.len().saturating_add(OPEN.len() + word.len() + CLOSE.len()) > most {
            return out;
        }
        out.push_str(OPEN);
        out.push_str(&word);
        out.push_str(CLOSE);
        at = mark.end;
    }
    plainly(&mut out, &text[at..range.end], most);
    out
}

/// Adds text as far as it fits; false where it did not.
fn plainly(out: &mut String, text: &str, most: usize) -> bool {
    for c in text.chars() {
        let mut buffer = [0; 4];
        let escape = escape(c).unwrap_or_else(|| c.encode_utf8(&mut buffer));
        if out.len() + escape.len() > most {
            return false;
        }
        out.push_str(escape);
    }
    true
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    plainly(&mut out, text, usize::MAX);
    out
}

fn escape(c: char) -> Option<&'static str> {
    Some(match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_marked_and_the_rest_is_escaped() {
        assert_eq!(
            marked("Re: <Café> & Grün", "cafe grün").as_deref(),
            Some("Re: &lt;<mark>Café</mark>&gt; &amp; <mark>Grün</mark>")
        );
        assert_eq!(marked("Hello", "world"), None);
        assert_eq!(marked("日本語です", "本語").as_deref(), Some("日<mark>本語</mark>です"));
    }

    #[test]
    fn other_forms_are_marked_too() {
        let text = "The reports that you have asked for are attached to this message, please read them.";
        let found = marked(text, "report").unwrap();
        assert!(found.starts_with("The <mark>reports</mark> that"), "{found}");
    }

    #[test]
    fn never_longer_than_255_octets() {
        let text = "& ".repeat(400) + &"wörter und needle <b> ".repeat(40);
        let found = snippet(&text, "needle").unwrap();
        assert!(found.len() <= SNIPPET_MAX && found.contains("<mark>needle</mark>"), "{found}");
        let opened = found.matches("<mark>").count();
        assert_eq!(opened, found.matches("</mark>").count());
        assert_eq!(snippet(&"x".repeat(300), &"x".repeat(300)).map(|s| s.len() <= SNIPPET_MAX), Some(true));
        assert_eq!(snippet("nothing here", "needle"), None);
    }

    #[test]
    fn it_begins_where_most_words_are() {
        let text = format!("alpha {} alpha beta gamma", "filler ".repeat(100));
        let found = snippet(&text, "alpha beta gamma").unwrap();
        assert!(found.contains("<mark>alpha</mark> <mark>beta</mark> <mark>gamma</mark>"), "{found}");
    }
}
