//! The authorization endpoint (RFC 6749 §3.1): a client's request, the page, and the user's answer.
//!
//! The page's form goes to the same URI, which says again what is asked for, and it is looked at again: between page and answer
//! nothing is kept, so that any node may have the answer.

use std::sync::Arc;

use accounts::Person;
use accounts::oauth::{Client, NewGrant, Scope};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use oauth_proto::{Authorize, Error, ErrorCode, Form, Stated, matches};

use crate::answer::{self, Refused};
use crate::enter::{Entered, Question, Word};
use crate::page;
use crate::token::only_uri;
use crate::{AT, Remote, Server, base};

/// Shows the page.
pub(crate) async fn show(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    let (headers, uri) = (request.headers().clone(), request.uri().clone());
    let shown = match server.asked(from, &uri).await {
        Ok((asked, _)) => Ok(server.login(&asked, &headers, &Entered::default())),
        Err(ended) => Err(ended),
    };
    count(shown)
}

/// Takes the user's answer. Clients may ask by POST as well (OpenID Connect Core §3.1.2.1): such a request has nothing in its URI, and
/// is sent to where it has.
pub(crate) async fn decide(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    let uri = request.uri().clone();
    if uri.query().is_none() {
        return count(asked_by_post(from, request).await);
    }
    let decided = match server.asked(from, &uri).await {
        Ok((asked, remote)) => server.decided(&asked, remote, request).await,
        Err(ended) => Err(ended),
    };
    count(decided)
}

async fn asked_by_post(from: answer::From, request: Request) -> Result<Response, Ended> {
    answer::safe(from).map_err(|refused| tell(&refused))?;
    let body = answer::body(request, answer::FORM).await.map_err(|error| told(&error))?;
    Stated::read(&Form::parse(&body).map_err(|error| told(&error))?).map_err(|error| told(&error))?;
    let query = String::from_utf8(body).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    let bad = || told(&Error::new(ErrorCode::InvalidRequest, "The request is not encoded as it must be."));
    Ok(see(&format!("{}?{}", AT.authorize, query.ok_or_else(bad)?)))
}

fn count(outcome: Result<Response, Ended>) -> Response {
    give("authorize", outcome)
}

/// Counts and gives a page.
pub(crate) fn give(endpoint: &'static str, outcome: Result<Response, Ended>) -> Response {
    let (name, response) = match outcome {
        Ok(response) => ("ok", response),
        Err(Ended { name, response }) => (name, response),
    };
    metrics::counter!("oauth_answers_total", "endpoint" => endpoint, "outcome" => name).increment(1);
    response
}

/// It goes no further: why, in one word, and what the user gets to see.
pub(crate) struct Ended {
    pub(crate) name: &'static str,
    pub(crate) response: Response,
}

/// What is asked for, looked at.
struct Asked {
    client: Client,
    stated: Stated,
    redirect_uri: String,
    authorize: Authorize,
    scope: Scope,
    issuer: String,
    /// Where the form goes: where the request came.
    action: String,
    /// Whether the browser takes cookies for TLS.
    secure: bool,
}

impl Server {
    /// Who asks for what. As long as it is not clear who asks and where the answer goes, the user is told (RFC 6749
    /// §4.1.2.1); then the client is.
    async fn asked(&self, from: answer::From, uri: &Uri) -> Result<(Asked, Remote), Ended> {
        let remote = answer::safe(from).map_err(|refused| tell(&refused))?;
        let form = Form::parse(uri.query().unwrap_or_default().as_bytes()).map_err(|error| told(&error))?;
        let stated = Stated::read(&form).map_err(|error| told(&error))?;
        let client = self.services.accounts.client(&stated.client).await.map_err(Refused::from);
        let client = client.map_err(|refused| tell(&refused))?;
        let unknown = Error::new(ErrorCode::InvalidClient, "The application is not known here.");
        let client = client.ok_or_else(|| told(&unknown))?;
        let asked = stated.redirect_uri.clone().or_else(|| only_uri(&client));
        let known = |uri: &String| client.says.redirect_uris.iter().any(|one| matches(one, uri));
        let stray = "The application wants you to be sent to where it has not said that it is.";
        let redirect_uri =
            asked.filter(known).ok_or_else(|| told(&Error::new(ErrorCode::InvalidRedirectUri, stray)))?;
        let issuer = self.issuer(uri);
        let (authorize, scope) = self.wanted(&form, &client, uri).await.map_err(|refused| match refused {
            Refused::Client(error) => sent_back(&stated.refusal(&redirect_uri, &issuer, &error), &error),
            refused => tell(&refused),
        })?;
        let action = format!("{}?{}", AT.authorize, uri.query().unwrap_or_default());
        let secure = uri.scheme_str() == Some("https");
        Ok((Asked { client, stated, redirect_uri, authorize, scope, issuer, action, secure }, remote))
    }

