use std::collections::VecDeque;

use bytes::Bytes;

/// Maximum number of stored events: a restart of a stack with hundreds of services.
pub(super) const MAX_EVENTS: usize = 2048;

/// Maximum size of stored events in bytes. An event has some hundred bytes; one with the changes of
/// a new configuration grows with their number.
const MAX_BYTES: usize = 512 * 1024;

/// Bytes per read, unless a single event is longer: what a connection accepts without delay.
const PAGE: usize = 32 * 1024;

/// The newest events as JSON lines, in one piece of memory: as many small ones, each made at
/// another time, would be scattered over the whole heap.
#[derive(Debug, Default)]
pub(super) struct EventRing {
    text: VecDeque<u8>,
    /// Bytes of each line.
    lengths: VecDeque<usize>,
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
        self.newest + 1 - self.lengths.len() as u64
    }

    pub fn kept_after(&self, number: u64) -> Vec<Bytes> {
        let behind = usize::try_from(self.newest.saturating_sub(number)).unwrap_or(usize::MAX);
        let count = behind.min(self.lengths.len());
        let mut start = self.start_of_last(count);
        let lines = self.lengths.range(self.lengths.len() - count..).map(|length| {
            start += length;
            Bytes::from(self.piece(start - length, start))
        });
        lines.collect()
    }

    /// Appends the next event; drops the oldest to make room.
    pub fn push(&mut self, line: &[u8]) {
        self.newest += 1;
        while self.lengths.len() >= MAX_EVENTS || self.text.len() + line.len() > MAX_BYTES {
            let Some(oldest) = self.lengths.pop_front() else { return };
            self.text.drain(..oldest);
        }
        self.lengths.push_back(line.len());
        self.text.extend(line);
    }

    /// Returns where the last `count` lines begin.
    fn start_of_last(&self, count: usize) -> usize {
        self.text.len() - self.lengths.iter().rev().take(count).sum::<usize>()
    }

    fn piece(&self, start: usize, end: usize) -> Vec<u8> {
        let (first, second) = self.text.as_slices();
        let middle = first.len();
        let mut piece = Vec::with_capacity(end - start);
        piece.extend_from_slice(&first[start.min(middle)..end.min(middle)]);
        piece.extend_from_slice(&second[start.saturating_sub(middle)..end.saturating_sub(middle)]);
        piece
    }

    /// Returns what comes after this number, which is at most the newest one.
    pub fn after(&self, number: u64) -> FeedPage {
        let behind = usize::try_from(self.newest - number).unwrap_or(usize::MAX);
        if behind == 0 {
            return FeedPage::None;
        }
        let Some(first) = self.lengths.len().checked_sub(behind) else { return FeedPage::Gone };
        let (mut page, mut last) = (0, number);
        for length in self.lengths.range(first..) {
            if page > 0 && page + length > PAGE {
                break;
            }
            page += length;
            last += 1;
        }
        let start = self.start_of_last(behind);
        FeedPage::Lines(self.piece(start, start + page).into(), last)
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
            ring.push(text.as_bytes());
        }
        assert_eq!(lines(&ring.after(0)), (&b"a\nb\nc\n"[..], 3));
        assert_eq!(lines(&ring.after(2)), (&b"c\n"[..], 3));
        assert_eq!(ring.after(3), FeedPage::None);
    }

    #[test]
    fn it_forgets_the_oldest_by_count_and_by_size() {
        let mut ring = EventRing::default();
        for _ in 0..=MAX_EVENTS {
            ring.push(b"x\n");
        }
        assert_eq!(ring.after(0), FeedPage::Gone);
        assert_eq!(ring.after(ring.newest()), FeedPage::None);
        assert_eq!(lines(&ring.after(1)).1, MAX_EVENTS as u64 + 1);
        for _ in 0..3 {
            ring.push(&vec![b'y'; MAX_BYTES / 2]);
        }
        assert_eq!((ring.lengths.len(), ring.text.len()), (2, MAX_BYTES / 2 * 2));
        assert_eq!(ring.after(ring.newest() - 3), FeedPage::Gone);
        let kept = |number| ring.kept_after(number).len();
        assert_eq!(ring.oldest(), ring.newest() - 1);
        assert_eq!((kept(0), kept(ring.newest() - 1), kept(ring.newest())), (2, 1, 0));
        // An event larger than the whole ring is dropped at once, but counted.
        ring.push(&vec![b'z'; MAX_BYTES + 1]);
        assert_eq!((ring.lengths.len(), ring.text.len()), (0, 0));
        assert_eq!(ring.after(ring.newest() - 1), FeedPage::Gone);
    }

    #[test]
    fn a_page_has_whole_lines_and_at_least_one() {
        let mut ring = EventRing::default();
        ring.push(&vec![b'a'; PAGE * 2]);
        ring.push(b"b\n");
        assert_eq!(lines(&ring.after(0)).0.len(), PAGE * 2);
        assert_eq!(lines(&ring.after(1)), (&b"b\n"[..], 2));
    }

    #[test]
    fn events_are_whole_where_the_ring_begins_anew() {
        let mut ring = EventRing::default();
        let line = |number: u64| format!("{number} {}\n", "x".repeat(number as usize % 700));
        for number in 1..=5000 {
            ring.push(line(number).as_bytes());
            let (before, last) = (number - 1, number);
            assert_eq!(lines(&ring.after(before)), (line(number).as_bytes(), last));
        }
        let kept = ring.kept_after(0);
        let expected: Vec<String> = (ring.oldest()..=ring.newest()).map(line).collect();
        assert_eq!(kept, expected);
        assert!(kept.len() > 1000 && ring.text.capacity() <= MAX_BYTES, "{}", kept.len());
        let (mut read, mut all) = (ring.oldest() - 1, Vec::new());
        while let FeedPage::Lines(page, last) = ring.after(read) {
            (read, all) = (last, [all, page.to_vec()].concat());
        }
        assert_eq!(all, expected.concat().into_bytes());
    }
}
