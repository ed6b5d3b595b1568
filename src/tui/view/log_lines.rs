use ratatui::style::Style;
use regex::bytes::Regex;

use super::colored_text::pieces;
use super::graphemes::{columns, each_grapheme};
use super::theme::Theme;
use crate::control::LogPattern;
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
    search: Option<&'a Regex>,
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
        let search = state.log.search.as_ref().map(LogPattern::regex);
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

    /// Returns which of the lines of a row has what the user looks for.
    pub fn hit_line(&self, row: &LogRow) -> usize {
        let hit = self.theme.hit();
        let is_hit = |line: &ScreenLine| line.iter().any(|(_, style)| *style == hit);
        self.of(row).iter().position(is_hit).unwrap_or(0)
    }

    /// Marks what the user looks for, also where it changes its color.
    fn marked(&self, pieces: Vec<(&str, Style)>) -> Vec<(String, Style)> {
        let Some(search) = self.search else {
            return pieces.into_iter().map(|(text, style)| (text.to_owned(), style)).collect();
        };
        let whole: String = pieces.iter().map(|(text, _)| *text).collect();
        let hits = search.find_iter(whole.as_bytes()).map(|hit| hit.range());
        // A pattern may look for bytes that are parts of characters.
        let is_text = |hit: &std::ops::Range<usize>| whole.get(hit.clone()).is_some();
        let hits: Vec<_> = hits.filter(is_text).collect();
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
        for part in text.split_inclusive(['\n', '\t']) {
            each_grapheme(part.trim_end_matches(['\n', '\t']), |symbol, width| {
                self.make_room(width, &mut run, style);
                run.push_str(symbol);
                self.column += width;
            });
            if part.ends_with('\t') {
                let width = TAB - (self.column - self.indent) % TAB;
                self.make_room(width, &mut run, style);
                run.extend(std::iter::repeat_n(' ', width));
                self.column += width;
            } else if part.ends_with('\n') {
                self.push(&mut run, style);
                self.new_line();
            }
        }
        self.push(&mut run, style);
    }

    /// Begins another line if so many columns do not fit.
    fn make_room(&mut self, width: usize, run: &mut String, style: Style) {
        if self.column + width > self.width && self.column > self.indent {
            self.push(run, style);
            self.new_line();
        }
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
pub fn fitted(text: &str, room: usize) -> String {
    let width = columns(text);
    if width <= room {
        return format!("{text}{}", " ".repeat(room - width));
    }
    let (mut cut, mut used, mut is_full) = (String::new(), 0, false);
    each_grapheme(text, |symbol, width| {
        is_full |= used + width + 1 > room;
        if !is_full {
            cut.push_str(symbol);
            used += width;
        }
    });
    if room > 0 {
        cut.push('…');
        used += 1;
    }
    cut + &" ".repeat(room - used)
}

fn time(at: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    let time = time.to_zoned(jiff::tz::TimeZone::system());
    time.strftime("%H:%M:%S ").to_string()
}
