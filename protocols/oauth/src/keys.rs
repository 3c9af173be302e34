//! Id tokens, and the keys that sign them (OpenID Connect Core §2, §10.1).
//!
//! The keys are the store's: which one signs is read from there each time. A node keeps only what it has read of that one's bytes.

use std::sync::Arc;

use accounts::oauth::{ID_TOKEN_TIME, Issued, Signing};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use oauth_proto::{IdToken, MadeKey, NoKey, OPEN_ID, Signer, claims_of, key_set};
use parking_lot::Mutex;
use schema::records::oauth::SigningKey;
use tokio::task::spawn_blocking;

use crate::answer::{self, Refused};
use crate::{Server, metadata};

/// How long clients may keep the keys that they have read, in seconds: one that meets another key's name looks again
/// (OpenID Connect Core §10.1.1).
const KEPT: &str = "public, max-age=300";

/// What a node has of the keys.
#[derive(Default)]
pub(crate) struct Keys {
    /// The one that has signed last.
    read: Mutex<Option<Arc<Signer>>>,
    /// Held by who makes one: it costs some tenths of a second of a core.
    making: futures::lock::Mutex<()>,
}

impl std::convert::From<NoKey> for Refused {
    fn from(error: NoKey) -> Self {
        tracing::error!(%error, "id tokens cannot be signed");
        Refused::Away
    }
}

/// The public halves (RFC 7517 §5).
pub(crate) async fn show(State(server): State<Arc<Server>>) -> Response {
    let shown = match server.signing().await {
        Ok(Some(signing)) => Ok(told(&signing)),
        Ok(None) => Ok(metadata::nothing()),
        Err(refused) => Err(refused),
    };
    answer::give("keys", shown)
}

fn told(signing: &Signing) -> Response {
    let keys = signing.keys.iter().map(|key| (key.id.as_str(), key.public.as_slice()));
    let mut response = answer::json(StatusCode::OK, &key_set(keys));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(KEPT));
    response.headers_mut().remove(header::PRAGMA);
    response
}

impl Server {
    /// What id tokens are signed with; there is one that may sign. None where there is no OpenID Connect yet.
    pub(crate) async fn signing(&self) -> Result<Option<Signing>, Refused> {
        let accounts = &self.services.accounts;
        match accounts.signing_keys().await? {
            Some(signing) if signing.due => {}
            found => return Ok(found),
        }
        let _alone = self.keys.making.lock().await;
        // Another may have made it, while this one waited.
        let signing = match accounts.signing_keys().await? {
            Some(signing) if signing.due => signing,
            found => return Ok(found),
        };
        let made = spawn_blocking(MadeKey::generate).await.map_err(|_| NoKey)??;
        let MadeKey { id, pair, public } = made;
        let made = SigningKey { id, pair, public, ..SigningKey::default() };
        let former = signing.keys.last().map(|key| key.id.as_str());
        let signing = accounts.sign_with(&made, former).await?;
        tracing::info!(key = signing.signer().map(|key| &*key.id), "another key signs id tokens");
        Ok(Some(signing))
    }

    /// What says who the user is, for a client that has asked for it.
    pub(crate) async fn id_token(
        &self,
        issuer: &str,
        client: &str,
        issued: &Issued,
    ) -> Result<Option<String>, Refused> {
        if !issued.scope.has(OPEN_ID) {
            return Ok(None);
        }
        let Some(signing) = self.signing().await? else { return Ok(None) };
        let now = self.services.clock.now().millis();
        let token = IdToken {
            issuer,
            subject: &issued.account.to_string(),
            client,
            issued: now / 1000,
            expires: (now + ID_TOKEN_TIME) / 1000,
            authenticated: issued.authenticated / 1000,
            nonce: issued.nonce.as_deref(),
            access: issued.access.expose(),
            second: issued.second,
        };
        Ok(Some(self.signer(&signing)?.sign(&token.claims())?))
    }

    fn signer(&self, signing: &Signing) -> Result<Arc<Signer>, NoKey> {
        let key = signing.signer().ok_or(NoKey)?;
        let mut read = self.keys.read.lock();
        if let Some(known) = read.as_ref().filter(|known| known.id() == key.id) {
            return Ok(Arc::clone(known));
        }
        let signer = Arc::new(Signer::read(&key.id, &key.pair)?);
        *read = Some(Arc::clone(&signer));
        Ok(signer)
    }

    /// Whom an id token is about that a client has shown again; none if it is not, or not any more, one of ours for that client. Its
    /// time is not looked at (OpenID Connect Core §3.1.2.1).
    pub(crate) async fn subject_of(&self, hint: &str, client: &str) -> Result<Option<String>, Refused> {
        let Some(signing) = self.signing().await? else { return Ok(None) };
        let public = |id: &str| signing.keys.iter().find(|key| key.id == id).map(|key| key.public.as_slice());
        let claims = claims_of(hint, public).filter(|claims| claims["aud"] == client);
        Ok(claims.and_then(|claims| Some(claims["sub"].as_str()?.to_owned())))
    }
}
