//! Sorting (RFC 8620 §5.5): comparators, and the collations they may name.

use serde_json::Value;

use crate::{MethodError, Object, limits};

/// Collations that texts can be compared by (RFC 4790).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Collation {
    /// `i;ascii-casemap`
    AsciiCasemap,
    /// `i;octet`
    Octet,
    /// `i;unicode-casemap` (RFC 5051), as far as lower case goes.
    #[default]
    UnicodeCasemap,
}

impl Collation {
    /// All of them.
    pub const ALL: [Collation; 3] = [Collation::AsciiCasemap, Collation::Octet, Collation::UnicodeCasemap];

    /// Its name in the registry.
    pub fn name(self) -> &'static str {
        match self {
            Collation::AsciiCasemap => "i;ascii-casemap",
            Collation::Octet => "i;octet",
            Collation::UnicodeCasemap => "i;unicode-casemap",
        }
    }

    /// That of a name.
    pub fn from_name(name: &str) -> Option<Collation> {
        Collation::ALL.into_iter().find(|one| one.name() == name)
    }

    /// What a text is compared by.
    pub fn key(self, text: &str) -> String {
        match self {
            Collation::AsciiCasemap => text.to_ascii_uppercase(),
            Collation::Octet => text.to_owned(),
            Collation::UnicodeCasemap => text.to_lowercase(),
        }
    }
}

/// A `Comparator`.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparator {
    /// By what.
    pub property: String,
    /// Whether the smallest comes first.
    pub ascending: bool,
    /// How texts are compared.
    pub collation: Collation,
    /// What else the property needs, such as `keyword` (RFC 8621 §4.4.2).
    pub more: Object,
}

/// Reads `sort`: none for null.
///
/// # Errors
/// [`MethodError::InvalidArguments`] for what is none, [`MethodError::UnsupportedSort`] for too many or an unknown
/// collation.
pub fn parse(value: Value) -> Result<Vec<Comparator>, MethodError> {
    let wrong = || MethodError::invalid("sort", "a sort is a list of comparators");
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) if items.len() > limits::COMPARATORS => Err(MethodError::UnsupportedSort),
        Value::Array(items) => items.into_iter().map(comparator).collect(),
        _ => Err(wrong()),
    }
}

fn comparator(value: Value) -> Result<Comparator, MethodError> {
    let wrong = || MethodError::invalid("sort", "that is no comparator");
    let Value::Object(mut members) = value else { return Err(wrong()) };
    let Some(Value::String(property)) = members.remove("property") else { return Err(wrong()) };
    let ascending = match members.remove("isAscending") {
        None => true,
        Some(value) => value.as_bool().ok_or_else(wrong)?,
    };
    let collation = match members.remove("collation") {
        None => Collation::default(),
        Some(Value::String(name)) => Collation::from_name(&name).ok_or(MethodError::UnsupportedSort)?,
        Some(_) => return Err(wrong()),
    };
    Ok(Comparator { property, ascending, collation, more: members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comparators_are_read() {
        let sort = parse(json!([
            {"property": "someInThreadHaveKeyword", "keyword": "$flagged", "isAscending": false},
            {"property": "subject", "collation": "i;ascii-casemap"}
        ]))
        .unwrap();
        assert_eq!((sort[0].ascending, sort[1].ascending), (false, true));
        assert_eq!(sort[0].more["keyword"], "$flagged");
        assert_eq!(sort[1].collation, Collation::AsciiCasemap);
        assert_eq!(parse(json!(null)), Ok(vec![]));
    }

    #[test]
    fn others_are_refused() {
        for bad in [json!({}), json!([1]), json!([{}]), json!([{"property": "a", "isAscending": 1}])] {
            assert!(matches!(parse(bad), Err(MethodError::InvalidArguments { .. })));
        }
        let many = vec![json!({"property": "a"}); limits::COMPARATORS + 1];
        for unsupported in [json!([{"property": "a", "collation": "i;x"}]), json!(many)] {
            assert_eq!(parse(unsupported), Err(MethodError::UnsupportedSort));
        }
    }

    #[test]
    fn keys_of_collations() {
        assert_eq!(Collation::AsciiCasemap.key("aÉ"), "AÉ");
        assert_eq!(Collation::UnicodeCasemap.key("aÉ"), "aé");
        assert_eq!(Collation::Octet.key("aÉ"), "aÉ");
    }
}
