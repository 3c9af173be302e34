//! JMAP over a WebSocket (RFC 8887): requests and what changed, on one connection.

use std::sync::Arc;
use std::time::Duration;

use accounts::oauth::{Bearer, Scope};
use accounts::{Admitted, Identity, Proof};
use axum::Extension;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jmap_proto::websocket::{self, Bad, Message, SUBPROTOCOL};
use jmap_proto::{Request, RequestError};
use runtime::Shutdown;
use tokio::time::{Instant, sleep_until, timeout};

use super::listener::{From, Listener};
use super::types::Types;
use super::{Present, refused};
use crate::{Server, api, registry, scope};

/// How long a client may be silent before it is asked whether it is there; as long again for its answer.
const SILENCE: Duration = Duration::from_secs(120);

/// How long a client may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Octets read at once, and written together.
const PIECE: usize = 4 * 1024;

pub(crate) async fn socket(
    State(server): State<Arc<Server>>,
    Extension(identity): Extension<Identity>,
    Extension(proof): Extension<Proof>,
    bearer: Option<Extension<Bearer>>,
    shutdown: Option<Extension<Shutdown>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    http: HttpRequest,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if !upgrade.requested_protocols().any(|name| name.as_bytes() == SUBPROTOCOL.as_bytes()) {
        return refused(StatusCode::BAD_REQUEST, "the subprotocol is jmap");
    }
    if !is_same_origin(http.uri(), http.headers()) {
        return refused(StatusCode::FORBIDDEN, "not from pages of other origins");
    }
    let Some(present) = Present::enter(&server, identity.account, "websocket") else {
        return api::problem(&RequestError::Limit("maxConcurrentListeners"));
    };
    let most = usize::try_from(server.options.core.limits.size_request).unwrap_or(usize::MAX);
    let shutdown = shutdown.map(|Extension(shutdown)| shutdown).unwrap_or_default();
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(most)
        .max_frame_size(most)
        .read_buffer_size(PIECE)
        .write_buffer_size(PIECE)
        .on_upgrade(move |socket| async move {
            let bearer = bearer.map(|Extension(bearer)| bearer);
            let scope = bearer.as_ref().map(|bearer| bearer.scope.clone());
            let until = bearer.map(|bearer| bearer.expires);
            let listener = Listener::new(Arc::clone(&server), Admitted { identity, proof, until });
            let session = Session {
                server,
                listener,
                scope,
                socket,
                answers: FuturesUnordered::new(),
                heard: Instant::now(),
                asked: false,
                _present: present,
            };
            Box::pin(session.run(shutdown)).await;
        })
}

/// A browser adds by itself what it knows of the user: a page of another origin shall have nothing of it (RFC 6455 §10.2).
fn is_same_origin(uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let authority = origin.as_ref().and_then(Uri::authority);
    authority.is_some_and(|authority| uri.authority().is_some_and(|own| own == authority))
}

/// One connection.
struct Session {
    server: Arc<Server>,
    listener: Listener,
    /// What the token is good for by which the client has come.
    scope: Option<Scope>,
    socket: WebSocket,
    /// Requests under way.
    answers: FuturesUnordered<BoxFuture<'static, String>>,
    /// When something came last.
    heard: Instant,
    /// The client has been asked since whether it is there.
    asked: bool,
    _present: Present,
}

/// Why a session ends.
enum End {
    /// The client has left, or cannot be reached.
    Gone,
    /// It is told why.
    Told(u16, &'static str),
}

impl Session {
    async fn run(mut self, shutdown: Shutdown) {
        let end = tokio::select! {
            end = self.talk(&shutdown) => end,
            () = shutdown.stop.cancelled() => End::Gone,
        };
        let End::Told(code, reason) = end else { return };
        let frame = CloseFrame { code, reason: reason.into() };
        if self.socket.send(Frame::Close(Some(frame))).await.is_ok() {
            let goodbye = async { while let Some(Ok(_)) = self.socket.recv().await {} };
            let _ = timeout(GOODBYE, goodbye).await;
        }
    }

