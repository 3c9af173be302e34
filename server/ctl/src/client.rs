//! One admin API, spoken to in JSON.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use reqwest::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Connection;
use admin::{Problem, api};

/// A client of one node's admin API.
pub struct Client {
    http: reqwest::Client,
    base: String,
    password: String,
}

/// What the node left in its data directory.
fn left(connection: &Connection, name: &str) -> anyhow::Result<String> {
    let path = connection.data.join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// The URL of the admin listener, without a slash at its end.
pub(crate) fn base(connection: &Connection) -> anyhow::Result<String> {
    let url = match &connection.admin {
        Some(url) => url.clone(),
        None => left(connection, "admin-url").context("name the admin listener with --admin URL")?,
    };
    Ok(url.trim_end_matches('/').to_owned())
}

impl Client {
    /// From what the operator said, and what the node left in its data directory.
    ///
    /// # Errors
    /// When neither says where the API is, or its password.
    pub fn new(connection: &Connection) -> anyhow::Result<Self> {
        let base = base(connection)?;
        let password = match &connection.password {
            Some(password) => password.clone(),
            None => left(connection, "admin-password")
                .context("give the admin password in GODWIT_ADMIN_PASSWORD")?,
        };
        Ok(Self { http: reqwest::Client::new(), base, password })
    }

    /// Of the node at a URL, which has to answer within that time.
    pub(crate) fn at(base: &str, password: String, patience: Duration) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(patience).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), password })
    }

    /// What keeps the node from being ready, or its cluster from being well.
    pub(crate) async fn unready(&self) -> Vec<String> {
        let at = |path: &str| format!("{}{path}", self.base);
        let mut lines = Vec::new();
        match self.http.get(at("/readyz")).send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => {
                let reasons = answer.text().await.unwrap_or_default();
                lines.push(format!("{}: {}", self.base, reasons.trim().replace('\n', ", ")));
            }
            Err(_) => lines.push(format!("{} does not answer", self.base)),
        }
        let health = self.http.get(at("/cluster/health")).basic_auth("admin", Some(&self.password));
        if let Ok(answer) = health.send().await
            && let Ok(health) = answer.json::<serde_json::Value>().await
            && health.get("status").is_some_and(|status| status == "red")
        {
            lines.push(format!("{}: the cluster's health is red: {}", self.base, codes(&health)));
        }
        lines
    }

    /// Asks for something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<T> {
        Ok(self.send(Method::GET, path, &[], None::<&()>).await?.json().await?)
    }

    /// A page outside the API. One that says by its status that something is wrong says more in its text.
    pub(crate) async fn page<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<T> {
        let mut url = reqwest::Url::parse(&self.base).context("the admin URL")?;
        url.path_segments_mut().map_err(|()| anyhow::anyhow!("the admin URL has no path"))?.extend(path);
        let asked = self.http.get(url).send().await;
        let response = asked.with_context(|| format!("no admin API at {}", self.base))?;
        let status = response.status();
        let body = response.bytes().await?;
        if let Ok(page) = serde_json::from_slice(&body) {
            return Ok(page);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => bail!("{}: {}", problem.title, problem.detail),
            Err(_) => bail!("the admin API says {status}"),
        }
    }

    /// Asks for something that is no JSON.
    pub(crate) async fn bytes(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Bytes> {
        Ok(self.send(Method::GET, path, query, None::<&()>).await?.bytes().await?)
    }

    /// All items of a list, page by page.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        path: &[&str],
        filter: &[(&str, &str)],
    ) -> anyhow::Result<Vec<T>> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = filter.to_vec();
            query.extend(after.iter().map(|after| ("after", after.as_str())));
            let page: api::Page<T> = self.send(Method::GET, path, &query, None::<&()>).await?.json().await?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
    }

    /// Does something that answers.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<T> {
        Ok(self.send(Method::POST, path, &[], None::<&()>).await?.json().await?)
    }

    /// Does something that is told more, and answers.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        Ok(self.send(Method::POST, path, &[], Some(body)).await?.json().await?)
    }

    /// Does something.
    pub(crate) async fn act(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<()> {
        self.send(method, path, &[], body).await.map(drop)
    }

    /// Does something that answers with one JSON document per line, as it goes.
    ///
    /// # Errors
    /// What the admin API says, or `each`; and when the answer ends in the midst of a line.
    pub async fn follow<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
        mut each: impl FnMut(T) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut response = self.send(Method::POST, path, &[], Some(body)).await?;
        let mut rest = Vec::new();
        while let Some(bytes) = response.chunk().await.context("the answer breaks off")? {
            rest.extend_from_slice(&bytes);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                each(
                    serde_json::from_slice(&line)
                        .context("the admin API says what this version does not know")?,
                )?;
            }
        }
        if rest.is_empty() { Ok(()) } else { bail!("the answer breaks off") }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<Response> {
        let mut url = reqwest::Url::parse(&self.base).context("the admin URL")?;
        let segments = ["api", "v1"].iter().chain(path);
        url.path_segments_mut().map_err(|()| anyhow::anyhow!("the admin URL has no path"))?.extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).basic_auth("admin", Some(&self.password));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| format!("no admin API at {}", self.base))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        match response.json::<Problem>().await {
            Ok(problem) => bail!("{}: {}", problem.title, problem.detail),
            Err(_) => bail!("the admin API says {status}"),
        }
    }
}
/// The codes of what is wrong, by `/cluster/health`.
fn codes(health: &serde_json::Value) -> String {
    let reasons = health.get("reasons").and_then(serde_json::Value::as_array);
    let codes = reasons.into_iter().flatten().filter_map(|reason| reason.get("code")?.as_str());
    codes.collect::<Vec<_>>().join(", ")
}
