use std::path::PathBuf;

use crate::cli::render::{CommandError, note_text, print, warn};
use crate::cli::{args, context};
use crate::config::{self, ConfigOverrides};
use crate::exit_code::ExitCode;

/// `devstack check`: checks the configuration without starting anything.
pub(crate) fn check(files: Vec<PathBuf>, args: &args::CheckArgs) -> Result<ExitCode, CommandError> {
    let overrides =
        ConfigOverrides { profiles: args.profiles.clone(), ..ConfigOverrides::default() };
    let draft = config::load(&context::sources(files, overrides)?)?;
    for note in draft.notes() {
        warn(&note_text(note));
    }
    let services = draft.services().count();
    let text = if args.json {
        let names: Vec<_> = draft.services().collect();
        serde_json::json!({ "stack": draft.name(), "services": names }).to_string()
    } else {
        let s = if services == 1 { "" } else { "s" };
        format!("{}: {services} service{s}, no errors", draft.name())
    };
    print(&(text + "\n"))
}
