//! Tables for people, JSON for programs.

use std::io::Write;

use serde::Serialize;

/// Prints items as JSON, or as a table with these columns.
pub(crate) fn print<T: Serialize, const N: usize>(
    json: bool,
    items: &[T],
    titles: [&str; N],
    cells: impl Fn(&T) -> [String; N],
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(items)?)?;
        return Ok(());
    }
    let rows: Vec<[String; N]> = items.iter().map(cells).collect();
    write!(out, "{}", table(titles, &rows))?;
    Ok(())
}

/// Rows under their titles.
pub(crate) fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let titles = titles.map(str::to_owned);
    let all = || std::iter::once(&titles).chain(rows);
    let width =
        |column: usize| all().map(|row| row.get(column).map_or(0, |c| c.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["ann@example.test".to_owned(), "5".to_owned()], ["ö".to_owned(), String::new()]];
        assert_eq!(table(["ADDRESS", "QUOTA"], &rows), "ADDRESS           QUOTA\nann@example.test  5\nö\n");
        assert_eq!(table::<1>(["ID"], &[]), "ID\n");
    }
}
