//! The token endpoint (RFC 6749 §3.2).

use std::sync::Arc;

use accounts::Secret;
use accounts::oauth::{Client, Exchange, Issued, Refusal, Scope};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use oauth_proto::{Error, ErrorCode, TokenRequest};
use serde_json::json;

use crate::answer::{self, Refused};
use crate::{Server, device};

pub(crate) async fn token(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    answer::give("token", server.token(from, request).await)
}

impl Server {
    async fn token(&self, from: answer::From, request: Request) -> Result<Response, Refused> {
        answer::safe(from)?;
        let (headers, issuer) = (request.headers().clone(), self.issuer(request.uri()));
        let form = answer::form(request).await?;
        let client = self.client(&headers, &form).await?;
        let asked = TokenRequest::read(&form)?;
        if !client.uses(asked.grant_type()) {
            let detail = "the client has not registered that grant type";
            return Err(Error::new(ErrorCode::UnauthorizedClient, detail).into());
        }
        let accounts = &self.services.accounts;
        let issued = match asked {
            TokenRequest::Code { code, redirect_uri, challenge } => {
                let redirect_uri = redirect_uri.or_else(|| only_uri(&client));
                let shown = Exchange {
                    code: &Secret::new(code),
                    client: &client.id,
                    redirect_uri: &redirect_uri.ok_or_else(|| Error::missing("redirect_uri"))?,
                    challenge,
                    refreshes: client.uses("refresh_token"),
                };
                accounts.exchange(shown).await?.map_err(why)?
            }
            TokenRequest::Refresh { token, scope } => {
                let scope = scope.as_deref().map(Scope::parse);
                let token = Secret::new(token);
                accounts.refresh(&token, &client.id, scope.as_ref()).await?.map_err(why)?
            }
            TokenRequest::Device { code } => {
                let refreshes = client.uses("refresh_token");
                device::heard(accounts.ask_device(&Secret::new(code), &client.id, refreshes).await?)?
            }
        };
        let id_token = self.id_token(&issuer, &client.id, &issued).await?;
        Ok(answer::json(StatusCode::OK, &told(&issued, id_token)))
    }
}

/// The one that a client means that names none (RFC 6749 §3.1.2.3).
pub(crate) fn only_uri(client: &Client) -> Option<String> {
    match client.says.redirect_uris.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

fn why(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Grant => Error::new(ErrorCode::InvalidGrant, "that is not good, or not any more"),
        Refusal::Scope => Error::new(ErrorCode::InvalidScope, "that is more than was granted"),
    }
}

/// RFC 6749 §5.1, OpenID Connect Core §3.1.3.3
fn told(issued: &Issued, id_token: Option<String>) -> serde_json::Value {
    let mut told = json!({
        "access_token": issued.access.expose(),
        "token_type": "Bearer",
        "expires_in": issued.seconds,
        "scope": issued.scope.to_string(),
    });
    if let Some(refresh) = &issued.refresh {
        told["refresh_token"] = json!(refresh.expose());
    }
    if let Some(id_token) = id_token {
        told["id_token"] = json!(id_token);
    }
    told
}
