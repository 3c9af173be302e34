//! What there is, for who does not know it yet (RFC 8414, RFC 9728). No secret: also told where others can read along.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::{AT, Server, answer, base};

/// RFC 8414 §3: what there is of OpenID Connect as well, so that nobody has to look twice.
pub(crate) async fn server(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let scopes = server.options.scopes.iter().copied();
    let told = server.signing().await.map(|signing| match signing {
        Some(_) => oauth_proto::provider(&server.issuer(&uri), &AT, scopes),
        None => oauth_proto::server(&server.issuer(&uri), &AT, scopes),
    });
    answer::give("metadata", told.map(|told| answer::json(StatusCode::OK, &told)))
}

/// OpenID Connect Discovery §4
pub(crate) async fn provider(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let scopes = server.options.scopes.iter().copied();
    let told = server.signing().await.map(|signing| match signing {
        Some(_) => answer::json(StatusCode::OK, &oauth_proto::provider(&server.issuer(&uri), &AT, scopes)),
        None => nothing(),
    });
    answer::give("metadata", told)
}

/// There is no OpenID Connect yet: until the store's feature level is raised.
pub(crate) fn nothing() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// RFC 9728 §3.1
pub(crate) async fn resource(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let scopes = server.options.scopes.iter().copied();
    let told = oauth_proto::protected_resource(&base(&uri), &server.issuer(&uri), scopes);
    answer::json(StatusCode::OK, &told)
}
