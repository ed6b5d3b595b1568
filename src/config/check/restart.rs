use std::time::Duration;

use crate::model::{RestartConfig, RestartPolicy, ServiceKind};

use super::super::fault::Fault;
use super::super::node::{Entry, Value};
use super::{Check, keys};

pub(in super::super) const POLICIES: [(&str, RestartPolicy); 3] = [
    ("no", RestartPolicy::No),
    ("on-failure", RestartPolicy::OnFailure),
    ("always", RestartPolicy::Always),
];

pub(in super::super) const MAX_RESTARTS: i64 = 1_000_000;

impl Check<'_, '_> {
    /// Checks `restart`: a policy or a table. The default for a task is not to restart.
    pub(super) fn restart(
        &mut self,
        entry: Option<&Entry<'_>>,
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
            Value::Text(_) => {
                if let Some(policy) = self.word("restart", &entry.node, &POLICIES) {
                    restart.policy = policy;
                }
            }
            Value::Table(_) => self.restart_table(entry, &mut restart),
            Value::Boolean(false) => {
                let fault =
                    Fault::at(entry.node.at, "expected a string for `restart`, found a boolean");
                self.fault(fault.help("use \"no\""));
            }
            Value::Boolean(true) => {
                let fault =
                    Fault::at(entry.node.at, "expected a string for `restart`, found a boolean");
                self.fault(fault.help("use \"on-failure\" or \"always\""));
            }
            _ => self.wrong("restart", "a string or a table", &entry.node),
        }
        if restart.policy == RestartPolicy::Always && kind == ServiceKind::Task {
            let fault = Fault::at(entry.node.at, "a task that always restarts never completes");
            self.fault(fault.help("use \"on-failure\", or make it a service"));
        }
        restart
    }

    fn restart_table(&mut self, entry: &Entry<'_>, restart: &mut RestartConfig) {
        let Some(table) = self.table("restart", &entry.node) else { return };
        self.only_keys(table, keys::RESTART, "`restart`");
        if let Some(entry) = table.get("policy")
            && let Some(policy) = self.word("policy", &entry.node, &POLICIES)
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
                let fault = Fault::at(entry.node.at, "`max_delay` is shorter than `delay`");
                self.fault(fault.help("raise `max_delay` or lower `delay`: the delay doubles from `delay` up to `max_delay`"));
            }
            restart.max_delay = max_delay;
        }
    }
}
