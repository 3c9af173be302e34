//! Devices without a browser (RFC 8628): a device gets a code, its user types it here, on another one, and says whether it may.

use std::sync::Arc;

use accounts::oauth::{DEVICE_TIME, Heard, INTERVAL, Issued, Question as Waiting};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use oauth_proto::{DEVICE_CODE, Error, ErrorCode, Form, scope};
use serde_json::json;

use crate::answer::{self, Refused};
use crate::authorize::{Ended, give, tell, told};
use crate::enter::{Entered, Question, Word};
use crate::{Remote, Server, page};

/// Where users type codes: short, since some type it too.
pub(crate) const PAGE: &str = "/device";

/// A device begins to wait (RFC 8628 §3.1).
pub(crate) async fn begin(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    answer::give("device", server.begin(from, request).await)
}

/// Asks for the code, then for the user's word.
pub(crate) async fn show(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    let (headers, uri) = (request.headers().clone(), request.uri().clone());
    let shown = match server.waiting(from, &uri).await {
        Ok((waiting, _)) => Ok(server.ask(&waiting, &headers, &uri, &Entered::default())),
        Err(ended) => Err(ended),
    };
    give("device_page", shown)
}

/// Takes the user's word.
pub(crate) async fn decide(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    let uri = request.uri().clone();
    let decided = match server.waiting(from, &uri).await {
        Ok((waiting, remote)) => server.answered(&waiting, remote, &uri, request).await,
        Err(ended) => Err(ended),
    };
    give("device_page", decided)
}

/// RFC 8628 §3.5
pub(crate) fn heard(heard: Heard) -> Result<Issued, Error> {
    Err(match heard {
        Heard::Issued(issued) => return Ok(issued),
        Heard::Pending => Error::new(ErrorCode::AuthorizationPending, "the user has not said anything yet"),
        Heard::SlowDown => Error::new(ErrorCode::SlowDown, "ask less often, by five seconds"),
        Heard::Denied => Error::new(ErrorCode::AccessDenied, "the user does not allow it"),
        Heard::Expired => Error::new(ErrorCode::ExpiredToken, "the user did not say anything in time"),
        Heard::Unknown => Error::new(ErrorCode::InvalidGrant, "that is not good, or not any more"),
    })
}

impl Server {
    async fn begin(&self, from: answer::From, request: Request) -> Result<Response, Refused> {
        let remote = answer::safe(from)?;
        self.services.authenticator.count(remote.address).map_err(|_| Refused::TooMany)?;
        let (headers, issuer) = (request.headers().clone(), self.issuer(request.uri()));
        let form = answer::form(request).await?;
        let client = self.client(&headers, &form).await?;
        if !client.uses(DEVICE_CODE) {
            let detail = "the client has not registered that grant type";
            return Err(Error::new(ErrorCode::UnauthorizedClient, detail).into());
        }
        let scope = self.granted(scope(&form)?.as_deref(), &client.says.scope).await?;
        let device = self.services.accounts.begin_device(&client.id, &scope).await?;
        let device = device.ok_or(Refused::TooMany)?;
        let told = json!({
            "device_code": device.device_code.expose(),
            "user_code": device.user_code,
            "verification_uri": format!("{issuer}{PAGE}"),
            "verification_uri_complete": format!("{issuer}{PAGE}?user_code={}", device.user_code),
            "expires_in": DEVICE_TIME / 1000,
            "interval": INTERVAL,
        });
        Ok(answer::json(StatusCode::OK, &told))
    }

    /// What waits for the code that the user has typed. Codes are short: who tries many waits (RFC 8628 §5.1).
    async fn waiting(&self, from: answer::From, uri: &Uri) -> Result<(Waiting, Remote), Ended> {
        let remote = answer::safe(from).map_err(|refused| tell(&refused))?;
        let form = Form::parse(uri.query().unwrap_or_default().as_bytes()).map_err(|error| told(&error))?;
        let Some(code) = form.get("user_code") else {
            return Err(Ended { name: "code", response: page::code(StatusCode::OK, None) });
        };
        if self.services.authenticator.count(remote.address).is_err() {
            let why = "Too many attempts. Please wait a minute.";
            return Err(Ended {
                name: "limited",
                response: page::code(StatusCode::TOO_MANY_REQUESTS, Some(why)),
            });
        }
        let found = self.services.accounts.question(code).await.map_err(|error| tell(&error.into()))?;
        let why = "No device waits for that code. Look again: it is shown for ten minutes.";
        let unknown = || Ended { name: "unknown", response: page::code(StatusCode::NOT_FOUND, Some(why)) };
        Ok((found.ok_or_else(unknown)?, remote))
    }

    fn ask(&self, waiting: &Waiting, headers: &HeaderMap, uri: &Uri, entered: &Entered) -> Response {
        let code = &waiting.user_code;
        // RFC 8628 §5.4: who was sent here by somebody else does not see this code.
        let target = format!(
            "Only go on if a device in front of you shows the code {code}, and nobody has sent it to you."
        );
        let question = Question {
            action: &format!("{PAGE}?user_code={code}"),
            client: &waiting.client.says.name,
            target: &target,
            source: None,
            scope: &waiting.scope,
            hint: "",
            secure: uri.scheme_str() == Some("https"),
        };
        self.page(&question, headers, entered)
    }

    async fn answered(
        &self,
        waiting: &Waiting,
        remote: Remote,
        uri: &Uri,
        request: Request,
    ) -> Result<Response, Ended> {
        let headers = request.headers().clone();
        let secure = uri.scheme_str() == Some("https");
        let allows = match self.word(remote, secure, request).await.map_err(|error| told(&error))? {
            Word::Again(entered) => {
                let response = self.ask(waiting, &headers, uri, &entered);
                return Err(Ended { name: entered.name(), response });
            }
            Word::No => None,
            Word::Yes(person) => Some(person),
        };
        let answered = self.services.accounts.answer_device(&waiting.user_code, allows.as_ref()).await;
        if !answered.map_err(|error| tell(&error.into()))? {
            let why = "The device does not wait any more. Begin there again.";
            return Err(Ended { name: "late", response: page::code(StatusCode::NOT_FOUND, Some(why)) });
        }
        Ok(match allows {
            Some(_) => page::done("Allowed", "The device goes on by itself. You can close this page."),
            None => page::done("Not allowed", "The device is told so. You can close this page."),
        })
    }
}
