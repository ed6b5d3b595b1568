use std::collections::VecDeque;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::frame::Frame;
use super::graphemes::{columns, each_grapheme};
use super::log_lines::fitted;
use super::theme::Theme;
use super::wrapped::wrapped;
use crate::tui::action::can_stop;
use crate::tui::palette::palette_entries;
use crate::tui::state::{InputPurpose, LogPosition, Overlay, TuiState};

/// Widest box.
const WIDTH_MAX: u16 = 110;

/// Paints what covers the log. Returns where the cursor is, if it is in there.
pub fn paint(state: &TuiState, area: Rect, theme: Theme, buffer: &mut Buffer) -> Option<Position> {
    match &state.overlay {
        Overlay::None | Overlay::Input(..) => None,
        Overlay::Palette(typed, selected) => {
            Some(paint_palette(state, (typed, *selected), area, theme, buffer))
        }
        Overlay::Text(title, lines, from) => {
            let lines = broken(lines, area);
            let inner = paint_box(title, place(area, lines.len()), theme, buffer);
            // The terminal may have become larger since.
            let from = (*from).min(lines.len().saturating_sub(inner.height.into()));
            for (y, line) in (inner.y..inner.bottom()).zip(&lines[from..]) {
                buffer.set_stringn(inner.x, y, line, inner.width.into(), theme.plain());
            }
            let below = lines.len().saturating_sub(from + usize::from(inner.height));
            paint_more(from, below, inner, theme, buffer);
            None
        }
        Overlay::Confirm(question, _) => {
            let inner = paint_box("sure?", place(area, 1), theme, buffer);
            let text = format!("{question}  y: yes, any other key: no");
            buffer.set_stringn(inner.x, inner.y, text, inner.width.into(), theme.title());
            None
        }
    }
}

fn paint_palette(
    state: &TuiState,
    (typed, selected): (&str, usize),
    area: Rect,
    theme: Theme,
    buffer: &mut Buffer,
) -> Position {
    let entries = palette_entries(state, typed);
    let inner = paint_box("commands", place(area, entries.len().max(8) + 1), theme, buffer);
    let width = usize::from(inner.width);
    let (x, _) = buffer.set_stringn(inner.x, inner.y, ":", width, theme.title());
    let (x, _) = buffer.set_stringn(x, inner.y, end_of(typed, width - 2), width - 1, theme.plain());
    let room = usize::from(inner.height.saturating_sub(1));
    let selected = selected.min(entries.len().saturating_sub(1));
    let first = (selected + 1).saturating_sub(room);
    let labels = entries.iter().map(|entry| columns(&entry.label) + 2).max().unwrap_or(0);
    let labels = labels.min(width * 2 / 3);
    let shown = entries.iter().enumerate().skip(first);
    for (y, (at, entry)) in (inner.y + 1..inner.bottom()).zip(shown) {
        let style = if at == selected { theme.selected() } else { theme.plain() };
        let (x, _) = buffer.set_stringn(inner.x, y, fitted(&entry.label, labels), labels, style);
        let help = fitted(&crate::text::one_line(&entry.help), width - labels);
        let style = if at == selected { theme.selected() } else { theme.dim() };
        buffer.set_stringn(x, y, help, width - labels, style);
    }
    if entries.is_empty() {
        let text = "no command or action has these words; Esc closes";
        buffer.set_stringn(inner.x, inner.y + 1, text, width, theme.dim());
    }
    paint_more(first, entries.len().saturating_sub(first + room), inner, theme, buffer);
    Position::new(x.min(inner.right() - 1), inner.y)
}

/// Says on the lower edge of a box how much is above and below what it shows.
fn paint_more(above: usize, below: usize, inner: Rect, theme: Theme, buffer: &mut Buffer) {
    let text = match (above, below) {
        (0, 0) => return,
        (0, below) => format!(" {below} more below "),
        (above, 0) => format!(" {above} more above "),
        (above, below) => format!(" {above} more above, {below} below "),
    };
    let x = inner.right().saturating_sub(u16::try_from(columns(&text)).unwrap_or(0));
    buffer.set_stringn(x, inner.bottom(), text, inner.width.into(), theme.dim());
}

/// Returns how many lines of the screen a text has, and how many are shown at once.
pub fn text_height(state: &TuiState) -> (usize, usize) {
    let (Overlay::Text(_, lines, _), Some(frame)) = (&state.overlay, Frame::of(state)) else {
        return (1, 1);
    };
    let count = broken(lines, frame.overlay).len();
    let height = place(frame.overlay, count).height;
    (count, usize::from(height.saturating_sub(2)).max(1))
}

/// Breaks lines that are longer than a box is wide.
fn broken(lines: &[String], area: Rect) -> Vec<String> {
    let width = usize::from(place(area, 1).width.saturating_sub(4));
    let mut all = Vec::new();
    for line in lines {
        all.extend(wrapped(&crate::text::one_line(&line.replace('\t', "        ")), width));
    }
    all
}

