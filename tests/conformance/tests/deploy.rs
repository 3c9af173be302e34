//! What operators start from (ops/deploy) is what this version of the program takes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use harness::binary;
use saphyr::{LoadableYamlNode, Yaml};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/deploy")
}

/// All files below a folder whose names end so.
fn files(folder: &Path, end: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, end)?);
        } else if path.extension().is_some_and(|extension| extension == end) {
            found.push(path);
        }
    }
    Ok(found)
}

#[test]
fn every_configuration_can_be_used() -> anyhow::Result<()> {
    let mut found = files(&folder(), "toml")?;
    // The plan of a rehearsal is no node's.
    found.retain(|file| !file.starts_with(folder().join("drill")));
    ensure!(found.len() >= 4, "{found:?}");
    for file in found {
        let mut command = Command::new(binary()?);
        // What its surroundings would tell a node.
        for (name, value) in [("NODE", "n1"), ("ADDRESS", "127.0.0.1"), ("ZONE", "a"), ("REGION", "")] {
            command.env(format!("GODWIT_{name}"), value);
        }
        let output = command.args(["config", "check"]).arg(&file).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[test]
fn every_yaml_file_can_be_read() -> anyhow::Result<()> {
    let found = [files(&folder(), "yaml")?, files(&folder(), "yml")?].concat();
    ensure!(found.len() >= 8, "{found:?}");
    for file in found {
        let text = std::fs::read_to_string(&file)?;
        let documents = Yaml::load_from_str(&text).with_context(|| file.display().to_string())?;
        ensure!(!documents.is_empty() && documents.iter().all(Yaml::is_mapping), "{}", file.display());
    }
    Ok(())
}

#[test]
fn the_balancer_of_the_compose_file_is_told_all_that_it_asks_for() -> anyhow::Result<()> {
    let configuration = std::fs::read_to_string(folder().join("haproxy/haproxy.cfg"))?;
    let asked: BTreeSet<&str> =
        configuration.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
    let text = std::fs::read_to_string(folder().join("compose/compose.yaml"))?;
    let documents = Yaml::load_from_str(&text)?;
    let environment = documents
        .first()
        .and_then(|document| document.as_mapping_get("services"))
        .and_then(|services| services.as_mapping_get("haproxy"))
        .and_then(|haproxy| haproxy.as_mapping_get("environment"))
        .and_then(Yaml::as_mapping)
        .context("haproxy has an environment")?;
    let told: BTreeSet<&str> = environment.keys().filter_map(Yaml::as_str).collect();
    ensure!(asked == told, "asked {asked:?}\ntold {told:?}");
    Ok(())
}
