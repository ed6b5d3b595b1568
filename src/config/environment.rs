use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::Name;

use super::book::Book;
use super::env_file::{EnvFile, EnvFiles};
use super::place::Place;
use super::spec::{Replicas, ServiceSpec, StackSpec, Variables};
use super::template::{Expand, Field, Part, StackField, Template, Trouble, expand};

/// How deeply variables may refer to other variables.
const MAX_DEPTH: usize = 32;

/// A source of variables. Lists of layers start with the strongest.
#[derive(Clone, Copy)]
pub(super) enum Layer<'a> {
    ServiceEnv(&'a Variables),
    ServiceFile(&'a EnvFile),
    StackEnv(&'a Variables),
    StackFile(&'a EnvFile),
    Preset(&'a Variables),
}

/// The source of a value above the inherited environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Giver {
    Devstack,
    /// A layer, by its index from the strongest.
    Layer(usize),
}

#[derive(Clone, Copy)]
enum Entry<'a> {
    Written(&'a Template),
    Plain(&'a str),
}

impl<'a> Layer<'a> {
    fn get(&self, name: &str) -> Option<Entry<'a>> {
        match self {
            Layer::ServiceEnv(env) | Layer::StackEnv(env) | Layer::Preset(env) => {
                env.get(name).map(Entry::Written)
            }
            Layer::ServiceFile(file) | Layer::StackFile(file) => {
                file.settings.get(name).map(|setting| Entry::Plain(&setting.value))
            }
        }
    }

    fn names(&self) -> Vec<&'a str> {
        match self {
            Layer::ServiceEnv(env) | Layer::StackEnv(env) | Layer::Preset(env) => {
                env.keys().map(|k| &**k).collect()
            }
            Layer::ServiceFile(file) | Layer::StackFile(file) => {
                file.settings.keys().map(|k| &**k).collect()
            }
        }
    }

    pub fn place(&self, name: &str) -> Option<Place> {
        match self {
            Layer::ServiceEnv(env) | Layer::StackEnv(env) | Layer::Preset(env) => {
                env.get(name).map(|text| text.at)
            }
            Layer::ServiceFile(file) | Layer::StackFile(file) => {
                file.settings.get(name).map(|setting| setting.at)
            }
        }
    }
}

/// Returns the layers of a service's environment above the inherited one, strongest first.
pub(super) fn layers<'a>(
    stack: &'a StackSpec,
    service: &'a ServiceSpec,
    files: &'a EnvFiles,
) -> Vec<Layer<'a>> {
    let mut layers = vec![Layer::ServiceEnv(&service.env)];
    let file = |spec: &super::spec::EnvFileSpec| files.files.get(&spec.path);
    layers.extend(service.env_files.iter().rev().filter_map(file).map(Layer::ServiceFile));
    layers.push(Layer::StackEnv(&stack.env));
    layers.extend(stack.env_files.iter().rev().filter_map(file).map(Layer::StackFile));
    if !service.preset_env.is_empty() {
        layers.push(Layer::Preset(&service.preset_env));
    }
    layers
}

