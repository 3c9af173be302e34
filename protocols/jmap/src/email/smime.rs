//! Whether emails are signed, and by whom they say (RFC 9219): found out anew whenever it is asked, so that it is never
//! what was once true.

use std::sync::Arc;

use content_mail::smime::{Status, Verdict, kind, verify};
use jmap_proto::date::render_utc;
use jmap_proto::{MethodError, Object};
use query::Spending;
use schema::EmailId;
use serde_json::Value;

use super::reading::Reading;
use super::wanted::Wanted;
use crate::access::Access;
use crate::call::Call;
use crate::download::Source;
use crate::fail::Fail;
use crate::options::SIGNED;

/// RFC 9219 §3
pub(crate) const SMIME: &str = "urn:ietf:params:jmap:smimeverify";

/// Properties of an email (RFC 9219 §4.1), told if they are asked for.
pub(super) const PROPERTIES: [&str; 4] =
    ["smimeStatus", "smimeStatusAtDelivery", "smimeErrors", "smimeVerifiedAt"];

/// Whether a request may ask for them (RFC 8620 §3.3).
pub(super) fn is_used(call: &Call) -> bool {
    call.using.iter().any(|urn| urn == SMIME)
}

/// Tells what is wanted of a message that came at a time, in seconds since the epoch; one that is no email came never.
pub(super) async fn tell(
    object: &mut Object,
    call: &Call,
    reading: &mut Reading<'_>,
    wanted: &Wanted,
    received: Option<i64>,
) -> Result<(), Fail> {
    if !PROPERTIES.into_iter().any(|name| wanted.has(name)) {
        return Ok(());
    }
    let now = call.services().clock.now().millis();
    let is_now = ["smimeStatus", "smimeErrors", "smimeVerifiedAt"].into_iter().any(|name| wanted.has(name));
    let current = if is_now { verified(call, reading, seconds(now)).await? } else { None };
    let at_delivery = match received.filter(|_| wanted.has("smimeStatusAtDelivery")) {
        Some(received) => verified(call, reading, u64::try_from(received).unwrap_or(0)).await?,
        None => None,
    };
    let was_verified = current.as_ref().is_some_and(|one| one.verdict.is_some());
    let errors = current.as_ref().and_then(|one| one.verdict.as_ref()).map(|verdict| verdict.errors.clone());
    let told = [
        current.map_or(Value::Null, |one| one.text().into()),
        at_delivery.map_or(Value::Null, |one| one.text().into()),
        errors.filter(|errors| !errors.is_empty()).map_or(Value::Null, Value::from),
        if was_verified { render_utc(now).into() } else { Value::Null },
    ];
    for (name, value) in PROPERTIES.into_iter().zip(told) {
        if wanted.has(name) {
            object.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

/// A message of S/MIME.
struct Signed {
    /// What came of verifying it; none if it is too large for that.
    verdict: Option<Verdict>,
}

impl Signed {
    /// RFC 9219 §4.1
    fn text(&self) -> &'static str {
        match self.verdict.as_ref().map(|verdict| verdict.status) {
            None => "signed",
            Some(Status::Unknown) => "unknown",
            Some(Status::Verified) => "signed/verified",
            Some(Status::Failed) => "signed/failed",
        }
    }
}

/// Verifies a message as of a time, in seconds since the epoch; none if it is not of S/MIME.
async fn verified(call: &Call, reading: &mut Reading<'_>, at: u64) -> Result<Option<Signed>, Fail> {
    let summary = Arc::clone(&reading.summary);
    if kind(&summary.structure).is_none() {
        return Ok(None);
    }
    if summary.size > SIGNED {
        return Ok(Some(Signed { verdict: None }));
    }
    let (whole, trust) = (reading.whole().await?, Arc::clone(&call.server.options.authorities));
    let work = move || verify(&whole, &summary, &trust, at);
    // Hashes of megabytes are not for a thread that serves others.
    let verdict = tokio::task::spawn_blocking(work).await;
    let verdict = verdict.map_err(|_| MethodError::ServerFail("the verification failed".to_owned()))?;
    Ok(verdict.map(|verdict| Signed { verdict: Some(verdict) }))
}

fn seconds(ms: i64) -> u64 {
    u64::try_from(ms.div_euclid(1_000)).unwrap_or(0)
}

/// What queries want to know of an email of S/MIME (RFC 9219 §4.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Findings {
    /// Its signature is verified now.
    pub(crate) now: bool,
    /// It was when it came.
    pub(crate) at_delivery: bool,
}

/// Finds out about an email for a query; none if it is not of S/MIME, or went meanwhile. Signatures are looked at if
/// `deeply`.
pub(super) async fn find_out(
    call: &Call,
    access: &Access,
    id: EmailId,
    deeply: bool,
    spending: &mut Spending,
) -> Result<Option<Findings>, Fail> {
    let summary = match call.services().mail.summary(access.account, id).await {
        Err(mail::Error::NotFound) => return Ok(None),
        summary => summary?,
    };
    if kind(&summary.structure).is_none() {
        return Ok(None);
    }
    let mut findings = Findings { now: false, at_delivery: false };
    if !deeply {
        return Ok(Some(findings));
    }
    let services = call.services();
    let Some(email) = services.email(access, id).await? else { return Ok(None) };
    spending.pay(email.size).await?;
    let mut reading = Reading::of(services, Source::stored(email.blob, email.size), summary);
    let is_verified = |signed: Option<Signed>| {
        signed.and_then(|one| one.verdict).is_some_and(|verdict| verdict.status == Status::Verified)
    };
    findings.now = is_verified(verified(call, &mut reading, seconds(services.clock.now().millis())).await?);
    let received = u64::try_from(email.received).unwrap_or(0);
    findings.at_delivery = is_verified(verified(call, &mut reading, received).await?);
    Ok(Some(findings))
}
