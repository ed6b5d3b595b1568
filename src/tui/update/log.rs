//! Which part of the log is shown, and which part has to be read for it.

use std::cmp::Reverse;

use crate::tui::command::{Notice, PageRange, SearchFrom, TuiCommand};
use crate::tui::log_window::LogWindow;
use crate::tui::shown_lines::search_pattern;
use crate::tui::state::{LogPosition, TuiState};
use crate::tui::view::{hit_line, log_height, row_height};

pub const PAGE_ROWS: usize = 400;
/// Rows that are kept ready on both sides of what is shown.
const AHEAD: usize = 150;

/// Shows the end of the log, with what follows.
pub fn show_end(state: &mut TuiState) -> Vec<TuiCommand> {
    begin(state, PageRange::Tail)
}

/// Shows the oldest stored lines.
pub fn show_start(state: &mut TuiState) -> Vec<TuiCommand> {
    if state.log.window.at_start {
        let commands = stop_following(state);
        to_row(state, 0);
        return commands;
    }
    begin(state, PageRange::From(0))
}

/// Shows the line with this number.
pub fn show_around(state: &mut TuiState, seq: u64) -> Vec<TuiCommand> {
    let window = &state.log.window;
    let is_there = window.row(window.index_of(seq)).is_some_and(|row| row.seq == seq);
    if is_there {
        let mut commands = stop_following(state);
        center(state, seq);
        commands.extend(load_ahead(state));
        return commands;
    }
    begin(state, PageRange::Around(seq))
}

/// Forgets what is shown and asks for another part.
fn begin(state: &mut TuiState, range: PageRange) -> Vec<TuiCommand> {
    let log = &mut state.log;
    log.generation += 1;
    (log.loading, log.at_end) = (true, false);
    if matches!(range, PageRange::Tail) {
        log.position = LogPosition::Follow;
    }
    vec![TuiCommand::StopFollowing, TuiCommand::Load(log.generation, log.view(), range)]
}

fn stop_following(state: &mut TuiState) -> Vec<TuiCommand> {
    let log = &mut state.log;
    if log.position != LogPosition::Follow {
        return Vec::new();
    }
    let newest = log.window.end_seq().map_or(0, |end| end - 1);
    log.position = LogPosition::EndsAt(newest, 0);
    vec![TuiCommand::StopFollowing]
}

/// Puts the row with this index at the top.
pub fn to_row(state: &mut TuiState, top: usize) {
    let end = down(state, before(top), log_height(state));
    end_at(state, end);
}

/// Puts the line with this number in the middle: what was found in it, if it is long.
pub fn center(state: &mut TuiState, seq: u64) {
    let middle = state.log.window.index_of(seq);
    let hit = state.log.window.row(middle).map_or(0, |row| hit_line(state, row));
    let end = down(state, before(middle), hit + 1 + log_height(state) / 2);
    let least = down(state, before(0), log_height(state));
    end_at(state, end.max(least));
}

/// Scrolls by this many lines of the screen: down, or up if negative.
pub fn scroll(state: &mut TuiState, lines: i64) -> Vec<TuiCommand> {
    let Some(end) = shown_end_place(state) else { return Vec::new() };
    if lines > 0 && end == newest(state) {
        return follow_at_end(state);
    }
    if lines > 0 && state.log.position == LogPosition::Follow {
        return Vec::new();
    }
    let count = usize::try_from(lines.unsigned_abs()).unwrap_or(usize::MAX);
    let wanted = match lines > 0 {
        true => down(state, end, count),
        false => up(state, end, count).max(down(state, before(0), log_height(state))),
    };
    let mut commands = stop_following(state);
    end_at(state, wanted);
    commands.extend(load_ahead(state));
    commands
}

/// A line of the screen in the window: the index after its row, and how many lines of that row are
/// below it. The index 0 is the place before all rows. Later lines are greater.
type LinePlace = (usize, Reverse<usize>);

/// Returns the place of the line before a row.
fn before(index: usize) -> LinePlace {
    (index, Reverse(0))
}

fn newest(state: &TuiState) -> LinePlace {
    (state.log.window.len(), Reverse(0))
}

fn shown_end_place(state: &TuiState) -> Option<LinePlace> {
    let last = state.log.last_shown()?;
    // The terminal may have become wider since.
    let below = state.log.below().min(height_of(state, last).saturating_sub(1));
    Some((last + 1, Reverse(below)))
}

/// Returns the place this many lines further down, or the end.
fn down(
    state: &TuiState,
    (mut rows, Reverse(mut below)): LinePlace,
    mut lines: usize,
) -> LinePlace {
    while lines > below && rows < state.log.window.len() {
        lines -= below;
        below = height_of(state, rows);
        rows += 1;
    }
    (rows, Reverse(below.saturating_sub(lines)))
}

/// Returns the place this many lines further up, or that of the first line.
fn up(state: &TuiState, (mut rows, Reverse(mut below)): LinePlace, mut lines: usize) -> LinePlace {
    while rows > 0 {
        let above = height_of(state, rows - 1).saturating_sub(below + 1);
        if lines <= above || rows == 1 {
            return (rows, Reverse(below + lines.min(above)));
        }
        lines -= above + 1;
        (rows, below) = (rows - 1, 0);
    }
    (rows, Reverse(below))
}

