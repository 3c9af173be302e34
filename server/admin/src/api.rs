//! The JSON of the admin API, shared with its clients.

use serde::{Deserialize, Serialize};

/// Some of many.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// Value of `after` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A domain whose mail is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// As A-labels, in lower case.
    pub name: String,
    /// Separates a user from a detail in a local part; none: nothing does.
    pub separator: Option<char>,
    /// Where mail for unknown users goes; none: it is refused.
    pub catch_all: Option<String>,
}

/// A domain to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDomain {
    /// Its name.
    pub name: String,
}

/// What to change of a domain; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainChange {
    /// One character, or an empty string for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// An address, or an empty string for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_all: Option<String>,
}

/// A person, group or list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its own address.
    pub address: String,
    /// `person`, `group` or `list`.
    pub kind: String,
    /// Its id, never used again.
    pub id: u32,
    /// For people to read.
    pub display_name: String,
    /// Neither mail nor login while it is not.
    pub enabled: bool,
    /// Most bytes; none: no limit.
    pub quota_bytes: Option<u64>,
    /// Most messages; none: no limit.
    pub quota_messages: Option<u64>,
}

/// An account to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its own address, in a domain of ours.
    pub address: String,
    /// `person`, `group` or `list`; a person if absent.
    #[serde(default = "person")]
    pub kind: String,
    /// For people to read.
    #[serde(default)]
    pub display_name: String,
    /// Without one nobody can log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Most bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
}

fn person() -> String {
    "person".to_owned()
}

/// What to change of an account; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountChange {
    /// Another name for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whether it takes part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Most bytes; 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Most messages; 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_messages: Option<u64>,
}

/// A new password.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// In clear; kept as a hash only.
    pub password: String,
}

/// An address: an alias, or a member of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The address.
    pub address: String,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its own address.
    pub address: String,
    /// Letters of RFC 4314 §2.1; all of them if absent.
    #[serde(default = "all_rights")]
    pub rights: String,
}

fn all_rights() -> String {
    accounts::Rights::ALL.to_string()
}

/// A removed account whose mail is not all gone yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// The account's id, never used again.
    pub id: u32,
    /// The address it had; it may be another account's by now.
    pub address: String,
    /// When it was removed, in milliseconds since the epoch.
    pub removed: i64,
    /// Rows of the store cleared so far.
    pub rows: u64,
    /// Emails among them.
    pub emails: u64,
    /// Octets of those emails.
    pub octets: u64,
}

/// What an account's user has allowed to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The client's id.
    pub client: String,
    /// What the client calls itself.
    pub name: String,
    /// What for, as in RFC 6749 §3.3.
    pub scope: String,
    /// Since when, in milliseconds since the epoch.
    pub created: i64,
    /// Until when if it is not used, in milliseconds since the epoch.
    pub expires: i64,
}

/// What the user calls a program that gets a password of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAppPassword {
    /// 1 to 100 octets.
    pub name: String,
}

/// A password of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppPassword {
    /// 8 hexadecimal digits.
    pub id: String,
    /// What the user calls the application.
    pub name: String,
    /// Since when, in milliseconds since the epoch.
    pub created: i64,
    /// The password itself, in the answer to the request that made it and nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// How it stands with an account's second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// `none`, `waiting` for the first code of the device, or `on`.
    pub state: String,
    /// Since when it is on, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Codes on paper that are left.
    pub recovery_codes: usize,
}

/// What a user needs to set up a device; in the answer to the request that made it and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// What the device reads: `otpauth://totp/…`.
    pub uri: String,
    /// Codes for who has lost the device, each good once.
    pub recovery_codes: Vec<String>,
}

/// What the device shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotpCode {
    /// Six digits.
    pub code: String,
}

/// The feature level that all nodes write by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// The cluster's.
    pub current: u32,
    /// The highest that every node supports: how far it could be raised.
    pub supported: u32,
    /// The nodes that have a lease.
    pub nodes: Vec<NodeLevels>,
    /// How far records of the former format have been written anew; absent before that has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewriting: Option<Rewriting>,
}

