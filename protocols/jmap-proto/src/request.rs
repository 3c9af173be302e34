//! The request and the response (RFC 8620 §3.2 to §3.4).

use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};
use serde_json::Value;

use crate::json::JsonError;
use crate::limits::{self, Limits};
use crate::{CreatedIds, MethodError, Object, RequestError, json};

/// A call, or an answer to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Of the method, or `error`.
    pub name: String,
    /// What is given, or what came of it.
    pub arguments: Object,
    /// What the client calls it by.
    pub call_id: String,
}

impl Invocation {
    /// The answer to a call that failed.
    pub fn error(error: &MethodError, call_id: &str) -> Self {
        Invocation { name: "error".to_owned(), arguments: error.to_object(), call_id: call_id.to_owned() }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The capabilities that it uses.
    pub using: Vec<String>,
    /// What is to be done, in order.
    pub calls: Vec<Invocation>,
    /// What earlier requests made, if the client wants to be told what this one makes.
    pub created_ids: Option<CreatedIds>,
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// [`RequestError`], but for capabilities, which [`Request::uses_only`] checks.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Request, RequestError> {
        Request::of_object(object(body, limits)?, limits)
    }

    /// Reads what a body was; further members do not matter.
    ///
    /// # Errors
    /// As [`Request::parse`].
    pub(crate) fn of_object(mut request: Object, limits: &Limits) -> Result<Request, RequestError> {
        let using = request.remove("using").and_then(strings);
        let using = using.ok_or(RequestError::NotRequest("`using` is a list of capabilities"))?;
        let Some(Value::Array(calls)) = request.remove("methodCalls") else {
            return Err(RequestError::NotRequest("`methodCalls` is a list of calls"));
        };
        if calls.len() > limits.calls_in_request {
            return Err(RequestError::Limit("maxCallsInRequest"));
        }
        let calls: Option<Vec<Invocation>> = calls.into_iter().map(invocation).collect();
        let calls = calls.ok_or(RequestError::NotRequest("a call is a name, arguments and an id"))?;
        let created_ids = request.remove("createdIds").map_or(Some(None), created_ids);
        let created_ids = created_ids.ok_or(RequestError::NotRequest("`createdIds` is a map of ids"))?;
        Ok(Request { using, calls, created_ids })
    }

    /// Checks what it uses.
    ///
    /// # Errors
    /// [`RequestError::UnknownCapability`] for the first that is not known.
    pub fn uses_only(&self, known: impl Fn(&str) -> bool) -> Result<(), RequestError> {
        let unknown = self.using.iter().find(|urn| !known(urn));
        unknown.map_or(Ok(()), |urn| Err(RequestError::UnknownCapability(urn.clone())))
    }
}

/// The object that a body is.
pub(crate) fn object(body: &[u8], limits: &Limits) -> Result<Object, RequestError> {
    if body.len() as u64 > limits.size_request {
        return Err(RequestError::Limit("maxSizeRequest"));
    }
    let value = json::parse(body).map_err(|error| match error {
        JsonError::TooDeep => RequestError::NotRequest(error.text()),
        JsonError::TooMany => RequestError::Limit("maxSizeRequest"),
        _ => RequestError::NotJson(error.text()),
    })?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(RequestError::NotRequest("a request is an object")),
    }
}

pub(crate) fn strings(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else { return None };
    let text = |item: Value| match item {
        Value::String(text) if text.len() <= limits::POINTER => Some(text),
        _ => None,
    };
    if items.len() > limits::USING { None } else { items.into_iter().map(text).collect() }
}

fn invocation(value: Value) -> Option<Invocation> {
    let Value::Array(parts) = value else { return None };
    let mut parts = parts.into_iter();
    match (parts.next()?, parts.next()?, parts.next()?, parts.next()) {
        (Value::String(name), Value::Object(arguments), Value::String(call_id), None) => {
            let short = name.len() <= limits::NAME && call_id.len() <= limits::CALL_ID;
            short.then_some(Invocation { name, arguments, call_id })
        }
        _ => None,
    }
}

