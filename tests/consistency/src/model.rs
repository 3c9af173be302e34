//! What is known of an account, and what a reader may, must and must not see of it.
//!
//! Each thing that an operation changes stands by itself: a name, a message in a mailbox, a flag of it. For each there are moments
//! between which it changed. A reading is right if for each thing there is a moment within the reading at which it was so.
//! What one has seen, all who begin later have to see: that makes the moments narrower.

use std::collections::{BTreeMap, BTreeSet};

use crate::register::Register;
use crate::time::{Event, Span, Tick};

/// The flags that are set and cleared.
pub(crate) const FLAGS: [&str; 2] = ["\\Flagged", "k1"];

/// What the messages of a mailbox belong to, whatever its name is.
pub(crate) type Contents = u32;

/// A mailbox's name. None is ever used twice.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) contents: Contents,
    pub(crate) made: Event,
    pub(crate) gone: Option<Event>,
}

/// A message in a mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// What it says of itself; its copies say the same.
    pub(crate) token: u64,
    /// Known once somebody has seen or said it.
    pub(crate) uid: Option<u32>,
    pub(crate) added: Event,
    pub(crate) removed: Vec<Event>,
    pub(crate) flags: [Register; 2],
}

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) uid: u32,
    pub(crate) token: u64,
    pub(crate) flags: [bool; 2],
}

/// What is known of an account.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) names: BTreeMap<String, Name>,
    pub(crate) messages: BTreeMap<Contents, Vec<Message>>,
    last_contents: Contents,
    /// Messages that are being copied: which of two equal copies is which could not be told.
    pub(crate) copied: BTreeSet<u64>,
    running: BTreeSet<Tick>,
}

impl Message {
    fn may_be_seen(&self, read: Span) -> bool {
        self.added.possible(read) && !self.removed.iter().any(|removed| removed.certain(read))
    }

    fn must_be_seen(&self, read: Span) -> bool {
        self.added.certain(read) && !self.removed.iter().any(|removed| removed.possible(read))
    }

    fn seen(&mut self, read: Span) {
        self.added.seen(read);
        self.removed.iter_mut().for_each(|removed| removed.missed(read));
    }

    fn missed(&mut self, read: Span) {
        if self.removed.is_empty() {
            self.added.missed(read);
        } else if self.added.certain(read) {
            let mut could = self.removed.iter_mut().filter(|removed| removed.possible(read));
            if let (Some(only), None) = (could.next(), could.next()) {
                only.seen(read);
            }
        }
    }
}

impl Account {
    /// With an INBOX that has always been there.
    pub(crate) fn new() -> Self {
        let mut account = Account::default();
        account.make("INBOX", 0);
        account.named("INBOX", Span { begun: 0, ended: 0 }, true);
        account
    }

    /// An operation begins. Until it ends nothing is forgotten that it could still see.
    pub(crate) fn begin(&mut self, at: Tick) {
        self.running.insert(at);
    }

    pub(crate) fn end(&mut self, at: Tick, now: Tick) {
        self.running.remove(&at);
        let oldest = self.running.first().copied().unwrap_or(now);
        let gone = |event: &Event| event.by < oldest;
        self.names.retain(|_, name| !name.gone.as_ref().is_some_and(gone));
        let living: BTreeSet<Contents> = self.names.values().map(|name| name.contents).collect();
        self.messages.retain(|contents, _| living.contains(contents));
        for messages in self.messages.values_mut() {
            messages.retain(|message| !message.removed.iter().any(gone));
            for flag in messages.iter_mut().flat_map(|message| &mut message.flags) {
                flag.forget(oldest);
            }
        }
    }

    // Names.

    /// Somebody asks for a new mailbox.
    pub(crate) fn make(&mut self, name: &str, at: Tick) {
        self.last_contents += 1;
        let name_of_new = Name { contents: self.last_contents, made: Event::begun(at), gone: None };
        self.messages.insert(self.last_contents, Vec::new());
        self.names.insert(name.to_owned(), name_of_new);
    }

