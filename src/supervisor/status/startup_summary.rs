use std::time::Duration;

use crate::log::{StatusText, StatusTone};

use crate::model::{
    DisplayDuration, ListenAddress, Phase, ServiceView, Shortfall, Snapshot, Stack, is_loopback,
};

/// Returns the summary of a start: a line for the stack, then one per service with phase, duration,
/// URL and ports that moved. Services that were not requested are left out.
pub fn startup_summary(snapshot: &Snapshot, stack: &Stack) -> Vec<StatusText> {
    let mut views: Vec<&ServiceView> =
        snapshot.services.iter().filter(|view| view.phase != Phase::Idle).collect();
    // What is wrong comes last, next to the prompt: causes before what they took along.
    views.sort_by_key(|view| fault(view));
    let short = shortfall(&views);
    let name = &stack.name;
    let (tone, head) = match short {
        Shortfall { all: 0, .. } => (StatusTone::Notice, format!("{name}: nothing to start")),
        _ if short.is_none() => (StatusTone::Good, format!("{name} is up")),
        Shortfall { failed: 0, .. } => (StatusTone::Warning, format!("{name}: {short}")),
        _ => (StatusTone::Failure, format!("{name}: {short}")),
    };
    let head = StatusText::stack_wide(tone, head);
    let open = views.iter().any(|view| !meant_network_urls(view).is_empty());
    let rows: Vec<[String; 4]> = views.iter().map(|view| cells(view, stack, open)).collect();

    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut lines = vec![head];
    for (view, row) in views.iter().zip(&rows) {
        let tone = match fault(view) {
            Some(Fault::Failed) => StatusTone::Failure,
            Some(Fault::Late | Fault::Exited | Fault::Blocked) => StatusTone::Warning,
            None => StatusTone::Notice,
        };
        let [name, phase, took, last] = row;
        let [names, phases, times, _] = widths;
        let mut text = format!("  {name:names$}  {phase:phases$}");
        if times > 0 {
            text += &format!("  {took:>times$}");
        }
        text += &format!("  {last}");
        text.truncate(text.trim_end().len());
        let gap = if times > 0 { times + 2 } else { 0 };
        let indent = 2 + names + 2 + phases + 2 + gap;
        for url in meant_network_urls(view) {
            text += &format!("\n{:indent$}{NETWORK}{url}", "");
        }
        text.extend(attach(view).map(|attach| format!("\n      debug   {attach}")));
        for moved in moves(view, stack) {
            text += &format!("\n      {moved}");
        }
        lines.push(StatusText::continued(tone, text));
    }
    let reach = network_lines(snapshot).into_iter();
    lines.extend(reach.map(|line| StatusText::continued(StatusTone::Notice, format!("  {line}"))));
    lines
}

/// Labels of the URLs when a service can be reached from the network.
const LOCAL: &str = "Local    ";
const NETWORK: &str = "Network  ";

/// Returns the URLs for other machines. If it should not be exposed, a warning says that it is.
fn meant_network_urls(view: &ServiceView) -> &[String] {
    if is_loopback(&view.host) { &[] } else { &view.network_urls }
}

