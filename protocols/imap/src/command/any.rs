//! CAPABILITY, LOGOUT (RFC 9051 §6.1) and ID (RFC 2971): allowed in any state.

use imap_proto::render;

use crate::reply::{Outcome, Reply};
use crate::session::Session;

/// RFC 9051 §6.1.1
pub(crate) fn capability(session: &mut Session) -> Outcome {
    let names = session.capabilities();
    render::capability(session.out(), &names);
    Ok(Reply::ok("done"))
}

/// RFC 9051 §6.1.3: BYE comes before the tagged OK.
pub(crate) fn logout(session: &mut Session) -> Outcome {
    session.bye("see you");
    Ok(Reply::ok("done"))
}

/// RFC 2971 §3.1. The version is not told: it helps attackers more than clients.
pub(crate) fn id(session: &mut Session) -> Outcome {
    render::id(session.out(), &[("name", "Godwit")]);
    Ok(Reply::ok("done"))
}
