//! Where the variables of a service come from, as files and lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Origin, Written};

use super::build::Builder;
use super::environment::{Giver, Layer};
use super::place::Place;
use super::source::Source;
use super::spec::ServiceSpec;

/// For each variable, all origins above the inherited environment with their values, strongest
/// first. A value is `None` if it is shadowed and cannot be expanded.
pub type Explained = BTreeMap<String, Vec<(Origin, Option<String>)>>;

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
            Giver::Devstack => Origin::Devstack,
            Giver::Layer(index) => origin(spec, environment.layer(index), &name, sources),
        };
        let said = given.into_iter().map(|(giver, value)| (origin(giver), value)).collect();
        explained.insert(name, said);
    }
    explained
}

fn origin(spec: &ServiceSpec, layer: Layer<'_>, name: &str, sources: &[Arc<Source>]) -> Origin {
    let place = layer.place(name).expect("the layer sets this variable");
    let written = || written(place, sources);
    match layer {
        Layer::ServiceEnv(_) => Origin::ServiceEnv(written()),
        Layer::ServiceFile(_) => Origin::ServiceFile(written()),
        Layer::StackEnv(_) => Origin::StackEnv(written()),
        Layer::StackFile(_) => Origin::StackFile(written()),
        Layer::Preset(_) => {
            let preset = spec.framework.map_or("", |preset| preset.name);
            Origin::Preset { preset: preset.to_owned() }
        }
    }
}

fn written(place: Place, sources: &[Arc<Source>]) -> Written {
    let source = &sources[place.file as usize];
    let (line, _) = source.line_column(place.start as usize);
    Written { file: source.path().to_string_lossy().into_owned(), line }
}