    async fn wanted(&self, form: &Form, client: &Client, uri: &Uri) -> Result<(Authorize, Scope), Refused> {
        let authorize = Authorize::read(form)?;
        if !client.uses("authorization_code") {
            let detail = "the client has not registered that";
            return Err(Error::new(ErrorCode::UnauthorizedClient, detail).into());
        }
        let own = |resource: &String| {
            let rest = resource.strip_prefix(&base(uri));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if authorize.resource.as_ref().is_some_and(|resource| !own(resource)) {
            return Err(Error::new(ErrorCode::InvalidTarget, "tokens from here are for this server").into());
        }
        let scope = self.granted(authorize.scope.as_deref(), &client.says.scope).await?;
        // Nobody stays logged in here.
        if authorize.silent {
            return Err(Error::new(ErrorCode::LoginRequired, "the user has to log in").into());
        }
        Ok((authorize, scope))
    }

    fn login(&self, asked: &Asked, headers: &HeaderMap, entered: &Entered) -> Response {
        let target = format!("You will be sent to {}.", asked.redirect_uri);
        let question = Question {
            action: &asked.action,
            client: &asked.client.says.name,
            target: &target,
            source: Some(&page::source(&asked.redirect_uri)),
            scope: &asked.scope,
            hint: asked.authorize.login_hint.as_deref().unwrap_or_default(),
            secure: asked.secure,
        };
        self.page(&question, headers, entered)
    }

    async fn decided(&self, asked: &Asked, remote: Remote, request: Request) -> Result<Response, Ended> {
        let headers = request.headers().clone();
        let word = self.word(remote, asked.secure, request).await.map_err(|error| told(&error))?;
        let again = |entered: &Entered| Ended {
            name: entered.name(),
            response: self.login(asked, &headers, entered),
        };
        let person = match word {
            Word::Again(entered) => return Err(again(&entered)),
            Word::No => {
                let error = Error::new(ErrorCode::AccessDenied, "the user does not allow it");
                return Err(asked.refused(&error));
            }
            Word::Yes(person) => person,
        };
        if !self.is_expected(asked, &person).await.map_err(|refused| tell(&refused))? {
            let error = Error::new(ErrorCode::LoginRequired, "another user has logged in");
            return Err(asked.refused(&error));
        }
        let new = NewGrant {
            account: person.identity.account,
            credential: person.credential,
            client: asked.client.id.clone(),
            scope: asked.scope.clone(),
            redirect_uri: asked.redirect_uri.clone(),
            challenge: asked.authorize.challenge,
            nonce: asked.authorize.nonce.clone().unwrap_or_default(),
            second: person.second,
        };
        let code = self.services.accounts.allow(&new).await.map_err(Refused::from);
        let code = code.map_err(|refused| tell(&refused))?;
        // The password was changed meanwhile, or the client has gone.
        let code = code.ok_or_else(|| again(&Entered::stray()))?;
        let answer = [("code", code.expose())];
        Ok(see(&asked.stated.answer(&asked.redirect_uri, &asked.issuer, &answer)))
    }

    /// Whether it is the user that the client expects, if it has shown an id token of one (OpenID Connect Core §3.1.2.1). What cannot
    /// be read as one of ours says nothing of anybody.
    async fn is_expected(&self, asked: &Asked, person: &Person) -> Result<bool, Refused> {
        let Some(hint) = &asked.authorize.id_token_hint else { return Ok(true) };
        let subject = self.subject_of(hint, &asked.client.id).await?;
        Ok(subject.is_none_or(|subject| subject == person.identity.account.to_string()))
    }
}

impl Asked {
    /// The user is sent back with an error.
    fn refused(&self, error: &Error) -> Ended {
        sent_back(&self.stated.refusal(&self.redirect_uri, &self.issuer, error), error)
    }
}

fn sent_back(to: &str, error: &Error) -> Ended {
    Ended { name: error.code.name(), response: see(to) }
}

/// RFC 9700 §4.12: 303, so that what was put in does not go along.
pub(crate) fn see(uri: &str) -> Response {
    match HeaderValue::try_from(uri) {
        Ok(uri) => (StatusCode::SEE_OTHER, [(header::LOCATION, uri)]).into_response(),
        Err(_) => page::problem(StatusCode::BAD_REQUEST, "The application cannot be reached."),
    }
}

/// The user is told.
pub(crate) fn told(error: &Error) -> Ended {
    Ended { name: error.code.name(), response: page::problem(StatusCode::BAD_REQUEST, &error.detail) }
}

pub(crate) fn tell(refused: &Refused) -> Ended {
    let (status, why) = why(refused);
    Ended { name: refused.name(), response: page::problem(status, why) }
}

/// What users are told of it.
pub(crate) fn why(refused: &Refused) -> (StatusCode, &str) {
    match refused {
        Refused::Client(error) => (StatusCode::BAD_REQUEST, &error.detail),
        Refused::Unsafe => (StatusCode::FORBIDDEN, "Use https to log in."),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "This does not work at present. Please try again."),
    }
}
