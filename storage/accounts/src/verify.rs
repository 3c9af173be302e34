//! Looks whether the directory fits together, and mends what does not.

use crate::login::PASSWORD;
use crate::rows::{self, parse_address};
use crate::second::SECRET;
use crate::shares;
use crate::{Account, Accounts, Address, ApplicationHash, DomainSettings, Error, Kind as AccountKind, Quota};
use findings::{Finding, Kind, Mended, Report};
use kv::Transaction;
use schema::keys::account::{
    AddressKey, AliasKey, CredentialKey, DomainKey, GrantKey, GroupMemberKey, LastIdKey, ListMemberKey,
    MemberOfKey, PrincipalKey, SecondFactorKey, VisitsKey, principal_range,
};
use schema::keys::mail::QuotaLimitKey;
use schema::keys::push::{PushKey, PushRateKey, PushSecretKey, PushSlotKey};
use schema::keys::share::{ShareKey, SharedKey};
use schema::records::account::{self as records, AddressTarget, LastId, Membership, Principal};
use schema::records::mail::QuotaLimitRecord;
use schema::records::push::{PushRate, PushRecord, PushSecret};
use schema::{AccountId, DomainId, Key, Record};

/// What does not fit of a row of the directory.
pub async fn check_row_in(txn: &Transaction, key: &[u8], value: &[u8]) -> Result<Report, Error> {
    let mut report = Report::of(key);
    if DomainKey::decode(key).is_ok() {
        let Some(domain) = report.record::<records::Domain>(value) else { return Ok(report) };
        check_id(txn, LastIdKey::Domain, domain.id, &mut report).await?;
    } else if let Ok(address) = AddressKey::decode(key) {
        check_address(txn, &address, value, &mut report).await?;
    } else if LastIdKey::decode(key).is_ok() {
        report.record::<LastId>(value);
    } else if PushSecretKey::decode(key).is_ok() {
        report.record::<PushSecret>(value);
    } else if PushSlotKey::decode(key).is_ok() {
        report.bytes::<10>(value);
    } else if let Ok(PrincipalKey { account }) = PrincipalKey::decode(key) {
        check_principal(txn, account, value, &mut report).await?;
    } else if let Some((account, check)) = part(key) {
        match kind_of(txn, account).await? {
            None => report.add_here(Kind::PrincipalRowStale, "there is no such account"),
            Some(_) => check_part(txn, check, value, &mut report).await?,
        }
    } else {
        return Ok(report.unknown());
    }
    Ok(report)
}

/// A row of what belongs to an account.
enum Part {
    Credential(u32),
    SecondFactor,
    Visits,
    Member(GroupMemberKey),
    MemberOf(MemberOfKey),
    ListMember,
    Alias(AliasKey),
    Push,
    PushRate,
    Grant,
    /// Whether it is the owner's half.
    Share(ShareKey, bool),
}

fn part(key: &[u8]) -> Option<(AccountId, Part)> {
    if let Ok(key) = CredentialKey::decode(key) {
        Some((key.account, Part::Credential(key.number)))
    } else if let Ok(key) = SecondFactorKey::decode(key) {
        Some((key.account, Part::SecondFactor))
    } else if let Ok(key) = VisitsKey::decode(key) {
        Some((key.account, Part::Visits))
    } else if let Ok(key) = GroupMemberKey::decode(key) {
        Some((key.group, Part::Member(key)))
    } else if let Ok(key) = MemberOfKey::decode(key) {
        Some((key.member, Part::MemberOf(key)))
    } else if let Ok(key) = ListMemberKey::decode(key) {
        Some((key.list, Part::ListMember))
    } else if let Ok(key) = PushKey::decode(key) {
        Some((key.account, Part::Push))
    } else if let Ok(key) = PushRateKey::decode(key) {
        Some((key.account, Part::PushRate))
    } else if let Ok(key) = GrantKey::decode(key) {
        Some((key.account, Part::Grant))
    } else if let Ok(key) = ShareKey::decode(key) {
        Some((key.owner, Part::Share(key, true)))
    } else if let Ok(key) = SharedKey::decode(key) {
        Some((key.principal, Part::Share(key.other(), false)))
    } else {
        AliasKey::decode(key).ok().map(|key| (key.account, Part::Alias(key)))
    }
}

/// The kind of an account: none if it is not there, 0 if it cannot be read.
async fn kind_of(txn: &Transaction, account: AccountId) -> Result<Option<u32>, Error> {
    let value = txn.get(&PrincipalKey { account }.encode()).await?;
    Ok(value.map(|value| Principal::from_bytes(&value).map_or(0, |principal| principal.kind)))
}

