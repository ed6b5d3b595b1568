use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

use super::args;
use crate::control;
use crate::error::{exit, json, shown};
use crate::model::{Class, Message, Snapshot};
use crate::ports::table;

/// `devstack ports`: every port of the running stack. `devstack ports 5000`: who holds that one.
pub(super) fn ports(_files: Vec<PathBuf>, args: &args::Ports) -> i32 {
    let text = match args.port {
        Some(port) => one(port, args.json),
        None => all(args.json),
    };
    match text {
        Ok(text) => {
            // A reader that is gone needs no answer.
            let _ = stdout().write_all(text.as_bytes());
            exit::OK
        }
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

fn all(as_json: bool) -> Result<String, (Message, i32)> {
    let rows = table::rows(&snapshot()?);
    Ok(match as_json {
        true => table::json(&rows).to_string() + "\n",
        false => table::text(&rows),
    })
}

fn snapshot() -> Result<Snapshot, (Message, i32)> {
    let dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let start = |error: std::io::Error| {
        (Message::new(Class::Limit, format!("cannot start: {error}")), exit::FAILED)
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(start)?;
    let stack = runtime.block_on(async { control::Client::here(&dir)?.stack().await });
    stack.map_err(|failure| (failure.message().clone(), failure.exit_code()))
}
