//! The loop of a session: a frame comes in, a command runs, the view is brought up to date, an answer goes out.

use std::io;
use std::sync::Arc;

use imap_proto::framer::{Event, Framer, Limits, Refusal};
use imap_proto::render::{self, Code, Condition};
use imap_proto::{Command, ParseError, Problem, Tag, parse};
use net::{Connection, SessionContext};
use sasl::Mechanism;
use tokio::time::Instant;

use crate::command::append;
use crate::command::fetch_body::Ahead;
use crate::dispatch::{self, Manner, Row};
use crate::flow::State;
use crate::options::{COMMANDS_BEFORE_LOGIN, NONSENSE, NONSENSE_BEFORE_LOGIN};
use crate::reply::{Reply, Stop};
use crate::standing::Standing;
use crate::{Server, Services};

/// What the client switched on (RFC 5161), which changes what it is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Modes {
    pub(crate) rev2: bool,
    pub(crate) condstore: bool,
    pub(crate) qresync: bool,
    pub(crate) utf8_accept: bool,
}

impl Modes {
    /// Whether mailbox names are UTF-8 (RFC 9051 §5.1, RFC 6855 §3).
    pub(crate) fn utf8(self) -> bool {
        self.rev2 || self.utf8_accept
    }
}

/// One client.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) framer: Framer,
    pub(crate) server: Arc<Server>,
    pub(crate) context: SessionContext,
    pub(crate) state: State,
    pub(crate) modes: Modes,
    /// Whether who is logged in may stay.
    pub(crate) standing: Standing,
    /// Logins that failed.
    pub(crate) failures: u8,
    /// The beginning of the body that FETCH answers with next.
    pub(crate) ahead: Option<Box<Ahead>>,
    /// Commands before login.
    commands: u16,
    /// Lines that were no commands, or none for now.
    nonsense: u16,
}

/// What came in.
enum Incoming {
    /// A whole command is in the framer.
    Command,
    /// An APPEND up to its message is in the framer.
    Message,
    /// A frame beyond the caps.
    Refused { tag: Option<Tag>, why: Refusal, close: bool },
    /// Nothing more will.
    End,
}

/// Whether a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    End,
}

/// Serves a client to its end.
pub(crate) async fn serve(server: Arc<Server>, connection: Connection, context: SessionContext) {
    let mut session = Session {
        connection,
        framer: Framer::new(Limits::before_login()),
        server,
        context,
        state: State::NotAuthenticated,
        modes: Modes::default(),
        standing: Standing::default(),
        failures: 0,
        commands: 0,
        ahead: None,
        nonsense: 0,
    };
    if let Err(error) = session.run().await {
        session.lament(&error);
    }
    session.connection.close().await;
}

/// What clients are told when the server drains.
pub(crate) const GOING_DOWN: &str = "the server is going down, come back soon";

impl Session {
    pub(crate) fn services(&self) -> &Services {
        &self.server.services
    }

