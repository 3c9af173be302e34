//! Since when each reason has been seen.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use runtime::Timestamp;

use super::{Code, Reason, Status, Verdict};

/// Reasons, and when each was seen first. One that is not seen any more is forgotten.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeMap<(Code, String), i64>>);

impl Ledger {
    /// Enters what was found at a time: the status, and the reasons, the worst first.
    pub fn enter(&self, verdicts: Vec<Verdict>, now: Timestamp) -> (Status, Vec<Reason>) {
        let mut known = self.0.lock();
        let before = std::mem::take(&mut *known);
        let mut reasons: Vec<Reason> = Vec::new();
        for Verdict { code, level, subject, text } in verdicts {
            let key = (code, subject);
            let since = before.get(&key).copied().unwrap_or(now.millis());
            known.insert(key, since);
            reasons.push(Reason { code, level, text, since, runbook: code.runbook() });
        }
        reasons.sort_by_key(|reason| (std::cmp::Reverse(reason.level), reason.since, reason.code));
        let worst = reasons.iter().map(|reason| reason.level).max();
        let status = match worst {
            None => Status::Green,
            Some(super::Level::Yellow) => Status::Yellow,
            Some(super::Level::Red) => Status::Red,
        };
        (status, reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Level;

    fn verdict(code: Code, level: Level, subject: &str) -> Verdict {
        Verdict { code, level, subject: subject.to_owned(), text: String::new() }
    }

    #[test]
    fn a_reason_keeps_its_time_until_it_is_gone() {
        let (ledger, at) = (Ledger::default(), |seconds: i64| Timestamp::from_millis(seconds * 1000));
        let down = |name| verdict(Code::NodeDown, Level::Yellow, name);
        let (status, _) = ledger.enter(vec![down("a")], at(1));
        assert_eq!(status, Status::Yellow);
        let both = vec![down("b"), down("a"), verdict(Code::StoreDown, Level::Red, "")];
        let (status, reasons) = ledger.enter(both, at(2));
        let since: Vec<_> = reasons.iter().map(|reason| (reason.code, reason.since)).collect();
        assert_eq!(status, Status::Red);
        assert_eq!(since, [(Code::StoreDown, 2000), (Code::NodeDown, 1000), (Code::NodeDown, 2000)]);
        assert_eq!(ledger.enter(Vec::new(), at(3)), (Status::Green, Vec::new()));
        assert_eq!(ledger.enter(vec![down("a")], at(4)).1[0].since, 4000);
    }
}
