use std::io::{Write, stderr};
use std::path::PathBuf;

use crate::cli::render::{fail, print};
use crate::config::{self, ConfigOverrides};
use crate::error::{exit, json, render_message};

/// `devstack check`: checks the configuration without starting anything.
pub(crate) fn check(files: Vec<PathBuf>, args: &crate::cli::args::CheckArgs) -> i32 {
    let as_json = args.json;
    let overrides =
        ConfigOverrides { profiles: args.profiles.clone(), ..ConfigOverrides::default() };
    let sources = match crate::cli::sources(files, overrides) {
        Ok(sources) => sources,
        Err(message) => return fail(&message, exit::USAGE, as_json),
    };
    match config::load(&sources) {
        Err(wrong) if as_json => say(&(json(&wrong.summary()) + "\n"), exit::USAGE),
        Err(wrong) => say(&wrong.render(crate::cli::color(&stderr())), exit::USAGE),
        Ok(draft) => {
            for note in draft.notes() {
                say(&render_message(note).replacen("error:", "note:", 1), exit::OK);
            }
            let services = draft.services().count();
            let text = if as_json {
                let names: Vec<_> = draft.services().collect();
                serde_json::json!({ "stack": draft.name(), "services": names }).to_string()
            } else {
                let s = if services == 1 { "" } else { "s" };
                format!("{}: {services} service{s}, no errors", draft.name())
            };
            print(&(text + "\n"))
        }
    }
}

fn say(text: &str, code: i32) -> i32 {
    let _ = stderr().write_all(text.as_bytes());
    code
}
