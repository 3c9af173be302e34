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
use crate::reach::InReach;

/// What the services are made of.
pub(crate) struct Makings {
    pub(crate) db: Database,
    pub(crate) accounts: Accounts,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) delivery: Delivery,
    pub(crate) imap: imap::Services,
    pub(crate) rng: SharedRng,
}

/// The services. They change with the configuration while their listeners run.
pub(crate) struct Clients {
    makings: Makings,
    pub(crate) smtp: Arc<Exchange>,
    pub(crate) submission: Arc<Exchange>,
    pub(crate) lmtp: Arc<Exchange>,
    pub(crate) imap: Arc<Exchange>,
}

impl Clients {
    /// As the configuration has them.
    pub(crate) fn new(makings: Makings, config: &Config) -> Self {
        let smtp = |role| Exchange::new(makings.smtp(config, role));
        let (smtp, submission, lmtp) = (smtp(Role::Mx), smtp(Role::Submission), smtp(Role::Lmtp));
        let imap = Exchange::new(makings.imap(config));
        Self { makings, smtp, submission, lmtp, imap }
    }

    /// As another configuration has them, for whoever comes from now on.
    pub(crate) fn change(&self, config: &Config) {
        let rows = [(&self.smtp, Role::Mx), (&self.submission, Role::Submission), (&self.lmtp, Role::Lmtp)];
        rows.into_iter().for_each(|(exchange, role)| exchange.set(self.makings.smtp(config, role)));
        self.imap.set(self.makings.imap(config));
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
}
