//! `P`: the directory of principals: domains, addresses, accounts and who belongs to what.
//!
//! | key | value |
//! |-----|-------|
//! | `P a` domain local | [`crate::records::account::AddressTarget`] |
//! | `P d` domain | [`crate::records::account::Domain`] |
//! | `P n` kind | [`crate::records::account::LastId`] |
//! | `P p` account `c` number | [`crate::records::account::Credential`]: the password, and those of applications |
//! | `P p` account `g` group | empty: the account is a member of the group |
//! | `P p` account `h` … `k` … | who may use which mailboxes of others: [`super::share`] |
//! | `P p` account `l` address | empty: a list's member |
//! | `P p` account `m` member | [`crate::records::account::Membership`]: a group's member |
//! | `P p` account `o` grant | [`crate::records::oauth::Grant`]: what a client was allowed |
//! | `P p` account `p` | [`crate::records::account::Principal`] |
//! | `P p` account `s` address | empty: an alias of the account |
//! | `P p` account `t` | [`crate::records::account::SecondFactor`] |
//! | `P p` account `v` | [`crate::records::account::Visits`]: visits to the page of the account |
//! | `P w` … | who is pushed to: [`super::push`] |

use super::{read_tags, show};
use crate::{AccountId, GrantId, Key, KeyError, KeyReader, KeyWriter, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'P';

fn text(bytes: &[u8]) -> Result<String, KeyError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| KeyError::Range)
}

/// A domain of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainKey {
    /// A-labels, in lower case.
    pub name: String,
}

impl DomainKey {
    /// All domains.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'd');
        })
    }
}

impl Key for DomainKey {
    const NAME: &'static str = "Domain";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'd').raw(self.name.as_bytes());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'd'])?;
        Ok(DomainKey { name: text(reader.rest())? })
    }
}

/// An address of ours; a domain's addresses lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressKey {
    /// A-labels, in lower case.
    pub domain: String,
    /// In lower case.
    pub local: String,
}

impl AddressKey {
    /// All addresses of a domain, or of all domains.
    pub fn range(domain: Option<&str>) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'a');
            if let Some(domain) = domain {
                writer.bytes(domain.as_bytes());
            }
        })
    }
}

impl Key for AddressKey {
    const NAME: &'static str = "Address";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'a').bytes(self.domain.as_bytes()).raw(self.local.as_bytes());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'a'])?;
        let domain = text(&reader.bytes()?)?;
        Ok(AddressKey { domain, local: text(reader.rest())? })
    }
}

/// The last id given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastIdKey {
    /// Of accounts: `a`.
    Account,
    /// Of domains: `d`.
    Domain,
}

impl Key for LastIdKey {
    const NAME: &'static str = "LastId";

    fn write(&self, writer: &mut KeyWriter) {
        let kind = match self {
            LastIdKey::Account => b'a',
            LastIdKey::Domain => b'd',
        };
        writer.tag(TAG).tag(b'n').tag(kind);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'n'])?;
        match reader.peek() {
            Some(b'a') => reader.tag(b'a').map(|()| LastIdKey::Account),
            _ => reader.tag(b'd').map(|()| LastIdKey::Domain),
        }
    }
}

pub(super) fn principal(writer: &mut KeyWriter, account: AccountId) -> &mut KeyWriter {
    writer.tag(TAG).tag(b'p').uint(account.0.into())
}

pub(super) fn read_principal(reader: &mut KeyReader<'_>, tag: u8) -> Result<AccountId, KeyError> {
    read_tags(reader, &[TAG, b'p'])?;
    let account = AccountId(reader.uint32()?);
    reader.tag(tag)?;
    Ok(account)
}

pub(super) fn part_range(account: AccountId, tag: u8) -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        principal(writer, account).tag(tag);
    })
}

/// All rows of an account in the directory, but for its addresses and what others have of it.
pub fn principal_range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        principal(writer, account);
    })
}

/// A person, group or list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrincipalKey {
    /// Its id.
    pub account: AccountId,
}

impl Key for PrincipalKey {
    const NAME: &'static str = "Principal";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.account).tag(b'p');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        Ok(PrincipalKey { account: read_principal(reader, b'p')? })
    }
}

/// What proves that somebody is the account's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialKey {
    /// The account.
    pub account: AccountId,
    /// 0 is the password; others are random.
    pub number: u32,
}

impl CredentialKey {
    /// All credentials of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        part_range(account, b'c')
    }
}

impl Key for CredentialKey {
    const NAME: &'static str = "Credential";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.account).tag(b'c').uint(self.number.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_principal(reader, b'c')?;
        Ok(CredentialKey { account, number: reader.uint32()? })
    }
}

/// What somebody has besides the password (RFC 6238).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecondFactorKey {
    /// The account.
    pub account: AccountId,
}

impl Key for SecondFactorKey {
    const NAME: &'static str = "SecondFactor";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.account).tag(b't');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        Ok(SecondFactorKey { account: read_principal(reader, b't')? })
    }
}

/// Visits to the page of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisitsKey {
    /// The account.
    pub account: AccountId,
}

impl Key for VisitsKey {
    const NAME: &'static str = "Visits";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.account).tag(b'v');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        Ok(VisitsKey { account: read_principal(reader, b'v')? })
    }
}

/// A member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupMemberKey {
    /// The group.
    pub group: AccountId,
    /// The member.
    pub member: AccountId,
}

