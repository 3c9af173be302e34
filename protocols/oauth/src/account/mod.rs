//! The page of one's own account: what was allowed to clients, passwords of applications, the device that makes codes, the password.
//!
//! Who logs in begins a visit, which a cookie stands for ([`accounts::Accounts::begin_visit`]). Each form of the page shows that it
//! comes from a page of that visit, and whatever it does is answered by sending the browser to the page: to read that again does
//! nothing. What came of it waits in the visit, and the page tells it once.
//!
//! A login that is refused is answered at once, as where something is allowed to a client: nothing has been done.

mod cookie;
mod deed;
mod html;
mod told;

use std::sync::Arc;

use accounts::{Person, Secret, Visitor};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use oauth_proto::Form;
use subtle::ConstantTimeEq;

use self::deed::{Deed, Done};
use self::html::Overview;
use self::told::Told;
use crate::answer::{self, Refused};
use crate::authorize::{Ended, give, see, why};
use crate::enter::{self, Entered};
use crate::form_cookie::FormCookie;
use crate::{Remote, Server};

/// Where it is.
pub(crate) const PAGE: &str = "/account";

/// Shows the page to who has logged in there, and asks who it is otherwise.
pub(crate) async fn show(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    let browser = Browser::of(&request);
    give("account", server.home(from, &browser).await)
}

/// Does what a form says.
pub(crate) async fn decide(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    let browser = Browser::of(&request);
    let decided = match answer::safe(from) {
        Ok(remote) => server.at_home(remote, &browser, request).await,
        Err(refused) => Err(tell(&refused)),
    };
    give("account", decided)
}

/// What a request says besides a form.
struct Browser {
    uri: Uri,
    headers: HeaderMap,
    /// Whether it takes cookies for TLS.
    secure: bool,
    /// The word of a visit, good or not.
    word: Option<Secret>,
    /// It wants to see the head of the answer only.
    glances: bool,
}

impl Browser {
    fn of(request: &Request) -> Browser {
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let secure = uri.scheme_str() == Some("https");
        let word = cookie::shown(&headers, secure);
        Browser { uri, headers, secure, word, glances: request.method() == Method::HEAD }
    }

    /// Whether a form comes from a page of the visit.
    fn is_from(&self, visitor: &Visitor, form: &Form) -> bool {
        let token = form.get("token").unwrap_or_default().as_bytes();
        let own = token.ct_eq(visitor.form.expose().as_bytes()).into();
        own && enter::is_own_page(&self.uri, &self.headers)
    }

    /// Sends it to the page, with the word of a visit; none: without any.
    fn home(&self, word: Option<&Secret>) -> Response {
        let mut response = see(PAGE);
        response.headers_mut().extend(cookie::field(word, self.secure).map(|set| (header::SET_COOKIE, set)));
        response
    }
}

impl Server {
    async fn home(&self, from: answer::From, browser: &Browser) -> Result<Response, Ended> {
        answer::safe(from).map_err(|refused| tell(&refused))?;
        // What is told once is not told to who does not read it.
        let visitor = if browser.glances { None } else { self.visitor(browser).await? };
        let Some(visitor) = visitor else { return Ok(self.entrance(browser, &Entered::default())) };
        let told = visitor.told.as_ref().and_then(Told::parse);
        let page = self.render(&visitor, told.as_ref()).await;
        page.map_err(|refused| tell(&refused))
    }

    async fn at_home(&self, remote: Remote, browser: &Browser, request: Request) -> Result<Response, Ended> {
        let form = answer::form(request).await.map_err(|error| tell(&error.into()))?;
        if form.get("do").is_none() {
            return self.come_in(remote, browser, &form).await;
        }
        let visitor = self.visitor(browser).await?.filter(|visitor| browser.is_from(visitor, &form));
        let (Some(visitor), Some(word)) = (visitor, &browser.word) else {
            return Err(self.again(browser, &Entered::stray()));
        };
        let deed = Deed::read(&form).map_err(|error| tell(&error.into()))?;
        let done = self.do_for(&visitor.person, deed, remote).await.map_err(|refused| tell(&refused))?;
        let accounts = &self.services.accounts;
        match done {
            Done::Told(told) => {
                let kept = accounts.tell_visitor(word, &told.text()).await;
                kept.map_err(early).map(|()| browser.home(Some(word)))
            }
            Done::Anew(person, told) => self.begin_visit(browser, &person, Some(&told.text())).await,
            Done::Leave => accounts.end_visit(word).await.map_err(early).map(|()| browser.home(None)),
        }
    }

    /// Somebody logs in.
    async fn come_in(&self, remote: Remote, browser: &Browser, form: &Form) -> Result<Response, Ended> {
        if !enter::is_from_page(&browser.uri, &browser.headers, browser.secure, form) {
            return Err(self.again(browser, &Entered::stray()));
        }
        match self.person(remote, form).await {
            Ok(person) => self.begin_visit(browser, &person, None).await,
            Err(entered) => Err(self.again(browser, &entered)),
        }
    }

    async fn begin_visit(
        &self,
        browser: &Browser,
        person: &Person,
        told: Option<&Secret>,
    ) -> Result<Response, Ended> {
        let begun = self.services.accounts.begin_visit(person, told).await.map_err(early)?;
        // The password was changed meanwhile, or a device set up.
        let word = begun.ok_or_else(|| self.again(browser, &Entered::stray()))?;
        Ok(browser.home(Some(&word)))
    }

    async fn visitor(&self, browser: &Browser) -> Result<Option<Visitor>, Ended> {
        let Some(word) = &browser.word else { return Ok(None) };
        self.services.accounts.visitor(word).await.map_err(early)
    }

    /// The page that asks who it is, or for the code.
    fn entrance(&self, browser: &Browser, entered: &Entered) -> Response {
        let cookie = FormCookie::of(&browser.headers, browser.secure, &*self.services.rng);
        let ((status, error), token) = (entered.error(), cookie.value());
        let page = match entered.code_word() {
            Some(word) => html::code(token, word, status, error),
            None => html::login(token, entered.login().unwrap_or_default(), status, error),
        };
        enter::told(page, browser.secure, &cookie)
    }

    fn again(&self, browser: &Browser, entered: &Entered) -> Ended {
        Ended { name: entered.name(), response: self.entrance(browser, entered) }
    }

    async fn render(&self, visitor: &Visitor, told: Option<&Told>) -> Result<Response, Refused> {
        let (accounts, account) = (&self.services.accounts, visitor.person.identity.account);
        if let Some(Told::Enrolled(enrolled)) = told {
            return Ok(html::enrolled(&visitor.form, enrolled));
        }
        let overview = Overview {
            address: &visitor.person.identity.address,
            token: &visitor.form,
            grants: accounts.grants(account).await?,
            applications: accounts.applications(account).await?,
            second: accounts.second(account).await?,
            now: self.services.clock.now().millis(),
        };
        Ok(overview.render(told))
    }
}

/// The user is told.
fn tell(refused: &Refused) -> Ended {
    let (status, why) = why(refused);
    Ended { name: refused.name(), response: html::problem(status, why) }
}

/// An older node may be there, which would know nothing of visits.
fn early(error: accounts::Error) -> Ended {
    let accounts::Error::Level(_) = error else { return tell(&error.into()) };
    let why = "This page is not there yet: the server is being upgraded.";
    Ended { name: "level", response: html::problem(StatusCode::SERVICE_UNAVAILABLE, why) }
}
