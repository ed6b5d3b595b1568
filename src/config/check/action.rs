use crate::model::{Name, ServiceAction, ServiceActions};

use super::{ConfigChecker, in_order};
use crate::config::diagnostics::{Span, quote};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::CommandSpec;

/// More arguments than anyone gives in order.
pub(in crate::config) const MAX_ARGS: usize = 16;

impl ConfigChecker<'_, '_> {
    pub(super) fn actions(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
    ) -> Option<ServiceActions<CommandSpec>> {
        let table = self.table(key, node)?;
        let mut actions = ServiceActions::new();
        for (name, entry) in in_order(table) {
            let action = self.service_action(&entry.node);
            if let Some(name) = self.plain_name("an action", name, entry.key) {
                actions.extend(action.map(|action| (name, action)));
            }
        }
        Some(actions)
    }

    fn service_action(&mut self, node: &SpannedValue<'_>) -> Option<ServiceAction<CommandSpec>> {
        let plain =
            |command| ServiceAction { command, help: None, args: Vec::new(), parallel: false };
        match &node.value {
            RawValue::Text(_) | RawValue::List(_) => self.command("command", node).map(plain),
            RawValue::Table(table) => self.action_table(table, node.at),
            _ => self.type_error("actions", "a command or a table", node),
        }
    }

    fn action_table(
        &mut self,
        table: &RawTable<'_>,
        at: Span,
    ) -> Option<ServiceAction<CommandSpec>> {
        self.check_keys(table, misplaced::ACTION, "an action");
        let help = self.get(table, "help", Self::static_text);
        let args = self.get(table, "args", Self::arguments).unwrap_or_default();
        let parallel = self.get(table, "parallel", Self::boolean).unwrap_or(false);
        if !table.contains_key("command") {
            let help = "set what to run: command = \"flask seed\"";
            return self.reject(at, "the action has no `command`", help);
        }
        let command = self.get(table, "command", Self::command)?;
        Some(ServiceAction { command, help, args, parallel })
    }

    fn arguments(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<Vec<Name>> {
        let RawValue::List(list) = &node.value else {
            return self.type_error(key, "an array of names", node);
        };
        if list.len() > MAX_ARGS {
            let text = format!("`{key}` has more than {MAX_ARGS} names");
            return self.reject(node.at, text, "let the command read the rest from a file");
        }
        let mut names: Vec<Name> = Vec::new();
        for item in list {
            let Some(text) = self.text(&format!("{key}[]"), item) else { continue };
            let Some(name) = self.plain_name("an argument", text, item.at) else { continue };
            // Variables tell them apart, too.
            if names.iter().any(|other| other.to_env_prefix() == name.to_env_prefix()) {
                let text = format!("duplicate argument {}", quote(name.as_str()));
                self.error_at(item.at, text, "give each argument a name of its own");
                continue;
            }
            names.push(name);
        }
        Some(names)
    }

    fn plain_name(&mut self, what: &str, text: &str, at: Span) -> Option<Name> {
        match Name::new(text) {
            Ok(name) => Some(name),
            Err(why) => {
                self.reject(at, format!("invalid name {} for {what}", quote(text)), why.to_string())
            }
        }
    }
}