async fn check_id(txn: &Transaction, last: LastIdKey, id: u32, report: &mut Report) -> Result<(), Error> {
    let value = txn.get(&last.encode()).await?;
    // What cannot be read says so itself.
    let given = value.map_or(0, |value| LastId::from_bytes(&value).map_or(u32::MAX, |last| last.id));
    if given < id {
        report.add(Kind::LastIdLow, last.encode(), format!("{id} is in use"));
    }
    Ok(())
}

async fn check_address(
    txn: &Transaction,
    key: &AddressKey,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let domain = DomainKey { name: key.domain.clone() }.encode();
    if txn.get(&domain).await?.is_none() {
        report.add(Kind::DomainLost, domain, format!("{} is in it", address_of(key)));
    }
    let Some(target) = report.record::<AddressTarget>(value) else { return Ok(()) };
    let account = AccountId(target.account);
    let Some(value) = txn.get(&PrincipalKey { account }.encode()).await? else {
        let (begin, end) = principal_range(account);
        let rest = txn.range(&begin, &end).first().await?.is_some() || has_mail(txn, account).await?;
        if rest && !target.alias {
            let detail = format!("{} is its address", address_of(key));
            report.add(Kind::PrincipalLost, PrincipalKey { account }.encode(), detail);
        } else if !rest {
            report.add_here(Kind::AddressStale, format!("there is no account {account}"));
        }
        return Ok(());
    };
    let Ok(principal) = Principal::from_bytes(&value) else { return Ok(()) };
    let address = address_of(key).to_string();
    if !target.alias && principal.address != address {
        report.add_here(Kind::AddressStale, format!("account {account} has another address"));
    }
    let alias = AliasKey { account, address }.encode();
    if target.alias && txn.get(&alias).await?.is_none() {
        report.add(Kind::AliasMissing, alias, "the account does not know of its alias");
    }
    Ok(())
}

fn address_of(key: &AddressKey) -> Address {
    Address { local: key.local.clone(), domain: key.domain.clone() }
}

/// Whether an account has mail that nobody removes: an INBOX.
async fn has_mail(txn: &Transaction, account: AccountId) -> Result<bool, Error> {
    /// The role of an INBOX, as stored.
    const INBOX: u8 = 1;
    Ok(txn.get(&schema::keys::mail::RoleKey { account, role: INBOX }.encode()).await?.is_some())
}

async fn check_principal(
    txn: &Transaction,
    account: AccountId,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(principal) = report.record::<Principal>(value) else { return Ok(()) };
    check_id(txn, LastIdKey::Account, account.0, report).await?;
    let Ok(kind) = AccountKind::from_number(principal.kind) else {
        report.add_here(Kind::Unreadable, format!("there is no kind {}", principal.kind));
        return Ok(());
    };
    match Address::parse(&principal.address) {
        Err(error) => report.add_here(Kind::Unreadable, error.to_string()),
        Ok(address) => {
            let key = rows::address_key(&address);
            let target = txn.get(&key).await?.map(|value| AddressTarget::from_bytes(&value));
            let own = |target: &AddressTarget| target.account == account.0 && !target.alias;
            // What cannot be read says so itself.
            if target.is_none_or(|target| target.is_ok_and(|target| !own(&target))) {
                report.add(
                    Kind::AddressMissing,
                    key,
                    format!("mail for {address} does not find its account"),
                );
            }
        }
    }
    if kind != AccountKind::List && has_mail(txn, account).await? {
        check_quota(txn, account, &principal, report).await?;
    } else if kind != AccountKind::List {
        let key = schema::keys::mail::RoleKey { account, role: 1 }.encode();
        // An account with mailboxes says itself that its INBOX is lost.
        let (begin, end) = schema::keys::mail::account_range(account);
        if txn.range(&begin, &end).first().await?.is_none() {
            report.add(Kind::InboxLost, key, format!("{} has no mailboxes", principal.address));
        }
    }
    Ok(())
}

/// The limit that the mail goes by is the directory's.
async fn check_quota(
    txn: &Transaction,
    account: AccountId,
    principal: &Principal,
    report: &mut Report,
) -> Result<(), Error> {
    let key = QuotaLimitKey { account }.encode();
    let limit = match txn.get(&key).await?.map(|value| QuotaLimitRecord::from_bytes(&value)) {
        None => QuotaLimitRecord::default(),
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return Ok(()),
    };
    if limit != limit_of(principal) {
        report.add(Kind::QuotaLimitDiffers, key, format!("the directory says {:?}", limit_of(principal)));
    }
    Ok(())
}

