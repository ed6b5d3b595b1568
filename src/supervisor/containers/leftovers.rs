//! Containers of stacks that are gone: found and removed by their tokens, which the records of those
//! stacks have.

use std::path::{Path, PathBuf};

use tokio::runtime::Builder;

use crate::container::{self, DiscoveryFacts, EngineClient, StackVolume, candidates};
use crate::model::{EngineAddress, StackContainers};
use crate::process::{self, CleanupReport};

/// Removes the containers of the stacks of a cleanup, and adds what came of it. Blocks, usually for
/// some milliseconds.
pub fn remove_left(report: CleanupReport) -> CleanupReport {
    let mut report = report;
    for stack in std::mem::take(&mut report.containers) {
        let removed = blocking(async || {
            let engines = engines_of(&stack);
            container::remove_containers(&StackContainers { engines, ..stack.clone() }).await
        });
        report.removed.extend(removed.containers);
        // Without a record, only engines that run can have something.
        if !stack.engines.is_empty() {
            report.engine_trouble.extend(removed.trouble);
        }
    }
    if report.engine_trouble.is_empty() {
        report.forget_record();
    }
    report
}

/// Lists the containers of stacks that are gone. Changes nothing. Blocks, usually for some
/// milliseconds.
pub fn find_left(stacks: &[StackContainers]) -> Vec<String> {
    let found = stacks.iter().flat_map(|stack| {
        let engines = engines_of(stack);
        let stack = StackContainers { engines, ..stack.clone() };
        blocking(async || container::find_containers(&stack).await).containers
    });
    found.collect()
}

/// Lists the named volumes of all stacks, in the engines that run. Blocks, usually for some
/// milliseconds.
pub fn list_volumes() -> Vec<StackVolume> {
    blocking(async || {
        let mut found = Vec::new();
        for address in usual_engines() {
            // An engine that does not answer shows nothing.
            found.extend(EngineClient::new(address).volumes().await.unwrap_or_default());
        }
        found
    })
}

/// Runs on a thread of its own: the caller may be in a runtime.
fn blocking<T: Default + Send>(job: impl AsyncFnOnce() -> T + Send) -> T {
    let run = || {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        Some(runtime.block_on(job()))
    };
    let outcome = std::thread::scope(|scope| scope.spawn(run).join());
    outcome.ok().flatten().unwrap_or_default()
}

/// Returns the engines in which a stack had something; if that is not recorded, those of this machine.
fn engines_of(stack: &StackContainers) -> Vec<EngineAddress> {
    match stack.engines.is_empty() {
        true => usual_engines(),
        false => stack.engines.clone(),
    }
}

/// Returns the engines of this machine that seem to run.
fn usual_engines() -> Vec<EngineAddress> {
    let path = std::env::var_os("PATH");
    let find = |name: &str| -> Option<PathBuf> {
        process::locate_program(name.as_ref(), Path::new("/"), path.as_ref()).ok()
    };
    let facts = DiscoveryFacts::collect(|name| std::env::var_os(name), find);
    let mut all = candidates(&facts, None).unwrap_or_default();
    all.retain(|address| address.socket.exists());
    all
}
