use super::log_row::LogRow;
use super::shown_lines::ShownLines;
use crate::model::{Message, Name, Snapshot};

/// What the TUI has done: the way from the pure part to the acting one.
#[derive(Debug, Clone, PartialEq)]
pub enum TuiCommand {
    /// Read a page of the log, and answer with [`TuiEvent::Page`].
    Load(u64, ShownLines, PageRange),
    /// Read new lines from this number on, in place of those that are followed now.
    Follow(u64, ShownLines, u64),
    /// Follow no longer.
    StopFollowing,
    /// Find a line that matches, and answer with [`TuiEvent::Found`].
    Search(u64, ShownLines, SearchFrom),
    /// Ask the stack for something.
    Ask(TuiRequest),
    /// Show the terminal of a service.
    Attach(Name),
    /// Open the page of a service.
    Open(Name),
    /// Copy to the clipboard.
    Copy(String),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Ask for the state of the stack.
    Refresh,
    /// Suspend the program, as Ctrl-Z does.
    Suspend,
    /// Paint the whole screen again.
    Repaint,
    Leave(TuiEnd),
}

/// A part of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageRange {
    /// Its end.
    Tail,
    /// Before this number.
    Before(u64),
    /// From this number on.
    From(u64),
    /// Around this number.
    Around(u64),
}

/// Where a search goes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchFrom {
    /// Back from before this number.
    Before(u64),
    /// On from this number.
    From(u64),
}

/// What the stack is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TuiRequest {
    /// Start services.
    Start(Vec<Name>),
    /// Stop services.
    Stop(Vec<Name>),
    /// Restart services.
    Restart(Vec<Name>),
    /// Restart a service in debug mode.
    Debug(Name),
    /// Restart a service in run mode.
    Undebug(Name),
    /// Stop everything.
    Down,
    /// Explain a service.
    Why(Name),
    /// Show the environment of a service.
    Env(Name),
    /// Show what an edit would change.
    Plan,
    /// Run an action of a service.
    Run(Name, Name, Vec<String>),
    /// End an action of a service where it runs.
    EndAction(Name, Name),
    /// Show what has happened.
    Changes,
    /// Show the latest requests to the names of services.
    Requests,
}

/// Why the TUI ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TuiEnd {
    /// The user has closed it.
    Closed,
    /// Ctrl-C.
    Interrupted,
    /// The stack stops, or is gone.
    StackEnded,
    /// A signal with this number.
    Signal(i32),
}

/// What the acting part reports.
#[derive(Debug, Clone, PartialEq)]
pub enum TuiEvent {
    /// A key, a paste or the mouse.
    Input(super::UserInput),
    /// The terminal has this width and height.
    Resized(u16, u16),
    /// The state of the stack, and whether CPU and memory were measured.
    Stack(Box<Snapshot>, bool),
    /// Something happened in the stack.
    Changed,
    /// No key was pressed for a while: CPU and memory are no longer measured.
    Idle,
    /// A page of the log. `end` is the number after its last line, as far as it is known.
    Page {
        generation: u64,
        range: PageRange,
        rows: Vec<LogRow>,
        end: u64,
    },
    Lines(u64, Vec<LogRow>),
    Found(u64, SearchFrom, Option<u64>),
    /// A short text for the user.
    Notice(Notice),
    /// A text of several lines, with its title.
    Text(String, String),
    /// The same, whose end is what matters.
    History(String, String),
    /// The stack is stopping.
    StackEnds,
}

/// A short text for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// One line.
    pub text: String,
    /// Whether something failed.
    pub is_error: bool,
}

impl Notice {
    /// Something has worked.
    pub fn done(text: impl Into<String>) -> Notice {
        Notice { text: text.into(), is_error: false }
    }

    /// Something has failed.
    pub fn failed(text: impl Into<String>) -> Notice {
        Notice { text: text.into(), is_error: true }
    }

    /// What a message says, and the first line of its help.
    pub fn of(message: &Message) -> Notice {
        match message.help.lines().next() {
            Some(help) => Notice::failed(format!("{}; {help}", message.text)),
            None => Notice::failed(message.text.clone()),
        }
    }
}