    /// Where answers are written; sent when input is waited for, or when much has been collected.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.connection.output()
    }

    /// A budget for what a command does of its own.
    pub(crate) fn spending(&self) -> query::Spending {
        query::Spending::new(self.server.options.search_budget, self.services().clock.clone())
    }

    async fn run(&mut self) -> io::Result<()> {
        self.connection.set_deadline(Some(Instant::now() + self.server.options.login_time));
        self.connection.set_read_timeout(self.server.options.idle_time);
        self.greet();
        loop {
            // What was sent ahead and has not begun is left unanswered: the client asks elsewhere.
            if self.context.shutdown.is_draining() {
                self.bye(GOING_DOWN);
                return Ok(());
            }
            let next = match self.next().await? {
                Incoming::Command | Incoming::Message if self.dawdles() => self.bye("log in first"),
                Incoming::Command => match parse(self.framer.frame(), self.modes.utf8()) {
                    // Boxed: what a command needs is not kept by a session that then waits for hours.
                    Ok(command) => Box::pin(self.execute(command)).await?,
                    Err(error) => self.misunderstood(&error),
                },
                Incoming::Message => Box::pin(append::run(self)).await?,
                Incoming::Refused { tag, why, close } => {
                    let (condition, code, text) = why.response();
                    render::status(self.out(), tag.as_ref(), condition, code.as_ref(), text);
                    if close { self.bye("that is more than is read here") } else { self.count_nonsense() }
                }
                Incoming::End => Next::End,
            };
            if next == Next::End {
                return Ok(());
            }
        }
    }

    /// RFC 9051 §7.1: the capabilities come with the greeting, so that they need not be asked for.
    fn greet(&mut self) {
        let text = format!("{} ready", self.server.options.hostname);
        let code = Code::Capability(self.capabilities().into());
        render::status(self.out(), None, Condition::Ok, Some(&code), &text);
    }

    /// The capabilities as they are now.
    pub(crate) fn capabilities(&self) -> String {
        let mut login = if self.login_allowed() {
            let names = Mechanism::ALL.map(|mechanism| format!("AUTH={}", mechanism.name()));
            names.join(" ")
        } else {
            "LOGINDISABLED".to_owned()
        };
        if self.context.tls.is_some() && !self.connection.is_tls() {
            login.push_str(" STARTTLS");
        }
        let authenticated = self.state.user().is_some();
        dispatch::capabilities(authenticated, self.server.options.append_limit, &login)
    }

    /// Whether a password may be sent now (RFC 9051 §6.2.3, §11.3).
    pub(crate) fn login_allowed(&self) -> bool {
        let loopback = self.connection.peer().ip().to_canonical().is_loopback();
        self.connection.is_tls() || (loopback && self.server.options.plaintext_from_loopback)
    }

    /// Waits for the next frame.
    async fn next(&mut self) -> io::Result<Incoming> {
        loop {
            let (used, event) = self.framer.next(self.connection.buffer());
            self.connection.consume(used);
            match event {
                Event::More => {
                    if self.fill().await? == Next::End {
                        return Ok(Incoming::End);
                    }
                }
                Event::Continue => render::continuation(self.out(), "go ahead"),
                Event::Command => return Ok(Incoming::Command),
                Event::Message { .. } => return Ok(Incoming::Message),
                Event::Refused { tag, why, close } => return Ok(Incoming::Refused { tag, why, close }),
                // A message is read by APPEND; elsewhere there is none.
                Event::Data { .. } => self.framer.abort_message(),
            }
        }
    }

    /// Sends what was written and waits for input. Ends at the end of input, when the user may not stay, and between two commands
    /// when the server drains: what a client has begun to say it may finish.
    pub(crate) async fn fill(&mut self) -> io::Result<Next> {
        self.framer.release();
        loop {
            self.connection.flush().await?;
            let idle = self.framer.is_idle();
            tokio::select! {
                biased;
                () = self.context.shutdown.drain.cancelled(), if idle => return Ok(self.bye(GOING_DOWN)),
                () = self.standing.is_due() => {}
                filled = self.connection.fill() => {
                    return Ok(if filled? == 0 { Next::End } else { Next::GoOn });
                }
            }
            match Box::pin(self.look_up_user()).await {
                // The store can not be read now: it is soon.
                Ok(()) | Err(Stop::Reply(_)) => {}
                Err(Stop::Answered) => return Ok(Next::End),
                Err(Stop::Broken(error)) => return Err(error),
            }
        }
    }

    /// The client's next line that is no command, without its CRLF: the rest of AUTHENTICATE, or DONE.
    pub(crate) async fn line(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        loop {
            let (used, event) = self.framer.next_line(self.connection.buffer());
            self.connection.consume(used);
            match event {
                Event::Command => return Ok(Some(self.framer.frame().to_vec())),
                Event::More => {
                    if self.fill().await? == Next::End {
                        return Ok(None);
                    }
                }
                Event::Refused { why, .. } => {
                    let (condition, code, text) = why.response();
                    return Err(Reply { condition, code, text: text.into() }.into());
                }
                _ => return Err(Reply::bad("unexpected line").into()),
            }
        }
    }

    /// Runs a command and answers it.
    async fn execute(&mut self, command: Command) -> io::Result<Next> {
        let tag = command.tag.clone();
        let Some(row) = dispatch::row_of(&command.body) else {
            return Ok(self.misunderstood(&ParseError { tag: Some(tag), problem: Problem::UnknownCommand }));
        };
        if !self.state.is(row.allowed) {
            let next = self.answer(&tag, dispatch::not_now(row)).await?;
            return Ok(if next == Next::GoOn { self.count_nonsense() } else { next });
        }
        let outcome = match Box::pin(self.prepare(row)).await {
            Ok(()) => dispatch::run(self, command).await,
            Err(stop) => Err(stop),
        };
        let reply = match outcome {
            Ok(reply) | Err(Stop::Reply(reply)) => reply,
            Err(Stop::Broken(error)) => return Err(error),
            Err(Stop::Answered) if matches!(self.state, State::Logout) => return Ok(Next::End),
            Err(Stop::Answered) => return Ok(Next::GoOn),
        };
        if row.manner != Manner::Switching {
            self.sync_at_end(row.manner != Manner::Numbered).await?;
        }
        self.answer(&tag, reply).await
    }

    /// What has to be known before a command.
    async fn prepare(&mut self, row: &Row) -> Result<(), Stop> {
        if dispatch::asks_who(row) || self.is_in_shared() {
            self.look_up_user().await?;
        }
        if matches!(row.manner, Manner::Fresh | Manner::Numbered) {
            self.sync(false).await?;
        }
        Ok(())
    }

    /// The tagged answer. Ends the session after LOGOUT or a BYE.
    pub(crate) async fn answer(&mut self, tag: &Tag, reply: Reply) -> io::Result<Next> {
        render::status(self.out(), Some(tag), reply.condition, reply.code.as_ref(), &reply.text);
        if matches!(self.state, State::Logout) {
            return Ok(Next::End);
        }
        self.connection.relieve().await?;
        Ok(Next::GoOn)
    }

    /// Brings the view up to date with the store and tells the client. `expunge`: whether messages may
    /// disappear now.
    pub(crate) async fn sync(&mut self, expunge: bool) -> Result<(), Stop> {
        self.still_there().await?;
        let Some(selected) = self.state.selected() else { return Ok(()) };
        let (mailbox, as_of) = (selected.mailbox, selected.view.as_of());
        let delta = self.server.services.mail.since(mailbox, as_of).await?;
        let (modes, out) = (self.modes, self.connection.output());
        let Some(selected) = self.state.selected_mut() else { return Ok(()) };
        if delta.resync {
            return self.resync(expunge).await;
        }
        selected.view.tell(out, &delta, expunge, modes);
        Ok(())
    }

    /// Fails if the user's account was removed. Where one of its mailboxes is open, the look at that says so too.
    async fn still_there(&self) -> Result<(), Stop> {
        let Some(user) = self.state.user() else { return Ok(()) };
        let account = user.identity.account;
        if self.state.selected().is_some_and(|selected| selected.mailbox.account == account)
            || self.services().mail.exists(account).await?
        {
            return Ok(());
        }
        Err(Reply::no("the account was removed").with(Code::NonExistent).into())
    }

    /// The log does not reach back to the view: everything is compared.
    async fn resync(&mut self, expunge: bool) -> Result<(), Stop> {
        let Some(selected) = self.state.selected() else { return Ok(()) };
        let (mailbox, as_of) = (selected.mailbox, selected.view.as_of());
        let opened = self.server.services.mail.open(mailbox).await?;
        let mut from = Some(1);
        let mut delta = mail::Delta {
            as_of: opened.as_of,
            changed: Vec::new(),
            vanished: selected.view.uids().difference(&opened.uids),
            resync: false,
        };
        while let Some(first) = from {
            let page =
                self.server.services.mail.messages(mailbox, first..=u32::MAX, crate::options::ROWS).await?;
            delta.changed.extend(page.rows.into_iter().filter(|row| row.modseq > as_of));
            from = page.next;
        }
        let (modes, out) = (self.modes, self.connection.output());
        if let Some(selected) = self.state.selected_mut() {
            selected.view.tell(out, &delta, expunge, modes);
        }
        Ok(())
    }

    /// As [`Self::sync`], at the end of a command, which has its answer already: a store that can not be read
    /// now is read the next time, but a mailbox or account that is gone ends the session (RFC 9051 §7.1.5).
    pub(crate) async fn sync_at_end(&mut self, expunge: bool) -> io::Result<()> {
        match Box::pin(self.sync(expunge)).await {
            Ok(()) | Err(Stop::Answered) => Ok(()),
            Err(Stop::Broken(error)) => Err(error),
            Err(Stop::Reply(reply)) => {
                if reply.code == Some(Code::NonExistent) {
                    self.bye(if self.state.selected().is_some() {
                        "the mailbox was deleted"
                    } else {
                        "the account was removed"
                    });
                }
                Ok(())
            }
        }
    }

    fn misunderstood(&mut self, error: &ParseError) -> Next {
        // What speaks HTTP to us was sent by somebody's browser, not by somebody (cross-protocol attacks).
        let http = self.framer.frame().windows(6).any(|window| window == b" HTTP/");
        render::status(self.out(), error.tag.as_ref(), Condition::Bad, None, error.problem.text());
        if http && self.state.user().is_none() { self.bye("this is IMAP") } else { self.count_nonsense() }
    }

    /// Counts a command, and says whether there were too many without a login.
    fn dawdles(&mut self) -> bool {
        if self.state.user().is_some() {
            return false;
        }
        self.commands += 1;
        self.commands > COMMANDS_BEFORE_LOGIN
    }

    pub(crate) fn count_nonsense(&mut self) -> Next {
        self.nonsense += 1;
        let most = if self.state.user().is_some() { NONSENSE } else { NONSENSE_BEFORE_LOGIN };
        if self.nonsense < most { Next::GoOn } else { self.bye("too many bad commands") }
    }

    /// The last words (RFC 9051 §7.1.5).
    pub(crate) fn bye(&mut self, text: &str) -> Next {
        render::status(self.out(), None, Condition::Bye, None, text);
        self.state.end();
        Next::End
    }

    /// What can be said about a connection that broke.
    fn lament(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::TimedOut => {
                self.bye("you were silent for too long");
            }
            io::ErrorKind::InvalidData => {
                self.bye("that can not be understood");
            }
            _ => {}
        }
        tracing::debug!(error = %error, session = self.context.id, "imap connection ended");
    }
}
