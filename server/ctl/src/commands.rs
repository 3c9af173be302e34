//! What each command asks of the admin API.

use std::io::{BufRead, Write};

use admin::api;
use anyhow::{Context, bail};
use data_encoding::HEXLOWER_PERMISSIVE;
use reqwest::Method;

use crate::client::Client;
use crate::cluster::cluster;
use crate::command::{Account, Alias, Command, Connection, Domain, Group, Key, List, Queue, SigningKeys};
use crate::drill;
use crate::logins::{app_password, totp};
use crate::node::node;
use crate::output::print;
use crate::probe;
use crate::search::search;
use crate::site::site;

/// Runs an operator command.
///
/// # Errors
/// What the admin API says, or why it could not be asked; in words for the operator.
pub async fn run(command: Command, connection: &Connection) -> anyhow::Result<()> {
    if let Command::Key(Key::Explain { hex }) = command {
        return explain(&hex);
    }
    if let Command::Probe { question } = command {
        return probe::ask(connection, question).await;
    }
    if let Command::Drill(command) = command {
        return drill::run(command, connection.json).await;
    }
    let client = Client::new(connection)?;
    match command {
        Command::Domain(command) => domain(&client, command, connection.json).await,
        Command::Account(command) => account(&client, command, connection.json).await,
        Command::Alias(command) => alias(&client, command, connection.json).await,
        Command::Group(command) => group(&client, command, connection.json).await,
        Command::List(command) => list(&client, command, connection.json).await,
        Command::Queue(command) => queue(&client, command, connection.json).await,
        Command::Cluster(command) => cluster(&client, command, connection.json).await,
        Command::Node(command) => node(&client, command, connection.json).await,
        Command::Search(command) => search(&client, command, connection.json).await,
        Command::Site(command) => site(&client, command, connection.json).await,
        Command::Drill(command) => drill::run(command, connection.json).await,
        Command::Key(Key::Explain { hex }) => explain(&hex),
        Command::SigningKeys(SigningKeys::Withdraw) => {
            client.act(Method::DELETE, &["signing-keys"], NOTHING).await
        }
        Command::Probe { question } => probe::ask(connection, question).await,
    }
}

pub(crate) const NOTHING: Option<&()> = None;

async fn domain(client: &Client, command: Domain, json: bool) -> anyhow::Result<()> {
    let update = async |name: String, change: api::DomainChange| {
        client.act(Method::PATCH, &["domains", &name], Some(&change)).await
    };
    match command {
        Domain::Create { name } => {
            client.act(Method::POST, &["domains"], Some(&api::NewDomain { name })).await
        }
        Domain::List => {
            let domains: Vec<api::Domain> = client.all(&["domains"], &[]).await?;
            print(json, &domains, ["DOMAIN", "SEPARATOR", "CATCH-ALL"], |d| {
                [
                    d.name.clone(),
                    d.separator.map(String::from).unwrap_or_default(),
                    d.catch_all.clone().unwrap_or_default(),
                ]
            })
        }
        Domain::CatchAll { name, address } => {
            let catch_all = Some(address.unwrap_or_default());
            update(name, api::DomainChange { catch_all, ..Default::default() }).await
        }
        Domain::Separator { name, separator } => {
            let separator = Some(separator.unwrap_or_default());
            update(name, api::DomainChange { separator, ..Default::default() }).await
        }
        Domain::Delete { name } => client.act(Method::DELETE, &["domains", &name], NOTHING).await,
    }
}

async fn account(client: &Client, command: Account, json: bool) -> anyhow::Result<()> {
    let update = async |address: String, change: api::AccountChange| {
        client.act(Method::PATCH, &["accounts", &address], Some(&change)).await
    };
    match command {
        Account::Create { address, name, password_stdin, quota } => {
            let password = if password_stdin { Some(first_line()?) } else { None };
            create(client, address, "person", name, password, quota).await
        }
        Account::List { removed: true, .. } => print_purges(json, &client.all(&["purges"], &[]).await?),
        Account::List { domain, .. } => {
            let filter: Vec<(&str, &str)> = domain.iter().map(|d| ("domain", d.as_str())).collect();
            print_accounts(json, &client.all(&["accounts"], &filter).await?)
        }
        Account::Show { address } => print_accounts(json, &[client.get(&["accounts", &address]).await?]),
        Account::Password { address } => {
            let password = api::Password { password: first_line()? };
            client.act(Method::PUT, &["accounts", &address, "password"], Some(&password)).await
        }
        Account::Quota { address, bytes } => {
            update(address, api::AccountChange { quota_bytes: Some(bytes), ..Default::default() }).await
        }
        Account::Enable { address } => {
            update(address, api::AccountChange { enabled: Some(true), ..Default::default() }).await
        }
        Account::Disable { address } => {
            update(address, api::AccountChange { enabled: Some(false), ..Default::default() }).await
        }
        Account::AppPassword(command) => app_password(client, command, json).await,
        Account::Totp(command) => totp(client, command, json).await,
        Account::Grants { address } => {
            print_grants(json, &client.all(&["accounts", &address, "grants"], &[]).await?)
        }
        Account::Revoke { address, grant } => {
            client.act(Method::DELETE, &["accounts", &address, "grants", &grant], NOTHING).await
        }
        Account::Delete { address } => client.act(Method::DELETE, &["accounts", &address], NOTHING).await,
    }
}

fn print_grants(json: bool, grants: &[api::Grant]) -> anyhow::Result<()> {
    print(json, grants, ["GRANT", "CLIENT", "NAME", "SCOPE"], |grant| {
        [grant.id.clone(), grant.client.clone(), grant.name.clone(), grant.scope.clone()]
    })
}

