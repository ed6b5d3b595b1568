use super::escape_parser::{EscapeParser, EscapeToken};

/// Ends all colors.
pub(crate) const RESET: &str = "\x1b[0m";

/// Most bytes of active color sequences that are repeated after a break of a line.
pub(crate) const COLORS_MAX: usize = 256;

/// Makes service output safe for a terminal: colors pass (if wanted), all other escape sequences
/// and control characters are removed. One filter per stream, because a sequence can be split
/// between two reads.
///
/// The end of a line ends every sequence, so nothing unterminated reaches the next line.
#[derive(Debug, Default)]
pub(super) struct EscapeFilter {
    escapes: EscapeParser,
    /// Color sequences since the last reset, repeated after a cut or a carriage return.
    colors: Vec<u8>,
    colored: bool,
    /// A carriage return was seen: the next text overwrites the line.
    returned: bool,
}

/// Returns whether lines are only printable ASCII and tabs, and need no filter.
pub(super) fn are_plain(bytes: &[u8]) -> bool {
    let bad = |byte: u8| ((byte < 0x20) & (byte != b'\t') & (byte != b'\n')) | (byte >= 0x7f);
    // In blocks: stops early, while each block remains a loop without branches.
    bytes.chunks(4096).all(|block| !block.iter().fold(false, |any, &byte| any | bad(byte)))
}

/// Returns whether later text of the line overwrites earlier text, as that of a progress bar.
pub(super) fn overwrites(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    memchr::memrchr(b'\r', line).is_some_and(|at| !is_blank(&line[..at]))
}

/// Returns whether nothing of a line can be seen.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    match memchr::memchr(0x1b, line) {
        Some(_) => strip(line).trim_ascii().is_empty(),
        None => line.trim_ascii().is_empty(),
    }
}

/// Returns whether a line moves the cursor or clears the screen.
pub(super) fn moves_cursor(line: &[u8]) -> bool {
    memchr::memchr_iter(0x1b, line).any(|at| match &line[at + 1..] {
        [b'[', rest @ ..] => {
            let end = rest.iter().find(|byte| !matches!(byte, b'0'..=b'9' | b';'));
            end.is_some_and(|end| matches!(end, b'A'..=b'H' | b'J' | b'd' | b'f'))
        }
        [b'c', ..] => true,
        _ => false,
    })
}

/// Removes escape sequences and control characters; invalid UTF-8 becomes U+FFFD.
pub(crate) fn strip(text: &[u8]) -> String {
    filtered(text, false)
}

/// Removes escape sequences and control characters except for colors, which end with the line.
#[cfg(feature = "tui")]
pub(crate) fn colored(text: &[u8]) -> String {
    filtered(text, true)
}

fn filtered(text: &[u8], colors: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    EscapeFilter::default().line(text, colors, false, &mut out);
    String::from_utf8(out).expect("the filter writes UTF-8 only")
}

impl EscapeFilter {
    /// Returns whether the next line can be copied unfiltered if it is plain.
    pub fn is_idle(&self) -> bool {
        self.escapes.is_text() && !self.colored && !self.returned
    }

    /// Appends a line without its newline to `out`. `open`: the line continues with the next call.
    pub fn line(&mut self, line: &[u8], colors: bool, open: bool, out: &mut Vec<u8>) {
        let start = out.len();
        if colors {
            out.extend_from_slice(&self.colors);
        }
        for chunk in line.utf8_chunks() {
            self.text(chunk.valid(), colors, start, out);
            if !chunk.invalid().is_empty() {
                self.character('\u{fffd}', colors, start, out);
            }
        }
        if self.colored && colors {
            out.extend_from_slice(RESET.as_bytes());
        }
        if !open {
            self.escapes.end();
            self.colors.clear();
            (self.colored, self.returned) = (false, false);
        }
    }

