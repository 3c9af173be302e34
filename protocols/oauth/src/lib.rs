//! The OAuth 2.0 provider (RFC 6749 as RFC 9700 has it), also by OpenID Connect Core 1.0: the endpoints, and the page where a user logs in and allows something to
//! a client.
//!
//! Where to start reading: [`OAuth::routes`] (what is where), `authorize` (from a client's request over the page to the code),
//! `token`, `account` (where users see and take back what they have allowed). What parameters mean is in `oauth-proto`; what becomes of clients, grants and tokens in `accounts::oauth`.
//!
//! # Invariants
//! - The routers here know no connection: whoever serves them puts a [`Remote`] into each request. Where others could read along,
//!   nothing but the metadata is answered.
//! - A user is sent away only to where the client has registered, and only with the answer to a request that can be answered
//!   (RFC 6749 §4.1.2.1, RFC 9700 §4.11).
//! - A login is checked where all are, so that it is throttled as all are. Page and consent are one form, which works without
//!   script, and by which nobody stays logged in: only the page of the own account (`account`) knows visits, and they allow nothing.
//! - What comes from outside is shown only escaped, and its errors are told to who sent it and to nobody else: no log has them.

mod account;
mod answer;
mod authorize;
mod client;
mod device;
mod enter;
mod form_cookie;
mod keys;
mod metadata;
mod page;
mod register;
mod revoke;
mod scopes;
#[cfg(test)]
mod tests;
mod token;
mod user_info;

use std::net::IpAddr;
use std::sync::Arc;

use accounts::{Accounts, Authenticator};
use axum::Router;
use axum::http::Uri;
use axum::routing::{get, post};
use oauth_proto::Endpoints;
use runtime::{SharedClock, SharedRng};

/// Where it is said where tokens come from (RFC 9728 §3).
pub const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource";

/// Where it is said what this server can do (RFC 8414 §3).
pub const SERVER_METADATA: &str = "/.well-known/oauth-authorization-server";

/// Where it is said what this server can do (OpenID Connect Discovery §4).
pub const PROVIDER_METADATA: &str = "/.well-known/openid-configuration";

/// Where the endpoints are.
const AT: Endpoints = Endpoints {
    authorize: "/oauth/authorize",
    token: "/oauth/token",
    revoke: "/oauth/revoke",
    introspect: "/oauth/introspect",
    register: "/oauth/register",
    device: "/oauth/device",
    user_info: "/oauth/userinfo",
    keys: "/oauth/jwks",
};

/// What the provider works with.
#[derive(Clone)]
pub struct Services {
    /// Clients, grants and tokens.
    pub accounts: Accounts,
    /// Says who somebody is, and how often somebody may try.
    pub authenticator: Arc<dyn Authenticator>,
    /// Randomness.
    pub rng: SharedRng,
    /// What time it is.
    pub clock: SharedClock,
}

/// How the provider behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// By which name it is known to clients, as `https://mail.example.org`; by the one that they ask for if absent.
    pub issuer: Option<String>,
    /// What clients may ask for.
    pub scopes: Vec<&'static str>,
}

/// Who sent a request; an extension of each.
#[derive(Clone, Copy, Debug)]
pub struct Remote {
    /// The client's address.
    pub address: IpAddr,
    /// Whether nobody else can read along.
    pub safe: bool,
}

/// Says what the metrics of this crate mean.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "oauth_answers_total",
        "Answers of the OAuth endpoints, by endpoint and outcome."
    );
}

/// What all requests share.
struct Server {
    services: Services,
    options: Options,
    keys: keys::Keys,
}

/// The provider.
#[derive(Clone)]
pub struct OAuth {
    server: Arc<Server>,
}

impl OAuth {
    /// A provider over `services`.
    pub fn new(services: Services, options: Options) -> Self {
        OAuth { server: Arc::new(Server { services, options, keys: keys::Keys::default() }) }
    }

    /// Everything. Requests bear a [`Remote`] and a URI with scheme and authority.
    pub fn routes(&self) -> Router {
        Router::new()
            .route(SERVER_METADATA, get(metadata::server))
            .route(PROVIDER_METADATA, get(metadata::provider))
            .route(RESOURCE_METADATA, get(metadata::resource))
            .route(AT.keys, get(keys::show))
            .route(AT.user_info, get(user_info::show).post(user_info::show))
            .route(AT.authorize, get(authorize::show).post(authorize::decide))
            .route(AT.token, post(token::token))
            .route(AT.revoke, post(revoke::revoke))
            .route(AT.introspect, post(revoke::introspect))
            .route(AT.register, post(register::register))
            .route(AT.device, post(device::begin))
            .route(device::PAGE, get(device::show).post(device::decide))
            .route(account::PAGE, get(account::show).post(account::decide))
            .with_state(Arc::clone(&self.server))
    }
}

impl Server {
    /// By which name this server is known to who asks there (RFC 8414 §2).
    fn issuer(&self, uri: &Uri) -> String {
        self.options.issuer.clone().unwrap_or_else(|| base(uri))
    }
}

/// Where the client has come to.
fn base(uri: &Uri) -> String {
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        _ => String::new(),
    }
}
