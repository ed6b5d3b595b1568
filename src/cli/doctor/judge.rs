//! Decides what is wrong and how to fix it: the same facts give the same findings in order.

use std::path::PathBuf;

use super::facts::{
    ConfigStatus, DoctorFacts, LOCALHOST_NAME, LimitUsage, LocalCaFacts, LocalhostNames,
    MachineFacts, NameResolver, OrphanFacts, ProcessVisibility, ProjectFacts, ProxyFacts,
    StackFacts, UnstartableService,
};
use super::finding::DoctorFinding;
use crate::https::stores::StoreContent;
use crate::model::{MAIN_PORT, Message, PortKey};
use crate::ports::{PortAvailability, display_home_relative, well_known};
use crate::text::join;

/// Files that devstack opens for itself.
const OWN_FILES: u64 = 64;

/// Files that devstack opens per service: output, log, probes, port.
const FILES_OF_ONE: u64 = 8;

/// Processes that devstack itself needs.
const OWN_PROCESSES: u64 = 16;

/// Processes per service, for a server with a few workers.
const PROCESSES_OF_ONE: u64 = 8;

/// A lower limit is soon exhausted: a web project with its packages has thousands of directories.
const FEW_WATCHES: u64 = 65_536;

/// How many processes or files are listed.
const NAMED: usize = 5;

/// Returns all findings, those about the machine first.
pub(super) fn judge(facts: &DoctorFacts) -> Vec<DoctorFinding> {
    let DoctorFacts { machine, project, configuration, left } = facts;
    let (stack, services) = match configuration {
        ConfigStatus::Good(stack) => (Some(stack), stack.services as u64),
        ConfigStatus::Absent | ConfigStatus::Wrong(_) => (None, 0),
    };
    let mut findings = of_machine(machine, services);
    findings.extend(self::project(project, stack.is_some_and(|stack| stack.watches)));
    findings.push(self::configuration(configuration));
    if let Some(stack) = stack {
        findings.extend(programs(stack));
        findings.extend(ports(stack, machine.outgoing));
    }
    findings.extend(self::left(left));
    findings
}

fn of_machine(machine: &MachineFacts, services: u64) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    findings.extend(machine.watches.map(watches));
    findings.extend(machine.watchers.map(watchers));
    findings.push(files(machine.files, services));
    findings.extend(machine.processes.map(|usage| processes(usage, services)));
    findings.push(match machine.has_pidfd {
        true => DoctorFinding::ok("pidfd", "pidfd is available, so processes are signalled safely"),
        false => DoctorFinding::wrong(
            "pidfd",
            "pidfd is not available: leftovers of a killed devstack cannot be terminated, and child processes of services may be killed without a TERM first",
            "use Linux 5.3 or newer; in a container, allow pidfd_open and pidfd_send_signal",
        ),
    });
    findings.push(sight(&machine.sight));
    findings.push(localhost(&machine.localhost, machine.resolver));
    findings.push(https(&machine.https));
    findings.push(proxy(&machine.proxy));
    findings
}

fn watches(LimitUsage { used, most }: LimitUsage) -> DoctorFinding {
    let check = "inotify-watches";
    let Some(most) = most else {
        return DoctorFinding::ok(check, format!("{used} directories watched"));
    };
    let text = format!("{used} of {most} directory watches in use");
    let help =
        "run `sudo sysctl fs.inotify.max_user_watches=524288` (add it to /etc/sysctl.d to keep it)";
    match () {
        () if is_nearly_used(used, most) => DoctorFinding::wrong(check, text, help),
        () if most < FEW_WATCHES => DoctorFinding::note(check, text + ", which is low", help),
        () => DoctorFinding::ok(check, text),
    }
}

fn watchers(LimitUsage { used, most }: LimitUsage) -> DoctorFinding {
    let check = "inotify-instances";
    let Some(most) = most else {
        return DoctorFinding::ok(check, format!("{used} watchers in use"));
    };
    let text = format!("{used} of {most} watchers in use");
    let help =
        "run `sudo sysctl fs.inotify.max_user_instances=1024` (add it to /etc/sysctl.d to keep it)";
    match is_nearly_used(used, most) {
        true => DoctorFinding::wrong(check, text, help),
        false => DoctorFinding::ok(check, text),
    }
}

fn is_nearly_used(used: u64, most: u64) -> bool {
    most.saturating_sub(used) <= most / 10
}

