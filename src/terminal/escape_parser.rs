/// In bytes. No longer sequence matters here.
const SEQUENCE: usize = 64;

/// Finds escape sequences in terminal output.
#[derive(Debug, Default)]
pub(super) struct EscapeParser(ParserState);

#[derive(Debug, Default)]
enum ParserState {
    #[default]
    Text,
    /// The bytes after ESC so far.
    Sequence(Vec<u8>),
    /// In a title or similar string.
    String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum EscapeToken {
    Text,
    /// Part of an unfinished sequence, or of a string that is not shown.
    Hidden,
    /// The last byte of a sequence, with all bytes after ESC.
    Sequence(Vec<u8>),
}

impl EscapeParser {
    pub fn take(&mut self, byte: u8) -> EscapeToken {
        match (&mut self.0, byte) {
            (_, 0x1b) => self.0 = ParserState::Sequence(Vec::new()),
            (ParserState::Text, _) => return EscapeToken::Text,
            (ParserState::String, 0x07) => self.0 = ParserState::Text,
            (ParserState::String, _) => {}
            (ParserState::Sequence(sequence), _) => {
                sequence.push(byte);
                if let [b']' | b'P' | b'X' | b'^' | b'_'] = sequence[..] {
                    self.0 = ParserState::String;
                } else if is_over(sequence) {
                    let sequence = std::mem::take(sequence);
                    self.0 = ParserState::Text;
                    return EscapeToken::Sequence(sequence);
                } else if sequence.len() >= SEQUENCE {
                    self.0 = ParserState::Text;
                }
            }
        }
        EscapeToken::Hidden
    }

    /// Whether the next byte is text, unless it is ESC.
    pub fn is_text(&self) -> bool {
        matches!(self.0, ParserState::Text)
    }

    /// Returns what terminates an open string, during which a terminal shows nothing.
    pub fn end(&mut self) -> &'static str {
        match std::mem::take(&mut self.0) {
            ParserState::Text | ParserState::Sequence(_) => "",
            ParserState::String => "\x1b\\",
        }
    }
}

/// Whether the bytes after ESC are complete: `[` to a letter, intermediates and one more, or one.
fn is_over(sequence: &[u8]) -> bool {
    match sequence {
        [b'['] => false,
        [b'[', .., last] => (0x40..0x7f).contains(last),
        [.., last] => !(0x20..0x30).contains(last),
        [] => false,
    }
}
