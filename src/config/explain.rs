//! Where the variables of a service come from, as files and lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{SourceLocation, VariableOrigin};

use super::build::Builder;
use super::environment::{Giver, Layer};
use super::place::Place;
use super::source::Source;
use super::spec::ServiceSpec;

/// For each variable, all origins above the inherited environment with their values, strongest
/// first. A value is `None` if it is shadowed and cannot be expanded.
pub type Explained = BTreeMap<String, Vec<(VariableOrigin, Option<String>)>>;

/// Explains a service's environment; `sources` are the files that spans point into.
pub(super) fn explain(
    builder: &Builder<'_>,
    spec: &ServiceSpec,
    debugged: bool,
    sources: &[Arc<Source>],
) -> Explained {
    let mut environment = builder.environment(spec, debugged);
    let mut explained = Explained::new();
    for (name, given) in environment.explained() {
        let origin = |giver| match giver {
            Giver::Devstack => VariableOrigin::Devstack,
            Giver::Layer(index) => origin(spec, environment.layer(index), &name, sources),
        };
        let said = given.into_iter().map(|(giver, value)| (origin(giver), value)).collect();
        explained.insert(name, said);
    }
    explained
}

fn origin(
    spec: &ServiceSpec,
    layer: Layer<'_>,
    name: &str,
    sources: &[Arc<Source>],
) -> VariableOrigin {
    let place = layer.place(name).expect("the layer sets this variable");
    let written = || written(place, sources);
    match layer {
        Layer::ServiceEnv(_) => VariableOrigin::ServiceEnv(written()),
        Layer::ServiceFile(_) => VariableOrigin::ServiceFile(written()),
        Layer::StackEnv(_) => VariableOrigin::StackEnv(written()),
        Layer::StackFile(_) => VariableOrigin::StackFile(written()),
        Layer::Preset(_) => {
            let preset = spec.framework.map_or("", |preset| preset.name);
            VariableOrigin::Preset { preset: preset.to_owned() }
        }
    }
}

fn written(place: Place, sources: &[Arc<Source>]) -> SourceLocation {
    let source = &sources[place.file as usize];
    let (line, _) = source.line_column(place.start as usize);
    SourceLocation { file: source.path().to_string_lossy().into_owned(), line }
}
