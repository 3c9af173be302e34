//! Kinds of findings: one table says what each is called, how bad it is, when it is mended and how.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nobody sees it: it takes up room, or will one day.
    Leftover,
    /// Somebody sees what is not so, or does not see what is; all of it can be rebuilt.
    Wrong,
    /// Something is gone or cannot be read, and not all of it can be rebuilt from the rest.
    Loss,
}

impl Severity {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Leftover => "leftover",
            Severity::Wrong => "wrong",
            Severity::Loss => "loss",
        }
    }
}

/// A row of the table.
struct Entry {
    kind: Kind,
    code: &'static str,
    severity: Severity,
    /// Lower ones are mended first: what others stand on.
    turn: u8,
    remedy: &'static str,
}

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the table below says of each what it is called and what is done")]
pub enum Kind {
    UnknownKey,
    ForeignFormat,
    Unreadable,
    StampFromTheFuture,
    JobForLiving,
    RemovalForgotten,
    DomainLost,
    PrincipalLost,
    PrincipalRowStale,
    LastIdLow,
    AddressMissing,
    AddressStale,
    AliasMissing,
    AliasStale,
    GrantStale,
    CredentialStale,
    SecondFactorLost,
    MembershipUneven,
    ShareUneven,
    InboxLost,
    MailUnowned,
    MailboxLost,
    AllocationLow,
    ParentMissing,
    NameMissing,
    NameStale,
    RoleMissing,
    RoleStale,
    QuotaLimitDiffers,
    KeywordLost,
    KeywordNameMissing,
    KeywordNameStale,
    EmailLost,
    StructureLost,
    StructureStale,
    BodyLost,
    BodyDamaged,
    BodyReferenceMissing,
    MessageLost,
    EmailDiffers,
    CopyMissing,
    CopyStale,
    VanishedIsThere,
    PageLacks,
    PageGhost,
    EmailUnfiled,
    IndexMissing,
    ChangeUnlogged,
    IndexStale,
    ThreadMissing,
    ThreadStale,
    HighestLow,
    LastChangeLow,
    UidNextLow,
    CountersWrong,
    QuotaWrong,
    ExpiryMissing,
    ExpiryStale,
    BodyReferenceStale,
    BodyUnheld,
    CandidateMissing,
    CandidateStale,
    PieceStale,
    SearchStale,
    SearchDamaged,
    NodeUneven,
    SiteStateWrong,
    EpochLow,
    Retired,
    QueueSlotWrong,
    RecipientsLost,
    RecipientStale,
    DueMissing,
    DueStale,
    LaterMissing,
    LaterStale,
    ClaimMissing,
    ClaimStale,
    FormatOld,
}

use Kind as K;
use Severity::{Leftover, Loss, Wrong};

const fn row(kind: Kind, code: &'static str, severity: Severity, turn: u8, remedy: &'static str) -> Entry {
    Entry { kind, code, severity, turn, remedy }
}

const LOOK: &str = "nothing: somebody has to look";

