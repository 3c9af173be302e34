//! The admin APIs of several nodes: whichever answers, since some are to be lost.

use std::time::Duration;

use admin::api;
use anyhow::{Context, bail};
use reqwest::Method;
use serde::de::DeserializeOwned;

use super::plan::{Admin, Plan, Scope};
use crate::client::Client;
use crate::commands::NOTHING;
use crate::site::operator;

/// After how long another node is asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// The admin APIs.
#[derive(Clone)]
pub(crate) struct Admins(std::sync::Arc<[Client]>);

impl Admins {
    pub(crate) fn new(admins: &[Admin]) -> anyhow::Result<Self> {
        let client = |admin: &Admin| Client::at(&admin.url, admin.password.read()?, PATIENCE);
        Ok(Admins(admins.iter().map(client).collect::<anyhow::Result<Vec<_>>>()?.into()))
    }

    async fn list<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        let mut error = None;
        for client in self.0.iter() {
            match client.all(&[path], &[]).await {
                Ok(items) => return Ok(items),
                Err(found) => error = Some(found),
            }
        }
        bail!("{:#}", error.context("no admin API")?)
    }

    async fn act(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl serde::Serialize>,
    ) -> anyhow::Result<()> {
        let mut error = None;
        for client in self.0.iter() {
            match client.act(method.clone(), path, body).await {
                Ok(()) => return Ok(()),
                // What a node has said weighs more than that another was not there.
                Err(found) if error.is_none() || !found.to_string().starts_with("no admin API") => {
                    error = Some(found);
                }
                Err(_) => {}
            }
        }
        bail!("{:#}", error.context("no admin API")?)
    }

    pub(crate) async fn nodes(&self) -> anyhow::Result<Vec<api::Node>> {
        self.list("nodes").await
    }

    pub(crate) async fn sites(&self) -> anyhow::Result<Vec<api::Site>> {
        self.list("sites").await
    }

    pub(crate) async fn queue(&self) -> anyhow::Result<Vec<api::QueueEntry>> {
        self.list("queue").await
    }

    /// The drill that is under way.
    pub(crate) async fn drill(&self) -> anyhow::Result<Option<api::Drill>> {
        let mut error = None;
        for client in self.0.iter() {
            match client.get(&["drill"]).await {
                Ok(drill) => return Ok(drill),
                Err(found) => error = Some(found),
            }
        }
        bail!("{:#}", error.context("no admin API")?)
    }

    pub(crate) async fn begin(&self, id: &str, plan: &Plan) -> anyhow::Result<()> {
        let drill = api::Drill { id: id.to_owned(), what: plan.scope.to_string(), by: operator(), at: 0 };
        self.act(Method::PUT, &["drill"], Some(&drill)).await
    }

    pub(crate) async fn end(&self, id: &str) -> anyhow::Result<()> {
        self.act(Method::DELETE, &["drill", id], NOTHING).await
    }

    /// Begins to move everybody away from what is to be lost.
    pub(crate) async fn evacuate(&self, id: &str, scope: &Scope) -> anyhow::Result<()> {
        match scope {
            Scope::Node(name) => self.act(Method::POST, &["nodes", name, "drain"], NOTHING).await,
            site => self.set(id, site, "evacuating").await,
        }
    }

    /// Has it serve again; nothing to do for a node.
    pub(crate) async fn online(&self, id: &str, scope: &Scope) -> anyhow::Result<()> {
        match scope {
            Scope::Node(_) => Ok(()),
            site => self.set(id, site, "online").await,
        }
    }

    async fn set(&self, id: &str, site: &Scope, state: &str) -> anyhow::Result<()> {
        let (kind, name) = site.parts();
        let (state, reason) = (state.to_owned(), format!("drill {id}"));
        let change = api::SiteChange { state, by: operator(), reason, force: false };
        self.act(Method::PUT, &["sites", kind, name], Some(&change)).await
    }

    /// What is wrong with the nodes that were named: one line each.
    pub(crate) async fn unready(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for client in self.0.iter() {
            lines.extend(client.unready().await);
        }
        lines
    }
}
