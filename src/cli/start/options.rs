use std::io::{IsTerminal, stderr, stdout};
use std::path::PathBuf;

use super::timeline::TimelineTarget;
use crate::cli::args::StartupArgs;
use crate::cli::context;
use crate::cli::inspect::LogStyleArgs;
use crate::cli::tui::PendingTui;
use crate::engine::WhenIdle;
use crate::exit_code::ExitCode;
use crate::log::LogOutput;
use crate::model::{Stack, StartCommand};
use crate::process::Daemon;
use crate::supervisor::TerminalSizeFn;

/// What to start and how, for `up` and `run`.
pub(super) struct StartOptions {
    pub command: StartCommand,
    pub files: Vec<PathBuf>,
    pub starting: StartupArgs,
    pub services: Vec<String>,
    /// Services to start in debug mode, separated by commas; empty: all that have a `debug` entry.
    pub debug: Option<String>,
    pub strict_ports: bool,
    /// Whether services get names at the proxy.
    pub names: bool,
    /// Whether to watch files and the configuration.
    pub follow: bool,
    pub shown: LogStyleArgs,
    /// Whether to show a QR code of the URL on the network.
    pub qr: bool,
    /// Where to show what the start waited for.
    pub timeline: Option<TimelineTarget>,
    pub place: LogTarget,
    /// Changes every stack before it is used.
    pub modify_stack: fn(&mut Stack),
    /// What happens when nothing is left to run.
    pub when_idle: WhenIdle,
    /// Whether to ask the user about ports, if there is a terminal.
    pub may_ask: bool,
    /// Exit code if the stack cannot start, but not because of the user's input.
    pub refused: ExitCode,
    /// Covers the log of the terminal.
    pub tui: Option<PendingTui>,
    /// Detaches into the background once nothing can be asked or refused any more.
    pub daemon: Option<Daemon>,
}

impl StartOptions {
    /// Returns whether the log goes to a terminal, so that services may write as to a terminal.
    pub fn on_terminal(&self) -> bool {
        !self.shown.is_json() && self.place.is_terminal()
    }

    pub fn shows_color(&self) -> bool {
        !self.shown.is_json() && self.place.shows_color()
    }
}

/// Where the log is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogTarget {
    Stdout,
    /// Stdout belongs to the command of `run`.
    Stderr,
    /// Nowhere; clients can read it.
    Background,
}

impl LogTarget {
    fn is_terminal(self) -> bool {
        match self {
            LogTarget::Stdout => stdout().is_terminal(),
            LogTarget::Stderr => stderr().is_terminal(),
            LogTarget::Background => false,
        }
    }

    fn shows_color(self) -> bool {
        match self {
            LogTarget::Stdout => context::color(&stdout()),
            LogTarget::Stderr => context::color(&stderr()),
            LogTarget::Background => false,
        }
    }

    /// Returns a function for the terminal's size; in the background, for its last known size.
    pub fn terminal_size(self) -> TerminalSizeFn {
        match self {
            LogTarget::Stdout => Box::new(|| size_of(stdout())),
            LogTarget::Stderr => Box::new(|| size_of(stderr())),
            LogTarget::Background => {
                let size = size_of(stdout());
                Box::new(move || size)
            }
        }
    }

    pub fn output(self) -> LogOutput {
        match self {
            LogTarget::Stdout => LogOutput::Stdout,
            LogTarget::Stderr => LogOutput::Stderr,
            LogTarget::Background => LogOutput::None,
        }
    }
}

fn size_of(output: impl std::os::fd::AsFd) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(output).ok()?;
    Some((size.ws_row, size.ws_col))
}
