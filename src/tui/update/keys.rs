//! What keys and the mouse do, on each of the overlays.

use super::log;
use crate::tui::action::{UserAction, can_stop, perform, run_with};
use crate::tui::command::{Notice, TuiCommand, TuiEnd};
use crate::tui::palette::palette_entries;
use crate::tui::shown_lines::LogViewFilter;
use crate::tui::state::{InputPurpose, Overlay, TuiState};
use crate::tui::view::{service_at, text_height};
use crate::tui::{KeyPress, UserInput};

/// Longest line that can be typed, in bytes.
const TYPED_MAX: usize = 1000;

pub fn on_input(state: &mut TuiState, input: UserInput) -> Vec<TuiCommand> {
    state.notice = None;
    match input {
        UserInput::Key(KeyPress::Ctrl('c')) => match state.overlay {
            // As everywhere: it ends what is typed.
            Overlay::Input(..) | Overlay::Palette(..) => close_overlay(state),
            Overlay::None | Overlay::Text(..) | Overlay::Confirm(..) => {
                vec![TuiCommand::Leave(TuiEnd::Interrupted)]
            }
        },
        UserInput::Key(KeyPress::Ctrl('z')) => vec![TuiCommand::Suspend],
        UserInput::Key(KeyPress::Ctrl('l')) => vec![TuiCommand::Repaint],
        UserInput::Key(key) => match &state.overlay {
            Overlay::None => on_key(state, key),
            Overlay::Input(..) => on_input_key(state, key),
            Overlay::Palette(..) => on_palette_key(state, key),
            Overlay::Text(..) => on_text_key(state, key),
            Overlay::Confirm(..) => on_confirm_key(state, key),
        },
        UserInput::Paste(text) => {
            type_text(state, &text);
            Vec::new()
        }
        UserInput::Click(column, row) => match (&state.overlay, service_at(state, column, row)) {
            (Overlay::None, Some(at)) => select(state, at),
            _ => Vec::new(),
        },
        UserInput::Wheel(lines) => match &mut state.overlay {
            Overlay::None => log::scroll(state, lines.into()),
            Overlay::Text(..) => scroll_text(state, lines.into()),
            Overlay::Input(..) | Overlay::Palette(..) | Overlay::Confirm(..) => Vec::new(),
        },
    }
}

fn on_key(state: &mut TuiState, key: KeyPress) -> Vec<TuiCommand> {
    match key {
        KeyPress::Down | KeyPress::Char('j') => return select(state, state.selected + 1),
        KeyPress::Up | KeyPress::Char('k') => {
            return select(state, state.selected.saturating_sub(1));
        }
        KeyPress::PageUp | KeyPress::Char('b') | KeyPress::Ctrl('b') => {
            return log::scroll_page(state, false);
        }
        KeyPress::PageDown | KeyPress::Char(' ') | KeyPress::Ctrl('f') => {
            return log::scroll_page(state, true);
        }
        KeyPress::FarUp | KeyPress::Char('K') | KeyPress::Ctrl('y') => {
            return log::scroll(state, -1);
        }
        KeyPress::FarDown | KeyPress::Char('J') | KeyPress::Ctrl('e') => {
            return log::scroll(state, 1);
        }
        KeyPress::Char('n') => return log::search_on(state, false),
        KeyPress::Char('N') => return log::search_on(state, true),
        _ => {}
    }
    let action = general_action(state, key).or_else(|| service_action(state, key));
    action.map_or_else(Vec::new, |action| perform(state, action))
}

fn general_action(state: &TuiState, key: KeyPress) -> Option<UserAction> {
    Some(match key {
        KeyPress::Home | KeyPress::Char('g') => UserAction::First,
        KeyPress::End | KeyPress::Char('G' | 'F') => UserAction::Follow,
        KeyPress::Tab if state.log.only.is_some() => UserAction::Only(None),
        KeyPress::Esc if state.log.only.is_some() => UserAction::Only(None),
        KeyPress::Esc if !state.log.filter.text.is_empty() => UserAction::ClearFilter,
        KeyPress::Esc if state.log.search.is_some() => UserAction::ClearSearch,
        KeyPress::Esc => UserAction::Follow,
        KeyPress::Char('/') => UserAction::Search,
        KeyPress::Char('f') => UserAction::Filter,
        KeyPress::Char('y') => UserAction::CopyLine,
        KeyPress::Char('Y') => UserAction::CopyScreen,
        KeyPress::Char('t') => UserAction::Timestamps,
        KeyPress::Char('m') => UserAction::Mouse,
        KeyPress::Char(':') => UserAction::Palette,
        KeyPress::Char('?') => UserAction::Help,
        KeyPress::Char('q') => UserAction::Close,
        _ => return None,
    })
}

fn service_action(state: &TuiState, key: KeyPress) -> Option<UserAction> {
    let view = state.service()?;
    let name = view.name.clone();
    Some(match key {
        KeyPress::Tab => UserAction::Only(Some(name)),
        KeyPress::Enter => UserAction::Attach(name),
        KeyPress::Char('w') => UserAction::Why(name),
        KeyPress::Char('r') => UserAction::Restart(name),
        KeyPress::Char('s') if can_stop(view.phase) => UserAction::Stop(name),
        KeyPress::Char('s') => UserAction::Start(name),
        KeyPress::Char('d') => UserAction::ToggleDebug(name),
        KeyPress::Char('o') => UserAction::Open(name),
        _ => return None,
    })
}