/// Returns up to two lines on what is reachable from where, if a service should be exposed.
pub fn network_lines(snapshot: &Snapshot) -> Vec<String> {
    let running = || snapshot.services.iter().filter(|view| view.url.is_some());
    let is_open = |view: &ServiceView| match &view.listening {
        Some(listening) => listening.iter().any(ListenAddress::is_public),
        None => !is_loopback(&view.host),
    };
    if running().all(|view| is_loopback(&view.host)) {
        return Vec::new();
    }
    let (mut open, shut): (Vec<_>, Vec<_>) = running().partition(|view| is_open(view));
    open.retain(|view| !is_loopback(&view.host));
    let names = |views: &[&ServiceView]| {
        views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut lines = Vec::new();
    if !open.is_empty() {
        let names = names(&open);
        lines.push(match snapshot.networks.as_slice() {
            [] => format!("no network: only this machine can reach {names}"),
            [one] => format!("anyone on this network ({one}) can reach: {names}"),
            some => format!("anyone on these networks ({}) can reach: {names}", some.join(", ")),
        });
    }
    if !shut.is_empty() {
        lines.push(format!("only this machine can reach: {}", names(&shut)));
    }
    lines
}

/// Returns name, phase, duration, and URL or error. `open`: the URL gets a label.
fn cells(view: &ServiceView, stack: &Stack, open: bool) -> [String; 4] {
    // Without a probe the service was ready at once: there is no duration to show.
    let probes = stack.services.get(&view.name).map_or(&[][..], |service| &service.ready.probes);
    let waited = view.phase == Phase::Ready && !probes.is_empty();
    let took = view.ready_after_ms.filter(|_| waited).map_or(String::new(), format_millis);
    let last = match (&view.message, &view.url) {
        (Some(message), _) if fault(view).is_some() => {
            message.text.lines().next().unwrap_or_default().to_owned()
        }
        (_, Some(url)) => {
            // The name is for people; the direct address is for what does not know such names.
            let url = match &view.origin {
                Some(origin) => format!("{origin}  ({url})"),
                None => url.clone(),
            };
            match view.phase {
                Phase::Asleep => format!("starts with the first connection to {url}"),
                _ if open => format!("{LOCAL}{url}"),
                _ => url,
            }
        }
        (_, None) => String::new(),
    };
    let phase = match fault(view) {
        Some(Fault::Late) => "not ready".to_owned(),
        Some(Fault::Exited) => "exited".to_owned(),
        Some(Fault::Failed | Fault::Blocked) | None => view.phase.to_string(),
    };
    [view.name.to_string(), phase, took, last]
}

/// Returns where a debugger attaches.
fn attach(view: &ServiceView) -> Option<String> {
    let debug = view.debug.as_ref()?;
    let debugger = debug.debugger.as_deref().unwrap_or("a debugger");
    Some(format!("attach {debugger} at {}", debug.attach))
}

/// Explains each port that is not the preferred one.
fn moves(view: &ServiceView, stack: &Stack) -> Vec<String> {
    let ports = stack.services.get(&view.name).map_or(&[][..], |service| &service.ports);
    let moved = ports.iter().filter_map(|port| Some((port.moved.as_ref()?, port.number)));
    moved.map(|(why, number)| format!("{why}; using {number}")).collect()
}

/// Why a service is not as it should be.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// It runs, but was not ready in time.
    Late,
    /// It exited as if it were a task.
    Exited,
    Failed,
    Blocked,
}

fn fault(view: &ServiceView) -> Option<Fault> {
    match view.phase {
        Phase::Unhealthy if view.is_late() => Some(Fault::Late),
        Phase::Failed | Phase::Unhealthy => Some(Fault::Failed),
        Phase::Blocked => Some(Fault::Blocked),
        Phase::Done if view.has_exited() => Some(Fault::Exited),
        Phase::Idle
        | Phase::Asleep
        | Phase::Waiting
        | Phase::Starting
        | Phase::Ready
        | Phase::Stopping
        | Phase::Backoff
        | Phase::Done => None,
    }
}

fn shortfall(views: &[&ServiceView]) -> Shortfall {
    let mut short = Shortfall { all: views.len(), ..Shortfall::default() };
    for view in views {
        match fault(view) {
            Some(Fault::Failed) => short.failed += 1,
            Some(Fault::Late) => short.late += 1,
            Some(Fault::Exited) => short.exited += 1,
            Some(Fault::Blocked) => short.blocked += 1,
            None => {}
        }
    }
    short
}

/// Formats milliseconds: `412ms`, `1.53s`, `75s`.
pub(super) fn format_millis(ms: u64) -> String {
    DisplayDuration(Duration::from_millis(ms)).to_string()
}
