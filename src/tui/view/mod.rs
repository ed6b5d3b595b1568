//! From the state to the cells of the screen.

mod colored_text;
mod frame;
mod graphemes;
mod log_lines;
mod overlays;
mod services;
#[cfg(test)]
mod tests;
mod theme;
mod wrapped;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::log_row::LogRow;
use super::state::{LogPosition, Overlay, TuiState};
use frame::Frame;
use log_lines::LogLines;
pub use overlays::{help_lines, text_height};
pub use services::service_at;
use theme::Theme;
use wrapped::wrapped;

/// Paints the screen. Also returns where the cursor is, if it is shown.
pub fn view(state: &TuiState) -> (Buffer, Option<Position>) {
    let (width, height) = state.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    let theme = Theme { color: state.color };
    let Some(frame) = Frame::of(state) else {
        let text = "devstack needs a larger terminal";
        buffer.set_stringn(0, 0, text, usize::from(width), theme.plain());
        return (buffer, None);
    };
    services::paint(state, frame.services, theme, &mut buffer);
    paint_title(state, frame.title, theme, &mut buffer);
    paint_log(state, frame.log, theme, &mut buffer);
    paint_detail(state, frame.detail, theme, &mut buffer);
    let cursor = paint_status(state, frame.status, theme, &mut buffer);
    let cursor = overlays::paint(state, frame.overlay, theme, &mut buffer).or(cursor);
    (buffer, cursor)
}

/// Returns how many lines of the screen the log has.
pub fn log_height(state: &TuiState) -> usize {
    Frame::of(state).map_or(1, |frame| usize::from(frame.log.height.max(1)))
}

/// Returns how many lines of the screen a row of the log takes.
pub fn row_height(state: &TuiState, row: &LogRow) -> usize {
    let Some(frame) = Frame::of(state) else { return 1 };
    LogLines::new(state, frame.log.width, Theme { color: state.color }).of(row).len()
}

/// Returns which line of a row has what the user looks for.
pub fn hit_line(state: &TuiState, row: &LogRow) -> usize {
    let Some(frame) = Frame::of(state) else { return 0 };
    LogLines::new(state, frame.log.width, Theme { color: state.color }).hit_line(row)
}

fn paint_title(state: &TuiState, area: Rect, theme: Theme, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let log = &state.log;
    let mut parts = vec![match &log.only {
        Some(name) => format!("log of {name}"),
        None => "log".to_owned(),
    }];
    if !log.filter.text.is_empty() {
        parts.push(format!("filter: {}", log.filter.text));
    }
    if let Some(pattern) = &log.search {
        let pattern = pattern.regex().as_str();
        parts.push(format!("search: {}", pattern.strip_prefix("(?i)").unwrap_or(pattern)));
    }
    parts.push(match log.position {
        _ if log.loading && log.window.len() == 0 => "reading …".to_owned(),
        LogPosition::Follow => "following".to_owned(),
        LogPosition::EndsAt(..) => "paused, G follows".to_owned(),
    });
    let line = "─".repeat(area.width.into());
    buffer.set_stringn(area.x, area.y, line, area.width.into(), theme.dim());
    let text = format!(" {} ", parts.join(" · "));
    let room = usize::from(area.width.saturating_sub(4));
    let (x, _) = buffer.set_stringn(area.x + 2, area.y, text, room, theme.title());
    let problems = format!(" {} ", services::problems(state));
    let room = u16::try_from(graphemes::columns(&problems)).unwrap_or(u16::MAX);
    if room > 2 && x.saturating_add(room) + 2 <= area.right() {
        let x = area.right() - room - 2;
        buffer.set_stringn(x, area.y, problems, room.into(), theme.error());
    }
}

fn paint_log(state: &TuiState, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let Some(last) = state.log.last_shown() else { return };
    let height = usize::from(area.height);
    let painter = LogLines::new(state, area.width, theme);
    // From the last line up.
    let mut lines = Vec::new();
    let mut below = state.log.below();
    for row in state.log.window.back_from(last) {
        if lines.len() >= height {
            break;
        }
        let row = painter.of(row);
        let shown = row.len() - below.min(row.len() - 1);
        lines.extend(row.into_iter().take(shown).rev());
        below = 0;
    }
    lines.truncate(height);
    for (at, line) in lines.iter().rev().enumerate() {
        let y = area.y + u16::try_from(at).unwrap_or(u16::MAX);
        let mut x = area.x;
        for (text, style) in line {
            let room = usize::from(area.right().saturating_sub(x));
            (x, _) = buffer.set_stringn(x, y, text, room, *style);
        }
    }
}

fn paint_detail(state: &TuiState, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let Some(view) = state.service() else { return };
    let mut text = format!("{}: {}", view.name, view.cause);
    if let Some(message) = &view.message
        && message.text != view.cause
    {
        text = format!("{}: {}", view.name, message.text);
    }
    if let Some(url) = view.origin.as_ref().or(view.url.as_ref()) {
        text = format!("{text} · {url}");
    }
    if let Some(debug) = &view.debug {
        text = format!("{text} · debugger: {}", debug.attach);
    }
    let text = crate::text::one_line(&text);
    let line = " ".repeat(area.width.into());
    buffer.set_stringn(area.x, area.y, line, area.width.into(), theme.bar());
    let style = theme.bar().patch(theme.phase(view.phase));
    buffer.set_stringn(area.x, area.y, format!(" {text}"), area.width.into(), style);
}

/// Paints the last line: what is typed, what was reported, or the most important keys.
fn paint_status(
    state: &TuiState,
    area: Rect,
    theme: Theme,
    buffer: &mut Buffer,
) -> Option<Position> {
    let width = usize::from(area.width);
    if let Overlay::Input(purpose, typed) = &state.overlay {
        let label = overlays::input_label(state, purpose);
        let (x, _) = buffer.set_stringn(area.x, area.y, format!(" {label}"), width, theme.title());
        let room = usize::from(area.right().saturating_sub(x + 1));
        let shown = overlays::end_of(typed, room);
        let (x, _) = buffer.set_stringn(x, area.y, shown, room, theme.plain());
        if let Some(notice) = &state.notice {
            let room = usize::from(area.right().saturating_sub(x + 2));
            buffer.set_stringn(x + 2, area.y, &notice.text, room, theme.error());
        }
        return Some(Position::new(x, area.y));
    }
    let (text, style) = match &state.notice {
        Some(notice) if notice.is_error => (notice.text.clone(), theme.error()),
        Some(notice) => (notice.text.clone(), theme.title()),
        None => (overlays::key_hints(state, width), theme.dim()),
    };
    // What does not fit covers lines above.
    let most = usize::from(state.size.1 / 2);
    let lines = wrapped(&crate::text::one_line(&text), width.saturating_sub(2));
    for (text, y) in lines.iter().take(most).rev().zip((0..=area.y).rev()) {
        for x in area.x..area.right() {
            buffer[(x, y)].reset();
        }
        buffer.set_stringn(area.x + 1, y, text, width.saturating_sub(1), style);
    }
    None
}
