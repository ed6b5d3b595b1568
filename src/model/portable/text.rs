use std::path::PathBuf;

/// A text in which the values of env files and of the environment are left open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortableText {
    /// Its pieces; no two literals in a row, and none that is empty.
    pub pieces: Vec<TextPiece>,
}

/// A piece of a [`PortableText`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextPiece {
    /// Known text.
    Literal(String),
    Variable(PortableVariable),
}

/// A variable whose value is left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortableVariable {
    pub name: String,
    /// The env file that sets it; `None`: the environment, if at all.
    pub file: Option<PathBuf>,
    /// What to do if it is not set.
    pub missing: MissingVariable,
}

/// What to do if a variable is not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingVariable {
    /// Fail.
    Fail,
    /// Use this text, also if the variable is empty.
    Default(PortableText),
    /// Fail with this message, also if the variable is empty.
    Message(String),
}

impl PortableText {
    /// Appends known text.
    pub fn push_literal(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(TextPiece::Literal(last)) => last.push_str(text),
            Some(TextPiece::Variable(_)) | None => {
                self.pieces.push(TextPiece::Literal(text.to_owned()));
            }
        }
    }

    /// Appends another text.
    pub fn push(&mut self, text: PortableText) {
        for piece in text.pieces {
            match piece {
                TextPiece::Literal(text) => self.push_literal(&text),
                TextPiece::Variable(_) => self.pieces.push(piece),
            }
        }
    }

    /// Returns the whole text if nothing in it is open.
    pub fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [TextPiece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the open variables, without those in default values.
    pub fn variables(&self) -> impl Iterator<Item = &PortableVariable> {
        self.pieces.iter().filter_map(|piece| match piece {
            TextPiece::Literal(_) => None,
            TextPiece::Variable(variable) => Some(variable),
        })
    }

    /// Writes it in another syntax.
    pub fn render(
        &self,
        literal: impl Fn(&str) -> String,
        variable: impl Fn(&PortableVariable) -> String,
    ) -> String {
        let piece = |piece: &TextPiece| match piece {
            TextPiece::Literal(text) => literal(text),
            TextPiece::Variable(open) => variable(open),
        };
        self.pieces.iter().map(piece).collect()
    }
}

impl From<&str> for PortableText {
    fn from(text: &str) -> PortableText {
        let mut portable = PortableText::default();
        portable.push_literal(text);
        portable
    }
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortableCommand {
    /// A text for `sh -c`.
    Shell(PortableText),
    /// A program with its arguments; at least one word.
    Exec(Vec<PortableText>),
}

impl PortableCommand {
    /// Returns its texts: the one for the shell, or the words.
    pub fn texts(&self) -> &[PortableText] {
        match self {
            PortableCommand::Shell(text) => std::slice::from_ref(text),
            PortableCommand::Exec(words) => words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_joined() {
        let mut text = PortableText::from("a");
        text.push_literal("");
        text.push(PortableText::from("b"));
        assert_eq!(text.as_literal(), Some("ab"));
        let open =
            PortableVariable { name: "X".to_owned(), file: None, missing: MissingVariable::Fail };
        text.push(PortableText { pieces: vec![TextPiece::Variable(open)] });
        assert_eq!(text.as_literal(), None);
        assert_eq!(text.variables().count(), 1);
        let shown = text.render(str::to_uppercase, |open| format!("<{}>", open.name));
        assert_eq!(shown, "AB<X>");
        assert_eq!(PortableText::default().as_literal(), Some(""));
    }
}
