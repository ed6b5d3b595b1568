use std::collections::BTreeMap;
use std::sync::Arc;

use super::escape_filter;
use super::escape_filter::EscapeFilter;
use super::log_style::{EscapeMode, LogStyle};
use super::service_palette::ServicePalette;
use crate::log::line_split;
use crate::log::log_item::{LogItem, write_json};
use crate::log::log_line::LogLine;
use crate::log::log_size::LogSize;
use crate::log::status_line::{StatusLine, StatusText, StatusTone};
use crate::log::store::{IndexEntry, LogChunk};
use crate::model::{Name, OutputStream};

/// Turns chunks, log lines and status lines into printed bytes.
///
/// ```text
/// 09:00:00 api | output of the service
/// 09:00:00 api > the rest of a line longer than 64 KiB
/// 09:00:00 api * a status line
/// 09:00:00       more of it
/// ```
pub struct LineFormatter {
    style: LogStyle,
    table: Arc<ServicePalette>,
    filters: BTreeMap<(Name, OutputStream), EscapeFilter>,
    /// The start of each line, rebuilt for each chunk.
    prefix: Vec<u8>,
    zone: jiff::tz::TimeZone,
}

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
/// As wide as a formatted time.
const NO_TIME: &[u8] = b"         ";

/// What separates name and line.
#[derive(Clone, Copy)]
enum LineMarker {
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

/// Where lines come from, without their bytes.
#[derive(Clone, Copy)]
struct LineSource<'a> {
    service: &'a Name,
    stream: OutputStream,
    /// Milliseconds since the Unix epoch.
    at: i64,
    continues: bool,
    open: bool,
}

impl LineFormatter {
    /// Creates a formatter for one output.
    pub fn new(style: LogStyle, table: Arc<ServicePalette>) -> LineFormatter {
        let zone = jiff::tz::TimeZone::system();
        LineFormatter { style, table, filters: BTreeMap::new(), prefix: Vec::new(), zone }
    }

    /// Sets the colors and the width of the name column.
    pub fn set_palette(&mut self, table: Arc<ServicePalette>) {
        self.table = table;
    }

    /// Appends a formatted line.
    pub fn line(&mut self, line: &LogLine, out: &mut Vec<u8>) {
        if self.style.json {
            return write_json(line, out);
        }
        let bytes = if line.line.is_empty() { &b"\n"[..] } else { &line.line };
        let from = LineSource {
            service: &line.service,
            stream: line.stream,
            at: line.at,
            continues: line.continues,
            open: line.open,
        };
        self.lines(from, bytes, out);
    }

    /// Appends the lines of a chunk, or the status lines in one of devstack itself.
    pub(super) fn chunk(&mut self, chunk: &LogChunk, out: &mut Vec<u8>) {
        let Some(service) = chunk.origin.service() else {
            for (seq, line) in (chunk.batch.seq..).zip(line_split::lines(&chunk.bytes)) {
                // Only a modified file has other lines.
                if let Some(line) = StatusLine::decode(line, seq) {
                    self.status_line(&line, out);
                }
            }
            return;
        };
        if self.style.json {
            return chunk.lines(service).for_each(|line| write_json(&line, out));
        }
        let IndexEntry { stream, at, continues, open, .. } = chunk.batch;
        let from = LineSource { service, stream, at, continues, open };
        self.lines(from, &chunk.bytes, out);
    }

    /// Appends formatted lines, each with prefix and newline.
    fn lines(&mut self, from: LineSource<'_>, mut bytes: &[u8], out: &mut Vec<u8>) {
        if !from.continues && !self.filters.is_empty() {
            // Sequences that an earlier run left open in its last line end here.
            self.filters.remove(&(from.service.clone(), from.stream));
        }
        if from.continues {
            let first = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
            self.set_prefix(Some(from.service), Some(from.at), LineMarker::Rest);
            self.write_lines(from, &bytes[..first], out);
            bytes = &bytes[first..];
        }
        if !bytes.is_empty() {
            self.set_prefix(Some(from.service), Some(from.at), LineMarker::Line);
            self.write_lines(from, bytes, out);
        }
    }

    /// Appends a formatted item.
    pub fn item(&mut self, item: &LogItem, out: &mut Vec<u8>) {
        match item {
            LogItem::Line(line) => self.line(line, out),
            LogItem::Missed { service, missed, bytes } => {
                let lost = LogSize { lines: *missed, bytes: *bytes };
                self.missed(service.as_ref(), lost, out);
            }
            LogItem::Status(line) => self.status_line(line, out),
        }
    }

