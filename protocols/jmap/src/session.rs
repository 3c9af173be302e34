//! The session resource (RFC 8620 §2).

use std::collections::BTreeMap;
use std::sync::Arc;

use accounts::{Identity, Rights};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use jmap_proto::Id;
use jmap_proto::session::{Account, Session};
use schema::AccountId;
use serde_json::Value;

use crate::access::{Access, only_reads};
use crate::registry::CAPABILITIES;
use crate::{Options, Server};

/// RFC 8620 §2.2: where the session is.
pub(crate) async fn well_known() -> Redirect {
    Redirect::temporary("/jmap/session")
}

pub(crate) async fn session(
    State(server): State<Arc<Server>>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let session = of(&server.options, &identity, &base(&uri));
    let tag = format!("\"{}\"", session.state);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    // RFC 8620 §2: it may be kept, but is to be asked for again.
    let fields =
        [(header::CACHE_CONTROL, "no-cache, no-store, must-revalidate".to_owned()), (header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    (fields, Json(session)).into_response()
}

/// Where the client has come to: what is told it can be asked for there.
fn base(uri: &Uri) -> String {
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        _ => String::new(),
    }
}

/// The session of a user.
fn of(options: &Options, identity: &Identity, base: &str) -> Session {
    let own = Access { account: identity.account, rights: Rights::ALL };
    let mut accounts = BTreeMap::from([(id(own.account), account(options, &identity.address, own, true))]);
    for group in identity.groups.iter().filter(|group| group.rights.contain(Rights::LOOKUP | Rights::READ)) {
        let access = Access { account: group.account, rights: group.rights };
        let name = if group.display_name.is_empty() { &group.address } else { &group.display_name };
        accounts.insert(id(group.account), account(options, name, access, false));
    }
    let capabilities = CAPABILITIES.iter().map(|one| (one.urn, (one.server)(options))).collect();
    let primary_accounts = CAPABILITIES.iter().map(|one| (one.urn, id(own.account))).collect();
    let mut session = Session {
        capabilities,
        accounts,
        primary_accounts,
        username: identity.address.clone(),
        api_url: format!("{base}/jmap"),
        download_url: format!("{base}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?accept={{type}}"),
        upload_url: format!("{base}/jmap/upload/{{accountId}}"),
        event_source_url: format!(
            "{base}/jmap/eventsource?types={{types}}&closeafter={{closeafter}}&ping={{ping}}"
        ),
        state: String::new(),
    };
    session.state = state(&session);
    session
}

fn id(account: AccountId) -> Id {
    Id::of(account)
}

fn account(options: &Options, name: &str, access: Access, is_personal: bool) -> Account {
    let capabilities = CAPABILITIES.iter().map(|one| (one.urn, (one.account)(options, &access)));
    Account {
        name: name.to_owned(),
        is_personal,
        is_read_only: only_reads(access.rights),
        account_capabilities: capabilities.collect(),
    }
}

/// The state that answers bear (RFC 8620 §3.4): another whenever the session says something else, wherever it was asked for.
pub(crate) fn state_for(options: &Options, identity: &Identity) -> String {
    of(options, identity, "").state
}

/// A hash of what it says, but for where it is.
fn state(session: &Session) -> String {
    let said = serde_json::to_value((&session.capabilities, &session.accounts, &session.username));
    let text = said.unwrap_or(Value::Null).to_string();
    // FNV-1a: nothing depends on nobody finding a collision.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounts::SharedGroup;

    fn identity(rights: Rights) -> Identity {
        let group = SharedGroup {
            account: AccountId(9),
            address: "team@example.test".into(),
            display_name: "Team".into(),
            rights,
        };
        Identity {
            account: AccountId(1),
            address: "alice@example.test".into(),
            display_name: String::new(),
            groups: vec![group],
        }
    }

    #[test]
    fn accounts_are_those_that_can_be_read() {
        let options = Options::default();
        let alone = of(&options, &identity(Rights::NONE), "");
        assert_eq!(alone.accounts.keys().map(Id::as_str).collect::<Vec<_>>(), ["A1"]);
        let read = of(&options, &identity(Rights::LOOKUP | Rights::READ), "https://mail.example.test");
        let team = &read.accounts["A9"];
        assert_eq!((team.name.as_str(), team.is_read_only, team.is_personal), ("Team", true, false));
        assert_eq!(read.api_url, "https://mail.example.test/jmap");
        assert_ne!(alone.state, read.state);
        assert_eq!(read.state, state_for(&options, &identity(Rights::LOOKUP | Rights::READ)));
    }
}
