//! Where the variables of a service come from, as files and lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{SourceLocation, VariableSource};

use super::resolver::{EnvLayer, LayerKind, ValueSource};
use crate::config::diagnostics::{SourceFile, Span};
use crate::config::resolve::ServiceBuilder;
use crate::config::spec::ServiceSpec;

/// For each variable, all sources above the inherited environment with their values, strongest
/// first. A value is `None` if it is shadowed and cannot be expanded.
pub type ExplainedEnv = BTreeMap<String, Vec<(VariableSource, Option<String>)>>;

/// Explains a service's environment; `sources` are the files that spans point into.
pub(crate) fn explain(
    builder: &ServiceBuilder<'_>,
    spec: &ServiceSpec,
    debugged: bool,
    sources: &[Arc<SourceFile>],
) -> ExplainedEnv {
    let mut environment = builder.environment(spec, debugged);
    let mut explained = ExplainedEnv::new();
    for (name, given) in environment.all_sources() {
        let source = |giver| match giver {
            ValueSource::Devstack => VariableSource::Devstack,
            ValueSource::Layer(index) => source(spec, environment.layer(index), &name, sources),
        };
        let status = given.into_iter().map(|(giver, value)| (source(giver), value)).collect();
        explained.insert(name, status);
    }
    explained
}

fn source(
    spec: &ServiceSpec,
    layer: EnvLayer<'_>,
    name: &str,
    sources: &[Arc<SourceFile>],
) -> VariableSource {
    let place = layer.place(name).expect("the layer sets this variable");
    let written = || written(place, sources);
    match layer.kind {
        LayerKind::ServiceEnv => VariableSource::ServiceEnv(written()),
        LayerKind::ServiceFile => VariableSource::ServiceFile(written()),
        LayerKind::StackEnv => VariableSource::StackEnv(written()),
        LayerKind::StackFile => VariableSource::StackFile(written()),
        LayerKind::Preset => {
            let preset = spec.preset.map_or("", |preset| preset.name);
            VariableSource::Preset { preset: preset.to_owned() }
        }
    }
}

fn written(place: Span, sources: &[Arc<SourceFile>]) -> SourceLocation {
    let source = &sources[place.file as usize];
    let line = source.line(place.start as usize);
    let file = source.path().to_string_lossy().into_owned();
    SourceLocation { file, line, main_worktree: source.is_of_main_worktree() }
}
