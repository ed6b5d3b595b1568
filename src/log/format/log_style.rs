/// How printed lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStyle {
    /// Whether names and status lines are colored.
    pub color: bool,
    /// Whether each line starts with the name of its service.
    pub prefix: bool,
    /// Whether each line starts with `HH:MM:SS` in local time.
    pub timestamps: bool,
    /// How to treat escape sequences and control characters of services.
    pub escapes: EscapeMode,
    /// Whether each line is a JSON object; the other settings then have no effect.
    pub json: bool,
}

/// How to treat escape sequences and control characters of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscapeMode {
    /// Keeps all bytes of the service, for a pipe or a file.
    Keep,
    /// Keeps colors and removes everything else that could harm or confuse a terminal.
    Colors,
    /// Removes all of them, colors included.
    Strip,
}

impl LogStyle {
    /// Returns the style for a terminal or a pipe, with or without `NO_COLOR`.
    ///
    /// A pipe gets the bytes of the service unchanged: the program that reads them may want all of
    /// them. `NO_COLOR` asks for plain text there as well.
    pub fn new(terminal: bool, no_color: bool) -> LogStyle {
        let escapes = match (terminal, no_color) {
            (_, true) => EscapeMode::Strip,
            (true, false) => EscapeMode::Colors,
            (false, false) => EscapeMode::Keep,
        };
        LogStyle {
            color: terminal && !no_color,
            prefix: true,
            timestamps: false,
            escapes,
            json: false,
        }
    }
}
