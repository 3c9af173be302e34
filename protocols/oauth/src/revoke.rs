//! Revocation (RFC 7009) and introspection (RFC 7662).

use std::sync::Arc;

use accounts::Secret;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::answer::{self, Refused};
use crate::{Server, base};

pub(crate) async fn revoke(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    answer::give("revoke", server.revoke(from, request).await)
}

pub(crate) async fn introspect(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    answer::give("introspect", server.introspect(from, request).await)
}

impl Server {
    async fn revoke(&self, from: answer::From, request: Request) -> Result<Response, Refused> {
        answer::safe(from)?;
        let headers = request.headers().clone();
        let form = answer::form(request).await?;
        let client = self.client(&headers, &form).await?;
        let token = Secret::new(form.need("token")?);
        // RFC 7009 §2.2: what is no token is as if it had been revoked. Of what kind it is, the token says better than a hint.
        self.services.accounts.revoke(&token, &client.id).await?;
        Ok(StatusCode::OK.into_response())
    }

    async fn introspect(&self, from: answer::From, request: Request) -> Result<Response, Refused> {
        answer::safe(from)?;
        let (headers, issuer) = (request.headers().clone(), self.issuer(request.uri()));
        let resource = base(request.uri());
        let form = answer::form(request).await?;
        let client = self.client(&headers, &form).await?;
        // RFC 7662 §2.1: who asks has shown who it is.
        if client.is_public() {
            return Err(Refused::Unknown { by_header: false });
        }
        let token = Secret::new(form.need("token")?);
        let shown = self.services.accounts.inspect(&token).await?;
        // RFC 7662 §2.2: what is of no concern to who asks is not told apart from what is no token.
        let told = match shown.filter(|shown| shown.client == client.id) {
            None => json!({"active": false}),
            Some(shown) => json!({
                "active": true,
                "client_id": shown.client,
                "scope": shown.scope.to_string(),
                "username": shown.identity.address,
                "sub": shown.identity.account.to_string(),
                "token_type": if shown.access { json!("Bearer") } else { Value::Null },
                "iat": shown.created / 1000,
                "exp": shown.expires / 1000,
                "iss": issuer,
                "aud": resource,
            }),
        };
        Ok(answer::json(StatusCode::OK, &told))
    }
}
