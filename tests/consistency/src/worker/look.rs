//! Readings.

use std::collections::BTreeSet;

use rand::Rng;

use super::{Chosen, Worker};
use crate::model::Row;
use crate::session::{Answer, exists, found, listed, number_after, row};

/// How the flags are searched for, as in [`crate::model::FLAGS`].
const KEYS: [&str; 2] = ["FLAGGED", "KEYWORD k1"];

impl Worker<'_> {
    /// All of a mailbox, by all ways to read it.
    pub(super) fn look(&mut self, chosen: &Chosen) {
        let flag = self.rng.random_range(0..KEYS.len());
        let other = self.choose(chosen.account, chosen.begun);
        let commands = [
            format!("EXAMINE {}", chosen.name),
            "UID FETCH 1:* (UID FLAGS ENVELOPE)".to_owned(),
            format!("UID SEARCH {}", KEYS.get(flag).copied().unwrap_or_default()),
            format!("STATUS {} (MESSAGES)", other.name),
            "LIST \"\" *".to_owned(),
        ];
        let commands = commands.map(|command| self.asked(command));
        let Some(answers) = self.burst(chosen.account, &commands) else { return };
        let [selected, fetched, searched, counted, names] = &answers[..] else { return };
        if self.named(chosen, selected) {
            self.judge_count(chosen, exists(&selected.untagged), selected);
            self.judge_rows(chosen, fetched);
            self.judge_search(chosen, flag, searched);
        }
        if self.named(&other, counted) {
            let count = counted.untagged.iter().find_map(|line| number_after(line, "MESSAGES "));
            self.judge_count(&other, count.and_then(|count| usize::try_from(count).ok()), counted);
        }
        self.judge_names(chosen.account, names);
    }

    fn judge_count(&self, chosen: &Chosen, count: Option<usize>, answer: &Answer) {
        let known = self.shared.account(chosen.account);
        let wrong = match count {
            Some(count) => known.counted(chosen.contents, count, answer.span),
            None => Some(format!("no count in {:?}", answer.untagged)),
        };
        let gone = known.may_be_gone(&chosen.name, answer.span);
        drop(known);
        let wrong =
            wrong.filter(|_| !gone).map(|wrong| format!("u{} {}: {wrong}", chosen.account, chosen.name));
        self.shared.judged("STATUS", 1, wrong);
    }

    fn judge_rows(&mut self, chosen: &Chosen, answer: &Answer) {
        let mut rows: Vec<Row> = answer.untagged.iter().filter_map(|line| row(line)).collect();
        self.plant(chosen, &mut rows);
        let mut known = self.shared.account(chosen.account);
        // What is read of a mailbox that goes meanwhile says nothing.
        if known.may_be_gone(&chosen.name, answer.span) {
            return;
        }
        let mut wrong = known.read(chosen.contents, &rows, answer.span);
        drop(known);
        wrong.extend((!answer.ok).then(|| answer.status.clone()));
        let wrong = wrong.into_iter().map(|wrong| format!("u{} {}: {wrong}", chosen.account, chosen.name));
        self.shared.judged("FETCH", 1, wrong);
    }

    /// Puts an old answer in the place of this one, if that is wanted.
    fn plant(&mut self, chosen: &Chosen, rows: &mut Vec<Row>) {
        let plant = self.shared.options.plant;
        if plant == 0 {
            return;
        }
        let before = self.before.insert((chosen.account, chosen.contents), rows.clone());
        if let Some(before) = before
            && self.rng.random_range(0..plant) == 0
        {
            *rows = before;
            self.shared.report().planted += 1;
        }
    }

    fn judge_search(&self, chosen: &Chosen, flag: usize, answer: &Answer) {
        let found: BTreeSet<u32> = found(&answer.untagged).collect();
        let mut known = self.shared.account(chosen.account);
        if known.may_be_gone(&chosen.name, answer.span) {
            return;
        }
        let mut wrong = known.searched(chosen.contents, flag, &found, answer.span);
        drop(known);
        wrong.extend((!answer.ok).then(|| answer.status.clone()));
        let wrong = wrong.into_iter().map(|wrong| format!("u{} {}: {wrong}", chosen.account, chosen.name));
        self.shared.judged("SEARCH", 1, wrong);
    }

    fn judge_names(&self, account: usize, answer: &Answer) {
        let ours = |name: &String| name == "INBOX" || name.starts_with("b-");
        let names = answer.untagged.iter().filter_map(|line| listed(line)).filter(ours).collect();
        let wrong = self.shared.account(account).listed(&names, answer.span);
        self.shared.judged("LIST", 1, wrong.into_iter().map(|wrong| format!("u{account}: {wrong}")));
    }
}
