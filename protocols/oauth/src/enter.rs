//! The form where a user logs in and allows something, and what the user says there.

use accounts::oauth::Scope;
use accounts::{AuthFailure, AuthRequest, Entered as Code, Entry, Person, Secret};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use oauth_proto::{Error, Form};

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

    /// What has to be shown with a code: the password was right.
    pub(crate) fn code_word(&self) -> Option<&Secret> {
        self.word.as_ref()
    }

    /// As whom somebody wanted to log in.
    pub(crate) fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// What was wrong, for who reads the page again.
    pub(crate) fn error(&self) -> (StatusCode, Option<&'static str>) {
        match (self.failure, &self.word, self.stray) {
            (Some(AuthFailure::Invalid), Some(_), _) => (StatusCode::FORBIDDEN, Some(WRONG_CODE)),
            (Some(failure), ..) => failed(failure),
            (None, _, true) => (StatusCode::FORBIDDEN, Some("The page was too old. Please log in again.")),
            (None, _, false) => (StatusCode::OK, None),
        }
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
        let (status, error) = entered.error();
        let (action, client, source) = (question.action, question.client, question.source);
        let token = cookie.value();
        let page = match entered.code_word() {
            Some(word) => {
                CodeAsked { action, client, source, token, word: word.expose(), error }.render(status)
            }
            None => {
                let (target, login) = (question.target, entered.login().unwrap_or(question.hint));
                let scopes = question.scope.tokens().map(scopes::words).collect();
                Login { action, client, target, source, scopes, token, login, error }.render(status)
            }
        };
        told(page, question.secure, &cookie)
    }

    /// What the user says in a form that comes from the page.
    pub(crate) async fn word(&self, remote: Remote, secure: bool, request: Request) -> Result<Word, Error> {
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let form = answer::form(request).await?;
        if !is_from_page(&uri, &headers, secure, &form) {
            return Ok(Word::Again(Entered::stray()));
        }
        if form.get("answer") != Some("allow") {
            return Ok(Word::No);
        }
        Ok(self.person(remote, &form).await.map_or_else(Word::Again, Word::Yes))
    }

    /// Who logs in by a form of ours: with a password, or with the code that was asked for besides.
    pub(crate) async fn person(&self, remote: Remote, form: &Form) -> Result<Person, Entered> {
        if let Some(word) = form.get("word") {
            return self.coded(remote, Secret::new(word), form.get("code").unwrap_or_default()).await;
        }
        let login = form.get("login").unwrap_or_default();
        let password = Secret::new(form.get("password").unwrap_or_default());
        let shown = AuthRequest { mechanism: "OAUTH", login, password: &password, remote: remote.address };
        match self.services.authenticator.person(shown).await {
            Ok(Entry::Person(person)) => Ok(person),
            Ok(Entry::Code(word)) => Err(Entered { word: Some(word), ..Entered::default() }),
            Err(failure) => {
                let login = Some(login.to_owned());
                Err(Entered { login, failure: Some(failure), ..Entered::default() })
            }
        }
    }

    /// What the user says who was asked for a code.
    async fn coded(&self, remote: Remote, word: Secret, code: &str) -> Result<Person, Entered> {
        let failure = match self.services.authenticator.code(&word, code, remote.address).await {
            Ok(Code::Yes(person)) => return Ok(person),
            // It took too long: the password is asked for again.
            Ok(Code::Over) => return Err(Entered::stray()),
            Ok(Code::Wrong) => AuthFailure::Invalid,
            Ok(Code::Limited) => AuthFailure::RateLimited,
            Err(failure) => failure,
        };
        Err(Entered { word: Some(word), failure: Some(failure), ..Entered::default() })
    }
}

/// What is said of a code that is not good.
pub(crate) const WRONG_CODE: &str = "The code is wrong, or was used before. Wait for the next one.";

/// Whether a form comes from a page that this browser has been shown to log in.
pub(crate) fn is_from_page(uri: &Uri, headers: &HeaderMap, secure: bool, form: &Form) -> bool {
    let token = form.get("token").unwrap_or_default();
    is_own_page(uri, headers) && FormCookie::shown(headers, secure).is_some_and(|cookie| cookie.is(token))
}

/// A page with its cookie.
pub(crate) fn told(mut response: Response, secure: bool, cookie: &FormCookie) -> Response {
    let limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    if let Some(field) = cookie.field(secure) {
        headers.append(header::SET_COOKIE, field);
    }
    if limited {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    }
    response
}

/// Whether a form comes from a page of ours, as far as the browser says (RFC 6454 §7, Fetch Metadata).
pub(crate) fn is_own_page(uri: &Uri, headers: &HeaderMap) -> bool {
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
