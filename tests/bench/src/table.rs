//! The table, in Markdown: a row for each piece of work, a column for each subject.

use crate::measure::Sum;

/// Prints rows as they come.
pub(crate) struct Table {
    columns: Vec<String>,
}

impl Table {
    pub(crate) fn new(columns: Vec<String>) -> Self {
        Table { columns }
    }

    pub(crate) fn head(&self) {
        println!("| what (p50, p99 in ms) | {} |", self.columns.join(" | "));
        println!("|---|{}", "---|".repeat(self.columns.len()));
    }

    /// A row of `sums`, each piece of work counting for `each`.
    pub(crate) fn row(&self, what: &str, sums: &[Sum], each: f64) {
        let cell = |sum: &Sum| {
            format!("{:.0} ({:.1}, {:.1})", sum.rate * each, sum.percentile(50), sum.percentile(99))
        };
        self.cells(what, sums.iter().map(cell));
    }

    /// A row of figures by the names of their columns; those of other columns stay empty.
    pub(crate) fn named(&self, what: &str, figures: &[(String, String)]) {
        let of = |column: &String| {
            figures.iter().find(|(name, _)| name == column).map(|(_, figure)| figure.clone())
        };
        self.cells(what, self.columns.iter().map(|column| of(column).unwrap_or_default()));
    }

    fn cells(&self, what: &str, cells: impl Iterator<Item = String>) {
        println!("| {what} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}
