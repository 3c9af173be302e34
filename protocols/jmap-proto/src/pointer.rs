//! JSON pointers (RFC 6901), with the `*` of RFC 8620 §3.7.

use serde_json::Value;

use crate::limits;

/// The tokens of a pointer, unescaped; none for what is no pointer.
pub fn parse(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    if text.len() > limits::POINTER {
        return None;
    }
    text.strip_prefix('/')?.split('/').map(unescape).collect()
}

/// A token with `~0` and `~1` put back; none for another `~`.
pub fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut letters = token.chars();
    while let Some(letter) = letters.next() {
        out.push(match (letter, letter == '~') {
            (_, true) => match letters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            (letter, false) => letter,
        });
    }
    Some(out)
}

/// A token as it stands in a pointer.
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// Where an evaluation ends: nowhere, or with more than may be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointerError {
    /// Nothing is there.
    Missing,
    /// There is more than may be copied.
    TooMuch,
}

/// What a pointer leads to, copied. `left` is how many values may be copied still.
///
/// RFC 8620 §3.7: `*` on an array is evaluated for each item, and what items give is put into one array; where an item
/// gives an array, its items are.
///
/// # Errors
/// [`PointerError`]
pub fn evaluate(value: &Value, tokens: &[String], left: &mut usize) -> Result<Value, PointerError> {
    let Some((token, rest)) = tokens.split_first() else {
        *left = left.checked_sub(crate::json::count(value)).ok_or(PointerError::TooMuch)?;
        return Ok(value.clone());
    };
    match value {
        Value::Array(items) if token == "*" => {
            let mut all = Vec::new();
            for item in items {
                match evaluate(item, rest, left)? {
                    Value::Array(found) => all.extend(found),
                    one => all.push(one),
                }
            }
            Ok(Value::Array(all))
        }
        Value::Array(items) => {
            let item = index(token).and_then(|at| items.get(at)).ok_or(PointerError::Missing)?;
            evaluate(item, rest, left)
        }
        Value::Object(members) => evaluate(members.get(token).ok_or(PointerError::Missing)?, rest, left),
        _ => Err(PointerError::Missing),
    }
}

/// RFC 6901 §4: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit()));
    if plain { token.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(value: &Value, path: &str) -> Result<Value, PointerError> {
        evaluate(value, &parse(path).ok_or(PointerError::Missing)?, &mut 1_000)
    }

    /// RFC 6901 §5
    #[test]
    fn the_rfcs_examples() {
        let value = json!({"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "m~n": 8, " ": 7});
        for (path, found) in [
            ("", value.clone()),
            ("/foo", json!(["bar", "baz"])),
            ("/foo/0", json!("bar")),
            ("/", json!(0)),
            ("/a~1b", json!(1)),
            ("/c%d", json!(2)),
            ("/ ", json!(7)),
            ("/m~0n", json!(8)),
        ] {
            assert_eq!(at(&value, path), Ok(found), "{path}");
        }
        for path in ["foo", "/foo/2", "/foo/00", "/foo/-", "/foo/+1", "/foo/0/x", "/m~2n", "/m~", "/x"] {
            assert_eq!(at(&value, path), Err(PointerError::Missing), "{path}");
        }
    }

    #[test]
    fn a_star_gathers_and_flattens() {
        let value =
            json!({"list": [{"ids": ["a", "b"], "t": 1}, {"ids": ["c"], "t": 2}, {"ids": [], "t": 3}]});
        assert_eq!(at(&value, "/list/*/ids"), Ok(json!(["a", "b", "c"])));
        assert_eq!(at(&value, "/list/*/t"), Ok(json!([1, 2, 3])));
        assert_eq!(at(&value, "/list/*/x"), Err(PointerError::Missing));
        assert_eq!(at(&json!({"*": 1}), "/*"), Ok(json!(1)), "a member may be called so");
        assert_eq!(at(&json!([]), "/*/x/y"), Ok(json!([])));
    }

    #[test]
    fn what_is_copied_is_counted() {
        let value = json!({"list": [[1, 2], [3]]});
        let mut left = 5;
        let path = parse("/list/*").unwrap();
        assert_eq!(evaluate(&value, &path, &mut left), Ok(json!([1, 2, 3])));
        assert_eq!(left, 0);
        assert_eq!(evaluate(&value, &path, &mut left), Err(PointerError::TooMuch));
    }

    #[test]
    fn tokens_are_escaped() {
        assert_eq!(unescape(&escape("a/~b~1")).as_deref(), Some("a/~b~1"));
    }
}
