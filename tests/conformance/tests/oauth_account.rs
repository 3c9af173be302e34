//! The page on which users manage their own account, read by a browser that runs no script, over real nodes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::collections::BTreeMap;

use base64::Engine as _;
use harness::jmap::ask_at;
use harness::oauth::{App, FORM, field, form};
use harness::{Cluster, ClusterOptions, Imap, Node, NodeOptions};
use servers::PostgreSql;
use servers::postgres::QUICK;

const MAIL: &str = "urn:ietf:params:jmap:mail";
const PAGE: &str = "/account";

/// A browser: it keeps cookies, sends what a form has that is hidden, and goes where it is sent. Each request is at the next node.
struct Browser {
    nodes: Vec<String>,
    cookies: BTreeMap<String, String>,
    turn: usize,
    status: u16,
    text: String,
}

impl Browser {
    fn new(nodes: Vec<String>) -> Browser {
        Browser { nodes, cookies: BTreeMap::new(), turn: 0, status: 0, text: String::new() }
    }

    fn ask(&mut self, method: &str, body: &str) -> &mut Browser {
        self.turn += 1;
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let fields = format!("{FORM}Cookie: {}\r\nOrigin: https://localhost\r\n", cookies.join("; "));
        let node = &self.nodes[self.turn % self.nodes.len()];
        let answer = ask_at(node, (method, PAGE), &fields, body.as_bytes()).unwrap();
        let set = field(&answer, "set-cookie");
        if let Some((name, value)) = set.split(';').next().and_then(|pair| pair.split_once('=')) {
            assert!(set.contains("; HttpOnly; ") && set.contains("; Secure"), "{set}");
            match set.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        if answer.status == 303 {
            assert_eq!(field(&answer, "location"), PAGE);
            return self.open();
        }
        (self.status, self.text) = (answer.status, String::from_utf8(answer.body).unwrap());
        self
    }

    fn open(&mut self) -> &mut Browser {
        self.ask("GET", "")
    }

    /// Fills in the form in which all of these fields or buttons are, and sends it.
    fn send(&mut self, says: &[(&str, &str)]) -> &mut Browser {
        let names = |form: &str| {
            says.iter().all(|(name, value)| {
                form.contains(&format!("name=\"{name}\" value=\"{value}\""))
                    || form.contains(&format!(" name=\"{name}\" type="))
            })
        };
        let found = self.text.split("<form ").skip(1).find(|form| names(form));
        let found = found.unwrap_or_else(|| panic!("no form for {says:?}: {}", self.text));
        let found = found.split("</form>").next().unwrap();
        assert!(found.starts_with("method=\"post\" action=\"/account\""), "{found}");
        let hidden: Vec<(String, String)> = found
            .split("<input type=\"hidden\" name=\"")
            .skip(1)
            .filter_map(|rest| rest.split_once("\" value=\""))
            .map(|(name, rest)| (name.to_owned(), rest.split('"').next().unwrap().to_owned()))
            .filter(|(name, _)| says.iter().all(|(said, _)| said != name))
            .collect();
        let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = form(&hidden.chain(says.iter().copied()).collect::<Vec<_>>());
        self.ask("POST", &body)
    }

    fn log_in(&mut self, login: &str, password: &str) -> &mut Browser {
        self.open().send(&[("login", login), ("password", password)])
    }

    /// The page has all of these.
    fn says(&mut self, all: &[&str]) -> &mut Browser {
        assert_eq!(self.status, 200, "{}", self.text);
        for one in all {
            assert!(self.text.contains(one), "{one}: {}", self.text);
        }
        self
    }

    /// What is between two texts.
    fn between(&self, from: &str, to: &str) -> String {
        let found = self.text.split(from).nth(1).and_then(|rest| rest.split(to).next());
        found.unwrap_or_else(|| panic!("{from}: {}", self.text)).to_owned()
    }

    fn asks_for_password(&self) -> bool {
        self.text.contains("name=\"login\"")
    }
}

/// What a device shows in a while that has read this secret.
fn shown(secret: &str, ahead: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    accounts::testing::code(secret, i64::try_from(now.as_millis()).unwrap() + ahead)
}

/// What Basic says.
fn session(address: &str, user: &str, password: &str) -> u16 {
    let shown = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let fields = format!("Authorization: Basic {shown}\r\n");
    ask_at(address, ("GET", "/jmap/session"), &fields, b"").unwrap().status
}

#[test]
fn a_user_sets_up_a_device_and_a_program_and_changes_the_password() {
    let node = Node::start(NodeOptions::default()).unwrap();
    let (user, password) = ("alice@example.test", node.password("alice").to_owned());
    let mut browser = Browser::new(vec![node.listener("https").to_owned()]);
    assert_eq!(browser.log_in(user, "wrong").status, 403);
    browser
        .send(&[("login", user), ("password", &password)])
        .says(&[user, "Only your password is asked for"]);

    browser
        .send(&[("current", &password), ("do", "enroll")])
        .says(&["<svg role=\"img\"", "<a href=\"otpauth://totp/"]);
    let secret = browser.between("type this secret there: <code>", "<").replace(' ', "");
    Imap::login(node.listener("imap"), user, &password).unwrap();
    browser.send(&[("code", &shown(&secret, 0)), ("do", "confirm")]).says(&["The device is set up"]);
    assert!(Imap::login(node.listener("imap"), user, &password).is_err());

    browser
        .send(&[("name", "phone"), ("current", &password), ("do", "add-application")])
        .says(&["Password of phone"]);
    let phone = browser.between("<h2>Password of phone</h2>\n<p><code>", "<");
    Imap::login(node.listener("imap"), user, &phone).unwrap();
    browser.open().says(&["<h3>phone</h3>"]);
    assert!(!browser.text.contains(&phone), "it is shown once");

    // Another browser is asked for a code: the next one, since each is good once.
    let mut other = Browser::new(vec![node.listener("https").to_owned()]);
    other.log_in(user, &password).says(&["Which code does your device show?"]);
    other.send(&[("code", &shown(&secret, 30_000))]).says(&["left: 10."]);
    let new = "a new password";
    let change = [("current", &*password), ("new", new), ("again", new), ("do", "password")];
    browser.send(&change).says(&["The password was changed", "<h3>phone</h3>"]);
    assert!(other.open().asks_for_password());
    assert_eq!(other.log_in(user, &password).status, 403);
    Imap::login(node.listener("imap"), user, &phone).unwrap();

    let removal = [("current", new), ("code", "123"), ("do", "remove-second")];
    browser.send(&removal).says(&["That was not done", "The code is wrong"]);
    browser.send(&[("do", "remove-application")]).says(&["The password was removed"]);
    assert!(Imap::login(node.listener("imap"), user, &phone).is_err());
    assert!(browser.send(&[("do", "leave")]).asks_for_password());
    let log = node.log().unwrap();
    for secret in [&*phone, &secret, new, "gwv_"] {
        assert!(!log.contains(secret), "{log}");
    }
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

/// Each request at another node.
#[test]
fn what_is_done_on_the_page_is_in_force_on_all_nodes() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let options = ClusterOptions { nodes: 3, store: server.url(), users: 1, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&options).unwrap();
    let (user, password) = ("u0@example.test", "secret");
    let nodes: Vec<String> = (0..3).map(|node| cluster.listener(node, "https").to_owned()).collect();
    let sessions =
        |password: &str| nodes.iter().map(|node| session(node, user, password)).collect::<Vec<_>>();
    let mut app = App::register(nodes.clone()).unwrap();
    let (access, _) = app.tokens(MAIL, user, password).unwrap();
    let (mut browser, mut other) = (Browser::new(nodes.clone()), Browser::new(nodes.clone()));
    browser.log_in(user, password).says(&["<h3>App</h3>", "last used less than a day ago"]);
    assert_eq!(app.statuses(&access).unwrap(), [200, 200, 200]);
    browser.send(&[("do", "take-back")]).says(&["It was taken back"]);
    assert_eq!(app.statuses(&access).unwrap(), [401, 401, 401]);

    browser.send(&[("name", "phone"), ("current", password), ("do", "add-application")]);
    let phone = browser.between("<h2>Password of phone</h2>\n<p><code>", "<");
    assert_eq!(sessions(&phone), [200, 200, 200]);
    browser.send(&[("do", "remove-application")]).says(&["The password was removed"]);
    assert_eq!(sessions(&phone), [401, 401, 401]);

    other.log_in(user, password).says(&[user]);
    let (access, _) = app.tokens(MAIL, user, password).unwrap();
    let new = "a new password";
    let change = [("current", password), ("new", new), ("again", new), ("do", "password")];
    browser.send(&change).says(&["The password was changed"]);
    assert_eq!((sessions(password), sessions(new)), (vec![401; 3], vec![200; 3]));
    assert_eq!(app.statuses(&access).unwrap(), [401, 401, 401]);
    for _ in &nodes {
        assert!(other.open().asks_for_password());
        browser.open().says(&["Nothing to any application"]);
    }
    // Who leaves has left on all of them, whoever has kept the cookie.
    let kept = browser.cookies.clone();
    browser.send(&[("do", "leave")]);
    browser.cookies = kept;
    for _ in &nodes {
        assert!(browser.open().asks_for_password());
    }
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
}
