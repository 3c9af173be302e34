//! I-JSON (RFC 7493): JSON without doubt. No member twice, no surrogates or noncharacters, and no more levels and values
//! than are allowed.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::{Object, limits};

/// Why bytes are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// They are not JSON, or a number is beyond a double's.
    Syntax,
    /// A member is there twice (RFC 7493 §2.3).
    Duplicate,
    /// A text has a noncharacter (RFC 7493 §2.1).
    Noncharacter,
    /// There are more levels than [`limits::DEPTH`].
    TooDeep,
    /// There are more values than [`limits::VALUES`].
    TooMany,
}

impl JsonError {
    /// For the client's developer.
    pub fn text(self) -> &'static str {
        match self {
            JsonError::Syntax => "that is not JSON",
            JsonError::Duplicate => "an object has a member twice",
            JsonError::Noncharacter => "a text has a noncharacter",
            JsonError::TooDeep => "arrays and objects nest too deeply",
            JsonError::TooMany => "there are too many values",
        }
    }
}

/// Reads one value that is all there is.
///
/// # Errors
/// What is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let (left, why) = (Cell::new(limits::VALUES), Cell::new(JsonError::Syntax));
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let seed = Bounded { depth: limits::DEPTH, left: &left, why: &why };
    let value = seed.deserialize(&mut reader).map_err(|_| why.get())?;
    reader.end().map_err(|_| JsonError::Syntax)?;
    Ok(value)
}

/// How many values there are in a value, itself included.
pub fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// Reads a value within what is left of the bounds.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    depth: usize,
    left: &'a Cell<usize>,
    why: &'a Cell<JsonError>,
}

impl Bounded<'_> {
    fn fail<E: serde::de::Error>(&self, why: JsonError) -> E {
        self.why.set(why);
        E::custom(why.text())
    }

    fn below<E: serde::de::Error>(&self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| self.fail(JsonError::TooDeep))?;
        Ok(Bounded { depth, ..*self })
    }

    fn text<E: serde::de::Error>(&self, text: &str) -> Result<(), E> {
        if text.chars().any(is_noncharacter) {
            return Err(self.fail(JsonError::Noncharacter));
        }
        Ok(())
    }
}

fn is_noncharacter(c: char) -> bool {
    let code = c as u32;
    code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| self.fail(JsonError::TooMany))?);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.fail(JsonError::Syntax))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.text(value)?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.text(&value)?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut object = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            self.text::<A::Error>(&name)?;
            if object.contains_key(&name) {
                self.why.set(JsonError::Duplicate);
                return Err(A::Error::custom(JsonError::Duplicate.text()));
            }
            let value = members.next_value_seed(below)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read() {
        let text = br#" {"a":[1,-2,1.5,true,null,"\u00e9\ud83d\ude00"],"b":{}} "#;
        assert_eq!(parse(text), Ok(json!({"a": [1, -2, 1.5, true, null, "é😀"], "b": {}})));
    }

    #[test]
    fn numbers_are_read_as_the_nearest_double() {
        let read = parse("4".repeat(113).as_bytes()).unwrap();
        assert_eq!(read.to_string(), "4.444444444444445e+112");
        assert_eq!(parse(read.to_string().as_bytes()), Ok(read));
    }

    #[test]
    fn doubtful_json_is_refused() {
        let syntax: [&[u8]; 8] =
            [b"", b"{", b"[1,]", b"{} {}", b"'a'", b"\"\\ud800\"", b"\"\xff\"", b"[1e999]"];
        for text in syntax {
            assert_eq!(parse(text), Err(JsonError::Syntax), "{}", text.escape_ascii());
        }
        assert_eq!(parse(br#"{"a":1,"\u0061":2}"#), Err(JsonError::Duplicate));
        assert_eq!(parse(br#"["\ufdd0"]"#), Err(JsonError::Noncharacter));
        assert_eq!(parse(br#"{"\uffff":1}"#), Err(JsonError::Noncharacter));
    }

    #[test]
    fn levels_and_values_are_bounded() {
        let deep = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
        assert!(parse(&deep(limits::DEPTH)).is_ok());
        assert_eq!(parse(&deep(limits::DEPTH + 1)), Err(JsonError::TooDeep));
        assert_eq!(parse(&vec![b'['; 1 << 20]), Err(JsonError::TooDeep));
        let wide = |values: usize| format!("[{}]", vec!["0"; values].join(","));
        let most = parse(wide(limits::VALUES - 1).as_bytes()).unwrap();
        assert_eq!(count(&most), limits::VALUES);
        assert_eq!(parse(wide(limits::VALUES).as_bytes()), Err(JsonError::TooMany));
    }
}