fn files((now, most): (u64, u64), services: u64) -> DoctorFinding {
    let need = OWN_FILES + services * FILES_OF_ONE;
    let text = format!("open file limit is {now}; devstack needs about {need} here");
    if now >= need {
        return DoctorFinding::ok("open-files", text);
    }
    let help = match most >= need {
        true => {
            format!(
                "run `ulimit -n {}` in the shell that starts devstack",
                most.min(need.max(4096))
            )
        }
        false => "raise nofile in /etc/security/limits.conf, then log in again".to_owned(),
    };
    DoctorFinding::wrong("open-files", text, help)
}

fn processes(LimitUsage { used, most }: LimitUsage, services: u64) -> DoctorFinding {
    let check = "processes";
    let Some(most) = most else {
        return DoctorFinding::ok(check, format!("{used} processes and threads in use, no limit"));
    };
    let need = OWN_PROCESSES + services * PROCESSES_OF_ONE;
    let text =
        format!("{used} of {most} processes and threads in use; devstack needs about {need} more");
    match most.saturating_sub(used) >= need {
        true => DoctorFinding::ok(check, text),
        false => {
            DoctorFinding::wrong(check, text, "stop some, or raise the process limit (`ulimit -u`)")
        }
    }
}

fn sight(sight: &ProcessVisibility) -> DoctorFinding {
    match sight {
        ProcessVisibility::All => DoctorFinding::ok("proc", "processes of all users are visible"),
        ProcessVisibility::Own(option) => DoctorFinding::note(
            "proc",
            format!(
                "/proc is mounted with {option}: processes of other users that use a port cannot be identified"
            ),
            "run `sudo devstack ports N` to identify them",
        ),
        ProcessVisibility::Nothing => DoctorFinding::wrong(
            "proc",
            "/proc is not mounted; devstack needs it to track service processes",
            "run `mount -t proc proc /proc` (also needed in a new PID namespace)",
        ),
    }
}

fn localhost(names: &LocalhostNames, resolver: NameResolver) -> DoctorFinding {
    let check = "localhost-names";
    let help = match resolver {
        NameResolver::NameServices => {
            "browsers and curl resolve them themselves; for other programs, install libnss-myhostname and put `myhostname` before `dns` in the line `hosts:` of /etc/nsswitch.conf, or add names to /etc/hosts with 127.0.0.1"
        }
        NameResolver::HostsFile => {
            "browsers and curl resolve them themselves; for other programs, add names to /etc/hosts with 127.0.0.1"
        }
        NameResolver::MacOs => {
            "Chrome, Firefox and curl resolve them themselves; for Safari and other programs, add names to /etc/hosts with 127.0.0.1"
        }
    };
    match names {
        LocalhostNames::Loopback => {
            let text = format!("names such as {LOCALHOST_NAME} resolve to this machine");
            DoctorFinding::ok(check, text)
        }
        LocalhostNames::Elsewhere(address) => DoctorFinding::wrong(
            check,
            format!("{LOCALHOST_NAME} resolves to {address}, which is not this machine"),
            "add such names to /etc/hosts with 127.0.0.1; your name server resolves them incorrectly",
        ),
        LocalhostNames::Unknown(why) => {
            DoctorFinding::note(check, format!("cannot resolve {LOCALHOST_NAME}: {why}"), help)
        }
        LocalhostNames::Silent => {
            let text = format!("no name server responds for {LOCALHOST_NAME}");
            DoctorFinding::note(check, text, help)
        }
    }
}

fn https(ca: &LocalCaFacts) -> DoctorFinding {
    let check = "https";
    let (expires, expires_soon, stores) = match ca {
        LocalCaFacts::Absent => {
            let text = "off: no local CA (`devstack trust` creates one)";
            return DoctorFinding::ok(check, text);
        }
        LocalCaFacts::Unusable(why) => {
            return DoctorFinding::wrong(check, why.text.clone(), why.help.clone());
        }
        LocalCaFacts::Present { expires, expires_soon, stores } => (expires, expires_soon, stores),
    };
    let with = |which: &dyn Fn(StoreContent) -> bool| {
        join(stores.iter().filter(|(_, content)| which(*content)).map(|(label, _)| label), ", ")
    };
    let mut text = format!("the local CA expires {expires}");
    let trusting = with(&|content| content == StoreContent::ThisCa);
    if !trusting.is_empty() {
        text += &format!("; trusted by {trusting}");
    }
    let others = with(&|content| content != StoreContent::ThisCa);
    if !others.is_empty() {
        text += &format!("; not trusted by {others}, or certutil is not installed");
    }
    match *expires_soon || !others.is_empty() {
        true => DoctorFinding::note(check, text, "run `devstack trust`"),
        false => DoctorFinding::ok(check, text),
    }
}

