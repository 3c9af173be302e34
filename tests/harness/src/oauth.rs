//! A client of OAuth 2.0 and the browser of its user, over real nodes.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::jmap::{Answer, ask_at};

/// Where users are sent back to.
const BACK: &str = "http://127.0.0.1:49152/back";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// The header of a form.
pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A field of an answer's head; empty if it is not there.
pub fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let fields = answer.head.iter().filter_map(|line| line.split_once(": "));
    let found = fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value)
}

/// An answer's JSON; null if it is none.
pub fn said(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// A form's body.
pub fn form(parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

/// A client of one user, and the addresses of the nodes, which it asks by turns.
pub struct App {
    /// `host:port` of each node's HTTPS.
    pub nodes: Vec<String>,
    /// What it is known by.
    pub client: String,
    turn: usize,
}

/// Where a user is sent after the page.
pub struct Sent {
    /// The whole URI.
    pub to: String,
}

impl Sent {
    /// The authorization code.
    ///
    /// # Errors
    /// There is none.
    pub fn code(&self) -> anyhow::Result<&str> {
        let code = self.to.split("code=").nth(1).and_then(|rest| rest.split('&').next());
        code.with_context(|| self.to.clone())
    }
}

/// What a user sees who is not sent anywhere.
#[derive(Debug)]
pub struct Page {
    /// The answer.
    pub status: u16,
    /// The page.
    pub text: String,
    path: String,
    cookie: String,
}

impl Page {
    /// The value of a hidden field.
    ///
    /// # Errors
    /// There is none.
    pub fn hidden(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.text.split(&format!("name=\"{name}\" value=\"")).nth(1);
        value.and_then(|rest| rest.split('"').next()).with_context(|| self.text.clone())
    }
}

impl App {
    /// A client that has registered.
    ///
    /// # Errors
    /// It could not.
    pub fn register(nodes: Vec<String>) -> anyhow::Result<App> {
        let mut app = App { nodes, turn: 0, client: String::new() };
        let says = json!({
            "client_name": "App",
            "redirect_uris": ["http://127.0.0.1/back"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let kind = "Content-Type: application/json\r\n";
        let answer = app.ask(("POST", "/oauth/register"), kind, &says.to_string())?;
        ensure!(answer.status == 201, "{}", String::from_utf8_lossy(&answer.body));
        said(&answer)["client_id"].as_str().context("no client_id")?.clone_into(&mut app.client);
        Ok(app)
    }

    /// Asks the next node.
    ///
    /// # Errors
    /// There is no answer.
    pub fn ask(&mut self, request: (&str, &str), fields: &str, body: &str) -> anyhow::Result<Answer> {
        self.turn += 1;
        let node = self.nodes.get(self.turn % self.nodes.len()).context("no node")?;
        ask_at(node, request, fields, body.as_bytes())
    }

    /// The page where a user logs in to allow something.
    ///
    /// # Errors
    /// There is none.
    pub fn page(&mut self, scope: &str) -> anyhow::Result<Page> {
        let asks = form(&[
            ("response_type", "code"),
            ("client_id", &self.client.clone()),
            ("redirect_uri", BACK),
            ("scope", scope),
            ("state", "xyz"),
            ("nonce", "n-0S6_WzA2Mj"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        let path = format!("/oauth/authorize?{asks}");
        let page = self.ask(("GET", &path), "", "")?;
        ensure!(page.status == 200, "{}", page.status);
        let cookie = field(&page, "set-cookie").split(';').next().unwrap_or_default().to_owned();
        Ok(Page { status: page.status, text: String::from_utf8(page.body)?, path, cookie })
    }

    /// What the user puts in, at another node.
    ///
    /// # Errors
    /// There is no answer.
    pub fn answer(&mut self, page: &Page, says: &[(&str, &str)]) -> anyhow::Result<Result<Sent, Page>> {
        let mut all = vec![("token", page.hidden("token")?)];
        all.extend(says);
        let fields = format!("{FORM}Cookie: {}\r\nOrigin: https://localhost\r\n", page.cookie);
        let answer = self.ask(("POST", &page.path), &fields, &form(&all))?;
        if answer.status == 303 {
            return Ok(Ok(Sent { to: field(&answer, "location").to_owned() }));
        }
        let (path, cookie) = (page.path.clone(), page.cookie.clone());
        Ok(Err(Page { status: answer.status, text: String::from_utf8(answer.body)?, path, cookie }))
    }

    /// From the client's request over the page to where the user is sent, each at another node.
    ///
    /// # Errors
    /// There is no answer.
    pub fn log_in(&mut self, scope: &str, login: &str, password: &str) -> anyhow::Result<Result<Sent, Page>> {
        let page = self.page(scope)?;
        self.answer(&page, &[("login", login), ("password", password), ("answer", "allow")])
    }

    /// Asks for tokens.
    ///
    /// # Errors
    /// There is no answer.
    pub fn token(&mut self, parameters: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let client = self.client.clone();
        let mut all = vec![("client_id", client.as_str())];
        all.extend(parameters);
        self.ask(("POST", "/oauth/token"), FORM, &form(&all))
    }

    /// What the client gets for a code.
    ///
    /// # Errors
    /// Nothing.
    pub fn exchange(&mut self, sent: &Sent) -> anyhow::Result<Value> {
        let answer = self.token(&[
            ("grant_type", "authorization_code"),
            ("code", sent.code()?),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ])?;
        ensure!(answer.status == 200, "{}", said(&answer));
        Ok(said(&answer))
    }

    /// An access and a refresh token.
    ///
    /// # Errors
    /// There are none.
    pub fn tokens(&mut self, scope: &str, login: &str, password: &str) -> anyhow::Result<(String, String)> {
        let sent = self.log_in(scope, login, password)?;
        let sent = sent.map_err(|page| anyhow::anyhow!("{} {}", page.status, page.text))?;
        ensure!(sent.to.starts_with(BACK) && sent.to.contains("&iss=https%3A%2F%2Flocalhost"), "{}", sent.to);
        let told = self.exchange(&sent)?;
        let text = |name: &str| told[name].as_str().map(str::to_owned).context("a token");
        Ok((text("access_token")?, text("refresh_token")?))
    }

    /// Refreshes.
    ///
    /// # Errors
    /// There is no answer.
    pub fn refresh(&mut self, token: &str) -> anyhow::Result<Answer> {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    /// What each node says to who comes with a token.
    ///
    /// # Errors
    /// One says nothing.
    pub fn statuses(&self, token: &str) -> anyhow::Result<Vec<u16>> {
        let fields = format!("Authorization: Bearer {token}\r\n");
        let ask = |node: &String| Ok(ask_at(node, ("GET", "/jmap/session"), &fields, b"")?.status);
        self.nodes.iter().map(ask).collect()
    }
}
