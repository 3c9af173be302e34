//! The event source (RFC 8620 §7.3).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use accounts::oauth::Bearer;
use accounts::{Admitted, Identity, Proof};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use jmap_proto::RequestError;
use jmap_proto::push::{COMMENT, EventSource, StateChange, beginning, event, farewell};
use runtime::Shutdown;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::listener::{From, Listener};
use super::types::Types;
use super::{Present, refused};
use crate::{Server, api};

/// What a client that comes again says that it was told last (WHATWG HTML §9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How often one that wants no pings is sent something nobody sees, so that one who is gone is found out.
const SIGN_OF_LIFE: Duration = Duration::from_secs(300);

/// Over how long those come again who were sent away together, in milliseconds.
const COMING_AGAIN: (u64, u64) = (1_000, 5_000);

pub(crate) async fn event_source(
    State(server): State<Arc<Server>>,
    Extension(identity): Extension<Identity>,
    Extension(proof): Extension<Proof>,
    bearer: Option<Extension<Bearer>>,
    shutdown: Option<Extension<Shutdown>>,
    Query(variables): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let asked = match EventSource::read(&variables) {
        Ok(asked) => asked,
        Err(name) => return refused(StatusCode::BAD_REQUEST, &format!("`{name}` cannot be understood")),
    };
    let Some(present) = Present::enter(&server, identity.account, "eventsource") else {
        return api::problem(&RequestError::Limit("maxConcurrentListeners"));
    };
    let last = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default().to_owned());
    let account = identity.account;
    let until = bearer.map(|Extension(bearer)| bearer.expires);
    let mut listener = Listener::new(server, Admitted { identity, proof, until });
    listener.listen(Types::of(&asked.types), &last.map_or(From::Now, From::Text));
    let events = Events {
        listener,
        ping: asked.ping,
        close_after_state: asked.close_after_state,
        shutdown: shutdown.map(|Extension(shutdown)| shutdown).unwrap_or_default(),
        retry: COMING_AGAIN.0 + u64::from(account.0) * 7_919 % (COMING_AGAIN.1 - COMING_AGAIN.0),
        quiet_since: None,
        over: false,
        _present: present,
    };
    let body = stream::unfold(events, |mut events| async move {
        let bytes = Box::pin(events.next()).await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), events))
    });
    let fields = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    // Proxies that gather what passes are asked not to.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (fields, unbuffered, Body::from_stream(body)).into_response()
}

/// What is sent, worked out when there is room for it.
struct Events {
    listener: Listener,
    /// In seconds.
    ping: Option<u64>,
    close_after_state: bool,
    shutdown: Shutdown,
    retry: u64,
    /// When something was sent last.
    quiet_since: Option<Instant>,
    over: bool,
    _present: Present,
}

impl Events {
    /// What is sent next, none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let drain = self.shutdown.drain.clone();
        let text = tokio::select! {
            biased;
            () = drain.cancelled() => {
                self.over = true;
                farewell(self.retry)
            }
            text = self.hear() => text?,
        };
        self.quiet_since = Some(Instant::now());
        Some(text.into())
    }

    async fn hear(&mut self) -> Option<String> {
        let Some(quiet_since) = self.quiet_since else {
            let missed = self.listener.begin().await.ok()?;
            let beginning = beginning(&self.listener.position().to_string());
            return Some(missed.map_or(beginning, |change| self.tell(&change)));
        };
        let silence = self.ping.map_or(SIGN_OF_LIFE, Duration::from_secs);
        tokio::select! {
            change = self.listener.next() => Some(self.tell(&change.ok()?)),
            () = sleep_until(quiet_since + silence) => Some(match self.ping {
                // RFC 8620 §7.3: without an id of its own.
                Some(interval) => event("ping", None, &json!({"interval": interval})),
                None => COMMENT.to_owned(),
            }),
        }
    }

    fn tell(&mut self, change: &StateChange) -> String {
        self.over |= self.close_after_state;
        metrics::counter!("jmap_push_changes_total", "over" => "eventsource").increment(1);
        event("state", Some(&self.listener.position().to_string()), &change.to_value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::world::World;
    use axum::routing::get;
    use axum::{Router, body::BodyDataStream};
    use futures::{FutureExt, StreamExt};
    use tower::ServiceExt;

    struct Client {
        world: World,
        shutdown: Shutdown,
        body: BodyDataStream,
    }

    impl Client {
        async fn connect(query: &str) -> Client {
            let world = World::new().await;
            let shutdown = Shutdown::new();
            let site = Router::new()
                .route("/", get(event_source))
                .layer(Extension(world.identity().await))
                .layer(Extension(world.proof().await))
                .layer(Extension(shutdown.clone()))
                .with_state(Arc::clone(&world.server));
            let request = axum::http::Request::get(format!("/?{query}")).body(Body::empty()).unwrap();
            let response = site.oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
            Client { world, shutdown, body: response.into_body().into_data_stream() }
        }

        async fn read(&mut self) -> String {
            let bytes = self.body.next().await.expect("the end").unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        }
    }

    /// RFC 8620 §7.3
    #[tokio::test(start_paused = true)]
    async fn events_come_and_pings_between_them() {
        let mut client = Client::connect("types=*&closeafter=no&ping=30").await;
        let first = client.read().await;
        assert!(first.starts_with("id: abc.") && first.lines().count() == 2, "{first}");
        let began = Instant::now();
        client.world.create_mailbox("One").await;
        let event = client.read().await;
        assert!(event.starts_with("event: state\nid: abc."), "{event}");
        assert!(event.contains("\"@type\":\"StateChange\"") && event.contains("\"Mailbox\""), "{event}");
        assert!(began.elapsed() < Duration::from_secs(30));
        let told = Instant::now();
        assert_eq!(client.read().await, "event: ping\ndata: {\"interval\":30}\n\n");
        assert_eq!(told.elapsed().as_secs(), 30);
        client.shutdown.begin();
        let last = client.read().await;
        assert!(last.starts_with("retry: "), "{last}");
        assert!(client.body.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_closes_after_a_state_is_told_one() {
        let mut client = Client::connect("types=Mailbox,Email&closeafter=state&ping=0").await;
        client.read().await;
        assert_eq!(client.read().await, COMMENT, "a sign of life, and no event");
        client.world.create_mailbox("One").await;
        assert!(client.read().await.starts_with("event: state\n"));
        assert!(client.body.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_queued_for_one_who_does_not_read() {
        let mut client = Client::connect("types=*&closeafter=no&ping=0").await;
        client.read().await;
        for name in ["One", "Two", "Three", "Four"] {
            client.world.create_mailbox(name).await;
        }
        assert!(client.read().await.starts_with("event: state\n"));
        assert!(client.body.next().now_or_never().is_none(), "one event for all");
        let accounts = &client.world.server.services.accounts;
        accounts.set_enabled(client.world.alice, false).await.unwrap();
        assert!(client.body.next().await.is_none(), "who is disabled hears nothing");
    }
}