/// Selects a service. A log of one service is then that of the selected one.
fn select(state: &mut TuiState, at: usize) -> Vec<TuiCommand> {
    let at = at.min(state.services().len().saturating_sub(1));
    if at == state.selected {
        return Vec::new();
    }
    state.selected = at;
    if state.log.only.is_none() {
        return Vec::new();
    }
    state.log.only = state.service().map(|view| view.name.clone());
    log::clear(state);
    log::show_end(state)
}

fn close_overlay(state: &mut TuiState) -> Vec<TuiCommand> {
    state.overlay = Overlay::None;
    Vec::new()
}

/// Types into what is open for it. Keys that do something are none of a paste.
fn type_text(state: &mut TuiState, text: &str) {
    let (Overlay::Input(_, typed) | Overlay::Palette(typed, _)) = &mut state.overlay else {
        return;
    };
    for c in text.chars() {
        let c = if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
        if !c.is_control() && typed.len() < TYPED_MAX {
            typed.push(c);
        }
    }
    if let Overlay::Palette(_, selected) = &mut state.overlay {
        *selected = 0;
    }
}

/// Edits what is typed; returns false for other keys.
fn edit(state: &mut TuiState, key: KeyPress) -> bool {
    if let KeyPress::Char(c) = key {
        type_text(state, c.encode_utf8(&mut [0; 4]));
        return true;
    }
    let (Overlay::Input(_, typed) | Overlay::Palette(typed, _)) = &mut state.overlay else {
        return false;
    };
    match key {
        KeyPress::Backspace => drop(typed.pop()),
        KeyPress::Ctrl('u') => typed.clear(),
        KeyPress::Ctrl('w') => {
            let kept = typed.trim_end();
            typed.truncate(kept.rfind(' ').map_or(0, |at| at + 1));
        }
        _ => return false,
    }
    if let Overlay::Palette(_, selected) = &mut state.overlay {
        *selected = 0;
    }
    true
}

fn on_input_key(state: &mut TuiState, key: KeyPress) -> Vec<TuiCommand> {
    match key {
        KeyPress::Esc => return close_overlay(state),
        KeyPress::Enter => {}
        _ => {
            edit(state, key);
            return Vec::new();
        }
    }
    let Overlay::Input(purpose, typed) = std::mem::take(&mut state.overlay) else {
        return Vec::new();
    };
    match purpose {
        InputPurpose::Search => log::search(state, typed.trim()),
        InputPurpose::Filter => filter(state, &typed),
        InputPurpose::Arguments(service, action) => run_with(state, service, action, typed),
    }
}

fn filter(state: &mut TuiState, typed: &str) -> Vec<TuiCommand> {
    let Some(stack) = &state.stack else { return Vec::new() };
    match LogViewFilter::parse(typed, stack) {
        Ok(filter) => {
            state.log.filter = filter;
            log::clear(state);
            log::show_end(state)
        }
        Err(why) => {
            state.notice = Some(Notice::failed(why));
            state.overlay = Overlay::Input(InputPurpose::Filter, typed.to_owned());
            Vec::new()
        }
    }
}

fn on_palette_key(state: &mut TuiState, key: KeyPress) -> Vec<TuiCommand> {
    let Overlay::Palette(typed, selected) = &state.overlay else { return Vec::new() };
    let mut entries = palette_entries(state, typed);
    let at = (*selected).min(entries.len().saturating_sub(1));
    match key {
        KeyPress::Esc => close_overlay(state),
        KeyPress::Enter if entries.is_empty() => Vec::new(),
        KeyPress::Enter => {
            state.overlay = Overlay::None;
            perform(state, entries.swap_remove(at).action)
        }
        KeyPress::Up | KeyPress::BackTab | KeyPress::Down | KeyPress::Tab => {
            let is_back = matches!(key, KeyPress::Up | KeyPress::BackTab);
            let to = if is_back { at.saturating_sub(1) } else { at + 1 };
            if let Overlay::Palette(_, selected) = &mut state.overlay {
                *selected = to.min(entries.len().saturating_sub(1));
            }
            Vec::new()
        }
        _ => {
            edit(state, key);
            Vec::new()
        }
    }
}

fn on_text_key(state: &mut TuiState, key: KeyPress) -> Vec<TuiCommand> {
    let (_, height) = text_height(state);
    let page = height as i64;
    match key {
        KeyPress::Esc | KeyPress::Enter | KeyPress::Char('q' | '?' | 'w') => close_overlay(state),
        KeyPress::Down | KeyPress::Char('j') => scroll_text(state, 1),
        KeyPress::Up | KeyPress::Char('k') => scroll_text(state, -1),
        KeyPress::PageDown | KeyPress::Char(' ') => scroll_text(state, page),
        KeyPress::PageUp | KeyPress::Char('b') => scroll_text(state, -page),
        KeyPress::Home | KeyPress::Char('g') => scroll_text(state, i64::MIN),
        KeyPress::End | KeyPress::Char('G') => scroll_text(state, i64::MAX),
        _ => Vec::new(),
    }
}

pub fn scroll_text(state: &mut TuiState, lines: i64) -> Vec<TuiCommand> {
    let (count, height) = text_height(state);
    if let Overlay::Text(_, _, from) = &mut state.overlay {
        let most = count.saturating_sub(height) as i64;
        *from = (*from as i64).saturating_add(lines).clamp(0, most) as usize;
    }
    Vec::new()
}

fn on_confirm_key(state: &mut TuiState, key: KeyPress) -> Vec<TuiCommand> {
    let Overlay::Confirm(_, request) = std::mem::take(&mut state.overlay) else {
        return Vec::new();
    };
    match key {
        KeyPress::Char('y' | 'Y') | KeyPress::Enter => vec![TuiCommand::Ask(request)],
        _ => Vec::new(),
    }
}
