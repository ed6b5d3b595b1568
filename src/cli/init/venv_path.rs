use std::path::Path;

use crate::config::{VENV_PATH, VENVS};
use crate::import::{ImportedService, ImportedStack};

/// Sets `PATH` for services that run a program of a virtual environment in their directory or in
/// `dir`, that of the stack. Presets for Python set it themselves.
pub(super) fn use_venvs(stack: &mut ImportedStack, dir: &Path) {
    for service in &mut stack.services {
        let has_path = service.env.iter().any(|(name, _)| name == "PATH");
        let is_program = service.preset.is_none() && service.container.is_none();
        if is_program && !has_path && runs_in_venv(service, dir) {
            service.env.push(("PATH".to_owned(), VENV_PATH.to_owned()));
        }
    }
}

fn runs_in_venv(service: &ImportedService, dir: &Path) -> bool {
    let line = service.command.as_ref().map(|command| command.line()).unwrap_or_default();
    let mut names = line.split_whitespace().filter(|word| !word.contains(['/', '.']));
    names.any(|name| {
        let places = [dir.join(&service.dir), dir.to_owned()];
        places
            .iter()
            .any(|place| VENVS.iter().any(|venv| place.join(venv).join("bin").join(name).is_file()))
    })
}
