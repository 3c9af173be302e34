//! APPEND (RFC 9051 §6.3.12) of one message or several (RFC 3502): streamed into the blob store, parsed on the
//! way, and committed together.

use std::io;
use std::sync::Arc;

use content_mail::Summarizer;
use imap_proto::command::{AppendMessage, MessageSyntax, parse_next_append};
use imap_proto::framer::Event;
use imap_proto::mailbox::MailboxName;
use imap_proto::render::{self, Code};
use imap_proto::{Body, Command, ParseError, Tag, parse};
use mail::{Incoming, NewMessage, UidSet};
use schema::Flags;

use crate::dispatch;
use crate::flags;
use crate::flow::Allowed;
use crate::namespace::Found;
use crate::options::{APPEND_INLINE, APPEND_MESSAGES, APPEND_WEIGHT};
use crate::reply::{Outcome, Reply, Stop};
use crate::session::{Next, Session};

/// An APPEND whose first message was just announced.
pub(crate) async fn run(session: &mut Session) -> io::Result<Next> {
    let (tag, append) = match parse(session.framer.frame(), session.modes.utf8()) {
        Ok(Command { tag, body: Body::Append(append) }) => (tag, append),
        Ok(Command { tag, .. }) => return refuse(session, &tag, Reply::bad("unexpected literal")).await,
        Err(ParseError { tag, problem }) => {
            let Some(tag) = tag else {
                session.framer.refuse();
                return Ok(session.bye("no tag, no sense"));
            };
            return refuse(session, &tag, Reply::bad(problem.text())).await;
        }
    };
    if !session.state.is(Allowed::Authenticated) {
        let row = dispatch::row_of(&Body::Append(append));
        let next = refuse(session, &tag, row.map_or(Reply::bad("not now"), dispatch::not_now)).await?;
        return Ok(if next == Next::GoOn { session.count_nonsense() } else { next });
    }
    let target = match target(session, &append.mailbox).await {
        Ok(found) => found,
        Err(Stop::Reply(reply)) => return refuse(session, &tag, reply).await,
        Err(Stop::Broken(error)) => return Err(error),
        Err(Stop::Answered) => return Ok(Next::End),
    };
    let reply = match receive_all(session, &target, append.message).await {
        Ok(reply) | Err(Stop::Reply(reply)) => reply,
        Err(Stop::Broken(error)) => return Err(error),
        Err(Stop::Answered) => return Ok(Next::End),
    };
    session.sync_at_end(true).await?;
    session.answer(&tag, reply).await
}

/// The mailbox, as far as the user may put messages into it by now.
async fn target(session: &mut Session, name: &MailboxName) -> Result<Found, Stop> {
    session.look_up_user().await?;
    session.target(name).await
}

/// The message is not taken: it is skipped, or the connection ends if that would be too much.
async fn refuse(session: &mut Session, tag: &Tag, reply: Reply) -> io::Result<Next> {
    let close = session.framer.refuse();
    session.answer(tag, reply).await?;
    Ok(if close { session.bye(TOO_MUCH) } else { Next::GoOn })
}

const TOO_MUCH: &str = "that is more than is read here";

/// The announced message is not taken after all.
fn give_up(session: &mut Session) {
    if session.framer.refuse() {
        session.bye(TOO_MUCH);
    }
}

