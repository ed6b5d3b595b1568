use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::model::{LaunchEnv, Name, host_inside};
use crate::text::join;

use super::file::EnvFileSet;
use crate::config::diagnostics::Span;
use crate::config::resolve::{AddressBook, Viewpoint};
use crate::config::spec::{EnvFileSpec, ReplicaSpec, ServiceSpec, StackSpec, TemplateVars};
use crate::config::template::{
    Expand, ExpandError, ServiceField, StackField, Template, TemplatePart, expand,
};

/// How deeply variables may refer to other variables.
const MAX_DEPTH: usize = 32;

/// Maximum size of everything that is expanded for one service, in bytes.
const MAX_EXPANDED: usize = 16 * 1024 * 1024;

/// A source of variables. Lists of layers start with the strongest.
#[derive(Clone, Copy)]
pub(crate) struct EnvLayer<'a> {
    pub kind: LayerKind,
    pub file: Option<&'a Path>,
    pub variables: &'a TemplateVars,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerKind {
    ServiceEnv,
    ServiceFile,
    StackEnv,
    StackFile,
    Preset,
}

/// The source of a value above the inherited environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueSource {
    Devstack,
    /// A layer, by its index from the strongest.
    Layer(usize),
}

impl<'a> EnvLayer<'a> {
    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.variables.keys().map(String::as_str)
    }

    pub fn place(&self, name: &str) -> Option<Span> {
        self.variables.get(name).map(|text| text.at)
    }
}

