//! From a client's request over the page to its tokens (RFC 6749 §4.1).

use super::*;

/// RFC 6749 §4.1, RFC 7636, RFC 9207
#[tokio::test]
async fn a_user_allows_and_the_client_gets_in() {
    let mut w = World::new().await;
    let client = w.client().await;
    let code = w.code(&client).await;
    let answer = w.exchange(&client, &code).await;
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let said = answer.json();
    assert_eq!((&said["token_type"], &said["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(said["scope"], MAIL);
    let access = Secret::new(said["access_token"].as_str().unwrap());
    let bearer = w.accounts.bearer(&access, None).await.unwrap().good().unwrap();
    assert_eq!(bearer.identity.address, "alice@example.test");
    // RFC 6749 §4.1.2: once.
    assert_eq!(w.exchange(&client, &code).await.error(), "invalid_grant");
    assert!(w.accounts.bearer(&access, None).await.unwrap().good().is_none());
}

#[tokio::test]
async fn the_page_is_safe_and_can_be_read() {
    let mut w = World::new().await;
    let client = w.client().await;
    let (page, token) = w.open(&asks(&client, &[("login_hint", "\"><script>"), ("prompt", "login")])).await;
    assert_eq!(page.status, StatusCode::OK);
    for text in ["<html lang=\"en\">", "<h1>", "<label for=\"password\">", "App &lt;b&gt;", "Read, change"] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    assert!(!page.text.contains("<script") && !page.text.contains("<b>"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
    let cookie = page.header("set-cookie");
    for part in ["__Host-godwit-form=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    // A second page of the same browser does not make the first one void.
    assert_eq!(w.open(&asks(&client, &[])).await.1, token);
}

#[tokio::test]
async fn who_does_not_log_in_allows_nothing() {
    let mut w = World::new().await;
    let client = w.client().await;
    let path = asks(&client, &[]);
    let (_, token) = w.open(&path).await;
    for (login, password, status) in [
        ("alice@example.test", "wrong", StatusCode::FORBIDDEN),
        ("", "", StatusCode::FORBIDDEN),
        ("disabled", "x", StatusCode::FORBIDDEN),
        ("busy", "x", StatusCode::TOO_MANY_REQUESTS),
    ] {
        let said = [("token", token.as_str()), ("login", login), ("password", password), ("answer", "allow")];
        let again = w.post(&path, &said).await;
        assert_eq!(again.status, status, "{login}");
        assert!(again.text.contains("role=\"alert\"") && again.header("location").is_empty());
        assert!(!again.text.contains("wrong\""), "no password comes back");
    }
    let (to, answer) = w.post(&path, &[("token", &token), ("answer", "deny")]).await.sent();
    assert_eq!((to.as_str(), answer["error"].as_str()), (BACK, "access_denied"));
    assert_eq!(answer["state"], "xyz");
}

/// RFC 6749 §10.12
#[tokio::test]
async fn a_form_comes_from_the_page_that_was_shown() {
    let mut w = World::new().await;
    let client = w.client().await;
    let path = asks(&client, &[]);
    let (_, token) = w.open(&path).await;
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let cookie = w.cookie.clone();
    let body = form(&says(&token));
    let other = form(&says(&"A".repeat(43)));
    for (fields, body) in [
        (vec![kind], &body),
        (vec![kind, ("cookie", "__Host-godwit-form=x")], &body),
        (vec![kind, ("cookie", &cookie)], &other),
        (vec![kind, ("cookie", &cookie), ("origin", "https://evil.example")], &body),
        (vec![kind, ("cookie", &cookie), ("origin", "null")], &body),
        (vec![kind, ("cookie", &cookie), ("sec-fetch-site", "cross-site")], &body),
    ] {
        let answer = w.send("POST", &path, &fields, body.clone()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{fields:?}");
    }
    let fields = [kind, ("cookie", &cookie), ("origin", BASE), ("sec-fetch-site", "same-origin")];
    assert_eq!(w.send("POST", &path, &fields, body).await.status, StatusCode::SEE_OTHER);
}

/// RFC 6749 §4.1.2.1: who asks and where to must be clear before anybody is sent anywhere.
#[tokio::test]
async fn nobody_is_sent_to_where_no_client_is() {
    let w = World::new().await;
    let client = w.client().await;
    let two = w.register(json!({"redirect_uris": [BACK, "https://app.example/other"]})).await;
    let two = two["client_id"].as_str().unwrap();
    for path in [
        "/oauth/authorize".to_owned(),
        asks("", &[]),
        asks("unknown", &[]),
        asks(&client, &[("redirect_uri", "https://evil.example/")]),
        asks(&client, &[("redirect_uri", "https://app.example/back/")]),
        asks(two, &[("redirect_uri", "")]),
        format!("{}&client_id={client}", asks(&client, &[])),
        format!("{}&state=a", asks(&client, &[])),
        format!("{}&x=%ff", asks(&client, &[])),
        format!("{}&x={}", asks(&client, &[]), "a".repeat(20_000)),
    ] {
        for method in ["GET", "POST"] {
            let kind = [("content-type", "application/x-www-form-urlencoded")];
            let answer = w.send(method, &path, &kind, Body::empty()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(answer.header("location").is_empty() && answer.header("set-cookie").is_empty());
            assert!(answer.text.contains("role=\"alert\""), "{}", answer.text);
        }
    }
    // The only one there is need not be named.
    assert_eq!(w.get(&asks(&client, &[("redirect_uri", "")])).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_otherwise_is_told_to_the_client() {
    let w = World::new().await;
    let client = w.client().await;
    for (name, value, error) in [
        ("response_type", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "", "invalid_scope"),
        ("scope", "unknown", "invalid_scope"),
        ("prompt", "none", "login_required"),
        ("resource", "https://elsewhere.example", "invalid_target"),
        ("resource", "https://mail.example.test.evil.example", "invalid_target"),
        ("request", "x", "request_not_supported"),
    ] {
        let (to, answer) = w.get(&asks(&client, &[(name, value)])).await.sent();
        assert_eq!((to.as_str(), answer["error"].as_str()), (BACK, error), "{name} {value}");
        assert_eq!((answer["state"].as_str(), answer.contains_key("iss")), ("xyz", true));
    }
    let resource = asks(&client, &[("resource", "https://mail.example.test/jmap")]);
    assert_eq!(w.get(&resource).await.status, StatusCode::OK);
    let narrow = w.register(json!({"scope": "urn:ietf:params:jmap:core"})).await;
    let narrow = narrow["client_id"].as_str().unwrap();
    assert_eq!(w.get(&asks(narrow, &[])).await.sent().1["error"], "invalid_scope");
    assert_eq!(w.get(&asks(narrow, &[("scope", "")])).await.status, StatusCode::OK);
}

#[tokio::test]
async fn where_others_can_read_along_nothing_is_given() {
    let w = World::new().await;
    let client = w.client().await;
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    for (method, path) in [
        ("GET", asks(&client, &[])),
        ("POST", asks(&client, &[])),
        ("POST", "/oauth/token".into()),
        ("POST", "/oauth/revoke".into()),
        ("POST", "/oauth/introspect".into()),
        ("POST", "/oauth/register".into()),
    ] {
        let answer = w.send_from(method, &path, &kind, Body::empty(), false).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
}
