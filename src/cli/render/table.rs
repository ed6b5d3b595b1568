use std::fmt::Write;

use anstyle::{Effects, Style};

const GAP: &str = "   ";

/// Content of empty cells.
pub(super) const EMPTY_CELL: &str = "-";

pub(super) type TableCell = (String, Style);

/// Formats rows with aligned columns. The first row has the headers.
pub(super) fn render_table(rows: &[Vec<TableCell>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|(what, _)| what.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (what, style)) in row.iter().enumerate() {
            text.push_str(if column == 0 { "" } else { GAP });
            let _ = write!(text, "{style}{what}{style:#}");
            if column + 1 < row.len() {
                text.extend(std::iter::repeat_n(' ', widths[column] - what.chars().count()));
            }
        }
        text.push('\n');
    }
    text
}

pub(super) fn header_row<'a>(heads: impl Iterator<Item = &'a str>, color: bool) -> Vec<TableCell> {
    let bold = if color { Style::new().effects(Effects::BOLD) } else { Style::new() };
    heads.map(|head| (head.to_owned(), bold)).collect()
}
