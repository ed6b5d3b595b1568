use crate::model::{Message, MessageClass};

use super::place::Place;

/// An error whose spans are still numbers, without excerpts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub message: Message,
    pub marks: Vec<(Place, String)>,
}

impl Fault {
    pub fn at(place: Place, text: impl Into<String>) -> Fault {
        Fault {
            message: Message::new(MessageClass::Config, text),
            marks: vec![(place, String::new())],
        }
    }

    pub fn placeless(class: MessageClass, text: impl Into<String>) -> Fault {
        Fault { message: Message::new(class, text), marks: Vec::new() }
    }

    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.message.help = help.into();
        self
    }

    /// Sets the label of the last span.
    pub fn label(mut self, label: impl Into<String>) -> Fault {
        if let Some(mark) = self.marks.last_mut() {
            mark.1 = label.into();
        }
        self
    }

    pub fn also(mut self, place: Place, label: impl Into<String>) -> Fault {
        self.marks.push((place, label.into()));
        self
    }
}
