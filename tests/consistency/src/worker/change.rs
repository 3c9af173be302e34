//! Changes.

use rand::Rng;

use super::{Chosen, MAILBOXES, Worker};
use crate::model::FLAGS;
use crate::session::{Answer, made_uid, message};
use crate::time::{Event, Span, Tick};

/// A copy or a move that is under way.
struct Copying {
    uid: u32,
    token: u64,
    to: Chosen,
    moves: bool,
    at: Tick,
}

impl Worker<'_> {
    pub(super) fn append(&mut self, chosen: &Chosen) {
        let token = self.shared.next();
        let flagged = self.rng.random_range(0..2) == 0;
        let (text, flags) = (message(token), if flagged { FLAGS[0] } else { "" });
        let command = format!("APPEND {} ({flags}) {{{}+}}\r\n{text}", chosen.name, text.len());
        let asked = self.asked(command);
        let at = asked.0;
        let flags = [Some(flagged), Some(false)];
        self.shared.account(chosen.account).add(chosen.contents, token, flags, at);
        let Some(answers) = self.burst(chosen.account, &[asked]) else { return };
        let [answer] = &answers[..] else { return };
        let mut known = self.shared.account(chosen.account);
        let wrong = known.named(&chosen.name, answer.span, answer.ok);
        let also = match answer.ok {
            true => known.added((chosen.contents, token), made_uid(answer), [None; 2], answer.span),
            false => known.refused(chosen.contents, token, at),
        };
        drop(known);
        self.judged("APPEND", chosen, wrong.into_iter().chain(also), answer);
    }

    pub(super) fn deliver(&mut self, account: usize) {
        let (token, lmtp) = (self.shared.next(), self.rng.random_range(0..2) == 0);
        let begun = self.shared.clock.tick();
        self.shared.account(account).add(1, token, [Some(false); 2], begun);
        let sent = self.sender(lmtp).and_then(|mut sender| Ok((sender.send(account, token)?, sender)));
        let ended = self.shared.clock.tick();
        let (outcome, sender) = match sent {
            Ok(sent) => sent,
            Err(error) => return self.shared.refused(format!("delivery to u{account}: {error:#}")),
        };
        self.senders.insert(lmtp, sender);
        if let Err(text) = &outcome
            && text.starts_with('4')
        {
            // The store did not answer in time: it may have taken it.
            self.shared.report().unavailable += 1;
            return;
        }
        let mut known = self.shared.account(account);
        let wrong = match &outcome {
            Ok(()) => known.added((1, token), None, [None; 2], Span { begun, ended }),
            Err(_) => known.refused(1, token, begun),
        };
        drop(known);
        if let Err(text) = outcome {
            self.shared.refused(format!("delivery to u{account}: {text}"));
        }
        let wrong = wrong.map(|wrong| format!("u{account}: {wrong}"));
        self.shared.judged(if lmtp { "LMTP" } else { "SMTP" }, 1, wrong);
    }

    pub(super) fn store(&mut self, chosen: &Chosen) {
        let mut writes = Vec::new();
        let mut commands = vec![self.asked(format!("SELECT {}", chosen.name))];
        for (uid, _) in self.messages(chosen, 3) {
            let (flag, value) = (self.rng.random_range(0..FLAGS.len()), self.rng.random_range(0..2) == 0);
            let sign = if value { '+' } else { '-' };
            let name = FLAGS.get(flag).copied().unwrap_or_default();
            let asked = self.asked(format!("UID STORE {uid} {sign}FLAGS.SILENT ({name})"));
            let mut known = self.shared.account(chosen.account);
            let register =
                known.message(chosen.contents, uid).and_then(|message| message.flags.get_mut(flag));
            register.into_iter().for_each(|register| register.write(value, asked.0));
            writes.push((uid, flag));
            commands.push(asked);
        }
        let Some(answers) = self.burst(chosen.account, &commands) else { return };
        let [selected, stored @ ..] = &answers[..] else { return };
        let open = self.named(chosen, selected);
        for ((uid, flag), answer) in writes.into_iter().zip(stored) {
            let mut known = self.shared.account(chosen.account);
            let Some(message) = known.message(chosen.contents, uid) else { continue };
            let Some(register) = message.flags.get_mut(flag) else { continue };
            if open && answer.ok {
                register.written(answer.span.begun, answer.span.ended);
            } else if !open {
                register.unwritten(answer.span.begun);
            }
            drop(known);
            if open {
                self.judged("STORE", chosen, [], answer);
            }
        }
    }

    pub(super) fn remove(&mut self, chosen: &Chosen) {
        let messages = self.messages(chosen, 3);
        let set = messages.iter().map(|(uid, _)| uid.to_string()).collect::<Vec<_>>().join(",");
        if set.is_empty() {
            return;
        }
        let commands = [
            format!("SELECT {}", chosen.name),
            format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"),
            format!("UID EXPUNGE {set}"),
        ];
        let commands = commands.map(|command| self.asked(command));
        let mut known = self.shared.account(chosen.account);
        for (uid, _) in &messages {
            let message = known.message(chosen.contents, *uid);
            message.into_iter().for_each(|message| message.removed.push(Event::begun(commands[2].0)));
        }
        drop(known);
        let Some(answers) = self.burst(chosen.account, &commands) else { return };
        let [selected, marked, expunged] = &answers[..] else { return };
        let open = self.named(chosen, selected);
        let mut known = self.shared.account(chosen.account);
        if !open || expunged.ok {
            for (uid, _) in &messages {
                known.removed(chosen.contents, *uid, expunged.span, open);
            }
        }
        drop(known);
        if open {
            self.judged("STORE", chosen, [], marked);
            self.judged("EXPUNGE", chosen, [], expunged);
        }
    }

    /// COPY or MOVE of one message.
    pub(super) fn copy(&mut self, chosen: &Chosen) {
        let to = self.choose(chosen.account, chosen.begun);
        let Some((uid, token)) = self.messages(chosen, 1).pop() else { return };
        if to.contents == chosen.contents || !self.shared.account(chosen.account).copied.insert(token) {
            return;
        }
        let moves = self.rng.random_range(0..2) == 0;
        let verb = if moves { "MOVE" } else { "COPY" };
        let commands = [format!("SELECT {}", chosen.name), format!("UID {verb} {uid} {}", to.name)];
        let commands = commands.map(|command| self.asked(command));
        let copying = Copying { uid, token, to, moves, at: commands[1].0 };
        let mut known = self.shared.account(chosen.account);
        known.add(copying.to.contents, token, [None; 2], copying.at);
        if moves && let Some(message) = known.message(chosen.contents, uid) {
            message.removed.push(Event::begun(copying.at));
        }
        drop(known);
        // What came of it is not known without an answer: which of two copies is which could not be told ever after.
        let Some(answers) = self.burst(chosen.account, &commands) else { return };
        let [selected, copied] = &answers[..] else { return };
        let open = self.named(chosen, selected);
        self.copied(chosen, &copying, copied, open);
        self.shared.account(chosen.account).copied.remove(&token);
    }

    fn copied(&self, chosen: &Chosen, copying: &Copying, answer: &Answer, open: bool) {
        let Copying { uid, token, to, moves, at } = copying;
        let mut known = self.shared.account(chosen.account);
        let made = made_uid(answer).filter(|_| open && answer.ok);
        let mut wrong = Vec::new();
        match made {
            Some(_) => {
                let flags = known.copied_flags(chosen.contents, *uid, answer.span);
                wrong.extend(known.added((to.contents, *token), made, flags, answer.span));
            }
            None => wrong.extend(known.refused(to.contents, *token, *at)),
        }
        if open && answer.ok && made.is_none() && known.stayed(chosen.contents, *uid, answer.span) {
            wrong.push(format!("{uid} was not found to be copied"));
        }
        if *moves {
            known.removed(chosen.contents, *uid, answer.span, made.is_some());
        }
        // A refusal may also be for what is copied from, once that is gone.
        let left = known.may_be_gone(&chosen.name, answer.span);
        if open && (made.is_some() || (!answer.ok && !left)) {
            wrong.extend(known.named(&to.name, answer.span, answer.ok));
        }
        drop(known);
        if open {
            let both = Chosen { name: format!("{} {}", chosen.name, to.name), ..chosen.clone() };
            let kind = if *moves { "MOVE" } else { "COPY" };
            let gone = left || self.shared.account(chosen.account).may_be_gone(&to.name, answer.span);
            let refused = !answer.ok && !gone;
            wrong.extend(refused.then(|| answer.status.clone()));
            let wrong = wrong.into_iter().map(|wrong| format!("u{} {}: {wrong}", both.account, both.name));
            self.shared.judged(kind, 1, wrong);
        }
    }

    /// Makes a mailbox if there are few, else renames or deletes one.
    pub(super) fn mailbox(&mut self, chosen: &Chosen) {
        let many = self.shared.account(chosen.account).names.len() > MAILBOXES;
        let new = format!("b-{}", self.shared.next());
        let (command, kind) = match self.rng.random_range(0..2) {
            _ if chosen.name == "INBOX" || !many => (format!("CREATE {new}"), "CREATE"),
            0 => (format!("RENAME {} {new}", chosen.name), "RENAME"),
            _ => (format!("DELETE {}", chosen.name), "DELETE"),
        };
        if chosen.name == "INBOX" && many {
            return;
        }
        let asked = self.asked(command);
        let at = asked.0;
        let to = (kind == "RENAME").then_some(new.as_str());
        let mut known = self.shared.account(chosen.account);
        let name = if kind == "CREATE" { &new } else { &chosen.name };
        if kind == "CREATE" {
            known.make(&new, at);
        } else if known.names.get(name).is_some_and(|name| name.gone.is_none()) {
            known.remove(name, to, at);
        } else {
            return;
        }
        drop(known);
        let Some(answers) = self.burst(chosen.account, &[asked]) else { return };
        let [answer] = &answers[..] else { return };
        let mut known = self.shared.account(chosen.account);
        if kind == "CREATE" {
            known.made(name, answer.span, answer.ok);
        } else {
            known.gone(name, to, answer.span, answer.ok);
        }
        let wrong = match (answer.ok, kind) {
            (true, _) => None,
            (false, "CREATE") => Some(answer.status.clone()),
            // What a rename came to whose answer was lost is not known: the name may never have been.
            (false, _) => known.named(name, answer.span, false),
        };
        drop(known);
        self.shared.judged(kind, 1, wrong.map(|wrong| format!("u{} {name}: {wrong}", chosen.account)));
    }

    /// Counts it, with what is wrong; a refusal needs a mailbox that may be gone.
    fn judged(
        &self,
        kind: &'static str,
        chosen: &Chosen,
        wrong: impl IntoIterator<Item = String>,
        answer: &Answer,
    ) {
        let gone = self.shared.account(chosen.account).may_be_gone(&chosen.name, answer.span);
        let refused = (!answer.ok && !gone).then(|| answer.status.clone());
        let wrong = wrong.into_iter().chain(refused);
        let wrong = wrong.map(|wrong| format!("u{} {}: {wrong}", chosen.account, chosen.name));
        self.shared.judged(kind, 1, wrong);
    }
}
