//! What every request goes through before a handler has it, and every answer after.

use axum::Router;
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use runtime::Shutdown;
use std::time::Duration;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};

use crate::{Client, Guard, Problem, auth};

/// Answers shorter than this are not compressed, in octets.
const WORTH_COMPRESSING: u64 = 512;

/// What is left of an allowance (draft-ietf-httpapi-ratelimit-headers).
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How long a browser may remember what CORS allows.
const CORS_AGE: Duration = Duration::from_secs(86_400);

/// Puts a site together: what is `open` to everybody, and what is for who has logged in.
pub fn site(open: Router, private: Router, guard: Guard) -> Router {
    let private = match private.has_routes() {
        true => private.route_layer(from_fn_with_state(guard, auth::require)),
        false => private,
    };
    open.merge(private)
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing here") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "that is not done here")
        })
        .layer(CompressionLayer::new().gzip(true).zstd(true).compress_when(is_worth_compressing))
        .layer(from_fn(turn_away))
        .layer(cors())
        .layer(from_fn(protect))
}

/// Pages of any origin may use what is here: nothing is done on the strength of what a browser adds by itself, such as
/// cookies, and credentials that a page has are its own to use. (The one cookie there is, of the page where people log in, only
/// shows that a form comes from that page.)
fn cors() -> CorsLayer {
    let headers = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::ACCEPT,
        header::RANGE,
        header::IF_RANGE,
        header::IF_NONE_MATCH,
        // Of an event source that a script reads by itself.
        HeaderName::from_static("last-event-id"),
    ];
    let told = [
        header::ACCEPT_RANGES,
        header::CONTENT_DISPOSITION,
        header::CONTENT_RANGE,
        header::ETAG,
        header::RETRY_AFTER,
        header::WWW_AUTHENTICATE,
        RATE_LIMIT,
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::OPTIONS])
        .allow_headers(headers)
        .expose_headers(told)
        .max_age(CORS_AGE)
}

/// Text is; pictures and archives are compressed already.
fn is_worth_compressing(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = kind.starts_with("text/") || kind.starts_with("message/") || kind.ends_with("json");
    // An event stream is read as it is written.
    text && kind != "text/event-stream" && length.is_none_or(|length| length >= WORTH_COMPRESSING)
}

/// While the node drains: what has begun is finished, what comes now goes to another node.
async fn turn_away(request: Request, next: Next) -> Response {
    let draining = request.extensions().get::<Shutdown>().is_some_and(Shutdown::is_draining);
    if draining {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this node is going down");
        return problem.header(header::RETRY_AFTER, "1").into_response();
    }
    next.run(request).await
}

/// What browsers are told of an answer, unless its handler has said something else.
const PROTECTION: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    // Not as a picture or script of a page that has not asked as CORS has it.
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"),
    ),
];

/// RFC 6797
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");

async fn protect(request: Request, next: Next) -> Response {
    let tls = request.extensions().get::<Client>().is_some_and(|client| client.tls);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.entry(name).or_insert(value);
    }
    if tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    response
}
