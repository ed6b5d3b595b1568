use memchr::memrchr_iter;

use crate::log::line_split;
use crate::model::RunId;

/// The last lines of the last run, for messages: no file is read for them.
#[derive(Default)]
pub(super) struct RecentLines {
    run: Option<RunId>,
    /// Whole lines, long ones cut, without empty ones.
    text: Vec<u8>,
    count: usize,
}

impl RecentLines {
    /// Lines that are kept at least: the most that is asked for.
    const LINES: usize = 100;
    /// Bytes that are kept at least, unless there are enough lines.
    const BYTES: usize = 32 * 1024;
    /// Kept of a longer line, in bytes: a message shows 500 characters.
    const LINE: usize = 4000;

    pub fn add(&mut self, run: RunId, bytes: &[u8]) {
        if self.run != Some(run) {
            *self = RecentLines { run: Some(run), ..RecentLines::default() };
        }
        for line in line_split::lines(&bytes[last_lines_start(bytes, Self::LINES)..]) {
            let line = line_split::trim_line_end(line);
            if line.is_empty() {
                continue;
            }
            self.text.extend_from_slice(&line[..line.len().min(Self::LINE)]);
            self.text.push(b'\n');
            self.count += 1;
        }
        if self.count > 2 * Self::LINES || self.text.len() > 2 * Self::BYTES {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let by_size = self.text.len().saturating_sub(Self::BYTES);
        let by_size = memchr::memchr(b'\n', &self.text[by_size..]).map_or(0, |at| by_size + at + 1);
        let start = last_lines_start(&self.text, Self::LINES);
        self.text
            .drain(..if self.text.len() > 2 * Self::BYTES { start.max(by_size) } else { start });
        self.count = line_split::count(&self.text);
    }

    pub fn run(&self) -> Option<RunId> {
        self.run
    }

    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Returns where the last `n` lines begin.
fn last_lines_start(bytes: &[u8], n: usize) -> usize {
    let before_end = &bytes[..bytes.len().saturating_sub(1)];
    memrchr_iter(b'\n', before_end).nth(n - 1).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_the_last_run_stay_and_memory_is_bounded() {
        let mut recent = RecentLines::default();
        recent.add(RunId(1), b"old\n");
        for i in 0..1000 {
            recent.add(RunId(2), format!("{i}\n{i}").as_bytes());
        }
        let lines: Vec<&[u8]> = line_split::lines(recent.text()).collect();
        assert!((100..=201).contains(&lines.len()), "{}", lines.len());
        assert_eq!(lines[lines.len() - 3..], [b"998\n", b"999\n", b"999\n"]);
        for _ in 0..1000 {
            recent.add(RunId(2), &[b'x'; 64 * 1024]);
            assert!(recent.text().len() <= 2 * RecentLines::BYTES + RecentLines::LINE);
        }
        assert!(line_split::lines(recent.text()).all(|line| line.len() == RecentLines::LINE + 1));
        recent.add(RunId(3), "new\n".repeat(300).as_bytes());
        assert_eq!(recent.text(), "new\n".repeat(100).as_bytes());
    }
}