/// What levels a node supports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLevels {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its program's version.
    pub version: String,
    /// The lowest level that it can write by.
    pub lowest: u32,
    /// The highest.
    pub highest: u32,
}

/// Records of a former format are written anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewriting {
    /// The level that changed their format.
    pub level: u32,
    /// When it began, in milliseconds since the epoch.
    pub begun: i64,
    /// All before this key, in hexadecimal digits, are of the current format.
    pub cursor: String,
    /// Records looked at.
    pub seen: u64,
    /// Those of them that were written anew.
    pub rewritten: u64,
    /// When all were, in milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<i64>,
}

/// The feature level is to be raised.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaiseLevel {
    /// To which; to the highest that every node supports if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

/// A message that waits to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueEntry {
    /// Its id.
    pub id: u64,
    /// The reverse-path; empty for the null sender.
    pub return_path: String,
    /// Where it goes.
    pub domain: String,
    /// Octets.
    pub size: u64,
    /// `waiting`, `claimed` or `held`.
    pub state: String,
    /// In milliseconds since the epoch.
    pub created: i64,
    /// When it is tried next, in milliseconds since the epoch.
    pub due: i64,
    /// When trying ends, in milliseconds since the epoch.
    pub expires: i64,
    /// The account that submitted it, by its address, or by its id if it is gone; absent if nobody did or if it was taken
    /// below feature level 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitter: Option<String>,
    /// To whom.
    pub recipients: Vec<QueueRecipient>,
}

/// A recipient of a message that waits to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueRecipient {
    /// The forward-path.
    pub address: String,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// Attempts begun.
    pub attempts: u32,
    /// What the last attempt ended with.
    pub last: Option<String>,
}

/// What reading the configuration again has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Settings that are in force with their new value.
    pub changed: Vec<String>,
    /// Settings that differ in the file and need a restart: the old value stays.
    pub kept: Vec<String>,
    /// The file of the certificate that clients are shown from now on.
    pub certificate: String,
    /// Whether that is another one than before.
    pub renewed: bool,
    /// When it ends to be good, in seconds since the epoch, if that can be told.
    pub certificate_expires: Option<i64>,
}

/// A node that the store knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id, never used again.
    pub id: u32,
    /// As configured.
    pub name: String,
    /// `online`, `draining`, `left` (it said goodbye) or `down` (it did not).
    pub state: String,
    /// What fails together.
    pub zone: String,
    /// What is far from others.
    pub region: String,
    /// The program's version.
    pub version: String,
    /// The lowest and the highest feature level it can write by.
    pub levels: [u32; 2],
    /// What it does; all if empty.
    pub roles: Vec<String>,
    /// When it joined last, in milliseconds since the epoch.
    pub joined: i64,
}

/// A zone or a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// `zone` or `region`.
    pub kind: String,
    /// Its name, as in the configuration of its nodes.
    pub name: String,
    /// `online`, `standby`, `evacuating` or `offline`.
    pub state: String,
    /// Its nodes that have a lease.
    pub nodes: u32,
    /// Who set the state; empty if nobody did.
    pub by: String,
    /// When, in milliseconds since the epoch; 0 if nobody did.
    pub at: i64,
    /// Why; empty if nobody did.
    pub reason: String,
}

/// What a site is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteChange {
    /// `online`, `standby`, `evacuating` or `offline`.
    pub state: String,
    /// Who says so.
    #[serde(default)]
    pub by: String,
    /// Why.
    pub reason: String,
    /// Whether also the last site that serves may be taken away.
    #[serde(default)]
    pub force: bool,
}

/// The rehearsal under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// Its name; who has it may end it.
    pub id: String,
    /// What is rehearsed.
    pub what: String,
    /// Who began it.
    #[serde(default)]
    pub by: String,
    /// When, in milliseconds since the epoch.
    #[serde(default)]
    pub at: i64,
}

