use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::line_prefix::{LineMarker, LinePrefix};
use super::line_wrapper::LineWrapper;
use super::log_style::{BOLD, DIM, LogStyle};
use super::unfinished_line::{LineSource, UnfinishedLine, end_line};
use crate::log::escape_filter;
use crate::log::escape_filter::{EscapeFilter, RESET};
use crate::log::line_split;
use crate::log::log_item::{LogItem, write_json};
use crate::log::log_line::LogLine;
use crate::log::log_size::LogSize;
use crate::log::service_palette::ServicePalette;
use crate::log::status_line::{EXCERPT, StatusLine, StatusText, StatusTone};
use crate::log::store::{IndexEntry, LogChunk};
use crate::model::{Name, OutputStream};
use crate::text::disarm_commands;

/// Turns chunks, log lines and status lines into printed bytes.
///
/// ```text
/// 09:00:00 api | output of the service
/// 09:00:00 api > the rest of a line longer than 16 MiB
/// 09:00:00 api * a status line
/// 09:00:00       more of it
/// ```
///
/// A line without its end is printed without newline. It is completed in place, or repeated if
/// something else came in between.
pub struct LineFormatter {
    style: LogStyle,
    /// Columns of the terminal; `None`: the output is not one.
    columns: Option<usize>,
    filters: BTreeMap<(Name, OutputStream), EscapeFilter>,
    /// Many empty lines, until it is known whether they clear the screen.
    blanks: BTreeMap<(Name, OutputStream), usize>,
    /// The last line of the output, if its end has not come.
    unfinished: Option<UnfinishedLine>,
    prefix: LinePrefix,
}

/// So many empty lines may be meant to clear the screen.
const MANY_BLANKS: &[u8] = b"\n\n\n\n\n\n\n\n";
const NOT_BOLD: &str = "\x1b[22m";

impl LineFormatter {
    /// Creates a formatter for one output.
    pub fn new(style: LogStyle, table: Arc<ServicePalette>) -> LineFormatter {
        LineFormatter {
            style,
            columns: None,
            filters: BTreeMap::new(),
            blanks: BTreeMap::new(),
            unfinished: None,
            prefix: LinePrefix::new(style, table),
        }
    }

    /// Sets the width of the terminal, if the output is one.
    pub fn set_columns(&mut self, columns: Option<usize>) {
        self.columns = columns;
    }

    /// Sets the colors and the width of the name column.
    pub fn set_palette(&mut self, table: Arc<ServicePalette>) {
        self.prefix.set_palette(table);
    }

    /// Appends a formatted line.
    pub fn line(&mut self, line: &LogLine, out: &mut Vec<u8>) {
        let start = out.len();
        match self.style.json {
            true => write_json(line, out),
            false => self.text_line(line, out),
        }
        self.disarm(start, out);
    }

    fn text_line(&mut self, line: &LogLine, out: &mut Vec<u8>) {
        let bytes = if line.line.is_empty() { &b"\n"[..] } else { &line.line };
        let LogLine { stream, run, at, continues, open, .. } = *line;
        let from = LineSource { service: &line.service, stream, run, at, continues, open };
        match line.unfinished {
            true if self.style.exact || self.style.github => {}
            true => self.start_line(from, bytes, out),
            // It may be one of many that clear the screen: lines come one by one here.
            false
                if bytes == b"\n"
                    && self.unfinished.is_none()
                    && !continues
                    && !self.style.exact =>
            {
                *self.blanks.entry(from.key()).or_default() += 1;
            }
            false => self.lines(from, bytes, out),
        }
    }

    /// Appends the lines of a chunk, or the status lines in one of devstack itself.
    pub(super) fn chunk(&mut self, chunk: &LogChunk, out: &mut Vec<u8>) {
        let Some(service) = chunk.source.service() else {
            for (seq, line) in (chunk.batch.seq..).zip(line_split::lines(&chunk.bytes)) {
                // Only a modified file has other lines.
                if let Some(line) = StatusLine::decode(line, seq) {
                    self.status_line(&line, out);
                }
            }
            return;
        };
        let IndexEntry { stream, run, at, continues, open, .. } = chunk.batch;
        let from = LineSource { service, stream, run, at, continues, open };
        let start = out.len();
        match (chunk.is_unfinished(), self.style.json) {
            (true, true) => {}
            (true, false) if self.style.github => {}
            (true, false) => self.start_line(from, &chunk.bytes, out),
            (false, true) => chunk.lines(service).for_each(|line| write_json(&line, out)),
            (false, false) => self.lines(from, &chunk.bytes, out),
        }
        self.disarm(start, out);
    }

    /// Takes the meaning from workflow commands in what was just printed: whole lines, because
    /// GitHub Actions gets no others.
    fn disarm(&self, start: usize, out: &mut Vec<u8>) {
        if !self.style.github {
            return;
        }
        let text = match disarm_commands(&String::from_utf8_lossy(&out[start..])) {
            Cow::Borrowed(_) => return,
            Cow::Owned(text) => text,
        };
        out.truncate(start);
        out.extend_from_slice(text.as_bytes());
    }

