use std::collections::VecDeque;

use bytes::Bytes;

/// Maximum number of stored events: a restart of a stack with hundreds of services.
pub(super) const MAX_EVENTS: usize = 2048;

/// Maximum size of stored events in bytes. An event has some hundred bytes; one with the changes of
/// a new configuration grows with their number.
const MAX_BYTES: usize = 512 * 1024;

/// Bytes per read, unless a single event is longer: what a connection accepts without delay.
const PAGE: usize = 32 * 1024;

/// The newest events as JSON lines.
#[derive(Debug, Default)]
pub(super) struct EventRing {
    lines: VecDeque<Bytes>,
    bytes: usize,
    /// Number of the newest event; 0 before the first.
    newest: u64,
}

/// What follows a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FeedPage {
    /// Complete lines, and the number of the last one.
    Lines(Bytes, u64),
    None,
    /// The next event is no longer stored.
    Gone,
}

impl EventRing {
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Number of the oldest event that is kept; the next one if none is.
    pub fn oldest(&self) -> u64 {
        self.newest + 1 - self.lines.len() as u64
    }

    pub fn kept_after(&self, number: u64) -> Vec<Bytes> {
        let seen = (number + 1).saturating_sub(self.oldest());
        self.lines.iter().skip(usize::try_from(seen).unwrap_or(usize::MAX)).cloned().collect()
    }

    /// Appends the next event; drops the oldest to make room.
    pub fn push(&mut self, line: Bytes) {
        self.newest += 1;
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    /// Returns what comes after this number, which is at most the newest one.
    pub fn after(&self, number: u64) -> FeedPage {
        let behind = usize::try_from(self.newest - number).unwrap_or(usize::MAX);
        if behind == 0 {
            return FeedPage::None;
        }
        let Some(first) = self.lines.len().checked_sub(behind) else { return FeedPage::Gone };
        let mut page = Vec::new();
        let mut last = number;
        for line in self.lines.range(first..) {
            if !page.is_empty() && page.len() + line.len() > PAGE {
                break;
            }
            page.extend_from_slice(line);
            last += 1;
        }
        FeedPage::Lines(page.into(), last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(page: &FeedPage) -> (&[u8], u64) {
        match page {
            FeedPage::Lines(lines, last) => (lines, *last),
            FeedPage::None | FeedPage::Gone => panic!("expected lines, got {page:?}"),
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let mut ring = EventRing::default();
        assert_eq!(ring.after(0), FeedPage::None);
        for text in ["a\n", "b\n", "c\n"] {
            ring.push(Bytes::from(text));
        }
        assert_eq!(lines(&ring.after(0)), (&b"a\nb\nc\n"[..], 3));
        assert_eq!(lines(&ring.after(2)), (&b"c\n"[..], 3));
        assert_eq!(ring.after(3), FeedPage::None);
    }

    #[test]
    fn it_forgets_the_oldest_by_count_and_by_size() {
        let mut ring = EventRing::default();
        for _ in 0..=MAX_EVENTS {
            ring.push(Bytes::from_static(b"x\n"));
        }
        assert_eq!(ring.after(0), FeedPage::Gone);
        assert_eq!(ring.after(ring.newest()), FeedPage::None);
        assert_eq!(lines(&ring.after(1)).1, MAX_EVENTS as u64 + 1);
        for _ in 0..3 {
            ring.push(Bytes::from(vec![b'y'; MAX_BYTES / 2]));
        }
        assert_eq!((ring.lines.len(), ring.bytes), (2, MAX_BYTES / 2 * 2));
        assert_eq!(ring.after(ring.newest() - 3), FeedPage::Gone);
        let kept = |number| ring.kept_after(number).len();
        assert_eq!(ring.oldest(), ring.newest() - 1);
        assert_eq!((kept(0), kept(ring.newest() - 1), kept(ring.newest())), (2, 1, 0));
        // An event larger than the whole ring is dropped at once, but counted.
        ring.push(Bytes::from(vec![b'z'; MAX_BYTES + 1]));
        assert_eq!((ring.lines.len(), ring.bytes), (0, 0));
        assert_eq!(ring.after(ring.newest() - 1), FeedPage::Gone);
    }

    #[test]
    fn a_page_has_whole_lines_and_at_least_one() {
        let mut ring = EventRing::default();
        ring.push(Bytes::from(vec![b'a'; PAGE * 2]));
        ring.push(Bytes::from_static(b"b\n"));
        assert_eq!(lines(&ring.after(0)).0.len(), PAGE * 2);
        assert_eq!(lines(&ring.after(1)), (&b"b\n"[..], 2));
    }
}
