//! LOGIN (RFC 9051 §6.2.3).

use super::Body;
use crate::cursor::{Cursor, Result};

/// A name and a password in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub user: String,
    /// The proof.
    pub password: Password,
}

/// A password: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    /// A password from its bytes.
    pub fn new(bytes: Vec<u8>) -> Password {
        Password(bytes)
    }

    /// Its bytes, for comparison only.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// `login = "LOGIN" SP userid SP password`; `userid = astring`; `password = astring` (RFC 9051 §9)
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    let user = cursor.astring_text()?;
    cursor.space()?;
    let password = Password(cursor.astring()?.into_owned());
    Ok(Body::Login(Login { user, password }))
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    fn login(user: &str, password: &str) -> std::result::Result<Body, crate::Problem> {
        Ok(Body::Login(Login { user: user.into(), password: Password::new(password.into()) }))
    }

    /// RFC 9051 §6.2.3 and §4.3.
    #[test]
    fn known_answers() {
        assert_eq!(body("LOGIN SMITH SESAME"), login("SMITH", "SESAME"));
        assert_eq!(body("LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man"), login("FRED FOOBAR", "fat man"));
        assert_eq!(body("LOGIN alice@example.test \"pa\\\"ss\""), login("alice@example.test", "pa\"ss"));
        assert_eq!(body("LOGIN \"jürgen\" \"ä\""), login("jürgen", "ä"));
        assert_eq!(body("LOGIN a \"\""), login("a", ""));
    }

    #[test]
    fn refused() {
        for bad in ["LOGIN", "LOGIN a", "LOGIN a ", "LOGIN a b c", "LOGIN \"a b", "LOGIN a {3}\r\nab"] {
            assert!(body(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        assert!(!format!("{:?}", body("LOGIN a sesame")).contains("sesame"));
    }
}
