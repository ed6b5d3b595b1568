//! One answer of the tool `logs`: as many lines as fit, repeated ones folded, and a cursor for what
//! comes later.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;

use super::untrusted::clean_line;
use crate::control::LogMark;
use crate::log::LogItem;
use crate::model::{CursorKind, CursorText, Name};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogPageRange {
    /// The newest lines.
    Newest,
    /// The first ones after a cursor, at most so many.
    After(CursorText, u64),
}

/// A line that `devstack logs --json --cursor` prints.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PrintedLog {
    Item(LogItem),
    Mark(LogMark),
}

/// A page that is being filled.
#[derive(Debug)]
pub(super) struct LogPage {
    range: LogPageRange,
    /// How many bytes of lines fit.
    budget: usize,
    rows: VecDeque<PageRow>,
    bytes: usize,
    /// Rows removed at the front, to find rows by number.
    removed: usize,
    omitted: u64,
    missed: u64,
    last_rows: BTreeMap<Option<Name>, usize>,
    /// After the last line.
    cursor: Option<CursorText>,
    gap: Option<String>,
    /// How many lines it has, folded ones too.
    count: u64,
    is_full: bool,
}

#[derive(Debug)]
struct PageRow {
    service: Option<Name>,
    text: String,
    count: u64,
}

impl PageRow {
    fn len(&self) -> usize {
        /// Separator, line end and the count of a folded row.
        const FRAME: usize = 12;
        self.service.as_ref().map_or("devstack".len(), |name| name.as_str().len())
            + self.text.len()
            + FRAME
    }
}

impl LogPage {
    pub fn new(range: LogPageRange, budget: usize) -> LogPage {
        let cursor = match &range {
            LogPageRange::Newest => None,
            LogPageRange::After(cursor, _) => Some(cursor.clone()),
        };
        LogPage {
            range,
            budget,
            rows: VecDeque::new(),
            bytes: 0,
            removed: 0,
            omitted: 0,
            missed: 0,
            last_rows: BTreeMap::new(),
            cursor,
            gap: None,
            count: 0,
            is_full: false,
        }
    }

    /// Takes what was printed next. Returns false once no more fits.
    pub fn push(&mut self, printed: &PrintedLog) -> bool {
        match printed {
            PrintedLog::Item(item) => return self.push_item(item),
            PrintedLog::Mark(LogMark::Gap(why)) => self.gap = Some(why.clone()),
            PrintedLog::Mark(LogMark::Start(start)) => {
                self.cursor = Some(CursorText::new(CursorKind::Log, start, 0));
            }
            // It comes last: everything before it is on the page.
            PrintedLog::Mark(LogMark::Cursor(text)) => self.cursor = text.parse().ok(),
        }
        true
    }

    fn push_item(&mut self, item: &LogItem) -> bool {
        let (service, text, seq) = match item {
            LogItem::Line(line) => {
                (Some(line.service.clone()), clean_line(&line.line), Some(line.seq))
            }
            LogItem::Status(status) => {
                let about = status.text.service.as_ref();
                let about = about.map_or(String::new(), |name| format!("{name}: "));
                let text: Vec<String> =
                    status.text.text.lines().map(|line| clean_line(line.as_bytes())).collect();
                (None, about + &text.join(" / "), status.seq)
            }
            LogItem::Missed { missed, .. } => {
                self.missed += missed;
                return true;
            }
        };
        let no_more = matches!(self.range, LogPageRange::After(_, most) if self.count == most);
        if no_more || !self.add(service, text) {
            self.is_full = true;
            return false;
        }
        self.count += 1;
        if let (Some(cursor), Some(seq)) = (&mut self.cursor, seq) {
            cursor.number = cursor.number.max(seq + 1);
        }
        true
    }

    fn add(&mut self, service: Option<Name>, text: String) -> bool {
        let last = self.last_rows.get(&service).and_then(|row| row.checked_sub(self.removed));
        if let Some(row) = last.and_then(|row| self.rows.get_mut(row))
            && row.text == text
        {
            row.count += 1;
            return true;
        }
        let row = PageRow { service, text, count: 1 };
        let len = row.len();
        if matches!(self.range, LogPageRange::After(..))
            && self.bytes + len > self.budget
            && self.bytes > 0
        {
            return false;
        }
        self.bytes += len;
        self.last_rows.insert(row.service.clone(), self.removed + self.rows.len());
        self.rows.push_back(row);
        while self.bytes > self.budget && self.rows.len() > 1 {
            let oldest = self.rows.pop_front().expect("there is more than one");
            self.bytes -= oldest.len();
            self.omitted += oldest.count;
            self.removed += 1;
        }
        true
    }

