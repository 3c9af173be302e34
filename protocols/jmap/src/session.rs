//! The session resource (RFC 8620 §2).

use std::collections::BTreeMap;
use std::sync::Arc;

use accounts::Identity;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use jmap_proto::Id;
use jmap_proto::session::{Account, CORE, Session};
use jmap_proto::websocket::WEBSOCKET;
use schema::AccountId;
use serde_json::Value;

use crate::access::{self, Access};
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
    let accounts: BTreeMap<Id, Account> =
        access::wanted(identity).map(|access| tell(options, identity, &access)).collect();
    let own = access::of(identity, identity.account);
    let capabilities = CAPABILITIES.iter().map(|one| (one.urn, (one.server)(options)));
    let capabilities = capabilities.filter(|(_, told)| !told.is_null()).collect();
    // RFC 8620 §2: the core capability should not be among them.
    let with_accounts = CAPABILITIES.iter().filter(|one| {
        one.urn != CORE && own.as_ref().is_some_and(|own| !(one.account)(options, own).is_null())
    });
    let primary_accounts = with_accounts.map(|one| (one.urn, id(identity.account))).collect();
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
    if let Some(Value::Object(told)) = session.capabilities.get_mut(WEBSOCKET) {
        // RFC 8887 §3: the same place, by another scheme.
        told.insert("url".to_owned(), format!("{}/jmap/ws", base.replacen("http", "ws", 1)).into());
    }
    session
}

/// The accounts of which somebody sees something: the own one, those of groups, and those that share mailboxes.
pub(crate) fn seen(options: &Options, identity: &Identity) -> impl Iterator<Item = (Id, Account)> {
    access::all(identity).map(move |access| tell(options, identity, &access))
}

fn tell(options: &Options, identity: &Identity, access: &Access) -> (Id, Account) {
    let is_personal = access.account == identity.account;
    let name = name(identity, access.account);
    (id(access.account), account(options, &name, access, is_personal))
}

/// What people call an account that somebody sees.
fn name(identity: &Identity, account: AccountId) -> String {
    let groups = identity.groups.iter().map(|one| (one.account, &one.display_name, &one.address));
    let shares = identity.shares.iter().map(|one| (one.account, &one.display_name, &one.address));
    match groups.chain(shares).find(|(one, _, _)| *one == account) {
        Some((_, name, address)) => {
            if name.is_empty() {
                address.clone()
            } else {
                name.clone()
            }
        }
        None => identity.address.clone(),
    }
}

fn id(account: AccountId) -> Id {
    Id::of(account)
}

fn account(options: &Options, name: &str, access: &Access, is_personal: bool) -> Account {
    let capabilities = CAPABILITIES.iter().map(|one| (one.urn, (one.account)(options, access)));
    let capabilities = capabilities.filter(|(_, told)| !told.is_null());
    Account {
        name: name.to_owned(),
        is_personal,
        is_read_only: access.only_reads(),
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
    blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::{OWNER, PRINCIPALS};
    use crate::quota::QUOTA;
    use accounts::{Rights, SharedMailbox};
    use schema::MailboxId;

    use crate::access::tests::identity as identity_with;

    fn identity(rights: Rights) -> Identity {
        identity_with(rights, &[])
    }

    #[test]
    fn accounts_that_share_something_are_told() {
        let options = Options::default();
        let letters = |text: &str| Rights::parse(text).unwrap();
        let shared = |rights: &str| of(&options, &identity_with(Rights::NONE, &[(1, letters(rights))]), "");
        let bob = shared("lr").accounts.remove(&id(AccountId(2))).unwrap();
        assert_eq!((bob.name.as_str(), bob.is_personal, bob.is_read_only), ("Bob", false, true));
        let known: Vec<&str> = bob.account_capabilities.keys().copied().collect();
        assert!(known.contains(&jmap_proto::mail::MAIL) && known.contains(&OWNER), "{known:?}");
        let not_there = [jmap_proto::mail::SUBMISSION, jmap_proto::mail::VACATION, QUOTA, PRINCIPALS];
        assert!(not_there.iter().all(|urn| !known.contains(urn)), "{known:?}");
        assert_eq!(bob.account_capabilities[OWNER]["principalId"], "A2");
        assert_eq!(bob.account_capabilities[OWNER]["accountIdForPrincipal"], "A1");
        assert_eq!(bob.account_capabilities[jmap_proto::mail::MAIL]["mayCreateTopLevelMailbox"], false);
        assert!(!shared("lrs").accounts[&id(AccountId(2))].is_read_only);
        assert!(!shared("rw").accounts.contains_key(&id(AccountId(2))), "it is not seen in lists");
        assert_ne!(shared("lr").state, shared("lrs").state);
        let mut unwanted = identity_with(Rights::NONE, &[(1, letters("lr"))]);
        let mailbox = SharedMailbox { rights: letters("lr"), subscribed: false };
        unwanted.shares[0].mailboxes = Arc::new([(MailboxId(1), mailbox)].into());
        assert_eq!(of(&options, &unwanted, "").accounts.len(), 1, "nothing is subscribed to (RFC 9670 §1.4)");
        assert_eq!(seen(&options, &unwanted).count(), 2, "it may be found out");
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
        assert_eq!(read.capabilities[WEBSOCKET]["url"], "wss://mail.example.test/jmap/ws");
        assert!(!team.account_capabilities.contains_key(WEBSOCKET));
        assert!(!read.primary_accounts.contains_key(WEBSOCKET));
        assert_ne!(alone.state, read.state);
        assert_eq!(read.state, state_for(&options, &identity(Rights::LOOKUP | Rights::READ)));
    }
}
