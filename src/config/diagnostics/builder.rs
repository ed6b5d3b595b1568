use crate::model::{Message, MessageClass};

use super::span::Span;

/// An error whose spans are still numbers, without excerpts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DiagnosticBuilder {
    pub message: Message,
    pub marks: Vec<(Span, String)>,
}

impl DiagnosticBuilder {
    pub fn at(place: Span, text: impl Into<String>) -> DiagnosticBuilder {
        DiagnosticBuilder {
            message: Message::new(MessageClass::Config, text),
            marks: vec![(place, String::new())],
        }
    }

    pub fn without_span(class: MessageClass, text: impl Into<String>) -> DiagnosticBuilder {
        DiagnosticBuilder { message: Message::new(class, text), marks: Vec::new() }
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
