//! OpenID Connect Core 1.0: what a client is told of its user, and how it can tell that it is true.

use std::time::Duration;

use oauth_proto::claims_of;

use super::*;

const START: i64 = 1_700_000_000;

/// A world that speaks OpenID Connect, and a client.
async fn world() -> (World, String) {
    let w = World::new().await;
    w.raise().await;
    let client = w.client().await;
    (w, client)
}

impl World {
    /// From the page to the token answer.
    async fn allowed(&mut self, client: &str, asked: &[(&str, &str)]) -> Value {
        let path = asks(client, asked);
        let (_, token) = self.open(&path).await;
        let code = self.post(&path, &says(&token)).await.sent().1["code"].clone();
        let answer = self.exchange(client, &code).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }

    /// The keys as clients read them: their public halves by their ids.
    async fn published(&self) -> Vec<(String, Vec<u8>)> {
        let told = self.get("/oauth/jwks").await.json();
        let key = |key: &Value| {
            assert_eq!(
                (&key["kty"], &key["alg"], &key["use"]),
                (&json!("RSA"), &json!("RS256"), &json!("sig"))
            );
            let text = |name: &str| {
                use base64::Engine;
                base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap()
            };
            (key["kid"].as_str().unwrap().to_owned(), rfc8017(&text("n"), &text("e")))
        };
        told["keys"].as_array().unwrap().iter().map(key).collect()
    }

    /// What an id token says that one of the published keys has signed.
    async fn read(&self, told: &Value) -> Value {
        let keys = self.published().await;
        let find = |id: &str| keys.iter().find(|(one, _)| one == id).map(|(_, key)| key.as_slice());
        claims_of(told["id_token"].as_str().unwrap(), find).unwrap()
    }

    async fn refresh(&self, client: &str, told: &Value) -> Value {
        let token = told["refresh_token"].as_str().unwrap();
        let asks = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)];
        self.post("/oauth/token", &asks).await.json()
    }

    async fn user_info(&self, method: &str, authorization: &str) -> Answer {
        self.send(method, "/oauth/userinfo", &[("authorization", authorization)], Body::empty()).await
    }
}

/// `RSAPublicKey` of a modulus of 256 octets.
fn rfc8017(n: &[u8], e: &[u8]) -> Vec<u8> {
    assert_eq!((n.len(), e.len()), (256, 3));
    [b"\x30\x82\x01\x0a\x02\x82\x01\x01\0", n, b"\x02\x03", e].concat()
}

