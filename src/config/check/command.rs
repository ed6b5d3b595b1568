use super::ConfigChecker;
use crate::config::parse::{RawValue, SpannedValue};
use crate::config::spec::CommandSpec;
use crate::config::template::TemplateSyntax;

impl ConfigChecker<'_, '_> {
    /// A string for the shell, or an array that is executed as is.
    pub(super) fn command(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<CommandSpec> {
        match &node.value {
            RawValue::Text(text) if !text.trim().is_empty() => {
                Some(CommandSpec::Shell(self.template(text, node.at, TemplateSyntax::References)))
            }
            RawValue::List(words) if words.first().is_some_and(|word| !is_empty(word)) => {
                let words = words.iter().map(|word| {
                    let text = self.text(&format!("{key}[]"), word);
                    text.map(|text| self.template(text, word.at, TemplateSyntax::Full))
                });
                words.collect::<Option<Vec<_>>>().map(CommandSpec::Exec)
            }
            RawValue::Text(_) | RawValue::List(_) => {
                self.reject(node.at, format!("`{key}` is empty"), "set what to run")
            }
            _ => self.type_error(key, "a string or an array of strings", node),
        }
    }
}

fn is_empty(word: &SpannedValue<'_>) -> bool {
    matches!(&word.value, RawValue::Text(text) if text.is_empty())
}
