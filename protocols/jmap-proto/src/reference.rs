//! References to earlier answers (RFC 8620 §3.7).
//!
//! They lead back only, so there are no cycles; and what all of a request copy together is bounded, so that calls which
//! double what came before them do not grow without end.

use serde_json::Value;

use crate::pointer::{self, PointerError};
use crate::{Invocation, MethodError, Object, limits};

/// How much a request may still copy.
#[derive(Debug, Clone)]
pub struct Copying {
    left: usize,
}

impl Default for Copying {
    fn default() -> Self {
        Copying { left: limits::VALUES }
    }
}

/// Arguments with what references stand for in their place.
///
/// # Errors
/// [`MethodError::InvalidArguments`] where an argument is given in both ways; [`MethodError::InvalidResultReference`].
pub fn resolve(
    arguments: Object,
    answers: &[Invocation],
    copying: &mut Copying,
) -> Result<Object, MethodError> {
    if !arguments.keys().any(|name| name.starts_with('#')) {
        return Ok(arguments);
    }
    let mut resolved = Object::new();
    for (name, value) in arguments {
        let (name, value) = match name.strip_prefix('#') {
            Some(plain) => (plain.to_owned(), follow(&value, answers, copying)?),
            None => (name, value),
        };
        if resolved.contains_key(&name) {
            return Err(MethodError::invalid(&name, "given by value and by reference"));
        }
        resolved.insert(name, value);
    }
    Ok(resolved)
}

fn follow(reference: &Value, answers: &[Invocation], copying: &mut Copying) -> Result<Value, MethodError> {
    let wrong = || MethodError::InvalidResultReference;
    let text = |name: &str| reference.get(name).and_then(Value::as_str).ok_or_else(wrong);
    let (result_of, name, path) = (text("resultOf")?, text("name")?, text("path")?);
    let answer = answers.iter().find(|answer| answer.call_id == result_of).ok_or_else(wrong)?;
    if answer.name != name {
        return Err(wrong());
    }
    let tokens = pointer::parse(path).ok_or_else(wrong)?;
    let Some((first, rest)) = tokens.split_first() else {
        // The whole of the arguments; nothing else has a use for a copy of them as a value.
        let whole = Value::Object(answer.arguments.clone());
        return pointer::evaluate(&whole, &[], &mut copying.left).map_err(|_| wrong());
    };
    let value = answer.arguments.get(first).ok_or_else(wrong)?;
    pointer::evaluate(value, rest, &mut copying.left).map_err(|error| match error {
        PointerError::Missing => wrong(),
        PointerError::TooMuch => MethodError::RequestTooLarge,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    fn answer(name: &str, arguments: Value, call_id: &str) -> Invocation {
        Invocation { name: name.into(), arguments: object(arguments), call_id: call_id.into() }
    }

    fn reference(of: &str, name: &str, path: &str) -> Value {
        json!({"resultOf": of, "name": name, "path": path})
    }

    /// RFC 8620 §3.7: `Foo/changes`, then `Foo/get` of what was created.
    #[test]
    fn the_rfcs_examples() {
        let answers = [
            answer("Foo/changes", json!({"created": ["f1", "f4"], "updated": [], "destroyed": []}), "t0"),
            answer(
                "Email/get",
                json!({"list": [{"id": "m1", "threadId": "t1"}, {"id": "m2", "threadId": "t2"}]}),
                "t1",
            ),
        ];
        let mut copying = Copying::default();
        let arguments = json!({"accountId": "A1", "#ids": reference("t0", "Foo/changes", "/created")});
        let resolved = resolve(object(arguments), &answers, &mut copying).unwrap();
        assert_eq!(Value::Object(resolved), json!({"accountId": "A1", "ids": ["f1", "f4"]}));
        let arguments = json!({"#ids": reference("t1", "Email/get", "/list/*/threadId")});
        let resolved = resolve(object(arguments), &answers, &mut copying).unwrap();
        assert_eq!(resolved["ids"], json!(["t1", "t2"]));
    }

    #[test]
    fn what_leads_nowhere() {
        let answers = [answer("a", json!({"x": 1}), "0"), answer("b", json!({"x": 2}), "0")];
        let mut copying = Copying::default();
        for bad in [
            reference("1", "a", "/x"),
            reference("0", "b", "/x"),
            reference("0", "a", "/y"),
            reference("0", "a", "x"),
            json!({"resultOf": "0", "name": "a"}),
            json!("0"),
            json!(null),
        ] {
            let failed = resolve(object(json!({"#x": bad})), &answers, &mut copying);
            assert_eq!(failed, Err(MethodError::InvalidResultReference), "{bad}");
        }
        let both = object(json!({"#x": reference("0", "a", "/x"), "x": 1}));
        assert!(matches!(resolve(both, &answers, &mut copying), Err(MethodError::InvalidArguments { .. })));
    }

    /// Each call answers with twice what the one before it did.
    #[test]
    fn doubling_ends() {
        let mut answers = vec![answer("Core/echo", json!({"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}), "0")];
        let (mut copying, mut refused) = (Copying::default(), false);
        for call in 1..64 {
            let of = (call - 1).to_string();
            let both = reference(&of, "Core/echo", "");
            let arguments = object(json!({"#a": both, "#b": both}));
            match resolve(arguments, &answers, &mut copying) {
                Ok(arguments) => {
                    answers.push(answer("Core/echo", Value::Object(arguments), &call.to_string()));
                }
                Err(_) => {
                    refused = true;
                    break;
                }
            }
        }
        assert!(refused);
        let values: usize =
            answers.iter().map(|a| crate::json::count(&Value::Object(a.arguments.clone()))).sum();
        assert!(values <= limits::VALUES + 100, "{values}");
    }
}
