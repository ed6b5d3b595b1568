use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::cli::inspect::{LogFace, StoredLogItems};
use crate::control::{LogItem, LogLineView, LogQuery, missed_items};
use crate::log::{
    LineFormatter, LogLine, LogPage, LogSize, LogStyle, PageItem, ServicePalette, StatusText,
    StatusTone, StoredLogReader,
};
use crate::model::{Message, MessageClass, Name};

/// Formats log lines as in `devstack up`.
pub(crate) struct LogRenderer(LineFormatter);

impl LogRenderer {
    pub fn new(look: LogStyle) -> LogRenderer {
        LogRenderer(LineFormatter::new(look, Arc::new(ServicePalette::default())))
    }
}

impl LogRenderer {
    /// Appends a status line that is not part of the log.
    pub fn status_line(&mut self, text: &str, out: &mut Vec<u8>) {
        let now = jiff::Timestamp::now().as_millisecond();
        self.0.status_text(&StatusText::stack_wide(StatusTone::Notice, text), now, out);
    }
}

impl LogFace for LogRenderer {
    fn set_services(&mut self, services: &[Name]) {
        let list: Vec<_> = services.iter().map(|name| (name.clone(), None)).collect();
        self.0.set_palette(Arc::new(ServicePalette::new(&list)));
    }

    fn paint(&mut self, item: &LogItem, out: &mut Vec<u8>) {
        match item {
            LogItem::Line(line) => self.0.line(&record(line), out),
            LogItem::Missed { service, missed, bytes } => {
                let lost = LogSize { lines: *missed, bytes: *bytes };
                self.0.missed(service.as_ref(), lost, out);
            }
            LogItem::Status(spoken) => self.0.status_line(spoken, out),
        }
    }

    fn stored_services(&self, state: &Path) -> Result<Option<Vec<Name>>, Message> {
        let dir = state.join("logs");
        match StoredLogReader::services(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(|error| unreadable(&dir, &error)),
        }
    }

    fn stored(&self, state: &Path, query: &LogQuery) -> Result<StoredLogItems, Message> {
        let dir = state.join("logs");
        let services = (!query.services.is_empty()).then_some(&*query.services);
        let last = query.last.unwrap_or(usize::MAX);
        let pages = StoredLogReader::open(&dir, services, last, query.log_filter())
            .map_err(|error| unreadable(&dir, &error))?;
        Ok(Box::new(pages.map(items)))
    }
}

fn unreadable(dir: &Path, error: &std::io::Error) -> Message {
    Message::new(MessageClass::Disk, format!("cannot read {}: {error}", dir.display()))
}

fn items(page: LogPage) -> Vec<LogItem> {
    let missed: Vec<LogItem> = missed_items(&page.missed).collect();
    let items = page.items().into_iter().map(|item| match item {
        PageItem::Line(record) => LogItem::Line(line(record)),
        PageItem::Said(spoken) => LogItem::Status(spoken),
    });
    missed.into_iter().chain(items).collect()
}

fn record(line: &LogLineView) -> LogLine {
    LogLine {
        service: line.service.clone(),
        run: line.run,
        stream: line.stream,
        at: line.at.parse::<jiff::Timestamp>().map_or(0, |at| at.as_millisecond()),
        seq: line.seq,
        line: line.bytes().into_owned(),
        continues: line.continues,
        open: line.open,
    }
}

/// Converts a record through JSON, so that stored and live logs look the same.
fn line(record: LogLine) -> LogLineView {
    let json = serde_json::to_value(&record).expect("records serialize to JSON");
    serde_json::from_value(json).expect("records and lines have the same JSON")
}
