//! IDLE (RFC 2177, RFC 9051 §6.3.13): tells what happens until the client says DONE.

use std::pin::pin;

use imap_proto::framer::Event;
use imap_proto::render::{self, Condition};

use crate::options::STILL_HERE;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::{GOING_DOWN, Next, Session};

/// What ended a wait.
enum Woken {
    Input(Next),
    Change,
    Silence,
    Drain,
}

pub(crate) async fn run(session: &mut Session) -> Outcome {
    let account = match session.state.selected() {
        Some(selected) => selected.mailbox.account,
        None => session.identity()?.account,
    };
    // Subscribed before the look: what happens in between is seen twice, never missed.
    let mut subscription = session.services().feed.subscribe(account);
    render::continuation(session.out(), "idling");
    loop {
        match Box::pin(session.look_up_user()).await {
            // The store can not be read now: it is the next time.
            Ok(()) | Err(Stop::Reply(_)) => {}
            Err(stop) => return Err(stop),
        }
        session.sync_at_end(true).await?;
        if session.state.user().is_none() {
            // The mailbox or the account is gone, and the client was told.
            return Err(Stop::Answered);
        }
        let (used, event) = session.framer.next_line(session.connection.buffer());
        session.connection.consume(used);
        match event {
            Event::Command => break,
            Event::More => {}
            _ => return Err(Reply::bad("expected DONE").into()),
        }
        session.framer.release();
        session.connection.flush().await?;
        match wait(session, &mut subscription).await? {
            Woken::Input(Next::End) => return Err(Stop::Answered),
            Woken::Input(Next::GoOn) | Woken::Change => {}
            Woken::Silence => render::status(session.out(), None, Condition::Ok, None, "still here"),
            Woken::Drain => {
                session.bye(GOING_DOWN);
                return Err(Stop::Answered);
            }
        }
    }
    // RFC 9051 §6.3.13: DONE in any case.
    if session.framer.frame().eq_ignore_ascii_case(b"DONE") {
        Ok(Reply::ok("done"))
    } else {
        Err(Reply::bad("expected DONE").into())
    }
}

async fn wait(session: &mut Session, subscription: &mut changes::Subscription) -> Result<Woken, Stop> {
    let drain = pin!(session.context.shutdown.drain.cancelled());
    tokio::select! {
        filled = session.connection.fill() => Ok(Woken::Input(if filled? == 0 { Next::End } else { Next::GoOn })),
        () = subscription.changed() => Ok(Woken::Change),
        () = session.standing.is_due() => Ok(Woken::Change),
        () = tokio::time::sleep(STILL_HERE) => Ok(Woken::Silence),
        () = drain => Ok(Woken::Drain),
    }
}
