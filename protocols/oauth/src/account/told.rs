//! What the page says of what a form has done.

use accounts::{Enrolled, Secret};

/// What came of a form.
#[derive(Debug)]
pub(super) enum Told {
    /// It is done.
    Yes(String),
    /// It is not, and why.
    No(String),
    /// A password for an application of this name.
    Application(String, Secret),
    /// What a device has to be shown, and codes on paper.
    Enrolled(Enrolled),
}

impl Told {
    /// As a visit keeps it: what it is, and then lines. There is no line break in what they say.
    pub(super) fn text(&self) -> Secret {
        let mut lines = match self {
            Told::Yes(text) => vec!["yes", text],
            Told::No(text) => vec!["no", text],
            Told::Application(name, password) => vec!["application", name, password.expose()],
            Told::Enrolled(enrolled) => vec!["enrolled", enrolled.uri.expose()],
        };
        if let Told::Enrolled(enrolled) = self {
            lines.extend(enrolled.recovery.iter().map(Secret::expose));
        }
        Secret::new(lines.join("\n"))
    }

    /// Reads it; none for what a newer node may have to say.
    pub(super) fn parse(text: &Secret) -> Option<Told> {
        let mut lines = text.expose().split('\n');
        Some(match (lines.next()?, lines.next()?) {
            ("yes", text) => Told::Yes(text.to_owned()),
            ("no", text) => Told::No(text.to_owned()),
            ("application", name) => Told::Application(name.to_owned(), Secret::new(lines.next()?)),
            ("enrolled", uri) => {
                Told::Enrolled(Enrolled { uri: Secret::new(uri), recovery: lines.map(Secret::new).collect() })
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_reads_back() {
        let enrolled =
            Enrolled { uri: Secret::new("otpauth://x"), recovery: vec![Secret::new("a"), Secret::new("b")] };
        for told in [
            Told::Yes("It is done.".into()),
            Told::No("It is not.".into()),
            Told::Application("phone".into(), Secret::new("abcd-efgh")),
            Told::Enrolled(enrolled),
        ] {
            let text = told.text();
            let back = Told::parse(&text).unwrap();
            assert_eq!(std::mem::discriminant(&back), std::mem::discriminant(&told));
            assert_eq!(back.text().expose(), text.expose());
        }
        for other in ["", "yes", "application\nphone", "of the future\nx"] {
            assert!(Told::parse(&Secret::new(other)).is_none(), "{other}");
        }
    }
}
