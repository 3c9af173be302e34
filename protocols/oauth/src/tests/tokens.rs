//! What becomes of tokens: exchanged, refreshed, looked at, revoked.

use super::*;

/// RFC 6749 §6, RFC 9700 §4.14.2
#[tokio::test]
async fn refresh_tokens_rotate() {
    let mut w = World::new().await;
    let client = w.client().await;
    let (_, first) = w.tokens(&client).await;
    let refresh = async |w: &World, token: &str| {
        let asks = [("grant_type", "refresh_token"), ("client_id", &client), ("refresh_token", token)];
        w.post("/oauth/token", &asks).await
    };
    let second = refresh(&w, &first).await.json();
    let second = second["refresh_token"].as_str().unwrap();
    assert_ne!(second, first);
    assert_eq!(refresh(&w, &first).await.error(), "invalid_grant");
    assert_eq!(refresh(&w, second).await.error(), "invalid_grant", "reuse has ended all of it");
    let (_, token) = w.tokens(&client).await;
    let asks = [
        ("grant_type", "refresh_token"),
        ("client_id", client.as_str()),
        ("refresh_token", &token),
        ("scope", "urn:ietf:params:jmap:core"),
    ];
    assert_eq!(w.post("/oauth/token", &asks).await.error(), "invalid_scope");
}

/// RFC 6749 §2.3, §5.2
#[tokio::test]
async fn clients_with_a_secret_show_it() {
    let mut w = World::new().await;
    let client = w.register(json!({"token_endpoint_auth_method": "client_secret_post"})).await;
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let code = w.code(&id).await;
    let without = w.exchange(&id, &code).await;
    assert_eq!((without.status, without.error()), (StatusCode::UNAUTHORIZED, "invalid_client".into()));
    let basic = |id: &str, secret: &str| {
        use base64::Engine;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
    };
    let send = async |authorization: &str, more: &[(&str, &str)]| {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let mut asks = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        asks.extend(more);
        w.send("POST", "/oauth/token", &[kind, ("authorization", authorization)], form(&asks)).await
    };
    for bad in [basic(&id, "wrong"), basic("unknown", &secret), basic(&id, ""), "Bearer x".into()] {
        let answer = send(&bad, &[]).await;
        assert_eq!((answer.status, answer.error()), (StatusCode::UNAUTHORIZED, "invalid_client".into()));
        assert!(answer.header("www-authenticate").starts_with("Basic"), "{bad}");
    }
    let twice = send(&basic(&id, &secret), &[("client_secret", &secret)]).await;
    assert_eq!(twice.error(), "invalid_request");
    let good = send(&basic(&id, &secret), &[]).await;
    assert_eq!(good.status, StatusCode::OK, "{}", good.text);
    // RFC 7662: it may ask about its own tokens, others may not.
    let access = good.json()["access_token"].as_str().unwrap().to_owned();
    let ask = async |id: &str, secret: &str, token: &str| {
        let asks = [("client_id", id), ("client_secret", secret), ("token", token)];
        w.post("/oauth/introspect", &asks).await
    };
    let told = ask(&id, &secret, &access).await.json();
    assert_eq!((&told["active"], &told["username"]), (&json!(true), &json!("alice@example.test")));
    assert_eq!((&told["client_id"], &told["exp"]), (&json!(id), &json!(1_700_003_600)));
    assert_eq!(ask(&id, &secret, "gwa_x").await.json(), json!({"active": false}));
    let other = w.register(json!({"token_endpoint_auth_method": "client_secret_basic"})).await;
    let text = |name: &str| other[name].as_str().unwrap();
    let told = ask(text("client_id"), text("client_secret"), &access).await;
    assert_eq!(told.json(), json!({"active": false}));
    let public = w.client().await;
    let told = w.post("/oauth/introspect", &[("client_id", &public), ("token", &access)]).await;
    assert_eq!(told.error(), "invalid_client");
}

/// RFC 7009 §2
#[tokio::test]
async fn tokens_are_revoked() {
    let mut w = World::new().await;
    let client = w.client().await;
    let (access, refresh) = w.tokens(&client).await;
    let other = w.client().await;
    let revoke = async |client: &str, token: &str| {
        let asks = [("client_id", client), ("token", token), ("token_type_hint", "nonsense")];
        w.post("/oauth/revoke", &asks).await.status
    };
    let good = async || w.accounts.bearer(&Secret::new(access.clone()), None).await.unwrap().good().is_some();
    assert_eq!(revoke(&client, "nonsense").await, StatusCode::OK);
    assert_eq!(revoke(&other, &refresh).await, StatusCode::OK);
    assert!(good().await, "it is another's");
    assert_eq!(revoke(&client, &refresh).await, StatusCode::OK);
    assert!(!good().await);
    assert_eq!(w.post("/oauth/revoke", &[("client_id", &client)]).await.error(), "invalid_request");
    assert_eq!(revoke("unknown", "x").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_token_endpoint_looks_at_each_parameter() {
    let mut w = World::new().await;
    let client = w.client().await;
    let codes = w.register(json!({"grant_types": ["authorization_code"]})).await;
    let codes = codes["client_id"].as_str().unwrap();
    let (_, refresh) = w.tokens(&client).await;
    for (asks, error) in [
        (vec![], "invalid_request"),
        (vec![("client_id", client.as_str())], "invalid_request"),
        (vec![("client_id", &client), ("grant_type", "password")], "unsupported_grant_type"),
        (vec![("client_id", "unknown"), ("grant_type", "refresh_token")], "invalid_client"),
        (vec![("client_id", &client), ("grant_type", "refresh_token")], "invalid_request"),
        (
            vec![("client_id", codes), ("grant_type", "refresh_token"), ("refresh_token", &refresh)],
            "unauthorized_client",
        ),
        (
            vec![("client_id", &client), ("grant_type", "refresh_token"), ("refresh_token", "gwr_x")],
            "invalid_grant",
        ),
        (vec![("client_id", &client), ("client_id", &client)], "invalid_request"),
    ] {
        assert_eq!(w.post("/oauth/token", &asks).await.error(), error, "{asks:?}");
    }
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    for body in ["a=%ff".to_owned(), "a=1&".repeat(9_000), "\u{0}".into()] {
        assert_eq!(w.send("POST", "/oauth/token", &kind, body).await.error(), "invalid_request");
    }
    let json = [("content-type", "application/json")];
    assert_eq!(w.send("POST", "/oauth/token", &json, "{}").await.error(), "invalid_request");
    assert_eq!(w.get("/oauth/token").await.status, StatusCode::METHOD_NOT_ALLOWED);
    // A client without refresh tokens gets none.
    let code = w.code(codes).await;
    assert_eq!(w.exchange(codes, &code).await.json().get("refresh_token"), None);
    let late = w.code(&client).await;
    w.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(w.exchange(&client, &late).await.error(), "invalid_grant");
}