/// Core §3.1.3.3, §3.1.3.7, §12.2
#[tokio::test]
async fn a_client_is_told_who_has_logged_in() {
    let (mut w, client) = world().await;
    let told = w.allowed(&client, &[("scope", "openid email"), ("nonce", "n-0S6")]).await;
    assert_eq!(told["scope"], "openid email");
    let claims = w.read(&told).await;
    let subject = w.accounts.find("alice@example.test").await.unwrap().unwrap().id.to_string();
    for (name, value) in [
        ("iss", json!(BASE)),
        ("sub", json!(subject)),
        ("aud", json!(client)),
        ("azp", json!(client)),
        ("nonce", json!("n-0S6")),
        ("iat", json!(START)),
        ("auth_time", json!(START)),
        ("exp", json!(START + 3600)),
        ("amr", Value::Null),
        ("email", Value::Null),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    w.clock.advance(Duration::from_secs(100));
    let again = w.refresh(&client, &told).await;
    let refreshed = w.read(&again).await;
    assert_eq!((&refreshed["iat"], &refreshed["auth_time"]), (&json!(START + 100), &json!(START)));
    assert_eq!((&refreshed["sub"], &refreshed["aud"]), (&claims["sub"], &claims["aud"]));
    assert_eq!(refreshed.get("nonce"), None);
    assert_ne!(refreshed["at_hash"], claims["at_hash"]);
    // Who does not ask is not told.
    let told = w.allowed(&client, &[("scope", &format!("email {MAIL}"))]).await;
    assert_eq!(told.get("id_token"), None);
}

#[tokio::test]
async fn a_second_factor_is_told() {
    let (mut w, client) = world().await;
    let (secret, _) = w.enroll().await;
    let path = asks(&client, &[("scope", "openid")]);
    let (_, token) = w.open(&path).await;
    let page = w.post(&path, &says(&token)).await;
    let (word, code) = (super::second::hidden(&page, "word"), w.shown(&secret));
    let says = [("token", &*token), ("word", &*word), ("code", &*code), ("answer", "allow")];
    let code = w.post(&path, &says).await.sent().1["code"].clone();
    let told = w.exchange(&client, &code).await.json();
    assert_eq!(w.read(&told).await["amr"], json!(["pwd", "otp", "mfa"]));
    let again = w.refresh(&client, &told).await;
    assert_eq!(w.read(&again).await["amr"], json!(["pwd", "otp", "mfa"]));
}

/// Discovery §3, §4
#[tokio::test]
async fn it_is_found_as_soon_as_all_nodes_know_it() {
    let w = World::new().await;
    let client = w.client().await;
    for path in ["/.well-known/openid-configuration", "/oauth/jwks"] {
        assert_eq!(w.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let early = w.get(&asks(&client, &[("scope", "openid email")])).await;
    assert_eq!(early.sent().1["error"], "invalid_scope");
    w.raise().await;
    let told = w.get("/.well-known/openid-configuration").await.json();
    assert_eq!((&told["issuer"], &told["jwks_uri"]), (&json!(BASE), &json!(format!("{BASE}/oauth/jwks"))));
    assert_eq!(
        told["scopes_supported"],
        json!(["urn:ietf:params:jmap:core", MAIL, "openid", "email", "profile"])
    );
    assert_eq!(w.get("/.well-known/oauth-authorization-server").await.json(), told);
    let keys = w.get("/oauth/jwks").await;
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    assert!(!keys.text.contains("\"d\""), "{}", keys.text);
    assert_eq!(w.published().await, w.published().await);
    let page = w.get(&asks(&client, &[("scope", "openid email profile")])).await;
    assert!(page.text.contains("See your mail address"), "{}", page.text);
}

/// Core §10.1.1
#[tokio::test]
async fn an_old_key_is_published_until_what_it_has_signed_is_over() {
    let (mut w, client) = world().await;
    let told = w.allowed(&client, &[("scope", "openid")]).await;
    let first = w.published().await;
    w.clock.advance(Duration::from_millis(accounts::oauth::KEY_TIME.unsigned_abs()));
    let later = w.allowed(&client, &[("scope", "openid")]).await;
    let both = w.published().await;
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    let key = |told: &Value| {
        use base64::Engine;
        let head = told["id_token"].as_str().unwrap().split('.').next().unwrap();
        let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).unwrap();
        serde_json::from_slice::<Value>(&head).unwrap()["kid"].as_str().unwrap().to_owned()
    };
    assert_eq!((key(&told), key(&later)), (both[0].0.clone(), both[1].0.clone()));
    assert_eq!(
        (w.read(&told).await["aud"].clone(), w.read(&later).await["aud"].clone()),
        (json!(client), json!(client))
    );
    w.clock.advance(Duration::from_millis(accounts::oauth::RETIRED_TIME.unsigned_abs()));
    assert_eq!(w.published().await, both[1..]);
}

#[tokio::test]
async fn a_key_that_leaked_signs_nothing_and_is_not_published() {
    let (mut w, client) = world().await;
    w.allowed(&client, &[("scope", "openid")]).await;
    let leaked = w.published().await;
    assert!(w.accounts.withdraw_signing_keys().await.unwrap());
    let later = w.allowed(&client, &[("scope", "openid")]).await;
    let now = w.published().await;
    assert!(now.len() == 1 && now[0] != leaked[0], "{now:?}");
    assert_eq!(w.read(&later).await["aud"], json!(client));
}

/// Core §5.3, RFC 6750 §3
#[tokio::test]
async fn user_info_is_told_to_who_was_allowed_it() {
    let (mut w, client) = world().await;
    let alice = w.accounts.find("alice@example.test").await.unwrap().unwrap().id;
    let name = accounts::AccountChange { display_name: Some("Alice".into()), ..Default::default() };
    w.accounts.update(alice, &name).await.unwrap();
    let token = |told: &Value| format!("Bearer {}", told["access_token"].as_str().unwrap());
    let all = w.allowed(&client, &[("scope", "openid email profile")]).await;
    let told = json!({
        "sub": alice.to_string(), "email": "alice@example.test", "email_verified": true, "name": "Alice",
        "preferred_username": "alice@example.test",
    });
    for method in ["GET", "POST"] {
        let answer = w.user_info(method, &token(&all)).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, told.clone()));
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let little = w.allowed(&client, &[("scope", "openid")]).await;
    assert_eq!(w.user_info("GET", &token(&little)).await.json(), json!({"sub": alice.to_string()}));
    let mail = w.allowed(&client, &[]).await;
    let refused = w.user_info("GET", &token(&mail)).await;
    assert_eq!((refused.status, refused.error()), (StatusCode::FORBIDDEN, "insufficient_scope".into()));
    assert!(refused.header("www-authenticate").contains("scope=\"openid\""));
    let none = w.get("/oauth/userinfo").await;
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"godwit\"", "nothing of what is wrong");
    for (shown, status, error) in [
        ("Bearer gwa_x".to_owned(), StatusCode::UNAUTHORIZED, "invalid_token"),
        (
            format!("bearer {}", all["refresh_token"].as_str().unwrap()),
            StatusCode::UNAUTHORIZED,
            "invalid_token",
        ),
        ("Bearer ".into(), StatusCode::BAD_REQUEST, "invalid_request"),
        ("Bearer a b".into(), StatusCode::BAD_REQUEST, "invalid_request"),
        (format!("Bearer {}", "a".repeat(2000)), StatusCode::BAD_REQUEST, "invalid_request"),
    ] {
        let answer = w.user_info("GET", &shown).await;
        assert_eq!((answer.status, answer.error()), (status, error.into()), "{shown}");
        assert!(answer.header("www-authenticate").contains(error), "{shown}");
    }
    let twice = [("authorization", &*token(&all)), ("authorization", "Bearer x")];
    assert_eq!(w.send("GET", "/oauth/userinfo", &twice, Body::empty()).await.status, StatusCode::BAD_REQUEST);
    let unsafely = w.send_from("GET", "/oauth/userinfo", &twice[..1], Body::empty(), false).await;
    assert_eq!(unsafely.status, StatusCode::FORBIDDEN);
    w.accounts.set_enabled(alice, false).await.unwrap();
    assert_eq!(w.user_info("GET", &token(&all)).await.error(), "invalid_token");
}

