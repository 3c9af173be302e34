//! The HTTP listener: a page that says what this is, until there is more to say.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;

/// The service of the HTTP listener.
pub(crate) fn router(hostname: &str) -> Router {
    let page = format!("{hostname}: a Godwit mail server\n");
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Router::new()
        .route("/", get(move || std::future::ready((plain, page.clone()))))
        .fallback(|| std::future::ready((StatusCode::NOT_FOUND, "there is nothing here\n")))
}
