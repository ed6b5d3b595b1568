use super::command::{Notice, TuiRequest};
use super::log_window::LogWindow;
use super::shown_lines::{LogViewFilter, ShownLines};
use crate::control::LogPattern;
use crate::log::ServicePalette;
use crate::model::{Name, ServiceView, Snapshot};

/// Everything that the TUI shows.
#[derive(Debug, Clone, PartialEq)]
pub struct TuiState {
    /// Width and height of the terminal.
    pub size: (u16, u16),
    /// Whether `up --tui` shows it: leaving it leads to the plain log.
    pub over_log: bool,
    /// Whether to use colors.
    pub color: bool,
    /// The stack as it was last seen.
    pub stack: Option<Snapshot>,
    /// Colors of the services.
    pub palette: ServicePalette,
    /// The selected service.
    pub selected: usize,
    /// Whether CPU and memory are measured now.
    pub measures: bool,
    /// A snapshot was asked for and has not come yet.
    pub refreshing: bool,
    /// Something has happened since it was asked for.
    pub outdated: bool,
    pub log: LogPane,
    /// What covers it.
    pub overlay: Overlay,
    /// What was last reported, until the next key.
    pub notice: Option<Notice>,
    /// Whether the mouse is taken.
    pub mouse: bool,
}

/// The log and what is shown of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogPane {
    /// What is in memory of it.
    pub window: LogWindow,
    /// Only this service.
    pub only: Option<Name>,
    pub filter: LogViewFilter,
    /// Which part is shown.
    pub position: LogPosition,
    /// Changes with what is shown: what was asked for before is ignored.
    pub generation: u64,
    /// A page was asked for and has not come yet.
    pub loading: bool,
    /// Nothing wanted was stored after the window when it was last looked for.
    pub at_end: bool,
    /// What the user looks for.
    pub search: Option<LogPattern>,
    /// The line that was found last.
    pub hit: Option<u64>,
    /// Whether to show times.
    pub timestamps: bool,
}

/// Which part of the log is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogPosition {
    /// The end, with every new line.
    #[default]
    Follow,
    /// The row with this number is the last one; so many of its lines on the screen are below the end.
    EndsAt(u64, usize),
}

/// What covers the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// A line that is typed.
    Input(InputPurpose, String),
    /// The palette, what is typed in it, and which entry is selected.
    Palette(String, usize),
    /// A text with its title, from this line on.
    Text(String, Vec<String>, usize),
    /// A question.
    Confirm(String, TuiRequest),
}

/// What a typed line is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputPurpose {
    /// Search the log.
    Search,
    Filter,
    /// Arguments of an action of a service.
    Arguments(Name, Name),
}

impl TuiState {
    /// Creates the state before anything is known.
    pub fn new(size: (u16, u16), over_log: bool, color: bool) -> TuiState {
        TuiState {
            size,
            over_log,
            color,
            stack: None,
            palette: ServicePalette::default(),
            selected: 0,
            measures: true,
            refreshing: false,
            outdated: false,
            log: LogPane::default(),
            overlay: Overlay::None,
            notice: None,
            mouse: false,
        }
    }

    pub fn services(&self) -> &[ServiceView] {
        self.stack.as_ref().map_or(&[], |stack| &stack.services)
    }

    /// Returns the selected service.
    pub fn service(&self) -> Option<&ServiceView> {
        self.services().get(self.selected)
    }
}

impl LogPane {
    pub fn view(&self) -> ShownLines {
        self.filter.view(self.only.as_ref())
    }

    /// Returns how many lines of the last row that is shown are below the end.
    pub fn below(&self) -> usize {
        match self.position {
            LogPosition::Follow => 0,
            LogPosition::EndsAt(_, below) => below,
        }
    }

    /// Returns the index of the last row that is shown; `None` without rows.
    pub fn last_shown(&self) -> Option<usize> {
        let newest = self.window.len().checked_sub(1)?;
        Some(match self.position {
            LogPosition::Follow => newest,
            LogPosition::EndsAt(seq, _) => self.window.index_of(seq).min(newest),
        })
    }
}
