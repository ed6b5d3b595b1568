//! How lines look, and the thread that prints them.

pub(crate) mod escape_filter;
mod line_formatter;
mod log_output;
pub(crate) mod log_printer;
mod log_style;
mod print_queue;
mod service_palette;

pub use line_formatter::LineFormatter;
pub use log_output::LogOutput;
pub use log_style::{EscapeMode, LogStyle};
pub(crate) use print_queue::PrintQueue;
pub use service_palette::ServicePalette;
