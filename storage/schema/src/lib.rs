//! Ids, every key and every versioned record: the map of the database.
//!
//! # The map
//!
//! A key begins with one tag byte that names its family; the family's module page lists what follows.
//! Tags are mnemonic and never reused: a retired one stays in the list, marked so.
//!
//! | tag | family | module |
//! |-----|--------|--------|
//! | `A` | one account's mail, contiguous: move, export and delete are one range | [`keys::mail`] |
//! | `B` | bodies, their references, and what may be deleted | [`keys::blob`] |
//! | `I` | belongs to the crate `kv` (idempotency tokens) | |
//! | `J` | work that takes more than one transaction, and how far it has come | [`keys::job`] |
//! | `N` | the nodes of the cluster, their leases, and what each may work on | [`keys::node`] |
//! | `O` | clients of OAuth 2.0, and what waits for a user's word | [`keys::oauth`] |
//! | `P` | the directory of principals: domains, addresses, accounts | [`keys::account`] |
//! | `Q` | the queue of mail to be sent | [`keys::queue`] |
//! | `S` | the store's incarnation and other facts of the whole store | [`keys::system`] |
//! | `X` | the published index of mail | [`keys::search`] |
//!
//! Families of other owners live in files of their own beside these and are listed in [`explain()`].
//!
//! # Invariants
//!
//! - Every key is a named struct implementing [`Key`]; byte order of encoded keys is order of their fields.
//! - Every record starts with a format byte ([`Record`]); fields it does not know are skipped.
//! - Nothing here reads or writes a store, and nothing here knows one.

pub mod codec;
mod explain;
pub mod flags;
pub mod ids;
pub mod keys;
pub mod level;
pub mod page;
pub mod record;
pub mod records;
mod rights;
pub mod site;

pub use codec::{Key, KeyError, KeyReader, KeyWriter, STAMP_LEN, Stamp, prefix_end, prefix_range};
pub use explain::{explain, is_known};
pub use flags::{Flags, InvalidKeyword, Keyword, SystemFlags};
pub use ids::{
    AccountId, BlobHash, DomainId, Duty, DutyKind, EmailId, GrantId, IdentityId, InvalidId, MailboxId,
    ModSeq, NodeId, PushId, QueueId, SubmissionId, ThreadId, Uid,
};
pub use record::{Record, RecordError};
pub use rights::Rights;
pub use site::{Site, SiteKind, SiteState};
