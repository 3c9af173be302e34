//! `/api/v1/queue`.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use schema::{AccountId, QueueId};
use spool::{Entry, Recipient, RecipientState, Reply};

use crate::domains_api::Paging;
use crate::{Admin, Problem, api};

pub(crate) async fn list(
    State(admin): State<Admin>,
    Query(paging): Query<Paging>,
) -> Result<Json<api::Page<api::QueueEntry>>, Problem> {
    let after = paging.after.as_deref().map(str::parse).transpose();
    let after = after.map_err(|_| Problem::invalid("a queue id is a number"))?.map(QueueId);
    let listing = admin.spool.list(after, paging.limit()).await?;
    let mut items = Vec::new();
    for entry in listing.entries {
        items.push(render(&admin, entry).await?);
    }
    Ok(Json(api::Page { items, next: listing.next.map(|id| id.0.to_string()) }))
}

pub(crate) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<u64>,
) -> Result<Json<api::QueueEntry>, Problem> {
    Ok(Json(render(&admin, admin.spool.get(QueueId(id)).await?).await?))
}

pub(crate) async fn cancel(State(admin): State<Admin>, Path(id): Path<u64>) -> Result<StatusCode, Problem> {
    admin.spool.cancel(QueueId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn hold(State(admin): State<Admin>, Path(id): Path<u64>) -> Result<StatusCode, Problem> {
    admin.spool.hold(QueueId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn retry(State(admin): State<Admin>, Path(id): Path<u64>) -> Result<StatusCode, Problem> {
    admin.spool.retry_now(QueueId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn render(admin: &Admin, entry: Entry) -> Result<api::QueueEntry, Problem> {
    let submitter = match entry.submitter {
        Some(account) => Some(address(admin, account).await?),
        None => None,
    };
    let state = match entry.state {
        spool::State::Waiting => "waiting",
        spool::State::Claimed => "claimed",
        spool::State::Held => "held",
    };
    Ok(api::QueueEntry {
        submitter,
        id: entry.id.0,
        return_path: entry.return_path,
        domain: entry.domain,
        size: entry.size,
        state: state.to_owned(),
        created: entry.created.millis(),
        due: entry.due.millis(),
        expires: entry.expires.millis(),
        recipients: entry.recipients.into_iter().map(render_recipient).collect(),
    })
}

/// The account's address, or its id if it is gone.
async fn address(admin: &Admin, account: AccountId) -> Result<String, Problem> {
    let known = admin.accounts.account(account).await?;
    Ok(known.map_or_else(|| format!("#{account}"), |known| known.address))
}

fn render_recipient(recipient: Recipient) -> api::QueueRecipient {
    let state = match recipient.state {
        RecipientState::Pending => "pending",
        RecipientState::Delivered => "delivered",
        RecipientState::Failed => "failed",
    };
    let said = |reply: Reply| format!("{} {} {} ({})", reply.code, reply.enhanced, reply.text, reply.host);
    api::QueueRecipient {
        address: recipient.address,
        state: state.to_owned(),
        attempts: recipient.attempts,
        last: recipient.last.map(said),
    }
}
