use crate::log::{StatusText, StatusTone};

use crate::model::{ListenAddress, Phase, ServiceView, Snapshot, Stack, is_loopback};

/// Returns the summary of a start: a line for the stack, then one per service with phase, duration,
/// URL and ports that moved. Services that were not requested are left out.
pub fn startup_summary(snapshot: &Snapshot, stack: &Stack) -> Vec<StatusText> {
    let views: Vec<&ServiceView> =
        snapshot.services.iter().filter(|view| view.phase != Phase::Idle).collect();
    let bad = views.iter().filter(|view| is_bad(view.phase)).count();
    let all = views.len();
    let head = match (bad, all) {
        (_, 0) => {
            StatusText::stack_wide(StatusTone::Notice, format!("{}: nothing to start", stack.name))
        }
        (0, _) => StatusText::stack_wide(StatusTone::Good, format!("{} is up", stack.name)),
        _ => StatusText::stack_wide(
            StatusTone::Failure,
            format!("{}: {bad} of {all} failed", stack.name),
        ),
    };
    let open = views.iter().any(|view| !view.network_urls.is_empty());
    let rows: Vec<[String; 4]> = views.iter().map(|view| cells(view, stack, open)).collect();

    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut lines = vec![head];
    for (view, row) in views.iter().zip(&rows) {
        let tone = if is_bad(view.phase) { StatusTone::Failure } else { StatusTone::Notice };
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
        for url in &view.network_urls {
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

/// Returns up to two lines on what is reachable from where, if a service is or should be exposed.
pub fn network_lines(snapshot: &Snapshot) -> Vec<String> {
    let running = || snapshot.services.iter().filter(|view| view.url.is_some());
    let is_open = |view: &ServiceView| match &view.listening {
        Some(listening) => listening.iter().any(ListenAddress::is_public),
        None => !is_loopback(&view.host),
    };
    let (open, shut): (Vec<_>, Vec<_>) = running().partition(|view| is_open(view));
    if open.is_empty() && running().all(|view| is_loopback(&view.host)) {
        return Vec::new();
    }
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
        (Some(message), _) if is_bad(view.phase) => message.text.clone(),
        (_, Some(url)) if open => format!("{LOCAL}{url}"),
        (_, Some(url)) => url.clone(),
        (_, None) => String::new(),
    };
    [view.name.to_string(), view.phase.to_string(), took, last]
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

fn is_bad(phase: Phase) -> bool {
    match phase {
        Phase::Failed | Phase::Unhealthy => true,
        Phase::Idle
        | Phase::Waiting
        | Phase::Starting
        | Phase::Ready
        | Phase::Stopping
        | Phase::Backoff
        | Phase::Done => false,
    }
}

/// Formats milliseconds: `412ms`, `1.5s`, `75s`.
pub(super) fn format_millis(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..10_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => format!("{}s", ms / 1000),
    }
}
