use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::Name;

use super::file::{EnvFile, EnvFileSet};
use crate::config::diagnostics::Span;
use crate::config::resolve::AddressBook;
use crate::config::spec::{ReplicaSpec, ServiceSpec, StackSpec, TemplateVars};
use crate::config::template::{
    Expand, ExpandError, ServiceField, StackField, Template, TemplatePart, expand,
};

/// How deeply variables may refer to other variables.
const MAX_DEPTH: usize = 32;

/// A source of variables. Lists of layers start with the strongest.
#[derive(Clone, Copy)]
pub(crate) enum EnvLayer<'a> {
    ServiceEnv(&'a TemplateVars),
    ServiceFile(&'a EnvFile),
    StackEnv(&'a TemplateVars),
    StackFile(&'a EnvFile),
    Preset(&'a TemplateVars),
}

/// The source of a value above the inherited environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueSource {
    Devstack,
    /// A layer, by its index from the strongest.
    Layer(usize),
}

#[derive(Clone, Copy)]
enum LayerValue<'a> {
    Written(&'a Template),
    Plain(&'a str),
}

impl<'a> EnvLayer<'a> {
    fn get(&self, name: &str) -> Option<LayerValue<'a>> {
        match self {
            EnvLayer::ServiceEnv(env) | EnvLayer::StackEnv(env) | EnvLayer::Preset(env) => {
                env.get(name).map(LayerValue::Written)
            }
            EnvLayer::ServiceFile(file) | EnvLayer::StackFile(file) => {
                file.settings.get(name).map(|setting| LayerValue::Plain(&setting.value))
            }
        }
    }

    fn names(&self) -> Vec<&'a str> {
        match self {
            EnvLayer::ServiceEnv(env) | EnvLayer::StackEnv(env) | EnvLayer::Preset(env) => {
                env.keys().map(|k| &**k).collect()
            }
            EnvLayer::ServiceFile(file) | EnvLayer::StackFile(file) => {
                file.settings.keys().map(|k| &**k).collect()
            }
        }
    }

    pub fn place(&self, name: &str) -> Option<Span> {
        match self {
            EnvLayer::ServiceEnv(env) | EnvLayer::StackEnv(env) | EnvLayer::Preset(env) => {
                env.get(name).map(|text| text.at)
            }
            EnvLayer::ServiceFile(file) | EnvLayer::StackFile(file) => {
                file.settings.get(name).map(|setting| setting.at)
            }
        }
    }
}

/// Returns the layers of a service's environment above the inherited one, strongest first.
pub(crate) fn layers<'a>(
    stack: &'a StackSpec,
    service: &'a ServiceSpec,
    files: &'a EnvFileSet,
) -> Vec<EnvLayer<'a>> {
    let mut layers = vec![EnvLayer::ServiceEnv(&service.env)];
    let file = |spec: &crate::config::spec::EnvFileSpec| files.files.get(&spec.path);
    layers.extend(service.env_files.iter().rev().filter_map(file).map(EnvLayer::ServiceFile));
    layers.push(EnvLayer::StackEnv(&stack.env));
    layers.extend(stack.env_files.iter().rev().filter_map(file).map(EnvLayer::StackFile));
    if !service.preset_env.is_empty() {
        layers.push(EnvLayer::Preset(&service.preset_env));
    }
    layers
}

