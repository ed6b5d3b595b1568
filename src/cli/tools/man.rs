use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};

use crate::atomic_file::{self, USUAL};
use crate::cli::args::Cli;
use crate::cli::context;
use crate::cli::render::{CommandError, print};
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};

/// `devstack man`.
#[derive(Debug, Args)]
#[command(after_help = "To read a page: devstack man up | man -l -")]
pub struct ManArgs {
    /// Command [default: the overview page]
    #[arg(value_name = "COMMAND", conflicts_with = "to")]
    pub command: Option<String>,
    /// Write all pages to this directory, for packaging
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

/// `devstack man [COMMAND]`: prints a manual page as roff; with `--to`, writes all pages to files.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, CommandError> {
    let pages = pages();
    if let Some(dir) = &args.to {
        write(&pages, dir).map_err(|error| {
            let text = format!("cannot write manual pages to {}: {error}", dir.display());
            Message::new(MessageClass::Denied, text)
                .help("choose a directory that you can write to")
        })?;
        return Ok(ExitCode::OK);
    }
    let name = match &args.command {
        Some(command) => format!("devstack-{command}"),
        None => "devstack".to_owned(),
    };
    match pages.iter().find(|page| page.name == name) {
        Some(page) => print(&page.text),
        None => {
            let wanted = args.command.as_deref().unwrap_or_default();
            let names = pages.iter().filter_map(|page| page.name.strip_prefix("devstack-"));
            Err(context::unknown("command", wanted, &names.collect::<Vec<_>>()).into())
        }
    }
}

struct ManPage {
    /// Such as `devstack-up`.
    name: String,
    /// Roff source.
    text: String,
}

/// Returns the page of devstack, followed by those of its commands.
fn pages() -> Vec<ManPage> {
    let mut command = Cli::command();
    // Sets the full names of subcommands.
    command.build();
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(&command).chain(commands).map(page).collect()
}

fn page(command: &Command) -> ManPage {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let source = concat!("devstack ", env!("CARGO_PKG_VERSION"));
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .source(source)
        .manual("devstack manual")
        .render(&mut text)
        .expect("writing to a Vec never fails");
    let text = String::from_utf8_lossy(&text).into_owned();
    ManPage { name, text: with_dashes(command, text) }
}

/// Adds the `--` to the synopsis that must precede the words of another command.
fn with_dashes(command: &Command, page: String) -> String {
    let last = command.get_positionals().find(|arg| arg.is_last_set());
    let Some(name) = last.and_then(|arg| arg.get_value_names()?.first()) else { return page };
    let word = format!("<\\fI{name}\\fR>");
    page.replacen(&word, &format!("\\-\\- {word}..."), 1)
}

fn write(pages: &[ManPage], dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    pages.iter().try_for_each(|page| {
        let path = dir.join(format!("{}.1", page.name));
        atomic_file::replace(&path, USUAL, |file| file.write_all(page.text.as_bytes()))
    })
}
