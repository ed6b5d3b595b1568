//! Keys and mouse events, from the bytes that a terminal sends.

/// What the user did with keyboard or mouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserInput {
    Key(KeyPress),
    /// Text from the clipboard.
    Paste(String),
    /// A click at this column and row.
    Click(u16, u16),
    /// So many lines down; negative: up.
    Wheel(i32),
}

/// A key, with what matters of its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPress {
    /// A character.
    Char(char),
    /// A letter with Ctrl.
    Ctrl(char),
    Enter,
    /// Escape.
    Esc,
    Tab,
    /// Shift-Tab.
    BackTab,
    Backspace,
    Delete,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Arrow up with Shift or Ctrl.
    FarUp,
    /// Arrow down with Shift or Ctrl.
    FarDown,
    Home,
    End,
    PageUp,
    PageDown,
}

/// Cuts bytes into keys. A sequence may be cut between two reads; a lone escape character at the end
/// of one is the key.
#[derive(Debug, Default)]
pub struct KeyParser {
    pending: Vec<u8>,
    paste: Option<Vec<u8>>,
}

/// Most bytes of a paste that are taken.
const PASTE_MAX: usize = 4096;
/// Longest sequence of a key or mouse event.
const SEQUENCE_MAX: usize = 64;
const PASTE_END: &[u8] = b"\x1b[201~";
/// Lines that one step of the wheel is worth.
const WHEEL_LINES: i32 = 3;

impl KeyParser {
    /// Returns what the user did, as far as it is complete.
    pub fn parse(&mut self, bytes: &[u8]) -> Vec<UserInput> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut inputs = Vec::new();
        let mut rest = &pending[..];
        while !rest.is_empty() {
            let Some((len, input)) = self.first(rest) else {
                if rest.len() < SEQUENCE_MAX || self.paste.is_some() {
                    self.pending = rest.to_vec();
                }
                break;
            };
            inputs.extend(input);
            rest = &rest[len..];
        }
        inputs
    }

    /// Returns the length of the first input, and what it means; `None`: it is not complete.
    fn first(&mut self, bytes: &[u8]) -> Option<(usize, Option<UserInput>)> {
        if let Some(text) = &mut self.paste {
            let end = memchr::memmem::find(bytes, PASTE_END);
            let len = end.unwrap_or(bytes.len().saturating_sub(PASTE_END.len() - 1));
            let room = PASTE_MAX.saturating_sub(text.len());
            text.extend_from_slice(&bytes[..len.min(room)]);
            if end.is_none() {
                return (len > 0).then_some((len, None));
            }
            let text = self.paste.take().unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            return Some((len + PASTE_END.len(), Some(UserInput::Paste(text))));
        }
        match bytes {
            [0x1b] => Some((1, Some(UserInput::Key(KeyPress::Esc)))),
            [0x1b, b'[' | b'O', ..] => self.sequence(bytes),
            // Alt with a key is the key.
            [0x1b, 0x1b, ..] => Some((1, Some(UserInput::Key(KeyPress::Esc)))),
            [0x1b, ..] => Some((1, None)),
            _ => character(bytes),
        }
    }

    fn sequence(&mut self, bytes: &[u8]) -> Option<(usize, Option<UserInput>)> {
        let end = 2 + bytes[2..].iter().position(|byte| matches!(byte, 0x40..=0x7e))?;
        let parameters = std::str::from_utf8(&bytes[2..end]).unwrap_or_default();
        if (parameters, bytes[end]) == ("200", b'~') {
            self.paste = Some(Vec::new());
            return Some((end + 1, None));
        }
        let input = match parameters.strip_prefix('<') {
            Some(mouse) => mouse_event(mouse, bytes[end]),
            None => key(parameters, bytes[end]).map(UserInput::Key),
        };
        Some((end + 1, input))
    }
}

fn key(parameters: &str, end: u8) -> Option<KeyPress> {
    let is_modified = parameters.split_once(';').is_some_and(|(_, with)| with != "1");
    Some(match (end, parameters.split(';').next().unwrap_or_default()) {
        (b'A', _) if is_modified => KeyPress::FarUp,
        (b'B', _) if is_modified => KeyPress::FarDown,
        (b'A', _) => KeyPress::Up,
        (b'B', _) => KeyPress::Down,
        (b'C', _) => KeyPress::Right,
        (b'D', _) => KeyPress::Left,
        (b'H', _) | (b'~', "1" | "7") => KeyPress::Home,
        (b'F', _) | (b'~', "4" | "8") => KeyPress::End,
        (b'Z', _) => KeyPress::BackTab,
        (b'M', "") => KeyPress::Enter,
        (b'~', "3") => KeyPress::Delete,
        (b'~', "5") => KeyPress::PageUp,
        (b'~', "6") => KeyPress::PageDown,
        _ => return None,
    })
}

