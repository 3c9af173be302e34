//! Finds the structure of a message in one pass over its lines.
//!
//! The scanner holds a stack of the parts that are open, the message itself at the bottom. A line is a
//! delimiter of one of them (which closes all parts above it), or a line of the header being read, or of
//! the body of the part on top. A part that ends at a delimiter ends before the line end that precedes it
//! (RFC 2046 §5.1.1), and so does everything closed with it: all offsets of those parts are cut there, which
//! keeps ranges nested whatever is missing between them.
//!
//! Chosen where standards are silent:
//! - a line that can be no header line ends the header, and is the first of the body;
//! - a delimiter must be the whole line but for blanks at its end, so that a boundary may be the beginning
//!   of another;
//! - a multipart without any part has one of text/plain with all of its body;
//! - beyond `Limits::depth`, and in encoded enclosed messages, a part is application/octet-stream.

use crate::{
    Content, ContentType, Encoding, Envelope, Limits, NestedMessage, Part, Summary, date,
    envelope::{self, Interpreted},
    fields::{Block, Kind, classify, truncate},
    headers::is_mbox_line,
    lines::{Line, Lines},
    mime,
    preview::{Samples, Which},
    subject,
};

/// Octets of a boundary that is looked for; RFC 2046 §5.1.1 allows 70.
const BOUNDARY_MAX: usize = 1000;

/// Summarizes a message that is in memory.
pub fn summarize(message: &[u8], limits: &Limits) -> Summary {
    let mut summarizer = Summarizer::new(limits.clone());
    summarizer.push(message);
    summarizer.finish()
}

/// Summarizes a message that comes in pieces; the pieces' sizes do not matter.
#[derive(Debug)]
pub struct Summarizer {
    lines: Lines,
    scanner: Scanner,
}

impl Summarizer {
    /// Begins a message.
    pub fn new(limits: Limits) -> Self {
        Self { lines: Lines::default(), scanner: Scanner::new(limits) }
    }

    /// Takes the next bytes of the message.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { lines, scanner } = self;
        lines.push(bytes, |line| scanner.line(&line));
    }

    /// The message is complete.
    pub fn finish(mut self) -> Summary {
        let Self { lines, scanner } = &mut self;
        lines.finish(|line| scanner.line(&line));
        let size = self.lines.offset();
        self.scanner.finish(size)
    }
}

/// A part whose end has not come.
#[derive(Debug, Default)]
struct Frame {
    part: Part,
    /// Lines of the message before this part's body.
    lines_before: u64,
    /// Whether the part is a message or the root of an enclosed one.
    is_message: bool,
    /// Whether it stands in a multipart/digest.
    in_digest: bool,
    /// Of a message: its envelope.
    envelope: Envelope,
    /// Of a multipart whose end was not seen: what its delimiters are made of.
    boundary: Option<Vec<u8>>,
    /// Parts that are complete.
    children: Vec<Part>,
}

/// What the next line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The header of the part on top.
    Header,
    /// The body of the part on top, being sampled for a preview or not.
    Body(Option<Which>),
}

#[derive(Debug)]
struct Scanner {
    limits: Limits,
    open: Vec<Frame>,
    state: State,
    block: Block,
    /// Parts opened so far.
    parts: usize,
    /// Bytes of strings that may still be kept.
    text_left: usize,
    /// Lines so far, the current one not counted.
    lines: u64,
    /// The line before: bytes of its line end, and whether nothing else was on it.
    previous: (u64, bool),
    samples: Samples,
    /// What was read of the message's own header.
    top: Summary,
}