/// Resolves the final environment of one service, variable by variable.
///
/// A variable that refers to itself gets the value it shadows: `PATH = "bin:$PATH"`.
pub(crate) struct EnvResolver<'a> {
    book: &'a AddressBook<'a>,
    layers: Vec<EnvLayer<'a>>,
    /// Set by devstack; above all layers.
    injected: BTreeMap<String, String>,
    /// Inherited by devstack; below all layers.
    inherited: &'a BTreeMap<String, String>,
    /// For a replica: the name of its group, and its own name.
    self_reference: Option<(&'a Name, &'a Name)>,
    cache: HashMap<(&'a str, usize), String>,
    in_progress: Vec<(&'a str, usize)>,
}

impl<'a> EnvResolver<'a> {
    pub fn new(
        book: &'a AddressBook<'a>,
        layers: Vec<EnvLayer<'a>>,
        set: BTreeMap<String, String>,
        outer: &'a BTreeMap<String, String>,
    ) -> EnvResolver<'a> {
        let (known, busy) = (HashMap::new(), Vec::new());
        EnvResolver {
            book,
            layers,
            injected: set,
            inherited: outer,
            self_reference: None,
            cache: known,
            in_progress: busy,
        }
    }

    /// Makes a replica's references to its own group mean the replica itself.
    pub fn for_service(mut self, service: &'a ServiceSpec) -> EnvResolver<'a> {
        self.self_reference = match &service.replicas {
            ReplicaSpec::Member { group, .. } => Some((group, &service.name)),
            ReplicaSpec::One | ReplicaSpec::Many(_) => None,
        };
        self
    }

    /// Returns all variables above the inherited environment, and the errors from expanding them.
    pub fn all(&mut self) -> (BTreeMap<String, String>, Vec<ExpandError>) {
        let (mut all, mut troubles) = (BTreeMap::new(), Vec::new());
        for name in self.given_names() {
            let Some(giver) = self.sources_of(&name).next() else { continue };
            match self.value_from(&name, giver) {
                Ok(value) => drop(all.insert(name, value)),
                Err(trouble) => troubles.push(trouble),
            }
        }
        (all, troubles)
    }

    /// Returns the same variables with all their sources and values, strongest first. A shadowed
    /// value is `None` if it cannot be expanded.
    pub fn all_sources(&mut self) -> BTreeMap<String, Vec<(ValueSource, Option<String>)>> {
        let mut explained = BTreeMap::new();
        for name in self.given_names() {
            let givers: Vec<ValueSource> = self.sources_of(&name).collect();
            let status =
                givers.into_iter().map(|giver| (giver, self.value_from(&name, giver).ok()));
            explained.insert(name.clone(), status.collect());
        }
        explained
    }

    fn given_names(&self) -> BTreeSet<String> {
        let layers = self.layers.iter().flat_map(EnvLayer::names).map(str::to_owned);
        layers.chain(self.injected.keys().cloned()).collect()
    }

    /// Returns the sources that set a variable, strongest first: this is the order of precedence.
    fn sources_of(&self, name: &str) -> impl Iterator<Item = ValueSource> {
        let devstack = self.injected.contains_key(name).then_some(ValueSource::Devstack);
        let layers = self.layers.iter().enumerate();
        let layers = layers.filter(move |(_, layer)| layer.get(name).is_some());
        devstack.into_iter().chain(layers.map(|(index, _)| ValueSource::Layer(index)))
    }

    fn value_from(&mut self, name: &str, giver: ValueSource) -> Result<String, ExpandError> {
        let value = match giver {
            ValueSource::Devstack => self.injected.get(name).cloned(),
            ValueSource::Layer(index) => self.at(name, index)?,
        };
        Ok(value.expect("the source sets this variable"))
    }

    /// Returns a layer by the index that [`EnvResolver::all_sources`] uses.
    pub fn layer(&self, index: usize) -> EnvLayer<'a> {
        self.layers[index]
    }

    pub fn expand(&mut self, template: &Template) -> Result<String, ExpandError> {
        expand(&template.parts, template.at, self)
    }

    /// Expands a text for display. Values from devstack itself and from presets are inserted; other
    /// variables stay as names, because env files and `env` may hold secrets.
    pub fn redacted(&mut self, template: &Template) -> String {
        let mut shown = String::new();
        for part in &template.parts {
            match part {
                TemplatePart::Text(text) => shown.push_str(text),
                TemplatePart::Stack { field, .. } => shown.push_str(&self.stack(*field)),
                TemplatePart::Service { service, field, .. } => {
                    shown.push_str(&self.service(service, field).unwrap_or_default());
                }
                TemplatePart::Variable { name, .. } => match self.non_secret(name) {
                    Some(value) => shown.push_str(&value),
                    None => shown.push_str(&format!("${{{name}}}")),
                },
            }
        }
        shown
    }

    /// Returns the value of a variable that cannot be a secret.
    fn non_secret(&mut self, name: &str) -> Option<String> {
        let giver = self.sources_of(name).next()?;
        let known = match giver {
            ValueSource::Devstack => true,
            ValueSource::Layer(index) => match self.layers[index] {
                EnvLayer::Preset(_) => true,
                EnvLayer::ServiceEnv(_)
                | EnvLayer::ServiceFile(_)
                | EnvLayer::StackEnv(_)
                | EnvLayer::StackFile(_) => false,
            },
        };
        if known { self.value_from(name, giver).ok() } else { None }
    }

    /// Returns the value of a variable in one layer, or `None` if the layer does not set it.
    pub fn at(&mut self, name: &str, layer: usize) -> Result<Option<String>, ExpandError> {
        let template = match self.layers[layer].get(name) {
            None => return Ok(None),
            Some(LayerValue::Plain(value)) => return Ok(Some(value.to_owned())),
            Some(LayerValue::Written(template)) => template,
        };
        if let [TemplatePart::Text(text)] = template.parts.as_slice() {
            return Ok(Some(text.clone()));
        }
        let name = self.stored_name(name, layer);
        if let Some(value) = self.cache.get(&(name, layer)) {
            return Ok(Some(value.clone()));
        }
        if self.in_progress.contains(&(name, layer)) {
            return Err(self.cycle(name, layer));
        }
        if self.in_progress.len() >= MAX_DEPTH {
            return Err(ExpandError::TooDeep { at: template.at });
        }
        self.in_progress.push((name, layer));
        let value = expand(&template.parts, template.at, self);
        self.in_progress.pop();
        let value = value?;
        self.cache.insert((name, layer), value.clone());
        Ok(Some(value))
    }

    /// Returns the names of all variables, for "did you mean".
    pub fn names(&self) -> BTreeSet<&str> {
        let layers = self.layers.iter().flat_map(EnvLayer::names);
        layers
            .chain(self.injected.keys().chain(self.inherited.keys()).map(|name| &**name))
            .collect()
    }

    /// The name as stored in the layer, which lives as long as the configuration.
    fn stored_name(&self, name: &str, layer: usize) -> &'a str {
        match self.layers[layer] {
            EnvLayer::ServiceEnv(env) | EnvLayer::StackEnv(env) | EnvLayer::Preset(env) => {
                env.get_key_value(name).map_or("", |(name, _)| name.as_str())
            }
            EnvLayer::ServiceFile(file) | EnvLayer::StackFile(file) => {
                file.settings.get_key_value(name).map_or("", |(name, _)| name.as_str())
            }
        }
    }

    /// Returns the error for a cycle. Its path starts at the smallest name, so that it is the same
    /// wherever the cycle was entered.
    fn cycle(&self, name: &'a str, layer: usize) -> ExpandError {
        let first = self.in_progress.iter().position(|&entry| entry == (name, layer)).unwrap_or(0);
        let mut path = self.in_progress[first..].to_vec();
        let smallest = (0..path.len()).min_by_key(|&index| path[index]).unwrap_or(0);
        path.rotate_left(smallest);
        path.extend(path.first().copied());
        let names: Vec<&str> = path.iter().map(|(name, _)| *name).collect();
        let at = path.first().and_then(|(name, layer)| self.layers[*layer].place(name));
        let at = at.expect("a variable being expanded is in its layer");
        ExpandError::Cycle { path: names.join(" → "), at }
    }
}

impl Expand for EnvResolver<'_> {
    fn service(&self, service: &str, field: &ServiceField) -> Option<String> {
        let own = self.self_reference.filter(|(group, _)| group.as_str() == service);
        self.book.service(own.map_or(service, |(_, name)| name.as_str()), field)
    }

    fn stack(&self, field: StackField) -> String {
        self.book.stack(field)
    }

    fn variable(&mut self, name: &str, _at: Span) -> Result<Option<String>, ExpandError> {
        // A self-reference means the shadowed value.
        let hiding =
            self.in_progress.last().filter(|(busy, _)| *busy == name).map(|(_, layer)| *layer);
        let may_give = |giver: &ValueSource| match (hiding, giver) {
            (None, _) => true,
            (Some(_), ValueSource::Devstack) => false,
            (Some(above), ValueSource::Layer(index)) => *index > above,
        };
        let giver = self.sources_of(name).find(may_give);
        if let Some(giver) = giver {
            return self.value_from(name, giver).map(Some);
        }
        Ok(self.inherited.get(name).cloned())
    }
}