    /// Somebody asks for a mailbox to be another name's, or nobody's.
    pub(crate) fn remove(&mut self, name: &str, to: Option<&str>, at: Tick) {
        let Some(old) = self.names.get_mut(name) else { return };
        old.gone = Some(Event::begun(at));
        if let Some(to) = to {
            let new = Name { contents: old.contents, made: Event::begun(at), gone: None };
            self.names.insert(to.to_owned(), new);
        }
    }

    /// The new mailbox was made, or refused.
    pub(crate) fn made(&mut self, name: &str, span: Span, done: bool) {
        match self.names.get_mut(name) {
            // Others may have asked for its removal meanwhile: that is not what was answered.
            Some(known) if done => known.made.by = known.made.by.min(span.ended),
            _ => drop(self.names.remove(name)),
        }
    }

    /// A mailbox became another name's, or nobody's; or that was refused.
    pub(crate) fn gone(&mut self, name: &str, to: Option<&str>, span: Span, done: bool) {
        if let Some(to) = to {
            self.made(to, span, done);
        }
        let Some(known) = self.names.get_mut(name) else { return };
        if !done {
            known.gone = None;
        } else if let Some(gone) = &mut known.gone {
            gone.by = gone.by.min(span.ended);
        }
    }

    /// Judges that a command found a mailbox by its name, or did not.
    pub(crate) fn named(&mut self, name: &str, read: Span, found: bool) -> Option<String> {
        let Some(known) = self.names.get_mut(name) else {
            return found.then(|| format!("mailbox {name} is there, and should not be"));
        };
        let gone = known.gone.as_mut();
        if found {
            let stale = gone.as_ref().is_some_and(|gone| gone.certain(read));
            known.made.seen(read);
            gone.into_iter().for_each(|gone| gone.missed(read));
            return stale.then(|| format!("mailbox {name} is there, and was gone before"));
        }
        let lost = known.made.certain(read) && !gone.as_ref().is_some_and(|gone| gone.possible(read));
        if known.made.certain(read) {
            gone.into_iter().for_each(|gone| gone.seen(read));
        }
        lost.then(|| format!("mailbox {name} is not there"))
    }

    /// Whether what was done with a mailbox may find it gone.
    pub(crate) fn may_be_gone(&self, name: &str, read: Span) -> bool {
        self.names.get(name).is_none_or(|name| {
            name.gone.as_ref().is_some_and(|gone| gone.possible(read)) || !name.made.certain(read)
        })
    }

    /// Judges a list of names.
    pub(crate) fn listed(&mut self, names: &BTreeSet<String>, read: Span) -> Vec<String> {
        let known: BTreeSet<String> = self.names.keys().chain(names).cloned().collect();
        known.iter().filter_map(|name| self.named(name, read, names.contains(name))).collect()
    }

    // Messages.

    /// Somebody asks for a message to be put into a mailbox.
    pub(crate) fn add(&mut self, contents: Contents, token: u64, flags: [Option<bool>; 2], at: Tick) {
        let added = Event::begun(at);
        let flags = flags.map(|value| Register::new(value, added));
        let message = Message { token, uid: None, added, removed: Vec::new(), flags };
        self.messages.entry(contents).or_default().push(message);
    }

    /// It was put there, under this UID if that was said, with these flags if they are known.
    pub(crate) fn added(
        &mut self,
        (contents, token): (Contents, u64),
        uid: Option<u32>,
        flags: [Option<bool>; 2],
        span: Span,
    ) -> Option<String> {
        let message = self.new_message(contents, token, span.begun)?;
        if uid.is_some() && message.uid.is_some() && message.uid != uid {
            return Some(format!("message {token} was seen as {:?}, and is {uid:?}", message.uid));
        }
        message.uid = message.uid.or(uid);
        message.added.by = message.added.by.min(span.ended);
        let added = Event { from: span.begun, by: span.ended };
        message.flags.iter_mut().zip(flags).for_each(|(flag, value)| flag.made(value, added));
        None
    }

