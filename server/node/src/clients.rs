//! What clients speak to: the services of each protocol, as the configuration has them.

use std::sync::Arc;

use accounts::{Accounts, Authenticator};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use delivery::{Delivery, OwnAddress};
use kv::Database;
use net::Protocol;
use runtime::SharedRng;
use smtp::{OpenPolicy, Policy, Role, Server, Service};

use crate::config::Config;
use crate::exchange::Exchange;
use crate::http as page;
use crate::reach::InReach;
use crate::signatures::Authorities;

/// What the services are made of.
pub(crate) struct Makings {
    pub(crate) db: Database,
    pub(crate) accounts: Accounts,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) delivery: Delivery,
    pub(crate) imap: imap::Services,
    pub(crate) jmap: jmap::Services,
    pub(crate) oauth: oauth::Services,
    pub(crate) authorities: Authorities,
    pub(crate) rng: SharedRng,
}

/// The services. They change with the configuration while their listeners run.
pub(crate) struct Clients {
    makings: Makings,
    pub(crate) smtp: Arc<Exchange>,
    pub(crate) submission: Arc<Exchange>,
    pub(crate) lmtp: Arc<Exchange>,
    pub(crate) imap: Arc<Exchange>,
    pub(crate) http: Arc<Exchange>,
}

impl Clients {
    /// As the configuration has them.
    pub(crate) fn new(makings: Makings, config: &Config) -> Self {
        let smtp = |role| Exchange::new(makings.smtp(config, role));
        let (smtp, submission, lmtp) = (smtp(Role::Mx), smtp(Role::Submission), smtp(Role::Lmtp));
        let (imap, http) = (Exchange::new(makings.imap(config)), Exchange::new(makings.http(config)));
        Self { makings, smtp, submission, lmtp, imap, http }
    }

    /// As another configuration has them, for whoever comes from now on.
    pub(crate) fn change(&self, config: &Config) {
        let rows = [(&self.smtp, Role::Mx), (&self.submission, Role::Submission), (&self.lmtp, Role::Lmtp)];
        rows.into_iter().for_each(|(exchange, role)| exchange.set(self.makings.smtp(config, role)));
        self.imap.set(self.makings.imap(config));
        self.http.set(self.makings.http(config));
    }
}

impl Makings {
    fn smtp(&self, config: &Config, role: Role) -> Arc<dyn Protocol> {
        let policy: Arc<dyn Policy> = match role {
            Role::Submission => Arc::new(OwnAddress::new(self.accounts.clone())),
            Role::Mx | Role::Lmtp => Arc::new(OpenPolicy),
        };
        let policy = Arc::new(InReach::new(self.db.clone(), policy));
        let config = smtp::Config {
            max_message: config.smtp.max_message_size.bytes(),
            max_recipients: config.smtp.max_recipients,
            token_metadata: token_metadata(config),
            ..smtp::Config::new(role, config.hostname.clone())
        };
        let (acceptor, authenticator) = (Arc::new(self.delivery.clone()), Some(self.authenticator.clone()));
        Arc::new(Service::new(Server { config, policy, acceptor, authenticator, rng: self.rng.clone() }))
    }

    fn imap(&self, config: &Config) -> Arc<dyn Protocol> {
        let options = imap::Options {
            hostname: config.hostname.clone(),
            plaintext_from_loopback: config.auth.plaintext_on_loopback,
            append_limit: config.smtp.max_message_size.bytes(),
            token_metadata: token_metadata(config),
            ..imap::Options::default()
        };
        Arc::new(imap::Imap::new(self.imap.clone(), options))
    }

    /// What is served by HTTP: to everybody a page, to who has logged in the rest.
    fn http(&self, config: &Config) -> Arc<dyn Protocol> {
        let guard = ::http::Guard {
            authenticator: self.authenticator.clone(),
            plaintext_from_loopback: config.auth.plaintext_on_loopback,
            metadata: Some(oauth::RESOURCE_METADATA),
        };
        let mut options = jmap_options(config);
        options.authorities = self.authorities.read_again(&config.jmap.smime_authorities);
        let jmap = jmap::Jmap::new(self.jmap.clone(), options);
        let plaintext = config.auth.plaintext_on_loopback;
        let provider = oauth::OAuth::new(self.oauth.clone(), oauth_options(config)).routes();
        let provider = provider.route_layer(from_fn(move |request, next| name(plaintext, request, next)));
        let open = page::router(&config.hostname).merge(jmap.open()).merge(provider);
        let site = ::http::site(open, jmap.private(), guard);
        Arc::new(::http::Http::new(site, ::http::Options::default()))
    }
}

/// Tells the OAuth provider who sent a request.
async fn name(plaintext_from_loopback: bool, mut request: Request, next: Next) -> Response {
    if let Some(client) = request.extensions().get::<::http::Client>().copied() {
        let safe = client.tls || (plaintext_from_loopback && client.is_here());
        request.extensions_mut().insert(oauth::Remote { address: client.peer.ip(), safe });
    }
    next.run(request).await
}

/// Where clients of IMAP and SMTP are told that tokens come from.
fn token_metadata(config: &Config) -> String {
    let own = || format!("https://{}", config.hostname);
    let issuer = config.oauth.issuer.clone().unwrap_or_else(own);
    format!("{issuer}{}", oauth::SERVER_METADATA)
}

fn oauth_options(config: &Config) -> oauth::Options {
    oauth::Options { issuer: config.oauth.issuer.clone(), scopes: jmap::scopes().collect() }
}

/// The limits that clients are told, as the configuration has them.
fn jmap_options(config: &Config) -> jmap::Options {
    let limits = &config.jmap;
    let mut options = jmap::Options::default();
    options.core.limits.size_request = limits.max_size_request.bytes();
    options.core.limits.calls_in_request = limits.max_calls_in_request;
    options.core.limits.objects_in_get = limits.max_objects_in_get;
    options.core.limits.objects_in_set = limits.max_objects_in_set;
    options.core.size_upload = limits.max_size_upload.bytes();
    options.core.concurrent_upload = limits.max_concurrent_upload;
    options.core.concurrent_requests = limits.max_concurrent_requests;
    options.upload_time = limits.upload_time.get();
    options.concurrent_listeners = limits.max_concurrent_listeners;
    options.principals = limits.principals.into();
    options
}
