//! AUTH (RFC 4954).

use accounts::{AuthFailure, AuthRequest, Identity};
use parking_lot::Mutex;
use sasl::{Credentials, Exchange, Mechanism, Step};
use smtp_proto::{Auth, Enhanced, Reply, limits};

use super::{End, Session};
use crate::metric;

/// What is announced, in the order of preference.
const MECHANISMS: &[&str] = &["PLAIN", "LOGIN"];

impl Session {
    /// The mechanisms that may be used now. Both show the password to whoever listens, so that they need TLS
    /// (RFC 4954 §4).
    pub(crate) fn mechanisms(&self) -> &'static [&'static str] {
        if self.conn.is_tls() && self.server.authenticator.is_some() { MECHANISMS } else { &[] }
    }

    pub(crate) async fn auth(&mut self, auth: Auth) -> Result<(), End> {
        if self.info.identity.is_some() {
            // RFC 4954 §4: no second AUTH after a success.
            return self.refuse(&Reply::new(503, Enhanced::new(5, 5, 1), "Authenticated already"));
        }
        if self.mechanisms().is_empty() {
            // RFC 4954 §6: 538 5.7.11.
            return self.refuse(&Reply::new(
                538,
                Enhanced::new(5, 7, 11),
                "Encryption required, STARTTLS first",
            ));
        }
        let Some(mechanism) = Mechanism::from_name(auth.mechanism()) else {
            // RFC 4954 §4: 504 for a mechanism that is not known; §6: 5.5.4.
            return self.refuse(&Reply::new(
                504,
                Enhanced::new(5, 5, 4),
                "Unrecognized authentication mechanism",
            ));
        };
        let initial = auth.initial().map(|text| if text.is_empty() { b"=" } else { text.as_bytes() });
        let credentials = match self.exchange(mechanism, initial).await? {
            Ok(credentials) => credentials,
            Err(reply) => return self.refuse(&reply),
        };
        match self.check(&credentials).await {
            Ok(identity) => {
                metric::authentication(true);
                if let Some(authenticator) = &self.server.authenticator {
                    self.revoked = Mutex::new(authenticator.revoked(identity.account));
                }
                self.info.identity = Some(identity);
                self.reply(&Reply::new(235, Enhanced::new(2, 7, 0), "Authenticated"));
                Ok(())
            }
            Err(reply) => self.failed(&reply),
        }
    }

    /// Challenges and responses, up to credentials or a refusal.
    async fn exchange(
        &mut self,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> Result<Result<Credentials, Reply>, End> {
        let (mut exchange, mut step) = Exchange::begin(mechanism, initial);
        loop {
            match step {
                Step::Done(credentials) => return Ok(Ok(credentials)),
                // RFC 4954 §4: 501 for a cancellation and for what is no base64.
                Step::Failed(failure) => {
                    return Ok(Err(Reply::new(501, Enhanced::new(5, 5, 2), failure.to_string())));
                }
                Step::Challenge(challenge) => {
                    self.reply(&Reply::plain(334, challenge));
                    let next = self.read_line(limits::AUTH_LINE, |line| exchange.respond(line)).await?;
                    let Some(next) = next else {
                        // RFC 4954 §4: 500 5.5.6, the line is too long.
                        let text = "Authentication exchange line is malformed or too long";
                        return Ok(Err(Reply::new(500, Enhanced::new(5, 5, 6), text)));
                    };
                    step = next;
                }
            }
        }
    }

    async fn check(&self, credentials: &Credentials) -> Result<Identity, Reply> {
        // RFC 4954 §6.
        let unavailable = || Reply::new(454, Enhanced::new(4, 7, 0), "Temporary authentication failure");
        let authenticator = self.server.authenticator.as_ref().ok_or_else(unavailable)?;
        let password = accounts::Secret::new(credentials.password.expose());
        let request = AuthRequest {
            mechanism: "PLAIN",
            login: &credentials.login,
            password: &password,
            remote: self.info.peer.ip(),
        };
        authenticator.authenticate(request).await.map_err(|failure| match failure {
            // One answer for both: what is wrong is nobody's business.
            AuthFailure::Invalid | AuthFailure::Disabled => {
                Reply::new(535, Enhanced::new(5, 7, 8), "Authentication credentials invalid")
            }
            AuthFailure::TemporarilyUnavailable => unavailable(),
            AuthFailure::RateLimited => {
                Reply::new(454, Enhanced::new(4, 7, 0), "Too many attempts, try again later")
            }
        })
    }

    fn failed(&mut self, reply: &Reply) -> Result<(), End> {
        metric::authentication(false);
        self.auth_failures += 1;
        if self.auth_failures < self.server.config.max_auth_failures {
            return self.refuse(reply);
        }
        self.reply(reply);
        self.reply(&Reply::new(421, Enhanced::new(4, 7, 0), "Too many failed authentications"));
        Err(End::Said)
    }
}
