//! Where a command ends, decided once, and every cap applied before grammar sees a byte.
//!
//! A frame is a line with the literals in it, as sent but for the last CRLF. Literals that are arguments
//! are gathered into the frame. The message of an APPEND is not: [`Event::Message`] announces it, the
//! session takes or refuses it, and its bytes pass through as [`Event::Data`], so that a message of any
//! size needs no memory here. Between two commands the framer holds no buffer.

use crate::Tag;
use crate::cursor::LiteralHeader;
use crate::limits;
use crate::render::{Code, Condition};

/// The caps in force.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest line, in bytes.
    pub line: usize,
    /// Longest command without the message of an APPEND, in bytes.
    pub command: usize,
    /// Longest argument literal, in bytes.
    pub literal: u64,
    /// Largest message of an APPEND, in bytes; 0 while APPEND is not allowed (RFC 7889).
    pub message: u64,
    /// Largest non-synchronizing literal, in bytes: LITERAL- says 4096, LITERAL+ has no bound of its own
    /// (RFC 7888 §4, §5).
    pub non_sync: u64,
}

impl Limits {
    /// Before login a connection is worth little memory: 8 KiB in all, no message.
    pub fn before_login() -> Limits {
        let command = limits::COMMAND_BEFORE_LOGIN;
        Limits {
            line: command,
            command,
            literal: command as u64,
            message: 0,
            non_sync: limits::LITERAL_MINUS,
        }
    }

    /// After login; `message` is what APPENDLIMIT says (RFC 7889), in bytes.
    pub fn after_login(message: u64) -> Limits {
        Limits {
            line: limits::LINE,
            command: limits::COMMAND,
            literal: limits::LITERAL,
            message,
            non_sync: u64::MAX,
        }
    }
}

/// What [`Framer::next`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Everything given was taken; more is needed.
    More,
    /// A synchronizing literal was announced and fits: send `+ ` and go on (RFC 9051 §7.6).
    Continue,
    /// A command is whole: see [`Framer::frame`].
    Command,
    /// The message of an APPEND was announced: [`Framer::frame`] is the command up to and with `{n}`.
    /// Call [`Framer::accept`] or [`Framer::refuse`] before anything else.
    Message {
        /// Bytes announced.
        size: u64,
        /// Whether the client waits for `+ `.
        sync: bool,
    },
    /// The next `length` bytes of the input, just consumed, belong to the message.
    Data {
        /// How many bytes.
        length: usize,
        /// Whether they are the last ones.
        last: bool,
    },
    /// The command breaks a cap or the framing. Answer it; the framer skips what remains of it by itself.
    Refused {
        /// Its tag, if the line had one.
        tag: Option<Tag>,
        /// Why.
        why: Refusal,
        /// Whether skipping would cost too much: answer and close.
        close: bool,
    },
}

/// Why a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The line is longer than allowed.
    LineTooLong,
    /// The command with its literals is longer than allowed.
    CommandTooLong,
    /// The literal is larger than allowed.
    LiteralTooBig,
    /// The message of an APPEND is larger than allowed.
    MessageTooBig,
    /// A non-synchronizing literal above what LITERAL- allows.
    NonSyncTooBig,
    /// More literals in one command than allowed.
    TooManyLiterals,
    /// The line ends in LF without CR.
    BareLf,
}

impl Refusal {
    /// The status, code and text of the answer.
    pub fn response(self) -> (Condition, Option<Code<'static>>, &'static str) {
        match self {
            Refusal::LineTooLong => (Condition::Bad, None, "line is too long"),
            Refusal::CommandTooLong => (Condition::Bad, None, "command is too long"),
            Refusal::LiteralTooBig => (Condition::Bad, Some(Code::TooBig), "literal is too big"),
            // RFC 9051 §7.1 TOOBIG, RFC 7889 §4: the message is larger than the server takes.
            Refusal::MessageTooBig => (Condition::No, Some(Code::TooBig), "message is too big"),
            Refusal::NonSyncTooBig => {
                (Condition::Bad, Some(Code::TooBig), "non-synchronizing literal is too big")
            }
            Refusal::TooManyLiterals => (Condition::Bad, None, "too many literals"),
            Refusal::BareLf => (Condition::Bad, None, "lines end in CRLF"),
        }
    }
}

/// Where the framer is within a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a line, from its start or behind a literal.
    Line,
    /// In an argument literal.
    Literal { left: u64 },
    /// A message was announced and the session has not said what to do with it.
    Undecided { size: u64, sync: bool },
    /// In the message of an APPEND.
    Message { left: u64 },
    /// In the rest of a refused line.
    SkipLine { left: u64 },
    /// In a non-synchronizing literal of a refused command.
    SkipLiteral { left: u64 },
}

/// Cuts a client's bytes into commands.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    state: State,
    frame: Vec<u8>,
    /// Where the current line begins within `frame`.
    line_start: usize,
    /// Whether the frame was handed out and the next byte begins a new one.
    done: bool,
    literals: usize,
    /// The tag of an APPEND whose message has begun, as the frame no longer holds it.
    append: Option<Tag>,
}

