use memchr::memchr_iter;

/// Removes the `\r` that a pty inserts before each `\n`.
#[derive(Debug, Default)]
pub(super) struct CrlfStripper {
    /// The last byte was a `\r`, which may belong to a line end.
    held: bool,
    text: Vec<u8>,
}

impl CrlfStripper {
    /// Returns what the program wrote. A `\r` at the end is held back until the next call.
    pub fn strip(&mut self, bytes: &[u8]) -> &[u8] {
        self.text.clear();
        if self.held && bytes.first().is_some_and(|first| *first != b'\n') {
            self.text.push(b'\r');
        }
        self.held = self.held && bytes.is_empty();
        let mut from = 0;
        for end in memchr_iter(b'\n', bytes) {
            let line = &bytes[from..end];
            self.text.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            self.text.push(b'\n');
            from = end + 1;
        }
        let rest = &bytes[from..];
        let whole = rest.strip_suffix(b"\r");
        self.held |= whole.is_some();
        self.text.extend_from_slice(whole.unwrap_or(rest));
        &self.text
    }

    /// Returns what was held back, at the end of the output.
    pub fn rest(&mut self) -> &'static [u8] {
        if std::mem::take(&mut self.held) { b"\r" } else { b"" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a pty makes of a text.
    fn shown(text: &[u8]) -> Vec<u8> {
        text.iter().flat_map(|&b| if b == b'\n' { vec![b'\r', b'\n'] } else { vec![b] }).collect()
    }

    #[test]
    fn every_text_comes_back_however_it_is_cut() {
        for text in [
            "",
            "a",
            "a\nb\n",
            "\r",
            "\r\n",
            "\n\r",
            "\r\r\n\r",
            "a\rb\r\nc\n\n\r\r",
            "10%\r20%\r\n",
        ] {
            let shown = shown(text.as_bytes());
            for size in 1..=shown.len().max(1) {
                let mut ends = CrlfStripper::default();
                let mut back = Vec::new();
                for part in shown.chunks(size) {
                    back.extend_from_slice(ends.strip(part));
                    back.extend_from_slice(ends.strip(b""));
                }
                back.extend_from_slice(ends.rest());
                assert_eq!(back, text.as_bytes(), "{text:?} in parts of {size}");
            }
        }
    }
}
