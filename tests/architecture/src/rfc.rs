//! `protocols/RFC.md`: every RFC the code cites, with its status, title and the crates that cite it.
//!
//! Number, status and title are written by hand, the crates are generated:
//! `GODWIT_UPDATE=1 cargo nextest run -p godwit-test-architecture` writes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::Result;

use crate::{files::rust_files, workspace::Crate};

/// What stands above the table.
const PREFACE: &str = "# RFCs

What the code cites, and where. Status: *complete* (all of it that concerns a server), *partly* (what the
code's comments cite), *planned* (nothing yet). `tests/architecture` checks the table against the code.

| RFC | Status | Title | Crates |
|---|---|---|---|
";

/// The value of a status that needs no citation.
pub const PLANNED: &str = "planned";

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// `complete`, `partly` or `planned`.
    pub status: String,
    /// The RFC's title.
    pub title: String,
    /// The folders of the crates that cite it.
    pub crates: BTreeSet<String>,
}

/// RFCs by number.
pub type Table = BTreeMap<u32, Row>;

/// The numbers after "RFC " in a text.
pub fn cited(text: &str) -> BTreeSet<u32> {
    let pieces = text.split("RFC ").skip(1);
    let digits = pieces.map(|piece| piece.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    digits.filter_map(|digits| digits.parse().ok()).filter(|number| *number > 100).collect()
}

/// Which crates cite which RFC, of all Rust files of the crates.
pub fn citations(root: &Path, crates: &[Crate]) -> Result<BTreeMap<u32, BTreeSet<String>>> {
    let mut out: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(root)? {
        let folder = file.strip_prefix(root)?.to_string_lossy().into_owned();
        let Some(owner) = crates.iter().find(|c| folder.starts_with(&format!("{}/", c.folder))) else {
            continue;
        };
        for number in cited(&fs::read_to_string(&file)?) {
            out.entry(number).or_default().insert(owner.folder.clone());
        }
    }
    Ok(out)
}

/// Reads the table of a file.
pub fn parse(text: &str) -> Table {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> =
            line.strip_prefix("| ")?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [number, status, title, crates] = cells.as_slice() else { return None };
        let crates = crates.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Some((number.parse().ok()?, Row { status: (*status).into(), title: (*title).into(), crates }))
    });
    rows.collect()
}

/// Writes the table.
pub fn render(table: &Table) -> String {
    let mut out = PREFACE.to_owned();
    for (number, row) in table {
        let crates: Vec<&str> = row.crates.iter().map(String::as_str).collect();
        out += &format!("| {number} | {} | {} | {} |\n", row.status, row.title, crates.join(", "));
    }
    out
}

/// The table as it should be: the hand-written cells of `old`, the crates of `citations`. An RFC that is new
/// gets the title `?`, which the check refuses; one that is cited no more is planned.
pub fn updated(old: &Table, citations: &BTreeMap<u32, BTreeSet<String>>) -> Table {
    let mut table: Table = old.clone();
    table.values_mut().for_each(|row| row.crates.clear());
    for (number, crates) in citations {
        let row = table.entry(*number).or_insert_with(|| Row { title: "?".into(), ..Row::default() });
        row.crates.clone_from(crates);
        if row.status.is_empty() || row.status == PLANNED {
            row.status = "partly".into();
        }
    }
    table.values_mut().filter(|row| row.crates.is_empty()).for_each(|row| row.status = PLANNED.into());
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_are_found() {
        let text = "// RFC 9051 §6.4.5, RFC 3501 and RFC 3501; RFC x, RFC 1: no";
        assert_eq!(cited(text), BTreeSet::from([3501, 9051]));
    }

    #[test]
    fn a_table_is_read_back() {
        let row = Row {
            status: "partly".into(),
            title: "IMAP".into(),
            crates: ["a/b".into(), "c/d".into()].into(),
        };
        let table = Table::from([(9051, row)]);
        assert_eq!(parse(&render(&table)), table);
    }

    #[test]
    fn updating_keeps_what_was_written() {
        let planned = Row { status: PLANNED.into(), title: "Later".into(), ..Row::default() };
        let gone = Row { status: "partly".into(), title: "Later".into(), crates: ["x/y".into()].into() };
        let old = Table::from([(9000, planned.clone()), (9001, gone), (9002, planned.clone())]);
        let citations =
            BTreeMap::from([(9002, ["a/b".to_owned()].into()), (9003, ["a/b".to_owned()].into())]);
        let new = updated(&old, &citations);
        assert_eq!(new.keys().copied().collect::<Vec<_>>(), [9000, 9001, 9002, 9003]);
        assert_eq!((&new[&9000], &new[&9001]), (&planned, &planned));
        assert_eq!((new[&9002].status.as_str(), new[&9002].title.as_str()), ("partly", "Later"));
        assert_eq!(new[&9003].title, "?");
    }
}