/// Returns where a box with so many lines is.
fn place(area: Rect, lines: usize) -> Rect {
    let width = area.width.min(WIDTH_MAX);
    let height = u16::try_from(lines + 2).unwrap_or(u16::MAX).min(area.height);
    Rect::new(area.x + (area.width - width) / 2, area.bottom() - height, width, height)
}

/// Paints an empty box and returns its inside.
fn paint_box(title: &str, area: Rect, theme: Theme, buffer: &mut Buffer) -> Rect {
    let width = usize::from(area.width);
    let bar = "─".repeat(width.saturating_sub(2));
    for y in area.y..area.bottom() {
        let line = match y {
            y if y == area.y => format!("┌{bar}┐"),
            y if y + 1 == area.bottom() => format!("└{bar}┘"),
            _ => format!("│{}│", " ".repeat(width.saturating_sub(2))),
        };
        // Nothing of what is below shines through.
        for x in area.x..area.right() {
            buffer[(x, y)].reset();
        }
        buffer.set_stringn(area.x, y, line, width, theme.dim());
    }
    let title = format!(" {title} ");
    buffer.set_stringn(area.x + 2, area.y, title, width.saturating_sub(4), theme.title());
    Rect::new(area.x + 2, area.y + 1, area.width.saturating_sub(4), area.height.saturating_sub(2))
}

/// Returns what stands before a typed line.
pub fn input_label(state: &TuiState, purpose: &InputPurpose) -> String {
    match purpose {
        InputPurpose::Search => "search: ".to_owned(),
        InputPurpose::Filter => "filter (@service level:warn text): ".to_owned(),
        InputPurpose::Arguments(service, action) => {
            let view = state.services().iter().find(|view| view.name == *service);
            let action_view =
                view.and_then(|view| view.actions.iter().find(|it| it.name == *action));
            let args: Vec<_> = action_view.into_iter().flat_map(|it| &it.args).collect();
            let args: String =
                args.iter().map(|arg| format!(" {}", arg.as_str().to_uppercase())).collect();
            format!("{service} {action}{args}: ")
        }
    }
}

/// Returns the end of a text that fits into these columns.
pub fn end_of(text: &str, room: usize) -> String {
    let mut symbols = VecDeque::new();
    let mut used = 0;
    each_grapheme(text, |symbol, width| {
        symbols.push_back((symbol.to_owned(), width));
        used += width;
        while used > room
            && let Some((_, width)) = symbols.pop_front()
        {
            used -= width;
        }
    });
    symbols.into_iter().map(|(symbol, _)| symbol).collect()
}

/// Returns the keys that are worth a line: as many as fit.
pub fn key_hints(state: &TuiState, width: usize) -> String {
    let close = if state.over_log { "q plain log" } else { "q close" };
    let scroll = match state.log.position {
        LogPosition::Follow => "PgUp back",
        LogPosition::EndsAt(..) => "G follow",
    };
    let solo = if state.log.only.is_some() { "Tab all" } else { "Tab one" };
    let stop = match state.service() {
        Some(view) if !can_stop(view.phase) => "s start",
        _ => "s stop",
    };
    let hints = [
        "? help", close, ": commands", "/ search", "f filter", solo, scroll, "r restart", stop,
        "w why", "Enter attach",
    ];
    let mut text = String::new();
    for hint in hints {
        if columns(&text) + columns(hint) + 3 > width {
            break;
        }
        if !text.is_empty() {
            text.push_str("  ");
        }
        text.push_str(hint);
    }
    text
}

/// Returns what the help shows.
pub fn help_lines(over_log: bool) -> Vec<String> {
    let close = match over_log {
        true => "back to the plain log, not a line lost",
        false => "close; the stack keeps running",
    };
    let interrupt = match over_log {
        true => "stop the stack, as in the plain log",
        false => "close",
    };
    let keys = [
        ("Up Down  j k", "select a service"),
        ("Tab", "the log of the selected service, or of all"),
        ("Enter", "attach to its terminal; Ctrl-] comes back"),
        ("r  s  d", "restart; stop or start; debug mode on or off"),
        ("w  o", "why it is in this state; open its page"),
        (":", "all commands and actions, by name"),
        ("PgUp PgDn  b Space", "scroll the log by a page"),
        ("K J  Shift-Up Shift-Down", "by a line"),
        ("g  G", "the first stored line; follow the last one"),
        ("/  n  N", "search the whole stored log; earlier; later"),
        ("f", "filter: @service, level:error, level:warn, text"),
        ("Esc", "all services, no filter, no search, then follow"),
        ("t", "times on or off"),
        ("y  Y", "copy the found or last line; all lines shown"),
        ("m", "take the mouse, or give it back to the terminal"),
        ("Ctrl-L  Ctrl-Z", "paint again; suspend"),
        ("q", close),
        ("Ctrl-C", interrupt),
    ];
    let line = |(keys, what): (&str, &str)| format!("{keys:26}{what}").trim_end().to_owned();
    let mut lines: Vec<String> = keys.into_iter().map(line).collect();
    lines.push("CPU and memory are measured until no key was pressed for a minute.".to_owned());
    lines
}
