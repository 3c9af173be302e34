//! A device that makes codes: what the page asks for besides the password.

use super::*;

impl World {
    /// Alice sets up a device. What it has read, and the codes on paper.
    pub(super) async fn enroll(&self) -> (String, Vec<Secret>) {
        self.raise().await;
        let alice = self.accounts.find("alice@example.test").await.unwrap().unwrap().id;
        let enrolled = self.accounts.enroll_second(alice).await.unwrap();
        let uri = enrolled.uri.expose();
        let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned();
        assert!(self.accounts.confirm_second(alice, &self.shown(&secret)).await.unwrap());
        self.clock.advance(std::time::Duration::from_secs(30));
        (secret, enrolled.recovery)
    }

    /// What the device shows now.
    pub(super) fn shown(&self, secret: &str) -> String {
        accounts::testing::code(secret, self.clock.now().millis())
    }
}

pub(super) fn hidden(page: &Answer, name: &str) -> String {
    let value = page.text.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_default();
    value.split('"').next().unwrap_or_default().to_owned()
}

/// The password leads to a second page, and the code from there to the client.
#[tokio::test]
async fn a_code_is_asked_for_after_the_password() {
    let mut w = World::new().await;
    let client = w.client().await;
    let (secret, recovery) = w.enroll().await;
    let path = asks(&client, &[]);
    let (_, token) = w.open(&path).await;
    let page = w.post(&path, &says(&token)).await;
    assert_eq!(page.status, StatusCode::OK);
    for text in
        ["<label for=\"code\">", "autocomplete=\"one-time-code\"", "id=\"hint\"", "<strong>App &lt;b&gt;"]
    {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    assert!(!page.text.contains("<script") && !page.text.contains("secret"), "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
    let word = hidden(&page, "word");
    let with = |code: &str| {
        let says = [("token", &*token), ("word", &*word), ("code", code), ("answer", "allow")];
        says.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let enter = async |code: &str| {
        let says = with(code);
        let says: Vec<_> = says.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        w.post(&path, &says).await
    };
    let wrong = enter("12345").await;
    assert_eq!((wrong.status, hidden(&wrong, "word")), (StatusCode::FORBIDDEN, word.clone()));
    assert!(wrong.text.contains("role=\"alert\"") && wrong.text.contains("aria-describedby=\"hint error\""));
    let code = w.shown(&secret);
    let (to, answer) = enter(&code).await.sent();
    assert_eq!(to, BACK);
    assert_eq!(w.exchange(&client, &answer["code"]).await.status, StatusCode::OK);
    // The page that was used up asks for the password again.
    let over = enter(recovery[0].expose()).await;
    assert_eq!(over.status, StatusCode::FORBIDDEN);
    assert!(over.text.contains("name=\"password\"") && !over.text.contains("name=\"word\""));
    // Without the browser's cookie the word is of no use.
    let page = w.post(&path, &says(&token)).await;
    let stolen = [("token", "x"), ("word", &*hidden(&page, "word")), ("code", recovery[0].expose())];
    let refused = w.post(&path, &[&stolen[..], &[("answer", "allow")]].concat()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.header("location").is_empty());
    // Nobody is made to go on.
    let word = hidden(&page, "word");
    let deny = [("token", token.as_str()), ("word", word.as_str()), ("answer", "deny")];
    assert_eq!(w.post(&path, &deny).await.sent().1["error"], "access_denied");
}
