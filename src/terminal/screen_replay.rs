use super::terminal_modes;
use crate::log::escape_parser::{EscapeParser, EscapeToken, byte_character};

/// Reduces `output` to what a client may see later: text on the main screen since it was last
/// cleared, colors, and what moves or erases within a line. Drops bell, title, clipboard and all
/// that a terminal answers, because the answers would be typed into the service. `alt_screen`: the
/// output ends on the alt screen.
pub(super) fn replay_screen(output: &[u8], elsewhere: bool) -> Vec<u8> {
    let mut replay = ScreenReplay { text: Vec::with_capacity(output.len()), elsewhere: false };
    let mut escapes = EscapeParser::default();
    for byte in output {
        match escapes.take(byte_character(*byte)) {
            EscapeToken::Text => replay.text(*byte),
            EscapeToken::Sequence => replay.sequence(escapes.sequence()),
            EscapeToken::StringEnd | EscapeToken::Hidden => {}
        }
    }
    if elsewhere && !replay.elsewhere {
        // It was on the alt screen from the beginning.
        replay.text.clear();
    }
    replay.text
}

struct ScreenReplay {
    text: Vec<u8>,
    elsewhere: bool,
}

impl ScreenReplay {
    fn text(&mut self, byte: u8) {
        let shown = matches!(byte, b'\n' | b'\r' | b'\t' | 0x08) || (byte >= 0x20 && byte != 0x7f);
        if shown && !self.elsewhere {
            self.text.push(byte);
        }
    }

    fn sequence(&mut self, sequence: &[u8]) {
        if let Some(elsewhere) = terminal_modes::alt_screen_switch(sequence) {
            if !elsewhere && !self.elsewhere {
                // The output began on the alt screen.
                self.text.clear();
            }
            self.elsewhere = elsewhere;
        } else if !self.elsewhere {
            match sequence {
                b"c" | b"[2J" | b"[3J" => self.text.clear(),
                [b'(', _] => self.pass(sequence),
                [b'[', numbers @ .., b'C' | b'D' | b'G' | b'K' | b'P' | b'@' | b'X' | b'm']
                    if numbers.iter().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')) =>
                {
                    self.pass(sequence);
                }
                _ => {}
            }
        }
    }

    fn pass(&mut self, sequence: &[u8]) {
        self.text.push(0x1b);
        self.text.extend_from_slice(sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(output: &str, elsewhere: bool) -> String {
        String::from_utf8(replay_screen(output.as_bytes(), elsewhere)).unwrap()
    }

    #[test]
    fn nothing_that_a_terminal_answers_comes_again() {
        for question in [
            "\x1b[6n",
            "\x1b[?6n",
            "\x1b[5n",
            "\x1b[c",
            "\x1b[>c",
            "\x1b[=c",
            "\x1bZ",
            "\x05",
            "\x1b[>q",
            "\x1b[?1$p",
            "\x1b[x",
            "\x1b[18t",
            "\x1b[?u",
            "\x1b]11;?\x07",
            "\x1b]52;c;?\x1b\\",
            "\x1bP+q544e\x1b\\",
            "\x1b_Ga=q\x1b\\",
        ] {
            assert_eq!(shown(&format!("a{question}b"), false), "ab", "{question:?}");
        }
    }

    #[test]
    fn a_line_looks_as_it_did() {
        for text in [
            "(Pdb) ",
            "\x1b[1;31mred\x1b[0m äö\r\n",
            "10%\r20%\x1b[K",
            "ab\x08\x08\x1b[1Px\x1b[3G",
            "\x1b(0qq\x1b(B",
        ] {
            assert_eq!(shown(text, false), text);
        }
        assert_eq!(
            shown("a\x07\x1b]0;title\x07b\x1b[5;5Hc\x1b[?25l\x1b[10Ad\x1b[?2004h", false),
            "abcd"
        );
        assert_eq!(shown("old\r\n\x1b[H\x1b[2Jnew\x1b[", false), "new");
    }

    #[test]
    fn what_full_screen_programs_draw_is_left_out() {
        assert_eq!(shown("$ vim\r\n\x1b[?1049h~ text\x1b[?1049l$ ", false), "$ vim\r\n$ ");
        assert_eq!(shown("$ vim\r\n\x1b[?1049h~ text", true), "$ vim\r\n");
        assert_eq!(shown("~ half of it\x1b[?1049l$ ", false), "$ ");
        assert_eq!(shown("~ half of it", true), "");
        assert_eq!(shown("~ half\x1b[?1049lx\x1b[?47h~", true), "x");
    }
}
