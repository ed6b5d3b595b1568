use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::yaml_node::text_weight;
use super::yaml_scalar::is_null;
use super::{YamlContent, YamlNode, fault};
use crate::model::Message;
use crate::text::quote;

/// How many values a file may have, with those that aliases repeat. A stack of a thousand services
/// has about ten thousand.
const MAX_VALUES: usize = 100_000;

/// The first document of a YAML file.
#[derive(Debug, Clone)]
pub(in crate::import) struct YamlDocument {
    pub root: YamlNode,
    /// The line of a second document, which is not read.
    pub second: Option<u32>,
    /// What is left for copies.
    pub budget: YamlBudget,
}

/// How many values may still be read or copied.
#[derive(Debug, Clone)]
pub(in crate::import) struct YamlBudget(usize);

/// More values than anyone reads.
#[derive(Debug, Clone, Copy)]
pub(in crate::import) struct TooManyValues;

/// A file that is read: events in, one tree out.
struct YamlTreeBuilder {
    open: Vec<OpenNode>,
    /// Values with an anchor, by the number of the anchor.
    anchors: BTreeMap<usize, YamlNode>,
    /// The anchors that an alias refers to.
    aliased: BTreeSet<usize>,
    budget: YamlBudget,
    root: Option<YamlNode>,
}

/// A list or mapping whose end was not read yet.
struct OpenNode {
    line: u32,
    anchor: usize,
    remark: Option<String>,
    content: OpenContent,
}

enum OpenContent {
    List(Vec<YamlNode>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<(String, YamlNode)>,
    /// The line of each key.
    lines: BTreeMap<String, u32>,
    /// The key whose value follows.
    key: Option<MapKey>,
    /// The mappings of `<<`, in order.
    merged: Vec<YamlNode>,
}

enum MapKey {
    /// A name and its line.
    Name(String, u32),
    /// A plain `<<`.
    Merge,
}

/// An error and its help.
type Problem = (String, &'static str);

const TOO_MANY: &str = "write devstack.toml by hand, or split the file";

impl YamlBudget {
    /// Takes what a copy of this value costs.
    pub fn take(&mut self, weight: usize) -> Result<(), TooManyValues> {
        self.0 = self.0.checked_sub(weight).ok_or(TooManyValues)?;
        Ok(())
    }
}

impl From<TooManyValues> for Problem {
    fn from(_: TooManyValues) -> Problem {
        (format!("more than {MAX_VALUES} values, counting those of aliases"), TOO_MANY)
    }
}

impl YamlDocument {
    /// Parses the first document of a file. A file without one is `null`. `file` is for errors.
    ///
    /// # Errors
    ///
    /// What is wrong, with file and line: a syntax error, a duplicate key, a key that is not a
    /// string, an alias of itself, or too many values.
    pub fn parse(text: &str, file: &str) -> Result<YamlDocument, Message> {
        let mut builder = YamlTreeBuilder {
            open: Vec::new(),
            anchors: BTreeMap::new(),
            aliased: BTreeSet::new(),
            budget: YamlBudget(MAX_VALUES),
            root: None,
        };
        let mut second = None;
        for next in Parser::new_from_str(text) {
            let (event, span) = next.map_err(|error| syntax_fault(file, &error))?;
            let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
            if matches!(event, Event::DocumentStart(..)) && builder.root.is_some() {
                second = Some(line);
                break;
            }
            builder.absorb(event, line).map_err(|(text, help)| fault(file, line, &text, help))?;
        }
        let mut root = builder.root.unwrap_or_default();
        mark_aliased(&mut root, &builder.aliased);
        Ok(YamlDocument { root, second, budget: builder.budget })
    }

    /// Returns the error of a file that needs more copies than the budget has.
    pub fn too_many_values(file: &str, line: u32) -> Message {
        let (text, help) = TooManyValues.into();
        fault(file, line, &text, help)
    }
}

fn syntax_fault(file: &str, error: &ScanError) -> Message {
    let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
    let what = error.info();
    let help = if what.contains("tab") {
        "indent with spaces: YAML does not allow tabs there"
    } else if what.contains("unknown anchor") {
        "define the anchor before the alias: `&name`"
    } else if what.contains("recursion limit") {
        TOO_MANY
    } else {
        "check the indentation and the quotes in this line and the one before"
    };
    fault(file, line, &format!("invalid YAML: {what}"), help)
}

/// Marks what aliases refer to. Copies of such values are marked too, which changes nothing.
fn mark_aliased(node: &mut YamlNode, anchors: &BTreeSet<usize>) {
    node.is_aliased = anchors.contains(&node.anchor);
    match &mut node.content {
        YamlContent::Null | YamlContent::Scalar { .. } => {}
        YamlContent::List(items) => items.iter_mut().for_each(|item| mark_aliased(item, anchors)),
        YamlContent::Map(entries) => {
            entries.iter_mut().for_each(|(_, node)| mark_aliased(node, anchors));
        }
    }
}

impl YamlTreeBuilder {
    fn absorb(&mut self, event: Event<'_>, line: u32) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.budget.take(1 + text_weight(&text))?;
                if text.contains('\0') {
                    let text = "string contains a NUL character".to_owned();
                    return Err((
                        text,
                        "remove it: arguments, variables and paths cannot contain NUL",
                    ));
                }
                let text = text.into_owned();
                let is_string = tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let is_plain = style == ScalarStyle::Plain && !is_string;
                let content = match is_plain && is_null(&text) {
                    true => YamlContent::Null,
                    false => YamlContent::Scalar { text, is_plain },
                };
                self.finish(YamlNode::new(line, content), anchor, tag_remark(tag.as_deref()))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(OpenContent::List(Vec::new()), line, anchor, tag.as_deref())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.begin(OpenContent::Map(OpenMap::default()), line, anchor, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().expect("the parser balances starts and ends");
                let content = match open.content {
                    OpenContent::List(items) => YamlContent::List(items),
                    OpenContent::Map(map) => YamlContent::Map(map.close(&mut self.budget)?),
                };
                self.finish(YamlNode::new(open.line, content), open.anchor, open.remark)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    let text = "an alias refers to the value that contains it".to_owned();
                    return Err((text, "remove the alias"));
                };
                self.budget.take(node.weight())?;
                self.aliased.insert(anchor);
                let copy = node.clone();
                self.place(copy)
            }
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        content: OpenContent,
        line: u32,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Problem> {
        self.budget.take(1)?;
        self.open.push(OpenNode { line, anchor, remark: tag_remark(tag), content });
        Ok(())
    }

    /// Keeps a complete value for aliases, and puts it into what is open.
    fn finish(
        &mut self,
        mut node: YamlNode,
        anchor: usize,
        remark: Option<String>,
    ) -> Result<(), Problem> {
        node.anchor = anchor;
        remark.into_iter().for_each(|remark| node.note(remark));
        if anchor > 0 {
            self.budget.take(node.weight())?;
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node)
    }

    fn place(&mut self, node: YamlNode) -> Result<(), Problem> {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(OpenContent::List(items)) => items.push(node),
            Some(OpenContent::Map(map)) => map.place(node)?,
        }
        Ok(())
    }
}

impl OpenMap {
    /// Takes a key or the value of the key before.
    fn place(&mut self, mut node: YamlNode) -> Result<(), Problem> {
        match self.key.take() {
            None => self.key = Some(self.key(node)?),
            Some(MapKey::Name(name, line)) => {
                // A block below its key begins a line later.
                node.line = line;
                self.entries.push((name, node));
            }
            Some(MapKey::Merge) => match node.content {
                YamlContent::Map(_) => self.merged.push(node),
                YamlContent::List(items) if items.iter().all(YamlNode::is_map) => {
                    self.merged.extend(items);
                }
                _ => {
                    let text = "`<<` takes a mapping, or a list of mappings".to_owned();
                    return Err((text, "use an alias of a mapping: `<<: *name`"));
                }
            },
        }
        Ok(())
    }

