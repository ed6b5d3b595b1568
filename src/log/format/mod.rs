//! How lines look, and the thread that prints them.

mod line_formatter;
mod line_prefix;
mod line_wrapper;
mod log_output;
pub(crate) mod log_printer;
mod log_style;
mod passed_output;
mod print_backlog;
mod repeated_output;
mod unfinished_line;

pub use line_formatter::LineFormatter;
pub use log_output::LogOutput;
pub use log_style::LogStyle;
pub use passed_output::PassedOutput;
