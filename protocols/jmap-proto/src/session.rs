//! The session object (RFC 8620 §2).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::id::Id;
use crate::limits::Limits;
use crate::sort::Collation;

/// The capability of RFC 8620 itself.
pub const CORE: &str = "urn:ietf:params:jmap:core";

/// What a client is told first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// What the server can do, by URN.
    pub capabilities: BTreeMap<&'static str, Value>,
    /// The accounts that the user sees.
    pub accounts: BTreeMap<Id, Account>,
    /// The account to begin with, by URN.
    pub primary_accounts: BTreeMap<&'static str, Id>,
    /// The name that the user logged in with, or is known by.
    pub username: String,
    /// Where requests are posted.
    pub api_url: String,
    /// A template with `accountId`, `blobId`, `type` and `name`.
    pub download_url: String,
    /// A template with `accountId`.
    pub upload_url: String,
    /// A template with `types`, `closeafter` and `ping`.
    pub event_source_url: String,
    /// Another whenever something above is another.
    pub state: String,
}

/// An account as a user sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// For people to read.
    pub name: String,
    /// Whether it belongs to the user.
    pub is_personal: bool,
    /// Whether nothing in it can be changed.
    pub is_read_only: bool,
    /// What can be done with it, by URN.
    pub account_capabilities: BTreeMap<&'static str, Value>,
}

/// The limits that the capability [`CORE`] announces, besides [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Core {
    /// Those of a request.
    pub limits: Limits,
    /// `maxSizeUpload`, in octets.
    pub size_upload: u64,
    /// `maxConcurrentUpload`.
    pub concurrent_upload: usize,
    /// `maxConcurrentRequests`.
    pub concurrent_requests: usize,
}

impl Core {
    /// The capability's object.
    pub fn to_value(self) -> Value {
        let collations = Collation::ALL.map(Collation::name);
        json!({
            "maxSizeUpload": self.size_upload,
            "maxConcurrentUpload": self.concurrent_upload,
            "maxSizeRequest": self.limits.size_request,
            "maxConcurrentRequests": self.concurrent_requests,
            "maxCallsInRequest": self.limits.calls_in_request,
            "maxObjectsInGet": self.limits.objects_in_get,
            "maxObjectsInSet": self.limits.objects_in_set,
            "collationAlgorithms": collations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_the_rfcs_members() {
        let core =
            Core { limits: Limits::default(), size_upload: 9, concurrent_upload: 4, concurrent_requests: 4 };
        let id = Id::new("A13824").unwrap();
        let account = Account {
            name: "john@example.com".into(),
            is_personal: true,
            is_read_only: false,
            account_capabilities: BTreeMap::from([(CORE, json!({}))]),
        };
        let session = Session {
            capabilities: BTreeMap::from([(CORE, core.to_value())]),
            accounts: BTreeMap::from([(id.clone(), account)]),
            primary_accounts: BTreeMap::from([(CORE, id)]),
            username: "john@example.com".into(),
            api_url: "https://jmap.example.com/api/".into(),
            download_url: String::new(),
            upload_url: String::new(),
            event_source_url: String::new(),
            state: "75128aab4b1b".into(),
        };
        let told = serde_json::to_value(&session).unwrap();
        assert_eq!(told["accounts"]["A13824"]["isPersonal"], true);
        assert_eq!(told["capabilities"][CORE]["maxSizeUpload"], 9);
        for name in
            ["primaryAccounts", "username", "apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl", "state"]
        {
            assert!(told.get(name).is_some(), "{name}");
        }
    }
}
