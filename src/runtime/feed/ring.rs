use std::collections::VecDeque;

use bytes::Bytes;

/// How many events are kept for readers: several restarts of a stack of hundreds of services.
pub(super) const MAX_EVENTS: usize = 4096;

/// How many bytes they may have together. An event has some hundred bytes; one that lists what a new configuration
/// changes has as many as it has changes.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// How many bytes a reader gets at once, unless a single event is longer: what a connection takes without delay.
const PAGE: usize = 32 * 1024;

/// The newest events, each as a line of JSON.
#[derive(Debug, Default)]
pub(super) struct Ring {
    lines: VecDeque<Bytes>,
    bytes: usize,
    /// The number of the newest event; 0 before the first.
    newest: u64,
}

/// What a ring has behind a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// Whole lines, and the number of the last of them.
    Lines(Bytes, u64),
    /// Nothing yet.
    None,
    /// The next event is not kept any more.
    Gone,
}

impl Ring {
    /// The number of the newest event.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Takes the next event; forgets the oldest ones where there is no room.
    pub fn push(&mut self, line: Bytes) {
        self.newest += 1;
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    /// What comes after the event with this number, which is at most that of the newest one.
    pub fn after(&self, number: u64) -> Page {
        let behind = usize::try_from(self.newest - number).unwrap_or(usize::MAX);
        if behind == 0 {
            return Page::None;
        }
        let Some(first) = self.lines.len().checked_sub(behind) else { return Page::Gone };
        let mut page = Vec::new();
        let mut last = number;
        for line in self.lines.range(first..) {
            if !page.is_empty() && page.len() + line.len() > PAGE {
                break;
            }
            page.extend_from_slice(line);
            last += 1;
        }
        Page::Lines(page.into(), last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(page: &Page) -> (&[u8], u64) {
        match page {
            Page::Lines(lines, last) => (lines, *last),
            Page::None | Page::Gone => panic!("no lines but {page:?}"),
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let mut ring = Ring::default();
        assert_eq!(ring.after(0), Page::None);
        for text in ["a\n", "b\n", "c\n"] {
            ring.push(Bytes::from(text));
        }
        assert_eq!(lines(&ring.after(0)), (&b"a\nb\nc\n"[..], 3));
        assert_eq!(lines(&ring.after(2)), (&b"c\n"[..], 3));
        assert_eq!(ring.after(3), Page::None);
    }

    #[test]
    fn it_forgets_the_oldest_by_count_and_by_size() {
        let mut ring = Ring::default();
        for _ in 0..=MAX_EVENTS {
            ring.push(Bytes::from_static(b"x\n"));
        }
        assert_eq!(ring.after(0), Page::Gone);
        assert_eq!(ring.after(ring.newest()), Page::None);
        assert_eq!(lines(&ring.after(1)).1, MAX_EVENTS as u64 + 1);
        for _ in 0..3 {
            ring.push(Bytes::from(vec![b'y'; MAX_BYTES / 2]));
        }
        assert_eq!((ring.lines.len(), ring.bytes), (2, MAX_BYTES / 2 * 2));
        assert_eq!(ring.after(ring.newest() - 3), Page::Gone);
        // One that is too long for the whole ring is gone at once, and counted.
        ring.push(Bytes::from(vec![b'z'; MAX_BYTES + 1]));
        assert_eq!((ring.lines.len(), ring.bytes), (0, 0));
        assert_eq!(ring.after(ring.newest() - 1), Page::Gone);
    }

    #[test]
    fn a_page_has_whole_lines_and_at_least_one() {
        let mut ring = Ring::default();
        ring.push(Bytes::from(vec![b'a'; PAGE * 2]));
        ring.push(Bytes::from_static(b"b\n"));
        assert_eq!(lines(&ring.after(0)).0.len(), PAGE * 2);
        assert_eq!(lines(&ring.after(1)), (&b"b\n"[..], 2));
    }
}
