//! ID (RFC 2971): who the other side says it is, for statistics and bug reports only.

use super::Body;
use crate::cursor::{Cursor, Result};
use crate::{Problem, limits};

/// Fields and values; empty for `NIL`. Values are for people: what is not UTF-8 is replaced.
pub type IdPairs = Vec<(String, Option<String>)>;

/// `id = "ID" SP id_params_list`; `id_params_list = "(" #(string SP nstring) ")" / nil` (RFC 2971 §4)
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    if cursor.eat_word("NIL") {
        return Ok(Body::Id(Vec::new()));
    }
    let mut count = 0;
    let pairs = cursor.list(true, |cursor| {
        count += 1;
        // RFC 2971 §3.3: at most 30 pairs, 30 bytes a field, 1024 bytes a value.
        if count > limits::ID_PAIRS {
            return Err(Problem::Limit("more than 30 ID fields"));
        }
        let field = lossy(&cursor.string()?, limits::ID_FIELD)?;
        cursor.space()?;
        let value = cursor.nstring()?.map(|value| lossy(&value, limits::ID_VALUE)).transpose()?;
        Ok((field, value))
    })?;
    Ok(Body::Id(pairs))
}

fn lossy(bytes: &[u8], cap: usize) -> Result<String> {
    if bytes.len() > cap {
        return Err(Problem::Limit("ID field or value is too long"));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    /// RFC 2971 §3.1
    #[test]
    fn known_answers() {
        let pair = |field: &str, value: Option<&str>| (field.to_owned(), value.map(str::to_owned));
        assert_eq!(
            body("ID (\"name\" \"sodr\" \"version\" \"19.34\" \"vendor\" \"Pink Floyd Music Limited\")"),
            Ok(Body::Id(vec![
                pair("name", Some("sodr")),
                pair("version", Some("19.34")),
                pair("vendor", Some("Pink Floyd Music Limited")),
            ]))
        );
        assert_eq!(body("ID NIL"), Ok(Body::Id(vec![])));
        assert_eq!(body("ID ()"), Ok(Body::Id(vec![])));
        assert_eq!(body("ID (\"os\" NIL)"), Ok(Body::Id(vec![pair("os", None)])));
    }

    #[test]
    fn many_parameters_are_bounded() {
        let list = |n: usize| format!("ID ({})", vec!["\"a\" \"b\""; n].join(" "));
        assert!(body(&list(30)).is_ok());
        assert!(matches!(body(&list(31)), Err(Problem::Limit(_))));
        assert!(matches!(body(&list(5000)), Err(Problem::Limit(_))));
        assert!(body("ID").is_err());
        assert!(body("ID (\"a\")").is_err());
    }
}
