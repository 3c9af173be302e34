//! How a client shows who it is (RFC 6749 §2.3).

use crate::Server;
use crate::answer::Refused;
use accounts::Secret;
use accounts::oauth::Client;
use axum::http::{HeaderMap, header};
use oauth_proto::{Error, ErrorCode, Form, client_of_basic};

impl Server {
    /// The client of a request: one without a secret says who it is, others prove it.
    pub(crate) async fn client(&self, headers: &HeaderMap, form: &Form) -> Result<Client, Refused> {
        let field = headers.get(header::AUTHORIZATION);
        let by_header = field.is_some();
        let (id, secret) = match field {
            None => (form.need("client_id")?.to_owned(), form.get("client_secret").map(Secret::new)),
            Some(field) => {
                let shown = field.to_str().ok().and_then(client_of_basic);
                let (id, secret) = shown.ok_or(Refused::Unknown { by_header })?;
                // RFC 6749 §2.3: one way at a time.
                let other = form.get("client_id").is_some_and(|other| other != id);
                if other || form.get("client_secret").is_some() {
                    let error = Error::new(ErrorCode::InvalidRequest, "the client shows itself in two ways");
                    return Err(error.into());
                }
                (id, Some(secret).filter(|secret| !secret.is_empty()).map(Secret::new))
            }
        };
        let client = self.services.accounts.client(&id).await?;
        let proved = |client: &Client| match &secret {
            None => client.is_public(),
            Some(secret) => client.proves(secret),
        };
        client.filter(proved).ok_or(Refused::Unknown { by_header })
    }
}
