use clap::Args;

use crate::cli::context;
use crate::cli::render::{CommandError, Table, print};
use crate::exit_code::ExitCode;
use crate::presets::{self, Preset, PresetSummary};

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
        let rows: Vec<PresetRow> = presets::all().iter().map(PresetRow::of).collect();
        return print(&if args.json { list_json(&rows) } else { list(&rows) });
    };
    match presets::find(name) {
        Some(preset) if args.json => print(&(PresetRow::of(preset).json(true).to_string() + "\n")),
        Some(preset) => print(preset.text),
        None => {
            let names: Vec<&str> = presets::all().iter().map(|preset| preset.name).collect();
            Err(context::unknown("preset", name, &names).into())
        }
    }
}

struct PresetRow {
    preset: &'static Preset,
    outline: PresetSummary,
}

impl PresetRow {
    fn of(preset: &'static Preset) -> PresetRow {
        PresetRow { preset, outline: preset.outline() }
    }

    fn json(&self, whole: bool) -> serde_json::Value {
        let ports: serde_json::Map<String, serde_json::Value> =
            self.outline.ports.iter().map(|(name, port)| (name.clone(), (*port).into())).collect();
        let mut value = serde_json::json!({
            "name": self.preset.name,
            "description": self.outline.description,
            "port": self.outline.port(),
            "ports": ports,
        });
        if whole {
            value["toml"] = self.preset.text.into();
        }
        value
    }
}

fn list(rows: &[PresetRow]) -> String {
    let mut table = Table::new(2).right(&[1]);
    for row in rows {
        let port = row.outline.port().map_or_else(|| "-".to_owned(), |port| port.to_string());
        table.row([row.preset.name.into(), port.into(), row.outline.description.as_str().into()]);
    }
    table.render()
}

fn list_json(rows: &[PresetRow]) -> String {
    let rows: Vec<serde_json::Value> = rows.iter().map(|row| row.json(false)).collect();
    serde_json::json!({ "presets": rows }).to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_presets_are_listed() {
        let rows: Vec<PresetRow> = presets::all().iter().map(PresetRow::of).collect();
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!("list", list(&rows));
        });
    }
}
