use ratatui::buffer::CellWidth;
use ratatui::style::Style;
use ratatui::text::Span;

/// Calls `take` with what takes up cells of its own in a text, and how many columns: a character with
/// all that combines with it. Control characters are left out.
pub fn each_grapheme(text: &str, mut take: impl FnMut(&str, usize)) {
    for grapheme in Span::raw(text).styled_graphemes(Style::new()) {
        take(grapheme.symbol, usize::from(grapheme.symbol.cell_width()));
    }
}

/// Returns how many columns a text takes.
pub fn columns(text: &str) -> usize {
    let mut sum = 0;
    each_grapheme(text, |_, width| sum += width);
    sum
}
