//! The environment of a service, with the source of each variable.

use std::ffi::OsStr;
use std::sync::Arc;

use crate::config::{Config, ExplainedEnv};
use crate::model::{
    ContainerPlace, EnvValue, EnvVariable, EnvView, RunId, Service, ShadowedValue, Stack,
    StackProxy, VariableSource,
};
use crate::process::{EnvProvider, InheritedEnv};

/// Inputs of a service's environment. Composing it takes too long for the supervisor's loop.
pub struct EnvInputs {
    /// The service, as in its live run or else its next one.
    pub service: Arc<Service>,
    /// The live run, if any.
    pub run: Option<RunId>,
    /// The stack as configured.
    pub stack: Arc<Stack>,
    /// The configuration of the stack.
    pub config: Arc<Config>,
    pub environment: Arc<InheritedEnv>,
    /// Whether the service gets a terminal.
    pub terminal: bool,
    /// Where commands run inside its container.
    pub container: Option<ContainerPlace>,
}

impl EnvInputs {
    /// Lists every variable with its value, its source, and the values it shadows. Without what is
    /// specific to one process: `PWD`, passed sockets and devstack's marker.
    pub fn explain(&self) -> EnvView {
        let EnvInputs { service, run, stack, config: draft, environment, terminal, .. } = self;
        let debugged = service.mode.is_debug();
        let ports = stack.ports().map(|(key, port)| (key, port.clone())).collect();
        let place = stack.proxy.as_ref().map(StackProxy::place);
        let explained = draft.explain_env(&service.name, &ports, debugged, place.as_ref());
        let all = match service.launch.container {
            None => environment.with_providers(&service.launch.env, *terminal),
            // It inherits nothing.
            Some(_) => {
                let own = service.launch.env.iter();
                let own = own.map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
                own.map(|(name, value)| (name, (value, EnvProvider::Service))).collect()
            }
        };
        let variable = |(name, (value, giver)): (&OsStr, (&OsStr, EnvProvider))| {
            // A name that is not UTF-8 cannot be written, and few programs can read it.
            Some(self.variable(name.to_str()?, value, giver, &explained))
        };
        EnvView {
            version: 1,
            stack: stack.name.clone(),
            service: service.name.clone(),
            run: *run,
            mode: service.mode.into(),
            dir: service.launch.dir.clone(),
            in_container: service.launch.container.is_some(),
            container: self.container.clone(),
            variables: all.into_iter().filter_map(variable).collect(),
        }
    }

    fn variable(
        &self,
        name: &str,
        value: &OsStr,
        giver: EnvProvider,
        explained: &ExplainedEnv,
    ) -> EnvVariable {
        let status = explained.get(name).map_or(&[][..], Vec::as_slice);
        let (source, hidden) = match (giver, status.split_first()) {
            (EnvProvider::Inherited, _) => (VariableSource::Inherited, &[][..]),
            (EnvProvider::Default, _) => (VariableSource::Devstack, &[][..]),
            (EnvProvider::Service, Some(((source, known), hidden)))
                if known.as_deref().map(OsStr::new) == Some(value) =>
            {
                (source.clone(), hidden)
            }
            (EnvProvider::Service, Some(_) | None) => (VariableSource::PreviousConfig, &[][..]),
        };
        let hides = hidden.iter().map(|(source, value)| ShadowedValue {
            value: value
                .as_deref()
                .map(|value| EnvValue::new(OsStr::new(value)))
                .unwrap_or_default(),
            source: source.clone(),
        });
        let inherits = giver == EnvProvider::Service && self.service.launch.container.is_none();
        let below = inherits.then(|| self.environment.inherited(name)).flatten();
        let below = below.map(|value| ShadowedValue {
            value: EnvValue::new(value),
            source: VariableSource::Inherited,
        });
        EnvVariable {
            name: name.to_owned(),
            value: EnvValue::new(value),
            source,
            shadows: hides.chain(below).collect(),
        }
    }
}
