//! Texts of the portable stack: which references become addresses, variables or nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::config::env::{EnvFileSet, EnvLayer, LayerKind, layers};
use crate::config::spec::{CommandSpec, ReplicaSpec, ServiceSpec, StackSpec, TemplateVars};
use crate::config::template::{ServiceField, StackField, Template, TemplatePart, WhenUnset};
use crate::encoding::percent_encode;
use crate::model::{
    MissingVariable, Name, PortableCommand, PortableText, PortableVariable, TextPiece, host_inside,
};

use super::addresses::{PortableAddresses, ServicePlace};

/// How deeply variables may refer to other variables; deeper ones stay open.
const MAX_DEPTH: usize = 32;

/// Maximum size of all texts of a service, in bytes; variables beyond it stay open.
const MAX_TEXT: usize = 1024 * 1024;

/// What a reference counts for, in bytes: about what it takes in memory.
const REFERENCE_COST: usize = 64;

/// Where a service runs.
#[derive(Clone, Copy)]
pub(super) struct Surroundings {
    /// The value of `${stack.dir}`, if it is not a directory of the machine.
    pub stack_dir: Option<&'static str>,
    /// The value of `PATH`, if that is not the machine's.
    pub path: Option<&'static str>,
}

/// Expands the texts of one service as far as the configuration alone says what they are.
pub(super) struct PortableTexts<'a> {
    pub spec: &'a StackSpec,
    pub files: &'a EnvFileSet,
    pub addresses: &'a PortableAddresses<'a>,
    surroundings: Surroundings,
    service: &'a ServiceSpec,
    /// Strongest first.
    layers: Vec<EnvLayer<'a>>,
    injected: BTreeMap<String, String>,
    /// The variables that are being expanded, with their layers.
    in_progress: Vec<(String, usize)>,
    size: usize,
}

