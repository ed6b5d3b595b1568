use std::path::Path;
use std::time::Duration;

use globset::GlobBuilder;

use crate::model::signal_number;

use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, Span, quote};
use crate::config::parse::{RawEntry, RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{WatchActionSpec, WatchSpec};

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
    /// Checks `watch`; `dir` is the directory of the service.
    pub(super) fn watch(&mut self, entry: Option<&RawEntry<'_>>, dir: &Path) -> Vec<WatchSpec> {
        let Some(node) = entry.map(|entry| &entry.node) else { return Vec::new() };
        let mut watch = WatchSpec {
            root: dir.to_owned(),
            include: Vec::new(),
            exclude: Vec::new(),
            settle: DEFAULT_DEBOUNCE,
            poll: None,
            action: WatchActionSpec::Restart { build: None },
        };
        match &node.value {
            RawValue::Boolean(true) => {}
            RawValue::Boolean(false) => return Vec::new(),
            RawValue::List(list) if list.is_empty() => return Vec::new(),
            RawValue::List(list) if list.iter().any(is_table) => {
                let each = list.iter().map(|node| self.watch_table(node, watch.clone()));
                return each.collect();
            }
            RawValue::List(_) | RawValue::Text(_) => self.globs("watch", node, false, &mut watch),
            RawValue::Table(_) => return vec![self.watch_table(node, watch)],
            _ => {
                self.type_error(
                    "watch",
                    "a boolean, an array of globs, a table or an array of tables",
                    node,
                );
                return Vec::new();
            }
        }
        vec![watch]
    }

    fn watch_table(&mut self, node: &SpannedValue<'_>, mut watch: WatchSpec) -> WatchSpec {
        let Some(table) = self.table("watch", node) else { return watch };
        self.check_keys(table, misplaced::WATCH, "`watch`");
        if let Some(entry) = table.get("paths") {
            self.globs("paths", &entry.node, false, &mut watch);
        }
        if let Some(entry) = table.get("ignore") {
            self.globs("ignore", &entry.node, true, &mut watch);
        }
        if let Some(entry) = table.get("settle") {
            watch.settle = self.duration("settle", &entry.node).unwrap_or(DEFAULT_DEBOUNCE);
        }
        if let Some(entry) = table.get("poll") {
            watch.poll = self.poll(&entry.node);
        }
        if let Some(action) = self.action(table, node.at) {
            watch.action = action;
        }
        watch
    }

    /// `signal` alone implies the action; `run` does not, because a command may precede a restart.
    fn action(&mut self, table: &RawTable<'_>, at: Span) -> Option<WatchActionSpec> {
        let (run, signal) = (table.get("run"), table.get("signal"));
        let word = match table.get("action") {
            Some(entry) => self.keyword("action", &entry.node, &ACTIONS)?,
            None if signal.is_some() => WatchActionKeyword::Signal,
            None => WatchActionKeyword::Restart,
        };
        let command = run.map(|entry| self.command("run", &entry.node));
        let number = signal.map(|entry| self.signal(&entry.node));
        match word {
            WatchActionKeyword::Restart => {
                self.reject_key("signal", signal, "a restart", "action = \"signal\"");
                Some(WatchActionSpec::Restart { build: command.flatten() })
            }
            WatchActionKeyword::Signal => {
                self.reject_key("run", run, "a signal", "action = \"run\" or \"restart\"");
                let hup = signal_number("HUP").expect("HUP is in the table of signals");
                Some(WatchActionSpec::Signal(number.flatten().unwrap_or(hup)))
            }
            WatchActionKeyword::Run => {
                self.reject_key("signal", signal, "a command", "action = \"signal\"");
                if command.is_none() {
                    let fault = DiagnosticBuilder::at(at, "`action = \"run\"` needs a command");
                    self.error(fault.help("set what to run: run = \"make schema\""));
                }
                command.flatten().map(WatchActionSpec::Run)
            }
        }
    }

    fn poll(&mut self, node: &SpannedValue<'_>) -> Option<Duration> {
        if let RawValue::Boolean(on) = node.value {
            return on.then_some(DEFAULT_POLL);
        }
        let every = self.duration("poll", node)?;
        if every < POLL_MIN {
            let text = format!("`poll` must be at least {}ms", POLL_MIN.as_millis());
            self.error(
                DiagnosticBuilder::at(node.at, text)
                    .help("use a longer interval: polling reads every watched file"),
            );
            return None;
        }
        Some(every)
    }

    /// Rejects a key that this action does not use.
    fn reject_key(&mut self, key: &str, entry: Option<&RawEntry<'_>>, action: &str, other: &str) {
        if let Some(entry) = entry {
            let fault =
                DiagnosticBuilder::at(entry.key, format!("`{key}` does not apply to {action}"));
            self.error(fault.help(format!("remove it, or set {other}")));
        }
    }

    /// Globs with a leading `!` exclude; all do if `exclude` is set.
    fn globs(&mut self, key: &str, node: &SpannedValue<'_>, exclude: bool, watch: &mut WatchSpec) {
        let items = match &node.value {
            RawValue::List(list) => list.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for item in items {
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
            self.error(DiagnosticBuilder::at(node.at, text).help(help));
            return None;
        }
        if let Err(error) = GlobBuilder::new(glob).literal_separator(true).build() {
            let text = format!("invalid glob {}: {}", quote(glob), error.kind());
            let help = "use `*` for names, `**` for directories, `[abc]` for one character, `{a,b}` for alternatives";
            self.error(DiagnosticBuilder::at(node.at, text).help(help));
            return None;
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
