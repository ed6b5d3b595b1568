use std::collections::BTreeSet;
use std::io::{Write, stderr};

use tokio::sync::watch;

use super::context::StartError;
use super::existing::ExistingStack;
use super::launch::{self, LogTarget, StartOptions, StartedStack};
use super::open_page::PageOpener;
use super::{background, existing};
use crate::cli::args;
use crate::cli::inspect::LogFormat;
use crate::cli::render::printable;
use crate::config::Config;
use crate::engine::{Selection, WhenIdle};
use crate::error::exit;
use crate::model::{Message, Name, Snapshot};
use crate::process;
use crate::process::ForkSide;
use crate::supervisor::{ShutdownHandle, SupervisorHandle};

/// `devstack up`: runs the stack in the foreground until Ctrl-C, or until nothing is left to run.
pub(crate) fn up(files: Vec<std::path::PathBuf>, args: args::UpArgs) -> i32 {
    let mut plan = StartOptions {
        files,
        starting: args.starting,
        services: args.services,
        debug: args.debug,
        strict_ports: args.strict_ports,
        follow: !args.no_watch,
        shown: args.shown,
        qr: args.qr,
        place: LogTarget::Stdout,
        modify_stack: |_| {},
        when_idle: WhenIdle::Exit,
        may_ask: true,
        refused: exit::FAILED,
        daemon: None,
    };
    let as_json = plan.shown.output == LogFormat::Json;
    if args.detach {
        // Fork first, while the process is still small.
        match process::daemonize() {
            Ok(ForkSide::Front(front)) => {
                let opener = args.open.then(PageOpener::new);
                let code = background::follow(front, plan.shown);
                if let (exit::OK, Some(opener)) = (code, opener) {
                    open(opener, &crate::cli::project_dir(&plan.files));
                }
                return code;
            }
            Ok(ForkSide::Back(back)) => {
                (plan.place, plan.daemon) = (LogTarget::Background, Some(back))
            }
            Err(error) => {
                let why = StartError::internal("detach into the background", &error, plan.refused);
                return launch::refused(&why, as_json);
            }
        }
    }
    let joins = launch::on_terminal(&plan).then_some(plan.shown);
    let (dir, services) = (crate::cli::project_dir(&plan.files), plan.services.clone());
    // In the background, the foreground process opens the page.
    let mut opener = (args.open && plan.daemon.is_none()).then(PageOpener::new);
    match run(plan, &mut opener) {
        Ok(code) => code,
        Err(StartError::Busy(busy)) => {
            if let Some(opener) = opener.filter(|_| joins.is_some()) {
                open(opener, &dir);
            }
            existing::follow_existing(&ExistingStack { busy, dir, services, as_json }, joins)
        }
        Err(why) => launch::refused(&why, as_json),
    }
}

fn open(opener: PageOpener, dir: &std::path::Path) {
    let Ok(runtime) = crate::cli::runtime() else { return };
    let told = runtime.block_on(opener.of_running(dir));
    // The stack runs, whether or not this can be written.
    let _ = writeln!(stderr(), "{}", printable(&told));
}

fn run(plan: StartOptions, opener: &mut Option<PageOpener>) -> Result<i32, StartError> {
    launch::start(plan, |launched| {
        let StartedStack { supervisor, handle, timeout, .. } = launched;
        let (settled, ender) = (supervisor.settled(), supervisor.ender());
        if let Some(opener) = opener.take() {
            tokio::spawn(opener.when_settled(settled.clone(), handle.clone()));
        }
        async move {
            if let Some(timeout) = timeout {
                tokio::spawn(stop_when_late(timeout, settled, handle, ender));
            }
            let outcome = supervisor.run().await;
            match (outcome.code, outcome.proved) {
                (exit::OK, false) => exit::FAILED,
                (code, true | false) => code,
            }
        }
    })
}

/// Stops the stack if services have no result in time. Failed ones stay for the user to fix.
async fn stop_when_late(
    time: std::time::Duration,
    settled: watch::Receiver<bool>,
    handle: SupervisorHandle,
    ender: ShutdownHandle,
) {
    if is_late(time, settled).await
        && let Ok(snapshot) = handle.snapshot().await
    {
        ender.shut_down(not_ready_within(time, &snapshot), exit::FAILED);
    }
}

/// Returns whether the time is up before every service has a result. A stopped stack is not late.
async fn is_late(time: std::time::Duration, mut settled: watch::Receiver<bool>) -> bool {
    let start = settled.wait_for(|settled| *settled);
    tokio::time::timeout(time, start).await.is_err()
}

/// Describes what is not ready, and why.
pub(super) fn not_ready_within(time: std::time::Duration, snapshot: &Snapshot) -> String {
    let open: Vec<String> = snapshot
        .in_progress()
        .map(|service| format!("{} is {} ({})", service.name, service.phase, service.cause))
        .collect();
    format!("not ready within {}: {}", crate::model::DisplayDuration(time), open.join("; "))
}

/// Returns the services selected by name; `None` for everything.
pub(super) fn selection(
    draft: &Config,
    names: &[String],
    no_deps: bool,
) -> Result<Option<Selection>, Message> {
    if names.is_empty() && !no_deps {
        return Ok(None);
    }
    let mut chosen = BTreeSet::new();
    for name in names {
        match Name::new(name).ok().filter(|name| !draft.services_named(name).is_empty()) {
            Some(name) => drop(chosen.insert(name)),
            None => {
                let names = draft.services().chain(draft.groups());
                return Err(crate::cli::unknown_service(name, names));
            }
        }
    }
    if names.is_empty() {
        chosen.extend(draft.autostart().cloned());
    }
    Ok(Some(Selection { names: chosen, with_dependencies: !no_deps }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn what_has_settled_is_never_late() {
        let settled = watch::Sender::new(false);
        assert!(is_late(Duration::ZERO, settled.subscribe()).await);
        settled.send_replace(true);
        assert!(!is_late(Duration::ZERO, settled.subscribe()).await);
        let gone = watch::Sender::new(false).subscribe();
        assert!(!is_late(Duration::ZERO, gone).await);
    }
}
