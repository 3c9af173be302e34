//! The page of one's own account.

use std::time::Duration;

use super::second::hidden;
use super::*;

const PAGE: &str = "/account";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A browser that somebody has logged in with: its cookie, and what the forms have that it was shown last.
struct Visit {
    cookie: String,
    token: String,
}

impl World {
    /// Alice logs in.
    async fn visit(&mut self) -> (Answer, Visit) {
        let (_, token) = self.open(PAGE).await;
        let sent = self.post(PAGE, &says(&token)).await;
        let mut visit = Visit { cookie: String::new(), token };
        (self.follow(&mut visit, &sent).await, visit)
    }

    /// Goes where the answer to a form sends a browser: always to the page, which it is shown.
    async fn follow(&self, visit: &mut Visit, sent: &Answer) -> Answer {
        assert_eq!((sent.status, sent.header("location")), (StatusCode::SEE_OTHER, PAGE), "{}", sent.text);
        if let Some(pair) = sent.header("set-cookie").split(';').next().filter(|pair| !pair.is_empty()) {
            pair.clone_into(&mut visit.cookie);
        }
        let page = self.look(visit).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        is_sound(&page);
        visit.token = hidden(&page, "token");
        page
    }

    async fn look(&self, visit: &Visit) -> Answer {
        self.send("GET", PAGE, &[("cookie", &visit.cookie)], Body::empty()).await
    }

    /// Sends a form of the page.
    async fn submit(&self, visit: &Visit, deed: &[(&str, &str)]) -> Answer {
        let all = [&[("token", &*visit.token)][..], deed].concat();
        self.send("POST", PAGE, &[FORM, ("cookie", &visit.cookie)], form(&all)).await
    }

    async fn act(&self, visit: &mut Visit, deed: &[(&str, &str)]) -> Answer {
        let sent = self.submit(visit, deed).await;
        self.follow(visit, &sent).await
    }

    async fn alice(&self) -> AccountId {
        self.accounts.find("alice@example.test").await.unwrap().unwrap().id
    }

    async fn applications(&self) -> usize {
        self.accounts.applications(self.alice().await).await.unwrap().len()
    }

    async fn is_good(&self, token: &str) -> bool {
        self.accounts.bearer(&Secret::new(token), None).await.unwrap().good().is_some()
    }
}

async fn world() -> World {
    let w = World::new().await;
    w.raise().await;
    w
}

/// The page has no script and no style of its own, a language and one heading above all; each field has a label, no id is there twice.
fn is_sound(page: &Answer) {
    let text = &page.text;
    for (part, count) in
        [("<html lang=\"en\">", 1), ("<h1>", 1), ("<title>", 1), ("<script", 0), ("style=\"", 0)]
    {
        assert_eq!(text.matches(part).count(), count, "{part}: {text}");
    }
    let values = |name: &str| -> Vec<&str> {
        text.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    };
    let ids = values("id");
    assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)), "{ids:?}");
    let labels = values("for");
    assert!(labels.iter().all(|label| ids.contains(label)), "{labels:?} {ids:?}");
    for input in text.split("<input ").skip(1).filter(|input| !input.starts_with("type=\"hidden\"")) {
        let id = input.strip_prefix("id=\"").and_then(|rest| rest.split('"').next()).unwrap();
        assert!(labels.contains(&id), "{id} has no label: {text}");
    }
    for described in values("aria-describedby").iter().flat_map(|ids| ids.split(' ')) {
        assert!(ids.contains(&described), "{described}: {text}");
    }
    assert!(page.header("content-security-policy").contains("default-src 'none'; style-src 'sha256-"));
    assert!(page.header("content-security-policy").contains("form-action 'self';"));
    assert_eq!(page.header("cache-control"), "no-store");
}

fn is_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    assert!(answer.text.contains("name=\"password\"") && answer.text.contains("role=\"alert\""));
    is_sound(answer);
}

