use std::fmt::Write;

use anstyle::{Effects, Style};
use unicode_width::UnicodeWidthStr;

/// Content of empty cells.
pub(super) const EMPTY_CELL: &str = "-";

/// Text on one line.
pub(crate) struct TableCell(pub String, pub Style);

impl<T: ToString> From<T> for TableCell {
    fn from(text: T) -> TableCell {
        TableCell(text.to_string(), Style::new())
    }
}

/// Rows with aligned columns.
pub(crate) struct Table {
    gap: usize,
    max_width: usize,
    /// The columns that are aligned to the right.
    right: &'static [usize],
    rows: Vec<Vec<TableCell>>,
}

impl Table {
    /// Creates a table with `gap` blanks between columns.
    pub fn new(gap: usize) -> Table {
        Table { gap, max_width: usize::MAX, right: &[], rows: Vec::new() }
    }

    /// Aligns these columns to the right.
    pub fn right(self, columns: &'static [usize]) -> Table {
        Table { right: columns, ..self }
    }

    /// Limits the width of columns; longer cells push only their own row.
    pub fn max_width(self, max_width: usize) -> Table {
        Table { max_width, ..self }
    }

    pub fn header<'a>(&mut self, names: impl IntoIterator<Item = &'a str>, color: bool) {
        let bold = if color { Style::new().effects(Effects::BOLD) } else { Style::new() };
        self.row(names.into_iter().map(|name| TableCell(name.to_owned(), bold)));
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = TableCell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Formats the rows as lines without blanks at their ends.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widths = cells.map(|TableCell(text, _)| text.width());
            widths.filter(|width| *width <= self.max_width).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, TableCell(what, style)) in row.iter().enumerate() {
                let gap = if column == 0 { 0 } else { self.gap };
                let pad = widths[column].saturating_sub(what.width());
                let (before, after) =
                    if self.right.contains(&column) { (gap + pad, 0) } else { (gap, pad) };
                let _ = write!(line, "{:before$}{style}{what}{style:#}{:after$}", "", "");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_the_width_of_characters() {
        let mut table = Table::new(2).right(&[1]).max_width(8);
        table.row(["東京".into(), 5.into(), "x".into()]);
        table.row(["é".into(), 5000.into(), "".into()]);
        table.row(["longer than eight".into(), 1.into(), "y".into()]);
        assert_eq!(table.render(), "東京     5  x\né     5000\nlonger than eight     1  y\n");
    }
}
