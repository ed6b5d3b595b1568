//! `devstack mcp` and `devstack agents`: the face for coding agents.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::FileArgs;
use super::render::CommandError;
use crate::exit_code::ExitCode;

/// `devstack mcp`.
#[derive(Debug, Args)]
pub struct McpArgs {
    #[command(flatten)]
    pub files: FileArgs,
}

/// `devstack agents`.
#[derive(Debug, Args)]
pub struct AgentsArgs {
    /// What to do for agents.
    #[command(subcommand)]
    pub command: AgentsCommand,
}

/// What `devstack agents` does.
#[derive(Debug, Subcommand)]
pub enum AgentsCommand {
    /// Add this stack to .mcp.json, AGENTS.md and .claude/launch.json, keeping what is there
    Init(AgentsInitArgs),
}

/// `devstack agents init`.
#[derive(Debug, Args)]
pub struct AgentsInitArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Print the resulting files without writing them
    #[arg(long)]
    pub dry_run: bool,
}

/// `devstack mcp`: serves an agent on stdin and stdout until stdin ends.
#[cfg(feature = "mcp")]
pub(crate) fn mcp(files: Vec<PathBuf>, _: &McpArgs) -> Result<ExitCode, CommandError> {
    use super::context;
    use crate::model::{Message, MessageClass};

    let runtime = context::runtime()?;
    let served = runtime.block_on(crate::agents::serve(context::project_dir(&files), files));
    // A blocked write to a client that no longer reads must not delay the end.
    runtime.shutdown_background();
    served.map(|()| ExitCode::OK).map_err(|error| {
        let text = format!("cannot serve MCP on stdin and stdout: {error}");
        let help = "this command is for MCP clients: `devstack agents init` adds it to .mcp.json";
        Message::new(MessageClass::Usage, text).help(help).into()
    })
}

/// `devstack agents init`: makes the stack known to agents that work in its directory.
#[cfg(feature = "mcp")]
pub(crate) fn agents(files: Vec<PathBuf>, args: &AgentsArgs) -> Result<ExitCode, CommandError> {
    use super::render::print;
    use crate::agents::setup::merged_files;

    let AgentsCommand::Init(args) = &args.command;
    let (dir, setup) = setup(files)?;
    let merged = merged_files(&dir, &setup)?;
    let mut text = String::new();
    for file in &merged {
        if args.dry_run {
            text += &format!("{}:\n{}\n", file.name, file.text());
            continue;
        }
        file.write()?;
        let verb = if file.is_up_to_date() { "is up to date" } else { "written" };
        text += &format!("{} {verb}\n", file.name);
    }
    if !args.dry_run {
        text += "agents find the tools of devstack after a restart; a stack that you have never started, they may not start either\n";
    }
    print(&text)
}

/// Returns the project directory, and what is to be said about its stack.
#[cfg(feature = "mcp")]
fn setup(
    files: Vec<PathBuf>,
) -> Result<(PathBuf, crate::agents::setup::AgentsSetup), CommandError> {
    use super::context;
    use super::start::{StackPreview, UpPreviewArgs};
    use crate::agents::setup::AgentsSetup;

    let preview = StackPreview::look(files.clone(), &UpPreviewArgs::default())?;
    let dir = preview.stack.dir.clone();
    let primary = preview.stack.primary.clone();
    let running = context::snapshot(&dir).ok();
    let views = running.iter().flat_map(|snapshot| &snapshot.services);
    let port_now =
        views.filter(|view| Some(&view.name) == primary.as_ref()).find_map(|view| view.port);
    let chosen = primary
        .and_then(|name| preview.stack.services.get(&name)?.ports.first().map(|port| port.number));
    let arguments = files.iter().flat_map(|file| {
        let file = file.strip_prefix(&dir).unwrap_or(file);
        ["-f".to_owned(), file.display().to_string()]
    });
    let setup = AgentsSetup {
        stack: preview.stack.name.clone(),
        services: preview.stack.services.keys().cloned().collect(),
        port: port_now.or(chosen),
        arguments: arguments.collect(),
    };
    Ok((dir, setup))
}

/// `devstack mcp` of a build without it.
#[cfg(not(feature = "mcp"))]
pub(crate) fn mcp(_: Vec<PathBuf>, _: &McpArgs) -> Result<ExitCode, CommandError> {
    Err(missing("mcp"))
}

/// `devstack agents` of a build without it.
#[cfg(not(feature = "mcp"))]
pub(crate) fn agents(_: Vec<PathBuf>, _: &AgentsArgs) -> Result<ExitCode, CommandError> {
    Err(missing("agents"))
}

#[cfg(not(feature = "mcp"))]
fn missing(command: &str) -> CommandError {
    use crate::model::{Message, MessageClass};

    let text = format!("this build of devstack has no `{command}`");
    Message::new(MessageClass::Usage, text)
        .help("build it with `--features mcp`, which is on by default")
        .into()
}
