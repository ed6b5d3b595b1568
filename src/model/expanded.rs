use std::fmt;

/// A text that variables were put into, with what people may read of it: what an environment file or `env` gives a
/// variable may be a secret, so that such a variable stands there by its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Expanded {
    text: String,
    shown: String,
}

impl Expanded {
    /// The text itself, and the same for people.
    pub fn new(text: impl Into<String>, shown: impl Into<String>) -> Expanded {
        Expanded { text: text.into(), shown: shown.into() }
    }

    /// The text itself: for the system, never for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What people may read.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// A text without secrets.
impl<T: Into<String>> From<T> for Expanded {
    fn from(text: T) -> Expanded {
        let text = text.into();
        Expanded { shown: text.clone(), text }
    }
}

/// A trace is read by people, too.
impl fmt::Debug for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown, f)
    }
}
