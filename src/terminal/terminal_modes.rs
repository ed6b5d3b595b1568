use std::collections::{BTreeMap, BTreeSet};

use crate::log::escape_parser::{EscapeParser, EscapeToken, byte_character};

/// A mode of a terminal, by the way it is switched: `ESC [ ? 25 h`, or `ESC [ 4 h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TerminalMode {
    Private(u16),
    Ansi(u16),
}

/// Private modes that programs switch and a shell does not expect: cursor keys, VT52, reverse, origin,
/// mouse, focus, reverse wrap, alt screens, keypad, backspace, left and right margins, bracketed paste,
/// synchronized output, color themes.
const PRIVATE_MODES: [u16; 29] = [
    1, 2, 5, 6, 7, 9, 25, 45, 47, 66, 67, 69, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016,
    1045, 1047, 1049, 2004, 2026, 2027, 2031, 2048,
];
/// Locked keyboard, insert, local echo, line feed with carriage return.
const ANSI_MODES: [u16; 4] = [2, 4, 12, 20];
/// Those that are on by default: ANSI instead of VT52, line wrap, visible cursor, no local echo.
const USUALLY_ON: [TerminalMode; 4] =
    [VT52_OFF, TerminalMode::Private(7), TerminalMode::Private(25), TerminalMode::Ansi(12)];
/// Without it, a terminal understands other sequences, of which one leads back.
const VT52_OFF: TerminalMode = TerminalMode::Private(2);
/// Those that switch to the alt screen, where full-screen programs draw.
const SCREENS: [TerminalMode; 3] =
    [TerminalMode::Private(47), TerminalMode::Private(1047), TerminalMode::Private(1049)];

/// Shift out and in: characters of G1, and of G0 again.
const SHIFT_OUT: u8 = 0x0e;
const SHIFT_IN: u8 = 0x0f;

/// The string that sets a link, and without one closes it.
const LINK: u16 = 8;
/// From the number of a string that sets colors to that of the one that resets them.
const RESET: u16 = 100;

impl TerminalMode {
    /// Returns the sequence that switches it.
    fn switch(self, on: bool) -> String {
        let letter = if on { 'h' } else { 'l' };
        match self {
            VT52_OFF if on => "\x1b<".to_owned(),
            TerminalMode::Private(number) => format!("\x1b[?{number}{letter}"),
            TerminalMode::Ansi(number) => format!("\x1b[{number}{letter}"),
        }
    }
}

