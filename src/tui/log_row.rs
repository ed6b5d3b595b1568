use crate::log::{LogItem, StatusTone, escape_filter};
use crate::model::{Name, OutputStream};
use crate::text::start_of;

/// A line of the log as the TUI keeps it: short enough that thousands of them cost little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its number in the stack.
    pub seq: u64,
    /// When it was printed, in milliseconds since the Unix epoch.
    pub at: i64,
    pub source: RowSource,
    /// Its text: no escape sequences but colors.
    pub text: Box<str>,
}

/// Where a line is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowSource {
    /// A service printed it.
    Service(Name, OutputStream),
    /// devstack itself, about a service or the stack.
    Status(Option<Name>, StatusTone),
    /// Lines that are missing here.
    Missed(Option<Name>),
}

/// Most bytes that are kept of a line. `devstack logs` shows all of it.
const TEXT_MAX: usize = 4096;

impl LogRow {
    /// Creates the row of an item; `before` is the number of the row before it, for items without.
    pub fn of(item: LogItem, before: u64) -> LogRow {
        match item {
            LogItem::Line(line) => LogRow {
                seq: line.seq,
                at: line.at,
                text: cut(&line.line),
                source: RowSource::Service(line.service, line.stream),
            },
            LogItem::Status(status) => LogRow {
                seq: status.seq.unwrap_or(before),
                at: status.at,
                text: status.text.text.into(),
                source: RowSource::Status(status.text.service, status.text.tone),
            },
            LogItem::Missed { service, missed, .. } => {
                let text = format!("{missed} lines are no longer stored");
                LogRow { seq: before, at: 0, text: text.into(), source: RowSource::Missed(service) }
            }
        }
    }

    /// Returns its text without colors.
    pub fn plain(&self) -> String {
        escape_filter::strip(self.text.as_bytes())
    }
}

/// Removes what controls a terminal, except for colors, and cuts long lines.
fn cut(line: &[u8]) -> Box<str> {
    let is_long = line.len() > TEXT_MAX;
    let mut text = escape_filter::colored(start_of(line, TEXT_MAX));
    if is_long {
        text.push('…');
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colors_pass() {
        let hostile =
            b"\x1b]52;c;eA==\x07\x1b[31mred\x1b[0m\x1b[2J\x1b[?1049l ok\x1b]0;t\x1b\\\x9b1m\x07";
        assert_eq!(&*cut(hostile), "\x1b[31mred\x1b[0m ok\u{fffd}1m");
        assert_eq!(&*cut(b"10%\r20%\r"), "20%");
        assert_eq!(cut(&[b'x'; 10_000]).len(), TEXT_MAX + "…".len());
        // Not within a character.
        let wide = "語".repeat(10_000);
        assert_eq!(&*cut(wide.as_bytes()), wide[..TEXT_MAX / 3 * 3].to_owned() + "…");
    }
}
