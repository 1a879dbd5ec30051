//! Tables for people (Markdown) with the same figures for programs (JSON).

use std::fmt;

use serde_json::Value;

use super::statistics::Estimate;

/// A table of texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The columns' names; the first column names the rows.
    pub header: Vec<String>,
    /// As many texts each as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// What an evaluation found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// For people.
    pub tables: Vec<Table>,
    /// What has to be known to read the tables.
    pub notes: Vec<String>,
    /// The figures of the tables, for programs.
    pub results: Value,
}

impl Table {
    /// An empty table.
    pub fn new<T: Into<String>>(
        title: impl Into<String>,
        header: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            title: title.into(),
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Add a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Table {
    /// As Markdown, with a heading.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let line = |f: &mut fmt::Formatter, cells: &[String]| -> fmt::Result {
            let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
            writeln!(f, "| {} |", cells.join(" | "))
        };
        writeln!(f, "### {}\n", self.title)?;
        line(f, &self.header)?;
        writeln!(f, "|{}", "---|".repeat(self.header.len()))?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}

impl fmt::Display for Report {
    /// As Markdown.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "{table}")?;
        }
        self.notes
            .iter()
            .try_for_each(|note| writeln!(f, "- {note}"))
    }
}

/// A text that stays in its cell.
fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// `0.812 (0.790 to 0.834)`, or a dash where nothing was measured.
pub(super) fn interval(estimate: Option<Estimate>, decimals: usize) -> String {
    estimate.map_or_else(
        dash,
        |Estimate {
             mean, low, high, ..
         }| { format!("{mean:.decimals$} ({low:.decimals$} to {high:.decimals$})") },
    )
}

/// The same of a share, in percent.
pub(super) fn percent(estimate: Option<Estimate>) -> String {
    let percent = estimate.map(|e| Estimate {
        mean: 100.0 * e.mean,
        low: 100.0 * e.low,
        high: 100.0 * e.high,
        ..e
    });
    interval(percent, 1)
}

/// What stands where nothing was measured.
pub(super) fn dash() -> String {
    "–".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_whatever_stands_in_it() {
        let mut table = Table::new("A", ["name", "value"]);
        table.row(["a|b\nc", "1"]);
        assert_eq!(
            table.to_string(),
            "### A\n\n| name | value |\n|---|---|\n| a\\|b c | 1 |\n"
        );
    }

    #[test]
    fn intervals_are_told_with_their_mean() {
        let estimate = Estimate {
            mean: 0.5,
            low: 0.25,
            high: 0.75,
            n: 4,
        };
        assert_eq!(interval(Some(estimate), 2), "0.50 (0.25 to 0.75)");
        assert_eq!(percent(Some(estimate)), "50.0 (25.0 to 75.0)");
        assert_eq!(percent(None), "–");
    }
}