/// Tracks what output has switched in a terminal, to undo it or to repeat it in another one. Undoes
/// nothing else: some terminals move the cursor when they leave an alt screen that was not active.
#[derive(Debug, Default)]
pub struct TerminalModes {
    escapes: EscapeParser,
    /// Modes that differ from their default.
    modes: BTreeSet<TerminalMode>,
    /// Other settings: the sequence that undoes each, and the last one that set it (after ESC).
    others: BTreeMap<&'static str, Vec<u8>>,
    /// Characters come from G1 or another set.
    shifted: bool,
    /// Numbers of the strings that undo colors and links. These are not repeated in another terminal.
    looks: BTreeSet<u16>,
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
                let Some(next) = memchr::memchr3(0x1b, SHIFT_OUT, SHIFT_IN, rest) else { return };
                rest = &rest[next..];
            }
            let Some((byte, after)) = rest.split_first() else { return };
            rest = after;
            match self.escapes.take(byte_character(*byte)) {
                EscapeToken::Text if matches!(*byte, SHIFT_OUT | SHIFT_IN) => {
                    self.shifted = *byte == SHIFT_OUT;
                }
                EscapeToken::Text | EscapeToken::Hidden => {}
                EscapeToken::Sequence => {
                    let sequence = self.escapes.sequence().to_vec();
                    self.take(&sequence);
                }
                EscapeToken::StringEnd => self.take_string(),
            }
        }
    }

    /// Whether the last output ended a line.
    pub fn at_line_start(&self) -> bool {
        matches!(self.last, None | Some(b'\n'))
    }

    /// Whether there is something to undo.
    pub fn is_switched(&self) -> bool {
        let kept = self.others.is_empty() && self.looks.is_empty();
        self.shifted || !self.modes.is_empty() || !kept
    }

    /// Returns the sequences that undo everything.
    pub fn undo(&mut self) -> Vec<u8> {
        let end = self.escapes.end();
        if !end.is_empty() {
            // The terminal takes the string as far as it came.
            self.take_string();
        }
        let mut text = end.to_owned();
        if self.modes.remove(&VT52_OFF) {
            text.push_str(&VT52_OFF.switch(true));
        }
        text.push_str("\x1b[0m");
        if std::mem::take(&mut self.shifted) {
            text.push(char::from(SHIFT_IN));
        }
        for mode in std::mem::take(&mut self.modes) {
            text.push_str(&mode.switch(USUALLY_ON.contains(&mode)));
        }
        text.extend(std::mem::take(&mut self.others).into_keys());
        text.extend(std::mem::take(&mut self.looks).into_iter().map(undo_look));
        text.into_bytes()
    }

    /// Returns the sequences that switch everything in another terminal, except how it looks.
    pub fn restore(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for mode in self.modes.iter().filter(|mode| **mode != VT52_OFF) {
            text.extend_from_slice(mode.switch(!USUALLY_ON.contains(mode)).as_bytes());
        }
        for sequence in self.others.values() {
            text.push(0x1b);
            text.extend_from_slice(sequence);
        }
        if self.shifted {
            text.push(SHIFT_OUT);
        }
        // Last: a VT52 does not understand the others.
        if self.modes.contains(&VT52_OFF) {
            text.extend_from_slice(VT52_OFF.switch(false).as_bytes());
        }
        text
    }

    /// Whether the alt screen is active, where full-screen programs draw.
    pub fn is_alt_screen(&self) -> bool {
        SCREENS.iter().any(|mode| self.modes.contains(mode))
    }

    fn take(&mut self, sequence: &[u8]) {
        match sequence {
            b"c" => (self.modes, self.others, self.shifted) = Default::default(),
            b"<" => drop(self.modes.remove(&VT52_OFF)),
            // Sets of characters: G0 to G3, which of them is used, and another encoding than UTF-8.
            b"n" | b"o" => self.shifted = true,
            [b'(', set @ ..] => self.other("\x1b(B", Some(sequence).filter(|_| set != b"B")),
            [b')', set @ ..] => self.other("\x1b)B", Some(sequence).filter(|_| set != b"B")),
            [b'*', set @ ..] => self.other("\x1b*B", Some(sequence).filter(|_| set != b"B")),
            [b'+', set @ ..] => self.other("\x1b+B", Some(sequence).filter(|_| set != b"B")),
            b"%G" => self.other("\x1b%G", None),
            b"%@" => self.other("\x1b%G", Some(sequence)),
            b"=" => self.other("\x1b>", Some(sequence)),
            b">" => self.other("\x1b>", None),
            // Output goes to a printer instead.
            b"[5i" => self.other("\x1b[4i", Some(sequence)),
            b"[4i" => self.other("\x1b[4i", None),
            // Saves and restores the cursor, because `[r` moves it.
            b"[r" => self.other("\x1b7\x1b[r\x1b8", None),
            [b'[', b'0'..=b'9' | b';', .., b'r'] => {
                self.other("\x1b7\x1b[r\x1b8", Some(sequence));
            }
            // Keyboard protocols are kept on a stack.
            [b'[', b'>', .., b'u'] => self.other("\x1b[<u", Some(sequence)),
            [b'[', b'<', .., b'u'] => self.other("\x1b[<u", None),
            [b'[', b'=', .., b'u'] => self.other("\x1b[=0u", Some(sequence)),
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

    /// Takes the string that has just ended: a color, a link. A color of `?` asks for it.
    fn take_string(&mut self) {
        let text = String::from_utf8_lossy(self.escapes.sequence()).into_owned();
        let Some((number, fields)) = text.strip_prefix(']').and_then(|text| text.split_once(';'))
        else {
            // Resets the palette.
            if let Some(number @ (104 | 105)) = text.strip_prefix(']').and_then(|n| n.parse().ok())
            {
                self.looks.remove(&number);
            }
            return;
        };
        let set: Vec<bool> = fields.split(';').map(|field| !matches!(field, "" | "?")).collect();
        match number.parse() {
            // Pairs of a number and a color.
            Ok(number @ 4..=5) if set.iter().skip(1).step_by(2).any(|set| *set) => {
                self.looks.insert(RESET + number);
            }
            Ok(LINK) if set.get(1) == Some(&true) => drop(self.looks.insert(LINK)),
            Ok(LINK) => drop(self.looks.remove(&LINK)),
            // Each further color is for the next number.
            Ok(number @ 10..=19) => {
                let colors = (RESET + number..=RESET + 19).zip(set);
                self.looks.extend(colors.filter_map(|(undo, set)| set.then_some(undo)));
            }
            _ => {}
        }
    }

    fn other(&mut self, undo: &'static str, done: Option<&[u8]>) {
        match done {
            Some(sequence) => drop(self.others.insert(undo, sequence.to_vec())),
            None => drop(self.others.remove(undo)),
        }
    }
}

fn undo_look(number: u16) -> String {
    let no_link = if number == LINK { ";;" } else { "" };
    format!("\x1b]{number}{no_link}\x1b\\")
}

/// The tracked modes that a sequence switches on or off.
fn switched(sequence: &[u8]) -> impl Iterator<Item = (TerminalMode, bool)> {
    let (numbers, is_private) = match sequence {
        [b'[', b'?', numbers @ .., b'h' | b'l'] => (numbers, true),
        [b'[', numbers @ .., b'h' | b'l'] => (numbers, false),
        _ => (&[][..], false),
    };
    let on = sequence.last() == Some(&b'h');
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let numbers = numbers.split(|byte| *byte == b';').filter_map(number);
    numbers.filter_map(move |number| match is_private {
        true => PRIVATE_MODES.contains(&number).then_some((TerminalMode::Private(number), on)),
        false => ANSI_MODES.contains(&number).then_some((TerminalMode::Ansi(number), on)),
    })
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
            ("\x1b[2h\x1b[4;20h", "\x1b[2l\x1b[4l\x1b[20l"),
            ("\x1b[20h\x1b[20l\x1b[12l\x1b[12h", ""),
            ("\x1b)0\x0eqqq", "\x0f\x1b)B"),
            ("\x1b)0\x0eqqq\x0f", "\x1b)B"),
            ("\x1bn\x1b*0\x1b+<\x1b%@", "\x0f\x1b%G\x1b*B\x1b+B"),
            ("\x1b[?69h\x1b[10;20s", "\x1b[?69l"),
            ("\x1b[=5u\x1b[5i", "\x1b[4i\x1b[=0u"),
            ("\x1b[?2l\x1b[?1h", "\x1b<\x1b[?1l"),
            ("\x1b[?2l\x1b<", ""),
        ] {
            assert_eq!(undo(output), expected, "{output:?}");
        }
        assert_eq!(undo(&format!("\x1b[{}h\x1b[?1h", "1;".repeat(10_000))), "\x1b[?1l");
    }

    #[test]
    fn colors_and_links_are_taken_back_but_not_repeated() {
        for (output, expected) in [
            ("\x1b]4;1;red\x07\x1b]5;0;#ff0000\x1b\\", "\x1b]104\x1b\\\x1b]105\x1b\\"),
            ("\x1b]4;1;?\x07\x1b]11;?\x07\x1b]104\x07", ""),
            ("\x1b]4;1;?;2;red\x07", "\x1b]104\x1b\\"),
            ("\x1b]4;1;red\x07\x1b]104\x07", ""),
            ("\x1b]10;red;black\x07\x1b]12;?\x07", "\x1b]110\x1b\\\x1b]111\x1b\\"),
            ("\x1b]8;id=1;http://a/\x07link", "\x1b]8;;\x1b\\"),
            ("\x1b]8;;http://a/\x07link\x1b]8;;\x07", ""),
            ("\x1b]0;title\x07\x1b]19;a;b;c\x07", "\x1b]119\x1b\\"),
            ("\x1b]11;#00", "\x1b\\\x1b]111\x1b\\"),
            ("\x1b]4294967296;1;red\x07\x1bP4;1;red\x07", ""),
        ] {
            let mut modes = TerminalModes::default();
            output.bytes().for_each(|byte| modes.watch(&[byte]));
            assert_eq!(modes.restore(), b"", "{output:?}");
            let undo = String::from_utf8(modes.undo()).unwrap().replacen("\x1b[0m", "", 1);
            assert_eq!(undo, expected, "{output:?}");
            assert!(!modes.is_switched());
        }
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
