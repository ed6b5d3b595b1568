use crate::model::{Class, Message};

use super::place::Place;

/// A mistake before it is shown: places are numbers, not yet excerpts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub message: Message,
    pub marks: Vec<(Place, String)>,
}

impl Fault {
    /// A mistake in the configuration at a place.
    pub fn at(place: Place, text: impl Into<String>) -> Fault {
        Fault { message: Message::new(Class::Config, text), marks: vec![(place, String::new())] }
    }

    /// A mistake that no file is to blame for.
    pub fn placeless(class: Class, text: impl Into<String>) -> Fault {
        Fault { message: Message::new(class, text), marks: Vec::new() }
    }

    /// The remedy.
    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.message.help = help.into();
        self
    }

    /// A word beside the underlined text.
    pub fn label(mut self, label: impl Into<String>) -> Fault {
        if let Some(mark) = self.marks.last_mut() {
            mark.1 = label.into();
        }
        self
    }

    /// Another place that belongs to the mistake.
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Fault {
        self.marks.push((place, label.into()));
        self
    }
}
