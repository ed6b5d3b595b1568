use std::path::Path;
use std::time::Duration;

use globset::GlobBuilder;

use crate::model::{WatchAction, WatchConfig, signal_number};

use super::ConfigChecker;
use crate::config::diagnostics::{Span, quote};
use crate::config::parse::{RawEntry, RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::CommandSpec;

/// An editor writes a file within a few milliseconds.
const DEFAULT_DEBOUNCE: Duration = Duration::from_millis(10);

const DEFAULT_POLL: Duration = Duration::from_secs(2);

/// A shorter interval would be a busy loop in large trees.
const POLL_MIN: Duration = Duration::from_millis(100);

pub(in crate::config) const ACTIONS: [(&str, WatchActionKeyword); 3] = [
    ("restart", WatchActionKeyword::Restart),
    ("signal", WatchActionKeyword::Signal),
    ("run", WatchActionKeyword::Run),
];

#[derive(Clone, Copy)]
pub(in crate::config) enum WatchActionKeyword {
    Restart,
    Signal,
    Run,
}

impl ConfigChecker<'_, '_> {
    /// Checks `watch`; `dir` is the directory of the service. `optional`: it is that of a preset.
    pub(super) fn watch(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
        dir: &Path,
        optional: bool,
    ) -> Option<Vec<WatchConfig<CommandSpec>>> {
        let mut watch = WatchConfig {
            root: dir.to_owned(),
            optional,
            include: Vec::new(),
            exclude: Vec::new(),
            reloaded: Vec::new(),
            debounce: DEFAULT_DEBOUNCE,
            poll: None,
            action: WatchAction::Restart { build: None },
        };
        match &node.value {
            RawValue::Boolean(true) => {}
            RawValue::Boolean(false) => return None,
            RawValue::List(list) if list.is_empty() => return None,
            RawValue::List(list) if list.iter().any(is_table) => {
                let each = list.iter().map(|node| self.watch_table(node, watch.clone()));
                return Some(each.collect());
            }
            RawValue::List(_) | RawValue::Text(_) => self.globs(key, node, false, &mut watch),
            RawValue::Table(_) => watch = self.watch_table(node, watch),
            _ => {
                let must = "a boolean, an array of globs, a table or an array of tables";
                return self.type_error(key, must, node);
            }
        }
        Some(vec![watch])
    }

    fn watch_table(
        &mut self,
        node: &SpannedValue<'_>,
        mut watch: WatchConfig<CommandSpec>,
    ) -> WatchConfig<CommandSpec> {
        let Some(table) = self.table("watch", node) else { return watch };
        self.check_keys(table, misplaced::WATCH, "`watch`");
        if let Some(entry) = table.get("paths") {
            self.globs("paths", &entry.node, false, &mut watch);
        }
        if let Some(entry) = table.get("ignore") {
            self.globs("ignore", &entry.node, true, &mut watch);
        }
        watch.debounce = self.get(table, "settle", Self::duration).unwrap_or(DEFAULT_DEBOUNCE);
        watch.poll = self.get(table, "poll", Self::poll);
        if let Some(action) = self.action(table, node.at) {
            watch.action = action;
        }
        watch
    }

    /// `signal` alone implies the action; `run` does not, because a command may precede a restart.
    fn action(&mut self, table: &RawTable<'_>, at: Span) -> Option<WatchAction<CommandSpec>> {
        let (run, signal) = (table.get("run"), table.get("signal"));
        let word = match table.get("action") {
            Some(entry) => self.keyword("action", &entry.node, &ACTIONS)?,
            None if signal.is_some() => WatchActionKeyword::Signal,
            None => WatchActionKeyword::Restart,
        };
        let command = self.get(table, "run", Self::command);
        let number = self.get(table, "signal", Self::signal);
        match word {
            WatchActionKeyword::Restart => {
                self.reject_key("signal", signal, "a restart", "action = \"signal\"");
                Some(WatchAction::Restart { build: command })
            }
            WatchActionKeyword::Signal => {
                self.reject_key("run", run, "a signal", "action = \"run\" or \"restart\"");
                let hup = signal_number("HUP").expect("HUP is in the table of signals");
                Some(WatchAction::Signal(number.unwrap_or(hup)))
            }
            WatchActionKeyword::Run => {
                self.reject_key("signal", signal, "a command", "action = \"signal\"");
                if run.is_none() {
                    let help = "set what to run: run = \"make schema\"";
                    self.error_at(at, "`action = \"run\"` needs a command", help);
                }
                command.map(WatchAction::Run)
            }
        }
    }

    fn poll(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<Duration> {
        if let RawValue::Boolean(on) = node.value {
            return on.then_some(DEFAULT_POLL);
        }
        let every = self.duration(key, node)?;
        if every < POLL_MIN {
            let text = format!("`{key}` must be at least {}ms", POLL_MIN.as_millis());
            let help = "use a longer interval: polling reads every watched file";
            return self.reject(node.at, text, help);
        }
        Some(every)
    }

    /// Rejects a key that this action does not use.
    fn reject_key(&mut self, key: &str, entry: Option<&RawEntry<'_>>, action: &str, other: &str) {
        if let Some(entry) = entry {
            let text = format!("`{key}` does not apply to {action}");
            self.error_at(entry.key, text, format!("remove it, or set {other}"));
        }
    }

    /// Globs with a leading `!` exclude; all do if `exclude` is set.
    fn globs(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
        exclude: bool,
        watch: &mut WatchConfig<CommandSpec>,
    ) {
        for item in node.one_or_more() {
            let Some(text) = self.static_text(key, item) else { continue };
            let (glob, negated) = match text.strip_prefix('!') {
                Some(rest) => (rest, true),
                None => (text.as_str(), false),
            };
            if let Some(globs) = self.glob(glob, item) {
                let list = if exclude || negated { &mut watch.exclude } else { &mut watch.include };
                list.extend(globs);
            }
        }
    }

    /// Checks a glob. A plain path matches the file, or everything below the directory.
    fn glob(&mut self, glob: &str, node: &SpannedValue<'_>) -> Option<Vec<String>> {
        let glob = glob.strip_prefix("./").unwrap_or(glob);
        let plain = glob.trim_end_matches('/');
        if plain.is_empty() || Path::new(glob).is_absolute() {
            let text = format!("invalid glob {}", quote(glob));
            let help = "use globs relative to the service's directory: \"src/**\", \"*.py\"";
            return self.reject(node.at, text, help);
        }
        if let Err(error) = GlobBuilder::new(glob).literal_separator(true).build() {
            let text = format!("invalid glob {}: {}", quote(glob), error.kind());
            let help = "use `*` for names, `**` for directories, `[abc]` for one character, `{a,b}` for alternatives";
            return self.reject(node.at, text, help);
        }
        Some(if plain == "." {
            vec!["**".to_owned()]
        } else if plain.len() < glob.len() {
            vec![format!("{plain}/**")]
        } else if !plain.contains(['*', '?', '[', '{', '\\']) {
            vec![plain.to_owned(), format!("{plain}/**")]
        } else {
            vec![glob.to_owned()]
        })
    }
}

fn is_table(node: &SpannedValue<'_>) -> bool {
    matches!(node.value, RawValue::Table(_))
}