/// Resolves the final environment of one service, variable by variable.
///
/// A variable that refers to itself gets the value it shadows: `PATH = "bin:$PATH"`.
pub(super) struct Environment<'a> {
    book: &'a Book<'a>,
    layers: Vec<Layer<'a>>,
    /// Set by devstack; above all layers.
    set: BTreeMap<String, String>,
    /// Inherited by devstack; below all layers.
    outer: &'a BTreeMap<String, String>,
    /// For a replica: the name of its group, and its own name.
    own: Option<(&'a Name, &'a Name)>,
    known: HashMap<(&'a str, usize), String>,
    busy: Vec<(&'a str, usize)>,
}

impl<'a> Environment<'a> {
    pub fn new(
        book: &'a Book<'a>,
        layers: Vec<Layer<'a>>,
        set: BTreeMap<String, String>,
        outer: &'a BTreeMap<String, String>,
    ) -> Environment<'a> {
        let (known, busy) = (HashMap::new(), Vec::new());
        Environment { book, layers, set, outer, own: None, known, busy }
    }

    /// Makes a replica's references to its own group mean the replica itself.
    pub fn within(mut self, service: &'a ServiceSpec) -> Environment<'a> {
        self.own = match &service.replicas {
            Replicas::Member { group, .. } => Some((group, &service.name)),
            Replicas::One | Replicas::Many(_) => None,
        };
        self
    }

    /// Returns all variables above the inherited environment, and the errors from expanding them.
    pub fn all(&mut self) -> (BTreeMap<String, String>, Vec<Trouble>) {
        let (mut all, mut troubles) = (BTreeMap::new(), Vec::new());
        for name in self.given_names() {
            let Some(giver) = self.givers(&name).next() else { continue };
            match self.given(&name, giver) {
                Ok(value) => drop(all.insert(name, value)),
                Err(trouble) => troubles.push(trouble),
            }
        }
        (all, troubles)
    }

    /// Returns the same variables with all their sources and values, strongest first. A shadowed
    /// value is `None` if it cannot be expanded.
    pub fn explained(&mut self) -> BTreeMap<String, Vec<(Giver, Option<String>)>> {
        let mut explained = BTreeMap::new();
        for name in self.given_names() {
            let givers: Vec<Giver> = self.givers(&name).collect();
            let said = givers.into_iter().map(|giver| (giver, self.given(&name, giver).ok()));
            explained.insert(name.clone(), said.collect());
        }
        explained
    }

    fn given_names(&self) -> BTreeSet<String> {
        let layers = self.layers.iter().flat_map(Layer::names).map(str::to_owned);
        layers.chain(self.set.keys().cloned()).collect()
    }

    /// Returns the sources that set a variable, strongest first: this is the order of precedence.
    fn givers(&self, name: &str) -> impl Iterator<Item = Giver> {
        let devstack = self.set.contains_key(name).then_some(Giver::Devstack);
        let layers = self.layers.iter().enumerate();
        let layers = layers.filter(move |(_, layer)| layer.get(name).is_some());
        devstack.into_iter().chain(layers.map(|(index, _)| Giver::Layer(index)))
    }

    fn given(&mut self, name: &str, giver: Giver) -> Result<String, Trouble> {
        let value = match giver {
            Giver::Devstack => self.set.get(name).cloned(),
            Giver::Layer(index) => self.at(name, index)?,
        };
        Ok(value.expect("the source sets this variable"))
    }

    /// Returns a layer by the index that [`EnvResolver::all_sources`] uses.
    pub fn layer(&self, index: usize) -> Layer<'a> {
        self.layers[index]
    }

    pub fn expand(&mut self, template: &Template) -> Result<String, Trouble> {
        expand(&template.parts, template.at, self)
    }

    /// Expands a text for display. Values from devstack itself and from presets are inserted; other
    /// variables stay as names, because env files and `env` may hold secrets.
    pub fn shown(&mut self, template: &Template) -> String {
        let mut shown = String::new();
        for part in &template.parts {
            match part {
                Part::Text(text) => shown.push_str(text),
                Part::Stack { field, .. } => shown.push_str(&self.stack(*field)),
                Part::Service { service, field, .. } => {
                    shown.push_str(&self.service(service, field).unwrap_or_default());
                }
                Part::Variable { name, .. } => match self.public(name) {
                    Some(value) => shown.push_str(&value),
                    None => shown.push_str(&format!("${{{name}}}")),
                },
            }
        }
        shown
    }

    /// Returns the value of a variable that cannot be a secret.
    fn public(&mut self, name: &str) -> Option<String> {
        let giver = self.givers(name).next()?;
        let known = match giver {
            Giver::Devstack => true,
            Giver::Layer(index) => match self.layers[index] {
                Layer::Preset(_) => true,
                Layer::ServiceEnv(_)
                | Layer::ServiceFile(_)
                | Layer::StackEnv(_)
                | Layer::StackFile(_) => false,
            },
        };
        if known { self.given(name, giver).ok() } else { None }
    }

    /// Returns the value of a variable in one layer, or `None` if the layer does not set it.
    pub fn at(&mut self, name: &str, layer: usize) -> Result<Option<String>, Trouble> {
        let template = match self.layers[layer].get(name) {
            None => return Ok(None),
            Some(Entry::Plain(value)) => return Ok(Some(value.to_owned())),
            Some(Entry::Written(template)) => template,
        };
        if let [Part::Text(text)] = template.parts.as_slice() {
            return Ok(Some(text.clone()));
        }
        let name = self.stored_name(name, layer);
        if let Some(value) = self.known.get(&(name, layer)) {
            return Ok(Some(value.clone()));
        }
        if self.busy.contains(&(name, layer)) {
            return Err(self.cycle(name, layer));
        }
        if self.busy.len() >= MAX_DEPTH {
            return Err(Trouble::Deep { at: template.at });
        }
        self.busy.push((name, layer));
        let value = expand(&template.parts, template.at, self);
        self.busy.pop();
        let value = value?;
        self.known.insert((name, layer), value.clone());
        Ok(Some(value))
    }

    /// Returns the names of all variables, for "did you mean".
    pub fn names(&self) -> BTreeSet<&str> {
        let layers = self.layers.iter().flat_map(Layer::names);
        layers.chain(self.set.keys().chain(self.outer.keys()).map(|name| &**name)).collect()
    }

    /// The name as stored in the layer, which lives as long as the configuration.
    fn stored_name(&self, name: &str, layer: usize) -> &'a str {
        match self.layers[layer] {
            Layer::ServiceEnv(env) | Layer::StackEnv(env) | Layer::Preset(env) => {
                env.get_key_value(name).map_or("", |(name, _)| name.as_str())
            }
            Layer::ServiceFile(file) | Layer::StackFile(file) => {
                file.settings.get_key_value(name).map_or("", |(name, _)| name.as_str())
            }
        }
    }

    /// Returns the error for a cycle. Its path starts at the smallest name, so that it is the same
    /// wherever the cycle was entered.
    fn cycle(&self, name: &'a str, layer: usize) -> Trouble {
        let first = self.busy.iter().position(|&entry| entry == (name, layer)).unwrap_or(0);
        let mut path = self.busy[first..].to_vec();
        let smallest = (0..path.len()).min_by_key(|&index| path[index]).unwrap_or(0);
        path.rotate_left(smallest);
        path.extend(path.first().copied());
        let names: Vec<&str> = path.iter().map(|(name, _)| *name).collect();
        let at = path.first().and_then(|(name, layer)| self.layers[*layer].place(name));
        let at = at.expect("a variable being expanded is in its layer");
        Trouble::Cycle { path: names.join(" → "), at }
    }
}

impl Expand for Environment<'_> {
    fn service(&self, service: &str, field: &Field) -> Option<String> {
        let own = self.own.filter(|(group, _)| group.as_str() == service);
        self.book.service(own.map_or(service, |(_, name)| name.as_str()), field)
    }

    fn stack(&self, field: StackField) -> String {
        self.book.stack(field)
    }

    fn variable(&mut self, name: &str, _at: Place) -> Result<Option<String>, Trouble> {
        // A self-reference means the shadowed value.
        let hiding = self.busy.last().filter(|(busy, _)| *busy == name).map(|(_, layer)| *layer);
        let may_give = |giver: &Giver| match (hiding, giver) {
            (None, _) => true,
            (Some(_), Giver::Devstack) => false,
            (Some(above), Giver::Layer(index)) => *index > above,
        };
        let giver = self.givers(name).find(may_give);
        if let Some(giver) = giver {
            return self.given(name, giver).map(Some);
        }
        Ok(self.outer.get(name).cloned())
    }
}