    /// Appends how much was missed at this point; `None`: of status lines.
    pub fn missed(&mut self, service: Option<&Name>, lost: LogSize, out: &mut Vec<u8>) {
        let LogSize { lines, bytes } = lost;
        if self.style.json {
            let item = LogItem::Missed { service: service.cloned(), missed: lines, bytes };
            return item.write_json(out);
        }
        let (s, are) = if lines == 1 { ("", "is") } else { ("s", "are") };
        let text = format!("{lines} line{s} ({bytes} bytes) {are} missing (already discarded)");
        let service = service.cloned();
        // Their time is lost with them.
        self.speak(
            &StatusText { service, tone: StatusTone::Warning, text, more: false },
            None,
            out,
        );
    }

    fn speak(&mut self, status: &StatusText, at: Option<i64>, out: &mut Vec<u8>) {
        let (start, end) = match (self.style.color, status.tone) {
            (false, _) => ("", ""),
            (true, StatusTone::Plain) => (DIM, RESET),
            (true, StatusTone::Notice) => ("", ""),
            (true, StatusTone::Good) => ("\x1b[32m", RESET),
            (true, StatusTone::Warning) => ("\x1b[33m", RESET),
            (true, StatusTone::Failure) => ("\x1b[1;31m", RESET),
        };
        if self.style.color && status.service.is_none() && !status.more {
            // Overwrites a `^C` that the terminal may just have echoed.
            out.push(b'\r');
        }
        for (number, line) in status.text.lines().enumerate() {
            match number {
                0 if !status.more => self.set_prefix(status.service.as_ref(), at, LineMarker::Said),
                _ => self.set_prefix(None, at, LineMarker::More),
            }
            out.extend_from_slice(&self.prefix);
            out.extend_from_slice(start.as_bytes());
            // The text can quote file names and command lines, which are not trusted.
            EscapeFilter::default().line(line.as_bytes(), self.style.color, false, out);
            out.extend_from_slice(end.as_bytes());
            out.push(b'\n');
        }
    }

    /// Appends a status line.
    pub fn status_line(&mut self, spoken: &StatusLine, out: &mut Vec<u8>) {
        if self.style.json {
            return write_json(spoken, out);
        }
        self.speak(&spoken.text, Some(spoken.at), out);
    }

    fn write_lines(&mut self, from: LineSource<'_>, bytes: &[u8], out: &mut Vec<u8>) {
        match self.style.escapes {
            EscapeMode::Keep => self.copy(bytes, out),
            EscapeMode::Colors | EscapeMode::Strip => {
                let idle = self.filter_of(from).is_none_or(|filter| filter.is_idle());
                if idle && escape_filter::are_plain(bytes) {
                    self.copy(bytes, out);
                } else {
                    self.filter(from, bytes, out);
                }
            }
        }
    }

    fn filter_of(&self, from: LineSource<'_>) -> Option<&EscapeFilter> {
        if self.filters.is_empty() {
            return None;
        }
        self.filters.get(&(from.service.clone(), from.stream))
    }

    /// Copies the bytes unfiltered, in one pass.
    fn copy(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let reset = self.style.color && self.style.escapes == EscapeMode::Keep;
        if self.prefix.is_empty() && !reset {
            out.extend_from_slice(bytes);
        } else {
            let lines = memchr::memchr_iter(b'\n', bytes).count() + 1;
            out.reserve(bytes.len() + lines * self.prefix.len());
            for line in line_split::lines(bytes) {
                out.extend_from_slice(&self.prefix);
                out.extend_from_slice(line);
                if reset && line.contains(&0x1b) {
                    self.close_color(out);
                }
            }
        }
        if !bytes.ends_with(b"\n") {
            out.push(b'\n');
        }
    }

    /// Resets the colors of an unfiltered line, before its newline.
    fn close_color(&self, out: &mut Vec<u8>) {
        let newline = out.last() == Some(&b'\n');
        out.truncate(out.len() - usize::from(newline));
        out.extend_from_slice(RESET.as_bytes());
        out.extend_from_slice(if newline { b"\n" } else { b"" });
    }

    fn filter(&mut self, from: LineSource<'_>, bytes: &[u8], out: &mut Vec<u8>) {
        let colors = self.style.escapes == EscapeMode::Colors;
        let filter = self.filters.entry((from.service.clone(), from.stream)).or_default();
        for line in line_split::lines(bytes) {
            out.extend_from_slice(&self.prefix);
            match line.strip_suffix(b"\n") {
                Some(text) if filter.is_idle() && escape_filter::is_plain(text) => {
                    out.extend_from_slice(text)
                }
                Some(text) => filter.line(text, colors, false, out),
                None => filter.line(line, colors, from.open, out),
            }
            out.push(b'\n');
        }
    }

    fn set_prefix(&mut self, service: Option<&Name>, at: Option<i64>, mark: LineMarker) {
        let mut prefix = std::mem::take(&mut self.prefix);
        prefix.clear();
        if self.style.timestamps {
            match at {
                Some(at) => self.time(at, &mut prefix),
                None => prefix.extend_from_slice(NO_TIME),
            }
        }
        if self.style.prefix {
            self.name(service, mark, &mut prefix);
        }
        self.prefix = prefix;
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