    fn key(&mut self, node: YamlNode) -> Result<MapKey, Problem> {
        let name = match node.content {
            YamlContent::Scalar { text, is_plain: true } if text == "<<" => {
                return Ok(MapKey::Merge);
            }
            YamlContent::Scalar { text, .. } => text,
            YamlContent::Null => "null".to_owned(),
            YamlContent::List(_) | YamlContent::Map(_) => {
                return Err(("expected a string as a key".to_owned(), "use a string as the key"));
            }
        };
        match self.lines.insert(name.clone(), node.line) {
            None => Ok(MapKey::Name(name, node.line)),
            Some(line) => {
                let text = format!("duplicate key {}, first on line {line}", quote(&name));
                Err((text, "remove one of them"))
            }
        }
    }

    /// Adds what `<<` brings and the mapping does not set itself; earlier mappings win.
    fn close(mut self, budget: &mut YamlBudget) -> Result<Vec<(String, YamlNode)>, Problem> {
        for merged in std::mem::take(&mut self.merged) {
            let YamlContent::Map(entries) = merged.content else { continue };
            for (key, node) in entries {
                budget.take(1)?;
                if self.lines.insert(key.clone(), node.line).is_none() {
                    self.entries.push((key, node));
                }
            }
        }
        Ok(self.entries)
    }
}

/// Says that a tag is ignored, unless it is one that all values of YAML have anyway.
fn tag_remark(tag: Option<&Tag>) -> Option<String> {
    let tag = tag.filter(|tag| tag.is_custom())?;
    Some(format!("the tag {} is ignored", quote(&tag.to_string())))
}
