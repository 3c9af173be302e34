//! Devices without a browser (RFC 8628).

use super::*;

/// RFC 8628
#[tokio::test]
async fn a_device_is_allowed_elsewhere() {
    let mut w = World::new().await;
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let client = w.register(json!({"redirect_uris": [], "grant_types": [device, "refresh_token"]})).await;
    let client = client["client_id"].as_str().unwrap().to_owned();
    let begun = w.post("/oauth/device", &[("client_id", &client), ("scope", MAIL)]).await.json();
    assert_eq!((&begun["interval"], &begun["expires_in"]), (&json!(5), &json!(600)));
    assert_eq!(begun["verification_uri"], format!("{BASE}/device"));
    let code = begun["device_code"].as_str().unwrap();
    let poll = async |w: &World| {
        let asks = [("grant_type", device), ("client_id", client.as_str()), ("device_code", code)];
        w.post("/oauth/token", &asks).await
    };
    assert_eq!(poll(&w).await.error(), "authorization_pending");
    assert_eq!(poll(&w).await.error(), "slow_down");
    assert!(w.get("/device").await.text.contains("<label for=\"user_code\">"));
    assert_eq!(w.get("/device?user_code=BBBB-BBBB").await.status, StatusCode::NOT_FOUND);
    let complete = begun["verification_uri_complete"].as_str().unwrap();
    let path = complete.strip_prefix(BASE).unwrap().to_owned();
    let (page, token) = w.open(&path).await;
    assert!(page.text.contains(begun["user_code"].as_str().unwrap()), "{}", page.text);
    assert!(page.header("content-security-policy").contains("form-action 'self';"));
    let stray = w.post(&path, &says("x")).await;
    assert_eq!(stray.status, StatusCode::FORBIDDEN);
    let allowed = w.post(&path, &says(&token)).await;
    assert!(allowed.status == StatusCode::OK && allowed.text.contains("Allowed"), "{}", allowed.text);
    let issued = poll(&w).await.json();
    let access = Secret::new(issued["access_token"].as_str().unwrap());
    assert!(
        w.accounts.bearer(&access, None).await.unwrap().good().is_some()
            && issued["refresh_token"].is_string()
    );
    assert_eq!(poll(&w).await.error(), "invalid_grant");
    // It may not do what it has not registered for, and others may not do this.
    assert_eq!(w.get(&asks(&client, &[])).await.status, StatusCode::BAD_REQUEST);
    let other = w.client().await;
    let refused = w.post("/oauth/device", &[("client_id", &other), ("scope", MAIL)]).await;
    assert_eq!(refused.error(), "unauthorized_client");
    let begun = w.post("/oauth/device", &[("client_id", &client), ("scope", MAIL)]).await.json();
    let path = format!("/device?user_code={}", begun["user_code"].as_str().unwrap());
    let denied = w.post(&path, &[("token", &token), ("answer", "deny")]).await;
    assert!(denied.text.contains("Not allowed"), "{}", denied.text);
    let code = begun["device_code"].as_str().unwrap();
    let asks = [("grant_type", device), ("client_id", client.as_str()), ("device_code", code)];
    assert_eq!(w.post("/oauth/token", &asks).await.error(), "access_denied");
}
