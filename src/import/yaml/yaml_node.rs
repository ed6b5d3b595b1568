use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::yaml_scalar::{parse_bool, read_otherwise};
use crate::import::ImportNote;
use crate::text::{escape_control, quote};
use crate::units::parse_duration;

/// How many characters of a key a path shows.
const MAX_KEY: usize = 60;

/// How many notes one value gets: a long text may name thousands of hosts.
const MAX_REMARKS: usize = 16;

/// A value of a YAML file.
#[derive(Debug, Clone, Default)]
pub(in crate::import) struct YamlNode {
    /// Counted from 1.
    pub line: u32,
    pub content: YamlContent,
    /// The number of its anchor; 0: it has none.
    pub anchor: usize,
    /// Whether an alias refers to it: then it is used elsewhere.
    pub is_aliased: bool,
    /// How far it was read.
    progress: Cell<NodeProgress>,
    /// What could not be carried over.
    remarks: RefCell<Vec<String>>,
}

/// The kinds of YAML values.
#[derive(Debug, Clone, Default)]
pub(in crate::import) enum YamlContent {
    /// `null`, `~` or nothing.
    #[default]
    Null,
    /// A string, or what other programs may read as a number or a boolean if it is plain.
    Scalar { text: String, is_plain: bool },
    /// A sequence.
    List(Vec<YamlNode>),
    /// A mapping, in the order of the file; no key twice.
    Map(Vec<(String, YamlNode)>),
}

/// How far a value was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum NodeProgress {
    /// Not read.
    #[default]
    Unread,
    /// Asked for; the values in it are counted on their own, and a scalar must still be read.
    Asked,
    /// A scalar whose text was read.
    Read,
    /// Nothing more to say about it and all in it.
    Closed,
}

/// Keys that have no counterpart: a pattern of a path, such as `services.*.networks`, and what to
/// say about it.
pub(in crate::import) type Unsupported = &'static [(&'static str, &'static str)];

impl YamlNode {
    pub fn new(line: u32, content: YamlContent) -> YamlNode {
        YamlNode { line, content, ..YamlNode::default() }
    }

    /// Adds what happened to this value instead of being carried over.
    pub fn note(&self, text: impl Into<String>) {
        let text = text.into();
        let mut remarks = self.remarks.borrow_mut();
        if remarks.len() == MAX_REMARKS {
            remarks.push("there is more of this kind that is not carried over".to_owned());
        } else if remarks.len() < MAX_REMARKS && !remarks.contains(&text) {
            remarks.push(text);
        }
    }

    /// Adds a note about this value as a whole: nothing is said about the values in it.
    pub fn reject(&self, text: impl Into<String>) {
        self.note(text);
        self.accept();
    }

    /// Marks this value and all in it as read.
    pub fn accept(&self) {
        self.progress.set(NodeProgress::Closed);
    }

    fn mark_asked(&self) {
        if self.progress.get() == NodeProgress::Unread {
            self.progress.set(NodeProgress::Asked);
        }
    }