fn mouse_event(parameters: &str, end: u8) -> Option<UserInput> {
    let mut numbers = parameters.split(';').map(|number| number.parse::<u16>().ok());
    let (button, column, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    match (button, end) {
        (0, b'M') => Some(UserInput::Click(column.saturating_sub(1), row.saturating_sub(1))),
        (64, _) => Some(UserInput::Wheel(-WHEEL_LINES)),
        (65, _) => Some(UserInput::Wheel(WHEEL_LINES)),
        _ => None,
    }
}

fn character(bytes: &[u8]) -> Option<(usize, Option<UserInput>)> {
    let len = match bytes[0] {
        0x00..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return Some((1, None)),
    };
    let text = std::str::from_utf8(bytes.get(..len)?);
    let Some(c) = text.ok().and_then(|text| text.chars().next()) else { return Some((1, None)) };
    let key = match c {
        '\r' | '\n' => KeyPress::Enter,
        '\t' => KeyPress::Tab,
        '\x08' | '\x7f' => KeyPress::Backspace,
        '\x01'..='\x1a' => KeyPress::Ctrl((c as u8 - 1 + b'a') as char),
        '\0'..='\x1f' | '\u{80}'..='\u{9f}' => return Some((len, None)),
        c => KeyPress::Char(c),
    };
    Some((len, Some(UserInput::Key(key))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<KeyPress> {
        let inputs = KeyParser::default().parse(bytes);
        let key = |input| match input {
            UserInput::Key(key) => key,
            other => panic!("{other:?}"),
        };
        inputs.into_iter().map(key).collect()
    }

    #[test]
    fn keys_of_usual_terminals() {
        use KeyPress::*;
        assert_eq!(keys("aÄ世".as_bytes()), [Char('a'), Char('Ä'), Char('世')]);
        assert_eq!(keys(b"\r\t\x7f\x03\x1a"), [Enter, Tab, Backspace, Ctrl('c'), Ctrl('z')]);
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[1;5A\x1b[1;2B"), [Up, Down, FarUp, FarDown]);
        assert_eq!(
            keys(b"\x1b[5~\x1b[6~\x1b[H\x1b[4~\x1b[Z"),
            [PageUp, PageDown, Home, End, BackTab]
        );
        assert_eq!(keys(b"\x1b"), [Esc]);
        assert_eq!(keys(b"\x1bx\xff\x80"), [Char('x')]);
    }

    #[test]
    fn sequences_may_come_in_pieces() {
        let mut parser = KeyParser::default();
        assert_eq!(parser.parse(b"\x1b["), []);
        assert_eq!(parser.parse(b"A"), [UserInput::Key(KeyPress::Up)]);
        assert_eq!(parser.parse(b"\xc3"), []);
        assert_eq!(parser.parse(b"\xa4"), [UserInput::Key(KeyPress::Char('ä'))]);
        let whole = b"x\x1b[200~r\x1b[As\n\x1b[201~y";
        for cut in 2..whole.len() {
            let mut parser = KeyParser::default();
            let mut inputs = parser.parse(&whole[..cut]);
            inputs.extend(parser.parse(&whole[cut..]));
            if whole[cut - 1] == 0x1b && cut < 4 {
                continue;
            }
            let paste = UserInput::Paste("r\x1b[As\n".to_owned());
            assert!(inputs.contains(&paste), "{cut}: {inputs:?}");
            assert_eq!(inputs.last(), Some(&UserInput::Key(KeyPress::Char('y'))), "{cut}");
        }
    }

    #[test]
    fn what_has_no_end_is_dropped_at_some_time() {
        let mut parser = KeyParser::default();
        assert_eq!(
            parser.parse(
                b"\x1b[111111111111111111111111111111111111111111111111111111111111111111111"
            ),
            []
        );
        assert_eq!(parser.parse(b"q"), [UserInput::Key(KeyPress::Char('q'))]);
    }

    #[test]
    fn the_mouse_clicks_and_turns() {
        let inputs =
            KeyParser::default().parse(b"\x1b[<0;5;7M\x1b[<0;5;7m\x1b[<64;1;1M\x1b[<65;1;1M");
        assert_eq!(inputs, [UserInput::Click(4, 6), UserInput::Wheel(-3), UserInput::Wheel(3)]);
    }
}