#[tokio::test]
async fn a_user_logs_in_and_the_browser_has_a_cookie() {
    let mut w = world().await;
    let (asks, token) = w.open(PAGE).await;
    is_sound(&asks);
    let with = |login, password| [("token", &*token), ("login", login), ("password", password)];
    for (login, password) in
        [("alice@example.test", "wrong"), ("nobody", "secret"), ("disabled", "secret"), ("", "")]
    {
        let refused = w.post(PAGE, &with(login, password)).await;
        is_refused(&refused);
        assert_eq!(refused.headers.get_all("set-cookie").iter().count(), 1, "but the form's");
    }
    let busy = w.post(PAGE, &with("busy", "secret")).await;
    assert_eq!((busy.status, busy.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "60"));
    // RFC 6749 §10.12: a login that another page makes is none.
    is_refused(&w.post(PAGE, &[("login", "alice@example.test"), ("password", "secret")]).await);
    let evil = [FORM, ("cookie", &*w.cookie), ("origin", "https://evil.example")];
    is_refused(&w.send("POST", PAGE, &evil, form(&with("alice@example.test", "secret"))).await);

    let sent = w.post(PAGE, &with("alice@example.test", "secret")).await;
    let cookie = sent.header("set-cookie");
    assert!(cookie.starts_with("__Host-godwit-visit=gwv_"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    let mut visit = Visit { cookie: String::new(), token: String::new() };
    let page = w.follow(&mut visit, &sent).await;
    assert!(page.text.contains("alice@example.test") && !page.text.contains("name=\"password\""));
    assert!(!page.text.contains("gwv_") && !visit.cookie.contains(&visit.token), "{}", page.text);
    for safe in [("GET", Body::empty()), ("POST", Body::empty())] {
        let refused = w.send_from(safe.0, PAGE, &[FORM, ("cookie", &visit.cookie)], safe.1, false).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(refused.text.contains("Use https"), "{}", refused.text);
    }
}

/// Forged requests: a form counts only from a page of the same visit, with the cookie, and by POST.
#[tokio::test]
async fn nobody_else_has_anything_done() {
    let mut w = world().await;
    let (_, visit) = w.visit().await;
    let (_, other) = w.visit().await;
    let deed = [("do", "add-application"), ("name", "thief"), ("current", "secret")];
    let body = |token: &str| form(&[&[("token", token)][..], &deed].concat());
    let own = ("cookie", &*visit.cookie);
    let form_cookie = w.cookie.clone();
    let form_token = form_cookie.split('=').nth(1).unwrap();
    for (fields, body) in [
        (vec![FORM, own], form(&deed)),
        (vec![FORM, own], body("")),
        (vec![FORM, own], body(&other.token)),
        (vec![FORM], body(&visit.token)),
        (vec![FORM, ("cookie", &other.cookie)], body(&visit.token)),
        (vec![FORM, ("cookie", &form_cookie)], body(form_token)),
        (vec![FORM, own, ("origin", "https://evil.example")], body(&visit.token)),
        (vec![FORM, own, ("sec-fetch-site", "cross-site")], body(&visit.token)),
        (vec![FORM, own, ("sec-fetch-site", "same-site")], body(&visit.token)),
    ] {
        is_refused(&w.send("POST", PAGE, &fields, body).await);
    }
    let asked = format!("{PAGE}?{}", body(&visit.token));
    assert_eq!(w.send("GET", &asked, &[own], Body::empty()).await.status, StatusCode::OK);
    assert_eq!(w.applications().await, 0);
    for bad in [&[("do", "everything")][..], &[("do", "take-back"), ("which", "x")]] {
        let refused = w.submit(&visit, bad).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad:?}");
        is_sound(&refused);
    }
    let own = [FORM, own, ("origin", BASE), ("sec-fetch-site", "same-origin")];
    assert_eq!(w.send("POST", PAGE, &own, body(&visit.token)).await.status, StatusCode::SEE_OTHER);
    assert_eq!(w.applications().await, 1);
}

#[tokio::test]
async fn a_visit_ends_by_itself_and_by_who_leaves() {
    let mut w = world().await;
    let (_, mut visit) = w.visit().await;
    let (_, other) = w.visit().await;
    let old = Visit { cookie: visit.cookie.clone(), token: visit.token.clone() };
    let sent = w.submit(&visit, &[("do", "leave")]).await;
    assert!(sent.header("set-cookie").ends_with("; Secure; Max-Age=0"), "{}", sent.header("set-cookie"));
    let left = w.follow(&mut visit, &sent).await;
    assert!(left.text.contains("name=\"password\""));
    // Who has kept the cookie has nothing.
    assert!(w.look(&old).await.text.contains("name=\"password\""));
    let deed = [("do", "add-application"), ("name", "phone"), ("current", "secret")];
    is_refused(&w.submit(&old, &deed).await);
    assert!(!w.look(&other).await.text.contains("name=\"password\""), "another's goes on");
    w.clock.advance(Duration::from_millis(accounts::VISIT_IDLE.unsigned_abs()));
    assert!(w.look(&other).await.text.contains("name=\"password\""));
    is_refused(&w.submit(&other, &deed).await);
    assert_eq!(w.applications().await, 0);
}

#[tokio::test]
async fn a_user_sees_what_was_allowed_and_takes_it_back() {
    let mut w = world().await;
    let client = w.client().await;
    let code = w.code(&client).await;
    let (page, mut visit) = w.visit().await;
    assert!(
        page.text.contains("<h3>App &lt;b&gt;</h3>\n<p>Read, change and delete your mail."),
        "{}",
        page.text
    );
    assert!(page.text.contains("Allowed less than a day ago, last used never."), "{}", page.text);
    let answer = w.exchange(&client, &code).await.json();
    let access = answer["access_token"].as_str().unwrap();
    w.clock.advance(Duration::from_secs(600));
    assert!(w.look(&visit).await.text.contains("last used less than a day ago."));
    let which = hidden(&page, "which");
    let done = w.act(&mut visit, &[("do", "take-back"), ("which", &which)]).await;
    assert!(done.text.contains("role=\"status\"") && done.text.contains("Nothing to any application"));
    assert!(!w.is_good(access).await);
    // To read the page again repeats nothing, and says nothing again.
    assert!(!w.look(&visit).await.text.contains("role=\"status\""));
    let again = w.act(&mut visit, &[("do", "take-back"), ("which", &which)]).await;
    assert!(again.text.contains("role=\"alert\"") && again.text.contains("ended already"), "{}", again.text);
}

#[tokio::test]
async fn nobody_takes_back_what_another_has_allowed() {
    let mut w = world().await;
    let bob = w.accounts.create_account(&NewAccount::new(Kind::Person, "bob@example.test")).await.unwrap();
    w.accounts.set_password(bob, &Secret::new("secret")).await.unwrap();
    w.accounts.add_application(bob, "phone").await.unwrap();
    let number = format!("{:08x}", w.accounts.applications(bob).await.unwrap()[0].number);
    let client = w.client().await;
    let (access, _) = w.tokens(&client).await;
    let alices = w.accounts.grants(w.alice().await).await.unwrap()[0].id;
    let (_, token) = w.open(PAGE).await;
    let sent =
        w.post(PAGE, &[("token", &token), ("login", "bob@example.test"), ("password", "secret")]).await;
    let mut bobs = Visit { cookie: String::new(), token };
    let page = w.follow(&mut bobs, &sent).await;
    assert!(page.text.contains("bob@example.test") && !page.text.contains("App &lt;b&gt;"));
    let which = format!("{:016x}", alices.0);
    let no = w.act(&mut bobs, &[("do", "take-back"), ("which", &which)]).await;
    assert!(no.text.contains("That was not done") && w.is_good(&access).await, "{}", no.text);
    let (_, mut alices) = w.visit().await;
    let no = w.act(&mut alices, &[("do", "remove-application"), ("which", &number)]).await;
    assert!(no.text.contains("That was not done"), "{}", no.text);
    assert_eq!(w.accounts.applications(bob).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_application_gets_a_password_that_is_shown_once() {
    let mut w = world().await;
    let (_, mut visit) = w.visit().await;
    for wrong in ["wrong", ""] {
        let deed = [("do", "add-application"), ("name", "thief"), ("current", wrong)];
        let no = w.act(&mut visit, &deed).await;
        assert!(no.text.contains("The present password is wrong") && w.applications().await == 0);
    }
    assert_eq!(w.doorman.wrong(), 2, "they count as at a login");
    let deed = [("do", "add-application"), ("name", "phone <i>"), ("current", "secret")];
    let sent = w.submit(&visit, &deed).await;
    assert!(sent.text.is_empty(), "{}", sent.text);
    let glance = w.send("HEAD", PAGE, &[("cookie", &visit.cookie)], Body::empty()).await;
    assert_eq!(glance.status, StatusCode::OK);
    let made = w.follow(&mut visit, &sent).await;
    let password = made.text.split("<code>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    assert_eq!(password.len(), 34, "{}", made.text);
    assert!(made.text.contains("phone &lt;i&gt;") && !made.text.contains("<i>"));
    let record = w.accounts.login("alice@example.test").await.unwrap().unwrap();
    let hash = accounts::ApplicationHash::of(&Secret::new(password)).unwrap();
    assert!(record.applications.iter().any(|(_, known)| known.is(&hash)));
    let again = w.look(&visit).await;
    assert!(again.text.contains("phone &lt;i&gt;") && !again.text.contains(password), "{}", again.text);
    let nameless = w.act(&mut visit, &[("do", "add-application"), ("current", "secret")]).await;
    assert!(nameless.text.contains("role=\"alert\"") && nameless.text.contains("needs a name"));
    let removed =
        w.act(&mut visit, &[("do", "remove-application"), ("which", &hidden(&made, "which"))]).await;
    assert!(removed.text.contains("The password was removed"), "{}", removed.text);
    assert_eq!(w.applications().await, 0);
}

#[tokio::test]
async fn a_device_is_set_up_and_asked_for_from_then_on() {
    let mut w = world().await;
    let (_, mut visit) = w.visit().await;
    let (_, other) = w.visit().await;
    let no = w.act(&mut visit, &[("do", "enroll"), ("current", "wrong")]).await;
    assert!(no.text.contains("The present password is wrong"), "{}", no.text);
    assert!(w.accounts.second(w.alice().await).await.unwrap().is_none());
    let page = w.act(&mut visit, &[("do", "enroll"), ("current", "secret")]).await;
    let link = page.text.split("<a href=\"otpauth://totp/").nth(1).and_then(|rest| rest.split('"').next());
    let secret = link.unwrap().split("secret=").nth(1).and_then(|rest| rest.split("&amp;").next()).unwrap();
    let typed = page.text.split("type this secret there: <code>").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(typed.replace(' ', ""), secret);
    assert!(page.text.contains("<svg role=\"img\" aria-label="), "{}", page.text);
    let codes = page.text.split("<li><code>").skip(1);
    let paper: Vec<_> = codes.map(|rest| rest.split('<').next().unwrap().to_owned()).collect();
    assert_eq!(paper.len(), accounts::RECOVERY_CODES);
    // Nothing counts before a code was shown; and that page is not shown again.
    let again = w.look(&visit).await;
    assert!(
        again.text.contains("has not shown a code yet") && !again.text.contains(secret),
        "{}",
        again.text
    );
    assert!(w.accounts.second(w.alice().await).await.unwrap().unwrap().since.is_none());
    let wrong = w.act(&mut visit, &[("do", "confirm"), ("code", "12345")]).await;
    assert!(wrong.text.contains("role=\"alert\"") && wrong.text.contains("has not shown a code yet"));
    let former = visit.cookie.clone();
    let done = w.act(&mut visit, &[("do", "confirm"), ("code", &w.shown(secret))]).await;
    assert!(done.text.contains("The device is set up") && done.text.contains("left: 10."), "{}", done.text);
    assert_ne!(former, visit.cookie);
    // Who has come in without a code does not stay.
    assert!(w.look(&other).await.text.contains("name=\"password\""));
    let deed = [("do", "add-application"), ("name", "thief"), ("current", "secret")];
    is_refused(&w.submit(&other, &deed).await);
    let twice = w.act(&mut visit, &[("do", "enroll"), ("current", "secret")]).await;
    assert!(twice.text.contains("A device is set up already"), "{}", twice.text);

    // The login asks for a code, and takes one from paper.
    let (_, token) = w.open(PAGE).await;
    let page = w.post(PAGE, &says(&token)).await;
    is_sound(&page);
    assert!(page.text.contains("autocomplete=\"one-time-code\"") && page.header("location").is_empty());
    let word = hidden(&page, "word");
    let wrong = w.post(PAGE, &[("token", &token), ("word", &word), ("code", "12345")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    let entered = w.post(PAGE, &[("token", &token), ("word", &word), ("code", &paper[0])]).await;
    let page = w.follow(&mut visit, &entered).await;
    assert!(page.text.contains("left: 9."), "{}", page.text);
}

#[tokio::test]
async fn a_device_is_removed_by_password_and_code() {
    let mut w = world().await;
    let (secret, paper) = w.enroll().await;
    let (_, token) = w.open(PAGE).await;
    let word = hidden(&w.post(PAGE, &says(&token)).await, "word");
    let code = w.shown(&secret);
    let sent = w.post(PAGE, &[("token", &token), ("word", &word), ("code", &code)]).await;
    let mut visit = Visit { cookie: String::new(), token };
    w.follow(&mut visit, &sent).await;
    let there = async || w.accounts.second(w.alice().await).await.unwrap().is_some();
    w.clock.advance(Duration::from_secs(30));
    let next = w.shown(&secret);
    for (password, code, why) in [
        ("wrong", &*next, "The present password is wrong"),
        ("", &*next, "The present password is wrong"),
        ("secret", "12345", "The code is wrong"),
        ("secret", "", "The code is wrong"),
        ("secret", &*code, "was used before"),
    ] {
        let no = w.act(&mut visit, &[("do", "remove-second"), ("current", password), ("code", code)]).await;
        assert!(no.text.contains(why) && no.text.contains("role=\"alert\""), "{}", no.text);
        assert!(there().await, "{password} {code}");
    }
    assert_eq!(w.doorman.wrong(), 2);
    let removal = [("do", "remove-second"), ("current", "secret"), ("code", paper[0].expose())];
    let removed = w.act(&mut visit, &removal).await;
    assert!(removed.text.contains("The device was removed") && !there().await, "{}", removed.text);
    let none = w.act(&mut visit, &removal).await;
    assert!(none.text.contains("No device is set up"), "{}", none.text);
}

#[tokio::test]
async fn a_user_changes_the_password() {
    let mut w = world().await;
    let client = w.client().await;
    let (access, _) = w.tokens(&client).await;
    let (_, mut visit) = w.visit().await;
    let (_, other) = w.visit().await;
    for (current, new, again, why) in [
        ("secret", "long enough", "long enouhg", "not the same"),
        ("secret", "short", "short", "8 characters"),
        ("secret", &*"x".repeat(1025), &*"x".repeat(1025), "8 characters"),
        ("wrong", "long enough", "long enough", "The present password is wrong"),
        ("", "long enough", "long enough", "The present password is wrong"),
    ] {
        let deed = [("do", "password"), ("current", current), ("new", new), ("again", again)];
        let refused = w.act(&mut visit, &deed).await;
        assert!(refused.text.contains(why) && refused.text.contains("role=\"alert\""), "{}", refused.text);
        assert!(!refused.text.contains("long enough"), "no password comes back");
    }
    assert_eq!(w.doorman.wrong(), 2, "they count as at a login");
    assert!(w.is_good(&access).await);
    let former = Visit { cookie: visit.cookie.clone(), token: visit.token.clone() };
    let deed = [("do", "password"), ("current", "secret"), ("new", "long enough"), ("again", "long enough")];
    let done = w.act(&mut visit, &deed).await;
    assert!(done.text.contains("The password was changed") && !done.text.contains("name=\"login\""));
    assert!(!w.is_good(&access).await);
    for over in [&former, &other] {
        assert!(w.look(over).await.text.contains("name=\"login\""));
        is_refused(&w.submit(over, &[("do", "enroll"), ("current", "long enough")]).await);
    }
    let (_, token) = w.open(PAGE).await;
    is_refused(&w.post(PAGE, &says(&token)).await);
    let says = [("token", &*token), ("login", "alice@example.test"), ("password", "long enough")];
    assert_eq!(w.post(PAGE, &says).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn it_is_there_as_soon_as_all_nodes_know_it() {
    let mut w = World::new().await;
    let (_, token) = w.open(PAGE).await;
    let early = w.post(PAGE, &says(&token)).await;
    assert_eq!(early.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(early.text.contains("is being upgraded"), "{}", early.text);
    is_sound(&early);
}