    /// Appends the start of a line whose end has not come. A line that overwrites itself is shown
    /// once it is complete.
    fn start_line(&mut self, from: LineSource<'_>, bytes: &[u8], out: &mut Vec<u8>) {
        if escape_filter::overwrites(bytes) || escape_filter::is_blank(bytes) {
            return;
        }
        let line = match self.unfinished.take() {
            Some(line) if line.is_start_of(from, bytes) => line,
            other => {
                end_line(other, out);
                self.filters.remove(&from.key());
                self.write_blanks(from, bytes, out);
                self.prefix.set(Some(from.service), Some(from.at), LineMarker::Line);
                out.extend_from_slice(&self.prefix.bytes);
                let (key, run, column) = (from.key(), from.run, self.prefix.indent);
                UnfinishedLine { key, run, shown: Vec::new(), column }
            }
        };
        let column = self.rest_of(&line, &bytes[line.shown.len()..], true, out);
        self.unfinished = Some(UnfinishedLine { shown: bytes.to_vec(), column, ..line });
    }

    /// Completes the unfinished line with the first of these lines if it is the same, and returns
    /// the others; or ends it.
    fn finish_line<'a>(
        &mut self,
        from: LineSource<'_>,
        bytes: &'a [u8],
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        let Some(line) = self.unfinished.take() else { return bytes };
        let (first, others) = bytes.split_at(first_line_len(bytes));
        if !line.is_start_of(from, first) {
            end_line(Some(line), out);
            return bytes;
        }
        let open = from.open && others.is_empty();
        self.rest_of(&line, line_split::trim_line_end(&first[line.shown.len()..]), open, out);
        out.push(b'\n');
        others
    }

    /// Appends more of an unfinished line; returns the column after it.
    fn rest_of(
        &mut self,
        line: &UnfinishedLine,
        rest: &[u8],
        open: bool,
        out: &mut Vec<u8>,
    ) -> usize {
        let start = out.len();
        let filter = self.filters.entry(line.key.clone()).or_default();
        filter.line(rest, self.style.color, open, out);
        self.wrapper().map_or(0, |wrapper| wrapper.wrap(line.column, start, out))
    }

    /// Ends the output: with a newline, whatever came last.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        end_line(self.unfinished.take(), out);
        for ((service, _), count) in std::mem::take(&mut self.blanks) {
            self.prefix.set(Some(&service), None, LineMarker::Line);
            self.copy(&vec![b'\n'; count], out);
        }
    }

    /// Appends formatted lines, each with prefix and newline.
    fn lines(&mut self, from: LineSource<'_>, bytes: &[u8], out: &mut Vec<u8>) {
        if self.style.exact {
            return self.copy(bytes, out);
        }
        let mut bytes = match self.unfinished {
            Some(_) => self.finish_line(from, bytes, out),
            None => bytes,
        };
        if !from.continues && !self.filters.is_empty() {
            // Sequences that an earlier run left open in its last line end here.
            self.filters.remove(&from.key());
        }
        bytes = self.write_blanks(from, bytes, out);
        if from.continues {
            let first = first_line_len(bytes);
            self.prefix.set(Some(from.service), Some(from.at), LineMarker::Rest);
            self.write_lines(from, &bytes[..first], out);
            bytes = &bytes[first..];
        }
        if !bytes.is_empty() {
            self.prefix.set(Some(from.service), Some(from.at), LineMarker::Line);
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
        end_line(self.unfinished.take(), out);
        if self.columns.is_some() && self.style.color && status.service.is_none() && !status.more {
            // Overwrites a `^C` that the terminal may just have echoed.
            out.push(b'\r');
        }
        for (number, line) in status.text.lines().enumerate() {
            match number {
                0 if !status.more => self.prefix.set(status.service.as_ref(), at, LineMarker::Said),
                _ => self.prefix.set(None, at, LineMarker::More),
            }
            out.extend_from_slice(&self.prefix.bytes);
            let from = out.len();
            out.extend_from_slice(start.as_bytes());
            // The text can quote file names and command lines, which are not trusted.
            let show = |text: &str, out: &mut Vec<u8>| {
                EscapeFilter::default().line(text.as_bytes(), self.style.color, false, out);
            };
            match address(line).filter(|_| self.style.color && status.more) {
                Some([before, address, after]) => {
                    show(before, out);
                    out.extend_from_slice(BOLD.as_bytes());
                    show(address, out);
                    out.extend_from_slice(NOT_BOLD.as_bytes());
                    show(after, out);
                }
                None => show(line, out),
            }
            out.extend_from_slice(end.as_bytes());
            if let Some(wrapper) = self.wrapper().filter(|wrapper| !wrapper.fits(line.as_bytes())) {
                let lead = if line.starts_with(EXCERPT) { EXCERPT } else { "" };
                LineWrapper { lead, ..wrapper }.wrap(self.prefix.indent, from, out);
            }
            out.push(b'\n');
        }
    }

    /// Appends a status line.
    pub fn status_line(&mut self, spoken: &StatusLine, out: &mut Vec<u8>) {
        let start = out.len();
        match self.style.json {
            true => write_json(spoken, out),
            false => self.speak(&spoken.text, Some(spoken.at), out),
        }
        self.disarm(start, out);
    }

    /// Appends lines. Many empty ones before a movement of the cursor clear the screen: they are
    /// left out, and at the end they wait for what follows.
    fn write_lines(&mut self, from: LineSource<'_>, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some(at) = memchr::memmem::find(bytes, MANY_BLANKS) {
            // The first newline ends a line with text, if there is some.
            let (lines, rest) = bytes.split_at(at + usize::from(at > 0));
            let count = blank_lines(rest);
            self.write_plain_or_filtered(from, lines, out);
            self.blanks.insert(from.key(), count);
            bytes = self.write_blanks(from, &rest[count..], out);
            self.prefix.set(Some(from.service), Some(from.at), LineMarker::Line);
        }
        self.write_plain_or_filtered(from, bytes, out);
    }

    /// Appends the empty lines that wait for these, unless they were meant to clear the screen.
    /// Returns the rest: more empty ones wait, too.
    fn write_blanks<'a>(
        &mut self,
        from: LineSource<'_>,
        bytes: &'a [u8],
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        if self.blanks.is_empty() {
            return bytes;
        }
        let Some(count) = self.blanks.get_mut(&from.key()) else { return bytes };
        let next = &bytes[blank_lines(bytes)..];
        *count += bytes.len() - next.len();
        if next.is_empty() {
            return next;
        }
        let count = self.blanks.remove(&from.key()).unwrap_or_default();
        if count < MANY_BLANKS.len() || !escape_filter::moves_cursor(&next[..first_line_len(next)])
        {
            self.prefix.set(Some(from.service), Some(from.at), LineMarker::Line);
            self.copy(&vec![b'\n'; count], out);
        }
        next
    }

    fn write_plain_or_filtered(&mut self, from: LineSource<'_>, bytes: &[u8], out: &mut Vec<u8>) {
        let idle = self.filter_of(from).is_none_or(|filter| filter.is_idle());
        match idle && escape_filter::are_plain(bytes) {
            true => self.copy(bytes, out),
            false => self.filter(from, bytes, out),
        }
    }

    fn filter_of(&self, from: LineSource<'_>) -> Option<&EscapeFilter> {
        if self.filters.is_empty() {
            return None;
        }
        self.filters.get(&from.key())
    }

    fn wrapper(&self) -> Option<LineWrapper> {
        self.columns.map(|columns| LineWrapper { columns, indent: self.prefix.indent, lead: "" })
    }

    /// Copies plain text, in one pass.
    fn copy(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let wrapper = self.wrapper();
        if self.prefix.bytes.is_empty() && wrapper.is_none() {
            out.extend_from_slice(bytes);
        } else {
            let lines = memchr::memchr_iter(b'\n', bytes).count() + 1;
            out.reserve(bytes.len() + lines * self.prefix.bytes.len());
            for line in line_split::lines(bytes) {
                out.extend_from_slice(&self.prefix.bytes);
                match wrapper {
                    Some(wrapper) if !wrapper.fits(line) => {
                        let start = out.len();
                        out.extend_from_slice(line_split::trim_line_end(line));
                        wrapper.wrap(self.prefix.indent, start, out);
                        out.push(b'\n');
                    }
                    Some(_) | None => out.extend_from_slice(line),
                }
            }
        }
        if !bytes.ends_with(b"\n") && !bytes.is_empty() && !out.ends_with(b"\n") {
            out.push(b'\n');
        }
    }

    fn filter(&mut self, from: LineSource<'_>, bytes: &[u8], out: &mut Vec<u8>) {
        let (color, wrapper) = (self.style.color, self.wrapper());
        let filter = self.filters.entry(from.key()).or_default();
        for line in line_split::lines(bytes) {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            if escape_filter::moves_cursor(text) && escape_filter::is_blank(text) {
                continue;
            }
            out.extend_from_slice(&self.prefix.bytes);
            let start = out.len();
            match filter.is_idle() && escape_filter::are_plain(text) {
                true => out.extend_from_slice(text),
                false => filter.line(text, color, from.open && text.len() == line.len(), out),
            }
            if let Some(wrapper) = wrapper.filter(|wrapper| !wrapper.fits(&out[start..])) {
                wrapper.wrap(self.prefix.indent, start, out);
            }
            out.push(b'\n');
        }
    }
}

/// Splits a line at its first URL.
fn address(line: &str) -> Option<[&str; 3]> {
    let start = line[..line.find("://")?].rfind(' ').map_or(0, |blank| blank + 1);
    let end = line[start..].find(' ').map_or(line.len(), |blank| start + blank);
    Some([&line[..start], &line[start..end], &line[end..]])
}

/// Returns the length of the first line, with its newline.
fn first_line_len(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)
}

/// Counts the empty lines at the start.
fn blank_lines(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == b'\n').count()
}