impl Scanner {
    fn new(limits: Limits) -> Self {
        let root = Frame { is_message: true, ..Frame::default() };
        let text_left = limits.text_bytes;
        Self {
            limits,
            open: vec![root],
            state: State::Header,
            block: Block::default(),
            parts: 1,
            text_left,
            lines: 0,
            previous: (0, false),
            samples: Samples::default(),
            top: Summary::default(),
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        loop {
            if let Some((level, last)) = self.delimiter(line) {
                self.at_delimiter(line, level, last);
                break;
            }
            // A line that ends a header without a blank one is read again, as what follows the header.
            if let State::Body(sampled) = self.state {
                if let Some(which) = sampled {
                    self.sample(line, which);
                }
                break;
            }
            if self.header_line(line) {
                break;
            }
        }
        self.lines += 1;
        self.previous = (line.ending, line.is_blank());
    }

    fn sample(&mut self, line: &Line<'_>, which: Which) {
        if !self.samples.line(which, line.head, line.is_cut(), self.limits.preview_bytes) {
            self.state = State::Body(None);
        }
    }

    /// Which open multipart the line delimits, and whether it ends it.
    fn delimiter(&self, line: &Line<'_>) -> Option<(usize, bool)> {
        let text = line.head.strip_prefix(b"--")?.trim_ascii_end();
        if line.is_cut() || text.len() > BOUNDARY_MAX + 2 {
            return None;
        }
        let closing = text.strip_suffix(b"--");
        for (level, frame) in self.open.iter().enumerate().rev() {
            let Some(boundary) = &frame.boundary else { continue };
            if text == boundary.as_slice() {
                return (self.parts < self.limits.parts).then_some((level, false));
            }
            if closing == Some(boundary.as_slice()) {
                return Some((level, true));
            }
        }
        None
    }

    fn at_delimiter(&mut self, line: &Line<'_>, level: usize, last: bool) {
        let cut = line.start - self.previous.0;
        self.end_headers(cut);
        while self.open.len() > level + 1 {
            self.close(cut, self.previous.1);
        }
        let Some(frame) = self.open.last_mut() else { return };
        if last {
            frame.boundary = None;
            self.state = State::Body(None);
        } else {
            let in_digest = frame.part.content_type.subtype == "digest";
            self.open_part(line.end, Frame { in_digest, ..Frame::default() });
        }
    }

    fn open_part(&mut self, at: u64, mut frame: Frame) {
        frame.part.header = at..at;
        self.parts += 1;
        self.open.push(frame);
        self.block.clear();
        self.state = State::Header;
    }

    /// Takes a line for the header; false if it is not part of it, and the body has begun with it.
    fn header_line(&mut self, line: &Line<'_>) -> bool {
        if line.is_blank() {
            self.end_header(line.end, self.lines + 1);
            return true;
        }
        match classify(line.head) {
            Kind::Field(name) => self.block.field(line, name, &self.limits),
            Kind::Folded if self.block.is_open() => self.block.folded(line, &self.limits),
            _ if self.is_start_of_message(line) && is_mbox_line(line.head) => {}
            _ => {
                self.end_header(line.start, self.lines);
                return false;
            }
        }
        true
    }

    fn is_start_of_message(&self, line: &Line<'_>) -> bool {
        self.open.last().is_some_and(|frame| frame.is_message && frame.part.header.start == line.start)
    }

    /// Ends headers that a delimiter or the end of the message cut off.
    fn end_headers(&mut self, at: u64) {
        while self.state == State::Header {
            let start = self.open.last().map_or(at, |frame| frame.part.header.start);
            self.end_header(at.max(start), self.lines);
        }
    }

    /// The header of the part on top ended at `at`; its body begins there, `lines_before` lines into the
    /// message.
    fn end_header(&mut self, at: u64, lines_before: u64) {
        let depth = self.open.len();
        let enclosed = self.open.iter().skip(1).any(|frame| frame.is_message);
        let Some(mut frame) = self.open.pop() else { return };
        let start = frame.part.header.start;
        let mut part = mime::interpret(&self.block, frame.in_digest, &self.limits);
        (part.header, part.body) = (start..at, at..at);
        frame.lines_before = lines_before;
        if frame.is_message {
            frame.envelope = self.read_envelope(depth == 1);
        }
        self.state = State::Body(None);
        let inside = self.inside(&mut part, depth);
        self.fit(&mut part, &inside);
        match &inside {
            Inside::Leaf if !enclosed => self.state = State::Body(self.samples.begin(&part)),
            Inside::Multipart(boundary) => frame.boundary.clone_from(boundary),
            _ => {}
        }
        frame.part = part;
        self.open.push(frame);
        if matches!(inside, Inside::Message) {
            self.open_part(at, Frame { is_message: true, ..Frame::default() });
        }
    }

    /// Decides how a part is taken apart; gives it another type where it is not.
    fn inside(&self, part: &mut Part, depth: usize) -> Inside {
        let kind = &part.content_type;
        let is_message = kind.kind == "message" && matches!(kind.subtype.as_str(), "rfc822" | "global");
        let is_multipart = kind.kind == "multipart";
        if !is_message && !is_multipart {
            return Inside::Leaf;
        }
        let entered = depth <= self.limits.depth && self.parts < self.limits.parts;
        // RFC 2046 §5.2.1: message/rfc822 is not encoded; where it is (RFC 6532 §3.7 allows it for
        // message/global), offsets into it mean nothing.
        if !entered || (is_message && !part.encoding.is_identity()) {
            let params = std::mem::take(&mut part.content_type.params);
            part.content_type = ContentType { params, ..ContentType::new("application", "octet-stream") };
            return Inside::Leaf;
        }
        if is_message {
            return Inside::Message;
        }
        // RFC 2046 §5.1.1: a boundary does not end with a blank, since transports add and remove those.
        let boundary = part.content_type.param("boundary").map(str::trim_end).unwrap_or_default();
        let usable = (1..=BOUNDARY_MAX).contains(&boundary.len());
        Inside::Multipart(usable.then(|| boundary.as_bytes().to_vec()))
    }

    fn read_envelope(&mut self, is_top: bool) -> Envelope {
        let Interpreted { mut envelope, ids } = envelope::interpret(&self.block, &self.limits);
        if envelope.cost() > self.text_left {
            envelope.fit(self.text_left);
        }
        self.text_left -= envelope.cost().min(self.text_left);
        if is_top {
            self.top.headers = self.block.positions();
            self.top.message_ids = ids;
        }
        envelope
    }

    /// Leaves strings out where the summary would have too many of them.
    fn fit(&mut self, part: &mut Part, inside: &Inside) {
        let disposition = part.disposition.as_ref();
        let params = part.content_type.params.iter().chain(disposition.iter().flat_map(|d| &d.params));
        let options = [&part.id, &part.description, &part.md5, &part.location];
        let cost = params.map(|(name, value)| name.len() + value.len()).sum::<usize>()
            + options.iter().map(|text| text.as_ref().map_or(0, String::len)).sum::<usize>()
            + part.language.iter().map(String::len).sum::<usize>()
            + disposition.map_or(0, |d| d.kind.len())
            + part.content_type.kind.len()
            + part.content_type.subtype.len()
            + part.encoding.as_str().len();
        if cost <= self.text_left {
            self.text_left -= cost;
            return;
        }
        // Still taken apart where it was: the structure is not what is too large.
        let content_type = match inside {
            Inside::Multipart(_) => ContentType::new("multipart", "mixed"),
            Inside::Message => ContentType::new("message", "rfc822"),
            Inside::Leaf => ContentType::new("application", "octet-stream"),
        };
        let encoding = std::mem::take(&mut part.encoding);
        let (header, body) = (part.header.clone(), part.body.clone());
        *part = Part { header, body, content_type, ..Part::default() };
        if !matches!(encoding, Encoding::Other(_)) {
            part.encoding = encoding;
        }
    }

    /// Closes the part on top at `cut`. `blank` is whether the line end before `cut` was removed from an
    /// empty line, which then is no line of the part.
    fn close(&mut self, cut: u64, blank: bool) {
        let Some(Frame { mut part, lines_before, children, envelope, .. }) = self.open.pop() else {
            return;
        };
        for end in [&mut part.header.start, &mut part.header.end, &mut part.body.start] {
            *end = (*end).min(cut);
        }
        part.body.end = cut;
        let lines = self.lines.saturating_sub(lines_before);
        part.lines = lines - u64::from(blank && lines > 0);
        if part.content_type.kind == "multipart" {
            part.content = Content::Multipart(children_of(&part, children));
        }
        let Some(parent) = self.open.last_mut() else {
            self.top.structure = part;
            self.top.envelope = envelope;
            return;
        };
        if parent.part.content_type.kind == "message" {
            parent.part.content = Content::Message(Box::new(NestedMessage { envelope, part }));
        } else {
            parent.children.push(part);
        }
    }

    fn finish(mut self, size: u64) -> Summary {
        self.end_headers(size);
        while !self.open.is_empty() {
            self.close(size, false);
        }
        let mut summary = self.top;
        summary.size = size;
        summary.header_size = summary.structure.header.end;
        summary.preview = self.samples.preview();
        summary.has_attachment = has_attachment(&summary.structure, "");
        summary.sent = summary.envelope.date.as_deref().and_then(date::parse);
        let base = subject::base(summary.envelope.subject.as_deref().unwrap_or_default());
        summary.base_subject = base.text;
        truncate(&mut summary.base_subject, self.limits.string_bytes);
        summary.is_reply_or_forward = base.is_reply_or_forward;
        summary
    }
}

/// How a part is taken apart.
enum Inside {
    Leaf,
    /// A multipart with this boundary, or with none that could be found.
    Multipart(Option<Vec<u8>>),
    Message,
}

/// The parts of a multipart, which has at least one (RFC 2046 §5.1.1): all of its body where it has none.
fn children_of(part: &Part, mut children: Vec<Part>) -> Vec<Part> {
    if children.is_empty() {
        let (header, body) = (part.body.start..part.body.start, part.body.clone());
        children.push(Part { header, body, lines: part.lines, ..Part::default() });
    }
    children
}

/// Whether a part, in a multipart of the subtype `within`, is or has something to download.
fn has_attachment(part: &Part, within: &str) -> bool {
    let disposition = part.disposition.as_ref().map(|d| d.kind.as_str());
    match &part.content {
        Content::Multipart(children) => {
            children.iter().any(|child| has_attachment(child, &part.content_type.subtype))
        }
        _ if disposition == Some("attachment") => !is_signature(part),
        // A bounce's copy and the pictures of a page belong to what is shown.
        _ if matches!(within, "report" | "related" | "alternative") => false,
        Content::Message(_) => true,
        Content::Leaf if part.content_type.kind == "text" => {
            part.filename().is_some() && disposition.is_some()
        }
        Content::Leaf => !(is_signature(part) || disposition == Some("inline") && part.id.is_some()),
    }
}

/// Signatures are shown as a property of what they sign (RFC 1847 §2.1).
fn is_signature(part: &Part) -> bool {
    let subtype = part.content_type.subtype.as_str();
    matches!(subtype, "pgp-signature" | "pkcs7-signature" | "x-pkcs7-signature")
}

#[cfg(test)]
mod tests;
