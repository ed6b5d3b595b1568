use ratatui::style::Style;
use regex::Regex;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::colored_text::pieces;
use super::theme::Theme;
use crate::log::ServicePalette;
use crate::tui::log_row::{LogRow, RowSource};
use crate::tui::state::TuiState;

/// A line of the screen: texts with their looks.
pub type ScreenLine = Vec<(String, Style)>;

/// Breaks rows of the log into lines of the screen.
pub struct LogLines<'a> {
    palette: &'a ServicePalette,
    theme: Theme,
    width: usize,
    /// Columns of the names; 0: none are shown.
    names: usize,
    timestamps: bool,
    search: Option<Regex>,
}

/// Columns between tab stops.
const TAB: usize = 8;
/// Columns of a time, with the blank after it.
const TIME: usize = 9;

impl<'a> LogLines<'a> {
    pub fn new(state: &'a TuiState, width: u16, theme: Theme) -> LogLines<'a> {
        let width = usize::from(width);
        let names = match &state.log.only {
            Some(_) => 0,
            None => state.palette.width().min(width / 4),
        };
        let search = state.log.search.as_ref().and_then(|pattern| Regex::new(pattern).ok());
        let timestamps = state.log.timestamps && width > 4 * TIME;
        LogLines { palette: &state.palette, theme, width, names, timestamps, search }
    }

    /// Returns the lines of a row, at least one.
    pub fn of(&self, row: &LogRow) -> Vec<ScreenLine> {
        let mut first = Vec::new();
        let mut indent = 0;
        if self.timestamps {
            first.push((time(row.at), self.theme.dim()));
            indent += TIME;
        }
        let (name, marker, base) = match &row.source {
            RowSource::Service(name, _) => (Some(name), "|", self.theme.plain()),
            RowSource::Status(name, tone) => (name.as_ref(), "*", self.theme.tone(*tone)),
            RowSource::Missed(name) => (name.as_ref(), "*", self.theme.error()),
        };
        if self.names > 0 {
            let label = fitted(name.map_or("", |name| name.as_str()), self.names);
            let style =
                name.map_or(self.theme.dim(), |name| self.theme.service(self.palette.color(name)));
            first.push((format!("{label} "), style));
            first.push((format!("{marker} "), self.theme.dim()));
            indent += self.names + 3;
        } else if marker == "*" {
            first.push(("* ".to_owned(), self.theme.dim()));
            indent += 2;
        }
        let mut lines =
            LineBreaker { lines: vec![first], column: indent, indent, width: self.width };
        for (text, style) in self.marked(pieces(&row.text, base, self.theme.color)) {
            lines.add(&text, style);
        }
        lines.lines
    }

    /// Marks what the user looks for, also where it changes its color.
    fn marked(&self, pieces: Vec<(&str, Style)>) -> Vec<(String, Style)> {
        let Some(search) = &self.search else {
            return pieces.into_iter().map(|(text, style)| (text.to_owned(), style)).collect();
        };
        let whole: String = pieces.iter().map(|(text, _)| *text).collect();
        let hits: Vec<_> = search.find_iter(&whole).map(|hit| hit.range()).collect();
        let (mut marked, mut start) = (Vec::new(), 0);
        for (text, style) in pieces {
            let end = start + text.len();
            let mut at = start;
            for hit in hits.iter().filter(|hit| hit.start < end && hit.end > start) {
                let (from, to) = (hit.start.max(start), hit.end.min(end));
                marked.push((whole[at..from].to_owned(), style));
                marked.push((whole[from..to].to_owned(), self.theme.hit()));
                at = to;
            }
            marked.push((whole[at..end].to_owned(), style));
            start = end;
        }
        marked.retain(|(text, _)| !text.is_empty());
        marked
    }
}

struct LineBreaker {
    lines: Vec<ScreenLine>,
    column: usize,
    indent: usize,
    width: usize,
}

impl LineBreaker {
    fn add(&mut self, text: &str, style: Style) {
        let mut run = String::new();
        for c in text.chars() {
            if c == '\n' {
                self.push(&mut run, style);
                self.new_line();
                continue;
            }
            let width = match c {
                '\t' => TAB - (self.column - self.indent) % TAB,
                c => c.width().unwrap_or(0),
            };
            if self.column + width > self.width && self.column > self.indent {
                self.push(&mut run, style);
                self.new_line();
            }
            match c {
                '\t' => run.extend(std::iter::repeat_n(' ', width)),
                c => run.push(c),
            }
            self.column += width;
        }
        self.push(&mut run, style);
    }

    fn push(&mut self, run: &mut String, style: Style) {
        if let (Some(line), false) = (self.lines.last_mut(), run.is_empty()) {
            line.push((std::mem::take(run), style));
        }
    }

    fn new_line(&mut self) {
        self.lines.push(vec![(" ".repeat(self.indent), Style::new())]);
        self.column = self.indent;
    }
}

/// Pads or cuts a text to a number of columns.
pub fn fitted(text: &str, columns: usize) -> String {
    let width = text.width();
    if width <= columns {
        return format!("{text}{}", " ".repeat(columns - width));
    }
    let (mut cut, mut used) = (String::new(), 0);
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if used + width + 1 > columns {
            break;
        }
        cut.push(c);
        used += width;
    }
    if columns > 0 {
        cut.push('…');
        used += 1;
    }
    cut + &" ".repeat(columns - used)
}

fn time(at: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    let time = time.to_zoned(jiff::tz::TimeZone::system());
    time.strftime("%H:%M:%S ").to_string()
}
