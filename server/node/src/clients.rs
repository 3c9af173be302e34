//! What clients speak to: the services of each protocol, as the configuration has them.

use std::sync::Arc;

use accounts::{Accounts, Authenticator};
use delivery::{Delivery, OwnAddress};
use kv::Database;
use net::Protocol;
use runtime::SharedRng;
use smtp::{OpenPolicy, Policy, Role, Server, Service};

use crate::config::Config;
use crate::exchange::Exchange;
use crate::http as page;
use crate::reach::InReach;

/// What the services are made of.
pub(crate) struct Makings {
    pub(crate) db: Database,
    pub(crate) accounts: Accounts,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) delivery: Delivery,
    pub(crate) imap: imap::Services,
    pub(crate) jmap: jmap::Services,
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
            ..imap::Options::default()
        };
        Arc::new(imap::Imap::new(self.imap.clone(), options))
    }
    /// What is served by HTTP: to everybody a page, to who has logged in the rest.
    fn http(&self, config: &Config) -> Arc<dyn Protocol> {
        let guard = ::http::Guard {
            authenticator: self.authenticator.clone(),
            plaintext_from_loopback: config.auth.plaintext_on_loopback,
        };
        let jmap = jmap::Jmap::new(self.jmap.clone(), jmap_options(config));
        let site = ::http::site(page::router(&config.hostname).merge(jmap.open()), jmap.private(), guard);
        Arc::new(::http::Http::new(site, ::http::Options::default()))
    }
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
    options
}