fn proxy(proxy: &ProxyFacts) -> DoctorFinding {
    let check = "proxy";
    match proxy {
        ProxyFacts::NotRunning => DoctorFinding::ok(
            check,
            "no names are served now; that begins with the first ready service that has one",
        ),
        ProxyFacts::Serving { ports, stacks } => {
            let what = if ports.len() == 1 { "port" } else { "ports" };
            let ports = join(ports, ", ");
            let text =
                format!("names are served on {what} {ports}; running stacks with names: {stacks}");
            DoctorFinding::ok(check, text)
        }
        ProxyFacts::Unreachable(message) => {
            DoctorFinding::wrong(check, message.text.clone(), message.help.clone())
        }
    }
}

fn project(project: &ProjectFacts, watches: bool) -> Vec<DoctorFinding> {
    let dir = display_home_relative(&project.dir);
    let mut findings = vec![match project.writable {
        true => DoctorFinding::ok("project", format!("{dir} is writable")),
        false => DoctorFinding::note(
            "project",
            format!("{dir} is not writable: logs and port choices go to your state directory"),
            "make the directory writable if this is not intended",
        ),
    }];
    if let (true, Some(kind)) = (watches, &project.network_file_system) {
        findings.push(DoctorFinding::note(
            "file-system",
            format!("{dir} is on {kind}: changes made on other machines are only found by polling every 2s"),
            "keep it on a local disk, or set the polling interval: watch = { poll = \"1s\" }",
        ));
    }
    findings
}

fn configuration(configuration: &ConfigStatus) -> DoctorFinding {
    let check = "configuration";
    match configuration {
        ConfigStatus::Absent => DoctorFinding::note(
            check,
            "no devstack.toml found in this or any parent directory, so no stack was checked",
            "change to a project directory, or give its file with -f",
        ),
        ConfigStatus::Wrong(Message { text, .. }) => {
            DoctorFinding::wrong(check, text.clone(), "run `devstack check` to see all errors")
        }
        ConfigStatus::Good(stack) => {
            let runs = if stack.runs { ", running" } else { "" };
            let s = if stack.services == 1 { "" } else { "s" };
            DoctorFinding::ok(check, format!("{}: {} service{s}{runs}", stack.name, stack.services))
        }
    }
}

fn programs(stack: &StackFacts) -> Vec<DoctorFinding> {
    if stack.unstartable.is_empty() {
        return vec![DoctorFinding::ok("programs", "the programs of all services are installed")];
    }
    let finding = |UnstartableService { service, starts, why }: &UnstartableService| {
        let (text, help) = (format!("{service}: {}", why.text), why.help.clone());
        match starts {
            true => DoctorFinding::wrong("programs", text, help),
            false => {
                DoctorFinding::note("programs", text + " (needed only when it is started)", help)
            }
        }
    };
    stack.unstartable.iter().map(finding).collect()
}

fn ports(stack: &StackFacts, (first, last): (u16, u16)) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    match &stack.ports {
        Err(conflicts) => findings.extend(conflicts.iter().map(|message| {
            DoctorFinding::wrong("ports", message.text.clone(), message.help.clone())
        })),
        Ok(moves) if moves.is_empty() => {
            findings.push(DoctorFinding::ok("ports", "every service gets its wanted port"));
        }
        Ok(moves) => findings.extend(moves.iter().map(|to| {
            let text = format!("{}: {}; `up` would use {}", to.whose, to.why, to.number);
            DoctorFinding::note(
                "ports",
                text,
                "run `devstack ports N --kill` to kill a process that uses a port",
            )
        })),
    }
    for (port, availability) in &stack.privileged {
        match availability {
            PortAvailability::Denied => findings.push(DoctorFinding::note(
                "privileged-ports",
                format!("port {port} requires privileges"),
                low_help(*port),
            )),
            PortAvailability::Free | PortAvailability::InUse | PortAvailability::Failed(_) => {}
        }
    }
    for request in &stack.port_requests {
        let Some(number) = request.wanted.number() else { continue };
        let whose = port_label(&request.key);
        if (first..=last).contains(&number) {
            let text = format!(
                "{whose}: port {number} is in the range for outgoing connections, {first} to {last}: any program may temporarily use it"
            );
            let help = format!(
                "choose a port below {first}, or on Linux run `sudo sysctl net.ipv4.ip_local_reserved_ports={number}`"
            );
            findings.push(DoctorFinding::note("outgoing-range", text, help));
        }
        if well_known::blocked_by_browsers(number) {
            let text = format!("{whose}: browsers block port {number}");
            findings.push(DoctorFinding::note(
                "browsers",
                text,
                "choose another port if browsers need to reach it",
            ));
        }
    }
    findings
}

