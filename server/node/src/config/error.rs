//! Configuration errors in words that help.

use std::path::PathBuf;

/// Why a configuration cannot be used: the operator has to change it.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// The text says something at a line.
    Line {
        /// From 1.
        line: usize,
        /// What is wrong there.
        message: String,
        /// A known key that looks like the unknown one.
        nearest: Option<String>,
    },
    /// The values do not fit together.
    Meaning(&'static str),
}

impl ConfigError {
    /// From the parser's error, with the line found in the text.
    pub(crate) fn from_toml(error: &toml::de::Error, text: &str) -> Self {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
        let message = error.message().to_owned();
        let nearest = nearest_key(&message);
        ConfigError::Line { line, message, nearest }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigError::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            ConfigError::Line { line, message, nearest } => {
                write!(f, "line {line}: {message}")?;
                nearest.as_ref().map_or(Ok(()), |key| write!(f, "; did you mean `{key}`?"))
            }
            ConfigError::Meaning(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The known key nearest to the unknown one, both taken from serde's words: "unknown field `a`, expected `b`" or
/// "expected one of `b`, `c`".
fn nearest_key(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown field") {
        return None;
    }
    let unknown = quoted.next()?;
    let ranked = quoted.map(|known| (distance(unknown, known), known));
    let (distance, known) = ranked.min()?;
    // Further away than a third of the word it is another word, not a slip.
    (distance * 3 <= unknown.chars().count().max(3)).then(|| known.to_owned())
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let cost = (diagonal + usize::from(from != *to)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = cost;
            left = cost;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("imap", "imaps", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
