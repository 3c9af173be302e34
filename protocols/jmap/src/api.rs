//! `POST /jmap` (RFC 8620 §3): a request comes in whole, its calls run in order, a response goes out.

use std::sync::Arc;

use accounts::oauth::Bearer;
use accounts::{Identity, Proof};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response as HttpResponse};
use futures::StreamExt;
use jmap_proto::reference::{self, Copying};
use jmap_proto::{Invocation, MethodError, Request, RequestError, Response};

use crate::call::Call;
use crate::{Server, registry, scope, session};

pub(crate) async fn api(
    State(server): State<Arc<Server>>,
    Extension(identity): Extension<Identity>,
    Extension(proof): Extension<Proof>,
    bearer: Option<Extension<Bearer>>,
    http: HttpRequest,
) -> HttpResponse {
    let Some(_place) = server.busy.requests.enter(identity.account) else {
        return problem(&RequestError::Limit("maxConcurrentRequests"));
    };
    match read(&server, http).await {
        Ok(request) => match scope::lacking(bearer.as_ref().map(|bearer| &bearer.scope), &request.using) {
            Some(urn) => scope::insufficient(urn),
            None => respond(&perform(server, (identity, proof), request).await),
        },
        Err(Refused::Request(error)) => problem(&error),
        Err(Refused::Broken) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

enum Refused {
    Request(RequestError),
    /// The body did not come to its end.
    Broken,
}

impl From<RequestError> for Refused {
    fn from(error: RequestError) -> Self {
        Refused::Request(error)
    }
}

async fn read(server: &Server, http: HttpRequest) -> Result<Request, Refused> {
    if !is_json(http.headers()) {
        return Err(RequestError::NotJson("the content type is application/json").into());
    }
    let limits = &server.options.core.limits;
    let most = usize::try_from(limits.size_request).unwrap_or(usize::MAX);
    let length =
        http.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.size_request) {
        return Err(RequestError::Limit("maxSizeRequest").into());
    }
    let (mut stream, mut body) = (http.into_body().into_data_stream(), Vec::new());
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| Refused::Broken)?;
        if body.len() + piece.len() > most {
            return Err(RequestError::Limit("maxSizeRequest").into());
        }
        body.extend_from_slice(&piece);
    }
    let request = Request::parse(&body, limits)?;
    request.uses_only(registry::knows)?;
    Ok(request)
}

/// RFC 8620 §3.1; parameters do not matter.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Runs the calls of a request, in order.
pub(crate) async fn perform(
    server: Arc<Server>,
    (identity, proof): (Identity, Proof),
    request: Request,
) -> Response {
    let tell_created = request.created_ids.is_some();
    let mut call = Call::new(server, (identity, proof), request.created_ids.unwrap_or_default());
    call.using.clone_from(&request.using);
    let (mut answers, mut copying) = (Vec::with_capacity(request.calls.len()), Copying::default());
    for invocation in request.calls {
        let Invocation { name, arguments, call_id } = invocation;
        let answered = match reference::resolve(arguments, &answers, &mut copying) {
            Ok(arguments) => run(&mut call, &name, arguments, &request.using).await,
            Err(error) => Err(error),
        };
        metrics::counter!("jmap_calls_total", "ok" => if answered.is_ok() { "true" } else { "false" })
            .increment(1);
        answers.push(match answered {
            Ok(arguments) => Invocation { name, arguments, call_id: call_id.clone() },
            Err(error) => Invocation::error(&error, &call_id),
        });
        for (name, arguments) in std::mem::take(&mut call.further) {
            answers.push(Invocation { name: name.to_owned(), arguments, call_id: call_id.clone() });
        }
    }
    let session_state = session::state_for(&call.server.options, &call.identity);
    let created_ids = tell_created.then_some(call.created);
    Response { answers, created_ids, session_state }
}

async fn run(
    call: &mut Call,
    name: &str,
    arguments: jmap_proto::Object,
    using: &[String],
) -> Result<jmap_proto::Object, MethodError> {
    let method = registry::method(name, using).ok_or(MethodError::UnknownMethod)?;
    method(call, arguments).await
}

fn respond(response: &Response) -> HttpResponse {
    match serde_json::to_vec(response) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a response cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// RFC 8620 §3.6.1
pub(crate) fn problem(error: &RequestError) -> HttpResponse {
    let status = StatusCode::from_u16(RequestError::STATUS).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, error.to_value().to_string()).into_response()
}