    /// It was refused.
    pub(crate) fn refused(&mut self, contents: Contents, token: u64, begun: Tick) -> Option<String> {
        let seen = self.new_message(contents, token, begun)?.uid.is_some();
        let messages = self.messages.entry(contents).or_default();
        // The last one with the token: those that were there before have been seen.
        let at = messages.iter().rposition(|message| message.token == token)?;
        messages.remove(at);
        seen.then(|| format!("message {token} was refused, and seen"))
    }

    /// The message that somebody asked for then.
    fn new_message(&mut self, contents: Contents, token: u64, begun: Tick) -> Option<&mut Message> {
        let messages = self.messages.get_mut(&contents)?;
        // What others have seen may have narrowed the moment; a copy that was there before began earlier.
        messages.iter_mut().rev().find(|message| message.token == token && message.added.from >= begun)
    }

    /// What flags a copy of it has that was made meanwhile, as far as that can be told.
    pub(crate) fn copied_flags(&mut self, contents: Contents, uid: u32, span: Span) -> [Option<bool>; 2] {
        let Some(message) = self.message(contents, uid) else { return [None; 2] };
        [0, 1].map(|flag: usize| message.flags.get(flag)?.settled(span))
    }

    /// Whether it was there all the time.
    pub(crate) fn stayed(&mut self, contents: Contents, uid: u32, span: Span) -> bool {
        self.message(contents, uid).is_some_and(|message| message.must_be_seen(span))
    }

    pub(crate) fn message(&mut self, contents: Contents, uid: u32) -> Option<&mut Message> {
        self.messages.get_mut(&contents)?.iter_mut().find(|message| message.uid == Some(uid))
    }

    /// The removal that was asked for then was done, or found nothing to remove.
    pub(crate) fn removed(&mut self, contents: Contents, uid: u32, span: Span, done: bool) {
        let Some(message) = self.message(contents, uid) else { return };
        // What others saw may have narrowed it.
        let Some(at) = message.removed.iter().position(|removed| removed.from >= span.begun) else { return };
        if done {
            message.removed.iter_mut().skip(at).take(1).for_each(|event| event.by = event.by.min(span.ended));
        } else {
            message.removed.remove(at);
        }
    }

    /// Judges how many messages somebody counted.
    pub(crate) fn counted(&self, contents: Contents, count: usize, read: Span) -> Option<String> {
        let messages = self.messages.get(&contents)?;
        let least = messages.iter().filter(|message| message.must_be_seen(read)).count();
        let most = messages.iter().filter(|message| message.may_be_seen(read)).count();
        let wrong = count < least || count > most;
        wrong.then(|| format!("{count} messages counted, there are {least} to {most}"))
    }

    /// Judges a listing of all messages of a mailbox.
    pub(crate) fn read(&mut self, contents: Contents, rows: &[Row], read: Span) -> Vec<String> {
        let Some(messages) = self.messages.get_mut(&contents) else { return Vec::new() };
        let mut wrong = Vec::new();
        for row in rows {
            match place(messages, row, read) {
                Some(message) => wrong.extend(judge_row(message, row, read)),
                None => wrong.push(format!("message {} as {} should not be there", row.token, row.uid)),
            }
        }
        let shown: BTreeSet<u32> = rows.iter().map(|row| row.uid).collect();
        for message in messages.iter_mut().filter(|m| m.uid.is_none_or(|uid| !shown.contains(&uid))) {
            if message.must_be_seen(read) {
                wrong.push(format!("message {} ({:?}) is not seen", message.token, message.uid));
            }
            message.missed(read);
        }
        wrong
    }

