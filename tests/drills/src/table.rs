//! The table of what came out.

/// Characters of a cell: an error may have whole messages in it.
const LONGEST: usize = 240;

/// Rows, as they come.
pub(crate) struct Table {
    seed: u64,
    drill: &'static str,
    rows: Vec<[String; 5]>,
    passed: bool,
}

impl Table {
    pub(crate) fn new(seed: u64) -> Self {
        Table { seed, drill: "", rows: Vec::new(), passed: true }
    }

    /// The rows that follow are of this drill.
    pub(crate) fn begin(&mut self, drill: &'static str) {
        self.drill = drill;
    }

    /// What a criterion came to.
    pub(crate) fn row(&mut self, backend: &str, criterion: &str, figure: &str, passed: bool) {
        self.passed &= passed;
        self.add(backend, criterion, figure, if passed { "pass" } else { "FAIL" });
    }

    /// A part of a drill has come to its end, or did not.
    pub(crate) fn ends(&mut self, backend: &str, outcome: anyhow::Result<()>) {
        if let Err(error) = outcome {
            self.row(backend, "runs to its end", &format!("{error:#}"), false);
        }
    }

    /// What could not be tried here.
    pub(crate) fn skip(&mut self, backend: &str, criterion: &str, why: &str) {
        self.add(backend, criterion, why, "skipped");
    }

    fn add(&mut self, backend: &str, criterion: &str, figure: &str, outcome: &str) {
        let cell = |text: &str| text.replace(['\r', '\n'], " ").chars().take(LONGEST).collect::<String>();
        let row = [self.drill, backend, criterion, figure, outcome].map(cell);
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }

    pub(crate) fn passed(&self) -> bool {
        self.passed
    }

    /// Prints all rows, in Markdown.
    pub(crate) fn print(&self) {
        let heads = ["drill", "store", "criterion", "figure", "outcome"].map(str::to_owned);
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&heads]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let line = |row: &[String; 5], seed: &str| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            format!("| {} | {seed:<4} |", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("-|-");
        let body = self.rows.iter().map(|row| line(row, &self.seed.to_string()));
        let text: Vec<String> =
            [line(&heads, "seed"), format!("|-{rule}-|------|")].into_iter().chain(body).collect();
        // Standard output has the table and nothing else.
        let mut out = std::io::stdout().lock();
        let _ = std::io::Write::write_all(&mut out, (text.join("\n") + "\n").as_bytes());
    }
}
