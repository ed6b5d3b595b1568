use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use super::args;
use super::complain::print;
use crate::control;
use crate::error::{exit, json, shown};
use crate::model::{Class, Message, Snapshot};
use crate::ports::table;

/// `devstack ports`: every port of the running stack. `devstack ports 5000`: who holds that one.
pub(super) fn ports(files: &[PathBuf], args: &args::Ports) -> i32 {
    let text = match args.port {
        Some(port) => one(port, args.json),
        None => all(files, args.json),
    };
    match text {
        Ok(text) => print(&text),
        Err((message, code)) => {
            let text = if args.json { json(&message) + "\n" } else { shown(&message) };
            let _ = stderr().write_all(text.as_bytes());
            code
        }
    }
}

fn one(port: u16, as_json: bool) -> Result<String, (Message, i32)> {
    let leases = control::runtime_dir().map_err(|message| (message, exit::FAILED))?.join("ports");
    let report = table::report(port, &leases);
    Ok(match as_json {
        true => serde_json::to_string(&report).expect("a report is plain data") + "\n",
        false => report.text(),
    })
}

fn all(files: &[PathBuf], as_json: bool) -> Result<String, (Message, i32)> {
    let rows = table::rows(&snapshot(&super::stack_dir(files))?);
    Ok(match as_json {
        true => table::json(&rows).to_string() + "\n",
        false => table::text(&rows),
    })
}

fn snapshot(dir: &Path) -> Result<Snapshot, (Message, i32)> {
    let start = |error: std::io::Error| {
        (Message::new(Class::Limit, format!("cannot start: {error}")), exit::FAILED)
    };
    let runtime = super::runtime().map_err(start)?;
    let stack = runtime.block_on(async { control::Client::here(dir)?.stack().await });
    stack.map_err(|failure| (failure.message().clone(), failure.exit_code()))
}