    /// Judges which messages were found by a flag.
    pub(crate) fn searched(
        &mut self,
        contents: Contents,
        flag: usize,
        found: &BTreeSet<u32>,
        read: Span,
    ) -> Vec<String> {
        let Some(messages) = self.messages.get_mut(&contents) else { return Vec::new() };
        let unknown = messages.iter().any(|message| message.uid.is_none());
        let mut wrong = Vec::new();
        for uid in found {
            let Some(message) = messages.iter().find(|message| message.uid == Some(*uid)) else {
                wrong.extend((!unknown).then(|| format!("{uid} was found, and should not be there")));
                continue;
            };
            let allowed = message.flags.get(flag).is_none_or(|flag| flag.allows(true, read));
            if !message.may_be_seen(read) || !allowed {
                wrong.push(format!("{uid} was found by flag {flag}, and should not be"));
            }
        }
        for message in messages.iter().filter(|message| message.must_be_seen(read)) {
            let Some(uid) = message.uid.filter(|uid| !found.contains(uid)) else { continue };
            if message.flags.get(flag).is_some_and(|flag| !flag.allows(false, read)) {
                wrong.push(format!("{uid} was not found by flag {flag}"));
            }
        }
        wrong
    }
}

/// The message that a row is of. One whose UID was not known yet gets it.
fn place<'a>(messages: &'a mut [Message], row: &Row, read: Span) -> Option<&'a mut Message> {
    let known = messages.iter().position(|message| message.uid == Some(row.uid));
    let new =
        |message: &Message| message.uid.is_none() && message.token == row.token && message.may_be_seen(read);
    let at = known.or_else(|| messages.iter().position(new))?;
    let message = messages.get_mut(at)?;
    message.uid = Some(row.uid);
    Some(message)
}

