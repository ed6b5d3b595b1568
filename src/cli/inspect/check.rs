use std::path::PathBuf;

use clap::Args;

use crate::cli::args::FileArgs;
use crate::cli::context;
use crate::cli::render::{CommandError, note_text, print, warn};
use crate::config::{self, ConfigOverrides};
use crate::exit_code::ExitCode;

/// `devstack check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Check with this profile active; can be repeated
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack check`: checks the configuration without starting anything.
pub(crate) fn check(files: Vec<PathBuf>, args: &CheckArgs) -> Result<ExitCode, CommandError> {
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
