use std::collections::{BTreeMap, BTreeSet};

use crate::log::escape_parser::{EscapeParser, EscapeToken, byte_character};

/// Modes that programs switch and a shell does not expect: cursor keys, reverse, origin, mouse,
/// focus, alt screens, bracketed paste, synchronized output, color themes.
const MODES: [u16; 22] = [
    1, 5, 6, 7, 9, 25, 47, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004,
    2026, 2031, 2048,
];
/// Those that are on by default: line wrap and visible cursor.
const USUALLY_ON: [u16; 2] = [7, 25];
/// Those that switch to the alt screen, where full-screen programs draw.
const SCREENS: [u16; 3] = [47, 1047, 1049];

/// Tracks what output has switched in a terminal, to undo it or to repeat it in another one. Undoes
/// nothing else: some terminals move the cursor when they leave an alt screen that was not active.
#[derive(Debug, Default)]
pub struct TerminalModes {
    escapes: EscapeParser,
    /// Modes that differ from their default.
    modes: BTreeSet<u16>,
    /// Other settings: the sequence that undoes each, and the last one that set it (after ESC).
    others: BTreeMap<&'static str, Vec<u8>>,
    last: Option<u8>,
}

impl TerminalModes {
    /// Scans output.
    pub fn watch(&mut self, bytes: &[u8]) {
        self.last = bytes.last().copied().or(self.last);
        let mut rest = bytes;
        loop {
            if self.escapes.is_text() {
                // Skips plain text quickly.
                let Some(escape) = memchr::memchr(0x1b, rest) else { return };
                rest = &rest[escape..];
            }
            let Some((byte, after)) = rest.split_first() else { return };
            rest = after;
            if self.escapes.take(byte_character(*byte)) == EscapeToken::Sequence {
                let sequence = self.escapes.sequence().to_vec();
                self.take(&sequence);
            }
        }
    }

    /// Whether the last output ended a line.
    pub fn at_line_start(&self) -> bool {
        matches!(self.last, None | Some(b'\n'))
    }

    /// Returns the sequences that undo everything.
    pub fn undo(&mut self) -> Vec<u8> {
        let mut text = format!("{}\x1b[0m", self.escapes.end());
        for mode in std::mem::take(&mut self.modes) {
            let letter = if USUALLY_ON.contains(&mode) { 'h' } else { 'l' };
            text.push_str(&format!("\x1b[?{mode}{letter}"));
        }
        text.extend(std::mem::take(&mut self.others).into_keys());
        text.into_bytes()
    }

    /// Returns the sequences that switch everything in another terminal.
    pub fn restore(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for mode in &self.modes {
            let letter = if USUALLY_ON.contains(mode) { 'l' } else { 'h' };
            text.extend_from_slice(format!("\x1b[?{mode}{letter}").as_bytes());
        }
        for sequence in self.others.values() {
            text.push(0x1b);
            text.extend_from_slice(sequence);
        }
        text
    }

    /// Whether the alt screen is active, where full-screen programs draw.
    pub fn is_alt_screen(&self) -> bool {
        SCREENS.iter().any(|mode| self.modes.contains(mode))
    }

    fn take(&mut self, sequence: &[u8]) {
        match sequence {
            b"c" => (self.modes, self.others) = Default::default(),
            b"=" => self.other("\x1b>", Some(sequence)),
            b">" => self.other("\x1b>", None),
            b"(B" => self.other("\x1b(B", None),
            [b'(', _] => self.other("\x1b(B", Some(sequence)),
            b"[4h" => self.other("\x1b[4l", Some(sequence)),
            b"[4l" => self.other("\x1b[4l", None),
            // Saves and restores the cursor, because `[r` moves it.
            b"[r" => self.other("\x1b7\x1b[r\x1b8", None),
            [b'[', b'0'..=b'9' | b';', .., b'r'] => {
                self.other("\x1b7\x1b[r\x1b8", Some(sequence));
            }
            // Keyboard protocols are kept on a stack.
            [b'[', b'>', .., b'u'] => self.other("\x1b[<u", Some(sequence)),
            [b'[', b'<', .., b'u'] => self.other("\x1b[<u", None),
            [b'[', b'>', b'4', b';', .., b'm'] => self.other("\x1b[>4m", Some(sequence)),
            [b'[', .., b' ', b'q'] => self.other("\x1b[0 q", Some(sequence)),
            _ => self.switch(sequence),
        }
    }

    fn switch(&mut self, sequence: &[u8]) {
        for (mode, on) in switched(sequence) {
            if on == USUALLY_ON.contains(&mode) {
                self.modes.remove(&mode);
            } else {
                self.modes.insert(mode);
            }
        }
    }

    fn other(&mut self, undo: &'static str, done: Option<&[u8]>) {
        match done {
            Some(sequence) => drop(self.others.insert(undo, sequence.to_vec())),
            None => drop(self.others.remove(undo)),
        }
    }
}

/// The tracked modes that a sequence switches on or off.
fn switched(sequence: &[u8]) -> impl Iterator<Item = (u16, bool)> {
    let (numbers, on) = match sequence {
        [b'[', b'?', numbers @ .., b'h'] => (numbers, true),
        [b'[', b'?', numbers @ .., b'l'] => (numbers, false),
        _ => (&[][..], false),
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let numbers = numbers.split(|byte| *byte == b';').filter_map(number);
    numbers.filter(|mode| MODES.contains(mode)).map(move |mode| (mode, on))
}

/// Whether a sequence enters (true) or leaves (false) the alt screen; `None`: neither.
pub(super) fn alt_screen_switch(sequence: &[u8]) -> Option<bool> {
    switched(sequence).find(|(mode, _)| SCREENS.contains(mode)).map(|(_, on)| on)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undo(output: &str) -> String {
        let mut whole = TerminalModes::default();
        whole.watch(output.as_bytes());
        let again = whole.restore();
        let mut cut = TerminalModes::default();
        output.bytes().for_each(|byte| cut.watch(&[byte]));
        let text = |traces: &mut TerminalModes| {
            let text = String::from_utf8(traces.undo()).unwrap();
            text.replacen("\x1b[0m", "", 1)
        };
        let found = text(&mut whole);
        assert_eq!(text(&mut cut), found, "{output:?} in single bytes");
        let mut other = TerminalModes::default();
        other.watch(&again);
        assert_eq!(text(&mut other), found.replacen("\x1b\\", "", 1), "{output:?} again");
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
        let mut traces = TerminalModes::default();
        assert!(traces.at_line_start());
        traces.watch(b"(Pdb) ");
        assert!(!traces.at_line_start());
        traces.watch(b"n\r\n");
        traces.watch(b"");
        assert!(traces.at_line_start());
    }
}
