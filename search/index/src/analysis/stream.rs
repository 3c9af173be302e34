//! Tokens that were made before Tantivy sees them: text is looked at once, by code that knows what it is.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// The name of the tokenizer that takes a [`Stream`] apart.
pub(crate) const READY: &str = "ready";

/// Steps between positions that fit into one character, and bytes of a token.
const MOST: usize = 0xd000 - 1;

/// Tokens with their positions, as one string: step, length, term.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    encoded: String,
    last: usize,
}

impl Stream {
    /// Adds a token at a position that is not before the last one.
    pub(crate) fn push(&mut self, position: usize, term: &str) {
        let step = position.saturating_sub(self.last).min(MOST - 1);
        self.last = position;
        self.encoded.push(number(step));
        self.encoded.push(number(term.len().min(MOST)));
        self.encoded.push_str(&term[..term.floor_char_boundary(MOST)]);
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    pub(crate) fn into_text(self) -> String {
        self.encoded
    }
}

/// A small number as a character; never a surrogate.
fn number(value: usize) -> char {
    u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\0')
}

/// Takes a [`Stream`] apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ready;

impl Tokenizer for Ready {
    type TokenStream<'a> = Steps<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Steps<'a> {
        Steps { rest: text, position: 0, token: Token::default() }
    }
}

/// Iterator over the tokens.
pub(crate) struct Steps<'a> {
    rest: &'a str,
    position: usize,
    token: Token,
}

impl TokenStream for Steps<'_> {
    fn advance(&mut self) -> bool {
        let mut chars = self.rest.chars();
        let (Some(step), Some(length)) = (chars.next(), chars.next()) else { return false };
        let Some((term, rest)) = chars.as_str().split_at_checked(length as usize) else { return false };
        self.position += step as usize;
        self.rest = rest;
        self.token.reset();
        self.token.position = self.position;
        self.token.text.push_str(term);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_out_as_they_went_in() {
        let mut stream = Stream::default();
        stream.push(3, "grün");
        stream.push(3, "");
        stream.push(700, "日本");
        let text = stream.into_text();
        let mut ready = Ready;
        let mut steps = ready.token_stream(&text);
        let mut found = Vec::new();
        while steps.advance() {
            found.push((steps.token().position, steps.token().text.clone()));
        }
        assert_eq!(found, [(3, "grün".to_owned()), (3, String::new()), (700, "日本".to_owned())]);
    }
}
