use super::screen_replay::replay_screen;

/// In bytes: more than a large screen of text.
const CAPACITY: usize = 16 * 1024;

/// The newest output of a terminal, for clients that attach later. The log does not do: a prompt
/// has no line end and is not in it yet.
#[derive(Debug, Default)]
pub(super) struct Scrollback(Vec<u8>);

impl Scrollback {
    pub fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(CAPACITY)..];
        // At twice the capacity, so that moving bytes is amortized.
        if self.0.len() + bytes.len() > 2 * CAPACITY {
            self.0.drain(..self.0.len().saturating_sub(CAPACITY));
        }
        self.0.extend_from_slice(bytes);
    }

    /// Returns the last `count` lines at most, an unfinished one included, filtered by
    /// [`replay_screen`]. `alt_screen`: a full-screen program is drawing now.
    pub fn lines(&self, count: usize, elsewhere: bool) -> Vec<u8> {
        let mut kept = replay_screen(self.kept(), elsewhere);
        // The final line end belongs to the last line.
        let before_end = kept.len().saturating_sub(1);
        let mut ends = memchr::memrchr_iter(b'\n', &kept[..before_end]);
        let before = match count {
            0 => kept.len(),
            count => ends.nth(count - 1).map_or(0, |end| end + 1),
        };
        kept.drain(..before);
        kept
    }

    /// Returns the last `count` bytes; if fewer are kept, all of them from a line start on.
    pub fn bytes(&self, count: u64) -> &[u8] {
        let kept = self.kept();
        match usize::try_from(count).ok().and_then(|count| kept.len().checked_sub(count)) {
            Some(start) => &kept[start..],
            None => &kept[memchr::memchr(b'\n', kept).map_or(0, |end| end + 1)..],
        }
    }

    fn kept(&self) -> &[u8] {
        &self.0[self.0.len().saturating_sub(CAPACITY)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Scrollback {
        let mut newest = Scrollback::default();
        newest.push(text.as_bytes());
        newest
    }

    #[test]
    fn lines_count_a_last_one_without_end() {
        let text = |newest: &Scrollback, count| {
            String::from_utf8_lossy(&newest.lines(count, false)).into_owned()
        };
        let newest = after("a\r\nb\r\n(Pdb) ");
        assert_eq!(text(&newest, 0), "");
        assert_eq!(text(&newest, 1), "(Pdb) ");
        assert_eq!(text(&newest, 2), "b\r\n(Pdb) ");
        assert_eq!(text(&newest, 9), "a\r\nb\r\n(Pdb) ");
        assert_eq!(text(&after("a\nb\n"), 1), "b\n");
        assert_eq!(text(&after("\n\n"), 1), "\n");
        assert_eq!(text(&after(""), 5), "");
    }

    #[test]
    fn it_is_bounded_and_keeps_the_end() {
        let mut newest = Scrollback::default();
        for number in 0..20_000 {
            newest.push(format!("{number}\n").as_bytes());
            assert!(newest.0.len() <= 2 * CAPACITY);
        }
        newest.push(&vec![b'x'; 100_000]);
        newest.push(b"end");
        assert!(newest.0.len() <= 2 * CAPACITY);
        assert_eq!(newest.bytes(4), b"xend");
        assert_eq!(newest.bytes(u64::MAX).len(), CAPACITY, "there is no line to begin with");
        newest.push(b" of it\nand more\n");
        assert_eq!(newest.bytes(u64::MAX), b"and more\n");
        assert_eq!(newest.lines(9, false).len(), CAPACITY);
    }
}
