//! What goes wrong with a whole request (RFC 8620 §3.6.1), and with one call (§3.6.2).

use serde_json::{Value, json};

use crate::Object;

/// Why nothing of a request was done: a problem of RFC 7807 and its successor RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// It uses a capability that is not there.
    UnknownCapability(String),
    /// It is not I-JSON, or not said to be JSON.
    NotJson(&'static str),
    /// It is no `Request` object.
    NotRequest(&'static str),
    /// It is beyond a limit, which has this name.
    Limit(&'static str),
}

impl RequestError {
    /// Its type, a URI.
    pub fn uri(&self) -> &'static str {
        match self {
            RequestError::UnknownCapability(_) => "urn:ietf:params:jmap:error:unknownCapability",
            RequestError::NotJson(_) => "urn:ietf:params:jmap:error:notJSON",
            RequestError::NotRequest(_) => "urn:ietf:params:jmap:error:notRequest",
            RequestError::Limit(_) => "urn:ietf:params:jmap:error:limit",
        }
    }

    /// The status of the HTTP answer: RFC 8620 §3.6.1 shows 400 in each example.
    pub const STATUS: u16 = 400;

    /// The problem details.
    pub fn to_value(&self) -> Value {
        let detail = match self {
            RequestError::UnknownCapability(urn) => format!("the capability {urn:?} is not known here"),
            RequestError::NotJson(text) | RequestError::NotRequest(text) => (*text).to_owned(),
            RequestError::Limit(name) => format!("the request is beyond the limit {name}"),
        };
        let mut problem = json!({"type": self.uri(), "status": Self::STATUS, "detail": detail});
        if let (RequestError::Limit(name), Some(problem)) = (self, problem.as_object_mut()) {
            problem.insert("limit".to_owned(), Value::from(*name));
        }
        problem
    }
}

/// Why a call was not done, or not in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MethodError {
    /// Something within is not there at present; the same call may succeed later.
    ServerUnavailable,
    /// Something went wrong that should not; nothing was changed.
    ServerFail(String),
    /// Something went wrong, and what was changed is to be looked up.
    ServerPartialFail,
    /// There is no such method.
    UnknownMethod,
    /// Arguments are missing, too many, or of a wrong kind; these.
    InvalidArguments {
        /// Their names.
        arguments: Vec<String>,
        /// What is wrong.
        description: &'static str,
    },
    /// A result reference leads nowhere (§3.7).
    InvalidResultReference,
    /// The user may not do that.
    Forbidden,
    /// There is no such account.
    AccountNotFound,
    /// The account has no such data.
    AccountNotSupportedByMethod,
    /// The account can only be read.
    AccountReadOnly,
    /// More objects than a call may have (§5.1, §5.3).
    RequestTooLarge,
    /// The change log does not reach back, or does not tell enough (§5.2, §5.6).
    CannotCalculateChanges,
    /// More changes than the client takes (§5.6).
    TooManyChanges,
    /// `ifInState` is not the state (§5.3).
    StateMismatch,
    /// The anchor is not among the results (§5.5).
    AnchorNotFound,
    /// A sort that is not known (§5.5).
    UnsupportedSort,
    /// A filter that is not known (§5.5).
    UnsupportedFilter,
    /// There is no such account to copy from (§5.4).
    FromAccountNotFound,
    /// The account to copy from has no such data (§5.4).
    FromAccountNotSupportedByMethod,
    /// There is no such type of records (RFC 9404 §4.3).
    UnknownDataType,
}

impl MethodError {
    /// One argument is wrong.
    pub fn invalid(argument: &str, description: &'static str) -> Self {
        MethodError::InvalidArguments { arguments: vec![argument.to_owned()], description }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            MethodError::ServerUnavailable => "serverUnavailable",
            MethodError::ServerFail(_) => "serverFail",
            MethodError::ServerPartialFail => "serverPartialFail",
            MethodError::UnknownMethod => "unknownMethod",
            MethodError::InvalidArguments { .. } => "invalidArguments",
            MethodError::InvalidResultReference => "invalidResultReference",
            MethodError::Forbidden => "forbidden",
            MethodError::AccountNotFound => "accountNotFound",
            MethodError::AccountNotSupportedByMethod => "accountNotSupportedByMethod",
            MethodError::AccountReadOnly => "accountReadOnly",
            MethodError::RequestTooLarge => "requestTooLarge",
            MethodError::CannotCalculateChanges => "cannotCalculateChanges",
            MethodError::TooManyChanges => "tooManyChanges",
            MethodError::StateMismatch => "stateMismatch",
            MethodError::AnchorNotFound => "anchorNotFound",
            MethodError::UnsupportedSort => "unsupportedSort",
            MethodError::UnsupportedFilter => "unsupportedFilter",
            MethodError::FromAccountNotFound => "fromAccountNotFound",
            MethodError::FromAccountNotSupportedByMethod => "fromAccountNotSupportedByMethod",
            MethodError::UnknownDataType => "unknownDataType",
        }
    }

    /// The arguments of the answer `error`.
    pub fn to_object(&self) -> Object {
        let mut object = Object::new();
        object.insert("type".to_owned(), Value::from(self.name()));
        match self {
            MethodError::InvalidArguments { arguments, description } => {
                object.insert("arguments".to_owned(), Value::from(arguments.clone()));
                object.insert("description".to_owned(), Value::from(*description));
            }
            MethodError::ServerFail(description) => {
                object.insert("description".to_owned(), Value::from(description.as_str()));
            }
            _ => {}
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8620 §3.6.1
    #[test]
    fn a_limit_is_named() {
        let problem = RequestError::Limit("maxSizeRequest").to_value();
        assert_eq!(problem["type"], "urn:ietf:params:jmap:error:limit");
        assert_eq!(
            (problem["limit"].as_str(), problem["status"].as_u64()),
            (Some("maxSizeRequest"), Some(400))
        );
        assert!(RequestError::NotJson("x").to_value().get("limit").is_none());
    }

    #[test]
    fn wrong_arguments_are_named() {
        let told = Value::Object(MethodError::invalid("ids", "no").to_object());
        assert_eq!(told, json!({"type": "invalidArguments", "arguments": ["ids"], "description": "no"}));
        assert_eq!(Value::Object(MethodError::Forbidden.to_object()), json!({"type": "forbidden"}));
    }
}
