use std::time::Duration;

use crate::model::{RestartConfig, RestartPolicy, ServiceKind};

use super::ConfigChecker;
use crate::config::diagnostics::DiagnosticBuilder;
use crate::config::parse::{RawEntry, RawValue};
use crate::config::schema::misplaced;

pub(in crate::config) const POLICIES: [(&str, RestartPolicy); 3] = [
    ("no", RestartPolicy::No),
    ("on-failure", RestartPolicy::OnFailure),
    ("always", RestartPolicy::Always),
];

pub(in crate::config) const MAX_RESTARTS: i64 = 1_000_000;

impl ConfigChecker<'_, '_> {
    /// Checks `restart`: a policy or a table. The default for a task is not to restart.
    pub(super) fn restart(
        &mut self,
        entry: Option<&RawEntry<'_>>,
        kind: ServiceKind,
    ) -> RestartConfig {
        let mut restart = RestartConfig {
            policy: match kind {
                ServiceKind::Service => RestartPolicy::OnFailure,
                ServiceKind::Task => RestartPolicy::No,
            },
            max_failures: 8,
            window: Duration::from_secs(120),
            delay: Duration::from_millis(250),
            max_delay: Duration::from_secs(15),
        };
        let Some(entry) = entry else { return restart };
        match &entry.node.value {
            RawValue::Text(_) => {
                if let Some(policy) = self.keyword("restart", &entry.node, &POLICIES) {
                    restart.policy = policy;
                }
            }
            RawValue::Table(_) => self.restart_table(entry, &mut restart),
            RawValue::Boolean(false) => {
                let fault = DiagnosticBuilder::at(
                    entry.node.at,
                    "expected a string for `restart`, found a boolean",
                );
                self.error(fault.help("use \"no\""));
            }
            RawValue::Boolean(true) => {
                let fault = DiagnosticBuilder::at(
                    entry.node.at,
                    "expected a string for `restart`, found a boolean",
                );
                self.error(fault.help("use \"on-failure\" or \"always\""));
            }
            _ => self.type_error("restart", "a string or a table", &entry.node),
        }
        if restart.policy == RestartPolicy::Always && kind.is_task() {
            let fault =
                DiagnosticBuilder::at(entry.node.at, "a task that always restarts never completes");
            self.error(fault.help("use \"on-failure\", or make it a service"));
        }
        restart
    }

    fn restart_table(&mut self, entry: &RawEntry<'_>, restart: &mut RestartConfig) {
        let Some(table) = self.table("restart", &entry.node) else { return };
        self.check_keys(table, misplaced::RESTART, "`restart`");
        if let Some(entry) = table.get("policy")
            && let Some(policy) = self.keyword("policy", &entry.node, &POLICIES)
        {
            restart.policy = policy;
        }
        if let Some(entry) = table.get("max")
            && let Some(max) = self.number("max", &entry.node, 1..=MAX_RESTARTS)
        {
            restart.max_failures = u32::try_from(max).unwrap_or(u32::MAX);
        }
        if let Some(entry) = table.get("window")
            && let Some(window) = self.positive_duration("window", &entry.node)
        {
            restart.window = window;
        }
        if let Some(entry) = table.get("delay")
            && let Some(delay) = self.duration("delay", &entry.node)
        {
            restart.delay = delay;
            // A longer first delay raises the default of `max_delay`.
            restart.max_delay = restart.max_delay.max(delay);
        }
        if let Some(entry) = table.get("max_delay")
            && let Some(max_delay) = self.duration("max_delay", &entry.node)
        {
            if max_delay < restart.delay {
                let fault =
                    DiagnosticBuilder::at(entry.node.at, "`max_delay` is shorter than `delay`");
                self.error(fault.help("raise `max_delay` or lower `delay`: the delay doubles from `delay` up to `max_delay`"));
            }
            restart.max_delay = max_delay;
        }
    }
}
