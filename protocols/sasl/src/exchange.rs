//! PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login, obsolete and widely used), and those that show a token: OAUTHBEARER
//! (RFC 7628) and XOAUTH2, which was there before.

use std::borrow::Cow;

use crate::Secret;
use crate::token::{self, Refusal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Longest response in base64. RFC 4616 §2 wants 255 octets for each of three parts; passwords of applications
/// and of people with a manager are longer, but not this long.
pub const RESPONSE_LIMIT: usize = 4096;

/// Mechanisms that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// User name and password asked for one after the other; old Outlook knows nothing else.
    Login,
    /// RFC 7628.
    OauthBearer,
    /// What clients use that do not know RFC 7628 yet.
    XOauth2,
}

impl Mechanism {
    /// In the order they are offered.
    pub const ALL: [Mechanism; 4] =
        [Mechanism::Plain, Mechanism::Login, Mechanism::OauthBearer, Mechanism::XOauth2];

    /// The mechanism called `name`, in any case (RFC 4422 §3.1 has upper case; clients do not all).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::OauthBearer => "OAUTHBEARER",
            Mechanism::XOauth2 => "XOAUTH2",
        }
    }
}

/// What a client claims, to be checked by whoever knows the accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A password.
    Password {
        /// Who logs in.
        login: String,
        /// The proof.
        password: Secret,
    },
    /// A token.
    Token {
        /// Whose it is, if the client says so.
        login: Option<String>,
        /// The proof.
        token: Secret,
    },
}

/// Why an exchange ended without credentials; the client must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The client sent `*`.
    #[error("authentication cancelled")]
    Cancelled,
    /// Not base64, or more of it than [`RESPONSE_LIMIT`].
    #[error("the response is not base64 of a reasonable length")]
    Encoding,
    /// The decoded response is not what the mechanism wants.
    #[error("the response is malformed")]
    Malformed,
    /// The client wants to act as somebody else than it logs in as, which nobody may.
    #[error("acting as another user is not allowed")]
    Authorization,
    /// The client was told why it is not let in, and has answered to that ([`Exchange::refuse`]).
    #[error("authentication failed")]
    Refused,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, in base64 (after `334 ` or `+ `), and give the answer to [`Exchange::respond`].
    Challenge(Cow<'static, str>),
    /// Check these.
    Done(Credentials),
    /// Refuse.
    Failed(Failure),
}

/// An exchange under way.
#[derive(Debug)]
pub struct Exchange {
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword {
        login: String,
    },
    OauthBearer,
    XOauth2,
    /// The client has shown a token, and is not let in before that was looked at.
    Shown,
    /// It was told why not.
    Refused,
    Ended,
}

/// `Username:` and `Password:`, the prompts that clients of LOGIN look for.
const LOGIN_NAME: &str = "VXNlcm5hbWU6";
const LOGIN_PASSWORD: &str = "UGFzc3dvcmQ6";

impl Exchange {
    /// Begins an exchange. `initial` is the initial response as it stood in the command, `=` for an empty one
    /// (RFC 4954 §4, RFC 4959 §3).
    pub fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> (Self, Step) {
        let (state, prompt) = match mechanism {
            Mechanism::Plain => (State::Plain, ""),
            Mechanism::Login => (State::LoginName, LOGIN_NAME),
            Mechanism::OauthBearer => (State::OauthBearer, ""),
            Mechanism::XOauth2 => (State::XOauth2, ""),
        };
        let mut exchange = Exchange { state };
        let step = match initial {
            None => Step::Challenge(prompt.into()),
            Some(b"=") => exchange.take(b""),
            // The argument of a command cannot be a cancellation; it is not base64 either.
            Some(response) => exchange.decode_and_take(response),
        };
        (exchange, step)
    }

    /// [`Exchange::begin`] where the codec has decoded the initial response.
    pub fn begin_decoded(mechanism: Mechanism, initial: Option<&[u8]>) -> (Self, Step) {
        let (mut exchange, step) = Self::begin(mechanism, None);
        match initial {
            None => (exchange, step),
            Some(response) => {
                let step = exchange.take(response);
                (exchange, step)
            }
        }
    }

