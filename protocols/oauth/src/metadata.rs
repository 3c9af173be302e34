//! What there is, for who does not know it yet (RFC 8414, RFC 9728). No secret: also told where others can read along.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use crate::{AT, Server, answer, base};

/// RFC 8414 §3
pub(crate) async fn server(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let scopes = server.options.scopes.iter().copied();
    answer::json(StatusCode::OK, &oauth_proto::server(&server.issuer(&uri), &AT, scopes))
}

/// RFC 9728 §3.1
pub(crate) async fn resource(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let scopes = server.options.scopes.iter().copied();
    let told = oauth_proto::protected_resource(&base(&uri), &server.issuer(&uri), scopes);
    answer::json(StatusCode::OK, &told)
}
