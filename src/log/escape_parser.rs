/// Finds escape sequences in the characters of service output, for the log and for terminals.
#[derive(Debug, Default)]
pub(crate) struct EscapeParser {
    state: EscapeState,
    /// The characters after ESC so far, all of them ASCII. Emptied by the next sequence.
    sequence: Vec<u8>,
}

/// Position of the next character within an escape sequence.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum EscapeState {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate character; a final one follows.
    Intermediate,
    /// In the parameters of a control sequence.
    Control,
    /// In a string that is not displayed: title, clipboard, device control.
    String,
    /// After ESC in such a string.
    StringEscape,
}

/// What a character is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EscapeToken {
    Text,
    /// Part of an unfinished or aborted sequence, or of a string that is not shown.
    Hidden,
    /// The last character of a sequence: [`EscapeParser::sequence`] has it.
    Sequence,
    /// The last character of a string that is not shown, of which [`EscapeParser::sequence`] has the
    /// beginning, or all of it if it is short.
    StringEnd,
}

impl EscapeParser {
    /// Longest sequence that is kept, in bytes. No longer one matters.
    const MAX_SEQUENCE: usize = 66;

    pub fn take(&mut self, c: char) -> EscapeToken {
        match (self.state, c) {
            // CAN and SUB abort every sequence.
            (EscapeState::Text, '\x18' | '\x1a') => return EscapeToken::Text,
            (_, '\x18' | '\x1a') => self.state = EscapeState::Text,
            (EscapeState::String, '\x07' | '\u{9c}') | (EscapeState::StringEscape, '\\') => {
                self.state = EscapeState::Text;
                return EscapeToken::StringEnd;
            }
            (EscapeState::String, '\x1b') => self.state = EscapeState::StringEscape,
            (EscapeState::String, _) => self.push(c),
            (_, '\x1b') => self.begin(EscapeState::Escape),
            // C1 controls: equivalent to ESC and the letter 64 code points below.
            (EscapeState::Text, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => {
                self.begin(EscapeState::String);
            }
            (EscapeState::Text, '\u{9b}') => {
                self.begin(EscapeState::Control);
                self.sequence.push(b'[');
            }
            (EscapeState::Text, _) => return EscapeToken::Text,
            (EscapeState::Escape | EscapeState::StringEscape, _) => return self.escape(c),
            (EscapeState::Intermediate, ' '..='/') => self.push(c),
            (EscapeState::Intermediate, _) => return self.finish(c),
            (EscapeState::Control, ' '..='?') => self.push(c),
            (EscapeState::Control, '@'..='~') => return self.finish(c),
            // Control characters within a sequence are not part of it.
            (EscapeState::Control, '\0'..='\x1f' | '\x7f') => {}
            (EscapeState::Control, _) => self.state = EscapeState::Text,
        }
        EscapeToken::Hidden
    }

    fn escape(&mut self, c: char) -> EscapeToken {
        let state = match c {
            '[' => EscapeState::Control,
            ']' | 'P' | 'X' | '^' | '_' => EscapeState::String,
            ' '..='/' => EscapeState::Intermediate,
            _ => return self.finish(c),
        };
        self.begin(state);
        self.push(c);
        EscapeToken::Hidden
    }

    fn begin(&mut self, state: EscapeState) {
        self.sequence.clear();
        self.state = state;
    }

    fn push(&mut self, c: char) {
        if self.sequence.len() <= Self::MAX_SEQUENCE {
            self.sequence.push(if c.is_ascii() { c as u8 } else { b'?' });
        }
    }

    /// Ends a sequence, unless it is too long or its last character is not ASCII.
    fn finish(&mut self, c: char) -> EscapeToken {
        if self.state == EscapeState::StringEscape {
            self.sequence.clear();
        }
        self.push(c);
        self.state = EscapeState::Text;
        match c.is_ascii() && self.sequence.len() <= Self::MAX_SEQUENCE {
            true => EscapeToken::Sequence,
            false => EscapeToken::Hidden,
        }
    }

    /// Returns all characters after ESC of the sequence that has just ended.
    pub fn sequence(&self) -> &[u8] {
        &self.sequence
    }

    /// Whether the next character is text, unless it begins a sequence.
    pub fn is_text(&self) -> bool {
        self.state == EscapeState::Text
    }

    /// Ends an unfinished sequence, and returns what ends an open string in a terminal, which shows
    /// nothing during it.
    pub fn end(&mut self) -> &'static str {
        match std::mem::take(&mut self.state) {
            EscapeState::String => "\x1b\\",
            EscapeState::Text
            | EscapeState::Escape
            | EscapeState::Intermediate
            | EscapeState::Control
            | EscapeState::StringEscape => "",
        }
    }
}

/// Returns the character that a byte stands for in a sequence. Bytes of other characters than ASCII
/// are no part of any.
pub(crate) fn byte_character(byte: u8) -> char {
    if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER }
}
