/// In bytes. No longer sequence matters here.
const SEQUENCE: usize = 64;

/// Finds escape sequences in terminal output.
#[derive(Debug, Default)]
pub(super) struct Escapes(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// The bytes after ESC so far.
    Sequence(Vec<u8>),
    /// In a title or similar string.
    String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text,
    /// Part of an unfinished sequence, or of a string that is not shown.
    Hidden,
    /// The last byte of a sequence, with all bytes after ESC.
    Sequence(Vec<u8>),
}

impl Escapes {
    pub fn take(&mut self, byte: u8) -> Piece {
        match (&mut self.0, byte) {
            (_, 0x1b) => self.0 = State::Sequence(Vec::new()),
            (State::Text, _) => return Piece::Text,
            (State::String, 0x07) => self.0 = State::Text,
            (State::String, _) => {}
            (State::Sequence(sequence), _) => {
                sequence.push(byte);
                if let [b']' | b'P' | b'X' | b'^' | b'_'] = sequence[..] {
                    self.0 = State::String;
                } else if is_over(sequence) {
                    let sequence = std::mem::take(sequence);
                    self.0 = State::Text;
                    return Piece::Sequence(sequence);
                } else if sequence.len() >= SEQUENCE {
                    self.0 = State::Text;
                }
            }
        }
        Piece::Hidden
    }

    /// Whether the next byte is text, unless it is ESC.
    pub fn is_text(&self) -> bool {
        matches!(self.0, State::Text)
    }

    /// Returns what terminates an open string, during which a terminal shows nothing.
    pub fn end(&mut self) -> &'static str {
        match std::mem::take(&mut self.0) {
            State::Text | State::Sequence(_) => "",
            State::String => "\x1b\\",
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
