//! What clients find, and what they say of themselves (RFC 8414, RFC 7591).

use super::*;

#[tokio::test]
async fn a_client_finds_its_way() {
    let w = World::new().await;
    let resource = w.get("/.well-known/oauth-protected-resource").await.json();
    assert_eq!(resource["authorization_servers"], json!([BASE]));
    let server = w.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(server["issuer"], BASE);
    for name in
        ["authorization", "token", "revocation", "introspection", "registration", "device_authorization"]
    {
        let endpoint = server[format!("{name}_endpoint")].as_str().unwrap();
        let path = endpoint.strip_prefix(BASE).unwrap();
        let status = w.send("DELETE", path, &[], Body::empty()).await.status;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{name}");
    }
    assert_eq!(server["scopes_supported"], resource["scopes_supported"]);
}

#[tokio::test]
async fn registration_is_open_but_not_without_end() {
    let w = World::new().await;
    let fields = [("content-type", "application/json")];
    let send = async |body: String| w.send("POST", "/oauth/register", &fields, body).await;
    assert_eq!(send("{".into()).await.error(), "invalid_client_metadata");
    assert_eq!(send("{}".into()).await.error(), "invalid_redirect_uri");
    assert_eq!(send("[".repeat(10_000)).await.error(), "invalid_client_metadata");
    assert_eq!(send(" ".repeat(100_000)).await.error(), "invalid_client_metadata");
    for _ in 0..17 {
        w.client().await;
    }
    let refused = send(json!({"redirect_uris": [BACK]}).to_string()).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "60");
}
