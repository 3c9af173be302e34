//! What a grant is for.

use std::fmt;

/// A set of scope tokens (RFC 6749 §3.3), in their order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<String>);

impl Scope {
    /// Reads what is separated by spaces. Whether the tokens mean anything is not known here.
    pub fn parse(text: &str) -> Scope {
        text.split(' ').filter(|token| !token.is_empty()).collect()
    }

    /// Whether a token is in it.
    pub fn has(&self, token: &str) -> bool {
        self.0.iter().any(|one| one == token)
    }

    /// Whether all of another are in it.
    pub fn covers(&self, other: &Scope) -> bool {
        other.0.iter().all(|token| self.has(token))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<'a> FromIterator<&'a str> for Scope {
    fn from_iter<I: IntoIterator<Item = &'a str>>(tokens: I) -> Self {
        let mut scope = Scope::default();
        for token in tokens {
            if !scope.has(token) {
                scope.0.push(token.to_owned());
            }
        }
        scope
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}