    /// Whether it is `null` or nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.content, YamlContent::Null)
    }

    /// Whether it is a sequence.
    pub fn is_list(&self) -> bool {
        matches!(self.content, YamlContent::List(_))
    }

    /// Whether it is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.content, YamlContent::Map(_))
    }

    /// Returns the value of a key of this mapping and marks it as read. A value that is `null`
    /// counts as absent, as does every key of another kind of value.
    pub fn get(&self, key: &str) -> Option<&YamlNode> {
        let node = self.peek(key)?;
        node.mark_asked();
        (!node.is_null()).then_some(node)
    }

    /// Returns the value of a key without marking it as read.
    pub fn peek(&self, key: &str) -> Option<&YamlNode> {
        let YamlContent::Map(entries) = &self.content else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Returns all entries of a mapping and marks them as read; anything else gets a note.
    pub fn entries(&self) -> &[(String, YamlNode)] {
        match &self.content {
            YamlContent::Map(entries) => {
                entries.iter().for_each(|(_, node)| node.mark_asked());
                entries
            }
            YamlContent::Null => &[],
            _ => {
                self.reject(self.expected("a mapping"));
                &[]
            }
        }
    }

    /// Returns the items of a list and marks them as read; anything else gets a note.
    pub fn items(&self) -> &[YamlNode] {
        match &self.content {
            YamlContent::List(items) => {
                items.iter().for_each(YamlNode::mark_asked);
                items
            }
            YamlContent::Null => &[],
            _ => {
                self.reject(self.expected("a list"));
                &[]
            }
        }
    }

    /// Returns the items of a list, or a single value as a list of one.
    pub fn one_or_more(&self) -> &[YamlNode] {
        match &self.content {
            YamlContent::List(_) | YamlContent::Null => self.items(),
            YamlContent::Scalar { .. } | YamlContent::Map(_) => std::slice::from_ref(self),
        }
    }

    /// Returns the text of a scalar as written; anything else gets a note.
    pub fn text(&self) -> Option<&str> {
        match self.scalar() {
            Some(text) => Some(text),
            None => {
                self.reject(self.expected("a string"));
                None
            }
        }
    }

    /// Returns the text of a scalar; `None` for anything else.
    pub fn scalar(&self) -> Option<&str> {
        let text = self.peek_scalar()?;
        if self.progress.get() != NodeProgress::Closed {
            self.progress.set(NodeProgress::Read);
        }
        Some(text)
    }

    /// Like [`Self::scalar`], without marking it as read.
    pub fn peek_scalar(&self) -> Option<&str> {
        match &self.content {
            YamlContent::Scalar { text, .. } => Some(text),
            YamlContent::Null | YamlContent::List(_) | YamlContent::Map(_) => None,
        }
    }

    /// Returns the text of a key without marking it as read.
    pub fn peek_text(&self, key: &str) -> Option<&str> {
        self.peek(key)?.peek_scalar()
    }

    /// Like [`Self::text`], with a note if other programs read the plain text as another one.
    pub fn exact_text(&self) -> Option<&str> {
        let text = self.text()?;
        if matches!(self.content, YamlContent::Scalar { is_plain: true, .. })
            && let Some(other) = read_otherwise(text)
        {
            self.note(format!(
                "carried over as written; YAML also allows {}: put it in quotes to be certain",
                quote(&other)
            ));
        }
        Some(text)
    }

    /// Returns a boolean; anything else gets a note.
    pub fn boolean(&self) -> Option<bool> {
        let value = self.scalar().and_then(parse_bool);
        if value.is_none() {
            self.reject(self.expected("`true` or `false`"));
        }
        value
    }

    /// Returns a number that fits; anything else gets a note.
    pub fn number<T: std::str::FromStr>(&self) -> Option<T> {
        let value = self.scalar().and_then(|text| text.parse().ok());
        if value.is_none() {
            self.reject(self.expected("a number"));
        }
        value
    }

    /// Returns a number of seconds; anything else gets a note.
    pub fn seconds(&self) -> Option<Duration> {
        self.number::<u32>().map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Returns a duration such as `1m30s`; anything else gets a note.
    pub fn duration(&self) -> Option<Duration> {
        let value = self.scalar().and_then(parse_duration);
        if value.is_none() {
            self.reject(self.expected("a duration such as `30s`"));
        }
        value
    }

    /// Says what was expected, and what was found instead.
    fn expected(&self, what: &str) -> String {
        let found = match &self.content {
            YamlContent::Null => "nothing".to_owned(),
            YamlContent::Scalar { text, .. } => quote(text),
            YamlContent::List(_) => "a list".to_owned(),
            YamlContent::Map(_) => "a mapping".to_owned(),
        };
        format!("not carried over: expected {what}, found {found}")
    }

    /// The number of values in it, where a long text counts as several: what a copy costs.
    pub fn weight(&self) -> usize {
        let inner: usize = match &self.content {
            YamlContent::Null => 0,
            YamlContent::Scalar { text, .. } => text_weight(text),
            YamlContent::List(items) => items.iter().map(YamlNode::weight).sum(),
            YamlContent::Map(entries) => {
                entries.iter().map(|(key, node)| text_weight(key) + node.weight()).sum()
            }
        };
        1 + inner
    }

    /// Whether an alias refers to this value or to one in it.
    pub fn has_alias(&self) -> bool {
        self.is_aliased
            || match &self.content {
                YamlContent::Null | YamlContent::Scalar { .. } => false,
                YamlContent::List(items) => items.iter().any(YamlNode::has_alias),
                YamlContent::Map(entries) => entries.iter().any(|(_, node)| node.has_alias()),
            }
    }

    /// Appends all notes about this file in its order: what readers said, and what none asked for.
    pub fn collect_notes(&self, file: &str, unsupported: Unsupported, notes: &mut Vec<ImportNote>) {
        self.mark_asked();
        NoteCollector { file, unsupported, notes, path: Vec::new() }.collect(self);
    }
}

pub(super) fn text_weight(text: &str) -> usize {
    text.len() / 128
}

/// Walks a tree for its notes.
struct NoteCollector<'a> {
    file: &'a str,
    unsupported: Unsupported,
    notes: &'a mut Vec<ImportNote>,
    path: Vec<String>,
}

impl NoteCollector<'_> {
    fn collect(&mut self, node: &YamlNode) {
        for text in node.remarks.take() {
            self.push(node.line, text);
        }
        match node.progress.get() {
            // A part of the file that is only there for aliases is carried over where they are.
            NodeProgress::Unread if self.path.len() == 1 && node.has_alias() => {}
            NodeProgress::Unread => self.push(node.line, self.why_unread().to_owned()),
            NodeProgress::Read | NodeProgress::Closed => {}
            NodeProgress::Asked => match &node.content {
                YamlContent::Null => {}
                YamlContent::Scalar { .. } => self.push(node.line, node.expected("a mapping")),
                YamlContent::List(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.below(format!("[{index}]"), item);
                    }
                }
                YamlContent::Map(entries) => {
                    for (key, entry) in entries {
                        let shown: String = key.chars().take(MAX_KEY).collect();
                        self.below(escape_control(&shown), entry);
                    }
                }
            },
        }
    }

    fn below(&mut self, key: String, node: &YamlNode) {
        self.path.push(key);
        self.collect(node);
        self.path.pop();
    }

    fn push(&mut self, line: u32, text: String) {
        let file = self.file.to_owned();
        let subject = self.path.join(".").replace(".[", "[");
        self.notes.push(ImportNote { file, line: Some(line), subject, text });
    }

    /// Says why the value at this path is not carried over.
    fn why_unread(&self) -> &'static str {
        let fits = |pattern: &str| {
            let mut keys = self.path.iter();
            let fits = pattern.split('.').all(|part| {
                keys.next().is_some_and(|key| {
                    part == "*" || part == key || (part == "x-*" && key.starts_with("x-"))
                })
            });
            fits && keys.next().is_none()
        };
        let known = self.unsupported.iter().find(|(pattern, _)| fits(pattern));
        known.map_or("not carried over: unknown key", |(_, text)| text)
    }
}