/// Takes the messages in and commits them: all or none (RFC 3502 §3).
async fn receive_all(session: &mut Session, target: &Found, first: AppendMessage) -> Outcome {
    let mut messages = Vec::new();
    let (mut inline, mut weight) = (0, 0);
    let mut next = Some(first);
    while let Some(head) = next {
        let flags = match flags::parse(&head.flags) {
            Ok(flags) => flags,
            Err(stop) => {
                give_up(session);
                return Err(stop);
            }
        };
        let mut writer = session.services().blobs.writer();
        if inline >= APPEND_INLINE {
            writer = writer.outside();
        }
        let message = match receive(session, &head, flags, writer).await {
            Ok(message) => message,
            Err(stop) => {
                session.framer.abort_message();
                return Err(stop);
            }
        };
        inline += message.incoming.staged.inline().map_or(0, bytes::Bytes::len);
        weight += message.incoming.weight();
        messages.push(message);
        let full = messages.len() >= APPEND_MESSAGES || weight > APPEND_WEIGHT;
        next = following(session, head.syntax, full).await?;
    }
    let appended = session.services().mail.append_all(target.mailbox, &messages).await?;
    let uid_validity = target.row.uid_validity.get();
    let uids: UidSet = appended.iter().map(|one| one.uid).collect();
    let uids: Vec<_> = uids.ranges().collect();
    // RFC 4315 §3
    Ok(Reply::ok("stored").with(Code::AppendUid { uid_validity, uids: uids.into() }))
}

/// Takes one message in.
async fn receive(
    session: &mut Session,
    head: &AppendMessage,
    flags: Flags,
    mut writer: blob::Writer,
) -> Result<NewMessage, Stop> {
    let sync = matches!(session.framer.next(&[]), (_, Event::Message { sync: true, .. }));
    session.framer.accept();
    if sync {
        render::continuation(session.out(), "go ahead");
    }
    let mut summarizer = Summarizer::new(content_mail::Limits::default());
    loop {
        let (used, event) = session.framer.next(session.connection.buffer());
        if let Event::Data { length, last } = event {
            let bytes = &session.connection.buffer()[used - length..used];
            // RFC 3516 §4.4: NUL is for literal8 only.
            if head.syntax == MessageSyntax::Literal && memchr::memchr(0, bytes).is_some() {
                session.connection.consume(used);
                return Err(Reply::bad("a literal holds no NUL").into());
            }
            summarizer.push(bytes);
            let written = writer.write(bytes).await;
            // Used in any case: the framer has counted them.
            session.connection.consume(used);
            written?;
            if last {
                break;
            }
            continue;
        }
        session.connection.consume(used);
        if event != Event::More || session.fill().await? == Next::End {
            return Err(Stop::Answered);
        }
    }
    let staged = writer.finish().await?;
    let incoming = Incoming { staged, summary: Arc::new(summarizer.finish()) };
    let now = session.services().clock.now().secs();
    let internal_date = head.internal_date.map_or(now, |date| date.unix_seconds);
    Ok(NewMessage { incoming, flags, internal_date })
}

/// What follows a message: another one, unless it is `full`, or the end of the command.
async fn following(
    session: &mut Session,
    syntax: MessageSyntax,
    full: bool,
) -> Result<Option<AppendMessage>, Stop> {
    loop {
        let (used, event) = session.framer.next(session.connection.buffer());
        session.connection.consume(used);
        match event {
            Event::More => {
                if session.fill().await? == Next::End {
                    return Err(Stop::Answered);
                }
            }
            Event::Command | Event::Message { .. } => {
                let announced = event != Event::Command;
                let next =
                    parse_next_append(session.framer.frame(), syntax).map_err(|p| Reply::bad(p.text()));
                let next = match next {
                    Ok(Some(_)) if full => Err(Reply::no("too many messages at once").with(Code::Limit)),
                    // RFC 9051 §6.3.12: every further message ends in a literal.
                    Ok(next) if next.is_some() != announced => Err(Reply::bad("expected a message")),
                    next => next,
                };
                if next.is_err() && announced {
                    give_up(session);
                }
                return next.map_err(Stop::from);
            }
            Event::Refused { why, close, .. } => {
                if close {
                    session.bye(TOO_MUCH);
                }
                let (condition, code, text) = why.response();
                return Err(Reply { condition, code, text: text.into() }.into());
            }
            Event::Continue | Event::Data { .. } => return Err(Reply::bad("unexpected literal").into()),
        }
    }
}