fn low_help(port: u16) -> String {
    match cfg!(target_os = "linux") {
        true => format!(
            "choose a port of 1024 or higher, or run `sudo sysctl net.ipv4.ip_unprivileged_port_start={port}`"
        ),
        false => "choose a port of 1024 or higher".to_owned(),
    }
}

pub(super) fn port_label(PortKey { service, port }: &PortKey) -> String {
    if port == MAIN_PORT { service.to_string() } else { format!("{service}.{port}") }
}

fn left(left: &OrphanFacts) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    for stack in &left.stacks {
        let dir = stack.dir.as_deref().map(display_home_relative);
        if !stack.containers.is_empty() {
            let all = first_few(stack.containers.clone());
            let text = format!("containers of a killed devstack are still there: {all}");
            let help = match &dir {
                Some(dir) => format!("run `cd {dir} && devstack down`"),
                None => format!("run `docker rm --force {}`", stack.containers.join(" ")),
            };
            findings.push(DoctorFinding::wrong("leftovers", text, help));
        }
        match &stack.processes {
            Ok(processes) if processes.is_empty() => {}
            Ok(processes) => {
                let all = processes.iter().map(|(pid, name)| format!("{name} (pid {pid})"));
                let text =
                    format!("processes of a killed devstack are still running: {}", first_few(all.collect()));
                let help = match &dir {
                    Some(dir) => format!("run `cd {dir} && devstack down`"),
                    // `down --all` would stop every other stack, too.
                    None => {
                        let pids = processes.iter().map(|(pid, _)| pid.to_string());
                        format!("run `kill {}`", pids.collect::<Vec<_>>().join(" "))
                    }
                };
                findings.push(DoctorFinding::wrong("leftovers", text, help));
            }
            Err(why) => findings.push(DoctorFinding::wrong(
                "leftovers",
                format!(
                    "cannot determine what a killed devstack left in {}: {why}",
                    dir.as_deref().unwrap_or("a deleted directory")
                ),
                "inspect processes with `ps` and kill your own leftovers; the next `up` starts a new record",
            )),
        }
    }
    if findings.is_empty() {
        findings.push(DoctorFinding::ok("leftovers", "no leftover processes of a killed devstack"));
    }
    if !left.sockets.is_empty() {
        let all = left.sockets.iter().map(|path| path.display().to_string()).collect();
        let text = format!("leftover sockets of a killed devstack: {}", first_few(all));
        findings.push(DoctorFinding::note(
            "stale-sockets",
            text,
            "they are harmless: the next `devstack up` in the same directory replaces them",
        ));
    }
    findings.push(leases(&left.leases));
    findings
}

fn leases(stale: &[(u16, PathBuf)]) -> DoctorFinding {
    let check = "stale-leases";
    let Some((_, file)) = stale.first() else {
        return DoctorFinding::ok(check, "no port is reserved for a devstack that is gone");
    };
    let all = first_few(stale.iter().map(|(port, _)| port.to_string()).collect());
    DoctorFinding::wrong(
        check,
        format!(
            "still reserved for a devstack that is gone, because a process holds its lock open: port {all}"
        ),
        format!(
            "find the process with `fuser -v {}` and kill it if it is yours",
            shell_words::quote(&file.to_string_lossy())
        ),
    )
}

fn first_few(all: Vec<String>) -> String {
    let more = if all.len() > NAMED { ", …" } else { "" };
    all[..all.len().min(NAMED)].join(", ") + more
}

#[cfg(test)]
mod tests;