    /// Returns the lines, each with its service.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            text += row.service.as_ref().map_or("devstack", |name| name.as_str());
            text += " | ";
            text += &row.text;
            if row.count > 1 {
                text += &format!(" (×{})", row.count);
            }
            text.push('\n');
        }
        text
    }

    /// The place after the last line of this page; `None`: not known.
    pub fn cursor(&self) -> Option<&CursorText> {
        self.cursor.as_ref()
    }

    /// Why lines may be missing after the cursor that was given.
    pub fn gap(&self) -> Option<&str> {
        self.gap.as_deref()
    }

    /// Whether more lines follow this page.
    pub fn has_more(&self) -> bool {
        self.is_full
    }

    /// How many older lines did not fit.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// How many lines are no longer stored.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(service: &str, seq: u64, text: &str) -> PrintedLog {
        let line = serde_json::json!({
            "service": service, "run": 1, "stream": "stdout", "at": "2025-11-20T09:00:00.120Z",
            "seq": seq, "line": text,
        });
        serde_json::from_value(line).expect("a line")
    }

    fn printed(text: &str) -> PrintedLog {
        serde_json::from_str(text).expect("a line")
    }

    fn after(number: u64) -> LogPageRange {
        LogPageRange::After(format!("log-11-{number}").parse().expect("a cursor"), u64::MAX)
    }

    fn cursor(page: &LogPage) -> String {
        page.cursor().map(CursorText::to_string).unwrap_or_default()
    }

    #[test]
    fn repeated_lines_of_a_service_are_folded() {
        let mut page = LogPage::new(LogPageRange::Newest, 4000);
        for seq in 0..5 {
            assert!(page.push(&line("api", 2 * seq, "poll")));
            assert!(page.push(&line("web", 2 * seq + 1, &format!("hit {}", seq / 2))));
        }
        assert!(page.push(&printed(r#"{"cursor":"log-11-10"}"#)));
        insta::assert_snapshot!(page.lines(), @r"
        api | poll (×5)
        web | hit 0 (×2)
        web | hit 1 (×2)
        web | hit 2
        ");
        assert_eq!(cursor(&page), "log-11-10");
    }

    #[test]
    fn without_a_cursor_the_newest_lines_are_kept() {
        let mut page = LogPage::new(LogPageRange::Newest, 100);
        for seq in 0..1000 {
            assert!(page.push(&line("api", seq, &format!("line {seq}"))));
        }
        assert!(page.lines().len() <= 100 && page.lines().ends_with("line 999\n"));
        assert_eq!(page.omitted() + page.lines().lines().count() as u64, 1000);
        assert!(!page.has_more());
    }

    #[test]
    fn pages_after_a_cursor_show_every_line_once() {
        for most in [7, u64::MAX] {
            let (mut seen, mut pages, mut from) = (String::new(), 0, 0);
            loop {
                let LogPageRange::After(place, _) = after(from) else { unreachable!() };
                let mut page = LogPage::new(LogPageRange::After(place, most), 300);
                let all = (from..500).map(|seq| line("api", seq, &format!("line {seq}")));
                for item in all.chain([printed(r#"{"cursor":"log-11-500"}"#)]) {
                    if !page.push(&item) {
                        break;
                    }
                }
                seen += &page.lines();
                pages += 1;
                from = page.cursor().expect("a cursor").number;
                if !page.has_more() {
                    break;
                }
            }
            let wanted: String = (0..500).map(|seq| format!("api | line {seq}\n")).collect();
            assert_eq!(seen, wanted);
            assert!(from == 500 && pages > 20, "{from} {pages}");
        }
    }

    #[test]
    fn a_stack_that_starts_again_is_read_on() {
        let mut page = LogPage::new(after(900), 50);
        page.push(&printed(r#"{"gap":"the stack was started again after this cursor"}"#));
        page.push(&printed(r#"{"start":"22"}"#));
        assert!(page.push(&line("api", 0, "new start")));
        assert!(page.push(&line("api", 1, "goes on")));
        assert!(!page.push(&line("api", 2, "does not fit any more")));
        assert_eq!(page.lines(), "api | new start\napi | goes on\n");
        assert_eq!((&*cursor(&page), page.has_more()), ("log-22-2", true));
        assert!(page.gap().is_some_and(|why| why.contains("started again")));
    }

    #[test]
    fn one_line_larger_than_the_page_is_shown_alone() {
        let mut page = LogPage::new(after(1), 10);
        assert!(page.push(&line("api", 1, "longer than ten bytes")));
        assert!(!page.push(&line("api", 2, "next")));
        assert_eq!(page.lines(), "api | longer than ten bytes\n");
    }
}
