/// The longest sequence that is looked at: longer ones are none that matter here.
const SEQUENCE: usize = 64;

/// Where in its sequences the output of a terminal is.
#[derive(Debug, Default)]
pub(super) struct Escapes(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// After ESC, with what came since.
    Sequence(Vec<u8>),
    /// In a title or the like.
    String,
}

/// What a byte is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// For the screen.
    Text,
    /// In a sequence that is not over, or in a text that is not for the screen.
    Hidden,
    /// The last one of a sequence: what came after ESC.
    Sequence(Vec<u8>),
}

impl Escapes {
    /// Takes the next byte.
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

    /// Whether the next byte is text unless it is ESC.
    pub fn is_text(&self) -> bool {
        matches!(self.0, State::Text)
    }

    /// What ends what is open: until then a terminal shows nothing.
    pub fn end(&mut self) -> &'static str {
        match std::mem::take(&mut self.0) {
            State::Text | State::Sequence(_) => "",
            State::String => "\x1b\\",
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
