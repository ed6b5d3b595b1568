//! What a service is given as its environment, with the reasons.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use super::process::{Environment, Giver};
use crate::config::{Draft, Explained};
use crate::model::{EnvView, Hidden, Name, Origin, Port, Run, Service, Stack, Value, Variable};

/// What the environment of a service is composed of. Composing it takes some time, and is not for the loop.
pub struct Given {
    /// The service, as its live run was started or as its next one will be.
    pub service: Arc<Service>,
    /// That live run.
    pub run: Option<Run>,
    /// The stack as it is meant.
    pub stack: Arc<Stack>,
    /// What that was made of.
    pub draft: Arc<Draft>,
    /// What services inherit.
    pub environment: Arc<Environment>,
    /// Whether the service gets a terminal.
    pub terminal: bool,
}

impl Given {
    /// Every variable with its value, where that comes from, and what it hides. What means one process only is left
    /// out: its folder in `PWD`, sockets that it is handed, devstack's mark.
    pub fn view(&self) -> EnvView {
        let Given { service, run, stack, draft, environment, terminal } = self;
        let debugged = service.mode.is_debug();
        let explained = draft.explain(&service.name, &ports(stack), debugged);
        let all = environment.given(&service.launch.env, *terminal);
        let variable = |(name, (value, giver)): (&OsStr, (&OsStr, Giver))| {
            // Nobody can write one whose name is not text, and few programs can read it.
            Some(self.variable(name.to_str()?, value, giver, &explained))
        };
        EnvView {
            version: 1,
            stack: stack.name.clone(),
            service: service.name.clone(),
            run: *run,
            mode: service.mode.as_str().to_owned(),
            dir: service.launch.dir.clone(),
            variables: all.into_iter().filter_map(variable).collect(),
        }
    }

    fn variable(&self, name: &str, value: &OsStr, giver: Giver, explained: &Explained) -> Variable {
        let said = explained.get(name).map_or(&[][..], Vec::as_slice);
        let (origin, hidden) = match (giver, said.split_first()) {
            (Giver::Inherited, _) => (Origin::Inherited, &[][..]),
            (Giver::Default, _) => (Origin::Devstack, &[][..]),
            (Giver::Service, Some(((origin, known), hidden)))
                if known.as_deref().map(OsStr::new) == Some(value) =>
            {
                (origin.clone(), hidden)
            }
            (Giver::Service, Some(_) | None) => (Origin::Former, &[][..]),
        };
        let hides = hidden.iter().map(|(origin, value)| Hidden {
            value: value.as_deref().map(|value| Value::new(OsStr::new(value))).unwrap_or_default(),
            origin: origin.clone(),
        });
        let below = (giver == Giver::Service).then(|| self.environment.inherited(name)).flatten();
        let below =
            below.map(|value| Hidden { value: Value::new(value), origin: Origin::Inherited });
        Variable {
            name: name.to_owned(),
            value: Value::new(value),
            origin,
            hides: hides.chain(below).collect(),
        }
    }
}

/// Every port of a stack.
fn ports(stack: &Stack) -> BTreeMap<(Name, String), Port> {
    let services = stack.services.iter();
    let ports = services.flat_map(|(name, service)| {
        service.ports.iter().map(|port| ((name.clone(), port.name.clone()), port.clone()))
    });
    ports.collect()
}