fn limit_of(principal: &Principal) -> QuotaLimitRecord {
    let limit = |value: u64| Some(value).filter(|value| *value != 0);
    QuotaLimitRecord { octets: limit(principal.quota_bytes), messages: limit(principal.quota_messages) }
}

/// No code is right by a secret that is none: its user is locked out of the page.
fn check_second(value: &[u8], report: &mut Report) {
    let Some(row) = report.record::<records::SecondFactor>(value) else { return };
    if row.secret.len() != SECRET {
        report.add_here(Kind::SecondFactorLost, "it is no secret");
    }
}

/// A password of an application has a hash, or nobody can log in with it.
fn check_credential(number: u32, value: &[u8], report: &mut Report) {
    let Some(row) = report.record::<records::Credential>(value) else { return };
    if number != PASSWORD && ApplicationHash::from_bytes(&row.hash).is_none() {
        report.add_here(Kind::CredentialStale, "it is no hash");
    }
}

async fn check_part(txn: &Transaction, part: Part, value: &[u8], report: &mut Report) -> Result<(), Error> {
    match part {
        Part::SecondFactor => check_second(value, report),
        Part::Visits => drop(report.record::<records::Visits>(value)),
        Part::Credential(number) => check_credential(number, value, report),
        Part::ListMember => drop(report.bytes::<0>(value)),
        Part::Push => drop(report.record::<PushRecord>(value)),
        Part::Share(key, is_owners) => shares::check_in(txn, (key, is_owners), value, report).await?,
        Part::PushRate => drop(report.record::<PushRate>(value)),
        Part::Grant => crate::oauth::check_grant_in(txn, value, report).await?,
        Part::Member(GroupMemberKey { group, member }) => {
            report.record::<Membership>(value);
            let other = MemberOfKey { member, group }.encode();
            if txn.get(&other).await?.is_none() {
                report.add(Kind::MembershipUneven, other, "the member does not know of its group");
            } else if kind_of(txn, member).await?.is_none() {
                report.add_here(Kind::MembershipUneven, "there is no such member");
            }
        }
        Part::MemberOf(MemberOfKey { member, group }) => {
            report.bytes::<0>(value);
            if txn.get(&GroupMemberKey { group, member }.encode()).await?.is_none() {
                report.add_here(Kind::MembershipUneven, "the group does not know of its member");
            }
        }
        Part::Alias(AliasKey { account, address }) => {
            report.bytes::<0>(value);
            let Ok(parsed) = Address::parse(&address) else {
                report.add_here(Kind::Unreadable, "it is no address");
                return Ok(());
            };
            let key = rows::address_key(&parsed);
            match txn.get(&key).await?.map(|value| AddressTarget::from_bytes(&value)) {
                None => report.add(
                    Kind::AddressMissing,
                    key,
                    format!("mail for {address} does not find its account"),
                ),
                Some(Ok(target)) if target.account != account.0 || !target.alias => {
                    report.add_here(Kind::AliasStale, "the address is another's");
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// The keys of an account in the directory: one by one, and as ranges.
pub async fn of_account(txn: &Transaction, account: AccountId) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
    let mut ranges = vec![principal_range(account), PushKey::of_account(account)];
    let (begin, end) = AliasKey::range(account);
    let mut addresses = Vec::new();
    for (key, _) in txn.range(&begin, &end).collect().await? {
        addresses.push(AliasKey::decode(&key)?.address);
    }
    if let Some(value) = txn.get(&PrincipalKey { account }.encode()).await? {
        addresses.extend(Principal::from_bytes(&value).ok().map(|principal| principal.address));
    }
    for address in addresses.iter().filter_map(|text| Address::parse(text).ok()) {
        let key = rows::address_key(&address);
        let behind = [key.as_slice(), b"\0"].concat();
        ranges.push((key, behind));
    }
    Ok(ranges)
}

impl Accounts {
    /// Mends a finding of the directory, if it still stands. With `drop_lost` also what nothing is left of is taken
    /// away.
    pub async fn mend(&self, finding: &Finding, drop_lost: bool) -> Result<Mended, Error> {
        self.db()
            .transact("verify.mend", |txn| async move {
                let Some(value) = txn.get(&finding.source).await? else { return Ok(Mended::Gone) };
                if !check_row_in(&txn, &finding.source, &value).await?.confirms(finding) {
                    return Ok(Mended::Gone);
                }
                self.mend_in(&txn, finding, drop_lost).await
            })
            .await
    }

    async fn mend_in(&self, txn: &Transaction, finding: &Finding, drop_lost: bool) -> Result<Mended, Error> {
        let key = finding.key.as_slice();
        match finding.kind {
            Kind::AddressStale | Kind::AliasStale | Kind::GrantStale | Kind::CredentialStale => {
                txn.clear(key);
                Ok(Mended::done("it was cleared"))
            }
            Kind::AliasMissing => {
                txn.set(key, b"");
                Ok(Mended::done("it was written"))
            }
            Kind::PrincipalRowStale if drop_lost => {
                txn.clear(key);
                Ok(Mended::done("it was cleared"))
            }
            Kind::MembershipUneven => membership_in(txn, finding).await,
            Kind::ShareUneven => shares::mend_in(txn, finding).await,
            Kind::AddressMissing => address_in(txn, finding).await,
            Kind::LastIdLow => last_id_in(txn, finding).await,
            Kind::DomainLost => self.domain_again_in(txn, DomainKey::decode(key)?.name).await,
            Kind::PrincipalLost => self.principal_again_in(txn, finding).await,
            _ => Ok(Mended::kept(finding.kind.remedy())),
        }
    }

    async fn domain_again_in(&self, txn: &Transaction, name: String) -> Result<Mended, Error> {
        let id = rows::next_id(txn, LastIdKey::Domain).await?;
        let settings = DomainSettings::default();
        self.set_domain(txn, &crate::Domain { id: DomainId(id), name: name.clone(), settings });
        Ok(Mended::done(format!("{name} is a domain of ours again, without a catch-all")))
    }

    /// An account from its address. What it is shows in what belongs to it; its name for people is lost.
    async fn principal_again_in(&self, txn: &Transaction, finding: &Finding) -> Result<Mended, Error> {
        let address = address_of(&AddressKey::decode(&finding.source)?).to_string();
        let PrincipalKey { account } = PrincipalKey::decode(&finding.key)?;
        let has = async |(begin, end): (Vec<u8>, Vec<u8>)| {
            Ok::<_, Error>(txn.range(&begin, &end).first().await?.is_some())
        };
        let kind = if has(GroupMemberKey::range(account)).await? {
            AccountKind::Group
        } else if has_mail(txn, account).await? || has(CredentialKey::range(account)).await? {
            AccountKind::Person
        } else {
            AccountKind::List
        };
        let limit = txn.get(&QuotaLimitKey { account }.encode()).await?;
        let limit = limit.and_then(|value| QuotaLimitRecord::from_bytes(&value).ok()).unwrap_or_default();
        let again = Account {
            id: account,
            kind,
            address: address.clone(),
            display_name: String::new(),
            enabled: true,
            quota: Quota { bytes: limit.octets, messages: limit.messages },
            created: self.now(),
        };
        rows::set_account(txn, &again);
        Ok(Mended::done(format!("{address} is a {kind} again")))
    }
}

/// Both halves of a membership, or none.
async fn membership_in(txn: &Transaction, finding: &Finding) -> Result<Mended, Error> {
    if finding.key == finding.source {
        txn.clear(&finding.key);
        return Ok(Mended::done("it was cleared"));
    }
    let MemberOfKey { member, .. } = MemberOfKey::decode(&finding.key)?;
    if kind_of(txn, member).await?.is_none() {
        txn.clear(&finding.source);
        return Ok(Mended::done("the membership of an account that is gone was cleared"));
    }
    txn.set(&finding.key, b"");
    Ok(Mended::done("the other half was written"))
}

/// Makes an address lead to its account, unless it leads to another that is there.
async fn address_in(txn: &Transaction, finding: &Finding) -> Result<Mended, Error> {
    let (account, alias) = match AliasKey::decode(&finding.source) {
        Ok(key) => (key.account, true),
        Err(_) => (PrincipalKey::decode(&finding.source)?.account, false),
    };
    let address = parse_address(&address_of(&AddressKey::decode(&finding.key)?).to_string())?;
    if let Some(target) = rows::target(txn, &address).await?
        && target.account != account.0
        && kind_of(txn, AccountId(target.account)).await?.is_some()
    {
        return Ok(Mended::kept(format!("account {} has the address", target.account)));
    }
    txn.set(&finding.key, &AddressTarget { account: account.0, alias }.to_bytes());
    Ok(Mended::done("the address leads to its account"))
}

async fn last_id_in(txn: &Transaction, finding: &Finding) -> Result<Mended, Error> {
    let id = match PrincipalKey::decode(&finding.source) {
        Ok(key) => key.account.0,
        Err(_) => match txn.get(&finding.source).await? {
            Some(value) => records::Domain::from_bytes(&value)?.id,
            None => return Ok(Mended::Gone),
        },
    };
    txn.set(&finding.key, &LastId { id }.to_bytes());
    Ok(Mended::done(format!("{id} is the last id now")))
}
