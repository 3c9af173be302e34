//! AUTH (RFC 4954).

use accounts::oauth::Bearer;
use accounts::{Admitted, AuthFailure, AuthRequest, TokenShown};
use parking_lot::Mutex;
use runtime::Timestamp;
use sasl::{Credentials, Exchange, Failure, Mechanism, Refusal, Step};
use smtp_proto::{Auth, Enhanced, Reply, limits};

use super::{End, Session};
use crate::metric;

/// What a token has to be good for.
const SCOPE: &str = "urn:ietf:params:jmap:submission";

/// Why somebody is not let in.
struct Refused {
    reply: Reply,
    /// What who has come with a token is told before.
    scope: Option<&'static str>,
}

impl From<Reply> for Refused {
    fn from(reply: Reply) -> Self {
        Refused { reply, scope: None }
    }
}

impl Session {
    /// The mechanisms that may be used now. They show a password or a token to whoever listens, so that they need TLS
    /// (RFC 4954 §4).
    pub(crate) fn mechanisms(&self) -> &'static [Mechanism] {
        if self.conn.is_tls() && self.server.authenticator.is_some() { &Mechanism::ALL } else { &[] }
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
        let (mut exchange, step) = Exchange::begin(mechanism, initial);
        let credentials = match self.exchange(&mut exchange, step).await? {
            Ok(credentials) => credentials,
            Err((_, reply)) => return self.refuse(&reply),
        };
        // After an interruption of service thousands wait for their turn at once.
        self.conn.release();
        let refused = match self.check(&credentials).await {
            Ok(admitted) => {
                self.admit(mechanism, admitted);
                return Ok(());
            }
            Err(refused) => refused,
        };
        let metadata = self.server.config.token_metadata.clone();
        let why = refused.scope.map_or(Refusal::invalid(&metadata), |scope| Refusal::scope(scope, &metadata));
        let step = exchange.refuse(&why);
        match self.exchange(&mut exchange, step).await? {
            // It was told why, and has heard: RFC 4954 §6 has the reply. Nothing else follows.
            Ok(_) | Err((Some(Failure::Refused), _)) => self.failed(&refused.reply),
            Err((_, reply)) => self.failed(&reply),
        }
    }

    /// Somebody is let in.
    fn admit(&mut self, mechanism: Mechanism, admitted: Admitted) {
        metric::authentication(true);
        tracing::debug!(mechanism = mechanism.name(), account = %admitted.identity.account, "authenticated");
        if let Some(authenticator) = &self.server.authenticator {
            let revoked = authenticator.revoked(admitted.identity.account, admitted.proof);
            self.revoked = Mutex::new(revoked);
        }
        self.until = admitted.until.map(Timestamp::from_millis);
        self.info.identity = Some(admitted.identity);
        self.reply(&Reply::new(235, Enhanced::new(2, 7, 0), "Authenticated"));
    }

    /// Challenges and responses, up to credentials or a refusal.
    async fn exchange(
        &mut self,
        exchange: &mut Exchange,
        mut step: Step,
    ) -> Result<Result<Credentials, (Option<Failure>, Reply)>, End> {
        loop {
            match step {
                Step::Done(credentials) => return Ok(Ok(credentials)),
                // RFC 4954 §4: 501 for a cancellation and for what is no base64.
                Step::Failed(failure) => {
                    let reply = Reply::new(501, Enhanced::new(5, 5, 2), failure.to_string());
                    return Ok(Err((Some(failure), reply)));
                }
                Step::Challenge(challenge) => {
                    self.reply(&Reply::plain(334, challenge));
                    let next = self.read_line(limits::AUTH_LINE, |line| exchange.respond(line)).await?;
                    let Some(next) = next else {
                        // RFC 4954 §4: 500 5.5.6, the line is too long.
                        let text = "Authentication exchange line is malformed or too long";
                        return Ok(Err((None, Reply::new(500, Enhanced::new(5, 5, 6), text))));
                    };
                    step = next;
                }
            }
        }
    }

    async fn check(&self, credentials: &Credentials) -> Result<Admitted, Refused> {
        // RFC 4954 §6.
        let unavailable = || Reply::new(454, Enhanced::new(4, 7, 0), "Temporary authentication failure");
        let authenticator = self.server.authenticator.as_ref().ok_or_else(unavailable)?;
        let remote = self.info.peer.ip();
        // One answer for both: what is wrong is nobody's business.
        let invalid = || Reply::new(535, Enhanced::new(5, 7, 8), "Authentication credentials invalid");
        let decision = match credentials {
            Credentials::Password { login, password } => {
                let password = accounts::Secret::new(password.expose());
                let request = AuthRequest { mechanism: "PLAIN", login, password: &password, remote };
                authenticator.authenticate(request).await
            }
            Credentials::Token { login, token } => {
                let token = accounts::Secret::new(token.expose());
                let shown = TokenShown { token: &token, login: login.as_deref(), remote };
                match authenticator.bearer(shown).await {
                    Ok(bearer) if !bearer.scope.has(SCOPE) => {
                        return Err(Refused { reply: invalid(), scope: Some(SCOPE) });
                    }
                    decision => decision.map(Bearer::admitted),
                }
            }
        };
        decision.map_err(|failure| {
            Refused::from(match failure {
                AuthFailure::Invalid | AuthFailure::Disabled => invalid(),
                AuthFailure::TemporarilyUnavailable => unavailable(),
                AuthFailure::RateLimited => {
                    Reply::new(454, Enhanced::new(4, 7, 0), "Too many attempts, try again later")
                }
            })
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