impl Framer {
    /// A framer at the start of a connection.
    pub fn new(limits: Limits) -> Framer {
        Framer {
            limits,
            state: State::Line,
            frame: Vec::new(),
            line_start: 0,
            done: false,
            literals: 0,
            append: None,
        }
    }

    /// Other caps from the next command on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The frame of the last [`Event::Command`] or [`Event::Message`].
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Whether nothing of a command was read yet.
    pub fn is_idle(&self) -> bool {
        self.state == State::Line && (self.done || self.frame.is_empty()) && self.append.is_none()
    }

    /// Gives the memory of the last frame back; for a session about to wait.
    pub fn release(&mut self) {
        if self.done {
            self.frame = Vec::new();
            self.line_start = 0;
            self.done = false;
        }
    }

    /// Forgets whatever was read: nothing sent before STARTTLS is believed after it (RFC 9051 §6.2.1).
    pub fn reset(&mut self) {
        *self = Framer::new(self.limits);
    }

    /// Takes from `input` what belongs to the next event; returns how much that was.
    pub fn next(&mut self, input: &[u8]) -> (usize, Event) {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let (count, event) = match self.state {
                State::Line => self.line(rest),
                State::Literal { left } => self.literal(rest, left),
                State::Undecided { size, sync } => (0, Some(Event::Message { size, sync })),
                State::Message { left } => self.message(rest, left),
                State::SkipLine { left } => self.skip_line(rest, left),
                State::SkipLiteral { left } => self.skip_literal(rest, left),
            };
            used += count;
            if let Some(event) = event {
                return (used, event);
            }
        }
    }

    /// A line that is not a command: the client's side of AUTHENTICATE, or DONE (RFC 9051 §6.2.2, §6.3.13).
    /// [`Event::Command`] with the line as the frame, whatever it ends in.
    pub fn next_line(&mut self, input: &[u8]) -> (usize, Event) {
        match self.take_line(input) {
            Err((used, event)) => (used, event),
            Ok(used) => {
                self.done = true;
                (used, Event::Command)
            }
        }
    }

    /// The announced message is wanted. A client that waits is to be sent `+ `.
    pub fn accept(&mut self) {
        if let State::Undecided { size, .. } = self.state {
            self.append = self.append.take().or_else(|| Tag::leading(&self.frame));
            self.state = State::Message { left: size };
            self.clear();
        }
    }

    /// The announced message is not wanted: the rest of the command is skipped. Returns whether the
    /// connection is to be closed instead, because that would be too much.
    pub fn refuse(&mut self) -> bool {
        let State::Undecided { size, sync } = self.state else { return false };
        self.abandon();
        // RFC 7888 §4: a client that does not wait sends the literal whatever is answered.
        if !sync {
            self.state = State::SkipLiteral { left: size };
            return size > limits::SKIP;
        }
        false
    }

    /// Drops what is left of an APPEND whose message was accepted but can not be kept.
    pub fn abort_message(&mut self) {
        self.state = match self.state {
            State::Message { left } => State::SkipLiteral { left },
            _ => State::SkipLine { left: limits::SKIP },
        };
        self.clear();
        self.append = None;
        self.literals = 0;
    }

    fn clear(&mut self) {
        self.frame = Vec::new();
        self.line_start = 0;
        self.done = false;
    }

    fn abandon(&mut self) {
        self.clear();
        self.state = State::Line;
        self.literals = 0;
        self.append = None;
    }

    /// Moves bytes up to the LF into the frame. `Ok`: the line is there, without its CRLF.
    fn take_line(&mut self, input: &[u8]) -> Result<usize, (usize, Event)> {
        if self.done {
            self.clear();
        }
        let end = memchr::memchr(b'\n', input);
        let room = (self.limits.line + self.line_start).saturating_sub(self.frame.len());
        let count = end.map_or(input.len(), |end| end + 1);
        let why = if count > room {
            Some(Refusal::LineTooLong)
        } else {
            (self.frame.len() + count > self.limits.command).then_some(Refusal::CommandTooLong)
        };
        if let Some(why) = why {
            // Enough of the line to find the tag in.
            let missing = (limits::TAG + 1).saturating_sub(self.frame.len());
            self.frame.extend_from_slice(&input[..count.min(missing)]);
            return Err((0, self.refused(why, State::SkipLine { left: limits::SKIP })));
        }
        self.frame.extend_from_slice(&input[..count]);
        if end.is_none() {
            return Err((count, Event::More));
        }
        if !self.frame[self.line_start..].ends_with(b"\r\n") {
            return Err((count, self.refused(Refusal::BareLf, State::Line)));
        }
        self.frame.truncate(self.frame.len() - 2);
        Ok(count)
    }

    fn line(&mut self, input: &[u8]) -> (usize, Option<Event>) {
        let used = match self.take_line(input) {
            Ok(used) => used,
            Err((used, event)) => return (used, Some(event)),
        };
        let Some((at, header)) = LiteralHeader::at_end(&self.frame[self.line_start..]) else {
            self.done = true;
            self.literals = 0;
            self.append = None;
            return (used, Some(Event::Command));
        };
        (used, self.announced(self.line_start + at, header))
    }

    /// A literal was announced at `at`: gathered, handed out or refused.
    fn announced(&mut self, at: usize, header: LiteralHeader) -> Option<Event> {
        let is_message = self.append.is_some() || is_append_message(&self.frame[..at]);
        self.literals += 1;
        let gathered = self.frame.len() as u64 + 2;
        let why = if self.literals > limits::LITERALS {
            Some(Refusal::TooManyLiterals)
        } else if header.non_sync && header.size > self.limits.non_sync {
            Some(Refusal::NonSyncTooBig)
        } else if is_message {
            (header.size > self.limits.message).then_some(Refusal::MessageTooBig)
        } else if header.size > self.limits.literal {
            Some(Refusal::LiteralTooBig)
        } else {
            (gathered + header.size > self.limits.command as u64).then_some(Refusal::CommandTooLong)
        };
        if let Some(why) = why {
            let next = match header.non_sync {
                true => State::SkipLiteral { left: header.size },
                false => State::Line, // the client waits for "+", gets a NO or BAD and sends nothing
            };
            return Some(self.refused(why, next));
        }
        let sync = !header.non_sync;
        if is_message {
            self.state = State::Undecided { size: header.size, sync };
            return Some(Event::Message { size: header.size, sync });
        }
        self.frame.extend_from_slice(b"\r\n");
        self.state = State::Literal { left: header.size };
        sync.then_some(Event::Continue)
    }

    fn literal(&mut self, input: &[u8], left: u64) -> (usize, Option<Event>) {
        let count = bounded(input.len(), left);
        self.frame.extend_from_slice(&input[..count]);
        let left = left - count as u64;
        if left > 0 {
            self.state = State::Literal { left };
            return (count, Some(Event::More));
        }
        self.line_start = self.frame.len();
        self.state = State::Line;
        (count, None)
    }

    fn message(&mut self, input: &[u8], left: u64) -> (usize, Option<Event>) {
        let length = bounded(input.len(), left);
        if length == 0 && left > 0 {
            return (0, Some(Event::More));
        }
        let left = left - length as u64;
        self.state = if left == 0 { State::Line } else { State::Message { left } };
        (length, Some(Event::Data { length, last: left == 0 }))
    }

    fn skip_line(&mut self, input: &[u8], left: u64) -> (usize, Option<Event>) {
        // What ends the line decides whether a literal follows: keep its last bytes at hand.
        const TAIL: usize = 32;
        let end = memchr::memchr(b'\n', input);
        let count = end.map_or(input.len(), |end| end + 1);
        if count as u64 > left {
            return (count, Some(self.refused(Refusal::LineTooLong, State::SkipLine { left: 0 })));
        }
        self.frame.extend_from_slice(&input[count.saturating_sub(TAIL)..count]);
        let surplus = self.frame.len().saturating_sub(TAIL);
        self.frame.drain(..surplus);
        if end.is_none() {
            self.state = State::SkipLine { left: left - count as u64 };
            return (count, Some(Event::More));
        }
        let line = self.frame.strip_suffix(b"\r\n").unwrap_or_default();
        let next = match LiteralHeader::at_end(line) {
            Some((_, header)) if header.non_sync => State::SkipLiteral { left: header.size },
            _ => State::Line,
        };
        self.abandon();
        self.state = next;
        (count, None)
    }

    fn skip_literal(&mut self, input: &[u8], left: u64) -> (usize, Option<Event>) {
        let count = bounded(input.len(), left);
        let left = left - count as u64;
        if left > 0 {
            self.state = State::SkipLiteral { left };
            return (count, Some(Event::More));
        }
        self.state = State::SkipLine { left: limits::SKIP };
        (count, None)
    }

    fn refused(&mut self, why: Refusal, next: State) -> Event {
        let tag = self.append.take().or_else(|| Tag::leading(&self.frame));
        self.abandon();
        self.state = next;
        let close = match next {
            State::SkipLiteral { left } => left > limits::SKIP,
            State::SkipLine { left } => left == 0,
            _ => false,
        };
        Event::Refused { tag, why, close }
    }
}

fn bounded(available: usize, left: u64) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

/// Whether the literal behind `head` is the message of an APPEND and not its mailbox:
/// `append = "APPEND" SP mailbox 1*append-message` (RFC 9051 §9, RFC 3502 §5).
fn is_append_message(head: &[u8]) -> bool {
    let Some(space) = memchr::memchr(b' ', head) else { return false };
    let word = b"APPEND ";
    let Some(command) = head.get(space + 1..) else { return false };
    command.len() > word.len() && command[..word.len()].eq_ignore_ascii_case(word)
}

#[cfg(test)]
#[path = "framer_tests.rs"]
mod tests;
