//! `devstack data`: what stacks keep on disk, and what is left of stacks whose directory is gone.

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::render::{CommandError, Table, message_text, print, warn};
use crate::cli::start::{PromptReply, TtyPrompt};
use crate::container::StackVolume;
use crate::control::{DataOwner, DataPlaces, KeptData};
use crate::exit_code::ExitCode;
use crate::model::{ContainerEngine, DisplaySize, Message, MessageClass};
use crate::ports::display_home_relative;
use crate::supervisor::containers::list_volumes;
use crate::text::one_line;

/// The state of a volume, which its engine keeps.
const VOLUME: &str = "volume";

/// Version of the JSON.
const VERSION: u32 = 1;

/// `devstack data`.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// What to do
    #[command(subcommand)]
    pub action: DataAction,
}

/// What to do with data.
#[derive(Debug, Subcommand)]
pub enum DataAction {
    /// List the data that stacks keep on this machine
    List(DataListArgs),
    /// Remove the data of stacks whose directory is gone (lists it and asks first)
    Gc(DataGcArgs),
}

/// `devstack data list`.
#[derive(Debug, Args)]
pub struct DataListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack data gc`.
#[derive(Debug, Args)]
pub struct DataGcArgs {
    /// Do not ask before removing
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl DataArgs {
    pub fn is_json(&self) -> bool {
        match &self.action {
            DataAction::List(args) => args.json,
            DataAction::Gc(args) => args.json,
        }
    }
}

/// One directory in JSON. Fields may be added, never renamed.
#[derive(Debug, Serialize)]
struct DataEntry {
    stack: Option<String>,
    dir: Option<String>,
    /// `running`, `stopped`, `gone`, `unclear`, or `volume`.
    state: &'static str,
    /// Why it is unclear.
    reason: Option<String>,
    /// Its directory, or the name of its volume.
    path: String,
    /// The container engine, if it is a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<ContainerEngine>,
    /// Not known of volumes.
    bytes: Option<u64>,
    /// Of `gc`: whether it was removed, and why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl DataEntry {
    fn new(data: &KeptData) -> DataEntry {
        DataEntry {
            stack: data.stack.clone(),
            dir: data.dir.as_ref().map(|dir| dir.to_string_lossy().into_owned()),
            state: data.owner.as_str(),
            reason: unclear_reason(&data.owner, |path| path.to_string_lossy().into_owned()),
            path: data.path.to_string_lossy().into_owned(),
            engine: None,
            bytes: Some(data.bytes),
            removed: None,
            error: None,
        }
    }

    fn of_volume(volume: &StackVolume) -> DataEntry {
        DataEntry {
            stack: volume.stack.clone(),
            dir: volume.dir.as_ref().map(|dir| dir.to_string_lossy().into_owned()),
            state: VOLUME,
            reason: None,
            path: volume.name.clone(),
            engine: Some(volume.engine),
            bytes: None,
            removed: None,
            error: None,
        }
    }
}

/// `devstack data`: lists data, or removes what is left of stacks whose directory is gone.
pub(crate) fn data(args: &DataArgs) -> Result<ExitCode, CommandError> {
    let places = DataPlaces::of_this_user();
    match &args.action {
        DataAction::List(args) => {
            let (found, volumes) = (places.find(), list_volumes());
            if args.json {
                let volumes = volumes.iter().map(DataEntry::of_volume);
                return print(&json(found.iter().map(DataEntry::new).chain(volumes).collect()));
            }
            if found.is_empty() && volumes.is_empty() {
                warn("no stack of this user keeps data\n");
            }
            print(&table(&found, &volumes))
        }
        DataAction::Gc(args) => gc(&places, args),
    }
}

fn gc(places: &DataPlaces, args: &DataGcArgs) -> Result<ExitCode, CommandError> {
    let mut found = places.find();
    found.retain(|data| data.owner == DataOwner::Gone);
    if found.is_empty() {
        places.forget_gone();
        if !args.json {
            warn("nothing to remove: no data of a stack whose directory is gone\n");
            return Ok(ExitCode::OK);
        }
    }
    if !args.yes && !found.is_empty() {
        let mut person = TtyPrompt::here().filter(|_| !args.json).ok_or_else(|| {
            Message::new(MessageClass::Usage, "cannot prompt: stdin is not a terminal").help(
                "see what would go with `devstack data list`, then use `devstack data gc --yes`",
            )
        })?;
        warn(&table(&found, &[]));
        let question = "remove this data? A stack whose directory was moved loses it too [yes/N]";
        if person.ask(question) != PromptReply::Line("yes".to_owned()) {
            warn("nothing removed\n");
            return Ok(ExitCode::FAILED);
        }
    }
    let mut code = ExitCode::OK;
    let mut entries = Vec::new();
    for data in &found {
        let mut entry = DataEntry::new(data);
        let removed = places.remove(data);
        entry.removed = Some(removed.is_ok());
        let shown = display_home_relative(&data.path);
        match removed {
            Ok(()) if args.json => {}
            Ok(()) => drop(print(&format!("removed {shown} ({})\n", DisplaySize(data.bytes)))?),
            Err(error) => {
                let text = format!("cannot remove {shown}: {error}");
                warn(&message_text(&Message::new(MessageClass::Disk, text), args.json));
                entry.error = Some(error.to_string());
                code = ExitCode::FAILED;
            }
        }
        entries.push(entry);
    }
    places.forget_gone();
    if args.json {
        print(&json(entries))?;
    }
    Ok(code)
}

/// Returns why the owner of data is unclear, if it is.
fn unclear_reason(owner: &DataOwner, show: impl Fn(&Path) -> String) -> Option<String> {
    match owner {
        DataOwner::Moved(now) => Some(format!("its directory was moved to {}", show(now))),
        DataOwner::Unclear(reason) => Some((*reason).to_owned()),
        DataOwner::Running | DataOwner::Stopped | DataOwner::Gone => None,
    }
}

fn json(data: Vec<DataEntry>) -> String {
    serde_json::json!({ "version": VERSION, "data": data }).to_string() + "\n"
}

/// Formats data as a table, followed by why the owner of some is unclear.
fn table(found: &[KeptData], volumes: &[StackVolume]) -> String {
    if found.is_empty() && volumes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(3).right(&[3]);
    table.header(["STACK", "DIRECTORY", "STATE", "SIZE", "DATA"], false);
    for data in found {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            or_none(data.stack.as_deref().map(one_line)).into(),
            or_none(data.dir.as_deref().map(display_home_relative)).into(),
            data.owner.as_str().into(),
            DisplaySize(data.bytes).to_string().into(),
            display_home_relative(&data.path).into(),
        ]);
    }
    for volume in volumes {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            or_none(volume.stack.as_deref().map(one_line)).into(),
            or_none(volume.dir.as_deref().map(display_home_relative)).into(),
            VOLUME.into(),
            "-".into(),
            one_line(&volume.name).into(),
        ]);
    }
    let mut text = table.render();
    if let Some(volume) = volumes.first() {
        let engine = volume.engine;
        text += &format!("volumes stay until you remove them: `{engine} volume rm NAME`\n");
    }
    for data in found {
        if let Some(reason) = unclear_reason(&data.owner, display_home_relative) {
            let path = display_home_relative(&data.path);
            text += &format!("{path}: {reason}; `devstack data gc` keeps it\n");
        }
    }
    text
}
