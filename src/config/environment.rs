use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::Name;

use super::book::Book;
use super::env_file::{EnvFile, EnvFiles};
use super::place::Place;
use super::spec::{Replicas, ServiceSpec, StackSpec, Variables};
use super::template::{Expand, Field, Part, StackField, Template, Trouble, expand};

/// How deep variables may refer to variables.
const MAX_DEPTH: usize = 32;

/// Where variables come from, strongest first in a list of them.
#[derive(Clone, Copy)]
pub(super) enum Layer<'a> {
    /// `env` of the service.
    ServiceEnv(&'a Variables),
    /// A file of the service's `env_file`.
    ServiceFile(&'a EnvFile),
    /// `env` of the stack.
    StackEnv(&'a Variables),
    /// A file of the stack's `env_file`.
    StackFile(&'a EnvFile),
    /// What the service's preset says.
    Preset(&'a Variables),
}

/// Who gives a variable a value above devstack's own environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Giver {
    /// devstack sets it.
    Devstack,
    /// This layer, counted from the strongest.
    Layer(usize),
}

/// A variable in a layer.
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

    /// Where a variable of this layer was written.
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

/// The layers of a service's environment above devstack's own, strongest first.
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

/// The final environment of one service, found variable by variable.
///
/// A variable that refers to itself means the value it hides: `PATH = "bin:$PATH"`.
pub(super) struct Environment<'a> {
    book: &'a Book<'a>,
    layers: Vec<Layer<'a>>,
    /// What devstack sets; above all layers.
    set: BTreeMap<String, String>,
    /// devstack's own environment; below all layers.
    outer: &'a BTreeMap<String, String>,
    /// The name that means the service itself: that of its group, and its own.
    own: Option<(&'a Name, &'a Name)>,
    known: HashMap<(&'a str, usize), String>,
    busy: Vec<(&'a str, usize)>,
}

impl<'a> Environment<'a> {
    /// The environment of these layers.
    pub fn new(
        book: &'a Book<'a>,
        layers: Vec<Layer<'a>>,
        set: BTreeMap<String, String>,
        outer: &'a BTreeMap<String, String>,
    ) -> Environment<'a> {
        let (known, busy) = (HashMap::new(), Vec::new());
        Environment { book, layers, set, outer, own: None, known, busy }
    }

    /// The same, where a replica means itself by the name that it was written under: what tells
    /// a program its port must tell each replica its own.
    pub fn within(mut self, service: &'a ServiceSpec) -> Environment<'a> {
        self.own = match &service.replicas {
            Replicas::Member { group, .. } => Some((group, &service.name)),
            Replicas::One | Replicas::Many(_) => None,
        };
        self
    }

    /// Everything that is set on top of devstack's own environment; what cannot be expanded is
    /// left out and told.
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

    /// The same with everybody who gives a variable a value, the strongest first. The value of one who is hidden may
    /// be one that cannot be expanded.
    pub fn explained(&mut self) -> BTreeMap<String, Vec<(Giver, Option<String>)>> {
        let mut explained = BTreeMap::new();
        for name in self.given_names() {
            let givers: Vec<Giver> = self.givers(&name).collect();
            let said = givers.into_iter().map(|giver| (giver, self.given(&name, giver).ok()));
            explained.insert(name.clone(), said.collect());
        }
        explained
    }

    /// The names of all variables that are set on top of devstack's own environment.
    fn given_names(&self) -> BTreeSet<String> {
        let layers = self.layers.iter().flat_map(Layer::names).map(str::to_owned);
        layers.chain(self.set.keys().cloned()).collect()
    }

    /// Who gives a variable a value, the strongest first: this is the order of precedence.
    fn givers(&self, name: &str) -> impl Iterator<Item = Giver> {
        let devstack = self.set.contains_key(name).then_some(Giver::Devstack);
        let layers = self.layers.iter().enumerate();
        let layers = layers.filter(move |(_, layer)| layer.get(name).is_some());
        devstack.into_iter().chain(layers.map(|(index, _)| Giver::Layer(index)))
    }

    /// The value that one of them gives it.
    fn given(&mut self, name: &str, giver: Giver) -> Result<String, Trouble> {
        let value = match giver {
            Giver::Devstack => self.set.get(name).cloned(),
            Giver::Layer(index) => self.at(name, index)?,
        };
        Ok(value.expect("a giver has a value"))
    }

    /// A layer, by what [`Environment::explained`] calls it.
    pub fn layer(&self, index: usize) -> Layer<'a> {
        self.layers[index]
    }

    /// A text with this environment.
    pub fn expand(&mut self, template: &Template) -> Result<String, Trouble> {
        expand(&template.parts, template.at, self)
    }

    /// The same for people: what devstack itself and a preset give is put in. Every other variable stands by its name,
    /// because what an env file or `env` gives may be a secret.
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

    /// The value of a variable that can be no secret.
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

    /// The value of a variable as one layer has it; `None` when that layer does not set it.
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

    /// The names of all variables, for "did you mean".
    pub fn names(&self) -> BTreeSet<&str> {
        let layers = self.layers.iter().flat_map(Layer::names);
        layers.chain(self.set.keys().chain(self.outer.keys()).map(|name| &**name)).collect()
    }

    /// The name as the layer holds it, which lives as long as the configuration.
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

    /// The cycle that asking for this variable again has closed, begun at its smallest name, so
    /// that it is the same wherever it was entered.
    fn cycle(&self, name: &'a str, layer: usize) -> Trouble {
        let first = self.busy.iter().position(|&entry| entry == (name, layer)).unwrap_or(0);
        let mut path = self.busy[first..].to_vec();
        let smallest = (0..path.len()).min_by_key(|&index| path[index]).unwrap_or(0);
        path.rotate_left(smallest);
        path.extend(path.first().copied());
        let names: Vec<&str> = path.iter().map(|(name, _)| *name).collect();
        let at = path.first().and_then(|(name, layer)| self.layers[*layer].place(name));
        let at = at.expect("a variable that is being expanded stands in its layer");
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
        // One that refers to itself means what it hides.
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