    async fn talk(&mut self, shutdown: &Shutdown) -> End {
        loop {
            let silent = self.heard + if self.asked { 2 * SILENCE } else { SILENCE };
            let done = tokio::select! {
                biased;
                () = shutdown.drain.cancelled() => return self.finish().await,
                told = self.listener.next() => match told {
                    Ok(change) => {
                        metrics::counter!("jmap_push_changes_total", "over" => "websocket").increment(1);
                        let state = self.listener.position().to_string();
                        self.say(websocket::state_change(&change, &state)).await
                    }
                    Err(_) => Err(End::Told(close_code::POLICY, "log in again")),
                },
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => self.say(answer).await,
                came = self.socket.recv() => self.take(came).await,
                () = sleep_until(silent) => self.ask().await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// What is under way is finished; then the client shall go to another node.
    async fn finish(&mut self) -> End {
        while let Some(answer) = self.answers.next().await {
            if let Err(end) = self.say(answer).await {
                return end;
            }
        }
        End::Told(close_code::RESTART, "this node is going down")
    }

    async fn say(&mut self, text: String) -> Result<(), End> {
        self.socket.send(Frame::Text(text.into())).await.map_err(|_| End::Gone)
    }

    /// Asks who is silent whether it is there, and gives up who does not answer.
    async fn ask(&mut self) -> Result<(), End> {
        if self.asked {
            return Err(End::Gone);
        }
        self.asked = true;
        self.socket.send(Frame::Ping(bytes::Bytes::new())).await.map_err(|_| End::Gone)
    }

    async fn take(&mut self, came: Option<Result<Frame, axum::Error>>) -> Result<(), End> {
        (self.heard, self.asked) = (Instant::now(), false);
        match came.ok_or(End::Gone)? {
            Ok(Frame::Text(text)) => self.hear(text.as_bytes()).await,
            // RFC 8887 §4.2: all is text.
            Ok(Frame::Binary(_)) => Err(End::Told(close_code::UNSUPPORTED, "messages are text")),
            Ok(Frame::Ping(_) | Frame::Pong(_)) => Ok(()),
            Ok(Frame::Close(_)) => Err(End::Gone),
            Err(error) => Err(fault(error)),
        }
    }

    async fn hear(&mut self, text: &[u8]) -> Result<(), End> {
        match Message::parse(text, &self.server.options.core.limits) {
            Ok(Message::Request(id, request)) => match self.begin(id.as_deref(), request) {
                Ok(()) => Ok(()),
                Err(error) => self.say(websocket::request_error(&Bad { id, error })).await,
            },
            Ok(Message::PushEnable { types, since }) => {
                self.listener.listen(Types::of(&types), &since.map_or(From::Now, From::Text));
                Ok(())
            }
            Ok(Message::PushDisable) => {
                self.listener.rest();
                Ok(())
            }
            Err(bad) => self.say(websocket::request_error(&bad)).await,
        }
    }

    /// Begins a request; its answer comes when it is done, which may be before those of others (RFC 8887 §4.3.2).
    fn begin(&mut self, id: Option<&str>, request: Request) -> Result<(), RequestError> {
        request.uses_only(registry::knows)?;
        if scope::lacking(self.scope.as_ref(), &request.using).is_some() {
            return Err(RequestError::NotRequest("the token is not good for all that is used"));
        }
        let (identity, proof) = (self.listener.identity().clone(), self.listener.proof());
        // Those of all connections are counted together.
        let place = self.server.busy.requests.enter(identity.account);
        let place = place.ok_or(RequestError::Limit("maxConcurrentRequests"))?;
        let (server, id) = (Arc::clone(&self.server), id.map(str::to_owned));
        self.answers.push(Box::pin(async move {
            let _place = place;
            // Rights may have been given or taken since the connection was made, and hints of that may be late.
            let identity = match server.services.accounts.still(identity.account, proof).await {
                Ok(Some(now)) => now,
                Ok(None) => {
                    let error = RequestError::NotRequest(
                        "the account is not there any more, or what was shown is not good",
                    );
                    return websocket::request_error(&Bad { id, error });
                }
                // What is asked of the store says so itself.
                Err(_) => identity,
            };
            let response = api::perform(server, (identity, proof), request).await;
            websocket::response(id.as_deref(), &response).unwrap_or_else(|error| {
                tracing::error!(%error, "a response cannot be written");
                let error = RequestError::NotRequest("the answer cannot be written");
                websocket::request_error(&Bad { id, error })
            })
        }));
        Ok(())
    }
}

/// What the client is told of what its library or the line has done.
fn fault(error: axum::Error) -> End {
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => End::Told(close_code::SIZE, "the message is too long"),
        Some(tungstenite::Error::Utf8(_)) => End::Told(close_code::INVALID, "that is not UTF-8"),
        Some(tungstenite::Error::Protocol(_)) => End::Told(close_code::PROTOCOL, "that is no WebSocket"),
        _ => End::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_origins_are_kept_out() {
        let uri: Uri = "https://mail.example.test/jmap/ws".parse().unwrap();
        let with = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            is_same_origin(&uri, &headers)
        };
        assert!(is_same_origin(&uri, &HeaderMap::new()), "no browser");
        assert!(with("https://mail.example.test"));
        assert!(!with("https://evil.test") && !with("null") && !with("https://mail.example.test:8443"));
    }
}
