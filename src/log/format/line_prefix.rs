use std::sync::Arc;

use super::log_style::{BOLD, DIM, LogStyle, NO_TIME};
use crate::log::escape_filter::RESET;
use crate::log::service_palette::ServicePalette;
use crate::model::Name;

/// The start of each printed line: time, name and marker.
pub(super) struct LinePrefix {
    style: LogStyle,
    table: Arc<ServicePalette>,
    zone: jiff::tz::TimeZone,
    /// Rebuilt for each chunk.
    pub bytes: Vec<u8>,
    /// How many columns they take.
    pub indent: usize,
}

/// What separates name and line.
#[derive(Clone, Copy)]
pub(super) enum LineMarker {
    Line,
    Rest,
    Said,
    More,
}

impl LineMarker {
    fn text(self) -> &'static str {
        match self {
            LineMarker::Line => " | ",
            LineMarker::Rest => " > ",
            LineMarker::Said => " * ",
            LineMarker::More => "   ",
        }
    }
}

impl LinePrefix {
    pub fn new(style: LogStyle, table: Arc<ServicePalette>) -> LinePrefix {
        let zone = jiff::tz::TimeZone::system();
        LinePrefix { style, table, zone, bytes: Vec::new(), indent: 0 }
    }

    /// Sets the colors and the width of the name column.
    pub fn set_palette(&mut self, table: Arc<ServicePalette>) {
        self.table = table;
    }

    pub fn set(&mut self, service: Option<&Name>, at: Option<i64>, mark: LineMarker) {
        let mut prefix = std::mem::take(&mut self.bytes);
        prefix.clear();
        if self.style.timestamps {
            match at {
                Some(at) => self.time(at, &mut prefix),
                None => prefix.extend_from_slice(NO_TIME.as_bytes()),
            }
        }
        self.indent = self.style.indent(&self.table);
        if self.style.prefix {
            self.name(service, mark, &mut prefix);
            let name = service.map_or(0, |name| name.as_str().len());
            self.indent += name.saturating_sub(self.table.width());
        }
        self.bytes = prefix;
    }

    fn name(&self, service: Option<&Name>, mark: LineMarker, prefix: &mut Vec<u8>) {
        let name = service.map_or("", Name::as_str);
        let padded = format!("{name:width$}", width = self.table.width());
        let (start, middle, end) = match (self.style.color, service, mark) {
            (false, _, _) => ("", "", ""),
            (true, Some(service), LineMarker::Line | LineMarker::Rest) => {
                (self.table.color_start(service), "", RESET)
            }
            (true, Some(service), LineMarker::Said | LineMarker::More) => {
                (self.table.color_start(service), BOLD, RESET)
            }
            (true, None, LineMarker::More) => ("", "", ""),
            (true, None, LineMarker::Line | LineMarker::Rest | LineMarker::Said) => {
                ("", BOLD, RESET)
            }
        };
        for text in [start, &padded, middle, mark.text(), end] {
            prefix.extend_from_slice(text.as_bytes());
        }
    }

    fn time(&self, at: i64, prefix: &mut Vec<u8>) {
        let stamp = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
        let text = stamp.to_zoned(self.zone.clone()).strftime("%H:%M:%S ").to_string();
        let (start, end) = if self.style.color { (DIM, RESET) } else { ("", "") };
        for text in [start, &text, end] {
            prefix.extend_from_slice(text.as_bytes());
        }
    }
}