impl GroupMemberKey {
    /// All members of a group.
    pub fn range(group: AccountId) -> (Vec<u8>, Vec<u8>) {
        part_range(group, b'm')
    }
}

impl Key for GroupMemberKey {
    const NAME: &'static str = "GroupMember";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.group).tag(b'm').uint(self.member.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let group = read_principal(reader, b'm')?;
        Ok(GroupMemberKey { group, member: AccountId(reader.uint32()?) })
    }
}

/// The same, found by the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberOfKey {
    /// The member.
    pub member: AccountId,
    /// The group.
    pub group: AccountId,
}

impl MemberOfKey {
    /// All groups of a member.
    pub fn range(member: AccountId) -> (Vec<u8>, Vec<u8>) {
        part_range(member, b'g')
    }
}

impl Key for MemberOfKey {
    const NAME: &'static str = "MemberOf";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.member).tag(b'g').uint(self.group.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let member = read_principal(reader, b'g')?;
        Ok(MemberOfKey { member, group: AccountId(reader.uint32()?) })
    }
}

/// A member of a mailing list: any address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListMemberKey {
    /// The list.
    pub list: AccountId,
    /// The member, normalized.
    pub address: String,
}

impl ListMemberKey {
    /// All members of a list.
    pub fn range(list: AccountId) -> (Vec<u8>, Vec<u8>) {
        part_range(list, b'l')
    }
}

impl Key for ListMemberKey {
    const NAME: &'static str = "ListMember";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.list).tag(b'l').raw(self.address.as_bytes());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let list = read_principal(reader, b'l')?;
        Ok(ListMemberKey { list, address: text(reader.rest())? })
    }
}

/// An alias, found by its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasKey {
    /// The account.
    pub account: AccountId,
    /// The alias, normalized.
    pub address: String,
}

impl AliasKey {
    /// All aliases of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        part_range(account, b's')
    }
}

impl Key for AliasKey {
    const NAME: &'static str = "Alias";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.account).tag(b's').raw(self.address.as_bytes());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_principal(reader, b's')?;
        Ok(AliasKey { account, address: text(reader.rest())? })
    }
}

/// What a client was allowed by the account's user, with the tokens that show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantKey {
    /// The account.
    pub account: AccountId,
    /// Random.
    pub grant: GrantId,
}

impl GrantKey {
    /// All that an account's user has allowed.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        part_range(account, b'o')
    }
}

impl Key for GrantKey {
    const NAME: &'static str = "Grant";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.account).tag(b'o').fixed64(self.grant.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_principal(reader, b'o')?;
        Ok(GrantKey { account, grant: GrantId(reader.fixed64()?) })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<DomainKey>(bytes)
        .or_else(|| show::<AddressKey>(bytes))
        .or_else(|| show::<LastIdKey>(bytes))
        .or_else(|| show::<PrincipalKey>(bytes))
        .or_else(|| show::<CredentialKey>(bytes))
        .or_else(|| show::<GroupMemberKey>(bytes))
        .or_else(|| show::<MemberOfKey>(bytes))
        .or_else(|| show::<ListMemberKey>(bytes))
        .or_else(|| show::<AliasKey>(bytes))
        .or_else(|| super::push::explain(bytes))
        .or_else(|| show::<GrantKey>(bytes))
        .or_else(|| show::<SecondFactorKey>(bytes))
        .or_else(|| show::<VisitsKey>(bytes))
        .or_else(|| super::share::explain(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden<K: Key + PartialEq + std::fmt::Debug>(key: &K, bytes: &[u8]) {
        assert_eq!(key.encode(), bytes);
        assert_eq!(K::decode(bytes).as_ref(), Ok(key));
        assert_eq!(explain(bytes), Some(format!("{key:?}")));
    }

    #[test]
    fn golden_bytes() {
        golden(&DomainKey { name: "a.test".into() }, b"Pda.test");
        golden(&AddressKey { domain: "a.test".into(), local: "bob".into() }, b"Paa.test\0bob");
        golden(&LastIdKey::Account, b"Pna");
        golden(&LastIdKey::Domain, b"Pnd");
        let (account, other) = (AccountId(7), AccountId(8));
        golden(&PrincipalKey { account }, b"Pp\x07p");
        golden(&CredentialKey { account, number: 1 }, b"Pp\x07c\x01");
        golden(&GroupMemberKey { group: account, member: other }, b"Pp\x07m\x08");
        golden(&MemberOfKey { member: account, group: other }, b"Pp\x07g\x08");
        golden(&ListMemberKey { list: account, address: "x@b.test".into() }, b"Pp\x07lx@b.test");
        golden(&AliasKey { account, address: "x@a.test".into() }, b"Pp\x07sx@a.test");
        golden(&SecondFactorKey { account }, b"Pp\x07t");
        golden(&VisitsKey { account }, b"Pp\x07v");
        golden(&GrantKey { account, grant: GrantId(258) }, b"Pp\x07o\0\0\0\0\0\0\x01\x02");
    }

    #[test]
    fn a_domains_addresses_are_its_own() {
        let (begin, end) = AddressKey::range(Some("a.test"));
        let within = |domain: &str| {
            let key = AddressKey { domain: domain.into(), local: "bob".into() }.encode();
            begin <= key && key < end
        };
        assert!(within("a.test") && !within("a.testing") && !within("a.tes"));
        let (begin, end) = principal_range(AccountId(7));
        let key = CredentialKey { account: AccountId(7), number: 9 }.encode();
        assert!(begin <= key && key < end);
    }
}
