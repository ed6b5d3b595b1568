use std::collections::BTreeSet;

use crate::cli::context;
use crate::cli::render::CommandError;
use crate::config::Config;
use crate::engine::Selection;
use crate::exit_code::ExitCode;
use crate::model::Name;

/// Returns the services selected by name; `None` for everything.
pub(super) fn selection(
    config: &Config,
    names: &[String],
    no_deps: bool,
) -> Result<Option<Selection>, CommandError> {
    if names.is_empty() && !no_deps {
        return Ok(None);
    }
    let mut chosen = BTreeSet::new();
    for name in names {
        match Name::new(name).ok().filter(|name| !config.services_named(name).is_empty()) {
            Some(name) => drop(chosen.insert(name)),
            None => {
                let names = config.services().chain(config.groups());
                let unknown = context::unknown_service(name, names);
                return Err(CommandError::new(unknown, ExitCode::NOT_RUNNING));
            }
        }
    }
    if names.is_empty() {
        chosen.extend(config.autostart().cloned());
    }
    Ok(Some(Selection { names: chosen, with_dependencies: !no_deps }))
}