/// Returns the layers of a service's environment above the inherited one, strongest first.
pub(crate) fn layers<'a>(
    stack: &'a StackSpec,
    service: &'a ServiceSpec,
    files: &'a EnvFileSet,
) -> Vec<EnvLayer<'a>> {
    let layer = |kind, variables| EnvLayer { kind, file: None, variables };
    let in_files = |specs: &'a [EnvFileSpec], kind| {
        let found = specs.iter().rev().filter_map(|spec| files.files.get_key_value(&spec.path));
        found.map(move |(path, variables)| EnvLayer { kind, file: Some(path), variables })
    };
    let mut layers = vec![layer(LayerKind::ServiceEnv, &service.env)];
    layers.extend(in_files(&service.env_files, LayerKind::ServiceFile));
    let scope = stack.scope(service);
    layers.push(layer(LayerKind::StackEnv, &scope.env));
    layers.extend(in_files(&scope.env_files, LayerKind::StackFile));
    layers.push(layer(LayerKind::Preset, &service.preset_env));
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
    /// The service whose environment this is.
    service: Option<&'a Name>,
    /// The directory of the file.
    dir: Option<&'a Path>,
    /// Where its texts are used.
    viewpoint: Viewpoint,
    cache: HashMap<(&'a str, usize), Result<String, ExpandError>>,
    in_progress: Vec<(&'a str, usize)>,
    /// Number of bytes expanded so far, and the text that was too much.
    expanded: usize,
    overflow: Option<Span>,
}

impl<'a> EnvResolver<'a> {
    pub fn new(
        book: &'a AddressBook<'a>,
        layers: Vec<EnvLayer<'a>>,
        injected: BTreeMap<String, String>,
        inherited: &'a BTreeMap<String, String>,
    ) -> EnvResolver<'a> {
        EnvResolver {
            book,
            layers,
            injected,
            inherited,
            self_reference: None,
            service: None,
            dir: None,
            viewpoint: Viewpoint::Machine,
            cache: HashMap::new(),
            in_progress: Vec::new(),
            expanded: 0,
            overflow: None,
        }
    }

    /// Makes a replica's references to its own group mean the replica itself, and `${stack.dir}` the
    /// directory of the service's file.
    pub fn for_service(
        mut self,
        stack: &'a StackSpec,
        service: &'a ServiceSpec,
    ) -> EnvResolver<'a> {
        self.dir = Some(&stack.scope(service).dir);
        self.service = Some(&service.name);
        self.viewpoint = Viewpoint::of(service);
        self.self_reference = match &service.replicas {
            ReplicaSpec::Member { group, .. } => Some((group, &service.name)),
            ReplicaSpec::One | ReplicaSpec::Many(_) => None,
        };
        self
    }

    /// Returns all variables above the inherited environment, and the errors from expanding them.
    pub fn all(&mut self) -> (LaunchEnv, Vec<ExpandError>) {
        let (mut all, mut troubles) = (Vec::new(), Vec::new());
        for name in self.given_names() {
            let Some(giver) = self.sources_of(&name).next() else { continue };
            match self.value_from(&name, giver) {
                Ok(value) => all.push((name, value)),
                Err(trouble) => troubles.push(trouble),
            }
        }
        (all.into_iter().collect(), troubles)
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
        let layers = layers.filter(move |(_, layer)| layer.variables.contains_key(name));
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

    /// Expands a text that is used on this machine, also if the service runs in a container.
    pub fn expand_outside(&mut self, template: &Template) -> Result<String, ExpandError> {
        let viewpoint = std::mem::replace(&mut self.viewpoint, Viewpoint::Machine);
        let expanded = self.expand(template);
        self.viewpoint = viewpoint;
        expanded
    }

    /// Returns `${host.inside}`: for its own engine, or else for that of the stack.
    fn host_inside(&self) -> String {
        match self.viewpoint {
            Viewpoint::Container(engine) => host_inside(engine).to_owned(),
            Viewpoint::Machine => self.book.stack(StackField::HostInside),
        }
    }

    pub fn expand(&mut self, template: &Template) -> Result<String, ExpandError> {
        if let Some(at) = self.overflow {
            return Err(ExpandError::TooLargeTogether { at });
        }
        let value = expand(&template.parts, template.at, self)?;
        self.expanded += value.len();
        if self.expanded > MAX_EXPANDED {
            let at = *self.overflow.get_or_insert(template.at);
            return Err(ExpandError::TooLargeTogether { at });
        }
        Ok(value)
    }

    /// Returns how many bytes were expanded so far.
    pub fn expanded(&self) -> usize {
        self.expanded
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
            ValueSource::Layer(index) => self.layers[index].kind == LayerKind::Preset,
        };
        if known { self.value_from(name, giver).ok() } else { None }
    }

    /// Returns the value of a variable in one layer, or `None` if the layer does not set it.
    pub fn at(&mut self, name: &str, layer: usize) -> Result<Option<String>, ExpandError> {
        let variables = self.layers[layer].variables;
        // This name lives as long as the configuration.
        let Some((name, template)) = variables.get_key_value(name) else { return Ok(None) };
        if let [TemplatePart::Text(text)] = template.parts.as_slice() {
            return Ok(Some(text.clone()));
        }
        let name = name.as_str();
        if let Some(known) = self.cache.get(&(name, layer)) {
            return known.clone().map(Some);
        }
        if self.in_progress.contains(&(name, layer)) {
            return Err(self.cycle(name, layer));
        }
        if self.in_progress.len() >= MAX_DEPTH {
            return Err(ExpandError::TooDeep { at: template.at });
        }
        self.in_progress.push((name, layer));
        let value = self.expand(template);
        self.in_progress.pop();
        self.cache.insert((name, layer), value.clone());
        value.map(Some)
    }

    /// Returns the names of all variables, for "did you mean".
    pub fn names(&self) -> BTreeSet<&str> {
        let layers = self.layers.iter().flat_map(EnvLayer::names);
        layers
            .chain(self.injected.keys().chain(self.inherited.keys()).map(|name| &**name))
            .collect()
    }

    /// Returns the error for a cycle. Its path starts at the smallest name, so that it is the same
    /// wherever the cycle was entered.
    fn cycle(&self, name: &'a str, layer: usize) -> ExpandError {
        let first = self.in_progress.iter().position(|&entry| entry == (name, layer)).unwrap_or(0);
        let mut path = self.in_progress[first..].to_vec();
        let smallest = (0..path.len()).min_by_key(|&index| path[index]).unwrap_or(0);
        path.rotate_left(smallest);
        path.extend(path.first().copied());
        let at = path.first().and_then(|(name, layer)| self.layers[*layer].place(name));
        let at = at.expect("a variable being expanded is in its layer");
        ExpandError::Cycle { path: join(path.iter().map(|(name, _)| name), " → "), at }
    }
}

impl Expand for EnvResolver<'_> {
    fn service(&self, service: &str, field: &ServiceField) -> Option<String> {
        let own = self.self_reference.filter(|(group, _)| group.as_str() == service);
        let service = own.map_or(service, |(_, name)| name.as_str());
        match self.service.is_some_and(|name| name.as_str() == service) {
            true => self.book.own(service, field, self.viewpoint),
            false => self.book.service(service, field, self.viewpoint),
        }
    }

    fn stack(&self, field: StackField) -> String {
        match (field, self.dir) {
            (StackField::Dir, Some(dir)) => dir.to_string_lossy().into_owned(),
            (StackField::HostInside, _) => self.host_inside(),
            _ => self.book.stack(field),
        }
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