    fn text(&mut self, text: &str, colors: bool, start: usize, out: &mut Vec<u8>) {
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let plain = match self.escapes.is_text() && !self.returned {
                true => plain_prefix_len(rest.as_bytes()),
                false => 0,
            };
            out.extend_from_slice(&rest.as_bytes()[..plain]);
            if plain == 0 {
                self.character(next, colors, start, out);
            }
            let done = if plain == 0 { next.len_utf8() } else { plain };
            rest = &rest[done..];
        }
    }

    fn character(&mut self, c: char, colors: bool, start: usize, out: &mut Vec<u8>) {
        match self.escapes.take(c) {
            EscapeToken::Text => self.plain(c, colors, start, out),
            EscapeToken::Sequence if colors => self.color(out),
            EscapeToken::Sequence | EscapeToken::StringEnd | EscapeToken::Hidden => {}
        }
    }

    /// Passes a color sequence. Only colors end with `m` and have no private marker.
    fn color(&mut self, out: &mut Vec<u8>) {
        let [b'[', parameters @ .., b'm'] = self.escapes.sequence() else { return };
        if !parameters.iter().all(|c| matches!(c, b'0'..=b'9' | b';' | b':')) {
            return;
        }
        let from = out.len();
        out.push(0x1b);
        out.extend_from_slice(self.escapes.sequence());
        self.colored = !matches!(parameters, b"" | b"0" | b"00");
        if self.colored && self.colors.len() + out.len() - from <= COLORS_MAX {
            self.colors.extend_from_slice(&out[from..]);
        } else {
            self.colors.clear();
        }
    }

    /// Handles a character that is not printable ASCII, or the first after a carriage return.
    fn plain(&mut self, c: char, colors: bool, start: usize, out: &mut Vec<u8>) {
        match c {
            '\r' => self.returned = true,
            '\t' => self.print("\t", colors, start, out),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => {}
            // Direction controls and line separators: they can make a line read as another one.
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                self.print(&format!("<U+{:04X}>", c as u32), colors, start, out);
            }
            _ => self.print(c.encode_utf8(&mut [0; 4]), colors, start, out),
        }
    }

    fn print(&mut self, text: &str, colors: bool, start: usize, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.returned) {
            out.truncate(start);
            if colors {
                out.extend_from_slice(&self.colors);
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
}

fn plain_prefix_len(bytes: &[u8]) -> usize {
    let plain = |byte: &u8| matches!(byte, b'\t' | 0x20..=0x7e);
    bytes.iter().position(|byte| !plain(byte)).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(line: &[u8]) -> String {
        let mut out = Vec::new();
        EscapeFilter::default().line(line, true, false, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_colours_pass() {
        for (line, seen) in [
            ("\x1b[31mred\x1b[0m plain", "\x1b[31mred\x1b[0m plain"),
            ("\x1b[1;38:5:9mopen", "\x1b[1;38:5:9mopen\x1b[0m"),
            ("\x1b]52;c;aGVsbG8=\x07clip", "clip"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b]0;title never ends", ""),
            ("a\x1b[21tb", "ab"),
            ("a\x1bP+q544e\x1b\\b", "ab"),
            ("a\x1b[6nb", "ab"),
            ("\x1b[?1049halt\x1b[2J\x1b[H", "alt"),
            ("\x1b[>4;2mkeys", "keys"),
            ("\x1b[?4mkeys", "keys"),
            ("\x1b(0lqk\x1b(B", "lqk"),
            ("\x1bcreset\x1b7", "reset"),
            ("\u{9b}31mx\u{9d}0;t\u{9c}y", "\x1b[31mxy\x1b[0m"),
            ("a\0b\x07c\x08d\x7fe", "abcde"),
            ("\ttab", "\ttab"),
            ("a\u{202e}b", "a<U+202E>b"),
            ("\x1b]0;t\x18after", "after"),
        ] {
            assert_eq!(show(line.as_bytes()), seen, "{line:?}");
        }
        assert_eq!(show(b"\x9b31m\xff"), "\u{fffd}31m\u{fffd}");
    }

    #[test]
    fn progress_shows_its_last_state_in_its_colour() {
        assert_eq!(show(b"10%\r20%\r\x1b[32m100%\r"), "\x1b[32m100%\x1b[0m");
        assert_eq!(show(b"\x1b[33m10%\r20%"), "\x1b[33m20%\x1b[0m");
        assert_eq!(show(b"line\r"), "line");
        assert_eq!(show(b"gone\rx"), "x");
    }

    #[test]
    fn a_sequence_torn_by_a_cut_is_still_one() {
        let mut filter = EscapeFilter::default();
        let mut out = Vec::new();
        filter.line(b"a\x1b[3", true, true, &mut out);
        filter.line(b"1mb", true, true, &mut out);
        filter.line(b"c\x1b]0;t", true, true, &mut out);
        filter.line(b"itle\x07d", true, false, &mut out);
        filter.line(b"e", true, false, &mut out);
        let seen = "a\x1b[31mb\x1b[0m\x1b[31mc\x1b[0m\x1b[31md\x1b[0me";
        assert_eq!(String::from_utf8(out).unwrap(), seen);
    }

    #[test]
    fn ten_thousand_colours_pass_and_are_closed() {
        let line = "\x1b[31mx".repeat(10_000);
        assert_eq!(show(line.as_bytes()), line + "\x1b[0m");
    }

    #[test]
    fn stripping_leaves_the_text() {
        assert_eq!(strip(b"\x1b[1mready\x1b[0m on \xff"), "ready on \u{fffd}");
    }

    /// Bytes that hit the interesting cases more often than chance.
    fn nasty() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..8),
            "[ -~]{0,8}".prop_map(String::into_bytes),
            proptest::sample::select(vec![
                "\x1b[", "\x1b]", "\x1b", "m", "31", ";", "\r", "\u{9b}", "\u{9d}", "\x07",
                "\x1b\\", "\u{202e}", "ä", "\u{2066}", "\x1bP", "\x1b[?1049h", "\x1b]52;c;",
                "\u{90}", "\x18",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn nothing_but_colours_and_text_comes_out(lines in proptest::collection::vec((nasty(), any::<bool>()), 1..6)) {
            let mut filter = EscapeFilter::default();
            let colour = regex::Regex::new("\x1b\\[[0-9;:]*m").unwrap();
            for (line, open) in lines {
                let mut out = Vec::new();
                filter.line(&line, true, open, &mut out);
                let text = String::from_utf8(out).unwrap();
                let rest = colour.replace_all(&text, "");
                prop_assert!(!rest.chars().any(|c| c.is_control() && c != '\t'), "{text:?}");
                let turns = |c| matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                prop_assert!(!rest.contains(turns), "{text:?}");
                if let Some(last) = colour.find_iter(&text).last() {
                    prop_assert!(matches!(last.as_str(), "\x1b[0m" | "\x1b[m" | "\x1b[00m"), "{text:?}");
                }
                if !open {
                    prop_assert!(filter.is_idle());
                }
            }
        }

        #[test]
        fn without_colours_no_escape_is_left(line in nasty()) {
            let text = strip(&line);
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\t'), "{text:?}");
        }

        #[test]
        fn where_a_line_is_cut_changes_nothing(line in nasty(), cuts in proptest::collection::vec(0..200usize, 0..4)) {
            // A carriage return restarts the piece, not the line.
            let line: String = String::from_utf8_lossy(&line).replace('\r', "");
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|at| line.is_char_boundary(*at)).collect();
            cuts.sort_unstable();
            let (mut filter, mut out, mut from) = (EscapeFilter::default(), Vec::new(), 0);
            for at in cuts {
                filter.line(&line.as_bytes()[from..at], false, true, &mut out);
                from = at;
            }
            filter.line(&line.as_bytes()[from..], false, false, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), strip(line.as_bytes()));
        }

        #[test]
        fn plain_text_is_untouched(text in "[ -~\t]{0,200}") {
            prop_assert!(are_plain(text.as_bytes()));
            prop_assert_eq!(show(text.as_bytes()), text);
        }
    }
}
