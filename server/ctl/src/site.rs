//! `godwit site …`

use admin::api;
use anyhow::bail;
use reqwest::Method;

use crate::client::Client;
use crate::command::Site;
use crate::output::print;

pub(crate) async fn site(client: &Client, command: Site, json: bool) -> anyhow::Result<()> {
    let sites: Vec<api::Site> = client.all(&["sites"], &[]).await?;
    match command {
        Site::List => print(json, &sites, ["SITE", "NAME", "STATE", "NODES", "SET BY", "REASON"], |site| {
            [
                site.kind.clone(),
                site.name.clone(),
                site.state.clone(),
                site.nodes.to_string(),
                site.by.clone(),
                site.reason.clone(),
            ]
        }),
        Site::Set { name, state, reason, force } => {
            let site = find(&sites, &name)?;
            let change = api::SiteChange { state, by: operator(), reason, force };
            client.act(Method::PUT, &["sites", &site.kind, &site.name], Some(&change)).await
        }
    }
}

/// A site by its name, which may say what it is: `zone/a`.
fn find<'a>(sites: &'a [api::Site], name: &str) -> anyhow::Result<&'a api::Site> {
    let full = |site: &api::Site| format!("{}/{}", site.kind, site.name);
    if let Some(site) = sites.iter().find(|site| full(site) == name) {
        return Ok(site);
    }
    let mut named = sites.iter().filter(|site| site.name == name);
    match (named.next(), named.next()) {
        (Some(site), None) => Ok(site),
        (Some(_), Some(_)) => {
            bail!("a zone and a region are called {name}: say zone/{name} or region/{name}")
        }
        _ => {
            let known: Vec<String> = sites.iter().map(full).collect();
            bail!("no zone or region is called {name}; known are: {}", known.join(", "))
        }
    }
}

/// Who gives the command, for others to read.
pub(crate) fn operator() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(kind: &str, name: &str) -> api::Site {
        let [kind, name, state] = [kind, name, "online"].map(str::to_owned);
        api::Site { kind, name, state, nodes: 1, by: String::new(), at: 0, reason: String::new() }
    }

    #[test]
    fn a_name_that_two_have_needs_more_words() {
        let sites = [site("zone", "a"), site("zone", "b"), site("region", "a")];
        assert_eq!(find(&sites, "b").unwrap(), &sites[1]);
        assert_eq!(find(&sites, "region/a").unwrap(), &sites[2]);
        assert!(find(&sites, "a").unwrap_err().to_string().contains("say zone/a or region/a"));
        assert!(find(&sites, "c").unwrap_err().to_string().contains("known are: zone/a, zone/b, region/a"));
    }
}
