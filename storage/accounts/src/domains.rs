//! Domains.

use crate::rows::{self, parse_address};
use crate::{
    Accounts, Domain, DomainChange, DomainSettings, Error, InvalidAddress, Page, What, normalize_domain,
};
use kv::Transaction;
use schema::keys::account::{AddressKey, DomainKey, LastIdKey};
use schema::records::account as records;
use schema::{DomainId, Key, Record};

impl Accounts {
    /// Makes a domain ours.
    pub async fn create_domain(&self, name: &str, settings: DomainSettings) -> Result<Domain, Error> {
        let (name, settings) = (&parse_domain(name)?, &checked(settings)?);
        self.db()
            .transact("accounts.create_domain", |txn| async move {
                if rows::domain(&txn, name).await?.is_some() {
                    return Err(Error::AlreadyExists(name.clone()));
                }
                let id = DomainId(rows::next_id(&txn, LastIdKey::Domain).await?);
                let domain = Domain { id, name: name.clone(), settings: settings.clone() };
                self.set_domain(&txn, &domain);
                Ok(domain)
            })
            .await
    }

    /// A domain of ours.
    pub async fn domain(&self, name: &str) -> Result<Option<Domain>, Error> {
        let Ok(name) = &parse_domain(name) else { return Ok(None) };
        self.db().read("accounts.domain", |txn| async move { rows::domain(&txn, name).await }).await
    }

    /// Domains by name, from behind `after` on.
    pub async fn domains(&self, after: Option<&str>, limit: usize) -> Result<Page<Domain>, Error> {
        let (mut begin, end) = DomainKey::range();
        if let Some(after) = after {
            begin = DomainKey { name: format!("{after}\0") }.encode();
        }
        let (begin, end) = (&begin, &end);
        let rows = self.db().read("accounts.domains", |txn| async move {
            Ok::<_, Error>(txn.range(begin, end).limit(limit + 1).collect().await?)
        });
        let mut items = Vec::new();
        for (key, value) in rows.await? {
            let name = DomainKey::decode(&key)?.name;
            items.push(Domain::from_record(name, records::Domain::from_bytes(&value)?));
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|domain| domain.name.clone());
        Ok(Page { items, next })
    }

    /// Changes how a domain treats addresses.
    pub async fn update_domain(&self, name: &str, change: DomainChange) -> Result<Domain, Error> {
        let (name, change) = (&parse_domain(name)?, &change);
        self.db()
            .transact("accounts.update_domain", |txn| async move {
                let mut domain = rows::domain(&txn, name).await?.ok_or(Error::NotFound(What::Domain))?;
                let DomainSettings { separator, catch_all } = domain.settings;
                domain.settings = checked(DomainSettings {
                    separator: change.separator.unwrap_or(separator),
                    catch_all: change.catch_all.clone().unwrap_or(catch_all),
                })?;
                self.set_domain(&txn, &domain);
                Ok(domain)
            })
            .await
    }

    /// Gives a domain up; it must have no addresses left.
    pub async fn delete_domain(&self, name: &str) -> Result<(), Error> {
        let name = &parse_domain(name)?;
        self.db()
            .transact("accounts.delete_domain", |txn| async move {
                rows::domain(&txn, name).await?.ok_or(Error::NotFound(What::Domain))?;
                let (begin, end) = AddressKey::range(Some(name));
                if txn.range(&begin, &end).first().await?.is_some() {
                    return Err(Error::DomainInUse);
                }
                txn.clear(&DomainKey { name: name.clone() }.encode());
                Ok(())
            })
            .await
    }

    pub(crate) fn set_domain(&self, txn: &Transaction, domain: &Domain) {
        let DomainSettings { separator, catch_all } = &domain.settings;
        let record = records::Domain {
            id: domain.id.0,
            separator: separator.map(String::from).unwrap_or_default(),
            catch_all: catch_all.clone().unwrap_or_default(),
            created: self.now(),
        };
        txn.set(&DomainKey { name: domain.name.clone() }.encode(), &record.to_bytes());
    }
}

fn parse_domain(name: &str) -> Result<String, Error> {
    let error = |error: InvalidAddress| Error::InvalidAddress { text: name.to_owned(), error };
    normalize_domain(name).map_err(error)
}

fn checked(settings: DomainSettings) -> Result<DomainSettings, Error> {
    let DomainSettings { separator, catch_all } = settings;
    if separator.is_some_and(|c| !"+-=_#".contains(c)) {
        return Err(Error::Invalid("a separator is one of + - = _ #"));
    }
    let catch_all = catch_all.map(|address| parse_address(&address)).transpose()?;
    Ok(DomainSettings { separator, catch_all: catch_all.map(|address| address.to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::directory;

    #[tokio::test]
    async fn a_domain_is_made_changed_and_given_up() {
        let accounts = directory().await;
        let made = accounts.create_domain("BÜCHER.example", DomainSettings::default()).await.unwrap();
        assert_eq!(made.name, "xn--bcher-kva.example");
        assert_eq!(accounts.domain("bücher.example").await.unwrap(), Some(made.clone()));
        let again = accounts.create_domain("bücher.example", DomainSettings::default()).await;
        assert!(matches!(again, Err(Error::AlreadyExists(_))));

        let change =
            DomainChange { separator: Some(Some('-')), catch_all: Some(Some("Alice@Example.test".into())) };
        accounts.update_domain("bücher.example", change).await.unwrap();
        let settings = accounts.domain("bücher.example").await.unwrap().unwrap().settings;
        assert_eq!(settings.separator, Some('-'));
        assert_eq!(settings.catch_all.as_deref(), Some("alice@example.test"));
        let off = DomainChange { separator: Some(None), catch_all: Some(None) };
        let changed = accounts.update_domain("bücher.example", off).await.unwrap();
        assert_eq!(changed.settings, DomainSettings { separator: None, catch_all: None });
        assert_eq!(changed.id, made.id);

        accounts.delete_domain("bücher.example").await.unwrap();
        assert_eq!(accounts.domain("bücher.example").await.unwrap(), None);
        assert!(matches!(accounts.delete_domain("bücher.example").await, Err(Error::NotFound(What::Domain))));
    }

    #[tokio::test]
    async fn a_domain_with_addresses_stays() {
        let accounts = directory().await;
        accounts.person("alice@example.test").await;
        assert!(matches!(accounts.delete_domain("example.test").await, Err(Error::DomainInUse)));
    }

    #[tokio::test]
    async fn domains_are_listed_page_by_page() {
        let accounts = directory().await;
        for name in ["a.test", "a.testing", "b.test"] {
            accounts.create_domain(name, DomainSettings::default()).await.unwrap();
        }
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = accounts.domains(after.as_deref(), 2).await.unwrap();
            assert!(page.items.len() <= 2);
            names.extend(page.items.into_iter().map(|domain| domain.name));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(names, ["a.test", "a.testing", "b.test", "example.test"]);
    }

    #[tokio::test]
    async fn nonsense_is_refused() {
        let accounts = directory().await;
        let settings = DomainSettings { separator: Some('a'), catch_all: None };
        assert!(matches!(accounts.create_domain("a.test", settings).await, Err(Error::Invalid(_))));
        let settings = DomainSettings { separator: None, catch_all: Some("nobody".into()) };
        let made = accounts.create_domain("a.test", settings).await;
        assert!(matches!(made, Err(Error::InvalidAddress { .. })));
        let made = accounts.create_domain("a b", DomainSettings::default()).await;
        assert!(matches!(made, Err(Error::InvalidAddress { .. })));
        assert_eq!(accounts.domain("a b").await.unwrap(), None);
    }
}
