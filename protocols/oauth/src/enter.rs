//! The form where a user logs in and allows something, and what the user says there.

use accounts::oauth::Scope;
use accounts::{AuthFailure, AuthRequest, Entered as Code, Entry, Person, Secret};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use oauth_proto::Error;

use crate::form_cookie::FormCookie;
use crate::page::{CodeAsked, Login};
use crate::{Remote, Server, answer, base, scopes};

/// What a user is asked.
pub(crate) struct Question<'a> {
    /// Where the form goes: where the page was asked for.
    pub(crate) action: &'a str,
    /// The client's name, as it says.
    pub(crate) client: &'a str,
    /// Where it is, in words.
    pub(crate) target: &'a str,
    /// Where the form's answer may lead, as the source of a policy.
    pub(crate) source: Option<&'a str>,
    /// What for.
    pub(crate) scope: &'a Scope,
    /// As whom the user logs in, perhaps.
    pub(crate) hint: &'a str,
    /// Whether the browser takes cookies for TLS.
    pub(crate) secure: bool,
}

/// What a user has put in, when that was not good.
#[derive(Default)]
pub(crate) struct Entered {
    login: Option<String>,
    failure: Option<AuthFailure>,
    /// The form does not come from the page that this browser has been shown.
    stray: bool,
    /// The password was right, and a code is asked for: what the page has to show with it.
    word: Option<Secret>,
}

impl Entered {
    /// The page is to be shown again, since nobody knows where the form comes from.
    pub(crate) fn stray() -> Self {
        Entered { stray: true, ..Entered::default() }
    }

    /// In one word, for counting.
    pub(crate) fn name(&self) -> &'static str {
        match (self.stray, &self.word) {
            (true, _) => "stray",
            (false, Some(_)) => "code",
            (false, None) => "login",
        }
    }
}

/// What a user says.
pub(crate) enum Word {
    /// It is allowed, by somebody who has logged in.
    Yes(Person),
    /// It is not.
    No,
    /// That is not clear: the page is to be shown again.
    Again(Entered),
}

impl Server {
    /// The page with the question.
    pub(crate) fn page(&self, question: &Question<'_>, headers: &HeaderMap, entered: &Entered) -> Response {
        let cookie = FormCookie::of(headers, question.secure, &*self.services.rng);
        if let Some(word) = &entered.word {
            return code_page(question, word, entered.failure, &cookie);
        }
        let (status, error) = match (entered.failure, entered.stray) {
            (Some(failure), _) => failed(failure),
            (None, true) => (StatusCode::FORBIDDEN, Some("The page was too old. Please log in again.")),
            (None, false) => (StatusCode::OK, None),
        };
        let page = Login {
            action: question.action,
            client: question.client,
            target: question.target,
            source: question.source,
            scopes: question.scope.tokens().map(scopes::words).collect(),
            token: cookie.value(),
            login: entered.login.as_deref().unwrap_or(question.hint),
            error,
        };
        told(page.render(status), question, &cookie)
    }

    /// What the user says in a form that comes from the page.
    pub(crate) async fn word(&self, remote: Remote, secure: bool, request: Request) -> Result<Word, Error> {
        let own = is_own_page(request.uri(), request.headers());
        let cookie = FormCookie::shown(request.headers(), secure);
        let form = answer::form(request).await?;
        let token = form.get("token").unwrap_or_default();
        if !own || !cookie.is_some_and(|cookie| cookie.is(token)) {
            return Ok(Word::Again(Entered::stray()));
        }
        if form.get("answer") != Some("allow") {
            return Ok(Word::No);
        }
        if let Some(word) = form.get("word") {
            return Ok(self.coded(remote, Secret::new(word), form.get("code").unwrap_or_default()).await);
        }
        let login = form.get("login").unwrap_or_default();
        let password = Secret::new(form.get("password").unwrap_or_default());
        let shown = AuthRequest { mechanism: "OAUTH", login, password: &password, remote: remote.address };
        Ok(match self.services.authenticator.person(shown).await {
            Ok(Entry::Person(person)) => Word::Yes(person),
            Ok(Entry::Code(word)) => Word::Again(Entered { word: Some(word), ..Entered::default() }),
            Err(failure) => {
                let login = Some(login.to_owned());
                Word::Again(Entered { login, failure: Some(failure), ..Entered::default() })
            }
        })
    }

    /// What the user says who was asked for a code.
    async fn coded(&self, remote: Remote, word: Secret, code: &str) -> Word {
        let failure = match self.services.authenticator.code(&word, code, remote.address).await {
            Ok(Code::Yes(person)) => return Word::Yes(person),
            // It took too long: the password is asked for again.
            Ok(Code::Over) => return Word::Again(Entered::stray()),
            Ok(Code::Wrong) => AuthFailure::Invalid,
            Ok(Code::Limited) => AuthFailure::RateLimited,
            Err(failure) => failure,
        };
        Word::Again(Entered { word: Some(word), failure: Some(failure), ..Entered::default() })
    }
}

/// The page that asks for a code.
fn code_page(
    question: &Question<'_>,
    word: &Secret,
    failure: Option<AuthFailure>,
    cookie: &FormCookie,
) -> Response {
    let (status, error) = match failure {
        None => (StatusCode::OK, None),
        Some(AuthFailure::Invalid) => {
            (StatusCode::FORBIDDEN, Some("The code is wrong, or was used before. Wait for the next one."))
        }
        Some(failure) => failed(failure),
    };
    let page = CodeAsked {
        action: question.action,
        client: question.client,
        source: question.source,
        token: cookie.value(),
        word: word.expose(),
        error,
    };
    told(page.render(status), question, cookie)
}

/// A page with its cookie.
fn told(mut response: Response, question: &Question<'_>, cookie: &FormCookie) -> Response {
    let limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    if let Some(field) = cookie.field(question.secure) {
        headers.append(header::SET_COOKIE, field);
    }
    if limited {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    }
    response
}

/// Whether a form comes from a page of ours, as far as the browser says (RFC 6454 §7, Fetch Metadata).
fn is_own_page(uri: &Uri, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    site && text("origin").is_none_or(|origin| origin == base(uri))
}

fn failed(failure: AuthFailure) -> (StatusCode, Option<&'static str>) {
    match failure {
        AuthFailure::Invalid => (StatusCode::FORBIDDEN, Some("The address or the password is wrong.")),
        AuthFailure::Disabled => (StatusCode::FORBIDDEN, Some("The account is disabled.")),
        AuthFailure::RateLimited => {
            (StatusCode::TOO_MANY_REQUESTS, Some("Too many attempts. Please wait a minute."))
        }
        AuthFailure::TemporarilyUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, Some("This does not work at present. Please try again."))
        }
    }
}
