//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8).

use accounts::Rights;
use imap_proto::command::{Create, Rename};
use imap_proto::mailbox::MailboxName;
use imap_proto::render::Code;
use mail::{MailboxPath, Role};

use crate::namespace::place;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

/// RFC 9051 §6.3.4, with a special use (RFC 6154 §3).
pub(crate) async fn create(session: &mut Session, create: Create) -> Outcome {
    let role = role_of(&create.special_use)?;
    let place = session.place(&create.mailbox)?;
    // RFC 9051 §6.3.4: a separator at the end says that children will follow, and is not part of the name.
    let path = MailboxPath::parse(place.path.strip_suffix('/').unwrap_or(&place.path))?;
    let mailbox = session.services().mail.create(place.account, &path, role).await?;
    let id = session.object_id(place.account, &mailbox);
    Ok(Reply::ok("made").with(Code::MailboxId(id.into()))) // RFC 8474 §4.2
}

/// The role a special-use attribute stands for; NO [USEATTR] for what can not be made (RFC 6154 §3).
fn role_of(attributes: &[String]) -> Result<Option<Role>, Stop> {
    let no = || Reply::no("this special use can not be made").with(Code::UseAttr);
    match attributes {
        [] => Ok(None),
        [one] => Role::from_attribute(one).map(Some).ok_or_else(|| no().into()),
        _ => Err(no().into()),
    }
}

/// RFC 9051 §6.3.5
pub(crate) async fn delete(session: &mut Session, name: &MailboxName) -> Outcome {
    let found = session.existing(name).await?;
    session.need(found.mailbox.account, Rights::DELETE_MAILBOX)?;
    session.services().mail.delete(found.mailbox.account, &found.row.path).await?;
    // The session that deletes what it has open keeps no view of it.
    if session.state.selected().is_some_and(|selected| selected.mailbox == found.mailbox) {
        session.state.close();
    }
    Ok(Reply::ok("deleted"))
}

/// RFC 9051 §6.3.6
pub(crate) async fn rename(session: &mut Session, rename: &Rename) -> Outcome {
    let found = session.existing(&rename.from).await?;
    session.need(found.mailbox.account, Rights::DELETE_MAILBOX)?;
    let to = session.place(&rename.to)?;
    if to.account != found.mailbox.account {
        return Err(Reply::no("a mailbox can not change its owner").with(Code::Cannot).into());
    }
    let path = MailboxPath::parse(to.path.strip_suffix('/').unwrap_or(&to.path))?;
    session.services().mail.rename(to.account, &found.row.path, &path).await?;
    Ok(Reply::ok("renamed"))
}

/// RFC 9051 §6.3.7, §6.3.8: the name need not exist, but it is written as LIST would tell it.
pub(crate) async fn subscribe(session: &mut Session, name: &MailboxName, on: bool) -> Outcome {
    let identity = session.identity()?;
    let account = identity.account;
    let written = name.as_str();
    let place = place(identity, written);
    let path = place.as_ref().map_or(written, |place| &place.path);
    let prefix = written.strip_suffix(path).unwrap_or_default();
    let name = format!("{prefix}{}", MailboxPath::parse(path)?);
    session.services().mail.subscribe(account, &name, on).await?;
    Ok(Reply::ok("done"))
}
