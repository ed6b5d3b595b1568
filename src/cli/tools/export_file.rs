use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::args::FileArgs;
use crate::cli::context;
use crate::cli::render::{CommandError, print, warn};
use crate::config::{self, ConfigOverrides, LOCAL_FILE};
use crate::exit_code::ExitCode;
use crate::export::{self, ComposePlace, Export};
use crate::model::{PortableNetwork, PortableStack};

/// `devstack export compose`, `kubernetes`, `systemd` and `procfile`.
#[derive(Debug, Args)]
pub struct ExportFileArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Export with this profile active; can be repeated
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Write to this file (systemd: into this directory) instead of stdout
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Overwrite files that exist
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// A format of another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    Compose,
    Kubernetes,
    Systemd,
    Procfile,
}

/// Writes the stack in another format. What the format cannot say goes to stderr.
pub(crate) fn export_file(
    files: Vec<PathBuf>,
    format: ExportFormat,
    args: &ExportFileArgs,
) -> Result<ExitCode, CommandError> {
    let overrides =
        ConfigOverrides { profiles: args.profiles.clone(), ..ConfigOverrides::default() };
    let mut sources = context::sources(files, overrides)?;
    sources.without_local = true;
    let config = config::load(&sources)?;
    let stack = config.portable(match format {
        ExportFormat::Compose | ExportFormat::Kubernetes => PortableNetwork::Names,
        ExportFormat::Systemd | ExportFormat::Procfile => PortableNetwork::Loopback,
    });
    let output = args.output.as_ref().map(|path| sources.cwd.join(path));
    let refused = |message| CommandError::new(message, ExitCode::FAILED);
    let export = match format {
        ExportFormat::Compose => export::compose(&stack, &compose_place(&stack, output.as_deref())),
        ExportFormat::Kubernetes => export::kubernetes(&stack),
        ExportFormat::Systemd => export::systemd(&stack).map_err(refused)?,
        ExportFormat::Procfile => export::procfile(&stack),
    };
    for file in local_files(&stack) {
        let shown = file.strip_prefix(&stack.dir).unwrap_or(&file);
        warn(&format!("note: {} is not exported\n", shown.display()));
    }
    for line in export.notes.lines() {
        warn(&format!("note: {line}\n"));
    }
    let Some(output) = output else { return print(&text(&export)) };
    let paths = export.write(&output, args.force).map_err(refused)?;
    let written = paths.iter().map(|path| {
        format!("{} written\n", path.strip_prefix(&sources.cwd).unwrap_or(path).display())
    });
    print(&written.collect::<String>())
}

/// Returns the files with changes of one person, beside the main file and those that it includes.
fn local_files(stack: &PortableStack) -> BTreeSet<PathBuf> {
    let included = stack.services.values().map(|service| &service.file_dir);
    let files = included.chain([&stack.dir]).map(|dir| dir.join(LOCAL_FILE));
    files.filter(|file| file.exists()).collect()
}

/// Returns where the file is, and which services have a Dockerfile.
fn compose_place(stack: &PortableStack, output: Option<&Path>) -> ComposePlace {
    let dir = output.and_then(Path::parent).unwrap_or(&stack.dir).to_owned();
    let has_one =
        stack.services.values().filter(|service| service.dir.join("Dockerfile").is_file());
    ComposePlace { dir, dockerfiles: has_one.map(|service| service.name.clone()).collect() }
}

/// Returns all files, with their names if there are several.
fn text(export: &Export) -> String {
    match export.files.as_slice() {
        [file] => file.text.clone(),
        files => {
            let texts = files.iter().map(|file| format!("# {}\n{}", file.name, file.text));
            texts.collect::<Vec<_>>().join("\n")
        }
    }
}