#[rustfmt::skip]
const TABLE: &[Entry] = &[
    row(K::UnknownKey, "unknown-key", Loss, 0, LOOK),
    row(K::ForeignFormat, "foreign-format", Loss, 0, "nothing: a program that knows the format has to look"),
    row(K::Unreadable, "unreadable", Loss, 0, "rewrite it where the rest of the store says what it was, else nothing"),
    row(K::StampFromTheFuture, "stamp-from-the-future", Loss, 0, LOOK),
    row(K::SecondFactorLost, "second-factor-lost", Loss, 0, "nothing: remove it with `godwit account totp remove`, and set it up again"),
    row(K::JobForLiving, "job-for-living", Wrong, 0, "clear the job, so that what is in use is not removed"),
    row(K::DomainLost, "domain-lost", Loss, 1, "make the domain again, with the settings of a new one"),
    row(K::PrincipalLost, "principal-lost", Loss, 2, "make the account again from its address and what it has"),
    row(K::PrincipalRowStale, "principal-row-stale", Leftover, 3, "clear it with --drop-lost"),
    row(K::LastIdLow, "last-id-low", Wrong, 3, "raise the last id given out"),
    row(K::AddressMissing, "address-missing", Wrong, 3, "write the address"),
    row(K::AddressStale, "address-stale", Wrong, 3, "clear the address"),
    row(K::AliasMissing, "alias-missing", Leftover, 3, "write the alias"),
    row(K::AliasStale, "alias-stale", Leftover, 3, "clear the alias"),
    row(K::GrantStale, "grant-stale", Leftover, 3, "clear the grant"),
    row(K::CredentialStale, "credential-stale", Leftover, 3, "clear the password of an application that nobody can log in with"),
    row(K::MembershipUneven, "membership-uneven", Wrong, 3, "write the other half of the membership, or clear this one"),
    row(K::MailboxLost, "mailbox-lost", Loss, 4, "make the mailbox again, under its name if that is known, with a new UIDVALIDITY"),
    row(K::RoleMissing, "role-missing", Wrong, 5, "write who has the role, or take the role away if another has it"),
    row(K::InboxLost, "inbox-lost", Loss, 6, "make an INBOX"),
    row(K::RemovalForgotten, "removal-forgotten", Leftover, 6, "write the job that removes what is left"),
    row(K::MailUnowned, "mail-unowned", Leftover, 6, "remove the mail with --drop-lost"),
    row(K::AllocationLow, "allocation-low", Wrong, 6, "raise the last number given out"),
    row(K::ParentMissing, "parent-missing", Wrong, 7, "move the mailbox to the top"),
    row(K::NameMissing, "name-missing", Wrong, 8, "write the name, or another if a mailbox has it"),
    row(K::ShareUneven, "share-uneven", Wrong, 9, "write what the mailbox's list says, or clear what it does not have"),
    row(K::NameStale, "name-stale", Wrong, 9, "clear the name"),
    row(K::RoleStale, "role-stale", Wrong, 9, "clear the role"),
    row(K::QuotaLimitDiffers, "quota-limit-differs", Wrong, 9, "set the limit that the directory says"),
    row(K::KeywordNameMissing, "keyword-name-missing", Wrong, 10, "write the keyword's name"),
    row(K::KeywordLost, "keyword-lost", Wrong, 11, "write the keyword, by its name if that is known"),
    row(K::KeywordNameStale, "keyword-name-stale", Wrong, 12, "clear the keyword's name"),
    row(K::EmailLost, "email-lost", Wrong, 13, "rebuild the email from its message"),
    row(K::StructureLost, "structure-lost", Wrong, 14, "parse the body again"),
    row(K::StructureStale, "structure-stale", Leftover, 15, "clear it"),
    row(K::BodyReferenceMissing, "body-reference-missing", Wrong, 15, "write the reference"),
    row(K::BodyLost, "body-lost", Loss, 16, "nothing, or with --drop-lost: remove what is left of the message as an expunge does"),
    row(K::BodyDamaged, "body-damaged", Loss, 16, "nothing: restore the body from a backup"),
    row(K::MessageLost, "message-lost", Wrong, 17, "rebuild the message from its email and indexes"),
    row(K::EmailDiffers, "email-differs", Wrong, 18, "rewrite the message as its email says"),
    row(K::CopyMissing, "copy-missing", Wrong, 18, "write that the email is there"),
    row(K::CopyStale, "copy-stale", Wrong, 19, "clear it"),
    row(K::VanishedIsThere, "vanished-is-there", Wrong, 20, "give the message a new UID"),
    row(K::PageLacks, "page-lacks", Wrong, 20, "give the message a new UID"),
    row(K::PageGhost, "page-ghost", Wrong, 21, "take the UID off the page, and log that it vanished"),
    row(K::EmailUnfiled, "email-unfiled", Wrong, 22, "put the email into INBOX"),
    row(K::IndexMissing, "index-missing", Wrong, 23, "write the index row"),
    row(K::ChangeUnlogged, "change-unlogged", Wrong, 24, "note a change of the message now"),
    row(K::IndexStale, "index-stale", Wrong, 25, "clear the index row"),
    row(K::ThreadMissing, "thread-missing", Wrong, 25, "write the thread's row"),
    row(K::ThreadStale, "thread-stale", Wrong, 26, "clear the thread's row"),
    row(K::HighestLow, "highest-low", Wrong, 26, "note a change of the mailbox now"),
    row(K::LastChangeLow, "last-change-low", Wrong, 26, "note a change of the account now"),
    row(K::UidNextLow, "uidnext-low", Wrong, 27, "raise UIDNEXT above every UID"),
    row(K::CountersWrong, "counters-wrong", Wrong, 28, "set the counters to what was counted"),
    row(K::QuotaWrong, "quota-wrong", Wrong, 29, "set what is used to what was counted"),
    row(K::ExpiryMissing, "expiry-missing", Leftover, 30, "write when the upload ends"),
    row(K::ExpiryStale, "expiry-stale", Leftover, 30, "clear it"),
    row(K::BodyReferenceStale, "body-reference-stale", Leftover, 30, "let the body go"),
    row(K::CandidateMissing, "candidate-missing", Leftover, 31, "leave the body to the collector"),
    row(K::BodyUnheld, "body-unheld", Leftover, 31, "leave the body to the collector"),
    row(K::CandidateStale, "candidate-stale", Leftover, 31, "clear it"),
    row(K::PieceStale, "piece-stale", Leftover, 31, "clear it"),
    row(K::SearchStale, "search-stale", Leftover, 31, "clear it, and let its files go"),
    row(K::SearchDamaged, "search-damaged", Wrong, 31, "make the shard's index anew; until then searches look at messages"),
    row(K::EpochLow, "epoch-low", Wrong, 31, "raise the last numbers given out"),
    row(K::NodeUneven, "node-uneven", Wrong, 32, "write the node's name, or clear what belongs to no node"),
    row(K::SiteStateWrong, "site-state-wrong", Wrong, 32, "clear it: the site is online"),
    row(K::Retired, "retired", Leftover, 32, "clear it"),
    row(K::QueueSlotWrong, "queue-slot-wrong", Wrong, 32, "move the entry to the slot of its domain"),
    row(K::RecipientsLost, "recipients-lost", Loss, 33, "remove the entry with --drop-lost"),
    row(K::RecipientStale, "recipient-stale", Loss, 33, "clear it with --drop-lost"),
    row(K::DueMissing, "due-missing", Wrong, 34, "make the entry due"),
    row(K::DueStale, "due-stale", Leftover, 34, "clear it"),
    row(K::LaterMissing, "later-missing", Wrong, 34, "write when the submission is to be sent"),
    row(K::LaterStale, "later-stale", Leftover, 34, "clear it"),
    row(K::ClaimMissing, "claim-missing", Wrong, 34, "make the entry due"),
    row(K::ClaimStale, "claim-stale", Leftover, 34, "clear it"),
    row(K::FormatOld, "format-old", Leftover, 35, "write it in the current format"),
];

