use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::frame::Frame;
use super::log_lines::fitted;
use super::theme::Theme;
use crate::model::{DisplaySize, Phase, ServiceView, StackState};
use crate::tui::state::TuiState;

/// The columns of the list, from the first that is left out in a narrow terminal on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ListColumns {
    name: usize,
    phase: usize,
    address: usize,
    cpu: usize,
    memory: usize,
}

const PHASE: usize = 10;
const PORT: usize = 6;
const CPU: usize = 7;
const MEMORY: usize = 8;
/// Widest column of names.
const NAME_MAX: usize = 24;
/// What is left of a wide list for addresses.
const ADDRESS_MAX: usize = 40;
/// Room for the list from which on addresses are beside the log, too.
const ADDRESS_FROM: u16 = 80;

impl ListColumns {
    fn of(state: &TuiState, width: usize) -> ListColumns {
        let names = state.services().iter().map(|view| view.name.as_str().len() + 2).max();
        let name = names.unwrap_or(0).max(title(state).len() + 2).clamp(8, NAME_MAX).min(width);
        let mut rest = width - name;
        let mut take = |columns: usize| {
            let taken = if columns <= rest { columns } else { 0 };
            rest -= taken;
            taken
        };
        let phase = take(PHASE);
        let port = take(PORT);
        let (cpu, memory) = (take(CPU), take(MEMORY));
        let address = if port > 0 { port + rest.min(ADDRESS_MAX) } else { 0 };
        ListColumns { name, phase, address, cpu, memory }
    }
}

/// Returns the width of the list where it is beside the log.
pub fn width(state: &TuiState, most: u16) -> u16 {
    let columns = ListColumns::of(state, NAME_MAX + PHASE + PORT + CPU + MEMORY);
    let mut wanted = columns.name + PHASE + PORT + CPU + MEMORY;
    if most >= ADDRESS_FROM {
        // There is room for the longest address.
        let longest =
            state.services().iter().filter_map(origin_host).map(|host| host.len() + 2).max();
        wanted += longest.unwrap_or(0).saturating_sub(PORT).min(ADDRESS_MAX);
    }
    u16::try_from(wanted).unwrap_or(most).min(most)
}

pub fn paint(state: &TuiState, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let columns = ListColumns::of(state, width);
    let address = if columns.address > PORT { "ADDRESS" } else { "PORT" };
    let head = [
        (format!(" {}", title(state)), columns.name),
        ("PHASE".to_owned(), columns.phase),
        (address.to_owned(), columns.address),
        (right("CPU", columns.cpu), columns.cpu),
        (right("MEM", columns.memory), columns.memory),
    ];
    let mut x = area.x;
    for (text, columns) in head {
        let style = if x == area.x { theme.title() } else { theme.dim() };
        (x, _) = buffer.set_stringn(x, area.y, fitted(&text, columns), columns, style);
    }
    let first = first_shown(state, area);
    let shown = state.services().iter().enumerate().skip(first);
    for (y, (at, view)) in (area.y + 1..area.bottom()).zip(shown) {
        paint_service(state, (at, view), (area.x, y), columns, theme, buffer);
    }
}

fn paint_service(
    state: &TuiState,
    (at, view): (usize, &ServiceView),
    (x, y): (u16, u16),
    columns: ListColumns,
    theme: Theme,
    buffer: &mut Buffer,
) {
    let is_selected = at == state.selected;
    let mark = if is_selected { '>' } else { ' ' };
    let usage = if state.measures { theme.plain() } else { theme.dim() };
    let address = match (origin_host(view), view.port) {
        (Some(host), _) if columns.address > PORT => host.to_owned(),
        (_, Some(port)) => port.to_string(),
        (_, None) => String::new(),
    };
    let name = theme.service(state.palette.color(&view.name));
    let cpu = view.cpu_percent.map(|percent| format!("{percent:.1}%")).unwrap_or_default();
    let memory = view.memory_bytes.map(|bytes| DisplaySize(bytes).to_string()).unwrap_or_default();
    let cells = [
        (format!("{mark}{} ", view.name), columns.name, name),
        (view.phase.to_string(), columns.phase, theme.phase(view.phase)),
        (address, columns.address, theme.plain()),
        (right(&cpu, columns.cpu), columns.cpu, usage),
        (right(&memory, columns.memory), columns.memory, usage),
    ];
    let mut x = x;
    for (text, columns, style) in cells {
        let style = if is_selected { theme.selected().patch(style) } else { style };
        (x, _) = buffer.set_stringn(x, y, fitted(&text, columns), columns, style);
    }
}

/// Returns the address of a service that has a name, without the protocol.
fn origin_host(view: &ServiceView) -> Option<&str> {
    let origin = view.origin.as_deref()?;
    Some(origin.split_once("://").map_or(origin, |(_, host)| host))
}

/// Returns how many services are in a phase that is a problem, such as `2 failed, 1 blocked`.
pub fn problems(state: &TuiState) -> String {
    let phases = [Phase::Failed, Phase::Unhealthy, Phase::Blocked, Phase::Backoff];
    let counted = phases.map(|phase| {
        let count = state.services().iter().filter(|view| view.phase == phase).count();
        (count > 0).then(|| format!("{count} {phase}"))
    });
    counted.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns the service at a place of the screen.
pub fn service_at(state: &TuiState, column: u16, row: u16) -> Option<usize> {
    let area = Frame::of(state)?.services;
    let is_in =
        (area.x..area.right()).contains(&column) && (area.y + 1..area.bottom()).contains(&row);
    let at = first_shown(state, area) + usize::from(row.checked_sub(area.y + 1)?);
    (is_in && at < state.services().len()).then_some(at)
}

/// Returns the first service that is shown: the selected one is near the middle.
fn first_shown(state: &TuiState, area: Rect) -> usize {
    let room = usize::from(area.height.saturating_sub(1)).max(1);
    let most = state.services().len().saturating_sub(room);
    state.selected.saturating_sub(room / 2).min(most)
}

fn title(state: &TuiState) -> String {
    let Some(stack) = &state.stack else { return "devstack".to_owned() };
    let what = match stack.state {
        StackState::Starting => "starting",
        StackState::Up => "up",
        StackState::Degraded => "degraded",
        StackState::Stopping => "stopping",
        StackState::Stopped => "stopped",
    };
    format!("{}: {what}", stack.stack)
}

fn right(text: &str, columns: usize) -> String {
    format!("{text:>columns$}")
}
