//! `/api/v1/store`: the store is looked through and mended while it is in use. Both answer with one JSON document per
//! line, as they go; who goes away ends it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use accounts::What;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use futures::{Stream, StreamExt, stream};
use runtime::CancellationToken;
use serde::Serialize;
use verify::{Cursor, Kind, Mended, Names, Scope, Verifier};

use crate::{Admin, Problem, api};

pub(crate) async fn verify(
    State(admin): State<Admin>,
    Json(request): Json<api::Verify>,
) -> Result<Response, Problem> {
    let events = verification(admin.verifier, &request, admin.health.drain().clone(), true).await?;
    Ok(lines(events))
}

pub(crate) async fn repair(
    State(admin): State<Admin>,
    Json(request): Json<api::Repair>,
) -> Result<Response, Problem> {
    Ok(lines(mendings(admin.verifier, request)))
}

fn lines<T: Serialize + Send + 'static>(events: impl Stream<Item = T> + Send + 'static) -> Response {
    let line = |event| {
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    };
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(events.map(line))).into_response()
}

/// Looks through the store: what happens meanwhile, and how it ended. With `paced` it pauses as long as it works, so
/// that others have the store for as long.
///
/// # Errors
/// For an account or cursor that is none.
pub async fn verification(
    verifier: Verifier,
    request: &api::Verify,
    drain: CancellationToken,
    paced: bool,
) -> Result<impl Stream<Item = api::Verification> + Send + use<>, Problem> {
    let account = match &request.account {
        None => None,
        Some(name) => {
            let found = verifier.account(name).await?;
            Some(found.ok_or(accounts::Error::NotFound(What::Account))?)
        }
    };
    let from = request.from.as_deref().map(str::parse).transpose();
    let from: Option<Cursor> =
        from.map_err(|error: verify::InvalidCursor| Problem::invalid(error.to_string()))?;
    let job = Job {
        verifier,
        scope: Scope { account, bodies: request.bodies },
        next: Some(from.unwrap_or(Cursor::START)),
        names: Names::default(),
        told: VecDeque::new(),
        pause: Duration::ZERO,
        drain,
        paced,
        rows: 0,
        bodies: 0,
        findings: 0,
    };
    Ok(stream::unfold(job, |mut job| async move { job.event().await.map(|event| (event, job)) }))
}

/// A verification that is under way.
struct Job {
    verifier: Verifier,
    scope: Scope,
    next: Option<Cursor>,
    names: Names,
    /// What is to be told before the next page is asked for.
    told: VecDeque<api::Verification>,
    pause: Duration,
    drain: CancellationToken,
    paced: bool,
    rows: u64,
    bodies: u64,
    findings: u64,
}

impl Job {
    async fn event(&mut self) -> Option<api::Verification> {
        if self.told.is_empty() {
            let from = self.next.take()?;
            self.go_on(from).await;
        }
        self.told.pop_front()
    }

    async fn go_on(&mut self, from: Cursor) {
        let going_down = tokio::select! {
            biased;
            () = self.drain.cancelled() => true,
            () = tokio::time::sleep(self.pause) => false,
        };
        let cursor = from.to_string();
        if going_down {
            let reason = "the node is going down".to_owned();
            return self.told.push_back(api::Verification::Failed { reason, cursor });
        }
        let begun = self.verifier.monotonic();
        let page = match self.verifier.page(&self.scope, &from).await {
            Ok(page) => page,
            Err(error) => {
                let reason = error.to_string();
                return self.told.push_back(api::Verification::Failed { reason, cursor });
            }
        };
        self.pause =
            if self.paced { self.verifier.monotonic().saturating_sub(begun) } else { Duration::ZERO };
        self.rows += page.rows;
        self.bodies += page.bodies;
        self.findings += page.findings.len() as u64;
        for finding in &page.findings {
            let shown = self.show(finding).await;
            self.told.push_back(api::Verification::Finding(shown));
        }
        self.told.extend(page.skipped.into_iter().map(|what| api::Verification::Skipped { what }));
        let (rows, bodies, findings) = (self.rows, self.bodies, self.findings);
        self.told.push_back(match &page.next {
            Some(next) => api::Verification::Progress { cursor: next.to_string(), rows, bodies },
            None => api::Verification::Done { rows, bodies, findings },
        });
        self.next = page.next;
    }

    async fn show(&mut self, finding: &verify::Finding) -> api::Finding {
        let place = self.verifier.locate(finding, &mut self.names).await;
        api::Finding {
            kind: finding.kind.code().to_owned(),
            severity: finding.kind.severity().name().to_owned(),
            account: place.account,
            mailbox: place.mailbox,
            uid: place.uid,
            row: schema::explain(&finding.key),
            key: HEXLOWER.encode(&finding.key),
            source: HEXLOWER.encode(&finding.source),
            detail: finding.detail.clone(),
            repair: finding.kind.remedy().to_owned(),
        }
    }
}

/// Mends findings, one after the other: what became of each.
pub fn mendings(verifier: Verifier, request: api::Repair) -> impl Stream<Item = api::Mending> + Send {
    let drop_lost = request.drop_lost;
    stream::iter(request.findings).then(move |shown| {
        let verifier = verifier.clone();
        async move {
            let (outcome, what) = match read(&shown) {
                None => ("failed", "this is no finding".to_owned()),
                Some(finding) => match verifier.mend(&finding, drop_lost).await {
                    Ok(Mended::Done(what)) => {
                        tracing::warn!(kind = shown.kind, row = shown.row, what, "store mended");
                        ("done", what)
                    }
                    Ok(Mended::Kept(why)) => ("kept", why),
                    Ok(Mended::Gone) => ("gone", "it does not stand any more".to_owned()),
                    Err(error) => ("failed", error.to_string()),
                },
            };
            api::Mending { kind: shown.kind, row: shown.row, outcome: outcome.to_owned(), what }
        }
    })
}

/// A finding as it was shown.
fn read(shown: &api::Finding) -> Option<verify::Finding> {
    let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).ok();
    Some(verify::Finding {
        kind: Kind::of_code(&shown.kind)?,
        key: bytes(&shown.key)?,
        source: bytes(&shown.source)?,
        detail: shown.detail.clone(),
    })
}
