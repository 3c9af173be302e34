//! GETQUOTA and GETQUOTAROOT (RFC 9208): the account has a root, its name empty, if its storage is limited.

use imap_proto::mailbox::MailboxName;
use imap_proto::render::{self, Code, QuotaResource};
use schema::AccountId;

use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

/// RFC 9208 §4.1.1
pub(crate) async fn get(session: &mut Session, root: &str) -> Outcome {
    let account = session.identity()?.account;
    let storage = if root.is_empty() { storage(session, account).await? } else { None };
    let missing = || Reply::no("there is no such quota root").with(Code::NonExistent);
    render::quota(session.out(), "", &[storage.ok_or_else(missing)?]);
    Ok(Reply::ok("done"))
}

/// RFC 9208 §4.1.2
pub(crate) async fn root(session: &mut Session, name: &MailboxName) -> Outcome {
    let found = session.existing(name).await?;
    let account = session.identity()?.account;
    let storage = if found.mailbox.account == account { storage(session, account).await? } else { None };
    let utf8 = session.modes.utf8();
    let roots: &[&str] = if storage.is_some() { &[""] } else { &[] };
    render::quota_root(session.out(), name.as_str(), roots, utf8);
    if let Some(storage) = storage {
        render::quota(session.out(), "", &[storage]);
    }
    Ok(Reply::ok("done"))
}

/// RFC 9208 §4.1.3: who uses a quota does not set it.
pub(crate) fn set() -> Outcome {
    Err(Reply::no("quotas are set by the administrator").with(Code::NoPerm).into())
}

/// STORAGE of an account, in units of 1024 bytes (RFC 9208 §5.1), if it is limited.
async fn storage(session: &Session, account: AccountId) -> Result<Option<QuotaResource<'static>>, Stop> {
    let quota = session.services().mail.usage(account).await?;
    Ok(quota.octets_limit.map(|limit| QuotaResource {
        name: "STORAGE",
        usage: quota.octets.div_ceil(1024),
        limit: limit / 1024,
    }))
}