/// Core §3.1.2.1
#[tokio::test]
async fn a_client_may_say_whom_it_expects() {
    let (mut w, client) = world().await;
    let told = w.allowed(&client, &[("scope", "openid")]).await;
    let hint = told["id_token"].as_str().unwrap().to_owned();
    // The same user, also long after.
    w.clock.advance(Duration::from_secs(7200));
    assert!(
        w.allowed(&client, &[("scope", "openid"), ("id_token_hint", &hint)]).await["id_token"].is_string()
    );
    assert!(
        w.allowed(&client, &[("scope", "openid"), ("id_token_hint", "x.y.z")]).await["id_token"].is_string()
    );
    // Another: bob logs in where alice is expected.
    let bob = w.accounts.create_account(&NewAccount::new(Kind::Person, "bob@example.test")).await.unwrap();
    w.accounts.set_password(bob, &Secret::new("secret")).await.unwrap();
    let path = asks(&client, &[("scope", "openid"), ("id_token_hint", &hint)]);
    let (_, token) = w.open(&path).await;
    let says =
        [("token", &*token), ("login", "bob@example.test"), ("password", "secret"), ("answer", "allow")];
    let sent = w.post(&path, &says).await.sent().1;
    assert_eq!((sent["error"].as_str(), sent.get("code")), ("login_required", None));
}

/// Core §3.1.2.1
#[tokio::test]
async fn a_client_may_ask_by_post() {
    let w = World::new().await;
    let client = w.client().await;
    let asked = asks(&client, &[]);
    let (path, query) = asked.split_once('?').unwrap();
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let sent = w.send("POST", path, &[kind], query.to_owned()).await;
    assert_eq!((sent.status, sent.header("location")), (StatusCode::SEE_OTHER, &*asked));
    assert_eq!(w.get(sent.header("location")).await.status, StatusCode::OK);
    for bad in ["", "scope=openid", "client_id=a&client_id=b", "client_id=\u{e9}", "client_id=a\r\nb"] {
        assert_eq!(
            w.send("POST", path, &[kind], bad.to_owned()).await.status,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
}
