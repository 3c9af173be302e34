//! STARTTLS, LOGIN and AUTHENTICATE (RFC 9051 §6.2).

use accounts::oauth::Bearer;
use accounts::{Admitted, AuthFailure, AuthRequest, Secret, TokenShown};
use imap_proto::Tag;
use imap_proto::command::{Authenticate, ClientResponse, Login, parse_response};
use imap_proto::framer::Limits;
use imap_proto::render::{self, Code, Condition};
use runtime::Timestamp;
use sasl::{Credentials, Exchange, Failure, Mechanism, Refusal, Step};
use tokio::time::Instant;

use crate::options::LOGIN_FAILURES;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;
use crate::standing::Standing;

/// What a token has to be good for.
const SCOPE: &str = "urn:ietf:params:jmap:mail";

/// RFC 9051 §6.2.1. Answers by itself: what comes after the answer is TLS.
pub(crate) async fn start_tls(session: &mut Session, tag: &Tag) -> Outcome {
    let Some(acceptor) = session.context.tls.clone().filter(|_| !session.connection.is_tls()) else {
        return Err(Reply::bad("TLS is not to be had here").into());
    };
    render::status(session.out(), Some(tag), Condition::Ok, None, "begin TLS now");
    let discarded = session.connection.start_tls(&acceptor).await?;
    session.framer.reset();
    if discarded > 0 {
        // Somebody put commands behind STARTTLS: it may not have been the client.
        session.bye("nothing may be sent between STARTTLS and TLS");
    }
    Err(Stop::Answered)
}

/// RFC 9051 §6.2.3
pub(crate) async fn login(session: &mut Session, login: Login) -> Outcome {
    may_log_in(session)?;
    let Ok(password) = std::str::from_utf8(login.password.expose()) else {
        return Err(failed(session, AuthFailure::Invalid));
    };
    let password = sasl::Secret::new(password.to_owned());
    let shown = Credentials::Password { login: login.user, password };
    match check(session, "LOGIN", &shown).await {
        Ok(admitted) => admit(session, admitted),
        Err(Refused { failure, .. }) => Err(failed(session, failure)),
    }
}

/// RFC 9051 §6.2.2, RFC 4959.
pub(crate) async fn authenticate(session: &mut Session, command: Authenticate) -> Outcome {
    may_log_in(session)?;
    let Some(mechanism) = Mechanism::from_name(&command.mechanism) else {
        return Err(Reply::no("this mechanism is not offered").with(Code::Cannot).into());
    };
    let (mut exchange, mut step) = Exchange::begin_decoded(mechanism, command.initial.as_deref());
    let mut why = None;
    loop {
        match step {
            Step::Challenge(challenge) => {
                render::continuation(session.out(), &challenge);
                let Some(line) = session.line().await? else { return Err(Stop::Answered) };
                // RFC 9051 §6.2.2: a cancelled exchange and one that is not base64 are answered BAD.
                step = match parse_response(&line) {
                    Ok(ClientResponse::Data(data)) => exchange.respond_decoded(&data),
                    Ok(ClientResponse::Cancel) => {
                        // Who was told why may also end so (RFC 7628 §3.2.3): that was a login that failed.
                        session.failures += u8::from(why.is_some());
                        return Err(Reply::bad("cancelled").into());
                    }
                    Err(_) => return Err(Reply::bad("invalid base64").into()),
                };
            }
            Step::Done(credentials) => {
                let refused = match check(session, mechanism.name(), &credentials).await {
                    Ok(admitted) => return admit(session, admitted),
                    Err(refused) => refused,
                };
                why = Some(refused.failure);
                let metadata = &session.server.options.token_metadata;
                step = exchange.refuse(&match refused.lacks {
                    Some(scope) => Refusal::scope(scope, metadata),
                    None => Refusal::invalid(metadata),
                });
            }
            Step::Failed(Failure::Cancelled | Failure::Encoding) => {
                return Err(Reply::bad("invalid base64").into());
            }
            Step::Failed(Failure::Authorization) => {
                let reply = Reply::no("acting as another user is not allowed");
                return Err(reply.with(Code::AuthorizationFailed).into());
            }
            Step::Failed(Failure::Malformed | Failure::Refused) => {
                return Err(failed(session, why.unwrap_or(AuthFailure::Invalid)));
            }
        }
    }
}

fn may_log_in(session: &Session) -> Result<(), Stop> {
    if session.login_allowed() {
        return Ok(());
    }
    // RFC 9051 §6.2.3: LOGINDISABLED; RFC 5530 §3 PRIVACYREQUIRED.
    Err(Reply::no("use TLS to log in").with(Code::PrivacyRequired).into())
}

/// Why somebody is not let in.
struct Refused {
    failure: AuthFailure,
    /// What a token is not good for that is good otherwise.
    lacks: Option<&'static str>,
}

/// Asks the directory.
async fn check(
    session: &mut Session,
    mechanism: &'static str,
    shown: &Credentials,
) -> Result<Admitted, Refused> {
    // After an interruption of service thousands wait for their turn at once.
    session.connection.release();
    let remote = session.connection.peer().ip();
    let authenticator = &session.services().authenticator;
    let decision = match shown {
        Credentials::Password { login, password } => {
            let password = &Secret::new(password.expose());
            authenticator.authenticate(AuthRequest { mechanism, login, password, remote }).await
        }
        Credentials::Token { login, token } => {
            let (token, login) = (&Secret::new(token.expose()), login.as_deref());
            match authenticator.bearer(TokenShown { token, login, remote }).await {
                Ok(bearer) if !bearer.scope.has(SCOPE) => {
                    return Err(Refused { failure: AuthFailure::Invalid, lacks: Some(SCOPE) });
                }
                decision => decision.map(Bearer::admitted),
            }
        }
    };
    decision.map_err(|failure| Refused { failure, lacks: None })
}

/// The session is somebody's.
fn admit(session: &mut Session, admitted: Admitted) -> Outcome {
    let now = session.services().clock.now();
    let until = admitted.until.map(|until| Instant::now() + Timestamp::from_millis(until).since(now));
    session.standing = Standing::of(session.services().feed.standing(admitted.identity.account), until);
    session.state.log_in(admitted);
    session.connection.set_deadline(None);
    session.framer.set_limits(Limits::after_login(session.server.options.append_limit));
    // RFC 9051 §6.2.2: the capabilities changed; they come with the answer.
    Ok(Reply::ok("welcome").with(Code::Capability(session.capabilities().into())))
}

/// RFC 5530 §3: who must act. A wrong name and a wrong password are told alike.
fn failed(session: &mut Session, failure: AuthFailure) -> Stop {
    session.failures += 1;
    let reply = match failure {
        AuthFailure::Invalid => Reply::no("wrong name, password or token").with(Code::AuthenticationFailed),
        AuthFailure::Disabled => Reply::no("the account is disabled").with(Code::ContactAdmin),
        AuthFailure::RateLimited => Reply::no("too many attempts, wait a while").with(Code::Limit),
        AuthFailure::TemporarilyUnavailable => Reply::no("try again later").with(Code::Unavailable),
    };
    if session.failures >= LOGIN_FAILURES {
        session.bye("too many failed logins");
    }
    reply.into()
}
