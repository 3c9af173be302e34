//! GETQUOTA and GETQUOTAROOT (RFC 9208): one root per account, its name empty for one's own.

use imap_proto::mailbox::MailboxName;
use imap_proto::render::{self, Code, QuotaResource};

use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

/// RFC 9208 §4.1.1
pub(crate) async fn get(session: &mut Session, root: &str) -> Outcome {
    if !root.is_empty() {
        return Err(Reply::no("there is no such quota root").with(Code::NonExistent).into());
    }
    let account = session.identity()?.account;
    tell(session, account).await?;
    Ok(Reply::ok("done"))
}

/// RFC 9208 §4.1.2
pub(crate) async fn root(session: &mut Session, name: &MailboxName) -> Outcome {
    let found = session.existing(name).await?;
    let own = found.mailbox.account == session.identity()?.account;
    let utf8 = session.modes.utf8();
    render::quota_root(session.out(), name.as_str(), if own { &[""] } else { &[] }, utf8);
    if own {
        tell(session, found.mailbox.account).await?;
    }
    Ok(Reply::ok("done"))
}

/// RFC 9208 §4.1.3: who uses a quota does not set it.
pub(crate) fn set() -> Outcome {
    Err(Reply::no("quotas are set by the administrator").with(Code::NoPerm).into())
}

/// `* QUOTA "" (STORAGE used limit)`, in units of 1024 bytes (RFC 9208 §5.1).
async fn tell(session: &mut Session, account: schema::AccountId) -> Result<(), Stop> {
    let quota = session.services().mail.usage(account).await?;
    let storage = quota.octets_limit.map(|limit| QuotaResource {
        name: "STORAGE",
        usage: quota.octets.div_ceil(1024),
        limit: limit / 1024,
    });
    let resources: Vec<QuotaResource<'_>> = storage.into_iter().collect();
    render::quota(session.out(), "", &resources);
    Ok(())
}
