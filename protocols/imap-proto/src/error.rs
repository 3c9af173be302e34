//! What is wrong with a command: always the client's doing, always answered with a tagged BAD or NO.

use crate::Tag;

/// Why an argument or a command could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The text does not follow the grammar; says what was expected.
    Syntax(&'static str),
    /// No command has this name.
    UnknownCommand,
    /// Within the grammar but beyond a cap of [`crate::limits`].
    Limit(&'static str),
}

impl Problem {
    /// What to tell the client: ASCII, one line.
    pub fn text(&self) -> &'static str {
        match self {
            Problem::Syntax(text) | Problem::Limit(text) => text,
            Problem::UnknownCommand => "unknown command",
        }
    }
}

/// A command that could not be read, with its tag if at least that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The tag to answer to; without one the answer is untagged (RFC 9051 §7.1.3).
    pub tag: Option<Tag>,
    /// What is wrong.
    pub problem: Problem,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.problem.text())
    }
}

impl std::error::Error for ParseError {}
