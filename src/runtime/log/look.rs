/// How the log looks where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether names and devstack's own lines are coloured.
    pub color: bool,
    /// Whether each line starts with the name of its service.
    pub prefix: bool,
    /// Whether each line starts with `HH:MM:SS`, local time.
    pub timestamps: bool,
    /// What becomes of escape sequences and control characters in service lines.
    pub escapes: Escapes,
    /// Whether each line is a JSON object; the rest then counts for nothing.
    pub json: bool,
}

/// What becomes of escape sequences and control characters in service lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// They stay: the bytes of the service as they are, for a pipe or a file.
    Keep,
    /// Colours stay, everything else that could harm or confuse a terminal goes.
    Colors,
    /// All go, colours too: plain text.
    Strip,
}

impl Look {
    /// How it looks on a terminal (`terminal`) or in a pipe, and with `NO_COLOR` (`no_color`).
    ///
    /// A pipe gets the bytes of the service as they are: who reads them is a program that may want
    /// all of them. With `NO_COLOR` the user asked for plain text, there too.
    pub fn new(terminal: bool, no_color: bool) -> Look {
        let escapes = match (terminal, no_color) {
            (_, true) => Escapes::Strip,
            (true, false) => Escapes::Colors,
            (false, false) => Escapes::Keep,
        };
        Look { color: terminal && !no_color, prefix: true, timestamps: false, escapes, json: false }
    }
}
