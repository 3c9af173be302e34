//! Which path does what.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};

use crate::{
    Admin, Problem, accounts_api as accounts, app_passwords_api as app_passwords, auth, cluster,
    domains_api as domains, grants_api as grants, health,
};
use crate::{
    level_api as level, members_api as members, nodes_api as nodes, purges_api as purges, queue_api as queue,
};
use crate::{
    rows_api as rows, search_api as search, signing_keys_api as signing_keys, sites_api as sites,
    totp_api as totp, verify_api as verifying,
};

/// Largest request body, in bytes.
const BODY: usize = 64 * 1024;

/// The service of the admin listener.
pub fn router(admin: Admin) -> Router {
    let api = Router::new()
        .route("/domains", get(domains::list).post(domains::create))
        .route("/domains/{name}", get(domains::show).patch(domains::update).delete(domains::remove))
        .route("/accounts", get(accounts::list).post(accounts::create))
        .route("/accounts/{address}", get(accounts::show).patch(accounts::update).delete(accounts::remove))
        .route("/accounts/{address}/password", put(accounts::set_password))
        .route("/accounts/{address}/grants", get(grants::list))
        .route("/accounts/{address}/grants/{grant}", delete(grants::take_back))
        .route("/accounts/{address}/totp", get(totp::show).post(totp::enroll).delete(totp::remove))
        .route("/accounts/{address}/totp/confirm", post(totp::confirm))
        .route("/accounts/{address}/app-passwords", get(app_passwords::list).post(app_passwords::add))
        .route("/accounts/{address}/app-passwords/{id}", delete(app_passwords::remove))
        .route("/accounts/{address}/aliases", get(accounts::aliases).post(accounts::add_alias))
        .route("/aliases/{address}", delete(accounts::remove_alias))
        .route("/groups/{address}/members", get(members::of_group).post(members::add_to_group))
        .route("/groups/{address}/members/{member}", delete(members::remove_from_group))
        .route("/lists/{address}/members", get(members::of_list).post(members::add_to_list))
        .route("/lists/{address}/members/{member}", delete(members::remove_from_list))
        .route("/node/drain", post(nodes::drain))
        .route("/node/reload", post(nodes::reload))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{name}", delete(nodes::forget))
        .route("/nodes/{name}/drain", post(nodes::drain_other))
        .route("/purges", get(purges::list))
        .route("/queue", get(queue::list))
        .route("/queue/{id}", get(queue::show).delete(queue::cancel))
        .route("/queue/{id}/hold", post(queue::hold))
        .route("/queue/{id}/retry", post(queue::retry))
        .route("/search", get(search::status))
        .route("/search/rebuild", post(search::rebuild))
        .route("/search/explain", post(search::explain))
        .route("/signing-keys", delete(signing_keys::withdraw))
        .route("/sites", get(sites::list))
        .route("/sites/{kind}/{name}", put(sites::set))
        .route("/drill", get(sites::drill).put(sites::begin_drill))
        .route("/drill/{id}", delete(sites::end_drill))
        .route("/cluster/level", get(level::show).post(level::raise))
        .route("/store/rows", get(rows::page))
        .route("/store/verify", post(verifying::verify))
        .route("/store/repair", post(verifying::repair))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(admin.clone(), auth::require));
    Router::new()
        .route("/livez", get(health::live))
        .route("/startupz", get(health::startup))
        .route("/readyz", get(health::ready))
        .route("/cluster/health", get(cluster::health))
        .route("/cluster/health/schema", get(cluster::schema))
        .route("/cluster/nodes", get(cluster::nodes))
        .route("/cluster/leases", get(cluster::leases))
        .route("/cluster/queues", get(cluster::queues))
        .route("/metrics", get(metrics))
        .nest("/api/v1", api)
        .fallback(nothing)
        .with_state(admin)
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (admin.metrics)())
}

async fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here")
}
