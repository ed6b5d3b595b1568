use std::fmt;

/// Text with expanded variables, and a redacted form for display: values from an env file or `env`
/// may be secrets, so the variable's name stands in their place.
#[derive(Clone, PartialEq, Eq)]
pub struct Expanded {
    text: String,
    shown: String,
}

impl Expanded {
    /// Creates a text with its redacted form.
    pub fn new(text: impl Into<String>, shown: impl Into<String>) -> Expanded {
        Expanded { text: text.into(), shown: shown.into() }
    }

    /// Returns the full text, for the system only; never display it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text for display.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// Text without secrets.
impl<T: Into<String>> From<T> for Expanded {
    fn from(text: T) -> Expanded {
        let text = text.into();
        Expanded { shown: text.clone(), text }
    }
}

/// Debug output appears in traces, so it is redacted too.
impl fmt::Debug for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown, f)
    }
}