impl<'a> PortableTexts<'a> {
    /// `preset_env` replaces the variables of the preset.
    pub fn new(
        spec: &'a StackSpec,
        files: &'a EnvFileSet,
        addresses: &'a PortableAddresses<'a>,
        surroundings: Surroundings,
        service: &'a ServiceSpec,
        preset_env: Option<&'a TemplateVars>,
    ) -> PortableTexts<'a> {
        let mut layers = layers(spec, service, files);
        let of_preset = layers.iter_mut().find(|layer| layer.kind == LayerKind::Preset);
        if let (Some(layer), Some(variables)) = (of_preset, preset_env) {
            layer.variables = variables;
        }
        let (injected, in_progress) = (BTreeMap::new(), Vec::new());
        PortableTexts {
            spec,
            files,
            addresses,
            surroundings,
            service,
            layers,
            injected,
            in_progress,
            size: 0,
        }
    }

    /// Sets what devstack itself would set.
    pub fn inject(&mut self, variables: BTreeMap<String, String>) {
        self.injected = variables;
    }

    /// Returns the variables that no env file sets.
    pub fn env(&mut self) -> BTreeMap<String, PortableText> {
        let names = self.layers.iter().filter(|layer| layer.file.is_none());
        let names = names.flat_map(|layer| layer.variables.keys()).cloned();
        let names: BTreeSet<String> = names.chain(self.injected.keys().cloned()).collect();
        let mut env = BTreeMap::new();
        for name in names {
            if let Some(value) = self.injected.get(&name) {
                env.insert(name, PortableText::from(value.as_str()));
            } else if let Some(index) = self.giver(&name, 0).filter(|index| !self.is_file(*index)) {
                let value = self.in_layer(&name, index);
                env.insert(name, value);
            }
        }
        env
    }

    pub fn text(&mut self, template: &Template) -> PortableText {
        self.parts(&template.parts)
    }

    pub fn command(&mut self, command: &CommandSpec) -> PortableCommand {
        match command {
            CommandSpec::Shell(text) => PortableCommand::Shell(self.text(text)),
            CommandSpec::Exec(words) => {
                PortableCommand::Exec(words.iter().map(|word| self.text(word)).collect())
            }
        }
    }

    fn parts(&mut self, parts: &[TemplatePart]) -> PortableText {
        let mut text = PortableText::default();
        for part in parts {
            self.size += REFERENCE_COST;
            match part {
                TemplatePart::Text(literal) => {
                    self.size += literal.len();
                    text.push_literal(literal);
                }
                TemplatePart::Stack { field: StackField::HostInside, .. } => {
                    text.push_literal(host_inside(self.spec.engine));
                }
                TemplatePart::Stack { field: StackField::Name, .. } => {
                    text.push_literal(&self.spec.name);
                }
                TemplatePart::Stack { field: StackField::Dir, .. } => {
                    text.push_literal(&self.stack_dir(&self.spec.scope(self.service).dir));
                }
                TemplatePart::Stack { field: StackField::ProjectDir, .. } => {
                    text.push_literal(&self.stack_dir(&self.spec.dir));
                }
                TemplatePart::Service { service, field, .. } => {
                    text.push(self.service(service, field));
                }
                TemplatePart::Variable { name, missing, .. } => {
                    text.push(self.variable(name, missing));
                }
            }
        }
        text
    }

    /// Returns what stands for a directory of the machine.
    fn stack_dir(&self, dir: &'a Path) -> Cow<'a, str> {
        self.surroundings.stack_dir.map_or_else(|| dir.to_string_lossy(), Cow::Borrowed)
    }

    /// Returns a field of a service. Unknown ones were reported when the file was loaded.
    fn service(&self, name: &str, field: &ServiceField) -> PortableText {
        // A replica that names its group means itself.
        let own = match &self.service.replicas {
            ReplicaSpec::Member { group, .. } => {
                Some(&self.service.name).filter(|_| group.as_str() == name)
            }
            ReplicaSpec::One | ReplicaSpec::Many(_) => None,
        };
        let place = self.addresses.find(own.map_or(name, Name::as_str));
        match field {
            // Elsewhere there is no proxy.
            ServiceField::Url | ServiceField::Origin => {
                place.map(|place| self.url(place)).unwrap_or_default()
            }
            ServiceField::Host => place.map(|place| place.host.as_str().into()).unwrap_or_default(),
            ServiceField::Port(port) => {
                let number = place.and_then(|place| place.port(port.as_deref()));
                number.map(|number| number.to_string().as_str().into()).unwrap_or_default()
            }
        }
    }

    /// Returns the URL of a service, with the variables of that service.
    pub fn url(&self, place: &ServicePlace<'_>) -> PortableText {
        let Some(address) = place.address() else { return PortableText::default() };
        let Some([before, after]) = place.url_templates() else {
            return format!("http://{address}").as_str().into();
        };
        let (spec, files, addresses) = (self.spec, self.files, self.addresses);
        let surroundings = self.surroundings;
        let mut texts =
            PortableTexts::new(spec, files, addresses, surroundings, place.service, None);
        let mut url = texts.encoded(before);
        url.push_literal(&address);
        url.push(texts.encoded(after));
        url
    }

    /// Expands a part of a URL; known values of references are percent-encoded.
    fn encoded(&mut self, template: &Template) -> PortableText {
        let mut url = PortableText::default();
        for part in &template.parts {
            if let TemplatePart::Text(text) = part {
                url.push_literal(text);
                continue;
            }
            for piece in self.parts(std::slice::from_ref(part)).pieces {
                match piece {
                    TextPiece::Literal(text) => {
                        let mut encoded = String::new();
                        percent_encode(&text, &mut encoded);
                        url.push_literal(&encoded);
                    }
                    TextPiece::Variable(_) => url.push(PortableText { pieces: vec![piece] }),
                }
            }
        }
        url
    }

    fn variable(&mut self, name: &str, missing: &WhenUnset) -> PortableText {
        // A reference to itself means the value that it shadows.
        let shadows = self.in_progress.last().filter(|(busy, _)| busy == name);
        let above = shadows.map(|(_, layer)| layer + 1);
        let injected = self.injected.get(name).filter(|_| above.is_none());
        let value = match (injected, self.giver(name, above.unwrap_or(0))) {
            (Some(value), _) => Some(value.as_str().into()),
            (None, Some(index)) if self.may_expand(index) => Some(self.in_layer(name, index)),
            (None, _) => None,
        };
        match (value, missing) {
            (Some(value), WhenUnset::Default(parts)) if value.pieces.is_empty() => {
                self.parts(parts)
            }
            (Some(value), missing) => self.with_missing(value, missing),
            (None, missing) => {
                let file = self.giver(name, above.unwrap_or(0)).and_then(|at| self.layers[at].file);
                self.open(name, file, missing)
            }
        }
    }

    /// Gives a text that is nothing but an open variable a default, or a message.
    fn with_missing(&mut self, mut value: PortableText, missing: &WhenUnset) -> PortableText {
        if let [TextPiece::Variable(open)] = value.pieces.as_mut_slice()
            && open.missing == MissingVariable::Fail
        {
            open.missing = self.missing(missing);
        }
        value
    }

    fn missing(&mut self, missing: &WhenUnset) -> MissingVariable {
        match missing {
            WhenUnset::Fail => MissingVariable::Fail,
            WhenUnset::Default(parts) => MissingVariable::Default(self.parts(parts)),
            WhenUnset::Message(message) => MissingVariable::Message(message.clone()),
        }
    }

    /// Returns a text that leaves a variable open. A search path that containers extend is known.
    fn open(&mut self, name: &str, file: Option<&Path>, missing: &WhenUnset) -> PortableText {
        if let (Some(path), "PATH", None) = (self.surroundings.path, name, file) {
            return path.into();
        }
        let missing = self.missing(missing);
        let file = file.map(|file| self.files.place(file).to_owned());
        let variable = PortableVariable { name: name.to_owned(), file, missing };
        PortableText { pieces: vec![TextPiece::Variable(variable)] }
    }

    /// Returns the strongest layer from `from` on that sets a variable.
    fn giver(&self, name: &str, from: usize) -> Option<usize> {
        (from..self.layers.len()).find(|index| self.layers[*index].variables.contains_key(name))
    }

    fn is_file(&self, layer: usize) -> bool {
        self.layers[layer].file.is_some()
    }

    fn may_expand(&self, layer: usize) -> bool {
        !self.is_file(layer) && self.in_progress.len() < MAX_DEPTH && self.size < MAX_TEXT
    }

    fn in_layer(&mut self, name: &str, layer: usize) -> PortableText {
        let variables = self.layers[layer].variables;
        self.in_progress.push((name.to_owned(), layer));
        let value = variables.get(name).map(|template| self.parts(&template.parts));
        self.in_progress.pop();
        value.unwrap_or_default()
    }
}
