//! How lines look, and the thread that prints them.

pub(crate) mod escape_filter;
mod line_formatter;
mod line_prefix;
mod line_wrapper;
mod log_output;
pub(crate) mod log_printer;
mod log_style;
mod print_queue;
mod repeated_output;
mod service_palette;
mod unfinished_line;

pub use line_formatter::LineFormatter;
pub use log_output::LogOutput;
pub use log_style::LogStyle;
pub(crate) use print_queue::PrintQueue;
pub use service_palette::ServicePalette;
