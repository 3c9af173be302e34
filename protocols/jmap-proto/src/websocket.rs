//! Messages over a WebSocket (RFC 8887 §4.3).

use serde_json::{Value, json};

use crate::limits::Limits;
use crate::push::{StateChange, Wanted};
use crate::{Object, Request, RequestError, Response, limits};

/// The capability.
pub const WEBSOCKET: &str = "urn:ietf:params:jmap:websocket";

/// The subprotocol (RFC 8887 §4.1).
pub const SUBPROTOCOL: &str = "jmap";

/// What a client says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A request, and what the client calls it by (§4.3.1).
    Request(Option<String>, Request),
    /// The client wants to be told what changes (§4.3.5.2).
    PushEnable {
        /// `dataTypes`
        types: Wanted,
        /// `pushState`: the last one that it was given.
        since: Option<String>,
    },
    /// It does not any more (§4.3.5.3).
    PushDisable,
}

/// What is wrong with a message, and what the client calls it by, as far as that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Bad {
    /// `requestId`
    pub id: Option<String>,
    /// What is wrong.
    pub error: RequestError,
}

impl Message {
    /// Reads the text of a message.
    ///
    /// # Errors
    /// What the client is to be told.
    pub fn parse(text: &[u8], limits: &Limits) -> Result<Message, Bad> {
        let mut object = crate::request::object(text, limits).map_err(|error| Bad { id: None, error })?;
        let id = match object.remove("id") {
            Some(Value::String(id)) if id.len() <= limits::CALL_ID => Some(id),
            None | Some(Value::Null) => None,
            Some(_) => return Err(Bad { id: None, error: RequestError::NotRequest("`id` is a short text") }),
        };
        let kind = object.remove("@type");
        let message = match kind.as_ref().and_then(Value::as_str) {
            Some("Request") => {
                return match Request::of_object(object, limits) {
                    Ok(request) => Ok(Message::Request(id, request)),
                    Err(error) => Err(Bad { id, error }),
                };
            }
            Some("WebSocketPushEnable") => push_enable(object),
            Some("WebSocketPushDisable") => Ok(Message::PushDisable),
            _ => Err(RequestError::NotRequest("`@type` is none that is known")),
        };
        message.map_err(|error| Bad { id, error })
    }
}

fn push_enable(mut object: Object) -> Result<Message, RequestError> {
    let types = match object.remove("dataTypes") {
        None | Some(Value::Null) => Wanted::All,
        Some(names) => Wanted::Some(
            crate::request::strings(names)
                .ok_or(RequestError::NotRequest("`dataTypes` is a list of names"))?,
        ),
    };
    let since = match object.remove("pushState") {
        None | Some(Value::Null) => None,
        Some(Value::String(state)) => Some(state),
        Some(_) => return Err(RequestError::NotRequest("`pushState` is a text")),
    };
    Ok(Message::PushEnable { types, since })
}

/// The answer to a request (§4.3.2).
///
/// # Errors
/// None that can happen: what a response is made of can be written.
pub fn response(id: Option<&str>, response: &Response) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(response)?;
    if let Value::Object(members) = &mut value {
        members.insert("@type".to_owned(), "Response".into());
        if let Some(id) = id {
            members.insert("requestId".to_owned(), id.into());
        }
    }
    Ok(value.to_string())
}

/// The answer to what is no request (§4.3.4).
pub fn request_error(bad: &Bad) -> String {
    let mut value = bad.error.to_value();
    if let Value::Object(members) = &mut value {
        members.insert("@type".to_owned(), "RequestError".into());
        if let Some(id) = &bad.id {
            members.insert("requestId".to_owned(), id.as_str().into());
        }
    }
    value.to_string()
}

/// What changed (§4.3.5.1), and what a client that comes again gives as `pushState`.
pub fn state_change(change: &StateChange, state: &str) -> String {
    let mut value = change.to_value();
    if let Value::Object(members) = &mut value {
        members.insert("pushState".to_owned(), json!(state));
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Id;
    use std::collections::BTreeMap;

    fn parse(value: &Value) -> Result<Message, Bad> {
        Message::parse(value.to_string().as_bytes(), &Limits::default())
    }

    /// RFC 8887 §4.4
    #[test]
    fn the_rfcs_examples() {
        let request = json!({
            "@type": "Request", "id": "R1",
            "using": ["urn:ietf:params:jmap:core"],
            "methodCalls": [["Core/echo", {"hello": true, "high": 5}, "b3ff"]]
        });
        let Ok(Message::Request(Some(id), read)) = parse(&request) else { panic!("{request}") };
        assert_eq!((id.as_str(), read.calls.len()), ("R1", 1));
        let answer = Response { answers: read.calls, created_ids: None, session_state: "s".into() };
        let told: Value = serde_json::from_str(&response(Some("R1"), &answer).unwrap()).unwrap();
        let wanted = json!({
            "@type": "Response", "requestId": "R1", "sessionState": "s",
            "methodResponses": [["Core/echo", {"hello": true, "high": 5}, "b3ff"]]
        });
        assert_eq!(told, wanted);
        let Err(bad) = parse(&json!({"@type": "Request", "id": "R2", "using": [], "methodCalls": "x"}))
        else {
            panic!()
        };
        let told: Value = serde_json::from_str(&request_error(&bad)).unwrap();
        assert_eq!((told["@type"].as_str(), told["requestId"].as_str()), (Some("RequestError"), Some("R2")));
        assert_eq!(told["type"], "urn:ietf:params:jmap:error:notRequest");
        let enable =
            json!({"@type": "WebSocketPushEnable", "dataTypes": ["Mailbox", "Email"], "pushState": "aaa"});
        let wanted = Message::PushEnable {
            types: Wanted::Some(vec!["Mailbox".into(), "Email".into()]),
            since: Some("aaa".into()),
        };
        assert_eq!(parse(&enable), Ok(wanted));
        let all = Message::PushEnable { types: Wanted::All, since: None };
        assert_eq!(parse(&json!({"@type": "WebSocketPushEnable", "dataTypes": null})), Ok(all));
        assert_eq!(parse(&json!({"@type": "WebSocketPushDisable"})), Ok(Message::PushDisable));
    }

    #[test]
    fn what_is_no_message() {
        for (value, id) in [
            (json!([]), None),
            (json!({"id": "a"}), Some("a")),
            (json!({"@type": "Response", "id": "a"}), Some("a")),
            (json!({"@type": "Request", "id": 5}), None),
            (json!({"@type": "WebSocketPushEnable", "dataTypes": "Email"}), None),
            (json!({"@type": "WebSocketPushEnable", "dataTypes": null, "pushState": 1}), None),
        ] {
            let bad = parse(&value).unwrap_err();
            assert!(bad.error.uri().ends_with("notRequest") && bad.id.as_deref() == id, "{value}");
        }
        let bad = Message::parse(b"{", &Limits::default()).unwrap_err();
        assert!(bad.error.uri().ends_with("notJSON"));
        // It is a text, or is not there.
        assert_eq!(serde_json::from_str::<Value>(&request_error(&bad)).unwrap().get("requestId"), None);
    }

    #[test]
    fn a_change_bears_its_state() {
        let id = Id::new("A1").unwrap();
        let change =
            StateChange { changed: BTreeMap::from([(id, BTreeMap::from([("Email", "x".to_owned())]))]) };
        let told: Value = serde_json::from_str(&state_change(&change, "7")).unwrap();
        let wanted = json!({"@type": "StateChange", "changed": {"A1": {"Email": "x"}}, "pushState": "7"});
        assert_eq!(told, wanted);
    }
}