fn judge_row(message: &mut Message, row: &Row, read: Span) -> Vec<String> {
    let mut wrong = Vec::new();
    if message.token != row.token {
        wrong.push(format!("{} is message {}, and was {}", row.uid, row.token, message.token));
    }
    if !message.may_be_seen(read) {
        wrong.push(format!("message {} ({}) is there, and was gone before", row.token, row.uid));
        return wrong;
    }
    message.seen(read);
    for ((flag, value), name) in message.flags.iter_mut().zip(row.flags).zip(FLAGS) {
        if flag.allows(value, read) {
            flag.seen(value, read);
        } else {
            wrong.push(format!("{name} of message {} ({}) is {value}", row.token, row.uid));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const INBOX: Contents = 1;

    fn span(begun: Tick, ended: Tick) -> Span {
        Span { begun, ended }
    }

    fn row(uid: u32) -> Row {
        Row { uid, token: 7, flags: [false; 2] }
    }

    /// Message 7 was put into INBOX from 10 to 20, as UID 1.
    fn account() -> Account {
        let mut account = Account::new();
        account.add(INBOX, 7, [Some(false); 2], 10);
        assert_eq!(account.added((INBOX, 7), Some(1), [None; 2], span(10, 20)), None);
        account
    }

    #[test]
    fn a_message_is_seen_after_its_answer_and_not_before_it_was_asked_for() {
        assert_eq!(account().read(INBOX, &[row(1)], span(21, 22)).len(), 0);
        assert_eq!(account().read(INBOX, &[], span(21, 22)).len(), 1);
        assert_eq!(account().read(INBOX, &[], span(15, 22)).len(), 0);
        assert_eq!(account().read(INBOX, &[row(1)], span(5, 9)).len(), 1);
        assert_eq!(account().read(INBOX, &[row(2)], span(21, 22)).len(), 2, "another UID is another message");
    }

    #[test]
    fn what_one_has_seen_the_next_sees() {
        let mut account = Account::new();
        account.add(INBOX, 7, [Some(false); 2], 10);
        assert_eq!(account.read(INBOX, &[], span(11, 12)).len(), 0);
        assert_eq!(account.read(INBOX, &[row(1)], span(13, 14)).len(), 0);
        assert_eq!(account.read(INBOX, &[], span(15, 16)).len(), 1, "it has gone again");
        assert!(
            account.added((INBOX, 7), Some(2), [None; 2], span(10, 20)).is_some(),
            "not the UID that was seen"
        );
    }

    #[test]
    fn a_removed_message_is_not_seen_again() {
        let mut account = account();
        account.message(INBOX, 1).unwrap().removed.push(Event::begun(30));
        assert_eq!(account.read(INBOX, &[row(1)], span(31, 32)).len(), 0);
        assert_eq!(account.read(INBOX, &[], span(33, 34)).len(), 0);
        assert_eq!(account.read(INBOX, &[row(1)], span(35, 36)).len(), 1, "one has seen it gone");
        account.removed(INBOX, 1, span(30, 40), true);
        assert!(account.counted(INBOX, 1, span(41, 42)).is_some());
        account.end(30, 43);
        assert_eq!(account.messages.get(&INBOX).unwrap().len(), 0);
        assert_eq!(
            account.read(INBOX, &[row(1)], span(44, 45)).len(),
            1,
            "forgotten, and wrong all the same"
        );
    }

    #[test]
    fn an_old_flag_is_noticed_in_listings_and_searches() {
        let mut account = account();
        account.message(INBOX, 1).unwrap().flags[0].write(true, 30);
        account.message(INBOX, 1).unwrap().flags[0].written(30, 31);
        assert_eq!(account.read(INBOX, &[row(1)], span(32, 33)).len(), 1);
        assert_eq!(account.searched(INBOX, 0, &BTreeSet::new(), span(32, 33)).len(), 1);
        assert_eq!(account.searched(INBOX, 0, &BTreeSet::from([1]), span(32, 33)).len(), 0);
        assert_eq!(account.searched(INBOX, 1, &BTreeSet::from([1]), span(32, 33)).len(), 1);
        assert_eq!(account.searched(INBOX, 1, &BTreeSet::from([9]), span(32, 33)).len(), 1);
    }

    #[test]
    fn names_come_and_go_in_time() {
        let mut account = Account::new();
        account.make("a", 10);
        assert_eq!(account.named("a", span(11, 12), false), None);
        account.made("a", span(10, 20), true);
        assert!(account.named("a", span(21, 22), false).is_some());
        account.remove("a", Some("b"), 30);
        let both = BTreeSet::from(["INBOX".to_owned(), "a".to_owned()]);
        assert_eq!(account.listed(&both, span(31, 32)).len(), 0);
        account.gone("a", Some("b"), span(30, 40), true);
        assert_eq!(account.listed(&both, span(41, 42)).len(), 2, "a is there, b is not");
        assert_eq!(account.names.get("b").unwrap().contents, 2);
        account.end(30, 50);
        assert!(account.named("a", span(51, 52), true).is_some());
    }

    #[test]
    fn what_is_removed_while_it_is_made_is_gone_by_the_answer_to_its_removal() {
        let mut account = Account::new();
        account.make("a", 10);
        account.remove("a", Some("b"), 11);
        account.remove("b", None, 12);
        account.made("a", span(10, 20), true);
        assert_eq!(account.named("a", span(21, 22), true), None, "only its making was answered");
        account.gone("a", Some("b"), span(11, 30), true);
        assert!(account.named("a", span(31, 32), true).is_some());
        assert_eq!(account.named("b", span(31, 32), true), None);
        account.gone("b", None, span(12, 40), true);
        assert!(account.named("b", span(41, 42), true).is_some());
        account.make("c", 50);
        account.made("c", span(50, 51), false);
        assert!(account.named("c", span(52, 53), true).is_some(), "refused");
    }

    #[test]
    fn what_was_refused_is_not_there() {
        let mut account = account();
        account.add(INBOX, 8, [Some(false); 2], 30);
        assert_eq!(account.refused(INBOX, 8, 30), None);
        assert_eq!(account.read(INBOX, &[row(1)], span(31, 32)).len(), 0);
        account.add(INBOX, 9, [Some(false); 2], 40);
        assert_eq!(account.read(INBOX, &[row(1), Row { token: 9, ..row(2) }], span(41, 42)).len(), 0);
        assert!(account.refused(INBOX, 9, 40).is_some());
    }
}
