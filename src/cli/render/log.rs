use std::sync::Arc;

use crate::log::{
    LineFormatter, LogItem, LogOutput, LogStyle, ServicePalette, StatusLine, StatusText, StatusTone,
};
use crate::model::Name;

/// Formats log lines as in `devstack up`.
pub(crate) struct LogRenderer(LineFormatter);

impl LogRenderer {
    pub fn new(style: LogStyle) -> LogRenderer {
        LogRenderer(LineFormatter::new(style, Arc::new(ServicePalette::default())))
    }

    /// Sets the services whose lines follow.
    pub fn set_services(&mut self, services: &[Name]) {
        let list: Vec<_> = services.iter().map(|name| (name.clone(), None)).collect();
        self.0.set_palette(Arc::new(ServicePalette::new(&list)));
    }

    /// Takes the current width of the terminal, if stdout is one.
    pub fn fit_terminal(&mut self) {
        self.0.set_columns(LogOutput::Stdout.columns());
    }

    /// Ends the output with a newline, whatever came last.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.0.end(out);
    }

    /// Appends a formatted item, with its newline.
    pub fn paint(&mut self, item: &LogItem, out: &mut Vec<u8>) {
        self.0.item(item, out);
    }

    /// Appends a status line that is not part of the log.
    pub fn status_line(&mut self, text: &str, out: &mut Vec<u8>) {
        let text = StatusText::stack_wide(StatusTone::Notice, text);
        let at = jiff::Timestamp::now().as_millisecond();
        self.0.status_line(&StatusLine { text, at, seq: None }, out);
    }
}
