//! Dynamic registration (RFC 7591): open to everybody, so it costs an address as much as a wrong password.

use std::sync::Arc;

use accounts::oauth::{NewClient, Scope};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use oauth_proto::{Error, ErrorCode, Registration, registered};

use crate::Server;
use crate::answer::{self, Refused};

pub(crate) async fn register(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    answer::give("register", server.register(from, request).await)
}

impl Server {
    async fn register(&self, from: answer::From, request: Request) -> Result<Response, Refused> {
        let remote = answer::safe(from)?;
        self.services.authenticator.count(remote.address).map_err(|_| Refused::TooMany)?;
        let body = answer::body(request, "application/json").await;
        let body = body.map_err(|error| Error { code: ErrorCode::InvalidClientMetadata, ..error })?;
        let says = Registration::read(&body)?;
        let new = NewClient {
            name: says.client_name.clone().unwrap_or_default(),
            redirect_uris: says.redirect_uris.clone(),
            grant_types: says.grant_types.clone().unwrap_or_default(),
            scope: says.scope.as_deref().map(Scope::parse).unwrap_or_default(),
            uri: says.client_uri.clone().unwrap_or_default(),
            method: says.token_endpoint_auth_method.clone().unwrap_or_default(),
        };
        let made = self.services.accounts.register_client(&new).await?;
        let secret = made.secret.as_ref().map(accounts::Secret::expose);
        let told = registered(&made.client.id, secret, made.client.created / 1000, &says);
        Ok(answer::json(StatusCode::CREATED, &told))
    }
}
