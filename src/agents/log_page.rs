//! One answer of the tool `logs`: as many lines as fit, repeated ones folded, and a cursor for what
//! comes later.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use super::untrusted::clean_line;
use crate::log::LogItem;
use crate::model::Name;

/// How much older than a cursor a line may be read: clocks of streams are not exactly in order.
const OVERLAP_MS: i64 = 2_000;

/// The place after the last line that an agent has seen. Its text is opaque to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogPlace {
    at: i64,
    seq: u64,
}

impl LogPlace {
    /// Where to begin reading, in milliseconds since 1970.
    pub fn since(self) -> i64 {
        self.at.saturating_sub(OVERLAP_MS)
    }

    /// Whether a line comes after this place. Numbers start over with each start of the stack, but
    /// time goes on.
    fn is_before(self, at: i64, seq: u64) -> bool {
        seq > self.seq || at > self.at
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.at, self.seq)
    }
}

impl FromStr for LogPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<LogPlace, ()> {
        let (at, seq) = text.split_once('-').ok_or(())?;
        let at = at.parse().map_err(|_| ())?;
        Ok(LogPlace { at, seq: seq.parse().map_err(|_| ())? })
    }
}

/// Which lines a page keeps if not all fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageEnd {
    /// The newest.
    Newest,
    /// The first ones after a cursor.
    After(LogPlace),
}

/// A page that is being filled.
#[derive(Debug)]
pub(super) struct LogPage {
    keep: PageEnd,
    /// How many bytes of lines fit.
    budget: usize,
    rows: VecDeque<PageRow>,
    bytes: usize,
    /// Rows removed at the front, to find rows by number.
    removed: usize,
    omitted: u64,
    missed: u64,
    last_rows: BTreeMap<Option<Name>, usize>,
    place: Option<LogPlace>,
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
    pub fn new(keep: PageEnd, budget: usize) -> LogPage {
        let place = match keep {
            PageEnd::Newest => None,
            PageEnd::After(place) => Some(place),
        };
        LogPage {
            keep,
            budget,
            rows: VecDeque::new(),
            bytes: 0,
            removed: 0,
            omitted: 0,
            missed: 0,
            last_rows: BTreeMap::new(),
            place,
            is_full: false,
        }
    }

    /// Takes the next item. Returns false once no more fit.
    pub fn push(&mut self, item: &LogItem) -> bool {
        if self.is_full {
            return false;
        }
        let (service, text, at, seq) = match item {
            LogItem::Line(line) => {
                (Some(line.service.clone()), clean_line(&line.line), line.at, line.seq)
            }
            LogItem::Status(status) => {
                let about = status.text.service.as_ref();
                let about = about.map_or(String::new(), |name| format!("{name}: "));
                let text: Vec<String> =
                    status.text.text.lines().map(|line| clean_line(line.as_bytes())).collect();
                (None, about + &text.join(" / "), status.at, status.seq.unwrap_or(0))
            }
            LogItem::Missed { missed, .. } => {
                self.missed += missed;
                return true;
            }
        };
        if let PageEnd::After(place) = self.keep
            && !place.is_before(at, seq)
        {
            return true;
        }
        if !self.add(service, text) {
            self.is_full = true;
            return false;
        }
        let (was_at, was_seq) = self.place.map_or((at, seq), |place| (place.at, place.seq));
        // After a restart of the stack, numbers start over.
        let seq = if at > was_at { seq } else { seq.max(was_seq) };
        self.place = Some(LogPlace { at: at.max(was_at), seq });
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
        if matches!(self.keep, PageEnd::After(_))
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

    /// The place after the last line of this page.
    pub fn place(&self) -> Option<LogPlace> {
        self.place
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
    use crate::log::LogLine;
    use crate::model::{OutputStream, RunId};

    fn line(service: &str, at: i64, seq: u64, text: &str) -> LogItem {
        LogItem::Line(LogLine {
            service: Name::new(service).unwrap(),
            run: RunId(1),
            stream: OutputStream::Stdout,
            at,
            seq,
            line: text.as_bytes().to_vec(),
            continues: false,
            open: false,
            unfinished: false,
        })
    }

    #[test]
    fn repeated_lines_of_a_service_are_folded() {
        let mut page = LogPage::new(PageEnd::Newest, 4000);
        for seq in 0..5 {
            assert!(page.push(&line("api", 10, 2 * seq, "poll")));
            assert!(page.push(&line("web", 10, 2 * seq + 1, &format!("hit {}", seq / 2))));
        }
        insta::assert_snapshot!(page.lines(), @r"
        api | poll (×5)
        web | hit 0 (×2)
        web | hit 1 (×2)
        web | hit 2
        ");
        assert_eq!(page.place(), Some(LogPlace { at: 10, seq: 9 }));
    }

    #[test]
    fn without_a_cursor_the_newest_lines_are_kept() {
        let mut page = LogPage::new(PageEnd::Newest, 100);
        for seq in 0..1000 {
            assert!(page.push(&line("api", 10, seq, &format!("line {seq}"))));
        }
        assert!(page.lines().len() <= 100 && page.lines().ends_with("line 999\n"));
        assert_eq!(page.omitted() + page.lines().lines().count() as u64, 1000);
        assert!(!page.has_more());
    }

    #[test]
    fn pages_after_a_cursor_show_every_line_once() {
        let all: Vec<LogItem> = (0..500)
            .map(|seq| line("api", 1000 + seq as i64, seq, &format!("line {seq}")))
            .collect();
        let mut place = LogPlace { at: 0, seq: 0 };
        let (mut seen, mut pages) = (String::new(), 0);
        loop {
            let mut page = LogPage::new(PageEnd::After(place), 300);
            for item in &all {
                if !page.push(item) {
                    break;
                }
            }
            seen += &page.lines();
            pages += 1;
            place = page.place().unwrap().to_string().parse().unwrap();
            if !page.has_more() {
                break;
            }
        }
        let wanted: String = (0..500).map(|seq| format!("api | line {seq}\n")).collect();
        assert_eq!(seen, wanted);
        assert!(pages > 20, "{pages}");
    }

    #[test]
    fn a_stack_that_starts_again_is_read_on() {
        let mut page = LogPage::new(PageEnd::After(LogPlace { at: 50, seq: 900 }), 4000);
        page.push(&line("api", 50, 900, "seen"));
        page.push(&line("api", 49, 899, "seen"));
        page.push(&line("api", 60, 0, "new start"));
        page.push(&line("api", 61, 1, "goes on"));
        assert_eq!(page.lines(), "api | new start\napi | goes on\n");
        assert_eq!(page.place(), Some(LogPlace { at: 61, seq: 1 }));
    }

    #[test]
    fn one_line_larger_than_the_page_is_shown_alone() {
        let mut page = LogPage::new(PageEnd::After(LogPlace { at: 0, seq: 0 }), 10);
        assert!(page.push(&line("api", 1, 1, "longer than ten bytes")));
        assert!(!page.push(&line("api", 2, 2, "next")));
        assert_eq!(page.lines(), "api | longer than ten bytes\n");
    }

    #[test]
    fn only_places_are_places() {
        for text in ["", "-", "1", "a-1", "1-a", "1-2-3", "1--2"] {
            assert_eq!(text.parse::<LogPlace>(), Err(()), "{text}");
        }
    }
}
