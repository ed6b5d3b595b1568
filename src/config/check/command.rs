use super::ConfigChecker;
use crate::config::diagnostics::DiagnosticBuilder;
use crate::config::parse::{RawValue, SpannedValue};
use crate::config::spec::CommandSpec;
use crate::config::template::TemplateSyntax;

impl ConfigChecker<'_, '_> {
    /// A string for the shell, or an array that is executed as is.
    pub(super) fn command(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<CommandSpec> {
        let empty = match &node.value {
            RawValue::Text(text) => text.trim().is_empty(),
            RawValue::List(words) => match words.first().map(|word| &word.value) {
                Some(RawValue::Text(program)) => program.is_empty(),
                Some(_) => false,
                None => true,
            },
            _ => {
                self.type_error(key, "a string or an array of strings", node);
                return None;
            }
        };
        if empty {
            let fault = DiagnosticBuilder::at(node.at, format!("`{key}` is empty"));
            self.error(fault.help("set what to run"));
            return None;
        }
        match &node.value {
            RawValue::List(words) => {
                let words = words.iter().map(|word| {
                    let text = self.text(&format!("{key}[]"), word);
                    text.map(|text| self.template(text, word.at, TemplateSyntax::Full))
                });
                words.collect::<Option<Vec<_>>>().map(CommandSpec::Exec)
            }
            RawValue::Text(text) => {
                Some(CommandSpec::Shell(self.template(text, node.at, TemplateSyntax::References)))
            }
            _ => None,
        }
    }
}
