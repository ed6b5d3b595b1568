use crate::model::{RestartConfig, RestartPolicy, ServiceKind};

use super::ConfigChecker;
use crate::config::parse::{RawTable, RawValue};
use crate::config::schema::misplaced;

pub(in crate::config) const POLICIES: [(&str, RestartPolicy); 3] = [
    ("no", RestartPolicy::No),
    ("on-failure", RestartPolicy::OnFailure),
    ("always", RestartPolicy::Always),
];

pub(in crate::config) const MAX_RESTARTS: i64 = 1_000_000;

impl ConfigChecker<'_, '_> {
    /// Checks `restart`: a policy or a table. The default for a task is not to restart.
    pub(super) fn restart(&mut self, service: &RawTable<'_>, kind: ServiceKind) -> RestartConfig {
        let mut restart = RestartConfig::new(match kind {
            ServiceKind::Service => RestartPolicy::OnFailure,
            ServiceKind::Task => RestartPolicy::No,
        });
        let Some(node) = service.get("restart").map(|entry| &entry.node) else { return restart };
        let policy = match &node.value {
            RawValue::Text(_) => self.keyword("restart", node, &POLICIES),
            RawValue::Table(table) => {
                self.restart_table(table, &mut restart);
                self.get(table, "policy", |check, key, node| check.keyword(key, node, &POLICIES))
            }
            RawValue::Boolean(restarts) => {
                let text = "expected a string for `restart`, found a boolean";
                let help = if *restarts { "\"on-failure\" or \"always\"" } else { "\"no\"" };
                self.reject(node.at, text, format!("use {help}"))
            }
            _ => self.type_error("restart", "a string or a table", node),
        };
        restart.policy = policy.unwrap_or(restart.policy);
        if restart.policy == RestartPolicy::Always && kind.is_task() {
            let text = "a task that always restarts never completes";
            self.error_at(node.at, text, "use \"on-failure\", or make it a service");
        }
        restart
    }

    fn restart_table(&mut self, table: &RawTable<'_>, restart: &mut RestartConfig) {
        self.check_keys(table, misplaced::RESTART, "`restart`");
        let max = |check: &mut Self, key: &str, node: &_| check.number(key, node, 1..=MAX_RESTARTS);
        restart.max_failures = self.get(table, "max", max).unwrap_or(restart.max_failures);
        let window = self.get(table, "window", Self::positive_duration);
        restart.window = window.unwrap_or(restart.window);
        if let Some(delay) = self.get(table, "delay", Self::duration) {
            restart.delay = delay;
            // A longer first delay raises the default of `max_delay`.
            restart.max_delay = restart.max_delay.max(delay);
        }
        if let Some(max_delay) = self.get(table, "max_delay", Self::duration) {
            if max_delay < restart.delay {
                let help = "raise `max_delay` or lower `delay`: the delay doubles from `delay` up to `max_delay`";
                let at = table["max_delay"].node.at;
                self.error_at(at, "`max_delay` is shorter than `delay`", help);
            }
            restart.max_delay = max_delay;
        }
    }
}