fn print_purges(json: bool, purges: &[api::Purge]) -> anyhow::Result<()> {
    print(json, purges, ["ADDRESS", "ID", "EMAILS", "OCTETS", "ROWS"], |p| {
        [p.address.clone(), p.id.to_string(), p.emails.to_string(), p.octets.to_string(), p.rows.to_string()]
    })
}

async fn create(
    client: &Client,
    address: String,
    kind: &str,
    display_name: String,
    password: Option<String>,
    quota_bytes: Option<u64>,
) -> anyhow::Result<()> {
    let new = api::NewAccount { address, kind: kind.to_owned(), display_name, password, quota_bytes };
    client.act(Method::POST, &["accounts"], Some(&new)).await
}

fn print_accounts(json: bool, accounts: &[api::Account]) -> anyhow::Result<()> {
    print(json, accounts, ["ADDRESS", "KIND", "ENABLED", "QUOTA", "NAME"], |a| {
        let quota = a.quota_bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let enabled = if a.enabled { "yes" } else { "no" };
        [a.address.clone(), a.kind.clone(), enabled.to_owned(), quota, a.display_name.clone()]
    })
}

async fn alias(client: &Client, command: Alias, json: bool) -> anyhow::Result<()> {
    match command {
        Alias::Add { alias, account } => {
            let alias = api::Address { address: alias };
            client.act(Method::POST, &["accounts", &account, "aliases"], Some(&alias)).await
        }
        Alias::List { account } => {
            let aliases: Vec<api::Address> = client.all(&["accounts", &account, "aliases"], &[]).await?;
            print(json, &aliases, ["ALIAS"], |a| [a.address.clone()])
        }
        Alias::Remove { alias } => client.act(Method::DELETE, &["aliases", &alias], NOTHING).await,
    }
}

async fn group(client: &Client, command: Group, json: bool) -> anyhow::Result<()> {
    match command {
        Group::Create { address, name } => create(client, address, "group", name, None, None).await,
        Group::Add { group, member, rights } => {
            let mut body = serde_json::json!({ "address": member });
            if let (Some(rights), Some(body)) = (rights, body.as_object_mut()) {
                body.insert("rights".to_owned(), rights.into());
            }
            client.act(Method::POST, &["groups", &group, "members"], Some(&body)).await
        }
        Group::Remove { group, member } => {
            client.act(Method::DELETE, &["groups", &group, "members", &member], NOTHING).await
        }
        Group::Members { group } => {
            let members: Vec<api::Member> = client.all(&["groups", &group, "members"], &[]).await?;
            print(json, &members, ["MEMBER", "RIGHTS"], |m| [m.address.clone(), m.rights.clone()])
        }
    }
}

async fn list(client: &Client, command: List, json: bool) -> anyhow::Result<()> {
    match command {
        List::Create { address } => create(client, address, "list", String::new(), None, None).await,
        List::Add { list, member } => {
            let member = api::Address { address: member };
            client.act(Method::POST, &["lists", &list, "members"], Some(&member)).await
        }
        List::Remove { list, member } => {
            client.act(Method::DELETE, &["lists", &list, "members", &member], NOTHING).await
        }
        List::Members { list } => {
            let members: Vec<api::Address> = client.all(&["lists", &list, "members"], &[]).await?;
            print(json, &members, ["MEMBER"], |m| [m.address.clone()])
        }
    }
}

async fn queue(client: &Client, command: Queue, json: bool) -> anyhow::Result<()> {
    match command {
        Queue::List => print_queue(json, &client.all(&["queue"], &[]).await?),
        Queue::Show { id } => {
            let entry: api::QueueEntry = client.get(&["queue", &id.to_string()]).await?;
            print_queue(json, std::slice::from_ref(&entry))?;
            if json {
                return Ok(());
            }
            print(json, &entry.recipients, ["RECIPIENT", "STATE", "ATTEMPTS", "LAST"], |r| {
                [
                    r.address.clone(),
                    r.state.clone(),
                    r.attempts.to_string(),
                    r.last.clone().unwrap_or_default(),
                ]
            })
        }
        Queue::Retry { id } => client.act(Method::POST, &["queue", &id.to_string(), "retry"], NOTHING).await,
        Queue::Hold { id } => client.act(Method::POST, &["queue", &id.to_string(), "hold"], NOTHING).await,
        Queue::Cancel { id } => client.act(Method::DELETE, &["queue", &id.to_string()], NOTHING).await,
    }
}

fn print_queue(json: bool, entries: &[api::QueueEntry]) -> anyhow::Result<()> {
    print(json, entries, ["ID", "STATE", "DOMAIN", "SIZE", "RECIPIENTS", "SENDER", "SUBMITTER"], |e| {
        let pending = e.recipients.iter().filter(|r| r.state == "pending").count();
        let recipients = format!("{pending} of {}", e.recipients.len());
        let (id, size) = (e.id.to_string(), e.size.to_string());
        let submitter = e.submitter.clone().unwrap_or_default();
        [id, e.state.clone(), e.domain.clone(), size, recipients, format!("<{}>", e.return_path), submitter]
    })
}

fn explain(hex: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", schema::explain(&key_of(hex)?))?;
    Ok(())
}

fn key_of(hex: &str) -> anyhow::Result<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).context("a key is given in hexadecimal digits")
}

fn first_line() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("no password on standard input");
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_given_in_hexadecimal() {
        assert_eq!(key_of("51c0").unwrap(), [0x51, 0xc0]);
        assert_eq!(key_of("51C0").unwrap(), [0x51, 0xc0]);
        assert!(key_of("").unwrap().is_empty());
        for bad in ["5", "5g", "ö1"] {
            assert!(key_of(bad).is_err(), "{bad}");
        }
    }
}
