//! Whether emails are signed, and by whom they say (RFC 9219). What is found out of an email is kept, and looked at again in time, so
//! that the change log tells when it is another.

use std::sync::Arc;

use content_mail::smime::{LARGEST, Status, Trust, Verdict, kind, verify};
use jmap_proto::Object;
use jmap_proto::date::render_utc;
use mail::{Email, Signature};
use query::Spending;
use schema::records::mail::SignatureStatus;
use schema::{AccountId, EmailId};
use serde_json::Value;

use super::reading::Reading;
use super::wanted::Wanted;
use crate::Services;
use crate::access::Access;
use crate::call::Call;
use crate::download::Source;
use crate::fail::Fail;

/// RFC 9219 §3
pub(crate) const SMIME: &str = "urn:ietf:params:jmap:smimeverify";

/// Properties of an email (RFC 9219 §4.1), told if they are asked for.
pub(super) const PROPERTIES: [&str; 4] =
    ["smimeStatus", "smimeStatusAtDelivery", "smimeErrors", "smimeVerifiedAt"];

/// Whether a request may ask for them (RFC 8620 §3.3).
pub(super) fn is_used(call: &Call) -> bool {
    call.using.iter().any(|urn| urn == SMIME)
}

/// Tells what is wanted of a message: an email of an account, or a blob, which came never.
pub(super) async fn tell(
    object: &mut Object,
    call: &Call,
    reading: &mut Reading<'_>,
    wanted: &Wanted,
    email: Option<(AccountId, &Email)>,
) -> Result<(), Fail> {
    if !PROPERTIES.into_iter().any(|name| wanted.has(name)) {
        return Ok(());
    }
    let (services, trust) = (call.services(), &call.server.options.authorities);
    let told = if kind(&reading.summary.structure).is_none() {
        PROPERTIES.map(|_| Value::Null)
    } else if let Some((account, email)) = email {
        let kept = services.mail.signature(account, email.id).await?;
        let signature = match kept {
            Some(kept) => Some(kept),
            None => look(services, trust, reading, account, email).await?,
        };
        properties(signature.as_ref(), true)
    } else {
        let now = services.clock.now().secs();
        let verdict = verdicts(reading, trust, [now]).await?;
        let signature = verdict.map(|[verdict]| signature(&verdict, &verdict, now, trust));
        properties(signature.as_ref(), false)
    };
    for (name, value) in PROPERTIES.into_iter().zip(told) {
        if wanted.has(name) {
            object.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

/// What [`PROPERTIES`] are of a message of S/MIME that was verified, or was not. What is no email was not delivered.
fn properties(signature: Option<&Signature>, is_email: bool) -> [Value; 4] {
    let Some(one) = signature else {
        // RFC 9219 §4.1: nobody tried.
        return [
            "signed".into(),
            if is_email { "signed".into() } else { Value::Null },
            Value::Null,
            Value::Null,
        ];
    };
    let at_delivery = if is_email { text(one.at_delivery).into() } else { Value::Null };
    let errors = if one.errors.is_empty() { Value::Null } else { one.errors.clone().into() };
    [text(one.status).into(), at_delivery, errors, render_utc(one.verified.saturating_mul(1_000)).into()]
}

/// RFC 9219 §4.1
fn text(status: SignatureStatus) -> &'static str {
    match status {
        SignatureStatus::Unknown => "unknown",
        SignatureStatus::Verified => "signed/verified",
        SignatureStatus::Failed => "signed/failed",
    }
}

/// Looks at an email's signature, and keeps what is found; none if it is not verified, being too large for that.
async fn look(
    services: &Services,
    trust: &Arc<Trust>,
    reading: &mut Reading<'_>,
    account: AccountId,
    email: &Email,
) -> Result<Option<Signature>, mail::Error> {
    let now = services.clock.now().secs();
    let Some([current, at_delivery]) = verdicts(reading, trust, [now, email.received]).await? else {
        return Ok(None);
    };
    let found = signature(&current, &at_delivery, now, trust);
    match services.mail.keep_signature(account, email.id, &found).await {
        // It went meanwhile.
        Err(mail::Error::NotFound) => Ok(Some(found)),
        kept => Ok(Some(kept?)),
    }
}

fn signature(current: &Verdict, at_delivery: &Verdict, now: i64, trust: &Trust) -> Signature {
    let status = |verdict: &Verdict| match verdict.status {
        Status::Unknown => SignatureStatus::Unknown,
        Status::Verified => SignatureStatus::Verified,
        Status::Failed => SignatureStatus::Failed,
    };
    Signature {
        status: status(current),
        at_delivery: status(at_delivery),
        errors: current.errors.clone(),
        verified: now,
        until: current.until.and_then(|until| i64::try_from(until).ok()).unwrap_or(i64::MAX),
        authorities: trust.fingerprint(),
    }
}

/// Verifies a message of S/MIME as of some times, in seconds since the epoch; none if it is too large for that.
async fn verdicts<const N: usize>(
    reading: &mut Reading<'_>,
    trust: &Arc<Trust>,
    times: [i64; N],
) -> Result<Option<[Verdict; N]>, mail::Error> {
    let summary = Arc::clone(&reading.summary);
    if summary.size > LARGEST {
        return Ok(None);
    }
    let (whole, trust) = (reading.whole().await?, Arc::clone(trust));
    let work = move || times.map(|at| verify(&whole, &summary, &trust, u64::try_from(at).unwrap_or(0)));
    // Hashes of megabytes are not for a thread that serves others. One that was stopped did not verify anything.
    let verdicts = tokio::task::spawn_blocking(work).await.ok();
    let verdicts = verdicts.and_then(|verdicts| verdicts.into_iter().collect::<Option<Vec<Verdict>>>());
    Ok(verdicts.and_then(|verdicts| verdicts.try_into().ok()))
}

/// Looks again at the signatures of an account's emails that may be worth something else by now, so that `Email/changes` tells those
/// that are (RFC 9219 §4.3): a certificate ended, or other authorities are trusted. One that can not be looked at keeps none of
/// the others.
///
/// # Errors
/// The store's; the first, in the end.
pub async fn renew_signatures(
    services: &Services,
    authorities: &Arc<Trust>,
    account: AccountId,
) -> Result<(), mail::Error> {
    let (mut after, mut by_others, mut outcome) = (None, false, Ok(()));
    loop {
        let due = services.mail.due_signatures(account, authorities.fingerprint(), after).await?;
        by_others |= due.by_others;
        for email in due.emails {
            match renew(services, authorities, account, email).await {
                // It went meanwhile.
                Ok(()) | Err(mail::Error::NotFound) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        after = due.next;
        if after.is_none() {
            break;
        }
    }
    outcome?;
    if by_others {
        services.mail.signatures_are_by(account, authorities.fingerprint()).await?;
    }
    Ok(())
}

async fn renew(
    services: &Services,
    trust: &Arc<Trust>,
    account: AccountId,
    id: EmailId,
) -> Result<(), mail::Error> {
    let summary = services.mail.summary(account, id).await?;
    let email = services.mail.emails(account, &[id]).await?.pop().ok_or(mail::Error::NotFound)?;
    let mut reading = Reading::of(services, Source::stored(email.blob, email.size), summary);
    look(services, trust, &mut reading, account, &email).await.map(drop)
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
    spending: &Spending,
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
    let signature = match services.mail.signature(access.account, id).await? {
        Some(kept) => Some(kept),
        None => {
            let Some(email) = services.email(access, id).await? else { return Ok(None) };
            spending.pay(email.size).await?;
            let mut reading = Reading::of(services, Source::stored(email.blob, email.size), summary);
            look(services, &call.server.options.authorities, &mut reading, access.account, &email).await?
        }
    };
    if let Some(signature) = signature {
        findings.now = signature.status == SignatureStatus::Verified;
        findings.at_delivery = signature.at_delivery == SignatureStatus::Verified;
    }
    Ok(Some(findings))
}
