use crate::model::{Message, MessageClass};

use super::span::Span;

/// An error whose spans are still numbers, without excerpts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DiagnosticBuilder {
    pub message: Message,
    pub marks: Vec<(Span, String)>,
}

impl DiagnosticBuilder {
    /// An error at a place, or without one if it is about no place in a file.
    pub fn at(place: impl Into<Option<Span>>, text: impl Into<String>) -> DiagnosticBuilder {
        let marks = place.into().into_iter().map(|place| (place, String::new())).collect();
        DiagnosticBuilder { message: Message::new(MessageClass::Config, text), marks }
    }

    /// An error in the command line.
    pub fn usage(text: impl Into<String>) -> DiagnosticBuilder {
        DiagnosticBuilder { message: Message::new(MessageClass::Usage, text), marks: Vec::new() }
    }

    pub fn help(mut self, help: impl Into<String>) -> DiagnosticBuilder {
        self.message.help = help.into();
        self
    }

    /// Sets the label of the last span.
    pub fn label(mut self, label: impl Into<String>) -> DiagnosticBuilder {
        if let Some(mark) = self.marks.last_mut() {
            mark.1 = label.into();
        }
        self
    }

    pub fn secondary(mut self, place: Span, label: impl Into<String>) -> DiagnosticBuilder {
        self.marks.push((place, label.into()));
        self
    }
}