fn created_ids(value: Value) -> Option<Option<CreatedIds>> {
    match value {
        Value::Null => Some(None),
        Value::Object(members) if members.len() <= limits::CREATED_IDS => {
            CreatedIds::parse(&members).map(Some)
        }
        _ => None,
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The answers, in the order of the calls; one call may have several.
    pub answers: Vec<Invocation>,
    /// All that was made under creation ids, for a client that gave some along.
    pub created_ids: Option<CreatedIds>,
    /// The state of the session object.
    pub session_state: String,
}

impl Serialize for Invocation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_tuple(3)?;
        parts.serialize_element(&self.name)?;
        parts.serialize_element(&self.arguments)?;
        parts.serialize_element(&self.call_id)?;
        parts.end()
    }
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("methodResponses", &self.answers)?;
        if let Some(created) = &self.created_ids {
            members.serialize_entry("createdIds", &created.to_value())?;
        }
        members.serialize_entry("sessionState", &self.session_state)?;
        members.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: &Value) -> Result<Request, RequestError> {
        Request::parse(value.to_string().as_bytes(), &Limits::default())
    }

    /// RFC 8620 §3.3.1
    #[test]
    fn the_rfcs_example() {
        let request = parse(&json!({
            "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
            "methodCalls": [
                ["method1", {"arg1": "arg1data", "arg2": "arg2data"}, "c1"],
                ["method2", {"arg1": "arg1data"}, "c2"],
                ["method3", {}, "c3"]
            ]
        }))
        .unwrap();
        assert_eq!(request.calls.len(), 3);
        assert_eq!(request.calls[0].arguments["arg2"], "arg2data");
        assert_eq!((request.calls[2].name.as_str(), request.calls[2].call_id.as_str()), ("method3", "c3"));
        assert_eq!(request.created_ids, None);
        assert_eq!(request.uses_only(|urn| urn.ends_with("core") || urn.ends_with("mail")), Ok(()));
        let unknown = RequestError::UnknownCapability("urn:ietf:params:jmap:mail".into());
        assert_eq!(request.uses_only(|urn| urn.ends_with("core")), Err(unknown));
    }

    #[test]
    fn what_is_no_request() {
        for (value, uri) in [
            (json!([]), "notRequest"),
            (json!({"using": [], "methodCalls": {}}), "notRequest"),
            (json!({"using": [1], "methodCalls": []}), "notRequest"),
            (json!({"using": "x", "methodCalls": []}), "notRequest"),
            (json!({"methodCalls": []}), "notRequest"),
            (json!({"using": [], "methodCalls": [["a", {}]]}), "notRequest"),
            (json!({"using": [], "methodCalls": [["a", [], "c"]]}), "notRequest"),
            (json!({"using": [], "methodCalls": [["a", {}, "c", 1]]}), "notRequest"),
            (json!({"using": [], "methodCalls": [["a", {}, 1]]}), "notRequest"),
            (json!({"using": [], "methodCalls": [], "createdIds": {"a": 1}}), "notRequest"),
            (json!({"using": [], "methodCalls": vec![json!(["a", {}, "c"]); 17]}), "limit"),
        ] {
            let error = parse(&value).unwrap_err();
            assert!(error.uri().ends_with(uri), "{value}: {error:?}");
        }
        let size = Limits { size_request: 5, ..Limits::default() };
        assert_eq!(Request::parse(b"{\"a\":1}", &size), Err(RequestError::Limit("maxSizeRequest")));
        assert!(matches!(Request::parse(b"{", &size), Err(RequestError::NotJson(_))));
        let deep = "[".repeat(100);
        assert!(matches!(
            Request::parse(deep.as_bytes(), &Limits::default()),
            Err(RequestError::NotRequest(_))
        ));
    }

    /// RFC 8620 §3.4.1
    #[test]
    fn a_response_is_written() {
        let Value::Object(arguments) = json!({"arg1": 3}) else { unreachable!() };
        let answer = Invocation { name: "method1".into(), arguments, call_id: "c1".into() };
        let failed = Invocation::error(&MethodError::UnknownMethod, "c3");
        let mut response = Response {
            answers: vec![answer, failed],
            created_ids: None,
            session_state: "75128aab4b1b".into(),
        };
        let told = json!({
            "methodResponses": [["method1", {"arg1": 3}, "c1"], ["error", {"type": "unknownMethod"}, "c3"]],
            "sessionState": "75128aab4b1b"
        });
        assert_eq!(serde_json::to_value(&response).unwrap(), told);
        response.created_ids = Some(CreatedIds::default());
        assert_eq!(serde_json::to_value(&response).unwrap()["createdIds"], json!({}));
    }
}
