//! From one state to the next, without doing anything.

mod keys;
pub(super) mod log;

use super::command::{Notice, PageRange, SearchFrom, TuiCommand, TuiEnd, TuiEvent};
use super::log_window::LogWindow;
use super::state::{LogPosition, Overlay, TuiState};
use crate::log::ServicePalette;
use crate::model::{Name, Snapshot};

/// Returns the state after an event, and what to do.
pub fn update(mut state: TuiState, event: TuiEvent) -> (TuiState, Vec<TuiCommand>) {
    let commands = match event {
        TuiEvent::Input(input) => {
            state.measures = true;
            keys::on_input(&mut state, input)
        }
        TuiEvent::Resized(width, height) => {
            state.size = (width, height);
            Vec::new()
        }
        TuiEvent::Stack(stack, measured) => on_stack(&mut state, *stack, measured),
        TuiEvent::Changed => on_change(&mut state),
        TuiEvent::Idle => {
            state.measures = false;
            Vec::new()
        }
        TuiEvent::Page { generation, range, rows, end } if generation == state.log.generation => {
            on_page(&mut state, range, rows, end)
        }
        TuiEvent::Lines(generation, rows) if generation == state.log.generation => {
            if state.log.position == LogPosition::Follow {
                state.log.window.append(rows);
            }
            Vec::new()
        }
        TuiEvent::Found(generation, from, seq) if generation == state.log.generation => {
            on_found(&mut state, from, seq)
        }
        // About something that is no longer shown.
        TuiEvent::Page { .. } | TuiEvent::Lines(..) | TuiEvent::Found(..) => Vec::new(),
        TuiEvent::Notice(notice) => {
            state.notice = Some(notice);
            Vec::new()
        }
        TuiEvent::Text(title, text) => {
            on_text(&mut state, title, &text);
            Vec::new()
        }
        TuiEvent::History(title, text) => {
            on_text(&mut state, title, &text);
            keys::scroll_text(&mut state, i64::MAX)
        }
        TuiEvent::StackEnds => vec![TuiCommand::Leave(TuiEnd::StackEnded)],
    };
    (state, commands)
}

/// Shows a text, unless the user is typing: the next keys are not meant for it.
fn on_text(state: &mut TuiState, title: String, text: &str) {
    match state.overlay {
        Overlay::None | Overlay::Text(..) => {
            let lines = text.lines().map(str::to_owned).collect();
            (state.overlay, state.notice) = (Overlay::Text(title, lines, 0), None);
        }
        Overlay::Input(..) | Overlay::Palette(..) | Overlay::Confirm(..) => {
            let last = text.lines().last().unwrap_or_default();
            state.notice = Some(Notice::done(format!("{title}: {last}")));
        }
    }
}

fn on_stack(state: &mut TuiState, stack: Snapshot, measured: bool) -> Vec<TuiCommand> {
    // Answers may overtake each other.
    let is_older = state.stack.as_ref().is_some_and(|shown| shown.event > stack.event);
    let mut commands = if is_older { Vec::new() } else { show_stack(state, stack, measured) };
    state.refreshing &= measured;
    if !state.refreshing && std::mem::take(&mut state.outdated) {
        commands.extend(on_change(state));
    }
    commands
}

fn show_stack(state: &mut TuiState, mut stack: Snapshot, measured: bool) -> Vec<TuiCommand> {
    let is_first = state.stack.is_none();
    let selected = state.service().map(|view| view.name.clone()).or_else(|| stack.primary.clone());
    if !measured {
        // As last measured.
        for view in &mut stack.services {
            let before = state.services().iter().find(|before| before.name == view.name);
            let before = before.filter(|before| view.pid.is_some() && before.pid == view.pid);
            view.cpu_percent = before.and_then(|before| before.cpu_percent);
            view.memory_bytes = before.and_then(|before| before.memory_bytes);
        }
    }
    let names: Vec<_> = stack.services.iter().map(|view| (view.name.clone(), None)).collect();
    let palette = ServicePalette::new(&names);
    let place = stack.services.iter().position(|view| Some(&view.name) == selected.as_ref());
    let last = stack.services.len().saturating_sub(1);
    state.selected = place.unwrap_or(state.selected.min(last));
    (state.stack, state.palette) = (Some(stack), palette);
    let is_there = |name: &Name| state.services().iter().any(|view| view.name == *name);
    if !is_first && state.log.only.as_ref().is_none_or(is_there) {
        return Vec::new();
    }
    // Its service was removed: the log is that of the selected one.
    if state.log.only.is_some() {
        state.log.only = state.service().map(|view| view.name.clone());
        log::clear(state);
    }
    log::show_end(state)
}

fn on_change(state: &mut TuiState) -> Vec<TuiCommand> {
    if state.refreshing {
        state.outdated = true;
        return Vec::new();
    }
    state.refreshing = true;
    vec![TuiCommand::Refresh]
}

fn on_page(
    state: &mut TuiState,
    range: PageRange,
    rows: Vec<super::LogRow>,
    end: u64,
) -> Vec<TuiCommand> {
    let log = &mut state.log;
    log.loading = false;
    match range {
        PageRange::Tail => {
            let at_start = rows.len() < log::PAGE_ROWS;
            log.window = LogWindow::new(rows, at_start);
            log.position = LogPosition::Follow;
            vec![TuiCommand::Follow(log.generation, log.view(), end)]
        }
        PageRange::Before(_) => {
            let few = rows.len() < log::PAGE_ROWS;
            log.window.prepend(rows);
            log.window.at_start = few;
            log.at_end = false;
            Vec::new()
        }
        PageRange::From(0) => {
            log.at_end = rows.len() < log::PAGE_ROWS;
            log.window = LogWindow::new(rows, true);
            log::to_row(state, 0);
            Vec::new()
        }
        PageRange::From(_) => {
            log.at_end = rows.len() < log::PAGE_ROWS;
            log.window.append(rows);
            Vec::new()
        }
        PageRange::Around(seq) => {
            (log.window, log.at_end) = (LogWindow::new(rows, false), false);
            log.position = LogPosition::EndsAt(seq, 0);
            log::center(state, seq);
            Vec::new()
        }
    }
}

fn on_found(state: &mut TuiState, from: SearchFrom, seq: Option<u64>) -> Vec<TuiCommand> {
    let Some(seq) = seq else {
        let text = match (from, state.log.hit) {
            (_, None) => "not found in the stored log",
            (SearchFrom::Before(_), _) => "no earlier line matches",
            (SearchFrom::From(_), _) => "no later line matches",
        };
        state.notice = Some(Notice::failed(text));
        return Vec::new();
    };
    (state.log.hit, state.notice) = (Some(seq), None);
    log::show_around(state, seq)
}
