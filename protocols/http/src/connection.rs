//! A connection: hyper over a stream of `net`, until the client leaves, is idle for too long, or the node drains.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use net::{Connection, Protocol, SessionContext};
use parking_lot::Mutex;
use runtime::{SharedClock, Shutdown};
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;

use crate::body::{Counted, Paced};
use crate::held::Held;
use crate::{Client, Options, Problem};

/// The service: what is served to each client.
#[derive(Clone)]
pub struct Http {
    site: Router,
    options: Options,
}

impl Http {
    /// Serves a [`crate::site`].
    pub fn new(site: Router, options: Options) -> Self {
        Http { site, options }
    }
}

impl Protocol for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn serve(&self, connection: Connection, context: SessionContext) -> BoxFuture<'static, ()> {
        Box::pin(serve(self.clone(), connection, context))
    }

    fn refuse(&self) -> &'static [u8] {
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    }
}

/// What the requests of a connection share.
struct Shared {
    http: Http,
    client: Client,
    shutdown: Shutdown,
    clock: SharedClock,
    activity: Activity,
}

async fn serve(http: Http, connection: Connection, context: SessionContext) {
    let client = Client { peer: connection.peer(), tls: connection.is_tls() };
    let builder = builder(&http.options);
    let shared = Arc::new(Shared {
        http,
        client,
        shutdown: context.shutdown.clone(),
        clock: context.clock,
        activity: Activity::new(),
    });
    let answering = Arc::clone(&shared);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&answering);
        async move { Ok::<_, Infallible>(answer(shared, request).await) }
    });
    let (stream, gone) = Held::new(connection.into_stream());
    let ended = {
        let conversation = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(conversation);
        tokio::select! {
            ended = conversation.as_mut() => ended,
            () = leave(&shared) => {
                conversation.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = conversation => ended,
                    () = context.shutdown.stop.cancelled() => return,
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, session = context.id, "http connection ended");
    }
    // After an upgrade another protocol is spoken on it, which counts as this connection until it ends.
    tokio::select! {
        () = gone => {}
        () = context.shutdown.stop.cancelled() => {}
    }
}

/// Resolves when the client is to be sent away.
async fn leave(shared: &Shared) {
    tokio::select! {
        () = shared.shutdown.drain.cancelled() => {}
        () = shared.activity.idle_for(shared.http.options.idle_time) => {}
    }
}

fn builder(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_time)
        .max_buf_size(options.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        // RFC 8441: WebSockets.
        .enable_connect_protocol()
        .keep_alive_interval(options.head_time)
        .keep_alive_timeout(options.head_time)
        .max_concurrent_streams(options.streams)
        .max_header_list_size(u32::try_from(options.head).unwrap_or(u32::MAX));
    builder
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response {
    let (began, method) = (shared.clock.monotonic(), request.method().clone());
    let under_way = UnderWay::begin(Arc::clone(&shared));
    let response = match prepare(&shared, request) {
        Ok(request) => shared.http.site.clone().oneshot(request).await.into_response(),
        Err(problem) => problem.into_response(),
    };
    let took = shared.clock.monotonic().saturating_sub(began);
    let method = if method.as_str().len() <= 10 { method.to_string() } else { "OTHER".to_owned() };
    let status = response.status().as_u16().to_string();
    metrics::counter!("http_requests_total", "method" => method, "status" => status).increment(1);
    metrics::histogram!("http_request_seconds").record(took.as_secs_f64());
    // It is under way until its answer has been sent.
    response.map(|body| Body::new(Counted::new(body, under_way)))
}

/// A request as handlers have it.
fn prepare(shared: &Shared, request: Request<Incoming>) -> Result<Request<Body>, Problem> {
    let (mut head, body) = request.into_parts();
    let bad = |detail| Problem::new(StatusCode::BAD_REQUEST, detail);
    // RFC 9112 §3.2, RFC 9113 §8.3.1: one says it in Host, the other in the URI.
    let host =
        head.headers.get(header::HOST).and_then(|value| value.to_str().ok()?.parse::<Authority>().ok());
    let authority = head.uri.authority().cloned().or(host).ok_or_else(|| bad("which host?"))?;
    // An asterisk, as in `OPTIONS *`, is no place.
    let path = head.uri.path_and_query().filter(|path| path.as_str().starts_with('/')).cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let scheme = Scheme::try_from(shared.client.scheme()).map_err(|_| bad("which scheme?"))?;
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    head.uri = uri.map_err(|_| bad("that is no URI"))?;
    head.extensions.insert(shared.client);
    head.extensions.insert(shared.shutdown.clone());
    let body = Body::new(Paced::new(body, &shared.http.options));
    Ok(Request::from_parts(head, body))
}

/// Requests under way, and since when there are none.
struct Activity {
    under_way: AtomicUsize,
    since: Mutex<Instant>,
}

impl Activity {
    fn new() -> Self {
        Activity { under_way: AtomicUsize::new(0), since: Mutex::new(Instant::now()) }
    }

    /// Resolves once nothing was under way for a time.
    async fn idle_for(&self, time: std::time::Duration) {
        loop {
            let since =
                if self.under_way.load(Ordering::Acquire) > 0 { Instant::now() } else { *self.since.lock() };
            if since + time <= Instant::now() {
                return;
            }
            sleep_until(since + time).await;
        }
    }
}

/// A request under way.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn begin(shared: Arc<Shared>) -> Self {
        shared.activity.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(shared)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let activity = &self.0.activity;
        *activity.since.lock() = Instant::now();
        activity.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}