/// Follows again once the last row is shown and nothing was stored after it.
fn follow_at_end(state: &mut TuiState) -> Vec<TuiCommand> {
    let log = &mut state.log;
    if log.position == LogPosition::Follow || log.loading || !log.at_end {
        return load_ahead(state);
    }
    log.position = LogPosition::Follow;
    let from = log.window.end_seq().unwrap_or(0);
    vec![TuiCommand::Follow(log.generation, log.view(), from)]
}

/// Scrolls by a page, except for a line.
pub fn scroll_page(state: &mut TuiState, down: bool) -> Vec<TuiCommand> {
    let lines = log_height(state).max(2) as i64 - 1;
    scroll(state, if down { lines } else { -lines })
}

/// Reads what may be looked at next.
fn load_ahead(state: &mut TuiState) -> Vec<TuiCommand> {
    let shown = shown(state);
    let log = &mut state.log;
    if log.loading || log.window.len() == 0 {
        return Vec::new();
    }
    let range = if shown.start < AHEAD && !log.window.at_start {
        log.window.first_seq().map(PageRange::Before)
    } else if log.window.len() - shown.end < AHEAD
        && log.position != LogPosition::Follow
        && !(log.at_end && shown.end < log.window.len())
    {
        log.window.end_seq().map(PageRange::From)
    } else {
        None
    };
    let Some(range) = range else { return Vec::new() };
    log.loading = true;
    vec![TuiCommand::Load(log.generation, log.view(), range)]
}

/// Returns the indexes of the rows that are shown.
pub fn shown(state: &TuiState) -> std::ops::Range<usize> {
    let Some(last) = state.log.last_shown() else { return 0..0 };
    let (mut first, mut height) = (last + 1, 0);
    while first > 0 {
        let below = if first == last + 1 { state.log.below() } else { 0 };
        height += height_of(state, first - 1).saturating_sub(below);
        if height > log_height(state) && first <= last {
            break;
        }
        first -= 1;
    }
    first..last + 1
}

fn end_at(state: &mut TuiState, (rows, Reverse(below)): LinePlace) {
    if let Some(row) = rows.checked_sub(1).and_then(|index| state.log.window.row(index)) {
        state.log.position = LogPosition::EndsAt(row.seq, below);
    }
}

fn height_of(state: &TuiState, index: usize) -> usize {
    state.log.window.row(index).map_or(0, |row| row_height(state, row))
}

/// Starts a search at what is shown.
pub fn search(state: &mut TuiState, typed: &str) -> Vec<TuiCommand> {
    let log = &mut state.log;
    if typed.is_empty() {
        (log.search, log.hit) = (None, None);
        return Vec::new();
    }
    (log.search, log.hit) = (Some(search_pattern(typed)), None);
    search_on(state, false)
}

/// Finds the next line back in time, or the next one forward.
pub fn search_on(state: &mut TuiState, forward: bool) -> Vec<TuiCommand> {
    let shown_end = shown_end(state);
    let log = &state.log;
    let Some(pattern) = &log.search else { return Vec::new() };
    let from = match (log.hit, forward) {
        (Some(hit), true) => SearchFrom::From(hit + 1),
        (Some(hit), false) => SearchFrom::Before(hit),
        (None, true) => SearchFrom::From(shown_end),
        (None, false) => SearchFrom::Before(shown_end),
    };
    let mut view = log.view();
    view.patterns.push(pattern.regex().as_str().to_owned());
    let commands = vec![TuiCommand::Search(log.generation, view, from)];
    state.notice = Some(Notice::done("searching the stored log …"));
    commands
}

/// Returns the number after the last row that is shown.
fn shown_end(state: &TuiState) -> u64 {
    let log = &state.log;
    match log.position {
        LogPosition::Follow => u64::MAX,
        LogPosition::EndsAt(..) => {
            let last = log.last_shown().and_then(|at| log.window.row(at));
            last.map_or(u64::MAX, |row| row.seq + 1)
        }
    }
}

/// Returns the text of the line that was found last, or else of the last one that is shown.
pub fn chosen_line(state: &TuiState) -> Option<String> {
    let log = &state.log;
    let shown = shown(state);
    let hit = log.hit.map(|hit| log.window.index_of(hit));
    let hit =
        hit.filter(|at| shown.contains(at) && log.window.row(*at).map(|row| row.seq) == log.hit);
    let at = hit.or_else(|| shown.end.checked_sub(1))?;
    log.window.row(at).map(|row| row.plain())
}

/// Returns the text of all lines that are shown.
pub fn shown_text(state: &TuiState) -> Option<String> {
    let rows = shown(state).filter_map(|at| state.log.window.row(at));
    let lines: Vec<String> = rows.map(|row| row.plain()).collect();
    (!lines.is_empty()).then(|| lines.join("\n") + "\n")
}

/// Shows nothing: what was shown is gone.
pub fn clear(state: &mut TuiState) {
    state.log.window = LogWindow::default();
}
