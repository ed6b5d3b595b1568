use clap::Args;
use serde_json::{Map, Value};

use crate::cli::context;
use crate::cli::render::{CommandError, Table, print};
use crate::exit_code::ExitCode;
use crate::presets::{self, Preset};

/// `devstack presets`.
#[derive(Debug, Args)]
pub struct PresetsArgs {
    /// Preset to show, as TOML
    #[arg(value_name = "PRESET")]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack presets`: lists all presets. `devstack presets flask`: prints the file of one.
pub(crate) fn presets(args: &PresetsArgs) -> Result<ExitCode, CommandError> {
    let Some(name) = &args.name else {
        return print(&if args.json { list_json() } else { list() });
    };
    match presets::find(name) {
        Some(preset) if args.json => print(&(json(preset, true).to_string() + "\n")),
        Some(preset) => print(preset.text),
        None => {
            let names: Vec<&str> = presets::all().iter().map(|preset| preset.name).collect();
            Err(context::unknown("preset", name, &names).into())
        }
    }
}

fn json(preset: &Preset, whole: bool) -> Value {
    let outline = preset.outline();
    let ports = outline.ports().map(|(name, port)| (name.to_owned(), port.into()));
    let mut value = serde_json::json!({
        "name": preset.name,
        "description": outline.description,
        "port": outline.port(),
        "ports": ports.collect::<Map<String, Value>>(),
    });
    if whole {
        value["toml"] = preset.text.into();
    }
    value
}

fn list() -> String {
    let mut table = Table::new(2).right(&[1]);
    for preset in presets::all() {
        let outline = preset.outline();
        let port = outline.port().map_or_else(|| "-".to_owned(), |port| port.to_string());
        table.row([preset.name.into(), port.into(), outline.description.as_str().into()]);
    }
    table.render()
}

fn list_json() -> String {
    let presets: Vec<Value> = presets::all().iter().map(|preset| json(preset, false)).collect();
    serde_json::json!({ "presets": presets }).to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_presets_are_listed() {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!("list", list());
        });
    }
}
