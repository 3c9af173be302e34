//! Dashboards and rules against the sources: whoever looks at night looks at metrics that there are.

use std::collections::BTreeSet;
use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::files::rust_files;

/// Folders with code that runs in a node.
const NODE: [&str; 6] = ["cluster", "ops", "protocols", "search", "server", "storage"];

/// What records a metric.
const RECORDERS: [&str; 3] = ["counter!(", "gauge!(", "histogram!("];

/// Words of the query language that look like names of metrics.
const FUNCTIONS: [&str; 2] = ["histogram_quantile", "label_values"];

/// The metrics that nodes record: literals given to a recorder, or to a constant whose name is.
pub fn recorded(root: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for folder in NODE {
        for file in rust_files(&root.join(folder))? {
            names.extend(in_source(&fs::read_to_string(&file)?));
        }
    }
    Ok(names)
}

fn in_source(source: &str) -> BTreeSet<String> {
    let given = RECORDERS.iter().flat_map(|recorder| source.split(recorder).skip(1)).map(str::trim_start);
    let mut names = BTreeSet::new();
    for rest in given {
        let name = match rest.strip_prefix('"') {
            Some(literal) => literal.split('"').next(),
            None => constant(source, rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()),
        };
        names.extend(name.map(str::to_owned));
    }
    names
}

/// The text of a constant.
fn constant<'a>(source: &'a str, name: Option<&str>) -> Option<&'a str> {
    let name = name.filter(|name| !name.is_empty())?;
    let (_, value) = source.split_once(&format!("const {name}: &str = \""))?;
    value.split('"').next()
}

/// The metrics that the queries of a dashboard (JSON) or of rules (YAML, a query on a line of its own) ask for.
pub fn asked(text: &str) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if let Some(query) = line.strip_prefix("expr: ") {
            names.extend(in_query(query));
        } else if let Some(query) = line.strip_prefix("\"expr\": ") {
            let query: String = query.trim_end_matches(',').trim_matches('"').replace("\\\"", "\"");
            names.extend(in_query(&query));
        }
    }
    anyhow::ensure!(!names.is_empty(), "no query is found");
    Ok(names)
}

/// What is neither a label, nor a function, nor a word of one piece.
fn in_query(query: &str) -> BTreeSet<String> {
    let mut bare = String::new();
    // Selectors and groupings hold labels.
    let mut rest = query;
    while let Some(at) = rest.find(['{', '(']) {
        let (before, inside) = rest.split_at(at);
        bare.push_str(before);
        let groups = before.trim_end().ends_with(" by") || before.trim_end() == "by";
        let end = if inside.starts_with('{') { '}' } else { ')' };
        rest = match inside.split_once(end) {
            Some((_, rest)) if groups || end == '}' => rest,
            _ => inside.get(1..).unwrap_or_default(),
        };
        bare.push(' ');
    }
    bare.push_str(rest);
    let words = bare.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    let metrics = words.filter(|word| word.contains('_') && !FUNCTIONS.contains(word));
    metrics.map(|word| word.trim_end_matches("_bucket").to_owned()).collect()
}

/// What the files of a folder ask for and no node records.
pub fn unknown(root: &Path, folder: &str) -> Result<Vec<String>> {
    let (recorded, mut unknown) = (recorded(root)?, Vec::new());
    for file in ["alerts.yaml", "dashboard.json"] {
        let path = root.join(folder).join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let missing = asked(&text)?.into_iter().filter(|name| !recorded.contains(name));
        unknown.extend(missing.map(|name| format!("{file}: {name}")));
    }
    Ok(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn metrics_are_found_in_queries_and_labels_are_not() {
        let query = "histogram_quantile(0.99, sum by (le, peer_name) (rate(rpc_call_seconds_bucket{a_b=~\"c_d\"}[5m])))";
        assert_eq!(in_query(query), set(&["rpc_call_seconds"]));
        assert_eq!(in_query("a_total / b_total{x_y=\"1\"} > 0.9 - time()"), set(&["a_total", "b_total"]));
        let text = "- alert: some_thing\n  expr: max(a_b) > 0\n\"expr\": \"x_y{i=~\\\"$node\\\"}\",\n";
        assert_eq!(asked(text).unwrap(), set(&["a_b", "x_y"]));
        assert!(asked("expr: up").is_err());
    }

    #[test]
    fn metrics_are_found_in_sources() {
        let source =
            "const C: &str = \"c_total\";\ncounter!(C, \"k\" => 1); gauge!(\n  \"g_b\").set(1); gauge!(name)";
        assert_eq!(in_source(source), set(&["c_total", "g_b"]));
    }
}