    /// [`Exchange::respond`] where the codec has decoded the answer.
    pub fn respond_decoded(&mut self, response: &[u8]) -> Step {
        self.take(response)
    }

    /// The credentials of [`Step::Done`] are no good. Who has shown a token is told why, in a challenge that it answers with
    /// something that means nothing, before the protocol says that it failed (RFC 7628 §3.2.3).
    pub fn refuse(&mut self, why: &Refusal<'_>) -> Step {
        if !matches!(self.state, State::Shown) {
            return self.fail(Failure::Refused);
        }
        self.state = State::Refused;
        Step::Challenge(STANDARD.encode(why.json()).into())
    }

    /// The client's answer to a challenge: one line without its end.
    pub fn respond(&mut self, line: &[u8]) -> Step {
        if line == b"*" {
            self.state = State::Ended;
            return Step::Failed(Failure::Cancelled);
        }
        self.decode_and_take(line)
    }

    fn decode_and_take(&mut self, response: &[u8]) -> Step {
        let decoded = if response.len() > RESPONSE_LIMIT { None } else { STANDARD.decode(response).ok() };
        match decoded {
            Some(decoded) => self.take(&Zeroizing::new(decoded)),
            None => self.fail(Failure::Encoding),
        }
    }

    fn take(&mut self, response: &[u8]) -> Step {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Plain => plain(response).map_or_else(|failure| self.fail(failure), Step::Done),
            State::LoginName => match text(response) {
                Some(login) => {
                    self.state = State::LoginPassword { login: login.to_owned() };
                    Step::Challenge(LOGIN_PASSWORD.into())
                }
                None => self.fail(Failure::Malformed),
            },
            State::LoginPassword { login } => match text(response) {
                Some(password) => {
                    Step::Done(Credentials::Password { login, password: Secret::new(password.to_owned()) })
                }
                None => self.fail(Failure::Malformed),
            },
            State::OauthBearer => self.shown(token::oauth_bearer(response)),
            State::XOauth2 => self.shown(token::xoauth2(response)),
            // RFC 7628 §3.2.3: a single %x01; XOAUTH2 has nothing.
            State::Refused => self.fail(Failure::Refused),
            State::Shown | State::Ended => self.fail(Failure::Malformed),
        }
    }

    fn shown(&mut self, shown: Result<Credentials, Failure>) -> Step {
        match shown {
            Ok(credentials) => {
                self.state = State::Shown;
                Step::Done(credentials)
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn fail(&mut self, failure: Failure) -> Step {
        self.state = State::Ended;
        Step::Failed(failure)
    }
}

/// RFC 4616 §2: `message = [authzid] UTF8NUL authcid UTF8NUL passwd`.
fn plain(response: &[u8]) -> Result<Credentials, Failure> {
    let mut parts = response.split(|byte| *byte == 0);
    let (Some(authzid), Some(authcid), Some(passwd), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Failure::Malformed);
    };
    let login = text(authcid).ok_or(Failure::Malformed)?;
    let password = text(passwd).ok_or(Failure::Malformed)?;
    // An empty authzid means the identity that follows from the login. Naming it again is common.
    if !authzid.is_empty() && !authzid.eq_ignore_ascii_case(authcid) {
        return Err(Failure::Authorization);
    }
    Ok(Credentials::Password { login: login.to_owned(), password: Secret::new(password.to_owned()) })
}

/// A part of a response: not empty, UTF-8, and without the NUL that RFC 4616 §2 excludes.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty() && !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(text: &str) -> String {
        STANDARD.encode(text)
    }

    fn plain_with(text: &str) -> Step {
        Exchange::begin(Mechanism::Plain, Some(encode(text).as_bytes())).1
    }

    fn done(login: &str, password: &str) -> Step {
        Step::Done(Credentials::Password { login: login.into(), password: Secret::new(password.into()) })
    }

    #[test]
    fn plain_with_an_initial_response() {
        // RFC 4616 §4's first example.
        assert_eq!(plain_with("\0tim\0tanstaaftanstaaf"), done("tim", "tanstaaftanstaaf"));
        assert_eq!(plain_with("Tim\0tim\0x"), done("tim", "x"));
    }

    #[test]
    fn plain_after_an_empty_challenge() {
        let (mut exchange, step) = Exchange::begin(Mechanism::Plain, None);
        assert_eq!(step, Step::Challenge("".into()));
        assert_eq!(exchange.respond(encode("\0tim\0pass wörd").as_bytes()), done("tim", "pass wörd"));
    }

    #[test]
    fn acting_as_another_is_refused() {
        // RFC 4616 §4's second example: Kurt for Ursel.
        assert_eq!(plain_with("Ursel\0Kurt\0xipj3plmq"), Step::Failed(Failure::Authorization));
    }

    #[test]
    fn malformed_responses() {
        for text in ["", "\0", "\0a", "\0\0pass", "\0a\0", "a\0b", "\0a\0b\0c"] {
            assert_eq!(plain_with(text), Step::Failed(Failure::Malformed), "{text:?}");
        }
        let latin1 = STANDARD.encode(b"\0a\0p\xe4ss");
        assert_eq!(
            Exchange::begin(Mechanism::Plain, Some(latin1.as_bytes())).1,
            Step::Failed(Failure::Malformed)
        );
    }

    #[test]
    fn what_is_not_base64_or_too_long() {
        let long = "A".repeat(RESPONSE_LIMIT + 4);
        for response in ["*", "!!!!", "QQ", "QQ=\n", " QQ==", "QQ== ", &long] {
            let (_, step) = Exchange::begin(Mechanism::Plain, Some(response.as_bytes()));
            assert_eq!(step, Step::Failed(Failure::Encoding), "{response:?}");
        }
    }

    #[test]
    fn login_asks_twice_or_takes_the_name_at_once() {
        let (mut exchange, step) = Exchange::begin(Mechanism::Login, None);
        assert_eq!(step, Step::Challenge(LOGIN_NAME.into()));
        assert_eq!(exchange.respond(encode("alice").as_bytes()), Step::Challenge(LOGIN_PASSWORD.into()));
        assert_eq!(exchange.respond(encode("secret").as_bytes()), done("alice", "secret"));
        let (mut exchange, step) = Exchange::begin(Mechanism::Login, Some(encode("alice").as_bytes()));
        assert_eq!(step, Step::Challenge(LOGIN_PASSWORD.into()));
        assert_eq!(exchange.respond(b""), Step::Failed(Failure::Malformed));
    }

    #[test]
    fn a_star_cancels_and_nothing_follows_an_end() {
        let (mut exchange, _) = Exchange::begin(Mechanism::Login, None);
        assert_eq!(exchange.respond(b"*"), Step::Failed(Failure::Cancelled));
        assert_eq!(exchange.respond(encode("alice").as_bytes()), Step::Failed(Failure::Malformed));
    }

    #[test]
    fn an_equals_sign_is_an_empty_response() {
        assert_eq!(Exchange::begin(Mechanism::Plain, Some(b"=")).1, Step::Failed(Failure::Malformed));
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", plain_with("\0tim\0hunter2"));
        assert!(shown.contains("tim") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Mechanism::from_name("plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::from_name("LOGIN"), Some(Mechanism::Login));
        assert_eq!(Mechanism::from_name("OAuthBearer"), Some(Mechanism::OauthBearer));
        assert_eq!(Mechanism::from_name("CRAM-MD5"), None);
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(initial in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
                                   lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
            for mechanism in Mechanism::ALL {
                let (mut exchange, _) = Exchange::begin(mechanism, initial.as_deref());
                for line in &lines {
                    exchange.respond(line);
                    exchange.respond(STANDARD.encode(line).as_bytes());
                    exchange.refuse(&Refusal::invalid("https://x"));
                }
            }
        }
    }
}