/// What of the store is to be looked through.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// An address, or an account's id; everything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether every body is read and compared to its hash.
    #[serde(default)]
    pub bodies: bool,
    /// The cursor to go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What happens while the store is looked through: one line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Verification {
    /// Something does not fit.
    Finding(Finding),
    /// Something could not be looked at.
    Skipped {
        /// What, and why.
        what: String,
    },
    /// So far it has come.
    Progress {
        /// Where it could be gone on from.
        cursor: String,
        /// Rows looked at.
        rows: u64,
        /// Bodies looked for, or read.
        bodies: u64,
    },
    /// The last line of one that came to its end.
    Done {
        /// Rows looked at.
        rows: u64,
        /// Bodies looked for, or read.
        bodies: u64,
        /// What was found.
        findings: u64,
    },
    /// The last line of one that did not.
    Failed {
        /// Why.
        reason: String,
        /// Where it can be gone on from.
        cursor: String,
    },
}

/// Something of the store that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Its kind.
    pub kind: String,
    /// `loss`, `wrong` or `leftover`.
    pub severity: String,
    /// The account's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The mailbox's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The row, in words.
    pub row: String,
    /// The row's key, in hexadecimal digits.
    pub key: String,
    /// The row whose check found it.
    pub source: String,
    /// What exactly.
    pub detail: String,
    /// What a repair does.
    pub repair: String,
}

/// What is to be mended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repair {
    /// Findings, in the order in which they are to be mended. Each is looked at again first.
    pub findings: Vec<Finding>,
    /// Whether what nothing is left of is taken away.
    #[serde(default)]
    pub drop_lost: bool,
}

/// What became of a finding: one line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mending {
    /// Its kind.
    pub kind: String,
    /// The row, in words.
    pub row: String,
    /// `done`, `kept`, `gone` (it stands no more) or `failed`.
    pub outcome: String,
    /// What was done, or why not.
    pub what: String,
}

/// A shard of the index of mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchShard {
    /// Which.
    pub shard: u32,
    /// The edition that answers; 0 if none does.
    pub edition: u32,
    /// How often that was published.
    pub generation: u64,
    /// Its segments.
    pub segments: usize,
    /// Messages in them.
    pub documents: u64,
    /// Those of them that are deleted.
    pub deleted: u64,
    /// Octets of its files.
    pub octets: u64,
    /// When it was published last, in milliseconds since the epoch.
    pub published: i64,
    /// Rows of it cannot be read, and are told as if they were not there; who writes the shard has it made anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// The edition that is being made to take its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub building: Option<SearchBuilding>,
}

/// An edition that is being made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchBuilding {
    /// Which.
    pub edition: u32,
    /// When it was begun, in milliseconds since the epoch.
    pub begun: i64,
    /// Why.
    pub reason: String,
    /// Messages in it so far.
    pub documents: u64,
}

/// What is to be made anew.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRebuild {
    /// One shard; all if absent.
    #[serde(default)]
    pub shard: Option<u32>,
}

/// What is made anew from now on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SearchRebuilt {
    /// The shards; without those that were under way already, or have no index yet.
    pub begun: Vec<u32>,
}

/// A search that is to be explained.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchExplain {
    /// Whose mail: an address.
    pub account: String,
    /// Where it is looked for: `text` for all of a message, `body`, or the name of a header field.
    #[serde(default)]
    pub field: String,
    /// What is looked for.
    pub text: String,
}

/// How a search would be answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchExplained {
    /// The account's shard.
    pub shard: u32,
    /// Why all messages would be looked at; none if the index answers.
    pub scanned: Option<String>,
    /// The edition that answers.
    pub edition: u32,
    /// How often it was published.
    pub generation: u64,
    /// Segments that were asked.
    pub segments: usize,
    /// Up to which change the account is in the index.
    pub upto: u64,
    /// Messages that match for sure.
    pub sure: usize,
    /// Messages that would be looked at.
    pub looked_at: usize,
    /// How many of those came after what is in the index.
    pub tail: usize,
}
