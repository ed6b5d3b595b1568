use std::path::Path;
use std::time::Duration;

use globset::GlobBuilder;

use crate::model::Watch;

use super::super::fault::Fault;
use super::super::node::{Entry, Node, Table, Value};
use super::super::suggest::quote;
use super::{Check, keys};

/// One save of an editor takes at most a few milliseconds.
const SETTLE: Duration = Duration::from_millis(10);

/// What a watch can do.
#[derive(Clone, Copy)]
enum Action {
    Restart,
    Other(&'static str),
}

impl Check<'_, '_> {
    /// `watch`: true, globs, or a table. `dir` is the folder of the service.
    pub(super) fn watch(&mut self, entry: Option<&Entry<'_>>, dir: &Path) -> Option<Watch> {
        let node = &entry?.node;
        let mut watch = Watch {
            root: dir.to_owned(),
            include: Vec::new(),
            exclude: Vec::new(),
            settle: SETTLE,
        };
        match &node.value {
            Value::Boolean(true) => Some(watch),
            Value::Boolean(false) => None,
            Value::List(list) if list.is_empty() => None,
            Value::List(_) | Value::Text(_) => {
                self.globs("watch", node, false, &mut watch);
                Some(watch)
            }
            Value::Table(table) => {
                self.watch_table(table, &mut watch);
                Some(watch)
            }
            _ => {
                self.wrong("watch", "true, a list of globs or a table", node);
                None
            }
        }
    }

    fn watch_table(&mut self, table: &Table<'_>, watch: &mut Watch) {
        self.only_keys(table, keys::WATCH, "`watch`");
        if let Some(entry) = table.get("paths") {
            self.globs("paths", &entry.node, false, watch);
        }
        if let Some(entry) = table.get("ignore") {
            self.globs("ignore", &entry.node, true, watch);
        }
        if let Some(entry) = table.get("settle") {
            watch.settle = self.duration("settle", &entry.node).unwrap_or(SETTLE);
        }
        let actions = [
            ("restart", Action::Restart),
            ("signal", Action::Other("watch.action = \"signal\"")),
            ("run", Action::Other("watch.action = \"run\"")),
        ];
        if let Some(entry) = table.get("action")
            && let Some(Action::Other(what)) = self.word("action", &entry.node, &actions)
        {
            self.not_yet(what, entry.node.at);
        }
        for (key, what) in
            [("signal", "watch.signal"), ("run", "watch.run"), ("poll", "watch.poll")]
        {
            if let Some(entry) = table.get(key) {
                self.not_yet(what, entry.key);
            }
        }
    }

    /// One glob or a list of them; those with a leading `!`, or all of them, exclude.
    fn globs(&mut self, key: &str, node: &Node<'_>, exclude: bool, watch: &mut Watch) {
        let items = match &node.value {
            Value::List(list) => list.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for item in items {
            let Some(text) = self.fixed_text(key, item) else { continue };
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

    /// A glob, checked. A plain path means the file, or everything below the folder.
    fn glob(&mut self, glob: &str, node: &Node<'_>) -> Option<Vec<String>> {
        let glob = glob.strip_prefix("./").unwrap_or(glob);
        let plain = glob.trim_end_matches('/');
        if plain.is_empty() || Path::new(glob).is_absolute() {
            let text = format!("{} is not a glob", quote(glob));
            let help = "globs are relative to the service's folder: \"src/**\", \"*.py\"";
            self.fault(Fault::at(node.at, text).help(help));
            return None;
        }
        if let Err(error) = GlobBuilder::new(glob).literal_separator(true).build() {
            let text = format!("{} is not a glob: {}", quote(glob), error.kind());
            let help = "`*` and `**` stand for names and folders, `[abc]` for one character, `{a,b}` for either";
            self.fault(Fault::at(node.at, text).help(help));
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
