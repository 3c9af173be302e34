//! What clients are told without asking (RFC 8620 §7): which states changed, and from where on a client has been told.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::Id;

/// Longest ping interval that is granted, in seconds (RFC 8620 §7.3: not below 300).
pub const PING_MOST: u64 = 900;
/// Shortest ping interval, in seconds (RFC 8620 §7.3: not above 30).
pub const PING_LEAST: u64 = 10;
/// Accounts that a position may name.
pub const ACCOUNTS: usize = 4_096;

/// States that changed (RFC 8620 §7.1), by account and type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateChange {
    /// What changed.
    pub changed: BTreeMap<Id, BTreeMap<&'static str, String>>,
}

impl StateChange {
    /// The object.
    pub fn to_value(&self) -> Value {
        json!({"@type": "StateChange", "changed": self.changed})
    }
}

/// From where on a client has been told: a commit for each account, in a store of one incarnation. It is the id of events, and
/// the `pushState` of RFC 8887 §4.3.5.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The store's.
    pub incarnation: u64,
    /// The last commit that the client knows of, by account.
    pub accounts: BTreeMap<u32, u64>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.incarnation)?;
        self.accounts.iter().try_for_each(|(account, commit)| write!(f, ".{account:x}-{commit:x}"))
    }
}

/// That was never a position of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let mut parts = text.split('.');
        let incarnation = parts.next().and_then(|part| u64::from_str_radix(part, 16).ok());
        let mut position =
            Position { incarnation: incarnation.ok_or(NoPosition)?, accounts: BTreeMap::new() };
        for part in parts {
            let (account, commit) = part.split_once('-').ok_or(NoPosition)?;
            let account = u32::from_str_radix(account, 16).map_err(|_| NoPosition)?;
            let commit = u64::from_str_radix(commit, 16).map_err(|_| NoPosition)?;
            if position.accounts.len() == ACCOUNTS || position.accounts.insert(account, commit).is_some() {
                return Err(NoPosition);
            }
        }
        Ok(position)
    }
}

/// Which types a client wants to hear of: all, or some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All that there are.
    All,
    /// Those of these names. What nobody knows is no error: another version may.
    Some(Vec<String>),
}

/// What a client of the event source asks for (RFC 8620 §7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSource {
    /// `types`
    pub types: Wanted,
    /// `closeafter=state`: the response ends with the first event.
    pub close_after_state: bool,
    /// `ping` in seconds, within the bounds; none for none.
    pub ping: Option<u64>,
}

impl EventSource {
    /// Reads the variables of the template. One that is not there is as if it were `*`, `no` or `0`.
    ///
    /// # Errors
    /// The name of one that is not as it should be.
    pub fn read(variables: &BTreeMap<String, String>) -> Result<Self, &'static str> {
        let get = |name: &str, default| variables.get(name).map_or(default, String::as_str);
        let close_after_state = match get("closeafter", "no") {
            "no" => false,
            "state" => true,
            _ => return Err("closeafter"),
        };
        let ping: u64 = get("ping", "0").parse().map_err(|_| "ping")?;
        let ping = (ping > 0).then(|| ping.clamp(PING_LEAST, PING_MOST));
        let types = match get("types", "*") {
            "" => return Err("types"),
            "*" => Wanted::All,
            names => Wanted::Some(names.split(',').map(|name| name.trim().to_owned()).collect()),
        };
        Ok(EventSource { types, close_after_state, ping })
    }
}

/// What a device is sent when it has subscribed (RFC 8620 §7.2.2): it says the code to the server to show that it was reached.
pub fn verification(subscription: &str, code: &str) -> Value {
    json!({"@type": "PushVerification", "pushSubscriptionId": subscription, "verificationCode": code})
}

/// The capability that says what pushes are signed with (RFC 9749).
pub const VAPID: &str = "urn:ietf:params:jmap:webpush-vapid";

/// An event of a stream, as the WHATWG's HTML standard (§9.2) has it; the data is one line.
pub fn event(name: &str, id: Option<&str>, data: &Value) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {name}\n{id}data: {data}\n\n")
}

/// What a stream begins with: the id from which a client asks on if nothing comes, and nothing to be shown.
pub fn beginning(id: &str) -> String {
    format!("id: {id}\n\n")
}

/// What a stream ends with: after how long the client shall come again, in milliseconds.
pub fn farewell(retry: u64) -> String {
    format!("retry: {retry}\n\n")
}

/// A line that nobody is shown, to see whether the client is there.
pub const COMMENT: &str = ":\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8620 §7.1
    #[test]
    fn the_rfcs_example() {
        let mut change = StateChange::default();
        let states =
            [("Email", "d35ecb040aab"), ("EmailDelivery", "428d565f2440"), ("Mailbox", "0af7a512ce70")];
        let states = states.map(|(name, state)| (name, state.to_owned()));
        change.changed.insert(Id::new("a3123").unwrap(), BTreeMap::from(states));
        let told = json!({"@type": "StateChange", "changed": {"a3123": {
            "Email": "d35ecb040aab", "EmailDelivery": "428d565f2440", "Mailbox": "0af7a512ce70"
        }}});
        assert_eq!(change.to_value(), told);
        let text = event("state", Some("7.1-2"), &change.to_value());
        assert!(text.starts_with("event: state\nid: 7.1-2\ndata: {\"@type\":\"StateChange\""), "{text}");
        assert!(text.ends_with("}}}\n\n"), "{text}");
        assert_eq!(event("ping", None, &json!({"interval": 30})), "event: ping\ndata: {\"interval\":30}\n\n");
    }

    #[test]
    fn positions_come_back() {
        let accounts = BTreeMap::from([(1, 0x64), (9, u64::MAX)]);
        let position = Position { incarnation: 0xabc, accounts };
        assert_eq!(position.to_string(), "abc.1-64.9-ffffffffffffffff");
        assert_eq!(position.to_string().parse(), Ok(position));
        assert_eq!("0".parse(), Ok(Position::default()));
        for bad in ["", "x", "1.", "1.2", "1.2-", "1.2-x", "1.2-3.2-4", "1.123456789-1", "1\n"] {
            assert_eq!(bad.parse::<Position>(), Err(NoPosition), "{bad}");
        }
        let many: String = (0..=ACCOUNTS).map(|account| format!(".{account:x}-1")).collect();
        assert_eq!(format!("1{many}").parse::<Position>(), Err(NoPosition));
    }

    /// RFC 8620 §7.3
    #[test]
    fn what_is_asked_for() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            EventSource::read(&pairs.collect())
        };
        let all = EventSource { types: Wanted::All, close_after_state: false, ping: None };
        assert_eq!(read(&[]), Ok(all.clone()));
        assert_eq!(read(&[("types", "*"), ("closeafter", "no"), ("ping", "0")]), Ok(all));
        let some = read(&[("types", "Email,Mailbox"), ("closeafter", "state"), ("ping", "300")]).unwrap();
        assert_eq!(some.types, Wanted::Some(vec!["Email".into(), "Mailbox".into()]));
        assert_eq!((some.close_after_state, some.ping), (true, Some(300)));
        assert_eq!(read(&[("ping", "1")]).unwrap().ping, Some(PING_LEAST));
        assert_eq!(read(&[("ping", "100000")]).unwrap().ping, Some(PING_MOST));
        for (name, value) in [("types", ""), ("closeafter", "yes"), ("ping", "-1"), ("ping", "{ping}")] {
            assert_eq!(read(&[(name, value)]), Err(name));
        }
    }
}
