use std::collections::BTreeSet;

/// Modes of a terminal that programs switch and a shell does not expect: cursor keys, reverse, origin, mouse, focus,
/// other screens, pasted text, held back output, colour themes.
const MODES: [u16; 22] = [
    1, 5, 6, 7, 9, 25, 47, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004,
    2026, 2031, 2048,
];
/// Those of them that are usually on: lines wrap, the cursor is seen.
const USUALLY_ON: [u16; 2] = [7, 25];
/// The longest sequence that is looked at: longer ones are none of these.
const SEQUENCE: usize = 64;

/// What passed output has switched in a terminal, to take it back. Only what was switched: some terminals move the
/// cursor when they leave a screen that they were not on.
#[derive(Debug, Default)]
pub(super) struct Traces {
    state: State,
    /// Modes that are not as usual.
    modes: BTreeSet<u16>,
    /// What takes back the rest.
    others: BTreeSet<&'static str>,
    last: Option<u8>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// After ESC, with what came since.
    Sequence(Vec<u8>),
    /// In a title or the like.
    String,
}

impl Traces {
    /// Looks at output that passes.
    pub fn watch(&mut self, bytes: &[u8]) {
        self.last = bytes.last().copied().or(self.last);
        for byte in bytes {
            match (&mut self.state, byte) {
                (_, 0x1b) => self.state = State::Sequence(Vec::new()),
                (State::String, 0x07) => self.state = State::Text,
                (State::Text | State::String, _) => {}
                (State::Sequence(sequence), _) => {
                    sequence.push(*byte);
                    if let [b']' | b'P' | b'X' | b'^' | b'_'] = sequence[..] {
                        self.state = State::String;
                    } else if is_over(sequence) {
                        let sequence = std::mem::take(sequence);
                        self.state = State::Text;
                        self.take(&sequence);
                    } else if sequence.len() >= SEQUENCE {
                        self.state = State::Text;
                    }
                }
            }
        }
    }

    /// Whether the cursor is at the beginning of a line, as far as that can be seen.
    pub fn at_line_start(&self) -> bool {
        matches!(self.last, None | Some(b'\n'))
    }

    /// What takes it all back.
    pub fn undo(&mut self) -> Vec<u8> {
        let end = match std::mem::take(&mut self.state) {
            State::Text | State::Sequence(_) => "",
            // Until its end a terminal shows nothing.
            State::String => "\x1b\\",
        };
        let mut text = format!("{end}\x1b[0m");
        for mode in std::mem::take(&mut self.modes) {
            let letter = if USUALLY_ON.contains(&mode) { 'h' } else { 'l' };
            text.push_str(&format!("\x1b[?{mode}{letter}"));
        }
        text.extend(std::mem::take(&mut self.others));
        text.into_bytes()
    }

    fn take(&mut self, sequence: &[u8]) {
        match sequence {
            b"c" => (self.modes, self.others) = Default::default(),
            b"=" => self.other("\x1b>", true),
            b">" => self.other("\x1b>", false),
            b"(B" => self.other("\x1b(B", false),
            [b'(', _] => self.other("\x1b(B", true),
            [b'[', b'?', numbers @ .., letter @ (b'h' | b'l')] => {
                self.switch(numbers, *letter == b'h')
            }
            b"[4h" => self.other("\x1b[4l", true),
            b"[4l" => self.other("\x1b[4l", false),
            // Saved and restored around it, because it moves the cursor.
            b"[r" => self.other("\x1b7\x1b[r\x1b8", false),
            [b'[', b'0'..=b'9' | b';', .., b'r'] => self.other("\x1b7\x1b[r\x1b8", true),
            // Other forms of keys are put on a stack.
            [b'[', b'>', .., b'u'] => self.other("\x1b[<u", true),
            [b'[', b'<', .., b'u'] => self.other("\x1b[<u", false),
            [b'[', b'>', b'4', b';', .., b'm'] => self.other("\x1b[>4m", true),
            [b'[', .., b' ', b'q'] => self.other("\x1b[0 q", true),
            _ => {}
        }
    }

    fn switch(&mut self, numbers: &[u8], on: bool) {
        for number in numbers.split(|byte| *byte == b';') {
            let mode = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
            let Some(mode) = mode.filter(|mode| MODES.contains(mode)) else { continue };
            if on == USUALLY_ON.contains(&mode) {
                self.modes.remove(&mode);
            } else {
                self.modes.insert(mode);
            }
        }
    }

    fn other(&mut self, undo: &'static str, changed: bool) {
        if changed {
            self.others.insert(undo);
        } else {
            self.others.remove(undo);
        }
    }
}

/// Whether what came after ESC is whole: `[` up to a letter, a blank or bracket and one more, or one character.
fn is_over(sequence: &[u8]) -> bool {
    match sequence {
        [b'['] => false,
        [b'[', .., last] => (0x40..0x7f).contains(last),
        [.., last] => !(0x20..0x30).contains(last),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undo(output: &str) -> String {
        let mut whole = Traces::default();
        whole.watch(output.as_bytes());
        let mut cut = Traces::default();
        output.bytes().for_each(|byte| cut.watch(&[byte]));
        let text = |traces: &mut Traces| {
            let text = String::from_utf8(traces.undo()).unwrap();
            text.replacen("\x1b[0m", "", 1)
        };
        let found = text(&mut whole);
        assert_eq!(text(&mut cut), found, "{output:?} in single bytes");
        assert_eq!(text(&mut whole), "", "it is taken back once");
        found
    }

    #[test]
    fn what_was_switched_is_switched_back_and_nothing_else() {
        for (output, expected) in [
            ("plain \x1b[31mred\x1b[0m\r\n", ""),
            ("\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"),
            ("\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l", ""),
            ("\x1b[?1002;1006h\x1b[?2004h", "\x1b[?1002l\x1b[?1006l\x1b[?2004l"),
            ("\x1b[?7l", "\x1b[?7h"),
            ("\x1b[?25h\x1b[?99999999h\x1b[?12h\x1b[?h", ""),
            ("\x1b[2;10r", "\x1b7\x1b[r\x1b8"),
            ("\x1b[2;10r\x1b[r", ""),
            ("\x1b=\x1b(0", "\x1b(B\x1b>"),
            ("\x1b=\x1b(0\x1b[?5h\x1bc", ""),
            ("\x1b[>1u\x1b[>4;1m\x1b[3 q", "\x1b[0 q\x1b[<u\x1b[>4m"),
            ("\x1b]0;title with [?1049h\x07", ""),
            ("\x1b]0;a title\x1b\\\x1bP+q\x1b\\", ""),
            ("\x1b]0;half of it", "\x1b\\"),
            ("\x1b[\x1b[?1000h", "\x1b[?1000l"),
            ("\x1b[?1000", ""),
        ] {
            assert_eq!(undo(output), expected, "{output:?}");
        }
        assert_eq!(undo(&format!("\x1b[{}h\x1b[?1h", "1;".repeat(10_000))), "\x1b[?1l");
    }

    #[test]
    fn lines_begin_after_a_line_end() {
        let mut traces = Traces::default();
        assert!(traces.at_line_start());
        traces.watch(b"(Pdb) ");
        assert!(!traces.at_line_start());
        traces.watch(b"n\r\n");
        traces.watch(b"");
        assert!(traces.at_line_start());
    }
}
