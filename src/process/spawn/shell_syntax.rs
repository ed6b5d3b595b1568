/// What a shell would see in a command.
#[derive(Debug, Default)]
pub(super) struct ShellSyntax {
    /// An expansion or comment: variables, globs, `~`, braces, `#`.
    pub expands: bool,
    /// `<` or `>`.
    pub redirects: bool,
    /// More commands than at `separators`: a pipeline, subshell, background job or substitution.
    pub compound: bool,
    /// Where further commands begin: after `&&`, `;` and line ends.
    pub separators: Vec<usize>,
    /// A comment or here-document, in which separators mean nothing.
    pub hides_links: bool,
    /// Where the program begins, after assignments such as `A=1 B=2`.
    pub program_at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum QuoteState {
    Plain,
    Single,
    Double,
}

impl ShellSyntax {
    pub fn scan(text: &str) -> ShellSyntax {
        let mut syntax = ShellSyntax::default();
        let mut state = QuoteState::Plain;
        let mut before = ' ';
        let mut chars = text.char_indices().peekable();
        let mut assignments = AssignmentScan::default();
        while let Some((at, c)) = chars.next() {
            assignments.see(at, c, state);
            match (state, c) {
                (QuoteState::Plain | QuoteState::Double, '\\') => {
                    // Only the shell handles a line continuation.
                    syntax.expands |= chars.next().is_none_or(|(_, escaped)| escaped == '\n');
                }
                (QuoteState::Plain, '\'') => state = QuoteState::Single,
                (QuoteState::Plain, '"') => state = QuoteState::Double,
                (QuoteState::Single, '\'') | (QuoteState::Double, '"') => state = QuoteState::Plain,
                (QuoteState::Single, _) => {}
                (QuoteState::Plain | QuoteState::Double, '$') => {
                    syntax.expands = true;
                    syntax.compound |= chars.peek().is_some_and(|(_, next)| *next == '(');
                }
                (QuoteState::Plain | QuoteState::Double, '`') => syntax.compound = true,
                (QuoteState::Double, _) => {}
                (QuoteState::Plain, '&') if chars.next_if(|(_, next)| *next == '&').is_some() => {
                    syntax.separators.push(at + 2);
                }
                // `2>&1` duplicates a descriptor; any other `&` starts another command.
                (QuoteState::Plain, '&') => syntax.compound |= !matches!(before, '<' | '>'),
                (QuoteState::Plain, ';' | '\n') => syntax.separators.push(at + 1),
                (QuoteState::Plain, '|' | '(' | ')') => syntax.compound = true,
                (QuoteState::Plain, '<' | '>') => {
                    syntax.redirects = true;
                    syntax.hides_links |= before == '<' && c == '<';
                }
                (QuoteState::Plain, '#') => (syntax.expands, syntax.hides_links) = (true, true),
                (QuoteState::Plain, '*' | '?' | '[' | ']' | '{' | '}' | '~') => {
                    syntax.expands = true
                }
                (QuoteState::Plain, _) => {}
            }
            before = c;
        }
        syntax.program_at = assignments.program_at(text.len());
        syntax
    }
}

/// Finds the assignments before the program.
#[derive(Default)]
struct AssignmentScan {
    /// Where the current word begins, and whether it is `name=` so far.
    word: Option<(usize, AssignmentWord)>,
    /// Where the first word that is not an assignment begins.
    program: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AssignmentWord {
    Name,
    Assignment,
}

impl AssignmentScan {
    fn see(&mut self, at: usize, c: char, state: QuoteState) {
        if self.program.is_some() {
            return;
        }
        match self.word {
            Some((start, AssignmentWord::Name)) => match c {
                '=' if at > start => self.word = Some((start, AssignmentWord::Assignment)),
                'a'..='z' | 'A'..='Z' | '_' => {}
                '0'..='9' if at > start => {}
                _ => self.program = Some(start),
            },
            Some((_, AssignmentWord::Assignment)) => {
                if state == QuoteState::Plain && matches!(c, ' ' | '\t') {
                    self.word = None;
                }
            }
            None if matches!(c, ' ' | '\t') => {}
            None if c.is_ascii_alphabetic() || c == '_' => {
                self.word = Some((at, AssignmentWord::Name))
            }
            None => self.program = Some(at),
        }
    }

    fn program_at(&self, end: usize) -> usize {
        match (self.program, self.word) {
            (Some(start), _) | (None, Some((start, AssignmentWord::Name))) => start,
            (None, Some((_, AssignmentWord::Assignment)) | None) => end,
        }
    }
}
