use std::collections::BTreeSet;

use tokio::sync::watch;

use super::args;
use super::launch::{self, Launched, Plan};
use crate::engine::Selection;
use crate::error::exit;
use crate::model::{Message, Name, Stack, StackState};
use crate::runtime::ending::Ender;

/// `devstack up`: the whole stack in the foreground, until Ctrl-C or until nothing is left to run.
pub(super) fn up(files: Vec<std::path::PathBuf>, args: args::Up) -> i32 {
    let plan = Plan {
        files,
        starting: args.starting,
        services: args.services,
        strict_ports: args.strict_ports,
        follow: !args.no_watch,
        timestamps: args.timestamps,
        to_stderr: false,
        adapt: |_| {},
    };
    launch::launch(plan, |launched| {
        let Launched { supervisor, timeout, .. } = launched;
        let (state, ender) = (supervisor.state(), supervisor.ender());
        async move {
            if let Some(timeout) = timeout {
                tokio::spawn(limit(timeout, state, ender));
            }
            supervisor.run().await
        }
    })
}

/// Ends the stack when it takes too long to start.
async fn limit(time: std::time::Duration, mut state: watch::Receiver<StackState>, ender: Ender) {
    let started = state.wait_for(|state| *state != StackState::Starting);
    if tokio::time::timeout(time, started).await.is_err() {
        ender.end(format!("not ready within {}", crate::model::Span(time)), exit::FAILED);
    }
}

/// What was asked for by name. Empty: everything.
pub(super) fn selection(
    stack: &Stack,
    names: &[String],
    no_deps: bool,
) -> Result<Option<Selection>, Message> {
    if names.is_empty() && !no_deps {
        return Ok(None);
    }
    let mut chosen = BTreeSet::new();
    for name in names {
        match Name::new(name).ok().filter(|name| stack.services.contains_key(name)) {
            Some(name) => drop(chosen.insert(name)),
            None => return Err(super::unknown_service(name, stack.services.keys())),
        }
    }
    if names.is_empty() {
        chosen.extend(stack.services.keys().cloned());
    }
    Ok(Some(Selection { names: chosen, with_dependencies: !no_deps }))
}
