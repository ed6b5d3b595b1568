use super::super::fault::Fault;
use super::super::node::{Node, Value};
use super::super::spec::CommandSpec;
use super::super::template::Syntax;
use super::Check;

impl Check<'_, '_> {
    /// A string for the shell, or an array that is executed as is.
    pub(super) fn command(&mut self, key: &str, node: &Node<'_>) -> Option<CommandSpec> {
        let empty = match &node.value {
            Value::Text(text) => text.trim().is_empty(),
            Value::List(words) => match words.first().map(|word| &word.value) {
                Some(Value::Text(program)) => program.is_empty(),
                Some(_) => false,
                None => true,
            },
            _ => {
                self.wrong(key, "a string or an array of strings", node);
                return None;
            }
        };
        if empty {
            let fault = Fault::at(node.at, format!("`{key}` is empty"));
            self.fault(fault.help("set what to run"));
            return None;
        }
        match &node.value {
            Value::List(words) => {
                let words = words.iter().map(|word| {
                    let text = self.text(&format!("{key}[]"), word);
                    text.map(|text| self.template(text, word.at, Syntax::Full))
                });
                words.collect::<Option<Vec<_>>>().map(CommandSpec::Exec)
            }
            Value::Text(text) => {
                Some(CommandSpec::Shell(self.template(text, node.at, Syntax::References)))
            }
            _ => None,
        }
    }
}