impl Kind {
    /// All kinds, in the order in which they are mended.
    pub fn all() -> impl Iterator<Item = Kind> {
        TABLE.iter().map(|entry| entry.kind)
    }

    fn entry(self) -> &'static Entry {
        // Every kind has its row: a test looks. The first stands in, so that nothing here can fail.
        TABLE.iter().find(|entry| entry.kind == self).unwrap_or(&TABLE[0])
    }

    /// What it is called.
    pub fn code(self) -> &'static str {
        self.entry().code
    }

    /// The kind that is called so.
    pub fn of_code(code: &str) -> Option<Kind> {
        TABLE.iter().find(|entry| entry.code == code).map(|entry| entry.kind)
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        self.entry().severity
    }

    /// When it is mended: what has a lower turn comes first.
    pub fn turn(self) -> u8 {
        self.entry().turn
    }

    /// What a repair does.
    pub fn remedy(self) -> &'static str {
        self.entry().remedy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_one_row_and_one_name() {
        let kinds: BTreeSet<Kind> = Kind::all().collect();
        let codes: BTreeSet<&str> = Kind::all().map(Kind::code).collect();
        // The last of the enumeration: those before it are as many as its number.
        assert_eq!((kinds.len(), codes.len(), TABLE.len()), {
            let all = K::FormatOld as usize + 1;
            (all, all, all)
        });
        assert!(Kind::all().all(|kind| Kind::of_code(kind.code()) == Some(kind)));
        assert!(TABLE.is_sorted_by_key(|entry| entry.turn), "the table is read in the order of repair");
        assert_eq!(Kind::of_code("no-such"), None);
    }

    #[test]
    fn operators_can_read_about_every_kind() {
        let page = include_str!("../../../ops/runbooks/store-verify.md");
        for kind in Kind::all() {
            assert!(
                page.contains(&format!("`{}`", kind.code())),
                "ops/runbooks/store-verify.md lacks {}",
                kind.code()
            );
        }
    }
}
